//! The simulation: the server's own loop, connections, timers and listeners on a fake kernel, whose
//! behaviour follows from a seed. docs/simulation.md says what is simulated and which rules hold.
//!
//! - What happens: `plan`, drawn by `swarm`, made smaller by `shrink`; `asks` with the only right
//!   responses, `faults` with the results of the kernel's calls.
//! - Where it happens: `world` with its `line`s, behind `sockets` and `handler`.
//! - What must hold: `oracle`, `sleep` for lost wake-ups, and `proofreader` with `matcher` for every
//!   byte that is sent.
//! - The same with the real site over a real directory, whose files change: `site`.
//! - How it runs: `run`, and `report` when it fails. `exhaustive` tries all combinations, and `sweep`
//!   lets every call fail in every way.
//!
//! Without `--nocapture` a seed that breaks no rule prints nothing.
//!
//! ```text
//! cargo test --test sim                                                  a few seconds of known seeds
//! ONELOOP_SIM_SEED=17 cargo test --test sim one_seed -- --nocapture      one seed, with every call
//! ONELOOP_SIM_SITE_SEED=17 cargo test --test sim one_site_seed -- --nocapture    with the real site
//! ONELOOP_SIM_SECONDS=600 cargo test --release --test sim -- --ignored    fresh seeds
//! ```

#![allow(clippy::print_stdout, reason = "a test says what it measured")]

mod asks;
mod chance;
mod exhaustive;
mod faults;
mod handler;
mod line;
mod matcher;
mod oracle;
mod plan;
mod proofreader;
mod report;
mod run;
mod shrink;
mod site;
mod sleep;
mod sockets;
mod swarm;
mod sweep;
mod world;

use plan::{POLLERS, Plan};
use run::run;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Seeds that every `cargo test` runs.
const KNOWN: u64 = 300;

#[test]
fn a_swarm_of_known_seeds_breaks_no_rule() {
    let mut tally = Tally::default();
    (0..KNOWN).for_each(|seed| tally.add(seed));
    println!("{tally:?}");
}

/// Runs fresh seeds for a given time.
#[test]
#[ignore = "takes as long as ONELOOP_SIM_SECONDS says"]
fn a_swarm_of_fresh_seeds_breaks_no_rule() {
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
    let plan = swarm::plan(seed);
    println!("{plan:#?}\n{}", run(&plan, true).trace.join("\n"));
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
    turns: u64,
    syscalls: u64,
    simulated_seconds: u64,
}

impl Tally {
    /// Runs a seed, and under every poller if nothing in it depends on the time of events.
    fn add(&mut self, seed: u64) {
        let plan = swarm::plan(seed);
        let again =
            format!("ONELOOP_SIM_SEED={seed} cargo test --test sim one_seed -- --nocapture");
        let heard = self.run(&plan, &again);
        if plan.is_calm() {
            for poller in POLLERS {
                let other = self.run(
                    &Plan {
                        poller,
                        ..plan.clone()
                    },
                    &again,
                );
                assert_eq!(
                    other, heard,
                    "seed {seed}: {poller:?} against {:?}",
                    plan.poller
                );
            }
        }
    }

    fn run(&mut self, plan: &Plan, again: &str) -> Vec<(u64, usize)> {
        let outcome = run(plan, false);
        if !outcome.broken.is_empty() {
            let (runs, failure) = (self.runs, report::failure(plan.clone(), again));
            panic!("after {runs} runs: {failure}");
        }
        self.runs += 1;
        self.turns += outcome.turns;
        self.syscalls += outcome.syscalls;
        self.simulated_seconds += outcome.simulated / 1_000_000;
        outcome.heard
    }
}
