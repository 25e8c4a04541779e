//! The result of a run in sentences: the answer first, then what limits it.

use super::{NAME, columns, cut, heading, ratio};
use crate::bench::analysis::{Analysis, CellAnalysis, Row, Verdict, side};
use crate::bench::metrics::{group_of, metric_named};
use crate::bench::stats::PAIRS;
use crate::bench::types::{REFERENCE, Run};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// The most reasons of invalid samples.
const MAX_REASONS: usize = 20;

/// What is compared: `99th percentile of the response time of the mice (small requests ...)`.
pub fn phrase(metric: &str) -> String {
    let meaning = metric_named(metric).map_or(metric, |metric| metric.meaning);
    match group_of(metric) {
        None => meaning.to_owned(),
        Some("mice") => format!("{meaning} of the mice (small requests beside the heavy ones)"),
        Some(group) => format!("{meaning} of the {group}"),
    }
}

/// The answer in a cell: which arms are better or worse than the reference, and by which factor.
/// With too few rounds for a verdict, the side to which all rounds fall. Empty if nothing is
/// compared.
pub fn answer(run: &Run, of: &CellAnalysis, metric: &str) -> String {
    let (mut worse, mut better) = (Vec::new(), Vec::new());
    let (mut equal, mut unknown) = (Vec::new(), Vec::new());
    let is_compared = |row: &&Row| row.arm != REFERENCE && Some(row.arm) != run.control();
    for row in of.rows.iter().filter(is_compared) {
        let name = run.name(row.arm).to_owned();
        let found = row.ratio.map_or(1.0, |ratio| ratio.middle);
        let factor = ratio(found.max(1.0 / found));
        let (tendency, doubt) = match (row.verdict, row.ratio) {
            (Verdict::Indicative, Some(ratio)) if ratio.values > 1 => {
                (side(&ratio, metric), ", indicative")
            }
            (verdict, _) => (Some(verdict), ""),
        };
        match tendency {
            Some(Verdict::Better) => better.push(format!("{name} ({factor} times{doubt})")),
            Some(Verdict::Worse) => worse.push(format!("{name} ({factor} times{doubt})")),
            Some(Verdict::NoDifference) => equal.push(name),
            _ => unknown.push(name),
        }
    }
    let reference = run.name(REFERENCE);
    let is = if better.len() == 1 { "is" } else { "are" };
    let [worse, better, equal, unknown] = [worse, better, equal, unknown].map(|of| of.join(", "));
    let sentences = [
        (&worse, format!("{reference} is better than {worse}.")),
        (&better, format!("{better} {is} better than {reference}.")),
        (&equal, format!("No difference shown: {equal}.")),
        (&unknown, format!("No verdict: {unknown}.")),
    ];
    let present = sentences.into_iter().filter(|(names, _)| !names.is_empty());
    Vec::from_iter(present.map(|(_, sentence)| sentence)).join(" ")
}

/// The numbers of invalid and of all samples.
pub fn sample_counts(analysis: &Analysis) -> (usize, usize) {
    let rows = || analysis.cells.iter().flat_map(|cell| &cell.rows);
    let all: usize = rows().map(|row| row.samples.len()).sum();
    let valid: usize = rows().map(|row| row.valid().count()).sum();
    (all - valid, all)
}

/// Why the results are limited or cannot be trusted, as sentences. Empty if all is well.
pub fn doubts(run: &Run, analysis: &Analysis) -> Vec<String> {
    let mut doubts = Vec::new();
    let mut add = |is_so: bool, doubt: &str| doubts.extend(is_so.then(|| doubt.to_owned()));
    let unproven = "UNPROVEN: the reference and its control, which are the same program, differ by \
                    more than chance allows. Trust no difference in this run; find what disturbed \
                    the machine, and run it again.";
    add(analysis.unproven, unproven);
    let many = run.problems.len();
    let problems = format!("PROBLEMS: {many} with the whole run, listed below.");
    add(many > 0, &problems);
    let no_control = "There is no control, so the noise is unknown: no verdicts.";
    add(run.control().is_none(), no_control);
    let rows = analysis.cells.iter().flat_map(|cell| &cell.rows);
    let pairs = rows.filter_map(|row| Some(row.ratio?.values)).max();
    add(pairs.is_none(), "There is nothing to compare in this run.");
    let pairs = pairs.unwrap_or(PAIRS);
    let few = format!("INDICATIVE: {pairs} of {PAIRS} rounds that verdicts need.");
    add(pairs < PAIRS, &few);
    let (invalid, all) = sample_counts(analysis);
    let many = format!(
        "{invalid} of {all} samples are invalid: the machine is not quiet enough, or the load is \
         too high for it."
    );
    add(invalid * 10 > all, &many);
    let cells = run.cells.iter().zip(&analysis.cells);
    let unproven = cells.filter(|(_, of)| !of.proven);
    let names: Vec<&str> = unproven.map(|(cell, _)| cell.name.as_str()).collect();
    let differ = "The control differs from the reference in";
    let differ = format!("{differ} {}: no verdicts there.", names.join(", "));
    add(!names.is_empty(), &differ);
    doubts
}

