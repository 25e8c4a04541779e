//! Room `bench`: the top of a report. What was compared, on what, and what came of it?

use super::numbers;
use super::plots::ratios;
use super::svg::escaped;
use super::view::{CellView, View};
use crate::bench::analysis::{Row, Verdict};
use crate::bench::record::Preset;
use crate::bench::table::format;
use std::time::{Duration, UNIX_EPOCH};

/// What was compared, in a few words, for the title of the page.
pub fn title(view: &View) -> String {
    let names: Vec<&str> = others(view).map(|arm| view.arm(arm)).collect();
    let reference = view.arm(0);
    match names.is_empty() {
        true => escaped(reference),
        false => escaped(&format!("{reference} and {}", names.join(", "))),
    }
}

/// Up to the plots of the single cells.
pub fn html(view: &View) -> String {
    let mut page = String::from("<header>\n<p class=\"name\">oneloop bench</p>\n");
    page += "<h1>Ways of waiting, compared</h1>\n";
    page += &facts(view);
    page += "</header>\n<main>\n";
    page += &stamp(view);
    page += "<div class=\"top\">\n<div>\n";
    page += &format!("<p class=\"lead\">{}</p>\n", escaped(&result(view)));
    page += &format!("<p class=\"dim\">{}</p>\n</div>\n", escaped(&trust(view)));
    page += &tally(view);
    page += "</div>\n";
    page += &navigation(view);
    page += &glance(view);
    page
}

/// The arms that are compared with the reference.
fn others<'v>(view: &'v View) -> impl Iterator<Item = usize> + 'v {
    (1..view.run.arms.len()).filter(|arm| !view.is_control(*arm))
}

fn facts(view: &View) -> String {
    let run = view.run;
    let fact = |name: &str| run.environment.facts.get(name).map(String::as_str);
    let began = UNIX_EPOCH.checked_add(Duration::from_secs(run.started));
    let began = began.map_or_else(String::new, httpdate::fmt_http_date);
    let words: Vec<String> = run.command.iter().map(|word| escaped(word)).collect();
    let cores = fact("cores").map_or(String::new(), |cores| {
        format!(", {} processors", escaped(cores))
    });
    format!(
        "<p class=\"dim\">{program}, {began}, took {took}. On {processor}{cores}, Linux {kernel}. \
         {samples} samples, each from a fresh server process, seed {seed}. The command: \
         <code>{command}</code></p>\n",
        program = escaped(&run.program),
        took = duration(run.seconds),
        processor = escaped(fact("processor").unwrap_or("an unknown processor")),
        kernel = escaped(fact("kernel").unwrap_or("of an unknown version")),
        samples = run.samples.len(),
        seed = run.seed,
        command = words.join(" "),
    )
    .replace(", Linux of an unknown version", ", with an unknown kernel")
}

fn duration(seconds: f64) -> String {
    match seconds {
        short if short < 99.5 => format!("{short:.0} s"),
        long => format!("{:.0} min", long / 60.0),
    }
}

/// What must be seen before any number.
fn stamp(view: &View) -> String {
    let (class, word, sentence) = if view.analysis.unproven {
        (
            "bad",
            "UNPROVEN",
            "The reactor differs from itself by more than chance makes it. Believe no ratio on \
             this page; find what disturbed the machine, and run it again.",
        )
    } else if view.run.preset == Preset::Quick || !counts(view).has_verdicts() {
        (
            "mild",
            "INDICATIVE",
            "A first impression: there are too few rounds, or there is no control, so nothing here \
             is a verdict.",
        )
    } else {
        return problems(view);
    };
    let stamp = format!(
        "<div class=\"stamp {class}\" role=\"note\"><strong>{word}</strong> <span>{sentence}\
         </span></div>\n"
    );
    stamp + &problems(view)
}

fn problems(view: &View) -> String {
    match view.run.problems.len() {
        0 => String::new(),
        many => format!(
            "<div class=\"stamp bad\" role=\"note\"><strong>PROBLEMS</strong> <span>{many} with \
             the run as a whole: <a href=\"#problems\">which they are</a>.</span></div>\n"
        ),
    }
}

/// How many verdicts there are, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    better: usize,
    worse: usize,
    equal: usize,
    untold: usize,
}

impl Counts {
    fn add(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Better => self.better += 1,
            Verdict::Worse => self.worse += 1,
            Verdict::NoDifference => self.equal += 1,
            Verdict::Indicative | Verdict::Unproven | Verdict::Missing => self.untold += 1,
        }
    }

    fn has_verdicts(self) -> bool {
        self.better + self.worse + self.equal > 0
    }
}

