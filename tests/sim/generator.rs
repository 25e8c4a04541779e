//! Generates the scenario of a seed. Each seed switches whole features off, so that one does not
//! hide another (swarm testing, Groce et al., 2012).

use crate::faults::{Faults, Rates};
use crate::random::{Random, mix};
use crate::requests::{FILE, FILES, Method, Page, Persistence, SimRequest};
use crate::scenario::{
    Behaviour, LimitSet, MILLI, Micros, POLLERS, Peer, SECOND, Scenario, Stall, TOO_LONG,
};

/// Features that are on or off for a whole run.
struct Features {
    limits: LimitSet,
    /// Files, streams and bodies larger than any buffer.
    large: bool,
    /// Buffers of a few bytes, and short bodies: both take many iterations.
    small_buffers: bool,
    /// Invalid requests, and streams that fail.
    bad: bool,
    /// Peers that break the protocol or close early.
    bad_peers: bool,
    /// More peers than the limit on connections, which connect and send at the same moments.
    over_capacity: bool,
}

/// The number of peers in a scenario with many idle ones.
const MOST_PEERS: u64 = 200;

/// The scenario of a seed.
pub fn scenario(seed: u64) -> Scenario {
    let random = &mut Random::new(seed);
    let small_buffers = random.one_in(4);
    let features = Features {
        // Only small limits make a head long that arrives byte by byte.
        limits: match small_buffers {
            true => LimitSet::Small,
            false => random.pick(&[LimitSet::Default, LimitSet::Small]),
        },
        large: random.one_in(2),
        small_buffers,
        bad: random.one_in(2),
        bad_peers: random.one_in(2),
        over_capacity: random.one_in(6),
    };
    let count = match random.one_in(40) {
        true => MOST_PEERS,
        false => random.pick(&[1, 1, 2, 3, 5, 8, 20]),
    };
    let over = match features.over_capacity {
        true => 5 * SECOND,
        false => random.pick(&[10 * MILLI, SECOND, 30 * SECOND]),
    };
    let mut peers: Vec<Peer> = (0..count)
        .map(|id| peer(mix(&[seed, id]), over, &features))
        .collect();
    for idle in peers.iter_mut().skip(20) {
        idle.behaviour = Behaviour::Silent;
        idle.requests.clear();
    }
    let buffers = [1, 7, 100, 4096, 65_536, 262_144];
    let receive_buffers = match features.small_buffers {
        true => &buffers[..2],
        false => &buffers[2..],
    };
    let send_buffers = match (features.small_buffers, features.large) {
        (true, _) => &buffers[..2],
        (false, true) => &buffers[3..],
        (false, false) => &buffers[2..],
    };
    Scenario {
        faults: faults(random),
        poller: random.pick(&POLLERS),
        limits: features.limits,
        connections: match features.over_capacity {
            true => peers.len().div_ceil(2),
            false => tight(random, peers.len()),
        },
        descriptors: tight(random, peers.len()),
        receive_buffer: random.pick(receive_buffers),
        send_buffer: random.pick(send_buffers),
        stops: stops(random, over, &peers),
        shrinks: shrinks(random, over),
        stalls: stalls(
            &mut Random::new(mix(&[seed, 0x57a1])),
            over,
            features.small_buffers,
        ),
        listeners: Random::new(mix(&[seed, 0xd002])).pick(&[1, 2, 3]),
        defers_accept: Random::new(mix(&[seed, 0xde7e])).one_in(2),
        work: None,
        site: None,
        peers,
    }
}

fn faults(random: &mut Random) -> Faults {
    let seed = random.next();
    let often = |random: &mut Random, shares: &[u16]| match random.one_in(2) {
        true => 0,
        false => random.pick(shares),
    };
    Faults::Drawn {
        seed,
        rates: Rates {
            one: often(random, &[20, 200]),
            half: often(random, &[20, 200]),
            later: often(random, &[20, 200, 400]),
            fails: match random.one_in(3) {
                true => random.pick(&[1, 10, 50]),
                false => 0,
            },
            accept_fails: often(random, &[10, 300]),
            register_fails: match random.one_in(6) {
                true => 100,
                false => 0,
            },
        },
    }
}

/// A limit: mostly far above what is needed, sometimes below.
fn tight(random: &mut Random, needed: usize) -> usize {
    match random.one_in(4) {
        true => random.between(1, needed),
        false => 10 * needed,
    }
}

/// Half of the times are those at which a peer connects.
fn stops(random: &mut Random, over: Micros, peers: &[Peer]) -> Vec<Micros> {
    let mut at = || match random.one_in(2) {
        true => random.pick(peers).connects,
        false => random.below(2 * over as usize) as Micros,
    };
    let both = vec![at(), at()];
    match random.below(8) {
        0 => both[..1].to_vec(),
        1 => both,
        _ => Vec::new(),
    }
}

fn shrinks(random: &mut Random, over: Micros) -> Vec<(usize, Micros, u64)> {
    match random.one_in(6) {
        true => vec![(
            random.below(FILES),
            random.below(2 * over as usize) as Micros,
            random.pick(&[0, 5000, FILE / 2]),
        )],
        false => Vec::new(),
    }
}

/// The lengths are shorter and longer than the timeouts.
fn stalls(random: &mut Random, over: Micros, small_buffers: bool) -> Vec<(Micros, Micros, Stall)> {
    let count = match small_buffers {
        // With small buffers a transfer takes many iterations; several stalls would make it late.
        true => random.pick(&[0, 1]),
        false => random.pick(&[0, 1, 2, 5]),
    };
    let mut stalls: Vec<_> = (0..count)
        .map(|_| {
            let at = random.below(3 * over as usize) as Micros;
            let length = random.pick(&[50 * MILLI, 3 * SECOND, 9 * SECOND, 30 * SECOND]);
            let why = random.pick(&[Stall::Busy, Stall::Late, Stall::Stopped, Stall::Stopped]);
            (at, length, why)
        })
        .collect();
    stalls.sort_by_key(|(at, ..)| *at);
    stalls
}

