//! Room `bench`: what is in doubt? Problems, samples that do not count, and what such a
//! measurement cannot know.

use super::Terminal;
use super::format::plain;
use crate::bench::analysis::limits;
use crate::bench::record::{Pass, Run};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

/// Reasons for which samples do not count; all are in the file.
const MOST: usize = 20;

/// Prints them.
///
/// # Errors
/// If `to` cannot be written to.
pub fn print(run: &Run, to: &mut dyn Write, terminal: Terminal) -> io::Result<()> {
    list(to, terminal, "Problems", &run.problems)?;
    list(to, terminal, "Warnings", &run.environment.warnings)?;
    invalid(run, to, terminal)?;
    list(to, terminal, "Notes", &run.notes)?;
    list(to, terminal, "What this cannot tell", &limits(run))
}

fn list(
    to: &mut dyn Write,
    terminal: Terminal,
    heading: &str,
    sentences: &[String],
) -> io::Result<()> {
    if sentences.is_empty() {
        return Ok(());
    }
    writeln!(to)?;
    terminal.heading(to, heading)?;
    for sentence in sentences {
        terminal.item(to, "- ", &plain(sentence))?;
    }
    Ok(())
}

/// Samples that do not count, by reason: those that differ only in their numbers are one.
fn invalid(run: &Run, to: &mut dyn Write, terminal: Terminal) -> io::Result<()> {
    let measured = || run.samples.iter().filter(|one| one.pass == Pass::Measured);
    let spoiled = measured().filter(|sample| !sample.invalid.is_empty());
    let mut reasons: Vec<Reason> = Vec::new();
    for sample in spoiled.clone() {
        for text in &sample.invalid {
            let kind: String = text.chars().filter(|c| !c.is_ascii_digit()).collect();
            let known = reasons.iter().position(|one| one.kind == kind);
            let at = known.unwrap_or(reasons.len());
            if known.is_none() {
                reasons.push(Reason {
                    kind,
                    text: text.clone(),
                    places: BTreeMap::new(),
                });
            }
            if let Some(reason) = reasons.get_mut(at) {
                let place = (sample.cell, sample.arm);
                reason.places.entry(place).or_default().insert(sample.round);
            }
        }
    }
    let (count, all) = (spoiled.count(), measured().count());
    if count == 0 {
        return Ok(());
    }
    writeln!(to)?;
    terminal.heading(to, &format!("{count} of {all} samples do not count"))?;
    reasons.sort_by_key(|reason| std::cmp::Reverse(reason.count()));
    for reason in reasons.iter().take(MOST) {
        terminal.item(to, "- ", &plain(&reason.told(run)))?;
    }
    if reasons.len() > MOST {
        let more = format!(
            "and for {} other reasons; all are in run.json",
            reasons.len() - MOST
        );
        terminal.item(to, "- ", &more)?;
    }
    Ok(())
}

/// Why samples do not count, and which: rounds by cell and arm.
struct Reason {
    kind: String,
    text: String,
    places: BTreeMap<(usize, usize), BTreeSet<u32>>,
}

impl Reason {
    fn count(&self) -> usize {
        self.places.values().map(BTreeSet::len).sum()
    }

    /// `steal was 4.1 % (3: keepalive c=64 thread 2 5, pool 1; ...)`, rounds counted from 1.
    fn told(&self, run: &Run) -> String {
        let mut cells: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for ((cell, arm), rounds) in &self.places {
            let arm = run.arms.get(*arm).map_or("?", |arm| arm.name.as_str());
            let rounds = rounds
                .iter()
                .map(|round| (u64::from(*round) + 1).to_string());
            let rounds: Vec<String> = rounds.collect();
            cells
                .entry(*cell)
                .or_default()
                .push(format!("{arm} {}", rounds.join(" ")));
        }
        let cell = |cell: usize| run.cells.get(cell).map_or("?", |cell| cell.name.as_str());
        let places = cells
            .iter()
            .map(|(at, arms)| format!("{} {}", cell(*at), arms.join(", ")));
        let places: Vec<String> = places.collect();
        format!("{} ({}: {})", self.text, self.count(), places.join("; "))
    }
}
