//! A simulated connection: two buffers, two directions, and a peer that follows its script. It
//! knows which operations are possible and what the server knows of them. `kernel` turns this into
//! events.

use crate::checker::Observed;
use crate::faults::{Call, CallResult};
use crate::requests::SimRequest;
use crate::response_checker::ResponseChecker;
use crate::scenario::{Behaviour, Micros, Peer, PeerAction, SECOND};
use crate::site::request::SiteRequest;
use rustix::io::Errno;
use std::collections::VecDeque;
use std::ops::Range;

/// The readiness to be announced for a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Edge {
    pub readable: bool,
    pub writable: bool,
    /// End of stream, error or urgent data. Every system announces these.
    pub read_until_blocked: bool,
}

impl Edge {
    pub fn is_any(self) -> bool {
        self.readable || self.writable || self.read_until_blocked
    }
}

#[derive(Debug)]
pub struct SimConnection {
    pub peer: Peer,
    pub checker: Box<dyn ResponseChecker>,
    script: VecDeque<PeerAction>,
    /// When the action after a wait is due.
    pub resumes: Micros,
    request_bytes: Vec<u8>,
    /// Where in `request_bytes` each request is complete for the server.
    pub ends: Vec<usize>,
    /// Requests with a placeholder: index, begin, and the range of the placeholder.
    slots: Vec<(usize, usize, Range<usize>)>,
    /// How many of `request_bytes` the peer has sent, how many have reached the server's socket,
    /// and how many the server has received.
    sent: usize,
    pub arrived: usize,
    pub received: usize,
    /// The positions of urgent data among those bytes.
    urgent_marks: VecDeque<usize>,
    half_closed: bool,
    peer_closed: bool,
    pub reset: bool,
    /// Bytes of the server's output that the peer has read.
    pub peer_read: u64,
    /// Output was lost to a reset; and whether that is allowed.
    pub lost: bool,
    pub may_lose: bool,
    /// The server closed the socket although unread bytes had been announced.
    pub knew_of_more: bool,
    /// Input, or space for output, that the server does not see yet: a call returned "would block"
    /// too early.
    hides_input: bool,
    hides_space: bool,
    /// The server knows that there is nothing to receive, or no space to send.
    seen_empty: bool,
    seen_full: bool,
    /// Readiness that is announced at the next poll.
    pub edge: Edge,
    pub token: Option<usize>,
    /// The server has created its connection.
    pub is_connected: bool,
    /// Whether it is in the queues of `Kernel`.
    pub is_queued: bool,
    pub is_touched: bool,
    pub is_read_scheduled: bool,
    pub calls: [u32; 6],
    pub observed: Observed,
    /// The server's last call, and whether it returned "would block".
    pub last_call: Option<(Call, bool)>,
    /// A call returned an error. The server may then close the connection.
    pub failed: bool,
    pub shut: bool,
    pub resets_on_close: bool,
    pub closed: bool,
    /// When it was closed, the peer had read too slowly for too long.
    pub is_overdue: bool,
    pub accepted: bool,
    /// When the handler is ready to answer the request that waits for it.
    pub ready_at: Option<Micros>,
    /// The listener that the peer connects to.
    pub listener: usize,
    pub receive_buffer: usize,
    pub send_buffer: usize,
}

impl SimConnection {
    pub fn new(
        peer: Peer,
        checker: Box<dyn ResponseChecker>,
        receive_buffer: usize,
        send_buffer: usize,
    ) -> Self {
        let (request_bytes, ends) = peer.request_bytes();
        Self {
            checker,
            slots: peer.slots(),
            script: peer.script().into(),
            resumes: 0,
            peer,
            request_bytes,
            ends,
            sent: 0,
            arrived: 0,
            received: 0,
            urgent_marks: VecDeque::new(),
            half_closed: false,
            peer_closed: false,
            reset: false,
            peer_read: 0,
            lost: false,
            may_lose: false,
            knew_of_more: false,
            hides_input: false,
            hides_space: false,
            seen_empty: false,
            seen_full: false,
            edge: Edge::default(),
            token: None,
            is_connected: false,
            is_queued: false,
            is_touched: false,
            is_read_scheduled: false,
            calls: [0; 6],
            observed: Observed::default(),
            last_call: None,
            failed: false,
            shut: false,
            resets_on_close: false,
            closed: false,
            is_overdue: false,
            accepted: false,
            ready_at: None,
            listener: 0,
            receive_buffer,
            send_buffer,
        }
    }

