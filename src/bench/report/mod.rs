//! Room `bench`: a run as a page that one wants to read. One file of HTML with its style and its
//! plots in it (SVG): nothing is loaded, nothing is run, and it can be kept, sent and printed.
//!
//! - `head`: what was found, in a sentence and at a glance
//! - `cells`: each load, with its plots and its reasons; `rows`: its table; `left_out`: its samples
//!   that do not count
//! - `tail`: how to read all this, and what not to believe
//! - [`plots`]: the plots. [`svg`] and [`scale`]: what they are drawn with
//! - [`view`]: what all need to know. [`numbers`]: how a number is written

mod cells;
mod head;
mod left_out;
pub mod numbers;
pub mod plots;
mod rows;
pub mod scale;
pub mod svg;
mod tail;
pub mod view;

use super::analysis::{Analysis, analyse};
use super::record::Run;
use super::run_file;
use std::path::{Path, PathBuf};
use view::View;

/// The name of the file.
pub const REPORT: &str = "report.html";

/// The style of the page: colours for light and for dark, and how it is printed.
pub const STYLE: &str = include_str!("style.css");

/// The report of a run.
pub fn html(run: &Run, analysis: &Analysis) -> String {
    let view = View { run, analysis };
    let mut page = String::from("<!doctype html>\n<html lang=\"en\">\n<head>\n");
    page += "<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, \
             initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n";
    page += &format!("<title>oneloop bench: {}</title>\n", head::title(&view));
    page += "<style>\n";
    page += STYLE;
    page += "</style>\n</head>\n<body>\n";
    page += &head::html(&view);
    page += &cells::html(&view);
    page += &tail::html(&view);
    page += "</main>\n</body>\n</html>\n";
    page
}

/// Makes the report of a run in a file again, beside it if no other place is named. Returns where
/// it is.
///
/// # Errors
/// With a sentence for the user.
pub fn again(run: &Path, output: Option<&Path>) -> Result<PathBuf, String> {
    let found = run_file::read(run)?;
    let path = output.map_or_else(|| run.with_file_name(REPORT), Path::to_owned);
    let text = html(&found, &analyse(&found));
    std::fs::write(&path, text).map_err(|error| {
        format!(
            "cannot write {}: {error} (--output names another place)",
            path.display()
        )
    })?;
    Ok(path)
}

/// A list of sentences.
fn list(sentences: &[String]) -> String {
    let items: Vec<String> = sentences
        .iter()
        .map(|text| format!("<li>{}</li>\n", svg::escaped(text)))
        .collect();
    format!("<ul>\n{}</ul>\n", items.concat())
}
