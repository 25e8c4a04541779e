//! Counts the system calls per response, in a pass of its own under strace(1). strace slows the
//! server down, so these samples are never compared.
//!
//! A server is traced twice, with a load and without one; the difference is that of the load.

use super::context::{RunContext, RunError};
use super::preflight;
use super::process::generate;
use super::sample::{self, SampleSpec};
use crate::bench::record::{Pass, Sample};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// Limit for the time from the end of the server to the summary of strace.
const SUMMARY_TIMEOUT: Duration = Duration::from_secs(5);

/// Whether strace is installed.
pub fn has_strace() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join("strace").is_file())
}

/// Counts the system calls per response. A failure makes the sample invalid.
///
/// # Errors
/// The user has interrupted the run.
pub fn count(context: &mut RunContext, spec: &SampleSpec) -> Result<Sample, RunError> {
    let mut sample = Sample {
        pass: Pass::Syscalls,
        round: u32::MAX,
        at: context.seconds(),
        ..Sample::default()
    };
    match attempt(context, spec) {
        Ok(calls) => {
            sample.metrics.insert("calls".to_owned(), sum(&calls));
            sample.syscalls = calls;
            let note = "counted under strace, which slows system calls down: threads wait for \
                        locks more often than without it (futex)";
            sample.notes.push(note.to_owned());
        }
        Err(RunError::Failed(reason)) => sample.invalid.push(reason),
        Err(RunError::Interrupted) => return Err(RunError::Interrupted),
    }
    Ok(sample)
}

/// The sum without futex(2): strace slows threads down so much that they wait for locks that are
/// free otherwise.
pub fn sum(calls: &BTreeMap<String, f64>) -> f64 {
    let counted = calls.iter().filter(|(name, _)| *name != "futex");
    counted.map(|(_, count)| count).sum()
}

fn attempt(context: &mut RunContext, spec: &SampleSpec) -> Result<BTreeMap<String, f64>, RunError> {
    let (without, _) = traced(context, spec, false)?;
    let (with, responses) = traced(context, spec, true)?;
    if responses == 0 {
        return Err(RunError::Failed("there was no response".to_owned()));
    }
    Ok(per_response(&with, &without, responses))
}

/// The system calls of a server from its start to its end, and its responses.
fn traced(
    context: &mut RunContext,
    spec: &SampleSpec,
    loaded: bool,
) -> Result<(BTreeMap<String, u64>, u64), RunError> {
    let summary = context.file("calls");
    // With -D the child process is the server, and strace a grandchild.
    let before = ["strace", "-D", "-f", "-q", "-c", "-o"].map(str::to_owned);
    let before = [
        &before[..],
        &[summary.display().to_string(), "--".to_owned()],
    ]
    .concat();
    let Some(server) = sample::start(context, spec, None, &before)? else {
        return Err(RunError::Failed(
            "a running server cannot be traced".to_owned(),
        ));
    };
    // The server listens before its signal handlers are installed; after a response both are there.
    preflight::get(server.address, &preflight::page(&spec.arm_spec).path)?;
    let mut responses = 0;
    if loaded {
        let mut load = sample::load(context, spec, server.address, None);
        // strace counts everything, so everything is measured.
        load.measure += load.warm_up;
        load.warm_up = 0;
        let outcome = generate(context, &load, || {})?;
        responses = outcome
            .groups
            .iter()
            .map(|seen| seen.totals.responses)
            .sum();
    }
    server.stop(context)?;
    let text = read_summary(context, &summary)?;
    Ok((parse(&text), responses))
}

/// Waits for the summary, which strace writes when the last process of the server has ended.
fn read_summary(context: &RunContext, path: &Path) -> Result<String, RunError> {
    let start = context.seconds();
    loop {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        if text.trim_end().ends_with("total") {
            return Ok(text);
        }
        if context.seconds() - start > SUMMARY_TIMEOUT.as_secs_f64() {
            return Err(RunError::Failed("strace wrote no summary".to_owned()));
        }
        context.sleep(Duration::from_millis(5))?;
    }
}

/// Parses the table of `strace -c`: calls by name.
fn parse(text: &str) -> BTreeMap<String, u64> {
    let row = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        // % time, seconds, usecs/call, calls, errors (may be empty), syscall
        let calls = columns.get(3)?.parse().ok()?;
        let name = *columns.last()?;
        (columns.len() >= 5 && name != "total").then(|| (name.to_owned(), calls))
    };
    text.lines().filter_map(row).collect()
}

/// Calls per response, without those of start and stop.
fn per_response(
    with: &BTreeMap<String, u64>,
    without: &BTreeMap<String, u64>,
    responses: u64,
) -> BTreeMap<String, f64> {
    // Counts here are far below 2^53.
    #[allow(clippy::cast_precision_loss)]
    let part = |calls: u64| calls as f64 / responses as f64;
    with.iter()
        .map(|(name, calls)| {
            let base = without.get(name).copied().unwrap_or(0);
            (name.clone(), part(calls.saturating_sub(base)))
        })
        // Less than one in many responses belongs to the connections.
        .filter(|(_, calls)| *calls >= 0.03)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUMMARY: &str = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.00    0.060000           6     10000       100 read
 40.00    0.040000           8      5000           write
  0.00    0.000000           0        21           mmap
------ ----------- ----------- --------- --------- ----------------
100.00    0.100000           6     15021       100 total
";

    fn calls<T: Copy>(pairs: &[(&str, T)]) -> BTreeMap<String, T> {
        pairs
            .iter()
            .map(|(name, number)| ((*name).to_owned(), *number))
            .collect()
    }

    #[test]
    fn the_table_of_strace_is_parsed_with_and_without_errors() {
        let expected = calls(&[("read", 10_000), ("write", 5000), ("mmap", 21)]);
        assert_eq!(parse(SUMMARY), expected);
        assert_eq!(parse("strace: no"), BTreeMap::new());
    }

    #[test]
    fn the_sum_does_not_include_futex() {
        let counted = calls(&[("read", 1.0), ("futex", 5.6), ("write", 1.0)]);
        assert!((sum(&counted) - 2.0).abs() < 1e-9);
    }

    #[test]
    fn the_calls_of_an_idle_server_are_subtracted() {
        let without = calls(&[("mmap", 20), ("read", 100)]);
        let found = per_response(&parse(SUMMARY), &without, 5000);
        assert_eq!(found, calls(&[("read", 1.98), ("write", 1.0)]));
    }
}
