//! Room `bench`: can the generator be believed? It is put on servers whose answer is known
//! ([`server`]), and beside other programs that measure the same.
//!
//! - here: the list of the tests, and how they are told
//! - `finding`: what was expected, and what was found
//! - `stage`: an oracle and a generator, played against each other
//! - `truth`: the closed forms. No I/O
//! - `counts`: what depends on no clock, and so holds on any machine
//! - `times`, `rates`: delays, stalls, rates, arrivals
//! - `ceiling`: how much the generator can do
//! - `agreement`, `others`: the same load from wrk and ab
//! - `quiet`: has anybody else used the machine meanwhile?

mod agreement;
mod ceiling;
mod counts;
mod finding;
mod others;
mod quiet;
mod rates;
pub mod server;
mod stage;
mod times;
mod truth;

use super::arguments::Selftest;
use super::platform;
use finding::Finding;
use quiet::Watch;
use stage::Stage;
use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

/// How often a test with a clock may be repeated. What the machine does meanwhile spoils one
/// attempt or two; what the generator does wrong spoils all.
const ATTEMPTS: usize = 5;

/// The command line makes no sense.
const USAGE: u8 = 2;
/// What a shell says of a program that Ctrl-C has ended.
const INTERRUPTED: u8 = 130;

/// One test.
struct Test {
    /// What a filter looks at.
    name: &'static str,
    /// Whether a clock is looked at, so that a busy machine may spoil it.
    is_timed: bool,
    /// Does it.
    run: fn(&Stage) -> Result<Vec<Finding>, Trouble>,
}

/// Why a test has found nothing.
#[derive(Debug)]
enum Trouble {
    /// It cannot be done here; a sentence without its end.
    Skipped(String),
    /// The oracle or the generator did not do what it must.
    Failed(String),
}

impl From<String> for Trouble {
    fn from(why: String) -> Self {
        Self::Failed(why)
    }
}

const TESTS: &[Test] = &[
    exact("counts: faults", counts::faults),
    exact("counts: connections", counts::connections),
    exact("counts: shares", counts::shares),
    exact("counts: dropped", counts::dropped),
    exact("counts: short", counts::short),
    timed("delay 1 ms", times::delay_1),
    timed("delay 5 ms", times::delay_5),
    timed("delay 50 ms", times::delay_50),
    timed("beat 5 ms", rates::beat),
    timed("two-point latency", times::two_point),
    timed("stall, open loop", times::stall_open),
    timed("stall, closed loop", times::stall_closed),
    timed("stall by signal", times::stall_by_signal),
    timed("paced writer", rates::paced),
    timed("constant rate", rates::constant),
    timed("poisson arrivals", rates::poisson),
    timed("ceiling", ceiling::ceiling),
    timed("agreement: wrk c=1", agreement::wrk_1),
    timed("agreement: wrk c=8", agreement::wrk_8),
    timed("agreement: wrk c=64", agreement::wrk_64),
    timed("agreement: wrk c=64, fast", agreement::wrk_64_reactor),
    timed("agreement: ab c=16", agreement::ab),
];

const fn exact(name: &'static str, run: fn(&Stage) -> Result<Vec<Finding>, Trouble>) -> Test {
    Test {
        name,
        is_timed: false,
        run,
    }
}

const fn timed(name: &'static str, run: fn(&Stage) -> Result<Vec<Finding>, Trouble>) -> Test {
    Test {
        is_timed: true,
        ..exact(name, run)
    }
}

/// How many of each.
#[derive(Default)]
struct Score {
    passed: u32,
    failed: u32,
    skipped: u32,
}

/// Runs the tests that are asked for, and tells what came of them; exit code 1 if one failed.
///
/// # Errors
/// The program does not find itself; nobody reads what is told.
pub fn run(asked: &Selftest) -> Result<ExitCode, Box<dyn Error>> {
    let filter = asked.filter.as_deref().unwrap_or_default();
    let chosen: Vec<&Test> = (TESTS.iter())
        .filter(|test| test.name.contains(filter))
        .collect();
    if chosen.is_empty() {
        let names: Vec<_> = TESTS.iter().map(|test| test.name).collect();
        let names = names.join("\n  ");
        writeln!(
            io::stderr(),
            "oneloop: no test has `{filter}` in its name:\n  {names}"
        )?;
        return Ok(ExitCode::from(USAGE));
    }
    let stage = Stage::new(asked.quick)?;
    let to = &mut io::stdout();
    if platform::UNOPTIMIZED {
        writeln!(
            to,
            "Built without optimization: the ceiling here says nothing."
        )?;
    }
    let mut score = Score::default();
    for test in &chosen {
        play(test, &stage, &mut score, to)?;
        if stage.is_stopped() {
            writeln!(to, "\nInterrupted.")?;
            return Ok(ExitCode::from(INTERRUPTED));
        }
    }
    let Score {
        passed,
        failed,
        skipped,
    } = score;
    writeln!(to, "\n{passed} passed, {failed} failed, {skipped} skipped.")?;
    if let Some(ceiling) = stage.ceiling() {
        writeln!(to, "{}", ceiling::sentence(ceiling))?;
    }
    if failed > 0 {
        writeln!(to, "{BAD}")?;
        return Ok(ExitCode::FAILURE);
    }
    let all = chosen.len() == TESTS.len() && skipped == 0;
    writeln!(to, "{}", if all { GOOD } else { PARTLY })?;
    Ok(ExitCode::SUCCESS)
}

const GOOD: &str = "The generator finds what is known to be true: what it says can be believed.";
const PARTLY: &str = "The generator finds what is known to be true, as far as it was asked here.";
const BAD: &str = "The generator does not find what is known to be true. If the machine is busy, \
                   try again when\nit is not; if it still fails, believe no figure of this build.";

/// Plays one test, again if it may have been spoilt, and tells the last attempt.
fn play(test: &Test, stage: &Stage, score: &mut Score, to: &mut dyn Write) -> io::Result<()> {
    let attempts = if test.is_timed { ATTEMPTS } else { 1 };
    let mut before = Vec::new();
    let found = loop {
        let watch = Watch::new();
        let found = (test.run)(stage);
        let Some(why) = first_failure(&found).filter(|_| test.is_timed) else {
            break found;
        };
        let others = watch.others().map_or(String::new(), |others| {
            format!(" while others had {others:.0} % of the machine")
        });
        before.push(format!("{why}{others}"));
        if before.len() >= attempts || stage.is_stopped() {
            break found;
        }
        quiet::wait();
    };
    match found {
        Err(Trouble::Skipped(why)) => {
            score.skipped += 1;
            writeln!(to, "SKIP  {}: skipped: {why}", test.name)?;
        }
        Err(Trouble::Failed(why)) => {
            score.failed += 1;
            writeln!(to, "FAIL  {}: {why}", test.name)?;
        }
        Ok(found) => {
            for finding in &found {
                let counter = match finding.holds {
                    true => &mut score.passed,
                    false => &mut score.failed,
                };
                *counter += 1;
                writeln!(to, "{}", finding.line(test.name))?;
            }
            for (attempt, why) in before.iter().enumerate() {
                writeln!(to, "      (attempt {} of {ATTEMPTS}: {why})", attempt + 1)?;
            }
        }
    }
    to.flush()
}

/// What did not hold.
fn first_failure(found: &Result<Vec<Finding>, Trouble>) -> Option<String> {
    let failed = found.as_ref().ok()?.iter().find(|one| !one.holds)?;
    Some(format!("{} was {}", failed.what, failed.found))
}