    /// The server has accepted it, but not created its connection yet.
    pub fn is_held(&self) -> bool {
        self.accepted && !self.is_connected && !self.closed
    }

    /// Whether the server has it open.
    pub fn is_open(&self) -> bool {
        self.is_connected && !self.closed
    }

    /// Requests that the server has received completely.
    pub fn requests_received(&self) -> usize {
        self.ends.partition_point(|&end| end <= self.received)
    }

    /// The peer has closed its direction or reset the connection.
    pub fn has_peer_closed(&self) -> bool {
        self.reset || self.half_closed
    }

    /// The peer's latest request announced that it is the last. Anything sent after it may meet a
    /// reset, which discards output that the peer has not read (RFC 9112 9.6).
    pub fn has_sent_last_request(&self) -> bool {
        let previous_responses = self.checker.done().checked_sub(1);
        let request = previous_responses.and_then(|last| self.peer.requests.get(last));
        request.is_some_and(SimRequest::is_last)
            && !self.shut
            && self.received <= self.ends[previous_responses.unwrap_or(0)]
    }

    /// Bytes that the server has sent and the peer has not read.
    pub fn in_flight(&self) -> u64 {
        self.checker.total() - self.peer_read
    }

    /// A receive would not block.
    pub fn can_receive(&self) -> bool {
        let has_end = self.reset || (self.half_closed && self.arrived == self.sent);
        !self.hides_input && (self.arrived > self.received || has_end)
    }

    /// A send would not block.
    pub fn can_send(&self) -> bool {
        !self.hides_space && (self.reset || self.in_flight() < self.send_buffer as u64)
    }

    /// A lost wake-up: the operation that blocked is possible now, and no event will say so.
    pub fn is_wake_up_lost(&self) -> bool {
        match self.last_call {
            Some((Call::Receive, true)) => {
                self.can_receive() && !self.edge.readable && !self.edge.read_until_blocked
            }
            Some((Call::Send | Call::SendFile, true)) => self.can_send() && !self.edge.writable,
            _ => false,
        }
    }

    // The peer's side.

    /// Performs the actions that are due. Returns when the next one is due, if that is known.
    pub fn run_script(&mut self, now: Micros) -> Option<Micros> {
        while self.resumes <= now && !self.peer_closed && !self.reset {
            let Some(&action) = self.script.front() else {
                self.close_after_server();
                return None;
            };
            match action {
                PeerAction::AwaitResponses(count) if !self.has_responses(count) => return None,
                PeerAction::AwaitResponses(_) => {}
                PeerAction::Send(length) => {
                    self.sent += length;
                    self.transfer();
                }
                PeerAction::SendUrgent => {
                    self.urgent_marks.push_back(self.sent);
                    self.announce(true, false, true);
                }
                PeerAction::Wait(time) => self.resumes = now + time,
                PeerAction::WaitForSecond => self.resumes = (now / SECOND + 2) * SECOND,
                PeerAction::HalfClose => self.end_stream(),
                PeerAction::Close => {
                    self.peer_closed = true;
                    self.end_stream();
                }
                PeerAction::Reset => self.reset(),
            }
            self.script.pop_front();
        }
        (self.resumes > now).then_some(self.resumes)
    }

