//! Room `bench`: the top of a report. What was compared, on what, and what came of it?

use super::plots::ratios;
use super::svg::escaped;
use super::view::View;
use crate::bench::analysis::Verdict;
use crate::bench::record::Preset;
use std::time::{Duration, UNIX_EPOCH};

/// Up to the plots of the single cells.
pub fn html(view: &View) -> String {
    let run = view.run;
    let names: Vec<&str> = (0..run.arms.len())
        .filter(|arm| !view.is_control(*arm))
        .map(|arm| view.arm(arm))
        .collect();
    let fact = |name: &str| run.environment.facts.get(name).map(String::as_str);
    let began = UNIX_EPOCH.checked_add(Duration::from_secs(run.started));
    let began = began.map_or_else(String::new, httpdate::fmt_http_date);
    let mut page = String::from("<header>\n<h1>Ways of waiting, compared</h1>\n");
    page += &format!(
        "<p class=\"dim\">{} · {began} · {:.0} s · {} · Linux {} · seed {}</p>\n",
        escaped(&run.program),
        run.seconds,
        escaped(fact("processor").unwrap_or("an unknown processor")),
        escaped(fact("kernel").unwrap_or("?")),
        run.seed
    );
    page += &stamps(view);
    page += &format!(
        "<p class=\"lead\">{} under {} loads, {} samples, each from a fresh server process. \
         {}</p>\n",
        escaped(&names.join(", ")),
        run.cells.len(),
        run.samples.len(),
        escaped(&result(view))
    );
    let command = run.command.iter().map(|word| escaped(word));
    let command: Vec<String> = command.collect();
    let command = command.join(" ");
    page += &format!("<p class=\"dim\">The command: <code>{command}</code></p>\n");
    page += "</header>\n<h2>At a glance</h2>\n<p class=\"dim\">A dot is the middle of the \
             ratios to the reactor of the same round, its line where the truth lies with 95 % \
             confidence (with too few rounds: the least and the greatest). The band is what \
             chance alone does to the reactor itself. A word stands only where the difference is \
             proven.</p>\n<div class=\"grid\">\n";
    for cell in view.cells() {
        page += &ratios::panel(&cell);
    }
    page + "</div>\n"
}

fn stamps(view: &View) -> String {
    let mut stamps = String::new();
    if view.analysis.unproven {
        stamps += "<div class=\"stamp bad\">UNPROVEN</div> <span class=\"dim\">the reactor \
                   differs from itself by more than chance: believe no ratio here.</span>\n";
    }
    if view.run.preset == Preset::Quick {
        stamps += "<div class=\"stamp\">INDICATIVE</div> <span class=\"dim\">a first impression: \
                   too few rounds for any verdict.</span>\n";
    }
    if !view.run.problems.is_empty() {
        stamps += "<div class=\"stamp bad\">PROBLEMS</div> <span class=\"dim\">see the end of \
                   the page.</span>\n";
    }
    stamps
}

/// How many verdicts there are, and of which kind.
fn result(view: &View) -> String {
    let rows = view.analysis.cells.iter().flat_map(|cell| &cell.rows);
    let rows = rows.filter(|row| row.ratio.is_some() && !view.is_control(row.arm));
    let verdicts: Vec<Verdict> = rows.map(|row| row.verdict).collect();
    let count = |kind| verdicts.iter().filter(|verdict| **verdict == kind).count();
    let (better, worse) = (count(Verdict::Better), count(Verdict::Worse));
    let (equal, indicative) = (count(Verdict::NoDifference), count(Verdict::Indicative));
    if better + worse + equal == 0 {
        return format!("{indicative} comparisons with the reactor, all of them indicative.");
    }
    format!(
        "Of {} comparisons with the reactor, {worse} show the other behind it, {better} ahead of \
         it, and {equal} no difference.",
        verdicts.len()
    )
}
