//! What is to happen: who connects, what he asks, how he behaves, what the kernel does to him.
//! A plan is drawn from a seed, printed when it fails, and made smaller by `shrink`.

use crate::asks::{Ask, FILES, Method};
use crate::chance::{Chance, mix};
use crate::faults::Faults;
use crate::site::{Files, ask::SiteAsk};
use oneloop::limits::Limits;
use std::ops::Range;
use std::time::Duration;

/// Microseconds since the simulation began.
pub type Micros = u64;

pub const MILLI: Micros = 1_000;
pub const SECOND: Micros = 1_000_000;

#[derive(Clone, Debug)]
pub struct Plan {
    pub peers: Vec<Peer>,
    pub faults: Faults,
    /// The poller under which it happens.
    pub poller: Poller,
    pub limits: Size,
    /// Connections the server may have open.
    pub connections: usize,
    /// Descriptors the process may have open.
    pub descriptors: usize,
    /// Bytes that wait in the kernel for the server, and for the peer, at most.
    pub receive_buffer: usize,
    pub send_buffer: usize,
    /// When the server is told to stop; once more for at once.
    pub stops: Vec<Micros>,
    /// Files that become shorter: which, when, and to how many bytes.
    pub shrinks: Vec<(usize, Micros, u64)>,
    /// When the server does not look at its sockets, for how long, and why.
    pub stalls: Vec<(Micros, Micros, Stall)>,
    /// BoundListener sockets.
    pub doors: usize,
    /// The kernel may hold connections back when the server is told to stop.
    pub holds_back: bool,
    /// The real site answers, from these files.
    pub site: Option<Files>,
}

/// Why the server does not look at its sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stall {
    /// It works: a slow disk, a slow handler.
    Works,
    /// It is stopped in the poll, which comes back interrupted (signal(7)).
    Stopped,
    /// It is not scheduled after the poll: the machine is busy, or was suspended.
    Late,
}

/// How readiness is announced. The same plan has the same outcome under each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poller {
    /// One event for each change from not ready to ready that the server has seen, and no more.
    Miser,
    /// Spurious events, doubled ones, and all hints in each.
    Generous,
    /// Reading and writing always in separate events, in any order.
    Kqueue,
    /// Also events for sockets that have been closed.
    Stale,
    /// One event in one poll.
    Tiny,
}

pub const POLLERS: [Poller; 5] = [
    Poller::Miser,
    Poller::Generous,
    Poller::Kqueue,
    Poller::Stale,
    Poller::Tiny,
];

/// The server's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// As they are.
    Usual,
    /// So small that each of them is met at every step.
    Small,
}

#[derive(Clone, Debug)]
pub struct Peer {
    pub connects: Micros,
    pub asks: Vec<Ask>,
    pub kind: Kind,
    /// What is drawn for this peer alone.
    pub seed: u64,
}

/// How a peer behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Asks, listens to the answer, asks again; closes in the end.
    Plain,
    /// Asks one thing every two seconds, as the clock strikes.
    Punctual,
    /// Asks everything at once.
    Pipelined,
    /// Sends a byte at a time, so often.
    Drip(Micros),
    /// Sends pieces of any length.
    Pieces,
    /// Takes so many bytes, so often.
    SlowReader(usize, Micros),
    /// Asks everything, closes its direction, and listens.
    HalfCloser,
    /// Asks everything and takes nothing, ever.
    NeverReader,
    /// Says what it has to say and stays, silently.
    Silent,
    /// Sends a byte so often, for ever, and never finishes its head.
    Slowloris(Micros),
    /// Resets the connection this long after it has said everything.
    Vanishes(Micros),
    /// Closes without listening.
    Leaves,
    /// Sends urgent data between its bytes.
    Urgent,
}

/// The body of a request that is too long to be dropped to its end.
pub const TOO_LONG: usize = 40_000;

