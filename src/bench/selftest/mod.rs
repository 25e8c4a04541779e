//! Tests the load generator against servers with a known answer.
//!
//! - here: the list of the checks, and the output
//! - `checks`: scenarios with expected values; `wrk`: a comparison with wrk
//! - `expected`: expected values in closed form. No I/O
//! - `harness`: runs a known-answer server and the generator, and compares
//! - [`server`]: the known-answer server

mod checks;
mod expected;
mod harness;
pub mod server;
mod wrk;

use super::arguments::Selftest;
use super::platform;
use super::procfs::Usage;
use super::runner::context::{RunContext, RunError};
use harness::{Comparison, Harness, float};
use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

/// Limit for the attempts at a check that depends on a clock. A disturbance by the machine affects
/// one or two of them, a bug of the generator all.
const MAX_ATTEMPTS: usize = 5;
/// The exit code of an invalid command line.
const USAGE: u8 = 2;
/// The exit code after Ctrl-C, as in a shell.
const INTERRUPTED: u8 = 130;
/// Limit for waiting until the machine is quiet, seconds.
const QUIET_TIMEOUT: f64 = 30.0;
/// The machine is quiet if other programs use less than this, percent.
const QUIET: f64 = 4.0;

/// A check.
struct Check {
    /// What the filter of the command line matches.
    name: &'static str,
    /// Whether it depends on a clock, so that a busy machine may disturb it.
    is_timed: bool,
    run: fn(&Harness) -> checks::Result,
}

/// Why a check has no result.
#[derive(Debug)]
enum CheckError {
    /// It cannot run here; a sentence without its end.
    Skipped(String),
    /// Server or generator failed.
    Failed(String),
}

impl From<String> for CheckError {
    fn from(reason: String) -> Self {
        Self::Failed(reason)
    }
}

impl From<RunError> for CheckError {
    fn from(error: RunError) -> Self {
        Self::Failed(match error {
            RunError::Failed(reason) => reason,
            RunError::Interrupted => "interrupted".to_owned(),
        })
    }
}

const CHECKS: &[Check] = &[
    exact("counts: faults", checks::faults),
    exact("counts: connections", checks::connections),
    exact("counts: shares", checks::shares),
    exact("counts: dropped", checks::dropped),
    exact("counts: short", checks::short),
    timed("delay", checks::delay),
    timed("interval", checks::interval),
    timed("two-point latency", checks::two_point),
    timed("stall, open loop", checks::stall_open),
    timed("stall by signal", checks::stall_by_signal),
    timed("constant rate", checks::constant),
    timed("poisson arrivals", checks::poisson),
    timed("ceiling", checks::ceiling),
    timed("agreement with wrk", wrk::agreement),
];

const fn exact(name: &'static str, run: fn(&Harness) -> checks::Result) -> Check {
    Check {
        name,
        is_timed: false,
        run,
    }
}

const fn timed(name: &'static str, run: fn(&Harness) -> checks::Result) -> Check {
    Check {
        is_timed: true,
        ..exact(name, run)
    }
}

#[derive(Default)]
struct Summary {
    passed: u32,
    failed: u32,
    skipped: u32,
}

/// Runs the checks that match the filter, and prints the results. The exit code is 1 if one failed.
///
/// # Errors
/// The harness cannot be set up; standard output cannot be written.
pub fn run(arguments: &Selftest) -> Result<ExitCode, Box<dyn Error>> {
    let filter = arguments.filter.as_deref().unwrap_or_default();
    let selected: Vec<&Check> = (CHECKS.iter())
        .filter(|check| check.name.contains(filter))
        .collect();
    if selected.is_empty() {
        let names: Vec<_> = CHECKS.iter().map(|check| check.name).collect();
        let names = names.join("\n  ");
        writeln!(
            io::stderr(),
            "oneloop: no check has `{filter}` in its name; there are:\n  {names}"
        )?;
        return Ok(ExitCode::from(USAGE));
    }
    let harness = Harness::new(arguments.quick)?;
    let to = &mut io::stdout();
    if platform::UNOPTIMIZED {
        writeln!(
            to,
            "Built without optimization: the ceiling is meaningless."
        )?;
    }
    let mut summary = Summary::default();
    for check in &selected {
        run_check(check, &harness, &mut summary, to)?;
        if harness.context.is_interrupted() {
            writeln!(to, "\nInterrupted.")?;
            return Ok(ExitCode::from(INTERRUPTED));
        }
    }
    let Summary {
        passed,
        failed,
        skipped,
    } = summary;
    writeln!(to, "\n{passed} passed, {failed} failed, {skipped} skipped.")?;
    if let Some(ceiling) = harness.ceiling.get() {
        writeln!(
            to,
            "The ceiling of the generator on this machine is {ceiling:.0} requests per second. \
             Above 80 % of it\n({:.0}) a rate says more about the generator than about a server.",
            0.8 * ceiling
        )?;
    }
    if failed > 0 {
        writeln!(to, "{FAILED}")?;
        return Ok(ExitCode::FAILURE);
    }
    let is_complete = selected.len() == CHECKS.len() && skipped == 0;
    writeln!(to, "{}", if is_complete { PASSED } else { PARTLY })?;
    Ok(ExitCode::SUCCESS)
}

