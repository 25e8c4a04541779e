//! Room `bench`: what should a reader know of a run as a whole, before any number?

use super::{Analysis, pairs};
use crate::bench::record::{ArmKind, Run};
use crate::bench::stats::interval;

/// As sentences.
pub fn of(run: &Run, analysis: &Analysis) -> Vec<String> {
    let mut remarks = Vec::new();
    let control = run.arms.iter().any(|arm| arm.kind == ArmKind::Control);
    let rows = analysis.cells.iter().flat_map(|cell| &cell.rows);
    let others = rows.filter(|row| row.arm != pairs::REFERENCE);
    let most = others
        .filter_map(|row| row.ratio)
        .map(|ratio| ratio.pairs)
        .max();
    if analysis.unproven {
        remarks.push(
            "UNPROVEN: the reference and its control, which are the same program, differ by more \
             than chance makes them. Believe no difference in this run; find what disturbed it, \
             and run it again."
                .to_owned(),
        );
    }
    if !control {
        remarks.push(
            "Nothing was measured twice, so it is not known what chance does here: there are no \
             verdicts."
                .to_owned(),
        );
    }
    match most {
        None => remarks.push("There is nothing to compare in this run.".to_owned()),
        Some(pairs) if pairs < interval::PAIRS => remarks.push(format!(
            "All of it is indicative: {pairs} round{} that can be compared may be chance alone. \
             For verdicts take 6 rounds or more.",
            if pairs == 1 { "" } else { "s" }
        )),
        Some(_) => remarks.extend(bands(run, analysis)),
    }
    let unproven = analysis.cells.iter().filter(|cell| !cell.proven);
    let names = unproven.filter_map(|cell| run.cells.get(cell.cell));
    let names: Vec<&str> = names.map(|cell| cell.name.as_str()).collect();
    if !names.is_empty() {
        remarks.push(format!("Unproven by their control: {}.", names.join(", ")));
    }
    remarks
}

/// What chance does.
fn bands(run: &Run, analysis: &Analysis) -> Option<String> {
    let of = |cell: &super::CellAnalysis| {
        let name = run.cells.get(cell.cell)?.name.as_str();
        cell.control.is_some().then_some((cell.band, name))
    };
    let mut bands: Vec<(f64, &str)> = analysis.cells.iter().filter_map(of).collect();
    bands.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let ((least, _), (most, name)) = (*bands.first()?, *bands.last()?);
    Some(if bands.len() == 1 {
        format!(
            "Differences up to {:.1} % are not told: so much may be chance (A'/A).",
            least * 100.0
        )
    } else {
        format!(
            "Differences up to {:.1} %, and in {name} up to {:.1} %, are not told: so much may be \
             chance (A'/A).",
            least * 100.0,
            most * 100.0
        )
    })
}

/// What no run on one machine can tell, as sentences: limits of validity.
pub fn limits(run: &Run) -> Vec<String> {
    let mut limits = vec![
        "Client and server are on one machine, and their network is the loopback: no distance, no \
         loss, no card. What keep-alive saves of a journey is not seen, and no number here holds \
         for a network."
            .to_owned(),
        "On loopback whoever sends also does the kernel's work of receiving, so some of the \
         server's work is on the generator's account and the other way round. `machine/req` has \
         both."
            .to_owned(),
        "All files but those of `coldfile` are in memory already.".to_owned(),
        "There are no counters of the processor itself (instructions, cache misses): what a switch \
         costs in cold caches is only seen in the time."
            .to_owned(),
    ];
    let fact = |name: &str| run.environment.facts.get(name).map(String::as_str);
    let unpinned = run.cells.iter().any(|cell| !cell.pinned);
    if unpinned {
        limits.push(
            "Server and generator were not kept on processors of their own: where they met, they \
             slowed each other."
                .to_owned(),
        );
    }
    if let Some(cores) = fact("cores") {
        limits.push(format!(
            "The machine has {cores} processors. A server has one of them where it is pinned, so \
             how a model would grow with more is not seen."
        ));
    }
    if fact("virtualization").is_some_and(|kind| !matches!(kind, "none" | "no" | "")) {
        limits.push(
            "It is a virtual machine: what its host does meanwhile is seen only as steal, and not \
             all of it."
                .to_owned(),
        );
    }
    limits
}
