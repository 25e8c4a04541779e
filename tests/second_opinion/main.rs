//! A second opinion on every head: the same bytes go to oneloop and to nginx, and what they
//! make of them is compared: how many answers, which, and whether the connection stays open.
//!
//! Two servers that read one head differently are how requests are smuggled, so every difference
//! has to be known, and explained: `known` is the table, docs/second-opinion.md shows it to
//! readers. A difference that it does not explain is an error, and so is a row that explains
//! nothing. When the table is meant to change: `UPDATE_DOCS=1 cargo test --test second_opinion`.
//!
//! `cargo test` tries some hundred generated heads, always the same ones.
//! `ONELOOP_SECOND_OPINION=100000 cargo test --test second_opinion` tries as many new ones, and
//! says where their seeds begin; `ONELOOP_SECOND_OPINION_SEED` begins there again.
//!
//! - `corpus`: heads made by hand; `generator`: heads made of those
//! - `servers`: both servers, and what they send back; `answers`: what that says
//! - `differences`: what is not the same; `signs`: what is remarkable about a head
//! - `known`: the differences that are known; `page`: the document
//! - `judge`: all of it together; `shrink`: as little of a head as still differs

#![cfg(target_os = "linux")]
#![allow(clippy::print_stdout, reason = "a test says what it measured")]

mod answers;
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

/// What the corpus shows; nothing without nginx.
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

/// One that is needed no more would excuse a mistake some day.
#[test]
fn every_known_difference_explains_a_head_that_no_other_does() {
    if let Some(judgement) = of_the_corpus() {
        let idle = judgement.idle_classes();
        assert_eq!(idle, [""; 0], "known differences that are none any more");
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