/// One thing that a peer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Sends the next so many bytes of what it has to say.
    Say(usize),
    /// Sends the next byte as urgent data.
    Urge,
    Wait(Micros),
    /// Waits a second or two, until the clock strikes.
    Meet,
    /// Waits until it has taken so many whole replies, or the last one.
    Hear(usize),
    HalfClose,
    Reset,
    Close,
}

impl Peer {
    /// It keeps every rule, and takes its answers in time: it must get them all.
    pub fn is_good(&self) -> bool {
        let breaks = |ask: &Ask| match ask {
            Ask::Unfinished => true,
            Ask::Page { method, .. } => *method == Method::Post(TOO_LONG) || ask.reply().breaks,
            _ => false,
        };
        let is_kind = matches!(
            self.kind,
            Kind::Plain
                | Kind::Punctual
                | Kind::Pipelined
                | Kind::Drip(_)
                | Kind::Pieces
                | Kind::HalfCloser
                | Kind::Silent
                | Kind::Urgent
        );
        (is_kind || self.is_slow_but_steady()) && !self.asks.iter().any(breaks)
    }

    /// A slow reader, but faster than the least rate that the limits ask for.
    fn is_slow_but_steady(&self) -> bool {
        matches!(self.kind, Kind::SlowReader(bytes, every) if bytes as u64 * SECOND > 256 * every)
    }

    /// What it is sent does not depend on the moment at which it is left.
    fn is_steady(&self) -> bool {
        match self.kind {
            Kind::Vanishes(_) | Kind::Leaves => false,
            Kind::SlowReader(..) => self.is_slow_but_steady(),
            _ => true,
        }
    }

    /// How many bytes it takes at once, and how often; `None` if it never takes any.
    pub fn appetite(&self) -> Option<(usize, Micros)> {
        match self.kind {
            Kind::SlowReader(bytes, every) => Some((bytes, every)),
            Kind::NeverReader => None,
            _ => Some((usize::MAX, 0)),
        }
    }

    /// All it has to say, and where the server has each request.
    pub fn words(&self) -> (Vec<u8>, Vec<usize>) {
        let mut words = Vec::new();
        let mut ends = Vec::new();
        for ask in &self.asks {
            let (text, end) = ask.text();
            ends.push(words.len().saturating_add(end));
            words.extend_from_slice(&text);
        }
        (words, ends)
    }

    /// Requests that have something to be filled in: which, where it begins, and where that is.
    pub fn slots(&self) -> Vec<(usize, usize, Range<usize>)> {
        let mut begin = 0;
        let mut slots = Vec::new();
        for (nth, ask) in self.asks.iter().enumerate() {
            if let Some(slot) = SiteAsk::of(ask).and_then(|ask| ask.text().1) {
                slots.push((nth, begin, begin + slot.start..begin + slot.end));
            }
            begin += ask.text().0.len();
        }
        slots
    }

