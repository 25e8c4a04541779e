//! A scenario: which peers connect and what they send, how they behave, what the kernel does. It is
//! generated from a seed, printed when a rule is broken, and reduced by `shrink`.

use crate::faults::Faults;
use crate::random::{Random, mix};
use crate::requests::{FILES, Method, SimRequest};
use crate::site::{Files, request::SiteRequest};
use oneloop::limits::Limits;
use std::ops::Range;
use std::time::Duration;

/// Microseconds since the simulation began.
pub type Micros = u64;

pub const MILLI: Micros = 1_000;
pub const SECOND: Micros = 1_000_000;

#[derive(Clone, Debug)]
pub struct Scenario {
    pub peers: Vec<Peer>,
    pub faults: Faults,
    /// How readiness is announced.
    pub poller: Poller,
    pub limits: LimitSet,
    /// The limit on open connections.
    pub connections: usize,
    /// The limit on open descriptors.
    pub descriptors: usize,
    /// The sizes of the kernel's buffers, in bytes.
    pub receive_buffer: usize,
    pub send_buffer: usize,
    /// When the server gets the signal to stop; the second signal stops it at once.
    pub stops: Vec<Micros>,
    /// Files that are truncated: file, time, new length.
    pub shrinks: Vec<(usize, Micros, u64)>,
    /// Stalls: time, length, kind.
    pub stalls: Vec<(Micros, Micros, Stall)>,
    /// Listening sockets.
    pub listeners: usize,
    /// The kernel may hold connections back when the server begins to stop (TCP_DEFER_ACCEPT).
    pub defers_accept: bool,
    /// How long the handler works on a request, in another thread, before it is ready to answer;
    /// `None`: it is always ready.
    pub work: Option<Micros>,
    /// The files of the real site; without them the small handler responds.
    pub site: Option<Files>,
}

/// Why the server does not look at its sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stall {
    /// A slow disk or a slow handler.
    Busy,
    /// The process is stopped in the poll, which returns interrupted (signal(7)).
    Stopped,
    /// The process is not scheduled after the poll: the machine is busy, or was suspended.
    Late,
}

/// How readiness is announced. The same scenario has the same output under each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poller {
    /// One event for each change from not ready to ready after a "would block", and no other.
    Minimal,
    /// Also events without a reason; each event twice, with all flags.
    Spurious,
    /// Reading and writing in separate events, in any order.
    Kqueue,
    /// Also events for sockets that were closed.
    Stale,
    /// One event per poll.
    OneAtATime,
}

pub const POLLERS: [Poller; 5] = [
    Poller::Minimal,
    Poller::Spurious,
    Poller::Kqueue,
    Poller::Stale,
    Poller::OneAtATime,
];

/// The limits of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitSet {
    /// The default ones.
    Default,
    /// Small ones, which are reached all the time.
    Small,
}

#[derive(Clone, Debug)]
pub struct Peer {
    pub connects: Micros,
    pub requests: Vec<SimRequest>,
    pub behaviour: Behaviour,
    /// The seed of its random numbers.
    pub seed: u64,
}

/// How a peer behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Sends a request, reads the response, sends the next; closes at the end.
    Plain,
    /// Like `Plain`, but sends each request at a full second: many peers at the same moment.
    Punctual,
    /// Sends all requests at once.
    Pipelined,
    /// Sends one byte per interval.
    ByteByByte(Micros),
    /// Sends pieces of any length.
    Pieces,
    /// Reads this many bytes per interval.
    SlowReader(usize, Micros),
    /// Sends all requests, closes its direction, and reads.
    HalfCloser,
    /// Sends all requests and never reads.
    NeverReader,
    /// Sends all requests, reads, and never closes.
    Silent,
    /// Sends one byte of a head per interval, and never finishes it.
    Slowloris(Micros),
    /// Resets the connection this long after it has sent a part of its requests.
    Resets(Micros),
    /// Closes without reading.
    ClosesEarly,
    /// Sends urgent data between its bytes.
    Urgent,
}

/// A request body that is longer than the server discards.
pub const TOO_LONG: usize = 40_000;

/// One action of a peer's script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerAction {
    /// Sends the next bytes.
    Send(usize),
    /// Sends the next byte as urgent data.
    SendUrgent,
    Wait(Micros),
    /// Waits until the full second after the next.
    WaitForSecond,
    /// Waits until it has read this many complete responses, or the last one.
    AwaitResponses(usize),
    HalfClose,
    Reset,
    Close,
}

