//! Room `bench`: the end of a report. How to read all this, and what not to
//! believe?

use super::svg::escaped;
use super::view::View;
use super::{left_out, list, numbers};
use crate::bench::analysis::limits;

const HOW: &str = "\
<h2 id=\"how\">How to read this</h2>
<dl>
<dt>Closed loop, open loop</dt>
<dd>In a closed loop a client asks again when it has its answer. That finds out how much a server \
can do; but a slow server is asked less, so it looks better than it is. In an open loop requests \
come at their own times, as those of many users do. That finds out how long they wait.</dd>
<dt>Response time, service time</dt>
<dd>Response time begins when a request is due. Service time begins when it is sent. They differ \
if a request has to wait before it can be sent.</dd>
<dt>Coordinated omission</dt>
<dd>If a server stands still, the requests of that time are late before they are sent. A clock \
that starts with the sending does not see that, and a closed loop does not even make them: both \
show good figures for a bad server. So waits are told as response time, from an open loop where \
one is possible.</dd>
<dt>The control (A and A')</dt>
<dd>The reference runs twice in every round, as two arms. They are the same program, so what \
differs between them is chance. A difference of another arm that is no larger proves nothing; and \
if the two differ by more than chance, nothing is proven at all.</dd>
<dt>Ratio and interval</dt>
<dd>Samples of a round are taken one after the other, so the moods of the machine hit both sides \
of a ratio. 0.86 [0.83,0.89] is: 0.86 times the reference, and the truth lies between 0.83 and \
0.89 with 95 % confidence. Round brackets hold the least and the greatest of too few rounds.</dd>
<dt>Verdicts</dt>
<dd>A word such as slower stands only if the interval leaves out 1 and the difference is larger \
than the band of the control, from six rounds or more. \
No difference shown is not the same as equal.</dd>
<dt>Crossed out</dt>
<dd>Samples that do not count, for a reason that is told with them. They are kept, and shown.</dd>
</dl>
";

/// All of it.
pub fn html(view: &View) -> String {
    let mut page = HOW.to_owned();
    page += "<h2 id=\"limits\">What not to believe</h2>\n";
    page += &part("Remarks", &view.analysis.remarks);
    page += &part("What such a measurement cannot tell", &limits(view.run));
    page += &environment(view);
    page += &part("Warnings of the machine", &view.run.environment.warnings);
    page += &part("Samples that do not count", &left_out::reasons(view));
    if !view.run.problems.is_empty() {
        page += "<h3 id=\"problems\">Problems</h3>\n";
        page += &list(&view.run.problems);
    }
    page += &part("Notes", &view.run.notes);
    page += &everything(view);
    page
}

/// Sentences with a heading; nothing if there are none.
fn part(heading: &str, sentences: &[String]) -> String {
    match sentences.is_empty() {
        true => String::new(),
        false => format!("<h3>{heading}</h3>\n{}", list(sentences)),
    }
}

fn environment(view: &View) -> String {
    let environment = &view.run.environment;
    let mut page = String::from("<h2 id=\"machine\">The machine</h2>\n<dl class=\"facts\">\n");
    for (name, value) in &environment.facts {
        page += &fact(&escaped(name), &escaped(value));
    }
    for arm in &view.run.arms {
        let command = escaped(&arm.command.join(" "));
        page += &fact(&escaped(&arm.name), &format!("<code>{command}</code>"));
    }
    page + "</dl>\n"
}

fn fact(name: &str, value: &str) -> String {
    format!("<div><dt>{name}</dt><dd>{value}</dd></div>\n")
}

/// The medians of every metric.
fn everything(view: &View) -> String {
    let mut page = String::from("<h2 id=\"medians\">All medians</h2>\n");
    page += "<p class=\"dim\">Over the samples that count. Those before they were put together are \
             in run.json.</p>\n";
    for cell in view.cells() {
        let rows = &cell.said.rows;
        let mut names: Vec<&String> = rows.iter().flat_map(|row| row.medians.keys()).collect();
        names.sort();
        names.dedup();
        page += &format!(
            "<details><summary>{}</summary><div class=\"scroll\" tabindex=\"0\"><table>\n\
             <tr><th></th>",
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
                let text = value.map_or_else(String::new, |value| numbers::value(name, *value));
                page += &format!("<td>{}</td>", escaped(&text));
            }
            page += "</tr>\n";
        }
        page += "</table></div></details>\n";
    }
    page
}
