//! A transport in memory: the test scripts what the server receives and how much it may send.
//! Everything is recorded.
//!
//! [`pair`] makes the two ends. [`MemoryTransport`] is the server's. It returns "would block" when
//! the script says so, and stays blocked until an event ([`Peer::unblock`]).

#![allow(dead_code, reason = "each test uses the part it needs")]

use oneloop::transport::Transport;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use std::sync::Arc;

/// The server's end.
#[derive(Debug)]
pub struct MemoryTransport(Rc<RefCell<State>>);

/// The test's end.
#[derive(Clone, Debug)]
pub struct Peer(Rc<RefCell<State>>);

/// The result of the server's next receive.
#[derive(Clone, Debug)]
pub enum Input {
    /// These bytes; what does not fit into the buffer stays for the next receive.
    Bytes(Vec<u8>),
    /// Would block, until the next event.
    Nothing,
    /// The end of the stream, every time.
    End,
    /// An error, once.
    Error(io::ErrorKind),
}

/// The result of the server's next send.
#[derive(Clone, Copy, Debug)]
pub enum Space {
    /// Space for everything.
    All,
    /// Space for this many bytes.
    Some(usize),
    /// Would block, until the next event.
    Nothing,
    /// An error, once.
    Error(io::ErrorKind),
}

/// A call of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Bytes sent from memory, and whether more follows.
    Send(usize, bool),
    /// Bytes sent from a file.
    SendFile(usize),
    /// The length of the buffer of a receive.
    Receive(usize),
    /// A shutdown of the server's direction.
    Shutdown,
}

#[derive(Debug)]
struct State {
    inputs: VecDeque<Input>,
    /// The results of sends, in a circle.
    spaces: VecDeque<Space>,
    blocked: Option<Blocked>,
    received: Vec<u8>,
    calls: Vec<Call>,
    is_known_empty: bool,
    is_send_closed: bool,
    is_shut: bool,
    is_reset: bool,
    is_closed: bool,
    /// Something has changed since the last event.
    has_event: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blocked {
    Receive,
    Send,
}

/// The two ends of a new connection, without input and with space for everything.
pub fn pair() -> (MemoryTransport, Peer) {
    let state = State {
        inputs: VecDeque::new(),
        spaces: VecDeque::from([Space::All]),
        blocked: None,
        received: Vec::new(),
        calls: Vec::new(),
        is_known_empty: false,
        is_send_closed: false,
        is_shut: false,
        is_reset: false,
        is_closed: false,
        has_event: false,
    };
    let state = Rc::new(RefCell::new(state));
    (MemoryTransport(state.clone()), Peer(state))
}

impl Peer {
    /// These bytes arrive at the server.
    pub fn sends(&self, bytes: impl AsRef<[u8]>) {
        self.script_inputs([Input::Bytes(bytes.as_ref().to_vec())]);
    }

    /// From now on, the server knows that nothing is unread once it has received everything.
    pub fn sends_no_more(&self) {
        self.0.borrow_mut().is_known_empty = true;
    }

    /// The peer closes its direction.
    pub fn closes(&self) {
        self.script_inputs([Input::End]);
    }

    /// The peer resets the connection, and an event reports it.
    pub fn resets(&self) {
        self.script_inputs([Input::Error(io::ErrorKind::ConnectionReset)]);
        self.script_sends([Space::Error(io::ErrorKind::BrokenPipe)]);
        self.0.borrow_mut().is_send_closed = true;
    }

    /// Adds results of receives.
    pub fn script_inputs(&self, inputs: impl IntoIterator<Item = Input>) {
        let mut state = self.0.borrow_mut();
        state.inputs.extend(inputs);
        state.has_event = true;
    }

    /// Replaces the results of sends; they repeat.
    pub fn script_sends(&self, spaces: impl IntoIterator<Item = Space>) {
        let mut state = self.0.borrow_mut();
        state.spaces = spaces.into_iter().collect();
        state.has_event = true;
    }

    /// An event: the blocked operation continues with the script. False if the script has nothing
    /// for it: then no event comes.
    pub fn unblock(&self) -> bool {
        let mut state = self.0.borrow_mut();
        match state.blocked.take() {
            Some(Blocked::Receive) => state.inputs.pop_front().is_some(),
            Some(Blocked::Send) => {
                state.spaces.rotate_left(1);
                !matches!(state.spaces.front(), Some(Space::Nothing) | None)
            }
            None => false,
        }
    }