impl Peer {
    /// It follows the protocol and reads in time: it must get all responses.
    pub fn is_good(&self) -> bool {
        let breaks = |request: &SimRequest| match request {
            SimRequest::Unfinished => true,
            SimRequest::Page { method, .. } => {
                *method == Method::Post(TOO_LONG) || request.response().breaks
            }
            _ => false,
        };
        let is_kind = matches!(
            self.behaviour,
            Behaviour::Plain
                | Behaviour::Punctual
                | Behaviour::Pipelined
                | Behaviour::ByteByByte(_)
                | Behaviour::Pieces
                | Behaviour::HalfCloser
                | Behaviour::Silent
                | Behaviour::Urgent
        );
        (is_kind || self.is_slow_but_steady()) && !self.requests.iter().any(breaks)
    }

    /// It reads slowly, but faster than the minimum rate.
    fn is_slow_but_steady(&self) -> bool {
        matches!(self.behaviour, Behaviour::SlowReader(bytes, every) if bytes as u64 * SECOND > 256 * every)
    }

    /// What it is sent does not depend on when it closes.
    fn is_steady(&self) -> bool {
        match self.behaviour {
            Behaviour::Resets(_) | Behaviour::ClosesEarly => false,
            Behaviour::SlowReader(..) => self.is_slow_but_steady(),
            _ => true,
        }
    }

    /// How many bytes it reads at once, and how often; `None` if it never reads.
    pub fn read_rate(&self) -> Option<(usize, Micros)> {
        match self.behaviour {
            Behaviour::SlowReader(bytes, every) => Some((bytes, every)),
            Behaviour::NeverReader => None,
            _ => Some((usize::MAX, 0)),
        }
    }

    /// The bytes of all its requests, and where each is complete for the server.
    pub fn request_bytes(&self) -> (Vec<u8>, Vec<usize>) {
        let mut request_bytes = Vec::new();
        let mut ends = Vec::new();
        for request in &self.requests {
            let (text, end) = request.text();
            ends.push(request_bytes.len().saturating_add(end));
            request_bytes.extend_from_slice(&text);
        }
        (request_bytes, ends)
    }

    /// Requests with a placeholder: index, begin, and the range of the placeholder.
    pub fn slots(&self) -> Vec<(usize, usize, Range<usize>)> {
        let mut begin = 0;
        let mut slots = Vec::new();
        for (nth, request) in self.requests.iter().enumerate() {
            if let Some(slot) = SiteRequest::of(request).and_then(|request| request.text().1) {
                slots.push((nth, begin, begin + slot.start..begin + slot.end));
            }
            begin += request.text().0.len();
        }
        slots
    }

    /// Its actions, in order. After them it waits for the server to close.
    pub fn script(&self) -> Vec<PeerAction> {
        let mut random = Random::new(self.seed);
        let mut script = Vec::new();
        let all = self.request_bytes().0.len();
        match self.behaviour {
            Behaviour::Plain => {
                for (index, request) in self.requests.iter().enumerate() {
                    script.push(PeerAction::Send(request.text().0.len()));
                    script.push(PeerAction::AwaitResponses(index + 1));
                    if random.one_in(4) {
                        script.push(PeerAction::Wait(random.below(300) as u64 * MILLI));
                    }
                }
                script.push(PeerAction::Close);
            }
            Behaviour::Pipelined | Behaviour::SlowReader(..) => {
                script.extend([
                    PeerAction::Send(all),
                    PeerAction::AwaitResponses(self.requests.len()),
                    PeerAction::Close,
                ]);
            }
            Behaviour::NeverReader | Behaviour::Silent => script.push(PeerAction::Send(all)),
            Behaviour::ByteByByte(every) => {
                script
                    .extend((0..all).flat_map(|_| [PeerAction::Send(1), PeerAction::Wait(every)]));
                script.extend([
                    PeerAction::AwaitResponses(self.requests.len()),
                    PeerAction::Close,
                ]);
            }
            Behaviour::Punctual => {
                for (index, request) in self.requests.iter().enumerate() {
                    script.push(PeerAction::Send(request.text().0.len()));
                    script.extend([
                        PeerAction::AwaitResponses(index + 1),
                        PeerAction::WaitForSecond,
                    ]);
                }
                script.push(PeerAction::Close);
            }
            Behaviour::Slowloris(every) => {
                let slow = self
                    .requests
                    .last()
                    .map_or(0, |request| request.text().0.len());
                script.push(PeerAction::Send(all - slow));
                script
                    .extend((0..slow).flat_map(|_| [PeerAction::Send(1), PeerAction::Wait(every)]));
            }
            Behaviour::Pieces => {
                push_pieces(all, &mut random, &mut script);
                script.extend([
                    PeerAction::AwaitResponses(self.requests.len()),
                    PeerAction::Close,
                ]);
            }
            Behaviour::Urgent => {
                push_pieces(all, &mut random, &mut script);
                script.retain(|action| !matches!(action, PeerAction::Wait(_)));
                for at in (0..script.len()).rev() {
                    if random.one_in(3) {
                        script.insert(at, PeerAction::SendUrgent);
                    }
                }
                script.extend([
                    PeerAction::AwaitResponses(self.requests.len()),
                    PeerAction::Close,
                ]);
            }
            Behaviour::HalfCloser => {
                push_pieces(all, &mut random, &mut script);
                script.extend([
                    PeerAction::HalfClose,
                    PeerAction::AwaitResponses(self.requests.len()),
                    PeerAction::Close,
                ]);
            }
            Behaviour::Resets(after) => {
                let sent = random.between(0, all);
                script.extend([
                    PeerAction::Send(sent),
                    PeerAction::Wait(after),
                    PeerAction::Reset,
                ]);
            }
            Behaviour::ClosesEarly => {
                let sent = random.between(0, all);
                push_pieces(sent, &mut random, &mut script);
                script.push(PeerAction::Close);
            }
        }
        script
    }
}

