//! One connection as the network sees it: two buffers, two directions, and a peer at the far end
//! who follows its script. What is ready, and what the server has seen of that, is known here
//! exactly; which of it becomes an event is the poller's affair.

use crate::asks::Ask;
use crate::faults::{Answer, Call};
use crate::oracle::Seen;
use crate::plan::{Act, Kind, Micros, Peer, SECOND};
use crate::proofreader::Proofreader;
use crate::site::ask::SiteAsk;
use rustix::io::Errno;
use std::collections::VecDeque;
use std::ops::Range;

/// What is to be announced for a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Edge {
    pub readable: bool,
    pub writable: bool,
    /// End of stream, error or urgent data: what no system leaves out.
    pub read_until_blocked: bool,
}

impl Edge {
    pub fn is_any(self) -> bool {
        self.readable || self.writable || self.read_until_blocked
    }
}

#[derive(Debug)]
pub struct Line {
    pub peer: Peer,
    pub matcher: Box<dyn Proofreader>,
    acts: VecDeque<Act>,
    /// When the act after a wait is due.
    pub resumes: Micros,
    words: Vec<u8>,
    /// Where in `words` the server has each request.
    pub ends: Vec<usize>,
    /// Requests that have something to be filled in: which, where it begins, and where that is.
    slots: Vec<(usize, usize, Range<usize>)>,
    /// Bytes of `words` that the peer has sent, that have reached the server's socket, and that
    /// the server has received.
    said: usize,
    pub arrived: usize,
    pub received: usize,
    /// Where urgent data lies between those bytes.
    marks: VecDeque<usize>,
    half_closed: bool,
    gone: bool,
    pub reset: bool,
    /// Bytes of the server's output that the peer has taken.
    pub taken: u64,
    /// Output that was lost to a reset; and whether that was to be.
    pub lost: bool,
    pub may_lose: bool,
    /// The server closed it on bytes that it had been told of.
    pub knew_of_more: bool,
    /// A little later there will be something to receive, or room to send.
    hides_arrivals: bool,
    hides_room: bool,
    /// The server knows that there is nothing to receive, or no room to send.
    seen_empty: bool,
    seen_full: bool,
    /// Known to the poller; announced to the server when it polls.
    pub edge: Edge,
    pub token: Option<usize>,
    /// The server has let it in.
    pub is_welcome: bool,
    /// What the world has noted down to do for it.
    pub is_listed: bool,
    pub is_stirred: bool,
    pub is_to_take: bool,
    pub calls: [u32; 6],
    pub seen: Seen,
    /// What the server tried last, and whether that was refused.
    pub tried: Option<(Call, bool)>,
    /// An error was answered; what the server does with the connection is its affair.
    pub failed: bool,
    pub shut: bool,
    pub aborted: bool,
    pub closed: bool,
    /// It was closed when it had taken too little for too long.
    pub is_overdue: bool,
    pub accepted: bool,
    pub receive_buffer: usize,
    pub send_buffer: usize,
}

impl Line {
    pub fn new(
        peer: Peer,
        matcher: Box<dyn Proofreader>,
        receive_buffer: usize,
        send_buffer: usize,
    ) -> Self {
        let (words, ends) = peer.words();
        Self {
            matcher,
            slots: peer.slots(),
            acts: peer.script().into(),
            resumes: 0,
            peer,
            words,
            ends,
            said: 0,
            arrived: 0,
            received: 0,
            marks: VecDeque::new(),
            half_closed: false,
            gone: false,
            reset: false,
            taken: 0,
            lost: false,
            may_lose: false,
            knew_of_more: false,
            hides_arrivals: false,
            hides_room: false,
            seen_empty: false,
            seen_full: false,
            edge: Edge::default(),
            token: None,
            is_welcome: false,
            is_listed: false,
            is_stirred: false,
            is_to_take: false,
            calls: [0; 6],
            seen: Seen::default(),
            tried: None,
            failed: false,
            shut: false,
            aborted: false,
            closed: false,
            is_overdue: false,
            accepted: false,
            receive_buffer,
            send_buffer,
        }
    }

    /// The server has accepted it, and not let it in.
    pub fn is_held(&self) -> bool {
        self.accepted && !self.is_welcome && !self.closed
    }

    /// Whether the server has it open.
    pub fn is_open(&self) -> bool {
        self.is_welcome && !self.closed
    }

    /// Requests that the server has received whole.
    pub fn asked(&self) -> usize {
        self.ends.partition_point(|&end| end <= self.received)
    }

    /// The peer has closed its side, or is gone.
    pub fn has_left(&self) -> bool {
        self.reset || self.half_closed
    }

    /// The peer has said that its latest request was its last. What it says all the same may meet
    /// a reset, which takes along what it has not taken (RFC 9112 9.6).
    pub fn has_said_all(&self) -> bool {
        let answered = self.matcher.done().checked_sub(1);
        let ask = answered.and_then(|last| self.peer.asks.get(last));
        ask.is_some_and(Ask::is_last)
            && !self.shut
            && self.received <= self.ends[answered.unwrap_or(0)]
    }

