//! Room `bench`: is a run valid? For scripts, which see only the exit
//! code, and for those who want to know before they read the table.

use super::analysis::{Analysis, analyse, pairs};
use super::record::{Pass, Run};
use super::stats::histogram;
use super::table::Terminal;
use super::table::format::plain;
use std::io::{self, Write};
use std::process::ExitCode;

/// One in so many samples may be invalid.
const SPOILED: usize = 10;
/// Sentences about histograms.
const MOST: usize = 5;

/// Says what is wrong with a run; the exit code is 1 if anything is.
///
/// # Errors
/// If `to` cannot be written to.
pub fn print(run: &Run, to: &mut dyn Write, terminal: Terminal) -> io::Result<ExitCode> {
    let analysis = analyse(run);
    let faults = faults(run, &analysis);
    if faults.is_empty() {
        let samples = run.samples.len();
        let cells = analysis.cells.len();
        let told = format!("The run is valid: {samples} samples in {cells} cells.");
        terminal.item(to, "", &told)?;
        return Ok(ExitCode::SUCCESS);
    }
    for fault in &faults {
        terminal.item(to, "- ", &plain(fault))?;
    }
    Ok(ExitCode::FAILURE)
}

/// Why a run is not valid, as sentences.
pub fn faults(run: &Run, analysis: &Analysis) -> Vec<String> {
    let mut faults: Vec<String> = run.problems.clone();
    faults.extend(
        analysis
            .remarks
            .iter()
            .filter(|remark| !remark.starts_with(TELLS))
            .cloned(),
    );
    faults.extend(strays(run));
    faults.extend(spoiled(run));
    faults.extend(empty(run, analysis));
    faults.extend(unreadable(run));
    faults
}

/// How the one remark begins that is no fault.
const TELLS: &str = "Differences up to";

/// Samples of cells or arms that the run does not have.
fn strays(run: &Run) -> Option<String> {
    let stray = run.samples.iter();
    let stray = stray.filter(|one| one.arm >= run.arms.len() || one.cell >= run.cells.len());
    let count = stray.count();
    (count > 0).then(|| {
        format!(
            "{count} samples are of an arm or a cell that the run does not have: edited by hand?"
        )
    })
}

fn spoiled(run: &Run) -> Option<String> {
    let measured = || run.samples.iter().filter(|one| one.pass == Pass::Measured);
    let (all, invalid) = (
        measured().count(),
        measured().filter(|one| !one.invalid.is_empty()).count(),
    );
    (invalid * SPOILED > all).then(|| {
        format!(
            "{invalid} of {all} samples do not count: the machine is not quiet enough, or a load \
             is too high for it."
        )
    })
}

/// Places in which not a single sample counts.
fn empty(run: &Run, analysis: &Analysis) -> Vec<String> {
    let mut sentences = Vec::new();
    for cell in &analysis.cells {
        let names = cell.rows.iter().filter(|row| row.samples == 0);
        let names = names.filter_map(|row| run.arms.get(row.arm));
        let names: Vec<&str> = names.map(|arm| arm.name.as_str()).collect();
        let name = run
            .cells
            .get(cell.cell)
            .map_or("?", |cell| cell.name.as_str());
        if !names.is_empty() {
            sentences.push(format!("{name}: no sample of {} counts.", names.join(", ")));
        }
        if cell.rows.is_empty() {
            sentences.push(format!("{name}: nothing was measured."));
        } else if !cell.rows.iter().any(|row| row.arm == pairs::REFERENCE) {
            sentences.push(format!("{name}: the reference was not measured."));
        }
    }
    sentences
}

/// Histograms that cannot be read.
fn unreadable(run: &Run) -> Vec<String> {
    let all = run.samples.iter().enumerate();
    let named = all.flat_map(|(index, sample)| {
        let histograms = sample.histograms.iter();
        histograms
            .filter(|(_, text)| !text.is_empty())
            .map(move |(name, text)| (index, name, text))
    });
    let faults = named.filter_map(|(index, name, text)| {
        let reason = histogram::decode(text).err()?;
        Some(format!(
            "The histogram `{name}` of sample {index} cannot be read: {reason}."
        ))
    });
    faults.take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::analysis::sample_runs::plain;

    fn told(run: &Run) -> Vec<String> {
        faults(run, &analyse(run))
    }

    fn said(run: &Run) -> (String, bool) {
        let mut bytes = Vec::new();
        let code = print(run, &mut bytes, Terminal::new(80, false)).unwrap();
        (String::from_utf8(bytes).unwrap(), code == ExitCode::SUCCESS)
    }

    #[test]
    fn a_good_run_is_good() {
        let run = plain([1.0, 1.0, 0.86, 0.9], 8);
        assert_eq!(told(&run), [""; 0]);
        let expected = "The run is valid: 32 samples in 1 cells.\n";
        assert_eq!(said(&run), (expected.to_owned(), true));
    }

    #[test]
    fn each_fault_has_a_sentence() {
        let good = || plain([1.0, 1.0, 0.86, 0.9], 8);
        let mut problem = good();
        problem
            .problems
            .push("The server of thread did not stop.".to_owned());
        let mut stray = good();
        stray.samples[7].cell = 9;
        let mut spoiled = good();
        for sample in &mut spoiled.samples[..4] {
            sample.invalid.push("steal".to_owned());
        }
        let mut histogram = good();
        histogram.samples[3]
            .histograms
            .insert("response".to_owned(), "?".to_owned());
        let mut empty = good();
        for sample in empty.samples.iter_mut().filter(|one| one.arm == 3) {
            sample.invalid.push("steal".to_owned());
        }
        let cases = [
            (problem, "The server of thread did not stop."),
            (
                stray,
                "1 samples are of an arm or a cell that the run does not have",
            ),
            (spoiled, "4 of 32 samples do not count"),
            (
                histogram,
                "The histogram `response` of sample 3 cannot be read: it is no base64",
            ),
            (empty, "8 of 32 samples do not count"),
            (plain([1.0, 1.0, 0.86, 0.9], 5), "All of it is indicative"),
            (plain([1.0, 1.3, 0.86, 0.9], 8), "UNPROVEN"),
            (Run::default(), "Nothing was measured twice"),
        ];
        for (run, sentence) in cases {
            let told = told(&run);
            assert!(
                told.first().is_some_and(|one| one.starts_with(sentence)),
                "{told:?}"
            );
            assert!(!said(&run).1, "{sentence}");
        }
    }

    #[test]
    fn an_arm_of_which_nothing_counts_is_named() {
        let mut run = plain([1.0, 1.0, 0.86, 0.9], 8);
        for sample in run.samples.iter_mut().filter(|one| one.arm == 3) {
            sample.invalid.push("steal".to_owned());
        }
        assert!(told(&run).contains(&"keepalive c=64: no sample of process counts.".to_owned()));
        run.samples.retain(|one| one.arm != 0);
        let reference = "keepalive c=64: the reference was not measured.".to_owned();
        assert!(told(&run).contains(&reference), "{:?}", told(&run));
    }
}
