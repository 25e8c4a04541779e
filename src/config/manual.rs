//! The manual page: the options from clap_mangen, the text of the long help, and text that only the
//! manual page has. `mandoc -Tlint` reports nothing.

use std::io;

use clap::CommandFactory;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::arguments::Arguments;
use super::help_text::{AFTER_LONG_HELP, MANUAL};
use crate::subcommands;

/// When the text or an option was last changed.
const DATE: &str = "2026-11-29";

/// Most bytes in a line of text (the limit of mandoc).
const WIDTH: usize = 80;

/// The page, in man(7).
pub fn page() -> io::Result<Vec<u8>> {
    let subcommands = subcommands::all();
    let mut usage = "oneloop [OPTIONS] [ROOT]".to_owned();
    for command in &subcommands {
        usage.push_str(&format!("\noneloop {} [OPTIONS]", command.get_name()));
    }
    let man = Man::new(Arguments::command().override_usage(usage))
        .title("ONELOOP")
        .date(DATE)
        .manual("User Commands");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    let mut roff = Roff::new();
    if !subcommands.is_empty() {
        roff.control("SH", ["COMMANDS"]);
    }
    for command in &subcommands {
        let (name, about) = (command.get_name(), command.get_about());
        roff.control("TP", []);
        roff.text([bold(name)]);
        let about = about.map(ToString::to_string).unwrap_or_default();
        roff.text([roman(format!("{about} (oneloop {name} --help)."))]);
    }
    for text in [AFTER_LONG_HELP, MANUAL] {
        sections(&mut roff, text);
    }
    roff.to_writer(&mut page)?;
    Ok(tidied(&String::from_utf8_lossy(&page)).into_bytes())
}

/// Adds sections. A line `Title:` without indent begins one; its text is indented. Text with
/// columns (a gap of three blanks) is kept as it is.
fn sections(roff: &mut Roff, text: &str) {
    for line in text.lines() {
        let is_literal = line.trim_start().contains("   ") || line.starts_with("     ");
        match line.strip_suffix(':').filter(|_| !line.starts_with(' ')) {
            Some(title) => {
                roff.control("SH", [title.to_uppercase().as_str()]);
            }
            None if line.is_empty() => {
                roff.control("PP", []);
            }
            None if is_literal || line.starts_with("  oneloop ") => {
                roff.control("nf", []);
                roff.text([roman(line)]);
                roff.control("fi", []);
            }
            None => {
                roff.text([roman(line.trim_start())]);
            }
        }
    }
}

/// The page without what mandoc warns of: long lines, trailing blanks, empty lines, breaks without
/// effect, and paragraphs before a heading.
fn tidied(page: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in page.lines().map(str::trim_end) {
        let is_text = !line.starts_with(['.', '\'']);
        if line == ".br"
            && lines
                .last()
                .is_some_and(|last| last == ".PP" || last == ".IP")
        {
            continue;
        }
        match line {
            // In the text of an option, where `.PP` would end the indent.
            "" => lines.push(".IP".to_owned()),
            ".nf" if lines.last().is_some_and(|last| last == ".fi") => {
                lines.pop();
            }
            _ if is_text => lines.extend(wrapped(line)),
            _ => {
                let is_heading = line.starts_with(".SH");
                while is_heading && lines.last().is_some_and(|last| last == ".PP") {
                    lines.pop();
                }
                lines.push(line.to_owned());
            }
        }
    }
    lines.join("\n") + "\n"
}

/// The line, broken at blanks.
fn wrapped(line: &str) -> Vec<String> {
    if line.len() <= WIDTH || line.starts_with(' ') {
        return vec![line.to_owned()];
    }
    let mut lines = vec![String::new()];
    for word in line.split(' ').filter(|word| !word.is_empty()) {
        let Some(last) = lines.last_mut() else { break };
        if last.is_empty() {
            last.push_str(word);
        } else if last.len() + 1 + word.len() <= WIDTH - 2 {
            *last += " ";
            *last += word;
        } else {
            // At the start of a line, a dot or an apostrophe begins a command.
            let guard = if word.starts_with(['.', '\'']) {
                "\\&"
            } else {
                ""
            };
            lines.push(format!("{guard}{word}"));
        }
    }
    lines
}
