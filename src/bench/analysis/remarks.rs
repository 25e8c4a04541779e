//! Room `bench`: what should a reader know of a run as a whole, before any number?

use super::{Analysis, pairs};
use crate::bench::record::{ArmKind, Run};
use crate::bench::statistics::interval;

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
            "All of it is indicative: with {pairs} rounds chance alone can look like anything. For \
             verdicts take 6 rounds or more."
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
