//! Room `bench`: the end of a report. What surprises, how to read all this, and what not to
//! believe?

use super::list;
use super::svg::escaped;
use super::view::View;
use crate::bench::analysis::limits;
use crate::bench::record::Pass;
use crate::bench::table::format;
use std::collections::BTreeMap;

/// Reasons for which samples do not count; all are in run.json.
const MOST: usize = 30;

const HOW: &str = "\
<h2>How to read this</h2>
<dl>
<dt>Closed loop, open loop</dt>
<dd>In a closed loop a connection asks again when it has its answer: \
it finds out how much a server can do, and asks less of a server that is slow. In an open loop \
requests come at their own times, as those of many users do: it finds out how long they wait.</dd>
<dt>Response time, service time</dt>
<dd>Response time begins when a request is due, service time when \
it is sent. If a server stands still, the requests of that time are late before they are sent; a \
clock that starts with the sending does not see it, and shows good figures for a bad server \
(coordinated omission).</dd>
<dt>A and A'</dt><dd>The reactor runs twice in every round. What differs between the two is \
chance: a difference of another model that is no larger proves nothing.</dd>
<dt>Ratio and interval</dt><dd>Samples of a round are taken one after the other, so the machine's \
moods hit both sides of a ratio. In square brackets: where the truth lies with 95 % confidence.</dd>
<dt>Crossed out</dt><dd>Samples that do not count, for a reason that is told below. They are kept, \
and shown as crosses.</dd>
</dl>
";

/// All of it.
pub fn html(view: &View) -> String {
    let mut page = surprises(view);
    page += HOW;
    page += "<h2>What not to believe</h2>\n";
    page += &list("Problems", &view.run.problems);
    page += &list("Remarks", &view.analysis.remarks);
    page += &left_out(view);
    page += &list("What such a measurement cannot tell", &limits(view.run));
    page += &list("Notes", &view.run.notes);
    page += &environment(view);
    page += &everything(view);
    page
}

fn surprises(view: &View) -> String {
    let mut items = String::new();
    for surprise in &view.analysis.surprises {
        items += &format!(
            "<li><b>{}</b> {} <span class=\"dim\">It was expected because: {}</span></li>\n",
            escaped(&surprise.expected),
            escaped(&surprise.found),
            escaped(&surprise.why)
        );
    }
    match items.is_empty() {
        true => String::new(),
        false => format!("<h2>Surprises</h2>\n<ul>\n{items}</ul>\n"),
    }
}

/// Samples that do not count, by reason: those that differ only in their numbers are one.
fn left_out(view: &View) -> String {
    let mut reasons: BTreeMap<String, (usize, &str)> = BTreeMap::new();
    let measured = view
        .run
        .samples
        .iter()
        .filter(|one| one.pass == Pass::Measured);
    for text in measured.flat_map(|sample| &sample.invalid) {
        let kind: String = text.chars().filter(|c| !c.is_ascii_digit()).collect();
        reasons.entry(kind).or_insert((0, text)).0 += 1;
    }
    let mut reasons: Vec<(usize, &str)> = reasons.into_values().collect();
    reasons.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    let told = reasons.iter().take(MOST);
    let told = told.map(|(count, text)| format!("{count}×: {text}"));
    list("Samples that do not count", &told.collect::<Vec<_>>())
}

fn environment(view: &View) -> String {
    let environment = &view.run.environment;
    let mut page = list("Warnings", &environment.warnings);
    page += "<h2>The machine</h2>\n<dl class=\"facts\">\n";
    for (name, value) in &environment.facts {
        page += &format!("<dt>{}</dt><dd>{}</dd>\n", escaped(name), escaped(value));
    }
    for arm in &view.run.arms {
        let (name, command) = (escaped(&arm.name), escaped(&arm.command.join(" ")));
        page += &format!("<dt>{name}</dt><dd><code>{command}</code></dd>\n");
    }
    page + "</dl>\n"
}

/// The medians of every metric.
fn everything(view: &View) -> String {
    let mut page = String::from("<h2>All medians</h2>\n");
    for cell in view.cells() {
        let rows = &cell.said.rows;
        let mut names: Vec<&String> = rows.iter().flat_map(|row| row.medians.keys()).collect();
        names.sort();
        names.dedup();
        page += &format!(
            "<details><summary>{}</summary><div class=\"scroll\"><table>\n<tr><th></th>",
            escaped(&cell.cell.name)
        );
        for row in rows {
            page += &format!("<th>{}</th>", escaped(view.arm(row.arm)));
        }
        page += "</tr>\n";
        for name in names {
            page += &format!("<tr><th>{}</th>", escaped(name));
            for row in rows {
                let value = row.medians.get(name);
                let text = value.map_or_else(String::new, |value| format::value(name, *value));
                page += &format!("<td>{}</td>", escaped(&text));
            }
            page += "</tr>\n";
        }
        page += "</table></div></details>\n";
    }
    page
}