const PASSED: &str = "The generator finds the expected values.";
const PARTLY: &str = "The generator finds the expected values in the checks that ran.";
const FAILED: &str = "The generator does not find the expected values. If other programs were \
                      running, repeat without\nthem; if it fails again, do not trust results of \
                      this build.";

/// Runs a check, again if the machine may have disturbed it, and prints the last attempt.
fn run_check(
    check: &Check,
    harness: &Harness,
    summary: &mut Summary,
    to: &mut dyn Write,
) -> io::Result<()> {
    let attempts = if check.is_timed { MAX_ATTEMPTS } else { 1 };
    let mut failures = Vec::new();
    let result = loop {
        let watch = CpuWatch::new(&harness.context);
        let result = (check.run)(harness);
        let Some(failure) = first_failure(&result).filter(|_| check.is_timed) else {
            break result;
        };
        let others = watch.others().map_or(String::new(), |others| {
            format!(" while other programs used {others:.0} % of the machine")
        });
        failures.push(format!("{failure}{others}"));
        if failures.len() >= attempts || harness.context.is_interrupted() {
            break result;
        }
        wait_until_quiet(&harness.context);
    };
    match result {
        Err(CheckError::Skipped(reason)) => {
            summary.skipped += 1;
            writeln!(to, "SKIP  {}: {reason}", check.name)?;
        }
        Err(CheckError::Failed(reason)) => {
            summary.failed += 1;
            writeln!(to, "FAIL  {}: {reason}", check.name)?;
        }
        Ok(comparisons) => {
            for comparison in &comparisons {
                let counter = match comparison.passed {
                    true => &mut summary.passed,
                    false => &mut summary.failed,
                };
                *counter += 1;
                writeln!(to, "{}", comparison.line(check.name))?;
            }
            for (attempt, failure) in failures.iter().enumerate() {
                let attempt = attempt + 1;
                writeln!(to, "      (attempt {attempt} of {MAX_ATTEMPTS}: {failure})")?;
            }
        }
    }
    to.flush()
}

fn first_failure(result: &checks::Result) -> Option<String> {
    let failed = |comparison: &&Comparison| !comparison.passed;
    let failure = result.as_ref().ok()?.iter().find(failed)?;
    Some(format!("{} was {}", failure.what, failure.found))
}

/// The CPU time that other programs use from now on.
struct CpuWatch<'c> {
    context: &'c RunContext,
    before: Option<Usage>,
    start: f64,
}

impl<'c> CpuWatch<'c> {
    fn new(context: &'c RunContext) -> Self {
        Self {
            context,
            before: Usage::of(std::process::id()),
            start: context.seconds(),
        }
    }

    /// What other programs and other machines on the host have used, percent of the machine. `None`
    /// without /proc.
    fn others(&self) -> Option<f64> {
        let (before, after) = (self.before?, Usage::of(std::process::id())?);
        let cpus = float(self.context.cpu_count as u64);
        let total = (self.context.seconds() - self.start) * cpus * 1e9;
        let machine = after.machine.saturating_sub(before.machine);
        let own = after.cpu_time.saturating_sub(before.cpu_time);
        let steal = after.steal.saturating_sub(before.steal);
        (total > 0.0).then(|| 100.0 * float(machine.saturating_sub(own) + steal) / total)
    }
}

fn wait_until_quiet(context: &RunContext) {
    let start = context.seconds();
    loop {
        let watch = CpuWatch::new(context);
        let is_interrupted = context.sleep(Duration::from_millis(250)).is_err();
        let is_quiet = watch.others().is_none_or(|others| others < QUIET);
        if is_interrupted || is_quiet || context.seconds() - start > QUIET_TIMEOUT {
            return;
        }
    }
}