    /// Whether an event is due. Calling it counts as the event.
    pub fn take_event(&self) -> bool {
        std::mem::take(&mut self.0.borrow_mut().has_event)
    }

    /// Whether the latest operation would have blocked: only then may a server wait.
    pub fn is_blocked(&self) -> bool {
        self.0.borrow().blocked.is_some()
    }

    /// The bytes received since the last call.
    pub fn take_received(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.borrow_mut().received)
    }

    /// The same as text.
    pub fn take_received_text(&self) -> String {
        String::from_utf8(self.take_received()).unwrap()
    }

    /// The server's calls since the last call of this.
    pub fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.0.borrow_mut().calls)
    }

    /// The server has shut down its direction.
    pub fn is_shut(&self) -> bool {
        self.0.borrow().is_shut
    }

    /// The server's close is a reset.
    pub fn is_reset(&self) -> bool {
        self.0.borrow().is_reset
    }

    /// The server has dropped its end.
    pub fn is_closed(&self) -> bool {
        self.0.borrow().is_closed
    }
}

impl State {
    /// How many of `length` bytes can be sent now.
    fn space(&mut self, length: usize) -> io::Result<usize> {
        assert!(
            !self.is_shut,
            "a send after the direction was closed is EPIPE"
        );
        self.blocked = None;
        let space = match self.spaces.front() {
            Some(Space::All) => length,
            Some(Space::Some(most)) => length.min(*most),
            Some(Space::Nothing) | None => {
                self.blocked = Some(Blocked::Send);
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Some(Space::Error(kind)) => {
                let kind = *kind;
                self.spaces.rotate_left(1);
                return Err(kind.into());
            }
        };
        self.spaces.rotate_left(1);
        Ok(space)
    }
}

impl Transport for MemoryTransport {
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        assert!(
            !buffer.is_empty(),
            "0 would be taken for the end of the stream"
        );
        let state = &mut *self.0.borrow_mut();
        state.blocked = None;
        state.calls.push(Call::Receive(buffer.len()));
        match state.inputs.front_mut() {
            Some(Input::Bytes(bytes)) => {
                let length = bytes.len().min(buffer.len());
                buffer[..length].copy_from_slice(&bytes[..length]);
                bytes.drain(..length);
                if bytes.is_empty() {
                    state.inputs.pop_front();
                }
                Ok(length)
            }
            Some(Input::Nothing) | None => {
                state.blocked = Some(Blocked::Receive);
                Err(io::ErrorKind::WouldBlock.into())
            }
            Some(Input::End) => Ok(0),
            Some(Input::Error(kind)) => {
                let kind = *kind;
                state.inputs.pop_front();
                Err(kind.into())
            }
        }
    }

    fn is_known_empty(&self) -> bool {
        let state = self.0.borrow();
        state.is_known_empty && state.inputs.is_empty()
    }

    fn send(&mut self, bytes: &[u8], more: bool) -> io::Result<usize> {
        assert!(!bytes.is_empty(), "an empty send");
        let state = &mut *self.0.borrow_mut();
        let length = state.space(bytes.len())?;
        state.received.extend_from_slice(&bytes[..length]);
        state.calls.push(Call::Send(length, more));
        Ok(length)
    }

    fn send_file(
        &mut self,
        file: &Arc<File>,
        offset: u64,
        length: u64,
        _: &mut [u8],
    ) -> io::Result<usize> {
        assert!(length > 0, "an empty send");
        let state = &mut *self.0.borrow_mut();
        let length = state.space(usize::try_from(length).unwrap())?;
        let start = state.received.len();
        state.received.resize(start + length, 0);
        let read = file.read_at(&mut state.received[start..], offset)?;
        state.received.truncate(start + read);
        state.calls.push(Call::SendFile(read));
        Ok(read)
    }

    fn shutdown(&mut self) -> io::Result<()> {
        let state = &mut *self.0.borrow_mut();
        state.is_shut = true;
        state.calls.push(Call::Shutdown);
        Ok(())
    }

    fn is_send_closed(&self) -> bool {
        self.0.borrow().is_send_closed
    }

    fn reset_on_close(&mut self) {
        self.0.borrow_mut().is_reset = true;
    }
}

impl Drop for MemoryTransport {
    fn drop(&mut self) {
        self.0.borrow_mut().is_closed = true;
    }
}