    /// What it does, one after the other. Then it waits for the server to close.
    pub fn script(&self) -> Vec<Act> {
        let mut chance = Chance::new(self.seed);
        let mut acts = Vec::new();
        let all = self.words().0.len();
        match self.kind {
            Kind::Plain => {
                for (index, ask) in self.asks.iter().enumerate() {
                    acts.push(Act::Say(ask.text().0.len()));
                    acts.push(Act::Hear(index + 1));
                    if chance.one_in(4) {
                        acts.push(Act::Wait(chance.below(300) as u64 * MILLI));
                    }
                }
                acts.push(Act::Close);
            }
            Kind::Pipelined | Kind::SlowReader(..) => {
                acts.extend([Act::Say(all), Act::Hear(self.asks.len()), Act::Close]);
            }
            Kind::NeverReader | Kind::Silent => acts.push(Act::Say(all)),
            Kind::Drip(every) => {
                acts.extend((0..all).flat_map(|_| [Act::Say(1), Act::Wait(every)]));
                acts.extend([Act::Hear(self.asks.len()), Act::Close]);
            }
            Kind::Punctual => {
                for (index, ask) in self.asks.iter().enumerate() {
                    acts.push(Act::Say(ask.text().0.len()));
                    acts.extend([Act::Hear(index + 1), Act::Meet]);
                }
                acts.push(Act::Close);
            }
            Kind::Slowloris(every) => {
                let slow = self.asks.last().map_or(0, |ask| ask.text().0.len());
                acts.push(Act::Say(all - slow));
                acts.extend((0..slow).flat_map(|_| [Act::Say(1), Act::Wait(every)]));
            }
            Kind::Pieces => {
                push_pieces(all, &mut chance, &mut acts);
                acts.extend([Act::Hear(self.asks.len()), Act::Close]);
            }
            Kind::Urgent => {
                push_pieces(all, &mut chance, &mut acts);
                acts.retain(|act| !matches!(act, Act::Wait(_)));
                for at in (0..acts.len()).rev() {
                    if chance.one_in(3) {
                        acts.insert(at, Act::Urge);
                    }
                }
                acts.extend([Act::Hear(self.asks.len()), Act::Close]);
            }
            Kind::HalfCloser => {
                push_pieces(all, &mut chance, &mut acts);
                acts.extend([Act::HalfClose, Act::Hear(self.asks.len()), Act::Close]);
            }
            Kind::Vanishes(after) => {
                let said = chance.between(0, all);
                acts.extend([Act::Say(said), Act::Wait(after), Act::Reset]);
            }
            Kind::Leaves => {
                let said = chance.between(0, all);
                push_pieces(said, &mut chance, &mut acts);
                acts.push(Act::Close);
            }
        }
        acts
    }
}

fn push_pieces(all: usize, chance: &mut Chance, acts: &mut Vec<Act>) {
    let mut left = all;
    while left > 0 {
        let most = chance.pick(&[1, 10, 100, 5000]);
        let length = chance.between(1, left.min(most));
        acts.push(Act::Say(length));
        left -= length;
        if chance.one_in(3) {
            acts.push(Act::Wait(chance.below(20) as u64 * MILLI));
        }
    }
}

impl Size {
    pub fn limits(self, connections: usize) -> Limits {
        let usual = Limits {
            connections,
            ..Limits::default()
        };
        match self {
            Self::Usual => usual,
            Self::Small => Limits {
                head: 300,
                request_line: 120,
                accepts_per_iteration: 2,
                expiries_per_iteration: 2,
                events: 16,
                read_per_iteration: 150,
                written_per_iteration: 100,
                requests_per_iteration: 2,
                write_coalescing_limit: 300,
                inline_body_limit: 200,
                header_timeout: Duration::from_secs(5),
                idle_timeout: Duration::from_secs(15),
                send_timeout: Duration::from_secs(8),
                linger_timeout: Duration::from_secs(3),
                listing_slice: 2,
                listing_bytes: 1_000_000,
                open_file_cache_entries: 2,
                open_file_cache_max_size: 2000,
                linger_bytes: TOO_LONG as u64 - 1000,
                grace: Duration::from_secs(4),
                ..usual
            },
        }
    }
}

impl Plan {
    /// A quiet world, to which tests add what they are about.
    pub fn quiet(peers: Vec<Peer>) -> Self {
        Self {
            peers,
            faults: Faults::none(),
            poller: Poller::Miser,
            limits: Size::Usual,
            connections: 1000,
            descriptors: 2000,
            receive_buffer: 64 * 1024,
            send_buffer: 128 * 1024,
            stops: Vec::new(),
            shrinks: Vec::new(),
            stalls: Vec::new(),
            doors: 1,
            holds_back: false,
            site: None,
        }
    }

    /// Nothing in it depends on when events come: the output is the same under every poller.
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

    /// What is drawn for one thing of this plan.
    pub fn draw(seed: u64, of: u64) -> Chance {
        Chance::new(mix(&[seed, of]))
    }
}
