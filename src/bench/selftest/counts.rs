//! Room `bench`: is everything counted, and as what it is? No clock is looked at, so these hold on
//! any machine, however busy.

use super::Trouble;
use super::finding::Finding;
use super::stage::{Played, SECOND, Scene, Stage, number};
use crate::bench::load::{Arrivals, Behavior, ClientStats, Fault};
use crate::bench::selftest::server::{FAULTS, Manner};
use std::collections::BTreeMap;

type Findings = Result<Vec<Finding>, Trouble>;

/// Every way in which an answer can be wrong, each as often as the oracle has done it. Its counts
/// follow from the number of requests (see the tests of the oracle's mind), so they are exact.
pub fn faults(stage: &Stage) -> Findings {
    let scene = Scene::closed(Manner::Faulty, 8, stage.long(500, 3000));
    let played = stage.play(&scene)?;
    let mut found = played.both_ends();
    found.push(Finding::equal(
        "errors by kind",
        &named(&played.ledger.faults),
        &named(&played.seen.errors),
    ));
    // All eight were there: 97 requests are made in a moment.
    let kinds = FAULTS.len();
    found.push(Finding::equal("kinds", &kinds, &played.seen.errors.len()));
    found.push(times_are_whole(&played)?);
    Ok(found)
}

fn named(faults: &BTreeMap<Fault, u64>) -> BTreeMap<String, u64> {
    let named = |(fault, count): (&Fault, &u64)| (format!("{fault:?}").to_lowercase(), *count);
    faults.iter().map(named).collect()
}

/// In a closed loop each right answer in the window is in the histogram once.
fn times_are_whole(played: &Played) -> Result<Finding, Trouble> {
    let recorded = played.response()?.len();
    let answers = played.seen.responses;
    Ok(Finding::equal("times recorded", &answers, &recorded))
}

/// A server that takes 100 connections of 1000, and refuses the others: as many are achieved, and
/// those that were not are said as errors.
pub fn connections(stage: &Stage) -> Findings {
    let scene = Scene {
        // Those that were in the listen queue when it was closed are reset in the meantime.
        warm_up: SECOND / 5,
        ..Scene::closed(Manner::Refuse { most: 100 }, 1000, SECOND / 5)
    };
    let played = stage.play(&scene)?;
    let served = |seen: &ClientStats| seen.shares.iter().filter(|share| **share > 0).count();
    let refused = played.seen.errors.get(&Fault::Connect);
    let told = |is: bool| if is { "said" } else { "not said" };
    let is_told = refused.is_some_and(|count| *count >= 900) && !played.outcome.problems.is_empty();
    Ok(vec![
        Finding::equal("asked, achieved", &(1000, 100), &played.seen.connections),
        Finding::equal("connections that were served", &100, &served(&played.seen)),
        Finding::equal("that 900 were refused", &told(true), &told(is_told)),
    ])
}

/// A server that gives each connection a number of answers, and then none: the shares are exactly
/// those, in some order, and each connection misses one answer in the end.
pub fn shares(stage: &Stage) -> Findings {
    const CONNECTIONS: u64 = 20;
    // Five starve from the beginning.
    let quota = |number: u64| 10 * number.saturating_sub(4);
    let each: Vec<u64> = (0..CONNECTIONS).map(quota).collect();
    let manner = Manner::Quota { each: each.clone() };
    let connections = u32::try_from(CONNECTIONS).unwrap_or(u32::MAX);
    let played = stage.play(&Scene::closed(manner, connections, SECOND / 2))?;
    let mut shares = played.seen.shares.clone();
    shares.sort_unstable();
    let starved = shares.iter().filter(|share| **share == 0).count();
    let missing = BTreeMap::from([(Fault::Missing, CONNECTIONS)]);
    let mut found = played.both_ends();
    found.extend([
        Finding::equal("shares", &each, &shares),
        Finding::equal("starved", &5, &starved),
        Finding::equal("missing", &named(&missing), &named(&played.seen.errors)),
    ]);
    Ok(found)
}

/// A server that never answers, and an open loop: as many are sent as there are connections, as
/// many wait as may, and all others are dropped and said so.
pub fn dropped(stage: &Stage) -> Findings {
    const CONNECTIONS: u32 = 10;
    const WAITING: u32 = 50;
    const RATE: f64 = 1000.0;
    let manner = Manner::Quota { each: Vec::new() };
    let mut scene = Scene::open(manner, CONNECTIONS, SECOND / 2, RATE, Arrivals::Constant);
    scene.behavior = Behavior::Open {
        rate: RATE,
        arrivals: Arrivals::Constant,
        max_waiting: WAITING,
    };
    let played = stage.play(&scene)?;
    let seen = &played.seen;
    let held = u64::from(CONNECTIONS + WAITING);
    let recorded = played.response()?.len();
    let missing = BTreeMap::from([(Fault::Missing, held)]);
    // The window begins and ends somewhere between two requests.
    let due = RATE * number(scene.measure) / 1e9;
    let mut found = played.both_ends();
    found.extend([
        Finding::within(
            "due",
            due - 1.0..=due + 1.0,
            Some(number(seen.due)),
            super::finding::Unit::One,
        ),
        Finding::equal("sent", &u64::from(CONNECTIONS), &seen.totals.requests),
        Finding::equal("missing", &named(&missing), &named(&seen.errors)),
        // Who has no answer counts with the time that he has waited: who leaves him out lies. Not
        // all of those who are held need have been due in the window: the first may be so before
        // it.
        Finding::equal(
            "dropped and recorded",
            &seen.due,
            &(seen.dropped + recorded),
        ),
    ]);
    Ok(found)
}

/// A connection for each request: as many of the one as of the other, on both sides.
pub fn short(stage: &Stage) -> Findings {
    let scene = Scene::short(Manner::Null, 8, stage.long(300, 1000));
    let played = stage.play(&scene)?;
    let whole = played.seen.totals;
    let mut found = played.both_ends();
    found.push(Finding::equal(
        "a connection for each request",
        &whole.requests,
        &whole.connections,
    ));
    found.push(times_are_whole(&played)?);
    Ok(found)
}
