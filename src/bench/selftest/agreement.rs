//! Room `bench`: do other programs find the same? They measure a server in turn with the generator,
//! each time for as long: A B B A, so that what the machine does meanwhile hits both.

use super::Trouble;
use super::finding::{Finding, Unit};
use super::others::{Other, Server};
use super::stage::{MS, Scene, Stage, number, per_second};
use crate::bench::load::{Behavior, Closer};
use crate::bench::platform;
use crate::bench::selftest::server::Manner;
use crate::bench::stats::{interval, median};
use std::ops::RangeInclusive;

type Findings = Result<Vec<Finding>, Trouble>;

/// The ratio to wrk where the server is what both wait for.
const WRK: RangeInclusive<f64> = 0.95..=1.05;
/// The same with `--quick`: eight pairs of 0.3 seconds leave an interval of up to 5 % on either
/// side.
const WRK_QUICK: RangeInclusive<f64> = 0.9..=1.1;
/// The ratio to wrk where it is wrk that the server waits for. For each request wrk turns the
/// interest in writing on and off, two calls of epoll_ctl(2) more than ours (as strace(1) counts
/// them), and with several connections our server is as fast as that. So wrk finds less there; it
/// must not find more.
const WRK_AT_ITS_END: RangeInclusive<f64> = 0.95..=1.4;
/// The ratio to ab, which asks with HTTP/1.0 and waits in another way; connections cost the kernel
/// more than either client, but not so much more.
const AB: RangeInclusive<f64> = 0.8..=1.25;
/// How long the server of a known speed takes for an answer: 50 000 a second, half of what wrk can
/// do where it was slowest.
const EACH: u64 = 20_000;

/// What is compared: the server, and what both are to do.
struct Match {
    connections: u32,
    behavior: Behavior,
    bounds: RangeInclusive<f64>,
    /// Whether the server is one of a known speed, or our own.
    is_known: bool,
}

/// Keep-alive, one after the other: what is measured is a round trip, which both make alike.
pub fn wrk_1(stage: &Stage) -> Findings {
    keep_alive(stage, 1, strict(stage), false)
}

/// Keep-alive, a server of a known speed.
pub fn wrk_8(stage: &Stage) -> Findings {
    keep_alive(stage, 8, strict(stage), true)
}

/// As above.
pub fn wrk_64(stage: &Stage) -> Findings {
    keep_alive(stage, 64, strict(stage), true)
}

/// Keep-alive, and a server that is as fast as it can be.
pub fn wrk_64_reactor(stage: &Stage) -> Findings {
    keep_alive(stage, 64, &WRK_AT_ITS_END, false)
}

fn strict(stage: &Stage) -> &'static RangeInclusive<f64> {
    if stage.quick { &WRK_QUICK } else { &WRK }
}

fn keep_alive(
    stage: &Stage,
    connections: u32,
    bounds: &RangeInclusive<f64>,
    is_known: bool,
) -> Findings {
    let one = Match {
        connections,
        behavior: Behavior::Closed { depth: 1 },
        bounds: bounds.clone(),
        is_known,
    };
    agree(stage, Other::Wrk, &one)
}

/// A connection for each request, which the server closes.
pub fn ab(stage: &Stage) -> Findings {
    let one = Match {
        connections: 16,
        behavior: Behavior::Short {
            closer: Closer::Server,
            resets: 0,
        },
        bounds: AB,
        is_known: false,
    };
    agree(stage, Other::Ab, &one)
}

fn agree(stage: &Stage, other: Other, one: &Match) -> Findings {
    if !other.is_installed() {
        return Err(Trouble::Skipped(format!(
            "{} is not installed",
            other.name()
        )));
    }
    if platform::UNOPTIMIZED {
        let why = "this program was built without optimization (--release has it)";
        return Err(Trouble::Skipped(why.to_owned()));
    }
    Ok(compare(stage, other, one)?)
}

/// A B B A, again and again; each half of it is a pair.
fn compare(stage: &Stage, other: Other, one: &Match) -> Result<Vec<Finding>, String> {
    let server = match one.is_known {
        true => Server::of_known_speed(stage, EACH)?,
        false => Server::reactor(stage)?,
    };
    let scene = Scene {
        behavior: one.behavior,
        warm_up: 20 * MS,
        ..Scene::closed(Manner::Null, one.connections, stage.long(300, 600))
    };
    let mut all = Vec::new();
    let mut ours = || -> Result<f64, String> {
        let load = stage.load(server.address(), server.page.clone(), &scene);
        let outcome = stage.generate(&load)?;
        let answers = outcome.groups.first().map_or(0, |seen| seen.responses);
        let rate = per_second(answers, outcome.measured);
        all.push(rate);
        Ok(rate)
    };
    let theirs = || other.measure(stage, &server.url(), scene.connections, scene.measure);
    let mut ratios = Vec::new();
    for _ in 0..if stage.quick { 4 } else { 10 } {
        let (first, second) = (ours()?, theirs()?);
        ratios.push((first / second).ln());
        let (second, first) = (theirs()?, ours()?);
        ratios.push((first / second).ln());
    }
    let ratio = interval::of(&ratios).ok_or("nothing was measured")?;
    let (low, high) = (ratio.low.exp(), ratio.high.exp());
    let name = format!("{}, ours / {}", server.name(), other.name());
    let mut finding = Finding::within(
        &name,
        one.bounds.clone(),
        Some(ratio.middle.exp()),
        Unit::One,
    );
    finding.found = format!("{} [{low:.3}, {high:.3}]", finding.found);
    finding.holds = one.bounds.contains(&low) && one.bounds.contains(&high);
    let mut found = vec![finding];
    if one.is_known {
        // Never more; and less where the machine holds up all clients longer than their queue.
        let truth = 1e9 / number(EACH);
        found.push(Finding::within(
            "oracle, ours",
            0.95 * truth..=1.01 * truth,
            median(&all),
            Unit::PerSecond,
        ));
    }
    Ok(found)
}