    /// Bytes on their way to the peer.
    pub fn untaken(&self) -> u64 {
        self.matcher.total() - self.taken
    }

    /// A receive would not block.
    pub fn can_receive(&self) -> bool {
        let has_end = self.reset || (self.half_closed && self.arrived == self.said);
        !self.hides_arrivals && (self.arrived > self.received || has_end)
    }

    /// A send would not block.
    pub fn can_send(&self) -> bool {
        !self.hides_room && (self.reset || self.untaken() < self.send_buffer as u64)
    }

    /// What the server knows of changes it has not been told of: nothing was lost only if an event
    /// is still to come.
    pub fn is_forgotten(&self) -> bool {
        match self.tried {
            Some((Call::Receive, true)) => {
                self.can_receive() && !self.edge.readable && !self.edge.read_until_blocked
            }
            Some((Call::Send | Call::SendFile, true)) => self.can_send() && !self.edge.writable,
            _ => false,
        }
    }

    // The peer's side.

    /// Does what the script has to be done by now. Returns when it is to be asked again, if by
    /// then something will be due by itself.
    pub fn follow_script(&mut self, now: Micros) -> Option<Micros> {
        while self.resumes <= now && !self.gone && !self.reset {
            let Some(&act) = self.acts.front() else {
                self.leave_after_the_end();
                return None;
            };
            match act {
                Act::Hear(count) if !self.has_heard(count) => return None,
                Act::Hear(_) => {}
                Act::Say(length) => {
                    self.said += length;
                    self.flow();
                }
                Act::Urge => {
                    self.marks.push_back(self.said);
                    self.announce(true, false, true);
                }
                Act::Wait(time) => self.resumes = now + time,
                Act::Meet => self.resumes = (now / SECOND + 2) * SECOND,
                Act::HalfClose => self.end_stream(),
                Act::Close => {
                    self.gone = true;
                    self.end_stream();
                }
                Act::Reset => self.reset(),
            }
            self.acts.pop_front();
        }
        (self.resumes > now).then_some(self.resumes)
    }

    /// Fills in what the peer has not begun to say.
    pub fn fill_in(&mut self, mut fill: impl FnMut(usize, &SiteAsk, &mut [u8])) {
        let said = self.said;
        self.slots.retain(|(_, begin, _)| *begin >= said);
        for (nth, _, slot) in &self.slots {
            if let Some(ask) = SiteAsk::of(&self.peer.asks[*nth]) {
                fill(*nth, ask, &mut self.words[slot.clone()]);
            }
        }
    }

    /// How far the peer has come, for the trace.
    pub fn did(&self) -> String {
        let Self {
            said,
            arrived,
            taken,
            ..
        } = self;
        let end = match (self.reset, self.gone, self.half_closed) {
            (true, ..) => ", reset",
            (_, true, _) => ", closed",
            (.., true) => ", half-closed",
            _ => "",
        };
        format!("has said {said} ({arrived} arrived), has taken {taken}{end}")
    }

    /// The peer takes as much as it likes. Returns whether anything was there.
    pub fn take(&mut self, most: usize) -> bool {
        let taken = self.untaken().min(most as u64);
        self.taken += taken;
        if taken > 0 && self.seen_full && !self.hides_room {
            self.announce(false, true, false);
        }
        taken > 0
    }

    fn has_heard(&self, count: usize) -> bool {
        self.matcher.done_within(self.taken) >= count || self.hears_the_end()
    }

    fn hears_the_end(&self) -> bool {
        self.aborted && self.closed || (self.shut || self.closed) && self.untaken() == 0
    }

    /// A peer that has nothing more to say closes when the server does; some never do.
    fn leave_after_the_end(&mut self) {
        let stays = matches!(self.peer.kind, Kind::NeverReader | Kind::Silent);
        if self.hears_the_end() && !stays {
            self.gone = true;
            self.end_stream();
        }
    }

    fn end_stream(&mut self) {
        self.half_closed = true;
        self.flow();
    }

    /// The network gives up on the connection: what is on its way is lost in both directions.
    fn reset(&mut self) {
        self.reset = true;
        self.announce(true, true, true);
    }

    /// What was said arrives, as far as there is room for it.
    fn flow(&mut self) {
        if self.closed && self.said > self.arrived {
            // Nobody is there any more: the answer is a reset, and it takes along what the peer
            // has not taken yet.
            self.lost |= self.untaken() > 0;
            self.reset = true;
            return;
        }
        let room = self.received + self.receive_buffer;
        let arrived = self.said.min(room);
        let has_news = arrived > self.arrived;
        self.arrived = arrived;
        let has_end = self.half_closed && self.arrived == self.said;
        if has_end {
            self.announce(true, false, true);
        } else if has_news && self.seen_empty {
            self.announce(true, false, false);
        }
    }