/// The noise floors of a run in a sentence; empty without intervals.
pub fn noise(run: &Run, analysis: &Analysis) -> String {
    let cells = run.cells.iter().zip(&analysis.cells);
    let with_interval = cells.filter(|(_, of)| of.control.is_some_and(|one| !one.is_range()));
    let floors = with_interval.map(|(cell, of)| (100.0 * of.noise_floor, cell.name.as_str()));
    let mut floors: Vec<(f64, &str)> = floors.collect();
    floors.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let floors = match floors.as_slice() {
        [] => return String::new(),
        [(floor, _)] => format!("{floor:.1} %"),
        [(least, quiet), .., (most, noisy)] => {
            format!("{least:.1} % ({quiet}) to {most:.1} % ({noisy})")
        }
    };
    format!("Differences up to {floors} are noise: the reference differs from itself by as much.")
}

/// What limits the arms: `server processor (reactor, thread); generator (pool)`.
pub fn limiters(run: &Run, of: &CellAnalysis) -> String {
    let mut groups: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for row in of.rows.iter().filter(|row| !row.limiter().is_empty()) {
        let name = cut(run.name(row.arm), 2 * NAME);
        groups.entry(row.limiter()).or_default().push(name);
    }
    if groups.len() == 1 {
        return groups.into_keys().collect();
    }
    let groups = groups.into_iter();
    let texts = groups.map(|(kind, names)| format!("{kind} ({})", names.join(", ")));
    Vec::from_iter(texts).join("; ")
}

/// What a reader may want to know after the tables: lists of sentences with their headings.
pub fn details(run: &Run, analysis: &Analysis) -> Vec<(&'static str, Vec<String>)> {
    let mut reasons = invalid(run);
    if reasons.len() > MAX_REASONS {
        let others = reasons.split_off(MAX_REASONS).len();
        reasons.push(format!("and {others} other reasons; run.json has all"));
    }
    let mut lists = vec![
        ("Problems", run.problems.clone()),
        ("Warnings", run.environment.warnings.clone()),
        ("Invalid samples", reasons),
        ("Notes", run.notes.clone()),
        ("Columns", legend(run, analysis)),
        ("What this cannot tell", limits(run)),
    ];
    lists.retain(|(_, sentences)| !sentences.is_empty());
    lists
}

/// What the columns of the tables are, except percentiles; and the brackets.
fn legend(run: &Run, analysis: &Analysis) -> Vec<String> {
    let mut meanings = BTreeSet::new();
    for (cell, of) in run.cells.iter().zip(&analysis.cells) {
        for metric in columns(cell, of).into_iter().filter_map(metric_named) {
            if !metric.title.starts_with('p') {
                meanings.insert(format!("{}: {}", heading(metric.name), metric.meaning));
            }
        }
    }
    if meanings.is_empty() {
        return Vec::new();
    }
    let brackets = "(a-b): the smallest and the largest ratio of all rounds, if they are too few \
                    for an interval. (a): no sample is valid.";
    vec![
        Vec::from_iter(meanings).join("; ") + ".",
        brackets.to_owned(),
    ]
}

/// Why samples are invalid, as sentences, the most frequent first. Reasons that differ only in
/// their numbers are one: `steal was 4.1 % (2 samples: keepalive c=64 thread 2x)`.
fn invalid(run: &Run) -> Vec<String> {
    type Places = BTreeMap<(usize, usize), u32>;
    let mut reasons: BTreeMap<String, (&str, Places)> = BTreeMap::new();
    for sample in run.measured() {
        for reason in &sample.invalid {
            let kind = reason.replace(|c: char| c.is_ascii_digit() || c == '.', "");
            let (_, places) = reasons.entry(kind).or_insert((reason, Places::new()));
            *places.entry((sample.cell, sample.arm)).or_default() += 1;
        }
    }
    let mut sentences = Vec::new();
    for (reason, places) in reasons.into_values() {
        let all: u32 = places.values().sum();
        let places = places.into_iter().map(|((cell, arm), count)| {
            let cell = run.cells.get(cell).map_or("?", |cell| &cell.name);
            format!("{cell} {} {count}x", run.name(arm))
        });
        let (s, places) = (if all == 1 { "" } else { "s" }, Vec::from_iter(places));
        let text = format!("{reason} ({all} sample{s}: {})", places.join(", "));
        sentences.push((Reverse(all), text));
    }
    sentences.sort_by_key(|(all, _)| *all);
    sentences.into_iter().map(|(_, text)| text).collect()
}

