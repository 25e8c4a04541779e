//! The runs with the real site.

use super::draw;
use crate::run::run;
use crate::{Tally, number};

/// Seeds that every `cargo test` runs.
const KNOWN: u64 = 300;

#[test]
fn a_swarm_of_known_seeds_with_changing_files_breaks_no_rule() {
    let mut tally = Tally::default();
    (0..KNOWN).for_each(|seed| tally.add_site(seed));
    println!("{tally:?}");
}

/// Prints one seed with every call (with `--nocapture`).
#[test]
fn one_site_seed() {
    let Some(seed) = number("ONELOOP_SIM_SITE_SEED") else {
        return;
    };
    let plan = draw::plan(seed);
    println!("{plan:#?}\n{}", run(&plan, true).trace.join("\n"));
    Tally::default().add_site(seed);
}

impl Tally {
    /// Runs a seed with the real site.
    pub fn add_site(&mut self, seed: u64) {
        let again = format!(
            "ONELOOP_SIM_SITE_SEED={seed} cargo test --test sim one_site_seed -- --nocapture"
        );
        self.run(&draw::plan(seed), &again);
    }
}
