//! A network in memory: what the peer sends is scripted, what it takes is rationed, and
//! everything is recorded.
//!
//! [`pair`] makes the two ends. The [`Wire`] is the server's, a `Transport` as mean as the real
//! one: it takes as little as it likes, it says "would block" whenever the script says so, and
//! having said so it stays blocked until an event comes ([`Peer::wake`]).

#![allow(dead_code, reason = "each test uses the part it needs")]

use oneloop::transport::Transport;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::rc::Rc;

/// The server's end.
#[derive(Debug)]
pub struct Wire(Rc<RefCell<Line>>);

/// The test's end.
#[derive(Clone, Debug)]
pub struct Peer(Rc<RefCell<Line>>);

/// What the server's next receive finds.
#[derive(Clone, Debug)]
pub enum Arrival {
    /// These bytes; what does not fit into the room stays for the next receive.
    Bytes(Vec<u8>),
    /// Nothing yet: would block, until the next event.
    Nothing,
    /// The end of the stream, again and again.
    End,
    /// An error, once.
    Error(io::ErrorKind),
}

/// What the server's next send meets.
#[derive(Clone, Copy, Debug)]
pub enum Take {
    /// Room for everything.
    All,
    /// Room for so many bytes.
    Some(usize),
    /// No room: would block, until the next event.
    Nothing,
    /// An error, once.
    Error(io::ErrorKind),
}

/// One call of the server's, as far as tests ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Bytes from memory that were taken, and whether more was announced.
    Send(usize, bool),
    /// Bytes from a file that were taken.
    SendFile(usize),
    /// The room that was offered to a receive.
    Receive(usize),
    /// Our direction was closed.
    Shutdown,
}

#[derive(Debug)]
struct Line {
    arrivals: VecDeque<Arrival>,
    /// What sends meet, over and over from the front.
    takes: VecDeque<Take>,
    refused: Option<Refused>,
    taken: Vec<u8>,
    calls: Vec<Call>,
    is_drained: bool,
    is_shut: bool,
    is_aborted: bool,
    is_closed: bool,
    /// Something has changed since the last event.
    has_news: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    Receive,
    Send,
}

/// Both ends of a new wire, over which nothing has arrived and everything is taken.
pub fn pair() -> (Wire, Peer) {
    let line = Line {
        arrivals: VecDeque::new(),
        takes: VecDeque::from([Take::All]),
        refused: None,
        taken: Vec::new(),
        calls: Vec::new(),
        is_drained: false,
        is_shut: false,
        is_aborted: false,
        is_closed: false,
        has_news: false,
    };
    let line = Rc::new(RefCell::new(line));
    (Wire(line.clone()), Peer(line))
}

impl Peer {
    /// These bytes arrive at the server.
    pub fn sends(&self, bytes: impl AsRef<[u8]>) {
        self.arrives([Arrival::Bytes(bytes.as_ref().to_vec())]);
    }

    /// The server knows from here on that nothing lies unread whenever it has received everything.
    pub fn says_no_more(&self) {
        self.0.borrow_mut().is_drained = true;
    }

    /// The peer closes its direction.
    pub fn closes(&self) {
        self.arrives([Arrival::End]);
    }

    /// All of this, one after the other.
    pub fn arrives(&self, arrivals: impl IntoIterator<Item = Arrival>) {
        let mut line = self.0.borrow_mut();
        line.arrivals.extend(arrivals);
        line.has_news = true;
    }

    /// From now on sends meet this, over and over.
    pub fn takes(&self, takes: impl IntoIterator<Item = Take>) {
        let mut line = self.0.borrow_mut();
        line.takes = takes.into_iter().collect();
        line.has_news = true;
    }

    /// An event: what would have blocked goes on with the script. False if the script has nothing
    /// more for what was refused: then a server that waits has waited for nothing.
    pub fn wake(&self) -> bool {
        let mut line = self.0.borrow_mut();
        match line.refused.take() {
            Some(Refused::Receive) => line.arrivals.pop_front().is_some(),
            Some(Refused::Send) => {
                line.takes.rotate_left(1);
                !matches!(line.takes.front(), Some(Take::Nothing) | None)
            }
            None => false,
        }
    }

