//! The result of a run in sentences: the answer first, then what limits it.

use super::{Analysis, CellAnalysis, Estimate, REFERENCE, Row, Verdict};
use crate::bench::metrics::{Better, better_of, group_meaning, group_of, metric_named};
use crate::bench::stats::PAIRS;
use crate::bench::types::{ArmKind, Pass, Run};
use std::collections::{BTreeMap, BTreeSet};

/// The answer in one cell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// The index in [`Run::cells`].
    pub cell: usize,
    /// What is compared: `mice p99: 99th percentile ...`.
    pub metric: String,
    /// Which arms are better, and by which factor, as sentences.
    pub result: String,
}

/// The answer in each cell that has a comparison.
pub fn answers(run: &Run, analysis: &Analysis) -> Vec<Answer> {
    let mut explained = BTreeSet::new();
    let mut answers = Vec::new();
    for of in &analysis.cells {
        let Some(cell) = run.cells.get(of.cell) else {
            continue;
        };
        let result = result(run, of, &cell.primary_metric);
        if result.is_empty() {
            continue;
        }
        answers.push(Answer {
            cell: of.cell,
            metric: phrase(&cell.primary_metric, &mut explained),
            result,
        });
    }
    answers
}

/// `99th percentile of the response time of the mice (small requests ...)`: a group is explained
/// where it occurs first.
fn phrase(metric: &str, explained: &mut BTreeSet<String>) -> String {
    let meaning = metric_named(metric).map_or(metric, |metric| metric.meaning);
    let Some(group) = group_of(metric) else {
        return meaning.to_owned();
    };
    match group_meaning(group).filter(|_| explained.insert(group.to_owned())) {
        Some(what) => format!("{meaning} of the {group} ({what})"),
        None => format!("{meaning} of the {group}"),
    }
}

