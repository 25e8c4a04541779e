//! After SQLite's manner: a run without any fault tells how many calls it makes; then each of them
//! fails in each way, once, and once more for ever.

use crate::faults::{Answer, Call, Faults, Place, errors};
use crate::plan::{Plan, Poller};
use crate::report;
use crate::run::run;
use crate::swarm;
use rustix::io::Errno;
use std::collections::BTreeMap;

/// Seeds whose plans are swept in every `cargo test`.
const KNOWN: u64 = 4;
/// Plans with more calls take too long.
const MOST_CALLS: usize = 200;

/// The plan of a seed as it is without faults, if it is short enough.
fn clean(seed: u64) -> Option<(Plan, Vec<Place>)> {
    let plan = Plan {
        faults: Faults::none(),
        poller: Poller::Miser,
        connections: 1000,
        descriptors: 1000,
        ..swarm::plan(seed)
    };
    let outcome = run(&plan, false);
    assert_eq!(outcome.broken, [""; 0], "seed {seed}");
    let places = outcome.places();
    (2..MOST_CALLS)
        .contains(&places.len())
        .then_some((plan, places))
}

/// Every way in which a call can be answered but the usual one.
fn answers(call: Call) -> Vec<Answer> {
    let errors = errors(call).iter().map(|&error| Answer::Fails(error));
    let others = match call {
        Call::Receive | Call::Send | Call::SendFile => {
            vec![Answer::One, Answer::Half, Answer::Later]
        }
        Call::Shutdown | Call::Accept | Call::Register => Vec::new(),
    };
    others.into_iter().chain(errors).collect()
}

/// A call that is always interrupted is no fault of a network, and one that would always block no
/// network at all.
fn can_last(answer: Answer) -> bool {
    !matches!(answer, Answer::Fails(Errno::INTR) | Answer::Later)
}

/// Sweeps one plan. Returns how many runs that took.
fn sweep(plan: &Plan, places: &[Place], seed: u64) -> u64 {
    let mut runs = 0;
    let mut attempt = |faults: Faults| {
        runs += 1;
        let plan = Plan {
            faults,
            ..plan.clone()
        };
        if !run(&plan, false).broken.is_empty() {
            let again = "the same test";
            panic!("seed {seed}, run {runs}: {}", report::failure(plan, again));
        }
    };
    for &place in places {
        for answer in answers(place.1) {
            attempt(Faults::Listed(BTreeMap::from([(place, answer)])));
            if can_last(answer) {
                attempt(Faults::Forever(place, answer));
            }
        }
    }
    runs
}

#[test]
fn every_call_may_fail_in_every_way_once_and_for_ever() {
    let plans: Vec<_> = (0..).filter_map(clean).take(KNOWN as usize).collect();
    let runs = plans.iter().zip(0..);
    let runs: u64 = runs
        .map(|((plan, places), at)| sweep(plan, places, at))
        .sum();
    println!("{runs} runs");
}

#[test]
#[ignore = "minutes of a core"]
fn every_call_of_many_plans_may_fail_in_every_way() {
    let mut runs = 0;
    for seed in 1000..1400 {
        if let Some((plan, places)) = clean(seed) {
            runs += sweep(&plan, &places, seed);
        }
    }
    println!("{runs} runs");
}
