//! Deterministic simulation: the server's own loop, connections, timers and listeners on a
//! simulated kernel, whose behaviour follows from a seed. docs/simulation.md says what is simulated
//! and which rules hold.
//!
//! - Input: `scenario`, made from a seed by `generator` and reduced by `shrink`; `requests` with
//!   their expected responses; `faults`, the results of system calls.
//! - Environment: `kernel`, with a `connection` for each peer; `sockets` and `handler` connect the
//!   server to it.
//! - Rules: `checker`; `sleep` for lost wake-ups; `response_checker` and `matcher` for every byte
//!   that is sent; `recorder` for the calls of a probe.
//! - `site`: the same with the real site over a directory whose files change.
//! - Runs: `run`; `report` when a rule is broken; `exhaustive` tries all results of all calls of
//!   short scenarios; `sweep` lets each call fail with each error.
//!
//! Without `--nocapture` a seed that breaks no rule prints nothing.
//!
//! ```text
//! cargo test --test sim                                                  a few seconds of known seeds
//! ONELOOP_SIM_SEED=17 cargo test --test sim one_seed -- --nocapture      one seed, with every call
//! ONELOOP_SIM_SITE_SEED=17 cargo test --test sim one_site_seed -- --nocapture    with the real site
//! ONELOOP_SIM_SECONDS=600 cargo test --release --test sim -- --ignored    fresh seeds
//! ```

#![allow(clippy::print_stdout, reason = "a test prints what it measured")]

mod checker;
mod connection;
mod exhaustive;
mod faults;
mod generator;
mod handler;
mod kernel;
mod matcher;
mod random;
mod recorder;
mod report;
mod requests;
mod response_checker;
mod run;
mod scenario;
mod shrink;
mod site;
mod sleep;
mod sockets;
mod sweep;
#[path = "../support/transitions.rs"]
mod transitions;

use run::run;
use scenario::{MILLI, POLLERS, Scenario};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Seeds that every `cargo test` runs.
const KNOWN: u64 = 300;

#[test]
fn known_seeds_break_no_rule() {
    let mut tally = Tally::default();
    (0..KNOWN).for_each(|seed| tally.add(seed));
    println!("{tally:?}");
}

/// What a peer gets does not depend on when the handler is ready, nor on the order of events.
#[test]
fn a_handler_that_answers_later_changes_no_byte() {
    let mut tally = Tally::default();
    let seeds = (0..4 * KNOWN).map(|seed| (seed, generator::scenario(seed)));
    for (seed, scenario) in seeds.filter(|(_, scenario)| scenario.is_calm()) {
        let at_once = tally.run(&scenario, "");
        for (poller, work) in POLLERS.into_iter().zip([1, 30, 500, 2 * MILLI, 20 * MILLI]) {
            let later = Scenario {
                poller,
                work: Some(work),
                ..scenario.clone()
            };
            let sent = tally.run(&later, "");
            assert_eq!(sent, at_once, "seed {seed}, {poller:?}, {work} us");
        }
    }
    println!("{tally:?}");
}

/// Runs fresh seeds for a given time.
#[test]
#[ignore = "takes as long as ONELOOP_SIM_SECONDS says"]
fn fresh_seeds_break_no_rule() {
    let time = number("ONELOOP_SIM_SECONDS").unwrap_or(60);
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    let first = number("ONELOOP_SIM_FIRST")
        .unwrap_or_else(|| since_1970.map_or(0, |time| time.as_nanos() as u64));
    let (began, mut tally) = (Instant::now(), Tally::default());
    let mut seed = first;
    while began.elapsed() < Duration::from_secs(time) {
        tally.add(seed);
        tally.add_site(seed);
        seed += 1;
    }
    println!("seeds from {first}, {:.0?}: {tally:?}", began.elapsed());
}

/// Prints one seed with every call (with `--nocapture`).
#[test]
fn one_seed() {
    let Some(seed) = number("ONELOOP_SIM_SEED") else {
        return;
    };
    let scenario = generator::scenario(seed);
    println!("{scenario:#?}\n{}", run(&scenario, true).trace.join("\n"));
    Tally::default().add(seed);
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect("a number"))
}

/// How much was run.
#[derive(Debug, Default)]
struct Tally {
    runs: u64,
    iterations: u64,
    syscalls: u64,
    simulated_seconds: u64,
}

impl Tally {
    /// Runs a seed. If nothing in its scenario depends on the time of events, it runs under every
    /// poller.
    fn add(&mut self, seed: u64) {
        let scenario = generator::scenario(seed);
        let command =
            format!("ONELOOP_SIM_SEED={seed} cargo test --test sim one_seed -- --nocapture");
        let sent_to_peers = self.run(&scenario, &command);
        if scenario.is_calm() {
            for poller in POLLERS {
                let other = self.run(
                    &Scenario {
                        poller,
                        ..scenario.clone()
                    },
                    &command,
                );
                assert_eq!(
                    other, sent_to_peers,
                    "seed {seed}: {poller:?} against {:?}",
                    scenario.poller
                );
            }
        }
    }

    fn run(&mut self, scenario: &Scenario, command: &str) -> Vec<(u64, usize)> {
        let outcome = run(scenario, false);
        if !outcome.violations.is_empty() {
            let (runs, failure) = (self.runs, report::failure(scenario.clone(), command));
            panic!("after {runs} runs: {failure}");
        }
        self.runs += 1;
        self.iterations += outcome.iterations;
        self.syscalls += outcome.syscalls;
        self.simulated_seconds += outcome.simulated / 1_000_000;
        outcome.sent_to_peers
    }
}
