//! `oneloop bench check`: whether a run is valid. Scripts see the exit code.

use super::analysis::summary::doubts;
use super::analysis::{Analysis, analyse, pairs};
use super::output::format::plain;
use super::output::terminal::Terminal;
use super::record::{Pass, Run};
use super::stats::histogram;
use std::io::{self, Write};
use std::process::ExitCode;

/// One in this many samples may be invalid.
const MAX_INVALID: usize = 10;
/// The most messages about histograms.
const MAX_MESSAGES: usize = 5;

/// Prints the problems of a run. The exit code is 1 if there are any.
///
/// # Errors
/// If `to` cannot be written to.
pub fn print(run: &Run, to: &mut dyn Write, terminal: Terminal) -> io::Result<ExitCode> {
    let analysis = analyse(run);
    let problems = problems(run, &analysis);
    if problems.is_empty() {
        let (samples, cells) = (run.samples.len(), analysis.cells.len());
        let text = format!("The run is valid: {samples} samples in {cells} cells.");
        terminal.item(to, "", &text)?;
        return Ok(ExitCode::SUCCESS);
    }
    for problem in &problems {
        terminal.item(to, "- ", &plain(problem))?;
    }
    Ok(ExitCode::FAILURE)
}

/// Why a run is not valid, as sentences.
pub fn problems(run: &Run, analysis: &Analysis) -> Vec<String> {
    let mut problems: Vec<String> = run.problems.clone();
    problems.extend(doubts(run, analysis));
    problems.extend(unknown_samples(run));
    problems.extend(invalid_samples(run));
    problems.extend(missing_samples(run, analysis));
    problems.extend(unreadable_histograms(run));
    problems
}

fn unknown_samples(run: &Run) -> Option<String> {
    let samples = run.samples.iter();
    let unknown = samples.filter(|one| one.arm >= run.arms.len() || one.cell >= run.cells.len());
    let count = unknown.count();
    (count > 0).then(|| {
        format!("{count} samples have an arm or a cell that the run does not have: was it edited?")
    })
}

fn invalid_samples(run: &Run) -> Option<String> {
    let measured = || run.samples.iter().filter(|one| one.pass == Pass::Measured);
    let all = measured().count();
    let invalid = measured().filter(|one| !one.invalid.is_empty()).count();
    (invalid * MAX_INVALID > all).then(|| {
        format!(
            "{invalid} of {all} samples are invalid: the machine is not quiet enough, or the load \
             is too high for it."
        )
    })
}

/// Arms without a valid sample, and cells without the reference.
fn missing_samples(run: &Run, analysis: &Analysis) -> Vec<String> {
    let mut sentences = Vec::new();
    for of in &analysis.cells {
        let name = run.cells.get(of.cell).map_or("?", |cell| &cell.name);
        let arms = of.rows.iter().filter(|row| row.valid == 0);
        let arms = arms.filter_map(|row| run.arms.get(row.arm));
        let arms: Vec<&str> = arms.map(|arm| arm.name.as_str()).collect();
        if !arms.is_empty() {
            sentences.push(format!("{name}: no valid sample of {}.", arms.join(", ")));
        }
        if of.rows.is_empty() {
            sentences.push(format!("{name}: nothing was measured."));
        } else if !of.rows.iter().any(|row| row.arm == pairs::REFERENCE) {
            sentences.push(format!("{name}: the reference was not measured."));
        }
    }
    sentences
}

fn unreadable_histograms(run: &Run) -> Vec<String> {
    let samples = run.samples.iter().enumerate();
    let histograms = samples.flat_map(|(index, sample)| {
        let texts = sample.histograms.iter();
        texts
            .filter(|(_, text)| !text.is_empty())
            .map(move |(name, text)| (index, name, text))
    });
    let messages = histograms.filter_map(|(index, name, text)| {
        let reason = histogram::decode(text).err()?;
        Some(format!(
            "The histogram `{name}` of sample {index} cannot be read: {reason}."
        ))
    });
    messages.take(MAX_MESSAGES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::analysis::sample_runs::plain;

    fn found(run: &Run) -> Vec<String> {
        problems(run, &analyse(run))
    }

    fn printed(run: &Run) -> (String, bool) {
        let mut bytes = Vec::new();
        let code = print(run, &mut bytes, Terminal::new(80, false)).unwrap();
        (String::from_utf8(bytes).unwrap(), code == ExitCode::SUCCESS)
    }

    #[test]
    fn a_good_run_has_no_problems() {
        let run = plain([1.0, 1.0, 0.86, 0.9], 8);
        assert_eq!(found(&run), [""; 0]);
        let expected = "The run is valid: 32 samples in 1 cells.\n";
        assert_eq!(printed(&run), (expected.to_owned(), true));
    }

    #[test]
    fn each_problem_has_a_sentence() {
        let good = || plain([1.0, 1.0, 0.86, 0.9], 8);
        let mut problem = good();
        problem
            .problems
            .push("The server of thread did not stop.".to_owned());
        let mut unknown = good();
        unknown.samples[7].cell = 9;
        let mut invalid = good();
        for sample in &mut invalid.samples[..4] {
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
                unknown,
                "1 samples have an arm or a cell that the run does not have",
            ),
            (invalid, "4 of 32 samples are invalid"),
            (
                histogram,
                "The histogram `response` of sample 3 cannot be read: it is not base64",
            ),
            (empty, "8 of 32 samples are invalid"),
            (
                plain([1.0, 1.0, 0.86, 0.9], 5),
                "INDICATIVE: 5 rounds may differ by chance",
            ),
            (plain([1.0, 1.3, 0.86, 0.9], 8), "UNPROVEN"),
            (Run::default(), "There is no control"),
        ];
        for (run, sentence) in cases {
            let problems = found(&run);
            assert!(
                problems
                    .first()
                    .is_some_and(|one| one.starts_with(sentence)),
                "{problems:?}"
            );
            assert!(!printed(&run).1, "{sentence}");
        }
    }

    #[test]
    fn an_arm_without_a_valid_sample_is_named() {
        let mut run = plain([1.0, 1.0, 0.86, 0.9], 8);
        for sample in run.samples.iter_mut().filter(|one| one.arm == 3) {
            sample.invalid.push("steal".to_owned());
        }
        assert!(found(&run).contains(&"keepalive c=64: no valid sample of process.".to_owned()));
        run.samples.retain(|one| one.arm != 0);
        let reference = "keepalive c=64: the reference was not measured.".to_owned();
        assert!(found(&run).contains(&reference), "{:?}", found(&run));
    }
}