fn push_pieces(all: usize, random: &mut Random, script: &mut Vec<PeerAction>) {
    let mut left = all;
    while left > 0 {
        let most = random.pick(&[1, 10, 100, 5000]);
        let length = random.between(1, left.min(most));
        script.push(PeerAction::Send(length));
        left -= length;
        if random.one_in(3) {
            script.push(PeerAction::Wait(random.below(20) as u64 * MILLI));
        }
    }
}

impl LimitSet {
    pub fn limits(self, connections: usize) -> Limits {
        let usual = Limits {
            max_connections: connections,
            ..Limits::default()
        };
        match self {
            Self::Default => usual,
            Self::Small => Limits {
                max_head_bytes: 300,
                max_request_line_bytes: 120,
                accepts_per_iteration: 2,
                expiries_per_iteration: 2,
                events_per_poll: 16,
                read_bytes_per_iteration: 150,
                written_bytes_per_iteration: 100,
                requests_per_iteration: 2,
                max_coalesced_bytes: 300,
                max_inline_body_bytes: 200,
                header_timeout: Duration::from_secs(5),
                idle_timeout: Duration::from_secs(15),
                send_timeout: Duration::from_secs(8),
                linger_timeout: Duration::from_secs(3),
                listing_slice_entries: 2,
                max_listing_bytes: 1_000_000,
                max_open_file_cache_entries: 2,
                max_open_file_cache_file_bytes: 2000,
                max_linger_bytes: TOO_LONG as u64 - 1000,
                grace_period: Duration::from_secs(4),
                ..usual
            },
        }
    }
}

impl Scenario {
    /// A scenario without faults. Tests change what they need.
    pub fn quiet(peers: Vec<Peer>) -> Self {
        Self {
            peers,
            faults: Faults::none(),
            poller: Poller::Minimal,
            limits: LimitSet::Default,
            connections: 1000,
            descriptors: 2000,
            receive_buffer: 64 * 1024,
            send_buffer: 128 * 1024,
            stops: Vec::new(),
            shrinks: Vec::new(),
            stalls: Vec::new(),
            listeners: 1,
            defers_accept: false,
            work: None,
            site: None,
        }
    }

    /// Nothing in it depends on the time of events: the output is the same under every poller.
    pub fn is_calm(&self) -> bool {
        self.site.is_none()
            && self.stops.is_empty()
            && self.shrinks.is_empty()
            && self.stalls.is_empty()
            && !self.faults.may_fail()
            && self.connections >= self.peers.len()
            && self.descriptors >= self.peers.len() + FILES
            && self.peers.iter().all(Peer::is_steady)
    }

    /// A random source for one object of this scenario.
    pub fn draw(seed: u64, object: u64) -> Random {
        Random::new(mix(&[seed, object]))
    }
}
