//! Generates the scenario of a seed with the real site: that of `crate::generator` with other
//! requests and with changing files.

use super::file_change::{Age, FileChange, To};
use super::request::{Condition, POPULAR, RANGES, SiteRequest, TARGETS};
use super::tree::{DIRECTORIES, NAMES};
use super::{Files, When};
use crate::generator;
use crate::random::{Random, mix};
use crate::requests::{Method, Persistence, SimRequest};
use crate::scenario::{Behaviour, LimitSet, MILLI, Micros, Peer, SECOND, Scenario};
use std::time::Duration;

/// The scenario of a seed.
pub fn scenario(seed: u64) -> Scenario {
    let mut scenario = generator::scenario(seed);
    let random = &mut Random::new(mix(&[seed, 0x517e]));
    scenario.shrinks.clear();
    // These runs are not about the network and not about many peers.
    scenario.peers.truncate(20);
    scenario.receive_buffer = scenario.receive_buffer.max(100);
    scenario.send_buffer = scenario.send_buffer.max(100);
    // Few targets, so that each is requested several times.
    let popular: Vec<_> = (0..3).map(|_| random.pick(&POPULAR)).collect();
    // Over some seconds, so that timestamps become old enough; or all at once, so that one
    // iteration makes many responses.
    let spread = random.pick(&[None, Some(5 * SECOND as usize), Some(1)]);
    for peer in &mut scenario.peers {
        if let Some(spread) = spread {
            peer.connects = random.below(spread) as Micros;
        }
        if matches!(peer.behaviour, Behaviour::ByteByByte(_)) && !random.one_in(4) {
            peer.behaviour = Behaviour::Plain;
        }
        peer.requests
            .retain(|request| !matches!(request, SimRequest::Page { .. }));
        let most = match peer.behaviour {
            Behaviour::ByteByByte(_) | Behaviour::Slowloris(_) | Behaviour::SlowReader(..) => 2,
            _ => 12,
        };
        for _ in 0..random.between(1, most) {
            peer.requests
                .insert(0, SimRequest::Site(draw(random, &popular)));
        }
    }
    scenario.site = Some(files(random, &scenario, &popular));
    scenario
}

fn draw(random: &mut Random, popular: &[&'static str]) -> SiteRequest {
    let sometimes = |random: &mut Random| random.one_in(3);
    let condition = random.pick(&[
        Condition::NoneMatch,
        Condition::NoneMatch,
        Condition::Match,
        Condition::ModifiedSince,
        Condition::RangeTag,
        Condition::RangeDate,
    ]);
    SiteRequest {
        method: match random.below(24) {
            0 | 1 => Method::Head,
            2 => Method::Post(random.pick(&[0, 10])),
            _ => Method::Get,
        },
        persistence: match random.below(12) {
            0 => Persistence::Http11Close,
            1 => Persistence::Http10,
            2 => Persistence::Http10KeepAlive,
            _ => Persistence::Http11,
        },
        target: match random.one_in(4) {
            true => random.pick(&TARGETS),
            false => random.pick(popular),
        },
        condition: sometimes(random).then_some(condition),
        ranges: sometimes(random).then(|| random.pick(&RANGES)),
        codings: random.pick(&[None, None, Some("gzip"), Some("br, gzip"), Some("identity")]),
        pick: random.next(),
    }
}

fn files(random: &mut Random, scenario: &Scenario, popular: &[&'static str]) -> Files {
    let sizes = sizes(random, scenario);
    let requests: usize = scenario.peers.iter().map(|peer| peer.requests.len()).sum();
    let until = scenario.peers.iter().map(|peer| peer.connects).max();
    let until = 2 * until.unwrap_or_default() + 10 * MILLI;
    let count = random.pick(&[0, 2, 10, 40]);
    let gentle = random.one_in(2);
    let changes = (0..count).map(|_| {
        let responses = random.below(requests + 1) as u64;
        let when = match random.below(5) {
            0 => When::Time(random.below(until as usize) as Micros),
            1 | 2 => When::Responses(responses),
            _ => When::Calls {
                responses,
                calls: random.pick(&[0, 0, 1, 2, 5, 20]),
            },
        };
        (when, change(random, &sizes, gentle, popular))
    });
    let changes = changes.collect();
    Files {
        seed: random.next(),
        // Of ext4 with several kernels' ticks, HFS+, and FAT.
        tick: Duration::from_micros(random.pick(&[1, 4_000, 10_000, 1_000_000, 2_000_000])),
        follows: random.one_in(4),
        changes,
        sizes,
    }
}

/// Lengths on both sides of the inline body limit.
fn sizes(random: &mut Random, scenario: &Scenario) -> Vec<usize> {
    let is_slow =
        |peer: &Peer| matches!(peer.behaviour, Behaviour::SlowReader(at_once, _) if at_once < 1000);
    let is_fast = scenario.send_buffer >= 4096 && !scenario.peers.iter().any(is_slow);
    let large = match scenario.limits {
        LimitSet::Default if is_fast => &[16_384, 16_385, 40_000, 300_000][..],
        LimitSet::Default => &[3000],
        LimitSet::Small => &[5000],
    };
    let small = [0, 1, 150, 200, 201, 3000];
    // Few, so that different files often have the same length.
    let mut sizes = vec![random.pick(&small), random.pick(&small)];
    if random.one_in(2) {
        sizes.push(random.pick(large));
    }
    sizes
}

fn change(
    random: &mut Random,
    sizes: &[usize],
    gentle: bool,
    popular: &[&'static str],
) -> FileChange {
    let name = name(random, popular);
    let size = random.pick(sizes);
    let age = match random.below(8) {
        0 => Age::Older,
        1 => Age::Beside,
        2 if !gentle => Age::Ahead,
        _ => Age::Now,
    };
    match random.below(if gentle { 6 } else { 13 }) {
        0 | 1 => FileChange::Rewritten(name, size, age),
        2 => FileChange::Resized(name, size, age),
        3 => FileChange::Touched(name, age),
        4 | 5 => FileChange::Replaced(name, size, age),
        6 => FileChange::Removed(name),
        7 => FileChange::Directory(name),
        8 => FileChange::Fifo(name),
        9 => {
            let others = ["a", "b.txt", "d", "link", "nowhere", "d/c.html"];
            let other = random.pick(&others);
            let to = random.pick(&[To::Name(other), To::Absolute(other)]);
            FileChange::Link(name, to)
        }
        10 => FileChange::Link(name, To::Outside),
        _ => FileChange::Swapped(random.pick(&["", "", DIRECTORIES[0], DIRECTORIES[1]])),
    }
}

/// Mostly a name that is requested.
fn name(random: &mut Random, popular: &[&'static str]) -> &'static str {
    if random.one_in(3) {
        return random.pick(&NAMES);
    }
    let popular_one = match random.pick(popular) {
        "/missing" => "/404.html",
        popular_one => popular_one,
    };
    let stem = popular_one.split('?').next().unwrap_or_default();
    let stem = stem.trim_start_matches('/');
    let fits: Vec<_> = NAMES
        .into_iter()
        .filter(|name| name.starts_with(stem))
        .collect();
    match fits.is_empty() {
        true => random.pick(&NAMES),
        false => random.pick(&fits),
    }
}
