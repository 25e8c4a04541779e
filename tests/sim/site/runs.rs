//! The runs with the real site.

use super::generator;
use crate::run::run;
use crate::{Tally, number};

/// Seeds that every `cargo test` runs.
const KNOWN: u64 = 300;

#[test]
fn known_seeds_with_changing_files_break_no_rule() {
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
    let scenario = generator::scenario(seed);
    println!("{scenario:#?}\n{}", run(&scenario, true).trace.join("\n"));
    Tally::default().add_site(seed);
}

impl Tally {
    /// Runs a seed with the real site.
    pub fn add_site(&mut self, seed: u64) {
        let command = format!(
            "ONELOOP_SIM_SITE_SEED={seed} cargo test --test sim one_site_seed -- --nocapture"
        );
        self.run(&generator::scenario(seed), &command);
    }
}
