//! The table of a cell: built once, and written as text, as Markdown or as HTML.

use super::svg::escaped;
use super::{NAME, Style, cut, estimate, heading, plain, style, value};
use crate::bench::analysis::{CellAnalysis, Row, Verdict};
use crate::bench::metrics::metric_named;
use crate::bench::types::{Cell, REFERENCE, Run};
use crate::bench::workloads::{self, USUAL_COLUMNS};
use std::fmt::Write;

/// The columns that are shown on the narrowest terminal: arm, verdict, ratio and primary metric.
const ESSENTIAL: usize = 4;

/// A table with a row for each arm.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) columns: Vec<Column>,
    /// How the arm looks, and an entry for each column after the first.
    rows: Vec<(Style, Vec<Entry>)>,
}

#[derive(Debug)]
pub(super) struct Column {
    title: String,
    /// What it contains, as a phrase; empty if the title says it.
    meaning: &'static str,
    is_text: bool,
}

/// What a table has in one place.
#[derive(Debug)]
pub(super) struct Entry {
    text: String,
    tone: Tone,
}

/// How an entry is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tone {
    Usual,
    Good,
    Bad,
    Doubtful,
    /// A value of invalid samples.
    Invalid,
}

/// Where text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// In this number of columns, with or without colours.
    Terminal(usize, bool),
    Markdown,
}

impl Column {
    pub(super) fn text(title: impl Into<String>) -> Self {
        let title = title.into();
        Self {
            title,
            meaning: "",
            is_text: true,
        }
    }

    pub(super) fn number(title: impl Into<String>) -> Self {
        Self {
            is_text: false,
            ..Self::text(title)
        }
    }

    /// `CPU/req: CPU time of the server per response`, if the title does not say it.
    pub(super) fn legend(&self) -> Option<String> {
        let needs_one = !self.meaning.is_empty() && !self.title.starts_with('p');
        needs_one.then(|| format!("{}: {}", self.title, self.meaning))
    }

    pub(super) fn metric(name: &str) -> Self {
        Self {
            meaning: metric_named(name).map_or("", |metric| metric.meaning),
            ..Self::number(heading(name))
        }
    }
}

impl Entry {
    pub(super) fn of(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            tone: Tone::Usual,
        }
    }

    pub(super) fn metric(name: &str, number: Option<f64>) -> Self {
        Self::of(number.map_or_else(|| "-".to_owned(), |number| value(name, number)))
    }

    pub(super) fn verdict(verdict: Verdict, metric: &str) -> Self {
        let tone = match verdict {
            Verdict::Better => Tone::Good,
            Verdict::Worse => Tone::Bad,
            Verdict::Unproven | Verdict::Missing => Tone::Doubtful,
            Verdict::Reference | Verdict::NoDifference | Verdict::Indicative => Tone::Usual,
        };
        Self {
            tone,
            ..Self::of(verdict.word(metric))
        }
    }

    fn in_text(&self) -> String {
        match self.tone {
            Tone::Invalid => format!("({})", plain(&self.text)),
            _ => plain(&self.text),
        }
    }
}

impl Table {
    pub(super) fn new(columns: Vec<Column>) -> Self {
        Self {
            columns,
            rows: Vec::new(),
        }
    }

    pub(super) fn row(&mut self, style: Style, entries: Vec<Entry>) {
        self.rows.push((style, entries));
    }

    /// The table of a cell. Its metrics are those of its workload that an arm has.
    pub(super) fn of_cell(run: &Run, cell: &Cell, of: &CellAnalysis) -> Self {
        let primary = cell.primary_metric.as_str();
        let known = workloads::named(&cell.workload).map_or(USUAL_COLUMNS, |known| known.columns);
        let has_it = |name: &&&str| of.rows.iter().any(|row| row.medians.contains_key(**name));
        let others = known.iter().filter(|name| **name != primary).filter(has_it);
        let others: Vec<&str> = others.copied().collect();
        let mut columns = vec![
            Column::text(""),
            Column::text("difference"),
            Column::number(format!("to {} [95 %]", cut(run.name(REFERENCE), NAME))),
            Column::metric(primary),
        ];
        columns.extend(others.iter().map(|name| Column::metric(name)));
        columns.push(Column::number("samples"));
        let mut table = Self::new(columns);
        for row in &of.rows {
            let mut entries = vec![
                Entry::verdict(row.verdict, primary),
                Entry::of(row.ratio.as_ref().map_or_else(String::new, estimate)),
                primary_entry(row, primary),
            ];
            let of_metric = |name: &&str| Entry::metric(name, row.medians.get(name).copied());
            entries.extend(others.iter().map(of_metric));
            let (valid, all) = (row.valid().count(), row.samples.len());
            entries.push(Entry::of(match valid == all {
                true => all.to_string(),
                false => format!("{valid} of {all}"),
            }));
            table.row(style(run, row.arm), entries);
        }
        table
    }

