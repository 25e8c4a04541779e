//! Which plan belongs to a seed? Each seed leaves whole kinds of trouble out, so that what one kind
//! hides another run shows (swarm testing, Groce et al., 2012).

use crate::asks::{Ask, FILE, FILES, Manner, Method, Page};
use crate::chance::{Chance, mix};
use crate::faults::{Faults, Share};
use crate::plan::{Kind, MILLI, Micros, POLLERS, Peer, Plan, SECOND, Size, Stall, TOO_LONG};

/// The kinds of trouble, each on or off for a whole run.
struct Moods {
    limits: Size,
    /// Files, streams and bodies that are larger than any buffer.
    large: bool,
    /// Buffers of a few bytes, and little to send: what takes many turns is all the same.
    narrow: bool,
    /// Requests that are none, and bodies that break off.
    bad: bool,
    /// Peers that break the rules, or vanish.
    rude: bool,
    /// More peers than there are places, who ask and connect in the same moments.
    rush: bool,
}

/// Peers of whom all but a few are idle.
const CROWD: u64 = 200;

/// The plan of a seed.
pub fn plan(seed: u64) -> Plan {
    let chance = &mut Chance::new(seed);
    let narrow = chance.one_in(4);
    let moods = Moods {
        // A long head, byte by byte, is long only beside small limits.
        limits: match narrow {
            true => Size::Small,
            false => chance.pick(&[Size::Usual, Size::Small]),
        },
        large: chance.one_in(2),
        narrow,
        bad: chance.one_in(2),
        rude: chance.one_in(2),
        rush: chance.one_in(6),
    };
    let count = match chance.one_in(40) {
        true => CROWD,
        false => chance.pick(&[1, 1, 2, 3, 5, 8, 20]),
    };
    let over = match moods.rush {
        true => 5 * SECOND,
        false => chance.pick(&[10 * MILLI, SECOND, 30 * SECOND]),
    };
    let mut peers: Vec<Peer> = (0..count)
        .map(|id| peer(mix(&[seed, id]), over, &moods))
        .collect();
    for idle in peers.iter_mut().skip(20) {
        idle.kind = Kind::Silent;
        idle.asks.clear();
    }
    let buffers = [1, 7, 100, 4096, 65_536, 262_144];
    let receive_buffers = match moods.narrow {
        true => &buffers[..2],
        false => &buffers[2..],
    };
    let send_buffers = match (moods.narrow, moods.large) {
        (true, _) => &buffers[..2],
        (false, true) => &buffers[3..],
        (false, false) => &buffers[2..],
    };
    Plan {
        faults: faults(chance),
        poller: chance.pick(&POLLERS),
        limits: moods.limits,
        connections: match moods.rush {
            true => peers.len().div_ceil(2),
            false => tight(chance, peers.len()),
        },
        descriptors: tight(chance, peers.len()),
        receive_buffer: chance.pick(receive_buffers),
        send_buffer: chance.pick(send_buffers),
        stops: stops(chance, over, &peers),
        shrinks: shrinks(chance, over),
        stalls: stalls(&mut Chance::new(mix(&[seed, 0x57a1])), over, moods.narrow),
        doors: Chance::new(mix(&[seed, 0xd002])).pick(&[1, 2, 3]),
        holds_back: Chance::new(mix(&[seed, 0xde7e])).one_in(2),
        site: None,
        peers,
    }
}

fn faults(chance: &mut Chance) -> Faults {
    let seed = chance.next();
    let often = |chance: &mut Chance, shares: &[u16]| match chance.one_in(2) {
        true => 0,
        false => chance.pick(shares),
    };
    Faults::Drawn {
        seed,
        share: Share {
            one: often(chance, &[20, 200]),
            half: often(chance, &[20, 200]),
            later: often(chance, &[20, 200, 400]),
            fails: match chance.one_in(3) {
                true => chance.pick(&[1, 10, 50]),
                false => 0,
            },
            door_fails: often(chance, &[10, 300]),
            register_fails: match chance.one_in(6) {
                true => 100,
                false => 0,
            },
        },
    }
}

/// A limit that is mostly beyond what is needed, and sometimes well within.
fn tight(chance: &mut Chance, needed: usize) -> usize {
    match chance.one_in(4) {
        true => chance.between(1, needed),
        false => 10 * needed,
    }
}

/// Half of the times are those at which somebody connects.
fn stops(chance: &mut Chance, over: Micros, peers: &[Peer]) -> Vec<Micros> {
    let mut at = || match chance.one_in(2) {
        true => chance.pick(peers).connects,
        false => chance.below(2 * over as usize) as Micros,
    };
    let both = vec![at(), at()];
    match chance.below(8) {
        0 => both[..1].to_vec(),
        1 => both,
        _ => Vec::new(),
    }
}

fn shrinks(chance: &mut Chance, over: Micros) -> Vec<(usize, Micros, u64)> {
    match chance.one_in(6) {
        true => vec![(
            chance.below(FILES),
            chance.below(2 * over as usize) as Micros,
            chance.pick(&[0, 5000, FILE / 2]),
        )],
        false => Vec::new(),
    }
}

