//! Room `bench`: what does a run look like on a terminal?
//!
//! - here: the order of what is printed, which is results first and doubts right after them
//! - [`cell`]: the table of a cell, and why it looks as it does
//! - [`columns`]: which numbers matter in which workload
//! - [`doubts`]: problems, samples that do not count, limits of what can be known
//! - [`format`](mod@format): numbers and lines

pub mod cell;
pub mod columns;
pub mod doubts;
pub mod format;

use super::analysis::Analysis;
use super::record::Run;
use std::io::{self, IsTerminal, Write};

/// Columns where nobody has said how many there are.
const USUAL: usize = 80;
/// Narrower than that nothing can be shown; what is wider is left empty.
const WIDTHS: std::ops::RangeInclusive<usize> = 60..=160;

/// Where it is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terminal {
    /// Columns.
    pub width: usize,
    /// Whether escape sequences are understood.
    pub color: bool,
}

impl Terminal {
    /// Of these columns, or the nearest that can be used.
    pub fn new(width: usize, color: bool) -> Self {
        let width = width.clamp(*WIDTHS.start(), *WIDTHS.end());
        Self { width, color }
    }

    /// Standard output: colours if it is a terminal and nobody has said no
    /// (<https://no-color.org>).
    pub fn stdout() -> Self {
        let says = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        let color = io::stdout().is_terminal() && !says("NO_COLOR") && !dumb;
        let told = std::env::var("COLUMNS")
            .ok()
            .and_then(|columns| columns.parse().ok());
        let width = comfy_table::Table::new().width().map(usize::from);
        Self::new(width.or(told).unwrap_or(USUAL), color)
    }

    /// A heading, bold where that can be.
    pub fn heading(self, to: &mut dyn Write, text: &str) -> io::Result<()> {
        if self.color {
            writeln!(to, "\x1b[1m{text}\x1b[0m")
        } else {
            writeln!(to, "{text}")
        }
    }

    /// A sentence, broken where it must be; lines after the first begin under its text.
    pub fn item(self, to: &mut dyn Write, bullet: &str, text: &str) -> io::Result<()> {
        let indent = bullet.chars().count();
        let room = self.width.saturating_sub(indent + 1);
        for (index, line) in format::wrapped(text, room).iter().enumerate() {
            let before = if index == 0 { bullet } else { "" };
            writeln!(to, "{before:indent$}{line}")?;
        }
        Ok(())
    }
}

/// Prints a run: the table of each cell, and what is in doubt.
///
/// # Errors
/// If `to` cannot be written to.
pub fn print(
    run: &Run,
    analysis: &Analysis,
    to: &mut dyn Write,
    width: usize,
    color: bool,
) -> io::Result<()> {
    let terminal = Terminal::new(width, color);
    for remark in &analysis.remarks {
        terminal.item(to, "", &format::plain(remark))?;
    }
    for one in &analysis.cells {
        writeln!(to)?;
        cell::print(run, one, to, terminal)?;
    }
    cell::legend(run, analysis, to, terminal)?;
    doubts::print(run, to, terminal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::analysis::analyse;
    use crate::bench::analysis::sample_runs::plain;

    fn printed(run: &Run, width: usize, color: bool) -> String {
        let mut bytes = Vec::new();
        print(run, &analyse(run), &mut bytes, width, color).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    fn widest(text: &str) -> usize {
        text.lines().map(|line| line.chars().count()).max().unwrap()
    }

    #[test]
    fn a_cell_is_a_table_of_eighty_columns() {
        let text = printed(&plain([1.0, 1.0, 0.86, 1.3], 8), 80, false);
        let lines: Vec<&str> = text
            .lines()
            .skip_while(|line| !line.starts_with("keep"))
            .collect();
        let table = [
            "keepalive c=64  8 rounds  A'/A 1.005 [0.991,1.005] ok",
            "closed loop, 64 connections, 1 KiB",
            "         req/s           to reactor [95 %]  difference     p99  CPU us  ctxsw",
            "reactor  ██████▎  77.6k                                 1.93ms    12.9   0.11",
            "reactor' ██████▏  76.9k   1.00 [0.99,1.01]  none shown  1.95ms    13.0   0.11",
            "thread   █████▍   66.5k   0.86 [0.85,0.87]  slower      2.26ms    15.0   0.98",
            "process  ████████ 99.6k   1.30 [1.28,1.32]  faster      1.51ms    10.0   0.98",
            "limit: server processor 100 %",
        ];
        assert_eq!(lines[..table.len()], table, "{text}");
    }

    #[test]
    fn nothing_is_wider_than_the_terminal() {
        for width in [60, 80, 100, 120] {
            let text = printed(&plain([1.0, 1.0, 0.86, 1.5], 8), width, false);
            assert!(widest(&text) <= width, "{width}: {text}");
        }
        assert!(widest(&printed(&plain([1.0; 4], 8), 0, false)) <= 60);
    }

    #[test]
    fn only_where_colours_are_wanted_are_there_escapes() {
        let run = plain([1.0, 1.0, 0.86, 1.5], 8);
        assert!(!printed(&run, 80, false).contains('\x1b'));
        assert!(printed(&run, 80, true).contains('\x1b'));
    }

    #[test]
    fn names_cannot_write_to_the_terminal() {
        let mut run = plain([1.0, 1.0, 0.86, 1.5], 8);
        run.arms[2].name = "\x1b[2Jevil\n".to_owned();
        run.cells[0].name = "\x07cell".to_owned();
        run.cells[0].description = "\x1b]0;x\x07".to_owned();
        run.problems = vec!["\x1b[31mred".to_owned()];
        run.samples[3].invalid = vec!["\x1b[1m".to_owned()];
        run.samples[5].limiter = "\x1b[1m".to_owned();
        let text = printed(&run, 80, false);
        assert!(!text.contains(['\x1b', '\x07']), "{text}");
    }

    #[test]
    fn everything_that_is_in_doubt_is_said() {
        let mut run = plain([1.0, 1.0, 0.86, 1.5], 8);
        run.problems = vec!["The server of thread did not stop.".to_owned()];
        run.notes = vec!["sequential takes no part.".to_owned()];
        run.environment.warnings = vec!["The governor is powersave.".to_owned()];
        for round in [1, 4] {
            let one = run
                .samples
                .iter_mut()
                .find(|one| one.arm == 2 && one.round == round);
            one.unwrap().invalid = vec!["steal was 4.1 %".to_owned()];
        }
        let text = printed(&run, 80, false);
        for told in [
            "The server of thread did not stop.",
            "sequential takes no part.",
            "The governor is powersave.",
            "2 of 32 samples do not count",
            "steal was 4.1 % (2: keepalive c=64 thread 2 5)",
            "loopback",
        ] {
            assert!(text.contains(told), "{told} in {text}");
        }
    }

    #[test]
    fn a_run_without_anything_is_short() {
        let text = printed(&Run::default(), 80, false);
        assert!(
            text.contains("There is nothing to compare in this run."),
            "{text}"
        );
    }
}