/// The comparisons with the reference.
fn comparisons<'v>(view: &'v View) -> impl Iterator<Item = (CellView<'v>, &'v Row)> {
    let of = |cell: CellView<'v>| cell.said.rows.iter().map(move |row| (cell, row));
    let rows = view.cells().flat_map(of);
    rows.filter(|(cell, row)| row.arm != 0 && !cell.view.is_control(row.arm))
}

fn counts(view: &View) -> Counts {
    let mut counts = Counts::default();
    for (_, row) in comparisons(view) {
        counts.add(row.verdict);
    }
    counts
}

/// What came of it, in a sentence or two.
fn result(view: &View) -> String {
    let counts = counts(view);
    let loads = view.run.cells.len();
    let reference = view.arm(0);
    let comparisons = counts.better + counts.worse + counts.equal + counts.untold;
    let under = match loads {
        1 => "one load".to_owned(),
        many => format!("{many} loads"),
    };
    let whole = match comparisons {
        0 => return format!("Under {under} there is nothing to compare with {reference}."),
        1 => format!("One comparison with {reference} under {under}"),
        many => format!("{many} comparisons with {reference} under {under}"),
    };
    if !counts.has_verdicts() {
        return format!("{whole}; none of them is proven. {}", widest(view));
    }
    let mut parts = vec![
        format!("{} worse", counts.worse),
        format!("{} better", counts.better),
        format!("{} with no difference shown", counts.equal),
    ];
    if counts.untold > 0 {
        parts.push(format!("{} without a verdict", counts.untold));
    }
    let last = parts.pop().unwrap_or_default();
    format!("{whole}: {} and {last}. {}", parts.join(", "), widest(view))
}

/// Which comparison is furthest from 1 to either side.
fn widest(view: &View) -> String {
    let rows: Vec<(CellView, &Row)> = comparisons(view).collect();
    let claims = rows.iter().any(|(_, row)| row.verdict.claims());
    let gain = |(cell, row): &(CellView, &Row)| -> Option<f64> {
        let ratio = row.ratio.filter(|_| row.verdict.claims() || !claims)?;
        use crate::bench::metrics::Better;
        let ln = ratio.median.ln();
        match numbers::better(&cell.cell.primary_metric) {
            Better::Higher => Some(ln),
            Better::Lower => Some(-ln),
            Better::Neither => None,
        }
    };
    let gains = rows.iter().filter_map(|one| Some((one, gain(one)?)));
    let gains: Vec<_> = gains.filter(|(_, gain)| !gain.is_nan()).collect();
    let by = |a: &&(_, f64), b: &&(_, f64)| a.1.total_cmp(&b.1);
    let told = |((cell, row), _): &(&(CellView, &Row), f64)| {
        let median = row.ratio.map_or(1.0, |ratio| ratio.median);
        format!(
            "{} in {}, with {} times the {}",
            view.arm(row.arm),
            cell.cell.name,
            format::thousands(median),
            numbers::title(&cell.cell.primary_metric)
        )
    };
    let best = gains.iter().max_by(by).filter(|(_, gain)| *gain > 0.0);
    let worst = gains.iter().min_by(by).filter(|(_, gain)| *gain < 0.0);
    match (best.map(told), worst.map(told)) {
        (Some(best), Some(worst)) => {
            format!("Furthest ahead is {best}; furthest behind is {worst}.")
        }
        (Some(best), None) => format!("Furthest ahead is {best}; nobody is behind."),
        (None, Some(worst)) => format!("Furthest behind is {worst}; nobody is ahead."),
        (None, None) => String::new(),
    }
}

/// How far the run can be believed.
fn trust(view: &View) -> String {
    let controls = view.analysis.cells.iter();
    let controlled = controls.filter(|cell| cell.control.is_some());
    let (agree, differ): (Vec<_>, Vec<_>) = controlled.partition(|cell| cell.proven);
    let reference = view.arm(0);
    let samples = view.analysis.cells.iter().flat_map(|cell| &cell.rows);
    let invalid: usize = samples.map(|row| row.invalid).sum();
    let invalid = match invalid {
        0 => "Every sample counts.".to_owned(),
        1 => "One sample does not count.".to_owned(),
        many => format!("{many} samples do not count."),
    };
    match (agree.len(), differ.len()) {
        (0, 0) => format!(
            "{reference} was not measured twice, so it is not known what chance does. {invalid}"
        ),
        (all, 0) => format!(
            "The control, {reference} once more, agrees with it under {}. {invalid}",
            if all == 1 {
                "the load".to_owned()
            } else {
                format!("all {all} loads")
            }
        ),
        (agree, differ) => format!(
            "The control, {reference} once more, differs from it under {differ} of {} loads. \
             {invalid}",
            agree + differ
        ),
    }
}

