//! Room `bench`: which system calls does a request take? A pass of its own under strace(1), which
//! makes everything slow and so is never compared.
//!
//! A server is counted twice, with a load and without one; the difference is the load's.

use super::generate::play;
use super::preflight;
use super::run_context::{RunContext, Trouble};
use super::sample::{self, Order};
use crate::bench::record::{Pass, Sample};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// How long strace may take to write its summary after the server has ended.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether strace is installed.
pub fn can_be_counted() -> bool {
    let places = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&places).any(|place| place.join("strace").is_file())
}

/// Counts the calls of a request, or of a connection where each has one.
///
/// # Errors
/// If the user wants to stop.
pub fn count(lab: &mut RunContext, order: &Order) -> Result<Sample, Trouble> {
    let mut sample = Sample {
        pass: Pass::Syscalls,
        round: u32::MAX,
        at: lab.seconds(),
        ..Sample::default()
    };
    match attempt(lab, order) {
        Ok(calls) => {
            sample.metrics.insert("syscalls".to_owned(), sum(&calls));
            sample.syscalls = calls;
            let note = "counted under strace, which slows calls down: threads wait for each \
                        other more often than else (futex)";
            sample.notes.push(note.to_owned());
        }
        Err(Trouble::Failed(why)) => sample.invalid.push(why),
        Err(Trouble::Interrupted) => return Err(Trouble::Interrupted),
    }
    Ok(sample)
}

/// All but futex(2): strace slows threads so much that they wait for each other at locks which they
/// pass freely otherwise.
pub fn sum(calls: &BTreeMap<String, f64>) -> f64 {
    let counted = calls.iter().filter(|(name, _)| *name != "futex");
    counted.map(|(_, count)| count).sum()
}

fn attempt(lab: &mut RunContext, order: &Order) -> Result<BTreeMap<String, f64>, Trouble> {
    let (without, _) = watched(lab, order, false)?;
    let (with, answers) = watched(lab, order, true)?;
    if answers == 0 {
        return Err(Trouble::Failed("no request was answered".to_owned()));
    }
    Ok(each(&with, &without, answers))
}

/// The calls of a server from its beginning to its end, and the answers that it gave.
fn watched(
    lab: &mut RunContext,
    order: &Order,
    loaded: bool,
) -> Result<(BTreeMap<String, u64>, u64), Trouble> {
    let summary = lab.file("syscalls");
    // With -D the process that we start is the server, and strace a grandchild.
    let before = ["strace", "-D", "-f", "-q", "-c", "-o"].map(str::to_owned);
    let before = [
        &before[..],
        &[summary.display().to_string(), "--".to_owned()],
    ]
    .concat();
    let Some(server) = sample::start(lab, order, None, &before)? else {
        return Err(Trouble::Failed("it was not started by us".to_owned()));
    };
    // It listens before it listens for signals; who has had an answer knows that it does both.
    preflight::ask(server.address, &preflight::page(order.arm_spec).path)?;
    let mut answers = 0;
    if loaded {
        let mut load = sample::load(lab, order, server.address, None);
        // Everything is counted, so everything is measured.
        load.measure += load.warm_up;
        load.warm_up = 0;
        let outcome = play(lab, &load, || {})?;
        answers = outcome
            .groups
            .iter()
            .map(|seen| seen.totals.responses)
            .sum();
    }
    server.stop(lab)?;
    let text = written(lab, &summary)?;
    let _ = std::fs::remove_file(&summary);
    Ok((table(&text), answers))
}

/// Waits for the summary, which is written when the last of the server's processes has ended.
fn written(lab: &RunContext, path: &Path) -> Result<String, Trouble> {
    let begun = lab.seconds();
    loop {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        if text.trim_end().ends_with("total") {
            return Ok(text);
        }
        if lab.seconds() - begun > PATIENCE.as_secs_f64() {
            return Err(Trouble::Failed("strace wrote no summary".to_owned()));
        }
        lab.rest(Duration::from_millis(5))?;
    }
}

/// Calls by name, of the table that `strace -c` writes.
fn table(text: &str) -> BTreeMap<String, u64> {
    let row = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        // % time, seconds, usecs/call, calls, errors if there were any, syscall
        let calls = columns.get(3)?.parse().ok()?;
        let name = *columns.last()?;
        (columns.len() >= 5 && name != "total").then(|| (name.to_owned(), calls))
    };
    text.lines().filter_map(row).collect()
}

/// Calls for each answer; those that come with starting and stopping are taken away.
fn each(
    with: &BTreeMap<String, u64>,
    without: &BTreeMap<String, u64>,
    answers: u64,
) -> BTreeMap<String, f64> {
    // Counts here are far below 2^53.
    #[allow(clippy::cast_precision_loss)]
    let part = |calls: u64| calls as f64 / answers as f64;
    with.iter()
        .map(|(name, calls)| {
            let usual = without.get(name).copied().unwrap_or(0);
            (name.clone(), part(calls.saturating_sub(usual)))
        })
        // Fewer than one for many requests belong to the connections, not to the requests.
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
    fn the_table_of_strace_is_read_with_and_without_errors() {
        let wanted = calls(&[("read", 10_000), ("write", 5000), ("mmap", 21)]);
        assert_eq!(table(SUMMARY), wanted);
        assert_eq!(table("strace: no"), BTreeMap::new());
    }

    #[test]
    fn waiting_for_locks_is_not_in_the_sum() {
        let counted = calls(&[("read", 1.0), ("futex", 5.6), ("write", 1.0)]);
        assert!((sum(&counted) - 2.0).abs() < 1e-9);
    }

    #[test]
    fn what_a_server_does_without_a_load_is_not_the_loads() {
        let without = calls(&[("mmap", 20), ("read", 100)]);
        let found = each(&table(SUMMARY), &without, 5000);
        assert_eq!(found, calls(&[("read", 1.98), ("write", 1.0)]));
    }
}
