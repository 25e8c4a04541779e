//! The known differences: what the head has, what each server answers, and why.
//!
//! A class explains a difference only if the head has its sign *and* the responses are those of the
//! class. The test fails for a difference without a class, and for a class without a difference.

mod answered;
mod refused;

use crate::differences::{Difference, Outcome, What};
use crate::head::Head;
use Outcome::Status;

/// Differences of one kind.
pub struct Class {
    /// What the head has.
    pub name: &'static str,
    /// Why oneloop does what it does, with the section of the RFC.
    pub why: &'static str,
    responses: Responses,
    sign: fn(Head<'_>) -> bool,
}

/// The responses of both servers; oneloop first.
enum Responses {
    Outcomes(&'static [Outcome], &'static [Outcome]),
    Open(bool, bool),
    Interim(bool, bool),
}

/// A section of the document.
pub struct Part {
    pub heading: &'static str,
    pub text: &'static str,
    pub classes: Vec<Class>,
}

impl Class {
    pub fn explains(&self, difference: &Difference<'_>) -> bool {
        let has_responses = match (&self.responses, difference.what) {
            (Responses::Outcomes(of_us, of_them), What::Outcome { ours, theirs }) => {
                of_us.contains(&ours) && of_them.contains(&theirs)
            }
            (Responses::Open(of_us, of_them), What::Open(ours, theirs))
            | (Responses::Interim(of_us, of_them), What::Interim(ours, theirs)) => {
                (*of_us, *of_them) == (ours, theirs)
            }
            _ => false,
        };
        has_responses && (self.sign)(difference.head)
    }
}

/// Statuses of requests that were parsed.
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
    responses: Responses,
    sign: fn(Head<'_>) -> bool,
    why: &'static str,
) -> Class {
    Class {
        name,
        why,
        responses,
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