/// Shorter and longer than every timeout.
fn stalls(chance: &mut Chance, over: Micros, narrow: bool) -> Vec<(Micros, Micros, Stall)> {
    let count = match narrow {
        // What needs many looks at a socket is late when each of them takes a moment.
        true => chance.pick(&[0, 1]),
        false => chance.pick(&[0, 1, 2, 5]),
    };
    let mut stalls: Vec<_> = (0..count)
        .map(|_| {
            let at = chance.below(3 * over as usize) as Micros;
            let length = chance.pick(&[50 * MILLI, 3 * SECOND, 9 * SECOND, 30 * SECOND]);
            let why = chance.pick(&[Stall::Works, Stall::Late, Stall::Stopped, Stall::Stopped]);
            (at, length, why)
        })
        .collect();
    stalls.sort_by_key(|(at, ..)| *at);
    stalls
}

fn peer(seed: u64, over: Micros, moods: &Moods) -> Peer {
    let chance = &mut Chance::new(seed);
    let kind = kind(chance, moods);
    let most = match kind {
        // It is to be in time with its heads, a byte after the other.
        Kind::Drip(_) | Kind::Slowloris(_) => 2,
        Kind::SlowReader(..) => 3,
        _ => chance.pick(&[1, 3, 12]),
    };
    let count = chance.between(0, most);
    let mut asks: Vec<Ask> = (0..count).map(|_| ask(chance, moods)).collect();
    if moods.bad && chance.one_in(3) {
        let limits = moods.limits;
        asks.push(chance.pick(&[
            Ask::Garbage,
            Ask::Unfinished,
            Ask::LongLine(longest_line(limits) + 2),
            Ask::LongHead(longest_head(limits) + 1),
        ]));
    }
    if matches!(kind, Kind::Slowloris(_)) {
        asks.push(Ask::Unfinished);
    }
    if matches!(kind, Kind::Drip(_)) {
        // A long head, or a body, a byte at a time would be late.
        asks.retain(|ask| ask.text().0.len() < 150);
    }
    let mut connects = chance.below(over as usize) as Micros;
    if over > SECOND && (moods.rush || chance.one_in(3)) {
        // When others ask who have been waiting for the clock to strike.
        connects = connects.next_multiple_of(SECOND);
    }
    Peer {
        connects,
        asks,
        kind,
        seed: chance.next(),
    }
}

fn kind(chance: &mut Chance, moods: &Moods) -> Kind {
    let good = [
        Kind::Plain,
        Kind::Punctual,
        Kind::Pipelined,
        Kind::Drip(chance.below(20) as Micros * MILLI),
        Kind::Pieces,
        // Fast enough for the least rate that the limits ask for.
        match moods.large {
            true => Kind::SlowReader(chance.between(1000, 30_000), 5 * MILLI),
            false => Kind::SlowReader(chance.between(1, 300), 2 * MILLI),
        },
        // For longer than the timeout of a response, and hardly faster than it has to be.
        match (moods.large && !moods.narrow, moods.limits) {
            (true, Size::Usual) => Kind::SlowReader(chance.between(20_000, 30_000), 5 * MILLI),
            (true, Size::Small) => Kind::SlowReader(2000, SECOND),
            (false, _) => Kind::SlowReader(1, MILLI),
        },
        Kind::HalfCloser,
        Kind::Silent,
        Kind::Urgent,
    ];
    let rude = [
        Kind::NeverReader,
        Kind::SlowReader(chance.between(1, 100), SECOND),
        Kind::Slowloris(chance.between(1, 900) as Micros * MILLI),
        Kind::Vanishes(chance.pick(&[0, MILLI, 2 * SECOND])),
        Kind::Leaves,
    ];
    if moods.rush && chance.one_in(2) {
        return Kind::Punctual;
    }
    match moods.rude && chance.one_in(2) {
        true => chance.pick(&rude),
        false => chance.pick(&good),
    }
}

fn ask(chance: &mut Chance, moods: &Moods) -> Ask {
    let method = match chance.below(10) {
        0 => Method::Head,
        1 if moods.rude => Method::Post(chance.pick(&[0, 1, 500, TOO_LONG])),
        1 => Method::Post(chance.pick(&[0, 1, 500, 2000])),
        _ => Method::Get,
    };
    let manner = match chance.below(12) {
        0 => Manner::NewClose,
        1 => Manner::Old,
        2 => Manner::OldKeep,
        _ => Manner::New,
    };
    Ask::Page {
        method,
        manner,
        page: page(chance, moods),
    }
}

fn page(chance: &mut Chance, moods: &Moods) -> Page {
    let file = chance.below(FILES);
    let slices = chance.between(1, 8);
    let (sizes, lengths) = match moods.narrow {
        true => ([1, 2, 10, 40], [0, 1, 10, 100, 150]),
        false => ([1, 40, 1000, 5000], [0, 1, 150, 5000, 16_000]),
    };
    let size = chance.pick(&sizes);
    match chance.below(10) {
        0..=3 => Page::Bytes(chance.pick(&lengths)),
        4..=6 => {
            let most = match (moods.narrow, moods.large, moods.limits) {
                (true, ..) => 300,
                (_, true, Size::Usual) => FILE,
                // Through small budgets a large file takes many turns, too.
                (_, true, Size::Small) => 20_000,
                (_, false, _) => 3000,
            };
            let length = chance.below(most as usize + 1) as u64;
            Page::File {
                file,
                offset: chance.below((FILE - length) as usize + 1) as u64,
                length,
            }
        }
        7 if !moods.narrow => Page::Parts { file },
        8 if moods.bad => Page::Broken { slices, size },
        _ => Page::Stream { slices, size },
    }
}

fn longest_line(size: Size) -> usize {
    size.limits(1).request_line
}

fn longest_head(size: Size) -> usize {
    size.limits(1).head
}
