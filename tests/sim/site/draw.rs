//! Which plan belongs to a seed? That of the swarm, with other questions, and with files that change
//! while they are asked for.

use super::ask::{Condition, FAVOURITES, RANGES, SiteAsk, TARGETS};
use super::happening::{Age, Happening, To};
use super::tree::{DIRECTORIES, NAMES};
use super::{Files, When};
use crate::asks::{Ask, Manner, Method};
use crate::chance::{Chance, mix};
use crate::plan::{Kind, MILLI, Micros, Peer, Plan, SECOND, Size};
use crate::swarm;
use std::time::Duration;

/// The plan of a seed.
pub fn plan(seed: u64) -> Plan {
    let mut plan = swarm::plan(seed);
    let chance = &mut Chance::new(mix(&[seed, 0x517e]));
    plan.shrinks.clear();
    // Not the network is the matter here, nor the crowd.
    plan.peers.truncate(20);
    plan.receive_buffer = plan.receive_buffer.max(100);
    plan.send_buffer = plan.send_buffer.max(100);
    // A few names, so that they are asked for again and again.
    let favourites: Vec<_> = (0..3).map(|_| chance.pick(&FAVOURITES)).collect();
    // Some seconds, to see what becomes of a file when its own is over; or everybody at once, for
    // a turn in which much is answered.
    let spread = chance.pick(&[None, Some(5 * SECOND as usize), Some(1)]);
    for peer in &mut plan.peers {
        if let Some(spread) = spread {
            peer.connects = chance.below(spread) as Micros;
        }
        if matches!(peer.kind, Kind::Drip(_)) && !chance.one_in(4) {
            peer.kind = Kind::Plain;
        }
        peer.asks.retain(|ask| !matches!(ask, Ask::Page { .. }));
        let most = match peer.kind {
            Kind::Drip(_) | Kind::Slowloris(_) | Kind::SlowReader(..) => 2,
            _ => 12,
        };
        for _ in 0..chance.between(1, most) {
            peer.asks.insert(0, Ask::Site(draw(chance, &favourites)));
        }
    }
    plan.site = Some(files(chance, &plan, &favourites));
    plan
}

fn draw(chance: &mut Chance, favourites: &[&'static str]) -> SiteAsk {
    let sometimes = |chance: &mut Chance| chance.one_in(3);
    let condition = chance.pick(&[
        Condition::NoneMatch,
        Condition::NoneMatch,
        Condition::Match,
        Condition::ModifiedSince,
        Condition::RangeTag,
        Condition::RangeDate,
    ]);
    SiteAsk {
        method: match chance.below(24) {
            0 | 1 => Method::Head,
            2 => Method::Post(chance.pick(&[0, 10])),
            _ => Method::Get,
        },
        manner: match chance.below(12) {
            0 => Manner::NewClose,
            1 => Manner::Old,
            2 => Manner::OldKeep,
            _ => Manner::New,
        },
        target: match chance.one_in(4) {
            true => chance.pick(&TARGETS),
            false => chance.pick(favourites),
        },
        condition: sometimes(chance).then_some(condition),
        ranges: sometimes(chance).then(|| chance.pick(&RANGES)),
        codings: chance.pick(&[None, None, Some("gzip"), Some("br, gzip"), Some("identity")]),
        pick: chance.next(),
    }
}

fn files(chance: &mut Chance, plan: &Plan, favourites: &[&'static str]) -> Files {
    let sizes = sizes(chance, plan);
    let asks: usize = plan.peers.iter().map(|peer| peer.asks.len()).sum();
    let until = plan.peers.iter().map(|peer| peer.connects).max();
    let until = 2 * until.unwrap_or_default() + 10 * MILLI;
    let count = chance.pick(&[0, 2, 10, 40]);
    let gentle = chance.one_in(2);
    let changes = (0..count).map(|_| {
        let answers = chance.below(asks + 1) as u64;
        let when = match chance.below(5) {
            0 => When::Time(chance.below(until as usize) as Micros),
            1 | 2 => When::Answers(answers),
            _ => When::Calls {
                answers,
                calls: chance.pick(&[0, 0, 1, 2, 5, 20]),
            },
        };
        (when, happening(chance, &sizes, gentle, favourites))
    });
    let changes = changes.collect();
    Files {
        seed: chance.next(),
        // Of ext4 and its kin with their kernels' ticks, of HFS+, and of FAT.
        tick: Duration::from_micros(chance.pick(&[1, 4_000, 10_000, 1_000_000, 2_000_000])),
        follows: chance.one_in(4),
        changes,
        sizes,
    }
}

/// Lengths on both sides of what rides behind a header.
fn sizes(chance: &mut Chance, plan: &Plan) -> Vec<usize> {
    let is_slow = |peer: &Peer| matches!(peer.kind, Kind::SlowReader(at_once, _) if at_once < 1000);
    let is_fast = plan.send_buffer >= 4096 && !plan.peers.iter().any(is_slow);
    let large = match plan.limits {
        Size::Usual if is_fast => &[16_384, 16_385, 40_000, 300_000][..],
        Size::Usual => &[3000],
        Size::Small => &[5000],
    };
    let small = [0, 1, 150, 200, 201, 3000];
    // Few, so that one file often has as many bytes as another.
    let mut sizes = vec![chance.pick(&small), chance.pick(&small)];
    if chance.one_in(2) {
        sizes.push(chance.pick(large));
    }
    sizes
}

fn happening(
    chance: &mut Chance,
    sizes: &[usize],
    gentle: bool,
    favourites: &[&'static str],
) -> Happening {
    let name = name(chance, favourites);
    let size = chance.pick(sizes);
    let age = match chance.below(8) {
        0 => Age::Older,
        1 => Age::Beside,
        2 if !gentle => Age::Ahead,
        _ => Age::Now,
    };
    match chance.below(if gentle { 6 } else { 13 }) {
        0 | 1 => Happening::Rewritten(name, size, age),
        2 => Happening::Resized(name, size, age),
        3 => Happening::Touched(name, age),
        4 | 5 => Happening::Replaced(name, size, age),
        6 => Happening::Removed(name),
        7 => Happening::Directory(name),
        8 => Happening::Fifo(name),
        9 => {
            let others = ["a", "b.txt", "d", "link", "nowhere", "d/c.html"];
            let other = chance.pick(&others);
            let to = chance.pick(&[To::Name(other), To::Absolute(other)]);
            Happening::Link(name, to)
        }
        10 => Happening::Link(name, To::Outside),
        _ => Happening::Swapped(chance.pick(&["", "", DIRECTORIES[0], DIRECTORIES[1]])),
    }
}

/// Mostly one that is asked for, or one that stands for it.
fn name(chance: &mut Chance, favourites: &[&'static str]) -> &'static str {
    if chance.one_in(3) {
        return chance.pick(&NAMES);
    }
    let favourite = match chance.pick(favourites) {
        "/missing" => "/404.html",
        favourite => favourite,
    };
    let stem = favourite.split('?').next().unwrap_or_default();
    let stem = stem.trim_start_matches('/');
    let fits: Vec<_> = NAMES
        .into_iter()
        .filter(|name| name.starts_with(stem))
        .collect();
    match fits.is_empty() {
        true => chance.pick(&NAMES),
        false => chance.pick(&fits),
    }
}