    /// Whether there is something to tell by an event, which it takes for told.
    pub fn has_news(&self) -> bool {
        std::mem::take(&mut self.0.borrow_mut().has_news)
    }

    /// Whether the latest call that could be refused was: only then may a server wait.
    pub fn has_refused(&self) -> bool {
        self.0.borrow().refused.is_some()
    }

    /// All that was sent to the peer and not yet asked for here.
    pub fn hears(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.borrow_mut().taken)
    }

    /// The same as text.
    pub fn reads(&self) -> String {
        String::from_utf8(self.hears()).unwrap()
    }

    /// The calls since this was last asked.
    pub fn calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.0.borrow_mut().calls)
    }

    /// The server has closed its direction.
    pub fn is_shut(&self) -> bool {
        self.0.borrow().is_shut
    }

    /// The server's close is to be a reset.
    pub fn is_aborted(&self) -> bool {
        self.0.borrow().is_aborted
    }

    /// The server has dropped its end.
    pub fn is_closed(&self) -> bool {
        self.0.borrow().is_closed
    }
}

impl Line {
    /// How much of `length` there is room for now.
    fn room(&mut self, length: usize) -> io::Result<usize> {
        assert!(
            !self.is_shut,
            "a send after the direction was closed is EPIPE"
        );
        self.refused = None;
        let room = match self.takes.front() {
            Some(Take::All) => length,
            Some(Take::Some(most)) => length.min(*most),
            Some(Take::Nothing) | None => {
                self.refused = Some(Refused::Send);
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Some(Take::Error(kind)) => {
                let kind = *kind;
                self.takes.rotate_left(1);
                return Err(kind.into());
            }
        };
        self.takes.rotate_left(1);
        Ok(room)
    }
}

impl Transport for Wire {
    fn receive(&mut self, room: &mut [u8]) -> io::Result<usize> {
        assert!(
            !room.is_empty(),
            "0 would be taken for the end of the stream"
        );
        let line = &mut *self.0.borrow_mut();
        line.refused = None;
        line.calls.push(Call::Receive(room.len()));
        match line.arrivals.front_mut() {
            Some(Arrival::Bytes(bytes)) => {
                let length = bytes.len().min(room.len());
                room[..length].copy_from_slice(&bytes[..length]);
                bytes.drain(..length);
                if bytes.is_empty() {
                    line.arrivals.pop_front();
                }
                Ok(length)
            }
            Some(Arrival::Nothing) | None => {
                line.refused = Some(Refused::Receive);
                Err(io::ErrorKind::WouldBlock.into())
            }
            Some(Arrival::End) => Ok(0),
            Some(Arrival::Error(kind)) => {
                let kind = *kind;
                line.arrivals.pop_front();
                Err(kind.into())
            }
        }
    }

    fn is_drained(&self) -> bool {
        let line = self.0.borrow();
        line.is_drained && line.arrivals.is_empty()
    }

    fn send(&mut self, bytes: &[u8], more: bool) -> io::Result<usize> {
        assert!(!bytes.is_empty(), "sending nothing gets nobody further");
        let line = &mut *self.0.borrow_mut();
        let length = line.room(bytes.len())?;
        line.taken.extend_from_slice(&bytes[..length]);
        line.calls.push(Call::Send(length, more));
        Ok(length)
    }

    fn send_file(
        &mut self,
        file: &File,
        offset: u64,
        length: u64,
        _: &mut [u8],
    ) -> io::Result<usize> {
        assert!(length > 0, "sending nothing gets nobody further");
        let line = &mut *self.0.borrow_mut();
        let length = line.room(usize::try_from(length).unwrap())?;
        let start = line.taken.len();
        line.taken.resize(start + length, 0);
        let read = file.read_at(&mut line.taken[start..], offset)?;
        line.taken.truncate(start + read);
        line.calls.push(Call::SendFile(read));
        Ok(read)
    }

    fn shutdown(&mut self) -> io::Result<()> {
        let line = &mut *self.0.borrow_mut();
        line.is_shut = true;
        line.calls.push(Call::Shutdown);
        Ok(())
    }

    fn abort(&mut self) {
        self.0.borrow_mut().is_aborted = true;
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.0.borrow_mut().is_closed = true;
    }
}
