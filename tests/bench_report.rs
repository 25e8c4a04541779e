//! The report of a stored run (tests/bench_report/run.json): it is complete, it loads nothing, and
//! it fits on a phone.
#![cfg(feature = "bench")]

#[path = "support/process.rs"]
#[allow(dead_code, reason = "the other test programs use the rest")]
mod process;

use oneloop::bench::analysis::analyse;
use oneloop::bench::output::report::html;
use oneloop::bench::types::{self, Run};
use std::path::{Path, PathBuf};
use std::process::Command;

fn stored() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench_report/run.json")
}

fn run() -> Run {
    types::read(&stored()).unwrap()
}

/// Checks that each tag is closed. Returns the names of all tags.
#[track_caller]
fn tags(html: &str) -> Vec<String> {
    const VOID: [&str; 7] = ["br", "meta", "!doctype", "line", "rect", "circle", "path"];
    let (mut open, mut all) = (Vec::new(), Vec::new());
    let style = html.find("<style>").unwrap()..html.find("</style>").unwrap();
    let html = [&html[..style.start + 7], &html[style.end..]].concat();
    for part in html.split('<').skip(1) {
        let tag = part.split('>').next().unwrap();
        let name = tag.split([' ', '/']).find(|name| !name.is_empty()).unwrap();
        match tag.starts_with('/') {
            true => assert_eq!(open.pop().as_deref(), Some(name), "{tag}"),
            false if VOID.contains(&name) => {}
            false => open.push(name.to_owned()),
        }
        all.push(name.to_owned());
    }
    assert_eq!(open, [""; 0]);
    all
}

#[test]
fn a_report_is_complete_and_begins_with_the_answer() {
    let html = html(&run());
    let names = tags(&html);
    let figures = names.iter().filter(|name| *name == "figure").count() / 2;
    assert!(figures >= 9, "{figures}");
    let parts = [
        "Concurrency models",
        "reactor is ",
        "All ratios",
        "<h2 id=\"keepalive\">",
        "<h2 id=\"short\">",
        "<h2 id=\"idle\">",
        "How to read this",
        "Limits",
        "The machine",
    ];
    let positions: Vec<_> = parts
        .iter()
        .map(|part| html.find(part).expect(part))
        .collect();
    assert!(positions.is_sorted(), "{positions:?}");
}

/// The rows `| workload | model | low to high | reason |` of docs/bench.md.
fn expected_ratios() -> Vec<(String, String, f64, f64)> {
    let document = include_str!("../docs/bench.md");
    let mut expected = Vec::new();
    for line in document.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let &[_, workload, models, range, _, _] = cells.as_slice() else {
            continue;
        };
        let Some((low, high)) = range.split_once(" to ") else {
            continue;
        };
        for model in models.split(", ") {
            let (low, high) = (low.parse().unwrap(), high.parse().unwrap());
            expected.push((workload.to_owned(), model.to_owned(), low, high));
        }
    }
    expected
}

#[test]
#[ignore = "for a new docs/bench/run.json"]
fn the_published_run_has_the_ratios_that_the_documentation_expects() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/bench/run.json");
    let run = types::read(&path).unwrap();
    let analysis = analyse(&run);
    let mut compared = 0;
    for (workload, model, low, high) in expected_ratios() {
        for (cell, of) in run.cells.iter().zip(&analysis.cells) {
            let mut rows = of.rows.iter();
            let row = rows.find(|row| run.name(row.arm) == model);
            if cell.workload != workload || row.is_none() {
                continue;
            }
            let ratio = row.and_then(|row| row.ratio).unwrap();
            let name = &cell.name;
            assert!(
                ratio.high >= low && ratio.low <= high,
                "{name} {model}: {ratio:?}"
            );
            compared += 1;
        }
    }
    assert!(compared >= 7, "{compared}");
}

#[test]
fn a_report_loads_and_runs_nothing() {
    let html = html(&run());
    for word in ["<script", "<link", "<img", "src=", "@import", "url("] {
        assert!(!html.contains(word), "{word}");
    }
    for (at, _) in html.match_indices("http") {
        let before = &html[..at];
        assert!(
            before.ends_with(' ') || before.ends_with('>'),
            "{}",
            &html[at..at + 40]
        );
    }
}

