//! Lets every call fail, as SQLite's tests do: a run without faults counts the calls; then each
//! call fails with each error, once, and from then on always.

use crate::faults::{Call, CallId, CallResult, Faults, errors};
use crate::generator;
use crate::report;
use crate::run::run;
use crate::scenario::{Poller, Scenario};
use rustix::io::Errno;
use std::collections::BTreeMap;

/// How many scenarios every `cargo test` sweeps.
const KNOWN: u64 = 4;
/// Scenarios with more calls take too long.
const MOST_CALLS: usize = 200;

/// The scenario of a seed without faults, and its calls, if there are few enough.
fn without_faults(seed: u64) -> Option<(Scenario, Vec<CallId>)> {
    let scenario = Scenario {
        faults: Faults::none(),
        poller: Poller::Minimal,
        connections: 1000,
        descriptors: 1000,
        ..generator::scenario(seed)
    };
    let outcome = run(&scenario, false);
    assert_eq!(outcome.violations, [""; 0], "seed {seed}");
    let call_ids = outcome.call_ids();
    (2..MOST_CALLS)
        .contains(&call_ids.len())
        .then_some((scenario, call_ids))
}

/// Every result of a call except the usual one.
fn results(call: Call) -> Vec<CallResult> {
    let errors = errors(call).iter().map(|&error| CallResult::Error(error));
    let others = match call {
        Call::Receive | Call::Send | Call::SendFile => {
            vec![
                CallResult::OneByte,
                CallResult::Half,
                CallResult::WouldBlock,
            ]
        }
        Call::Shutdown | Call::Accept | Call::Register => Vec::new(),
    };
    others.into_iter().chain(errors).collect()
}

/// No kernel interrupts a call every time, or answers "would block" for ever.
fn can_last(result: CallResult) -> bool {
    !matches!(
        result,
        CallResult::Error(Errno::INTR) | CallResult::WouldBlock
    )
}

/// Sweeps one scenario. Returns the number of runs.
fn sweep(scenario: &Scenario, call_ids: &[CallId], seed: u64) -> u64 {
    let mut runs = 0;
    let mut attempt = |faults: Faults| {
        runs += 1;
        let scenario = Scenario {
            faults,
            ..scenario.clone()
        };
        if !run(&scenario, false).violations.is_empty() {
            let command = "the same test";
            panic!(
                "seed {seed}, run {runs}: {}",
                report::failure(scenario, command)
            );
        }
    };
    for &call_id in call_ids {
        for result in results(call_id.1) {
            attempt(Faults::Listed(BTreeMap::from([(call_id, result)])));
            if can_last(result) {
                attempt(Faults::Forever(call_id, result));
            }
        }
    }
    runs
}

#[test]
fn every_call_may_fail_in_every_way_once_and_for_ever() {
    let scenarios: Vec<_> = (0..)
        .filter_map(without_faults)
        .take(KNOWN as usize)
        .collect();
    let runs = scenarios.iter().zip(0..);
    let runs: u64 = runs
        .map(|((scenario, call_ids), at)| sweep(scenario, call_ids, at))
        .sum();
    println!("{runs} runs");
}

#[test]
#[ignore = "minutes of a core"]
fn every_call_of_many_scenarios_may_fail_in_every_way() {
    let mut runs = 0;
    for seed in 1000..1400 {
        if let Some((scenario, call_ids)) = without_faults(seed) {
            runs += sweep(&scenario, &call_ids, seed);
        }
    }
    println!("{runs} runs");
}