/// Arms by their result.
#[derive(Default)]
struct Sorted<'r> {
    better: Vec<(&'r str, f64)>,
    worse: Vec<(&'r str, f64)>,
    equal: Vec<&'r str>,
    unknown: Vec<&'r str>,
}

fn result(run: &Run, of: &CellAnalysis, metric: &str) -> String {
    let name = |arm: usize| run.arms.get(arm).map_or("?", |arm| arm.name.as_str());
    let is_compared = |row: &&Row| {
        let kind = run.arms.get(row.arm).map(|arm| arm.kind);
        row.arm != REFERENCE && kind != Some(ArmKind::Control)
    };
    let mut arms = Sorted::default();
    for row in of.rows.iter().filter(is_compared) {
        let name = name(row.arm);
        match (row.ratio, tendency(row, metric)) {
            (Some(ratio), Verdict::Better) => arms.better.push((name, factor(ratio))),
            (Some(ratio), Verdict::Worse) => arms.worse.push((name, factor(ratio))),
            (_, Verdict::NoDifference) => arms.equal.push(name),
            _ => arms.unknown.push(name),
        }
    }
    let reference = name(REFERENCE);
    let list = |arms: &[(&str, f64)]| {
        let text = |(name, factor): &(&str, f64)| format!("{name} ({})", times(*factor));
        arms.iter().map(text).collect::<Vec<_>>().join(", ")
    };
    let mut sentences = Vec::new();
    if !arms.worse.is_empty() {
        let others = list(&arms.worse);
        sentences.push(format!("{reference} is better than {others}."));
    }
    if !arms.better.is_empty() {
        let is = if arms.better.len() == 1 { "is" } else { "are" };
        let others = list(&arms.better);
        sentences.push(format!("{others} {is} better than {reference}."));
    }
    if !arms.equal.is_empty() {
        sentences.push(format!("No difference shown: {}.", arms.equal.join(", ")));
    }
    if !arms.unknown.is_empty() {
        sentences.push(format!("No verdict: {}.", arms.unknown.join(", ")));
    }
    sentences.join(" ")
}

/// The verdict, or with too few rounds for one, the side to which all rounds fall.
fn tendency(row: &Row, metric: &str) -> Verdict {
    match (row.verdict, row.ratio) {
        (Verdict::Indicative, Some(ratio)) if ratio.pairs > 1 => {
            match (ratio.excludes_one(), better_of(metric)) {
                (false, _) | (_, Better::Neither) => Verdict::Indicative,
                (true, better) if (ratio.median > 1.0) == (better == Better::Higher) => {
                    Verdict::Better
                }
                (true, _) => Verdict::Worse,
            }
        }
        (verdict, _) => verdict,
    }
}

/// How many times the larger value is the smaller one.
fn factor(ratio: Estimate) -> f64 {
    ratio.median.max(1.0 / ratio.median)
}

fn times(factor: f64) -> String {
    match factor {
        huge if huge >= 9999.5 => "over 9999 times".to_owned(),
        large if large >= 9.95 => format!("{large:.0} times"),
        small => format!("{small:.2} times"),
    }
}

/// Whether at least one comparison has a verdict.
pub fn has_verdicts(run: &Run, analysis: &Analysis) -> bool {
    let rows = analysis.cells.iter().flat_map(|cell| &cell.rows);
    let others = rows.filter(|row| {
        let kind = run.arms.get(row.arm).map(|arm| arm.kind);
        row.arm != REFERENCE && kind != Some(ArmKind::Control)
    });
    others
        .map(|row| row.verdict)
        .any(|verdict| verdict.is_difference() || verdict == Verdict::NoDifference)
}

/// Why the results are limited or cannot be trusted, as sentences. Empty if all is well.
pub fn doubts(run: &Run, analysis: &Analysis) -> Vec<String> {
    let mut doubts = Vec::new();
    if analysis.unproven {
        doubts.push(
            "UNPROVEN: the reference and its control, which are the same program, differ by more \
             than chance allows. Trust no difference in this run; find what disturbed the machine, \
             and run it again."
                .to_owned(),
        );
    }
    if !run.arms.iter().any(|arm| arm.kind == ArmKind::Control) {
        doubts.push("There is no control, so the noise is unknown: no verdicts.".to_owned());
    }
    let rows = analysis.cells.iter().flat_map(|cell| &cell.rows);
    let others = rows.filter(|row| row.arm != REFERENCE);
    let pairs = others.filter_map(|row| Some(row.ratio?.pairs)).max();
    match pairs {
        None => doubts.push("There is nothing to compare in this run.".to_owned()),
        Some(pairs) if pairs < PAIRS => doubts.push(format!(
            "INDICATIVE: {pairs} round{} may differ by chance. Verdicts need {} rounds.",
            if pairs == 1 { "" } else { "s" },
            PAIRS
        )),
        Some(_) => {}
    }
    let rows = analysis.cells.iter().flat_map(|cell| &cell.rows);
    let (valid, invalid) = rows.fold((0, 0), |(valid, invalid), row| {
        (valid + row.valid, invalid + row.invalid)
    });
    if invalid * 9 > valid {
        doubts.push(format!(
            "{invalid} of {} samples are invalid: the machine is not quiet enough, or the load is \
             too high for it.",
            valid + invalid
        ));
    }
    let unproven = analysis.cells.iter().filter(|cell| !cell.proven);
    let names = unproven.filter_map(|cell| run.cells.get(cell.cell));
    let names: Vec<&str> = names.map(|cell| cell.name.as_str()).collect();
    if !names.is_empty() {
        doubts.push(format!(
            "The control differs from the reference in {}: no verdicts there.",
            names.join(", ")
        ));
    }
    doubts
}

/// The noise floors of a run in a sentence.
pub fn noise(run: &Run, analysis: &Analysis) -> Option<String> {
    let floor = |cell: &CellAnalysis| {
        let name = run.cells.get(cell.cell)?.name.as_str();
        let is_sure = cell.control.is_some_and(|one| one.has_interval());
        is_sure.then_some((100.0 * cell.noise_floor, name))
    };
    let mut floors: Vec<(f64, &str)> = analysis.cells.iter().filter_map(floor).collect();
    floors.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let ((least, _), (most, name)) = (*floors.first()?, *floors.last()?);
    let noisiest = match floors.len() {
        1 => String::new(),
        _ => format!(" ({most:.1} % in {name})"),
    };
    Some(format!(
        "Differences up to {least:.1} %{noisiest} are noise: the reference differs from itself by \
         as much."
    ))
}

/// Why samples are invalid, as sentences, the most frequent first. Reasons that differ only in
/// their numbers are one: `steal was 4.1 % (2 samples: keepalive c=64 thread 2 5)`, with rounds
/// counted from 1.
pub fn invalid(run: &Run) -> Vec<String> {
    type Rounds<'r> = BTreeMap<(usize, usize), Vec<String>>;
    let mut reasons: Vec<(String, &str, usize, Rounds)> = Vec::new();
    for sample in run.samples.iter().filter(|one| one.pass == Pass::Measured) {
        for reason in &sample.invalid {
            let kind = reason.replace(|c: char| c.is_ascii_digit() || c == '.', "");
            if !reasons.iter().any(|(known, ..)| *known == kind) {
                reasons.push((kind.clone(), reason, 0, Rounds::new()));
            }
            for (_, _, count, rounds) in reasons.iter_mut().filter(|(known, ..)| *known == kind) {
                *count += 1;
                let rounds = rounds.entry((sample.cell, sample.arm)).or_default();
                rounds.push((u64::from(sample.round) + 1).to_string());
            }
        }
    }
    reasons.sort_by_key(|(_, _, count, _)| std::cmp::Reverse(*count));
    let sentence = |(_, reason, count, rounds): &(String, &str, usize, Rounds)| {
        let places = rounds.iter().map(|((cell, arm), rounds)| {
            let cell = run.cells.get(*cell).map_or("?", |cell| &cell.name);
            let arm = run.arms.get(*arm).map_or("?", |arm| &arm.name);
            format!("{cell} {arm} {}", rounds.join(" "))
        });
        let places: Vec<String> = places.collect();
        let s = if *count == 1 { "" } else { "s" };
        format!("{reason} ({count} sample{s}: {})", places.join("; "))
    };
    reasons.iter().map(sentence).collect()
}

/// What a run on one machine cannot tell, as sentences.
pub fn limits(run: &Run) -> Vec<String> {
    let mut limits = vec![
        "Client and server run on one machine, over loopback: no distance, no packet loss, no \
         network card. No number here holds for a network."
            .to_owned(),
        "On loopback the sender also does the kernel's work of the receiver. So a part of the \
         server's CPU time counts as the generator's, and the reverse; machine/req has both."
            .to_owned(),
        "All files are in the page cache.".to_owned(),
        "No hardware counters (instructions, cache misses): what a context switch costs in cold \
         caches is visible only in the time."
            .to_owned(),
    ];
    let fact = |name: &str| run.environment.facts.get(name).map(String::as_str);
    if run.cells.iter().any(|cell| !cell.pinned) {
        limits.push(
            "Server and generator were not pinned to different CPUs, so they slowed each other."
                .to_owned(),
        );
    }
    if let Some(cores) = fact("cores") {
        limits.push(format!(
            "The machine has {cores} CPUs. A pinned server has one of them, so nothing here shows \
             how a model would use several."
        ));
    }
    if fact("virtualization").is_some_and(|kind| !matches!(kind, "none" | "no" | "")) {
        limits.push(
            "It is a virtual machine: the activity of its host is visible only as steal time, and \
             not all of it."
                .to_owned(),
        );
    }
    limits
}

#[cfg(test)]
mod tests {
    use super::super::analyse;
    use super::super::sample_runs::{add, plain, run};
    use super::*;

    fn results(run: &Run) -> Vec<String> {
        let answers = answers(run, &analyse(run));
        answers.into_iter().map(|answer| answer.result).collect()
    }

    #[test]
    fn an_answer_says_which_is_better_by_which_factor() {
        let found = results(&plain([1.0, 1.0, 0.5, 0.25], 8));
        assert_eq!(
            found,
            ["reactor is better than thread (2.00 times), process (4.01 times)."]
        );
        let found = results(&plain([1.0, 1.0, 20.0, 1.001], 8));
        let expected = "thread (20 times) is better than reactor. No difference shown: process.";
        assert_eq!(found, [expected]);
    }

    #[test]
    fn without_a_verdict_the_answer_is_what_all_rounds_show() {
        let found = results(&plain([1.0, 1.0, 0.5, 1.0], 3));
        let expected = "reactor is better than thread (2.00 times). No verdict: process.";
        assert_eq!(found, [expected]);
        assert_eq!(
            results(&plain([1.0, 1.0, 0.5, 1.0], 1)),
            ["No verdict: thread, process."]
        );
        assert_eq!(results(&Run::default()), [""; 0]);
    }

    #[test]
    fn a_group_is_explained_once() {
        let mut run = run(&[("mixed a=1", "mice.p99"), ("burn a=1", "mice.p99")]);
        for cell in 0..2 {
            for arm in 0..3 {
                add(&mut run, (cell, arm, 0), &[("mice.p99", 5.0)]);
            }
        }
        let answers = answers(&run, &analyse(&run));
        let metrics: Vec<&str> = answers.iter().map(|one| one.metric.as_str()).collect();
        let p99 = "99th percentile of the response time of the mice";
        let first = format!("{p99} (small requests beside the heavy ones)");
        assert_eq!(metrics, [first.as_str(), p99]);
    }

    #[test]
    fn a_run_with_few_rounds_or_with_a_bad_control_has_doubts() {
        let doubts = |run: &Run| doubts(run, &analyse(run));
        let good = plain([1.0, 1.0, 0.86, 1.0], 8);
        assert_eq!(doubts(&good), [""; 0]);
        assert!(
            noise(&good, &analyse(&good))
                .unwrap()
                .starts_with("Differences up to 2.5 % are")
        );
        assert!(doubts(&plain([1.0; 4], 3))[0].starts_with("INDICATIVE: 3 rounds"));
        let found = doubts(&plain([1.0, 1.25, 0.86, 1.0], 8));
        assert!(found[0].starts_with("UNPROVEN"), "{found:?}");
        assert!(
            found[1].ends_with("in keepalive c=64: no verdicts there."),
            "{found:?}"
        );
        assert_eq!(doubts(&Run::default()).len(), 2);
        let mut noisy = plain([1.0, 1.0, 0.86, 1.0], 8);
        noisy
            .samples
            .iter_mut()
            .skip(28)
            .for_each(|one| one.invalid.push("steal".to_owned()));
        assert!(doubts(&noisy)[0].starts_with("4 of 32 samples are invalid"));
    }

    #[test]
    fn invalid_samples_with_similar_reasons_are_one_group() {
        let mut run = plain([1.0; 4], 6);
        for (index, reason) in [(2, "steal was 4.1 %"), (18, "steal was 5 %"), (3, "errors")] {
            run.samples[index].invalid.push(reason.to_owned());
        }
        let found = invalid(&run);
        let expected = [
            "steal was 4.1 % (2 samples: keepalive c=64 thread 1 5)",
            "errors (1 sample: keepalive c=64 process 1)",
        ];
        assert_eq!(found, expected);
    }
}