    /// Replaces placeholders in requests that the peer has not begun to send.
    pub fn fill_in(&mut self, mut fill: impl FnMut(usize, &SiteRequest, &mut [u8])) {
        let sent = self.sent;
        self.slots.retain(|(_, begin, _)| *begin >= sent);
        for (nth, _, slot) in &self.slots {
            if let Some(request) = SiteRequest::of(&self.peer.requests[*nth]) {
                fill(*nth, request, &mut self.request_bytes[slot.clone()]);
            }
        }
    }

    /// The peer's progress, for the trace.
    pub fn progress_text(&self) -> String {
        let Self {
            sent,
            arrived,
            peer_read,
            ..
        } = self;
        let end = match (self.reset, self.peer_closed, self.half_closed) {
            (true, ..) => ", reset",
            (_, true, _) => ", closed",
            (.., true) => ", half-closed",
            _ => "",
        };
        format!("sent {sent} ({arrived} arrived), read {peer_read}{end}")
    }

    /// The peer reads up to `most` bytes. Returns whether there were any.
    pub fn read(&mut self, most: usize) -> bool {
        let peer_read = self.in_flight().min(most as u64);
        self.peer_read += peer_read;
        if peer_read > 0 && self.seen_full && !self.hides_space {
            self.announce(false, true, false);
        }
        peer_read > 0
    }

    fn has_responses(&self, count: usize) -> bool {
        self.checker.done_within(self.peer_read) >= count || self.sees_end()
    }

    fn sees_end(&self) -> bool {
        self.resets_on_close && self.closed || (self.shut || self.closed) && self.in_flight() == 0
    }

    /// When its script is done, a peer closes after the server did; some never do.
    fn close_after_server(&mut self) {
        let stays = matches!(
            self.peer.behaviour,
            Behaviour::NeverReader | Behaviour::Silent
        );
        if self.sees_end() && !stays {
            self.peer_closed = true;
            self.end_stream();
        }
    }

    fn end_stream(&mut self) {
        self.half_closed = true;
        self.transfer();
    }

    /// The connection is reset: what is on its way is lost in both directions.
    fn reset(&mut self) {
        self.reset = true;
        self.announce(true, true, true);
    }

    /// Sent bytes arrive, as far as the receive buffer has space.
    fn transfer(&mut self) {
        if self.closed && self.sent > self.arrived {
            // The server has closed its socket: the response to these bytes is a reset, which
            // discards what the peer has not read.
            self.lost |= self.in_flight() > 0;
            self.reset = true;
            return;
        }
        let buffer = self.received + self.receive_buffer;
        let arrived = self.sent.min(buffer);
        let has_more = arrived > self.arrived;
        self.arrived = arrived;
        let has_end = self.half_closed && self.arrived == self.sent;
        if has_end {
            self.announce(true, false, true);
        } else if has_more && self.seen_empty {
            self.announce(true, false, false);
        }
    }

    /// Announces readiness. What is hidden is announced by `reveal`.
    fn announce(&mut self, readable: bool, writable: bool, read_until_blocked: bool) {
        if self.token.is_none() || self.closed {
            return;
        }
        if readable && (!self.hides_input || read_until_blocked) {
            self.edge.readable = true;
            self.seen_empty = false;
        }
        if writable && !self.hides_space {
            self.edge.writable = true;
            self.seen_full = false;
        }
        self.edge.read_until_blocked |= read_until_blocked;
    }

    /// The server registers the socket. What is ready already is announced, too (epoll_ctl(2),
    /// kevent(2)).
    pub fn register(&mut self, token: usize) {
        self.token = Some(token);
        let read_until_blocked = self.reset || self.half_closed || !self.urgent_marks.is_empty();
        let has_space = self.seen_full && self.can_send();
        self.announce(
            self.can_receive() || read_until_blocked,
            has_space,
            read_until_blocked,
        );
    }

