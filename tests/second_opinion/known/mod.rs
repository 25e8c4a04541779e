//! The known differences: what a head has, and what each server makes of it, and why.
//!
//! A class excuses a difference only if the head has its sign *and* the answers are the ones it
//! names; whatever no class excuses turns the test red, and so does a class that excuses nothing.

mod answered;
mod refused;

use crate::differences::{Difference, Outcome, What};
use crate::head::Head;
use Outcome::Status;

/// Differences of one kind.
pub struct Class {
    /// What is remarkable about the head.
    pub name: &'static str,
    /// Why oneloop does what it does, with the section of the RFC.
    pub why: &'static str,
    answers: Answers,
    sign: fn(Head<'_>) -> bool,
}

/// What each server answers; ours first.
enum Answers {
    Outcomes(&'static [Outcome], &'static [Outcome]),
    Open(bool, bool),
    Interim(bool, bool),
}

/// A part of the table, with its heading and what is to be said of all of it.
pub struct Part {
    pub heading: &'static str,
    pub text: &'static str,
    pub classes: Vec<Class>,
}

impl Class {
    pub fn explains(&self, difference: &Difference<'_>) -> bool {
        let has_answers = match (&self.answers, difference.what) {
            (Answers::Outcomes(of_us, of_them), What::Outcome { ours, theirs }) => {
                of_us.contains(&ours) && of_them.contains(&theirs)
            }
            (Answers::Open(of_us, of_them), What::Open(ours, theirs))
            | (Answers::Interim(of_us, of_them), What::Interim(ours, theirs)) => {
                (*of_us, *of_them) == (ours, theirs)
            }
            _ => false,
        };
        has_answers && (self.sign)(difference.head)
    }
}

/// The request was understood, and there is an answer to it.
const ANSWERED: &[Outcome] = &[
    Status(200),
    Status(204),
    Status(301),
    Status(404),
    Status(405),
    Status(417),
    Status(501),
];
const REFUSED: &[Outcome] = &[Status(400)];

fn class(
    name: &'static str,
    answers: Answers,
    sign: fn(Head<'_>) -> bool,
    why: &'static str,
) -> Class {
    Class {
        name,
        why,
        answers,
        sign,
    }
}

pub fn parts() -> [Part; 4] {
    [
        refused::by_us(),
        refused::by_them(),
        refused::by_both(),
        answered::by_both(),
    ]
}