    /// An edge, unless it is hidden: then it comes when that is over.
    fn announce(&mut self, readable: bool, writable: bool, read_until_blocked: bool) {
        if self.token.is_none() || self.closed {
            return;
        }
        if readable && (!self.hides_arrivals || read_until_blocked) {
            self.edge.readable = true;
            self.seen_empty = false;
        }
        if writable && !self.hides_room {
            self.edge.writable = true;
            self.seen_full = false;
        }
        self.edge.read_until_blocked |= read_until_blocked;
    }

    /// The server has registered the socket: what is there already is announced, too (epoll_ctl(2),
    /// kevent(2)).
    pub fn register(&mut self, token: usize) {
        self.token = Some(token);
        let read_until_blocked = self.reset || self.half_closed || !self.marks.is_empty();
        let has_room = self.seen_full && self.can_send();
        self.announce(
            self.can_receive() || read_until_blocked,
            has_room,
            read_until_blocked,
        );
    }

    /// What was hidden comes to light.
    pub fn reveal(&mut self) {
        if std::mem::take(&mut self.hides_arrivals) && self.can_receive() {
            let has_end = self.reset || (self.half_closed && self.arrived == self.said);
            self.announce(true, false, has_end);
        }
        if std::mem::take(&mut self.hides_room) && self.can_send() {
            self.announce(false, true, false);
        }
    }

    // The server's side.

    pub fn receive(&mut self, room: &mut [u8], answer: Answer) -> Result<usize, Errno> {
        if let Answer::Fails(error) = answer {
            return Err(self.fail(error));
        }
        let next = self.marks.iter().find(|&&mark| mark > self.received);
        let until = next.map_or(self.arrived, |&mark| mark.min(self.arrived));
        let there = (until - self.received).min(room.len());
        if !self.can_receive() {
            self.seen_empty = true;
            return Err(Errno::WOULDBLOCK);
        }
        if answer == Answer::Later {
            self.hides_arrivals = true;
            self.seen_empty = true;
            return Err(Errno::WOULDBLOCK);
        }
        if there == 0 && self.reset {
            return Err(Errno::CONNRESET);
        }
        let length = share_of(there, answer);
        room[..length].copy_from_slice(&self.words[self.received..self.received + length]);
        self.received += length;
        self.marks.retain(|&mark| mark > self.received);
        if length < there {
            // It has not arrived yet, after all.
            self.hides_arrivals = true;
        }
        if length < room.len() && (self.hides_arrivals || self.arrived == self.received) {
            self.seen_empty = true;
        }
        self.flow();
        Ok(length)
    }

    /// How much of `length` bytes the socket takes.
    pub fn room_for(&mut self, length: u64, answer: Answer) -> Result<u64, Errno> {
        if let Answer::Fails(error) = answer {
            return Err(self.fail(error));
        }
        if self.reset {
            return Err(Errno::PIPE);
        }
        if self.can_send() && answer == Answer::Later {
            self.hides_room = true;
        }
        if !self.can_send() {
            self.seen_full = true;
            return Err(Errno::WOULDBLOCK);
        }
        let room = (self.send_buffer as u64 - self.untaken()).min(length);
        Ok(share_of(room as usize, answer) as u64)
    }

    /// Bytes have left for a peer that may not be there any more.
    pub fn has_sent(&mut self) {
        if self.gone {
            self.reset();
        }
    }

    pub fn shut_down(&mut self, answer: Answer) -> Result<(), Errno> {
        if let Answer::Fails(error) = answer {
            return Err(self.fail(error));
        }
        if self.reset {
            return Err(Errno::NOTCONN);
        }
        self.shut = true;
        Ok(())
    }

    /// The server has closed its socket. If it leaves bytes unread, the peer gets a reset, and
    /// with it loses what it has not taken.
    pub fn close(&mut self) {
        let is_there = self.can_receive() && self.arrived > self.received;
        self.knew_of_more = is_there && !self.edge.readable;
        self.closed = true;
        if self.aborted || self.arrived > self.received || self.reset {
            self.lost |= self.untaken() > 0;
        }
        self.flow();
    }

    /// The server is about to close it. Without a reset, and before it has shut its direction, that
    /// is the end of our stream, which may be the end of a body.
    ///
    /// # Errors
    /// What was sent was no end.
    pub fn ends_in_order(&mut self) -> Result<(), String> {
        match self.aborted || self.shut || self.failed || self.reset {
            true => Ok(()),
            false => self.matcher.shut(),
        }
    }

    fn fail(&mut self, error: Errno) -> Errno {
        if error != Errno::INTR {
            self.failed = true;
        }
        error
    }
}

/// What the answer makes of so many bytes; at least one.
fn share_of(bytes: usize, answer: Answer) -> usize {
    match answer {
        Answer::One => bytes.min(1),
        Answer::Half => bytes.div_ceil(2),
        _ => bytes,
    }
}