fn peer(seed: u64, over: Micros, features: &Features) -> Peer {
    let random = &mut Random::new(seed);
    let behaviour = behaviour(random, features);
    let most = match behaviour {
        // Its heads must arrive in time, byte by byte.
        Behaviour::ByteByByte(_) | Behaviour::Slowloris(_) => 2,
        Behaviour::SlowReader(..) => 3,
        _ => random.pick(&[1, 3, 12]),
    };
    let count = random.between(0, most);
    let mut requests: Vec<SimRequest> = (0..count).map(|_| request(random, features)).collect();
    if features.bad && random.one_in(3) {
        let limits = features.limits;
        requests.push(random.pick(&[
            SimRequest::Garbage,
            SimRequest::Unfinished,
            SimRequest::LongLine(longest_line(limits) + 2),
            SimRequest::LongHead(longest_head(limits) + 1),
        ]));
    }
    if matches!(behaviour, Behaviour::Slowloris(_)) {
        requests.push(SimRequest::Unfinished);
    }
    if matches!(behaviour, Behaviour::ByteByByte(_)) {
        // A long head or body would be late, byte by byte.
        requests.retain(|request| request.text().0.len() < 150);
    }
    let mut connects = random.below(over as usize) as Micros;
    if over > SECOND && (features.over_capacity || random.one_in(3)) {
        // At a full second, when the `Punctual` peers send.
        connects = connects.next_multiple_of(SECOND);
    }
    Peer {
        connects,
        requests,
        behaviour,
        seed: random.next(),
    }
}

fn behaviour(random: &mut Random, features: &Features) -> Behaviour {
    let good = [
        Behaviour::Plain,
        Behaviour::Punctual,
        Behaviour::Pipelined,
        Behaviour::ByteByByte(random.below(20) as Micros * MILLI),
        Behaviour::Pieces,
        // Faster than the minimum rate.
        match features.large {
            true => Behaviour::SlowReader(random.between(1000, 30_000), 5 * MILLI),
            false => Behaviour::SlowReader(random.between(1, 300), 2 * MILLI),
        },
        // Longer than the send timeout, and hardly faster than the minimum rate.
        match (features.large && !features.small_buffers, features.limits) {
            (true, LimitSet::Default) => {
                Behaviour::SlowReader(random.between(20_000, 30_000), 5 * MILLI)
            }
            (true, LimitSet::Small) => Behaviour::SlowReader(2000, SECOND),
            (false, _) => Behaviour::SlowReader(1, MILLI),
        },
        Behaviour::HalfCloser,
        Behaviour::Silent,
        Behaviour::Urgent,
    ];
    let bad_peers = [
        Behaviour::NeverReader,
        Behaviour::SlowReader(random.between(1, 100), SECOND),
        Behaviour::Slowloris(random.between(1, 900) as Micros * MILLI),
        Behaviour::Resets(random.pick(&[0, MILLI, 2 * SECOND])),
        Behaviour::ClosesEarly,
    ];
    if features.over_capacity && random.one_in(2) {
        return Behaviour::Punctual;
    }
    match features.bad_peers && random.one_in(2) {
        true => random.pick(&bad_peers),
        false => random.pick(&good),
    }
}

fn request(random: &mut Random, features: &Features) -> SimRequest {
    let method = match random.below(10) {
        0 => Method::Head,
        1 if features.bad_peers => Method::Post(random.pick(&[0, 1, 500, TOO_LONG])),
        1 => Method::Post(random.pick(&[0, 1, 500, 2000])),
        _ => Method::Get,
    };
    let persistence = match random.below(12) {
        0 => Persistence::Http11Close,
        1 => Persistence::Http10,
        2 => Persistence::Http10KeepAlive,
        _ => Persistence::Http11,
    };
    SimRequest::Page {
        method,
        persistence,
        page: page(random, features),
    }
}

fn page(random: &mut Random, features: &Features) -> Page {
    let file = random.below(FILES);
    let slices = random.between(1, 8);
    let (sizes, lengths) = match features.small_buffers {
        true => ([1, 2, 10, 40], [0, 1, 10, 100, 150]),
        false => ([1, 40, 1000, 5000], [0, 1, 150, 5000, 16_000]),
    };
    let size = random.pick(&sizes);
    match random.below(10) {
        0..=3 => Page::Bytes(random.pick(&lengths)),
        4..=6 => {
            let most = match (features.small_buffers, features.large, features.limits) {
                (true, ..) => 300,
                (_, true, LimitSet::Default) => FILE,
                // With small budgets a large file takes many iterations, too.
                (_, true, LimitSet::Small) => 20_000,
                (_, false, _) => 3000,
            };
            let length = random.below(most as usize + 1) as u64;
            Page::File {
                file,
                offset: random.below((FILE - length) as usize + 1) as u64,
                length,
            }
        }
        7 if !features.small_buffers => Page::Parts { file },
        8 if features.bad => Page::Broken { slices, size },
        _ => Page::Stream { slices, size },
    }
}

fn longest_line(size: LimitSet) -> usize {
    size.limits(1).max_request_line_bytes
}

fn longest_head(size: LimitSet) -> usize {
    size.limits(1).max_head_bytes
}
