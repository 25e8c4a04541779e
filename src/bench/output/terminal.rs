//! The terminal: its width, its colours, and lines that fit.

use super::format::wrap;
use std::io::{self, IsTerminal, Write};

/// The width if nothing says another.
const DEFAULT_WIDTH: usize = 80;
/// The widths that are used. A narrower terminal breaks the lines itself.
const WIDTHS: std::ops::RangeInclusive<usize> = 60..=160;

/// Where text is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terminal {
    /// Columns.
    pub width: usize,
    /// Whether it understands escape sequences.
    pub color: bool,
}

impl Terminal {
    /// With this number of columns, or the nearest one that is used.
    pub fn new(width: usize, color: bool) -> Self {
        let width = width.clamp(*WIDTHS.start(), *WIDTHS.end());
        Self { width, color }
    }

    /// Standard output, with colours if it is a terminal and nothing forbids them
    /// (<https://no-color.org>).
    pub fn stdout() -> Self {
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        let color = io::stdout().is_terminal() && !is_set("NO_COLOR") && !is_dumb;
        let columns = std::env::var("COLUMNS").ok();
        let columns = columns.and_then(|columns| columns.parse().ok());
        let width = comfy_table::Table::new().width().map(usize::from);
        Self::new(width.or(columns).unwrap_or(DEFAULT_WIDTH), color)
    }

    /// Prints a heading, in bold if possible.
    ///
    /// # Errors
    /// If `to` cannot be written to.
    pub fn heading(self, to: &mut dyn Write, text: &str) -> io::Result<()> {
        if self.color {
            writeln!(to, "\x1b[1m{text}\x1b[0m")
        } else {
            writeln!(to, "{text}")
        }
    }

    /// Prints a sentence after a bullet. Lines after the first are indented like the first.
    ///
    /// # Errors
    /// If `to` cannot be written to.
    pub fn item(self, to: &mut dyn Write, bullet: &str, text: &str) -> io::Result<()> {
        let indent = bullet.chars().count();
        let width = self.width.saturating_sub(indent + 1);
        for (index, line) in wrap(text, width).iter().enumerate() {
            let before = if index == 0 { bullet } else { "" };
            writeln!(to, "{before:indent$}{line}")?;
        }
        Ok(())
    }
}
