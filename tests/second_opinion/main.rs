//! A comparison with nginx: both servers get the same bytes. The number of responses, the
//! responses, and whether the connection stays open must be the same, or differ in a known way.
//!
//! Two servers that parse one head differently make request smuggling possible, so every difference
//! has to be explained: `known` is the table, and docs/second-opinion.md shows it. A difference
//! without a row is an error, and a row without a difference, too. To change the table:
//! `UPDATE_DOCS=1 cargo test --test second_opinion`.
//!
//! `cargo test` tries some hundred generated heads, always the same ones.
//! `ONELOOP_SECOND_OPINION=100000 cargo test --test second_opinion` tries as many new ones and
//! prints their seed; `ONELOOP_SECOND_OPINION_SEED` repeats the run.
//!
//! - `corpus`: heads written by hand; `generator`: random combinations of those
//! - `servers`: both servers; `responses`: parsing what they send
//! - `differences`: comparing two lists of responses; `signs`: properties of a head
//! - `known`: the known differences; `page`: the document
//! - `judge`: runs the comparison; `shrink`: reduces a head that differs

#![cfg(target_os = "linux")]
#![allow(clippy::print_stdout, reason = "a test says what it measured")]

mod corpus;
mod differences;
mod generator;
mod head;
mod judge;
mod known;
mod page;
#[path = "../support/process.rs"]
#[allow(dead_code, reason = "the other test programs use the rest")]
mod process;
mod responses;
mod servers;
mod shrink;
mod signs;

use generator::{Dice, Generator};
use judge::{Judgement, judge};
use servers::Servers;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

/// Generated heads in every run.
const FEW: u64 = 500;

/// The result for the corpus; `None` without nginx.
fn of_the_corpus() -> Option<&'static Judgement> {
    static JUDGEMENT: OnceLock<Option<Judgement>> = OnceLock::new();
    let judgement = JUDGEMENT.get_or_init(|| {
        let heads = [corpus::heads(), corpus::sweeps()].concat();
        Some(judge(&Servers::start()?, heads.len(), |at| {
            heads[at].clone()
        }))
    });
    judgement.as_ref()
}

#[test]
fn every_difference_in_the_corpus_is_a_known_one() {
    if let Some(judgement) = of_the_corpus() {
        println!("corpus: {}", judgement.counts());
        judgement.assert_all_known();
    }
}

/// A row that is no longer needed could hide a mistake later.
#[test]
fn every_known_difference_explains_a_head_that_no_other_does() {
    if let Some(judgement) = of_the_corpus() {
        let idle = judgement.idle_classes();
        assert_eq!(
            idle, [""; 0],
            "known differences that do not occur any more"
        );
    }
}

#[test]
fn the_document_shows_every_known_difference() {
    if let Some(judgement) = of_the_corpus() {
        page::compare(judgement);
    }
}

#[test]
fn generated_heads_differ_only_in_known_ways() {
    let Some(servers) = Servers::start() else {
        return;
    };
    let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
    let many = number("ONELOOP_SECOND_OPINION");
    let seed = number("ONELOOP_SECOND_OPINION_SEED").unwrap_or_else(|| match many {
        None => 0,
        Some(_) => Dice::new(nanoseconds()).roll() >> 16,
    });
    let count = many.unwrap_or(FEW);
    println!("generated: {count} from ONELOOP_SECOND_OPINION_SEED={seed}");
    let generator = Generator::new(&corpus::heads());
    let judgement = judge(&servers, usize::try_from(count).unwrap(), |at| {
        generator.heads(seed + at as u64)
    });
    println!("generated: {}", judgement.counts());
    judgement.assert_all_known();
}

fn nanoseconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::from(since.subsec_nanos()) ^ since.as_secs()
}