    /// As text, with as many columns as the terminal has place for.
    pub(super) fn text(&self, form: Form) -> String {
        let titles = self.columns.iter().map(|column| plain(&column.title));
        let rows = self.rows.iter().map(|(style, entries)| {
            let entries = entries.iter().map(Entry::in_text);
            std::iter::once(style.name.clone()).chain(entries).collect()
        });
        let lines: Vec<Vec<String>> = std::iter::once(titles.collect()).chain(rows).collect();
        let width_of = |column: usize| {
            let texts = lines.iter().filter_map(|line| line.get(column));
            texts.map(|text| text.chars().count()).max().unwrap_or(0)
        };
        let mut widths: Vec<usize> = (0..self.columns.len()).map(width_of).collect();
        if let Form::Terminal(width, _) = form {
            let sum = |widths: &[usize]| widths.iter().map(|one| one + 2).sum::<usize>();
            while widths.len() > ESSENTIAL && sum(&widths) > width + 2 {
                widths.pop();
            }
        }
        let mut text = String::new();
        for (number, line) in lines.iter().enumerate() {
            let tones = number.checked_sub(1).and_then(|row| self.rows.get(row));
            let tone = |column: usize| {
                let entry = tones?.1.get(column.checked_sub(1)?)?;
                Some(entry.tone)
            };
            let places = line.iter().zip(&self.columns).zip(&widths).enumerate();
            let padded = places.map(|(column, ((text, of), width))| {
                let padded = match of.is_text {
                    true => format!("{text:<width$}"),
                    false => format!("{text:>width$}"),
                };
                colored(&padded, tone(column), form)
            });
            let padded: Vec<String> = padded.collect();
            match form {
                Form::Terminal(..) => text += padded.join("  ").trim_end(),
                Form::Markdown => text += &format!("| {} |", padded.join(" | ")),
            }
            text.push('\n');
            if number == 0 && form == Form::Markdown {
                let rule = |column: &Column| if column.is_text { "---|" } else { "--:|" };
                text += &format!("|{}\n", self.columns.iter().map(rule).collect::<String>());
            }
        }
        text
    }

    /// As HTML.
    pub(super) fn html(&self) -> String {
        let mut page = String::from("<div class=\"scroll\" tabindex=\"0\"><table>\n<tr>");
        for column in &self.columns {
            let class = if column.is_text {
                " class=\"left\""
            } else {
                ""
            };
            let (meaning, title) = (escaped(column.meaning), escaped(&column.title));
            // Writing to a string does not fail.
            let _ = write!(page, "<th title=\"{meaning}\"{class}>{title}</th>");
        }
        for (style, entries) in &self.rows {
            let Style {
                class,
                symbol,
                name,
            } = style;
            let _ = write!(
                page,
                "</tr>\n<tr><th class=\"{class}\">{symbol} {}</th>",
                escaped(name)
            );
            let columns = self.columns.iter().skip(1);
            for (column, Entry { text, tone }) in columns.zip(entries) {
                let (text, class) = (escaped(text), if column.is_text { "left" } else { "" });
                let _ = match tone {
                    Tone::Usual => write!(page, "<td class=\"{class}\">{text}</td>"),
                    Tone::Good => write!(page, "<td class=\"{class} good\"><b>{text}</b></td>"),
                    Tone::Bad => write!(page, "<td class=\"{class} bad\"><b>{text}</b></td>"),
                    Tone::Doubtful => write!(page, "<td class=\"{class} mild\">{text}</td>"),
                    Tone::Invalid => write!(page, "<td><s title=\"invalid\">{text}</s></td>"),
                };
            }
        }
        page + "</tr>\n</table></div>\n"
    }
}

/// The value of the primary metric; of invalid samples, if no sample is valid.
fn primary_entry(row: &Row, metric: &str) -> Entry {
    let number = row.medians.get(metric).copied();
    let values = row.samples.iter().filter_map(|one| one.metrics.get(metric));
    let values: Vec<f64> = values.copied().collect();
    match crate::bench::stats::median(&values).filter(|_| row.valid().next().is_none()) {
        Some(invalid) => Entry {
            tone: Tone::Invalid,
            ..Entry::metric(metric, Some(invalid))
        },
        None => Entry::metric(metric, number),
    }
}

/// The text in the colour of its tone, if the terminal has colours.
fn colored(text: &str, tone: Option<Tone>, form: Form) -> String {
    let color = match tone.filter(|_| matches!(form, Form::Terminal(_, true))) {
        Some(Tone::Good) => 32,
        Some(Tone::Bad) => 31,
        Some(Tone::Doubtful) => 33,
        _ => return text.to_owned(),
    };
    format!("\x1b[{color}m{text}\x1b[0m")
}