#[test]
fn markup_in_a_name_is_escaped() {
    const BAD: &str = "<b onload=\"x\">&'";
    let mut run = run();
    run.program = BAD.to_owned();
    run.command = vec![BAD.to_owned()];
    run.arms.iter_mut().for_each(|arm| {
        arm.name += BAD;
        arm.command = vec![BAD.to_owned()];
    });
    for cell in &mut run.cells {
        cell.name += BAD;
        cell.workload += BAD;
        cell.description = BAD.to_owned();
    }
    for sample in &mut run.samples {
        sample.limiter = BAD.to_owned();
        sample.invalid = vec![BAD.to_owned()];
    }
    run.problems = vec![BAD.to_owned()];
    run.notes = vec![BAD.to_owned()];
    run.environment.facts = [(BAD.to_owned(), BAD.to_owned())].into();
    run.environment.warnings = vec![BAD.to_owned()];
    let html = html(&run);
    assert!(!html.contains("<b onload"));
    tags(&html);
}

#[test]
fn each_position_in_a_chart_is_a_number() {
    for value in [
        0.0,
        -1.0,
        1.0,
        1e-300,
        1e300,
        f64::MAX,
        f64::NAN,
        f64::INFINITY,
    ] {
        let mut run = run();
        for sample in &mut run.samples {
            sample
                .metrics
                .values_mut()
                .for_each(|metric| *metric = value);
        }
        let html = html(&run);
        let charts: Vec<&str> = html.split("<svg").skip(1).collect();
        for chart in charts {
            let chart = chart.split("</svg>").next().unwrap();
            for attribute in chart.split('"').skip(1).step_by(2) {
                assert!(
                    !attribute.contains("NaN") && !attribute.contains("inf"),
                    "{attribute}"
                );
            }
        }
    }
    let mut empty = run();
    empty.samples.clear();
    tags(&html(&empty));
    tags(&html(&Run::default()));
}

#[test]
fn a_report_of_three_thousand_samples_has_less_than_600_kib() {
    let mut run = run();
    let few = run.samples.clone();
    while run.samples.len() < 3000 {
        run.samples.extend(few.iter().cloned());
    }
    for (number, sample) in run.samples.iter_mut().enumerate() {
        sample.at = number as f64;
        sample.round = u32::try_from(number / few.len()).unwrap();
    }
    let length = html(&run).len();
    assert!(length < 600 * 1024, "{length}");
}

/// In a frame as wide as a phone. The window of a browser cannot be so narrow.
#[test]
fn a_phone_shows_each_verdict_without_scrolling() {
    if !process::has("chromium") {
        return process::skipped("chromium is not installed");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("phone.html");
    let report = html(&run()).replace('&', "&amp;").replace('"', "&quot;");
    // The title is what the browser prints: how much the page and the verdicts are too wide.
    let script = "var frame = document.querySelector('iframe'); frame.onload = () => { \
                  var page = frame.contentDocument.documentElement; \
                  var cells = [...page.querySelectorAll('td:nth-child(-n+3)')]; \
                  var right = cells.map(cell => cell.getBoundingClientRect().right); \
                  document.title = [page.scrollWidth - page.clientWidth, cells.length > 0, \
                  Math.max(...right) <= page.clientWidth].join(' '); }";
    let page = format!(
        "<!doctype html><title>?</title><iframe width=\"390\" height=\"900\" style=\"border: 0\" \
         srcdoc=\"{report}\"></iframe><script>{script}</script>"
    );
    std::fs::write(&path, page).unwrap();
    let output = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu"])
        .arg("--dump-dom")
        .arg(format!(
            "--user-data-dir={}",
            folder.path().join("profile").display()
        ))
        .arg(format!("file://{}", path.display()))
        .output()
        .unwrap();
    let dom = String::from_utf8_lossy(&output.stdout);
    let title = dom
        .split("<title>")
        .nth(1)
        .and_then(|rest| rest.split('<').next());
    assert_eq!(title, Some("0 true true"));
}