    /// Hidden input and hidden space become visible.
    pub fn reveal(&mut self) {
        if std::mem::take(&mut self.hides_input) && self.can_receive() {
            let has_end = self.reset || (self.half_closed && self.arrived == self.sent);
            self.announce(true, false, has_end);
        }
        if std::mem::take(&mut self.hides_space) && self.can_send() {
            self.announce(false, true, false);
        }
    }

    // The server's side.

    pub fn receive(&mut self, buffer: &mut [u8], result: CallResult) -> Result<usize, Errno> {
        if let CallResult::Error(error) = result {
            return Err(self.fail(error));
        }
        let next = self.urgent_marks.iter().find(|&&mark| mark > self.received);
        let until = next.map_or(self.arrived, |&mark| mark.min(self.arrived));
        let there = (until - self.received).min(buffer.len());
        if !self.can_receive() {
            self.seen_empty = true;
            return Err(Errno::WOULDBLOCK);
        }
        if result == CallResult::WouldBlock {
            self.hides_input = true;
            self.seen_empty = true;
            return Err(Errno::WOULDBLOCK);
        }
        if there == 0 && self.reset {
            return Err(Errno::CONNRESET);
        }
        let length = part_of(there, result);
        buffer[..length]
            .copy_from_slice(&self.request_bytes[self.received..self.received + length]);
        self.received += length;
        self.urgent_marks.retain(|&mark| mark > self.received);
        if length < there {
            // The rest arrives a little later.
            self.hides_input = true;
        }
        if length < buffer.len() && (self.hides_input || self.arrived == self.received) {
            self.seen_empty = true;
        }
        self.transfer();
        Ok(length)
    }

    /// How many of `length` bytes the socket accepts.
    pub fn space_for(&mut self, length: u64, result: CallResult) -> Result<u64, Errno> {
        if let CallResult::Error(error) = result {
            return Err(self.fail(error));
        }
        if self.reset {
            return Err(Errno::PIPE);
        }
        if self.can_send() && result == CallResult::WouldBlock {
            self.hides_space = true;
        }
        if !self.can_send() {
            self.seen_full = true;
            return Err(Errno::WOULDBLOCK);
        }
        let buffer = (self.send_buffer as u64 - self.in_flight()).min(length);
        Ok(part_of(buffer as usize, result) as u64)
    }

    /// Bytes were sent. If the peer has closed, it answers with a reset.
    pub fn has_sent(&mut self) {
        if self.peer_closed {
            self.reset();
        }
    }

    pub fn shut_down(&mut self, result: CallResult) -> Result<(), Errno> {
        if let CallResult::Error(error) = result {
            return Err(self.fail(error));
        }
        if self.reset {
            return Err(Errno::NOTCONN);
        }
        self.shut = true;
        Ok(())
    }

    /// The server closes its socket. If bytes are unread, the peer gets a reset and loses what it
    /// has not read.
    pub fn close(&mut self) {
        let is_there = self.can_receive() && self.arrived > self.received;
        self.knew_of_more = is_there && !self.edge.readable;
        self.closed = true;
        if self.resets_on_close || self.arrived > self.received || self.reset {
            self.lost |= self.in_flight() > 0;
        }
        self.transfer();
    }

    /// The server is about to close the socket. Without a reset and before a shutdown, this is the
    /// end of the stream, and perhaps of a body.
    ///
    /// # Errors
    /// The end is not valid here.
    pub fn ends_in_order(&mut self) -> Result<(), String> {
        match self.resets_on_close || self.shut || self.failed || self.reset {
            true => Ok(()),
            false => self.checker.shut(),
        }
    }

    fn fail(&mut self, error: Errno) -> Errno {
        if error != Errno::INTR {
            self.failed = true;
        }
        error
    }
}

/// The part of `bytes` that this result allows; at least one byte.
fn part_of(bytes: usize, result: CallResult) -> usize {
    match result {
        CallResult::OneByte => bytes.min(1),
        CallResult::Half => bytes.div_ceil(2),
        _ => bytes,
    }
}