/// What every run on one machine cannot tell.
const LIMITS: [&str; 2] = [
    "Client and server run on one machine, over loopback, with all files in the page cache: no \
     distance, no packet loss, no network card, no disk.",
    "On loopback the sender also does the kernel's work of the receiver. So a part of the server's \
     CPU time counts as the generator's, and the reverse.",
];

/// What this run cannot tell, as sentences.
fn limits(run: &Run) -> Vec<String> {
    let mut limits = LIMITS.map(str::to_owned).to_vec();
    if run.cells.iter().any(|cell| !cell.pinned) {
        let text = "Server and generator were not pinned to different CPUs, so they slowed each \
                    other.";
        limits.push(text.to_owned());
    }
    let fact = |name: &str| run.environment.facts.get(name).map(String::as_str);
    if let Some(cores) = fact("cores") {
        limits.push(format!(
            "The machine has {cores} CPUs. A pinned server has one of them, so nothing here shows \
             how a model would use several."
        ));
    }
    if !matches!(fact("virtualization"), None | Some("none" | "no" | "")) {
        let text = "It is a virtual machine: the activity of its host is visible only as steal \
                    time, and not all of it.";
        limits.push(text.to_owned());
    }
    limits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::analysis::analyse;
    use crate::bench::analysis::simulation::plain;

    #[test]
    fn an_answer_says_which_is_better_by_which_factor() {
        let cases = [
            (
                plain([1.0, 1.0, 0.5, 0.25], 8),
                "reactor is better than thread (2.00 times), process (4.01 times).",
            ),
            (
                plain([1.0, 1.0, 20.0, 1.001], 8),
                "thread (20.0 times) is better than reactor. No difference shown: process.",
            ),
            // Without a verdict it is what all rounds show.
            (
                plain([1.0, 1.0, 0.5, 1.0], 3),
                "reactor is better than thread (2.00 times, indicative). No verdict: process.",
            ),
            (
                plain([1.0, 1.0, 0.5, 1.0], 1),
                "No verdict: thread, process.",
            ),
        ];
        for (run, expected) in cases {
            assert_eq!(
                answer(&run, &analyse(&run).cells[0], "throughput"),
                expected
            );
        }
    }

    #[test]
    fn each_doubt_has_a_sentence() {
        let good = || plain([1.0, 1.0, 0.86, 1.0], 8);
        let with = |change: fn(&mut Run)| {
            let mut run = good();
            change(&mut run);
            run
        };
        let cases = [
            (plain([1.0; 4], 3), "INDICATIVE: 3 of 6 rounds"),
            (plain([1.0, 1.25, 0.86, 1.0], 8), "UNPROVEN: "),
            (
                plain([1.0, 1.25, 0.86, 1.0], 8),
                "in keepalive c=64: no verdicts there.",
            ),
            (Run::default(), "There is no control"),
            (Run::default(), "There is nothing to compare in this run."),
            (
                with(|run| run.problems.push("It broke.".to_owned())),
                "PROBLEMS: 1 with",
            ),
            (
                with(|run| {
                    let last = run.samples.iter_mut().skip(28);
                    last.for_each(|one| one.invalid.push("steal".to_owned()));
                }),
                "4 of 32 samples are invalid",
            ),
        ];
        for (run, sentence) in cases {
            let found = doubts(&run, &analyse(&run)).join(" ");
            assert!(found.contains(sentence), "{sentence}: {found}");
        }
        let good = good();
        assert_eq!(doubts(&good, &analyse(&good)), [""; 0]);
        let noise = noise(&good, &analyse(&good));
        assert!(noise.starts_with("Differences up to 2.5 % are"), "{noise}");
    }

    #[test]
    fn invalid_samples_with_similar_reasons_are_one_group() {
        let mut run = plain([1.0; 4], 6);
        for (index, reason) in [(2, "steal was 4.1 %"), (18, "steal was 5 %"), (3, "errors")] {
            run.samples[index].invalid.push(reason.to_owned());
        }
        let expected = [
            "steal was 4.1 % (2 samples: keepalive c=64 thread 2x)",
            "errors (1 sample: keepalive c=64 process 1x)",
        ];
        assert_eq!(invalid(&run), expected);
    }
}
