//! Room `bench`: what is a workload for, and what is expected of each model, and why? What a reader
//! wants to know before a run, and what a student should be able to say after it.

use super::expectations::{self, Expectation};
use super::metrics::metric_named;
use super::record::Preset;
use super::table::Paper;
use super::workloads::{self, Choice, Workload};
use std::io::{self, Write};

/// Explains a workload, or all of them in short.
///
/// # Errors
/// If `to` cannot be written to.
pub fn print(workload: Option<&Workload>, to: &mut dyn Write, paper: Paper) -> io::Result<()> {
    if let Some(workload) = workload {
        return one(workload, to, paper);
    }
    for workload in workloads::all() {
        let presets: Vec<&str> = [
            (Preset::Quick, "quick"),
            (Preset::Standard, "standard"),
            (Preset::Full, "full"),
        ]
        .iter()
        .filter(|(preset, _)| workloads::of_preset(*preset).contains(&workload.name))
        .map(|(_, name)| *name)
        .collect();
        paper.heading(to, &format!("{:11}({})", workload.name, presets.join(", ")))?;
        paper.item(to, "  ", &sentence(workload.separates))?;
    }
    writeln!(to)?;
    paper.item(
        to,
        "",
        "`oneloop bench explain WORKLOAD` says what is expected in it, and why.",
    )
}

/// The workload of that name.
///
/// # Errors
/// With a sentence for the user that names all there are.
pub fn named(name: &str) -> Result<&'static Workload, String> {
    let all = workloads::all();
    let known: Vec<&str> = all.iter().map(|workload| workload.name).collect();
    let told = format!(
        "there is no workload `{name}`; there are {}",
        known.join(", ")
    );
    all.into_iter()
        .find(|workload| workload.name == name)
        .ok_or(told)
}

fn one(workload: &Workload, to: &mut dyn Write, paper: Paper) -> io::Result<()> {
    paper.heading(to, workload.name)?;
    paper.item(
        to,
        "",
        &format!("Tells apart: {}", sentence(workload.separates)),
    )?;
    writeln!(to)?;
    paper.heading(to, "Its cells in a full run")?;
    let choice = Choice {
        preset: Preset::Full,
        connections: Vec::new(),
    };
    for shape in (workload.shapes)(&choice) {
        let headline = headline(shape.headline);
        let told = format!(
            "{}: {}. Compared: {headline}.",
            shape.name, shape.description
        );
        paper.item(to, "- ", &told)?;
    }
    let expected: Vec<&Expectation> = expectations::of_workload(workload.name).collect();
    if expected.is_empty() {
        return Ok(());
    }
    writeln!(to)?;
    paper.heading(to, "What is expected, and why")?;
    for expectation in expected {
        paper.item(to, "- ", &expected_of(expectation))?;
    }
    Ok(())
}

/// `thread, process (c 8 to 512): 0.5 to 1.05 times the reactor. Each unit ...`
fn expected_of(expectation: &Expectation) -> String {
    let place = expectation.place.iter();
    let place: Vec<String> = place
        .map(|(name, range)| match range.least() == range.most() {
            true => format!("{name} {}", range.least()),
            false if range.most() >= 1e5 => format!("{name} {} or more", range.least()),
            false => format!("{name} {range}"),
        })
        .collect();
    let place = match place.as_slice() {
        [] => String::new(),
        place => format!(" ({})", place.join(", ")),
    };
    let metric = expectation.metric.as_deref().map(headline);
    let of = metric.map_or_else(String::new, |metric| format!("{metric} "));
    let range = match (expectation.ratio, expectation.value) {
        (Some(ratio), _) => format!("{of}{ratio} times the reactor's. "),
        (_, Some(value)) => format!("{of}{value}. "),
        _ => String::new(),
    };
    format!(
        "{}{place}: {range}{}",
        expectation.arms.join(", "),
        expectation.why
    )
}

/// What is compared, with its unit and its group.
fn headline(metric: &str) -> String {
    let (group, name) = metric.rsplit_once('.').unwrap_or(("", metric));
    let known = metric_named(name);
    let title = known.map_or(name, |metric| metric.title);
    let group = match group {
        "" => String::new(),
        group => format!(" of {group}"),
    };
    match known.map_or("", |metric| metric.unit) {
        "us" => format!("{title}{group} in us"),
        _ => format!("{title}{group}"),
    }
}

/// With a point behind it.
fn sentence(text: &str) -> String {
    format!("{}.", text.trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(workload: Option<&str>) -> String {
        let mut bytes = Vec::new();
        let workload = workload.map(|name| named(name).unwrap());
        print(workload, &mut bytes, Paper::new(80, false)).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn all_workloads_are_named_with_their_presets() {
        let text = printed(None);
        for workload in workloads::all() {
            assert!(text.contains(workload.name), "{}", workload.name);
        }
        assert!(
            text.contains("keepalive  (quick, standard, full)"),
            "{text}"
        );
    }

    #[test]
    fn one_is_explained_with_its_cells_and_its_models() {
        let text = printed(Some("burn"));
        for told in [
            "Tells apart",
            "burn 20ms",
            "thread, process, pool:",
            "times the reactor's",
        ] {
            assert!(text.contains(told), "{told} in {text}");
        }
        let text = printed(Some("keepalive"));
        assert!(
            text.contains("pool (c 201 or more): starved 1 or more."),
            "{text}"
        );
        assert!(text.contains("sequential (c 1):"), "{text}");
    }

    #[test]
    fn every_one_can_be_explained_in_eighty_columns() {
        for workload in workloads::all() {
            let text = printed(Some(workload.name));
            assert!(
                text.lines().all(|line| line.chars().count() <= 80),
                "{text}"
            );
        }
    }

    #[test]
    fn an_unknown_one_is_refused_and_all_are_named() {
        let told = named("nonsense").unwrap_err();
        assert!(
            told.starts_with("there is no workload `nonsense`; there are keepalive"),
            "{told}"
        );
    }
}