/// For each arm how often it was ahead. The first place where colours and signs are explained.
fn tally(view: &View) -> String {
    let mut page = String::from(
        "<div class=\"scroll\" tabindex=\"0\"><table class=\"tally\">\n<tr><th>to the \
         reference</th><th>better</th><th>worse</th><th>no difference</th><th>no verdict</th>\
         </tr>\n",
    );
    let row = |arm: usize, cells: String| {
        let look = view.look(arm);
        let (class, name) = (&look.class, escaped(view.arm(arm)));
        format!(
            "<tr><th class=\"{class}\">{}{name}</th>{cells}</tr>\n",
            look.key()
        )
    };
    if !view.run.arms.is_empty() {
        page += &row(
            0,
            "<td class=\"left\" colspan=\"4\">the reference</td>".to_owned(),
        );
    }
    for arm in others(view) {
        let mut counts = Counts::default();
        for (_, one) in comparisons(view).filter(|(_, row)| row.arm == arm) {
            counts.add(one.verdict);
        }
        let Counts {
            better,
            worse,
            equal,
            untold,
        } = counts;
        let numbers = [better, worse, equal, untold].map(|many| match many {
            0 => "<td class=\"dim\">·</td>".to_owned(),
            many => format!("<td>{many}</td>"),
        });
        page += &row(arm, numbers.concat());
    }
    page + "</table></div>\n"
}

fn navigation(view: &View) -> String {
    let mut names: Vec<&str> = view
        .cells()
        .map(|cell| cell.cell.workload.as_str())
        .collect();
    names.dedup();
    let links: Vec<String> = names
        .iter()
        .map(|name| format!("<a href=\"#{0}\">{0}</a>", escaped(name)))
        .collect();
    format!(
        "<nav aria-label=\"Parts\">\n{}\n<a href=\"#how\">how to read this</a>\n<a \
         href=\"#limits\">what not to believe</a>\n<a href=\"#medians\">all medians</a>\n</nav>\n",
        links.join("\n")
    )
}

fn glance(view: &View) -> String {
    let panels = ratios::panels(view);
    if panels.is_empty() {
        return String::new();
    }
    format!(
        "<h2 id=\"glance\">At a glance</h2>\n<p class=\"dim\">The sign is the middle of the ratios \
         to the reference, each within its round (the faint dots); the line is where the truth \
         lies with 95 % confidence, or with too few rounds the least and the greatest. The band is \
         what chance alone does. Right is better, and a step of one length is one ratio in all \
         panels; an arrow leads beyond. A word stands only where a difference is proven.</p>\n\
         <div class=\"grid\">\n{panels}</div>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::analysis::analyse;
    use crate::bench::analysis::sample_runs::plain;

    fn told(factors: [f64; 4], rounds: u32) -> (String, String) {
        let run = plain(factors, rounds);
        let analysis = analyse(&run);
        let view = View {
            run: &run,
            analysis: &analysis,
        };
        (result(&view), stamp(&view))
    }

    #[test]
    fn the_result_is_a_sentence_that_says_who_is_furthest_ahead_and_behind() {
        let (result, stamp) = told([1.0, 1.0, 0.5, 2.0], 8);
        let wanted = "2 comparisons with reactor under one load: 1 worse, 1 better and 0 with no \
                      difference shown. Furthest ahead is process in keepalive c=64, with 2.00 \
                      times the req/s; furthest behind is thread in keepalive c=64, with 0.50 \
                      times the req/s.";
        assert_eq!((result.as_str(), stamp.as_str()), (wanted, ""));
    }

    #[test]
    fn what_is_not_proven_is_stamped() {
        let (result, stamp) = told([1.0, 1.25, 0.5, 2.0], 8);
        assert!(result.contains("none of them is proven"), "{result}");
        assert!(stamp.contains("<strong>UNPROVEN</strong>"), "{stamp}");
        let (result, stamp) = told([1.0, 1.0, 0.5, 2.0], 3);
        assert!(result.contains("none of them is proven"), "{result}");
        assert!(stamp.contains("<strong>INDICATIVE</strong>"), "{stamp}");
    }
}
