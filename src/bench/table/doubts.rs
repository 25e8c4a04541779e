//! Room `bench`: what is in doubt? Surprises, problems, samples that do not count, and what such a
//! measurement cannot know.

use super::Paper;
use super::format::plain;
use crate::bench::analysis::{Analysis, limits};
use crate::bench::record::{Pass, Run};
use std::collections::BTreeMap;
use std::io::{self, Write};

/// Lines about samples that do not count; all are in the file.
const MOST: usize = 20;

/// Prints them.
///
/// # Errors
/// If `to` cannot be written to.
pub fn print(run: &Run, analysis: &Analysis, to: &mut dyn Write, paper: Paper) -> io::Result<()> {
    if !analysis.surprises.is_empty() {
        writeln!(to)?;
        let one = analysis.surprises.len() == 1;
        paper.heading(to, if one { "SURPRISE" } else { "SURPRISES" })?;
        for surprise in &analysis.surprises {
            let told = format!(
                "{} {} Expected because: {}",
                surprise.expected, surprise.found, surprise.why
            );
            paper.item(to, "- ", &plain(&told))?;
        }
    }
    list(to, paper, "Problems", &run.problems)?;
    list(to, paper, "Warnings", &run.environment.warnings)?;
    invalid(run, to, paper)?;
    list(to, paper, "Notes", &run.notes)?;
    list(to, paper, "What this cannot tell", &limits(run))
}

fn list(to: &mut dyn Write, paper: Paper, heading: &str, sentences: &[String]) -> io::Result<()> {
    if sentences.is_empty() {
        return Ok(());
    }
    writeln!(to)?;
    paper.heading(to, heading)?;
    for sentence in sentences {
        paper.item(to, "- ", &plain(sentence))?;
    }
    Ok(())
}

/// Samples that do not count, by place and reason.
fn invalid(run: &Run, to: &mut dyn Write, paper: Paper) -> io::Result<()> {
    let measured = run.samples.iter().filter(|one| one.pass == Pass::Measured);
    let all = measured.clone().count();
    let spoiled = measured.filter(|sample| !sample.invalid.is_empty());
    let mut groups: BTreeMap<(usize, usize, String), Vec<String>> = BTreeMap::new();
    let mut count = 0;
    for sample in spoiled {
        count += 1;
        let place = (sample.cell, sample.arm, sample.invalid.join("; "));
        let round = u64::from(sample.round) + 1;
        groups.entry(place).or_default().push(round.to_string());
    }
    if count == 0 {
        return Ok(());
    }
    writeln!(to)?;
    paper.heading(to, &format!("{count} of {all} samples do not count"))?;
    for ((cell, arm, reason), rounds) in groups.iter().take(MOST) {
        let cell = run.cells.get(*cell).map_or("?", |cell| cell.name.as_str());
        let arm = run.arms.get(*arm).map_or("?", |arm| arm.name.as_str());
        let s = if rounds.len() == 1 { "" } else { "s" };
        let rounds = rounds.join(", ");
        let told = format!("{cell}, {arm}, round{s} {rounds}: {reason}");
        paper.item(to, "- ", &plain(&told))?;
    }
    if groups.len() > MOST {
        let more = format!("and {} more; all are in run.json", groups.len() - MOST);
        paper.item(to, "- ", &more)?;
    }
    Ok(())
}
