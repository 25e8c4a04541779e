//! The query of a listing: filter, order and format.

use super::text;
use percent_encoding::percent_decode;
use std::fmt;
use std::io::{self, Write};

/// What is shown, in which order and format. Unknown parameters are ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// The filter as the user typed it.
    typed: String,
    /// The filter in lower case; empty without one.
    filter: String,
    order: Order,
    format: Format,
}

/// The content that is requested.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// The listing as a page.
    #[default]
    Page,
    /// The listing as JSON.
    Json,
    /// The stylesheet of the page.
    Style,
}

/// The order of entries. Directories are always before files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) by: Column,
    pub(super) is_descending: bool,
}

/// The columns of the page, by which entries are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Column {
    #[default]
    Name,
    Size,
    Time,
}

/// The most characters in a filter: names in file systems are not longer.
const FILTER: usize = 255;

impl Query {
    /// Parses `q=TEXT`, `sort=name|size|time` (with a `-` before the column: descending),
    /// `order=asc|desc`, `format=json` and `style` from the raw query of a target. Of two with
    /// the same name, the last one applies.
    pub fn parse(raw: Option<&[u8]>) -> Self {
        let mut query = Self::default();
        for parameter in raw.unwrap_or(b"").split(|&byte| byte == b'&') {
            match parameter {
                [b'q', b'=', value @ ..] => query.typed = decode(value),
                [b's', b'o', b'r', b't', b'=', value @ ..] => query.order.sort(value),
                b"order=asc" => query.order.is_descending = false,
                b"order=desc" => query.order.is_descending = true,
                b"format=json" => query.format = Format::Json,
                _ if parameter.starts_with(b"style=") => query.format = Format::Style,
                _ => {}
            }
        }
        query.filter = text::without_case(query.typed.as_bytes());
        query
    }

    /// The content that is requested.
    pub fn format(&self) -> Format {
        self.format
    }

    /// What a name in lower case must contain to be shown.
    pub(super) fn filter(&self) -> &str {
        &self.filter
    }

    /// The filter as the user typed it; empty without one.
    pub(super) fn typed(&self) -> &str {
        &self.typed
    }

    pub(super) fn order(&self) -> Order {
        self.order
    }

    /// Appends a link to the same listing without the filter.
    pub(super) fn put_unfiltered(&self, out: &mut Vec<u8>) -> io::Result<()> {
        match self.order == Order::default() {
            true => out.write_all(b"./"),
            false => write!(out, "?sort={}", self.order),
        }
    }
}

/// The address of a listing: a directory and a query.
#[derive(Debug)]
pub(super) struct View {
    /// [`SitePath::name`](crate::site::path::SitePath::name) of the directory.
    pub(super) path: Box<[u8]>,
    pub(super) query: Query,
    /// The page links to its stylesheet instead of containing it.
    pub(super) links_style: bool,
}

impl Order {
    /// Applies a value of `sort`, if it is valid.
    fn sort(&mut self, value: &[u8]) {
        let (is_descending, name) = match value {
            [b'-', name @ ..] => (true, name),
            name => (self.is_descending, name),
        };
        let named = |column: &Column| column.parameter().as_bytes() == name;
        let columns = [Column::Name, Column::Size, Column::Time];
        if let Some(by) = columns.into_iter().find(named) {
            *self = Self { by, is_descending };
        }
    }
}

/// The value of `sort` for this order.
impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.is_descending { "-" } else { "" };
        write!(f, "{sign}{}", self.by.parameter())
    }
}

impl Column {
    /// The value of `sort` for this column.
    pub(super) fn parameter(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Size => "size",
            Self::Time => "time",
        }
    }
}

/// Decodes a value as sent by a form: percent-encoded, with `+` for spaces.
fn decode(value: &[u8]) -> String {
    let blanks: Vec<u8> = value
        .iter()
        .map(|&byte| if byte == b'+' { b' ' } else { byte })
        .collect();
    let decoded = percent_decode(&blanks).decode_utf8_lossy();
    decoded.chars().take(FILTER).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(raw: &str) -> Query {
        Query::parse(Some(raw.as_bytes()))
    }

    #[test]
    fn without_a_query_everything_is_shown_by_name() {
        let query = Query::parse(None);
        assert_eq!(query, parse(""));
        assert_eq!((query.filter(), query.format()), ("", Format::Page));
        assert_eq!(query.order(), Order::default());
    }

    #[test]
    fn the_filter_is_decoded_once_and_loses_its_case() {
        for (raw, typed, filter) in [
            ("q=a", "a", "a"),
            ("q=A+b%2Bc", "A b+c", "a b+c"),
            ("q=%C3%89t%C3%A9", "\u{c9}t\u{e9}", "\u{e9}t\u{e9}"),
            ("q=%2561", "%61", "%61"),
            ("q=100%", "100%", "100%"),
            ("q=%FF", "\u{fffd}", "\u{fffd}"),
            ("q=a=b", "a=b", "a=b"),
            ("q=a&q=b", "b", "b"),
            ("q=", "", ""),
            ("q", "", ""),
            ("Q=a&qq=b&", "", ""),
        ] {
            let query = parse(raw);
            assert_eq!((query.typed(), query.filter()), (typed, filter), "{raw}");
        }
    }

    #[test]
    fn a_filter_is_no_longer_than_a_name() {
        let long = "\u{e9}".repeat(10_000);
        assert_eq!(parse(&format!("q={long}")).typed().chars().count(), FILTER);
    }

    #[test]
    fn an_unknown_parameter_is_ignored() {
        for raw in [
            "sort=",
            "sort=color",
            "sort=-",
            "sort=--size",
            "order=up",
            "style",
            "format=xml",
            "&&=",
            "?",
        ] {
            assert_eq!(parse(raw), Query::default(), "{raw}");
        }
        assert_eq!(parse("x=1&format=json&y").format(), Format::Json);
        assert_eq!(parse("style=1").format(), Format::Style);
    }

    #[test]
    fn an_order_is_one_parameter_or_two() {
        let order = |by, is_descending| Order { by, is_descending };
        for (raw, expected, written) in [
            ("", order(Column::Name, false), "name"),
            ("sort=-name", order(Column::Name, true), "-name"),
            ("order=desc", order(Column::Name, true), "-name"),
            ("sort=size", order(Column::Size, false), "size"),
            ("sort=-size", order(Column::Size, true), "-size"),
            ("order=desc&sort=size", order(Column::Size, true), "-size"),
            (
                "sort=-size&sort=time&order=asc",
                order(Column::Time, false),
                "time",
            ),
        ] {
            assert_eq!(parse(raw).order(), expected, "{raw}");
            assert_eq!(expected.to_string(), written);
        }
    }

    #[test]
    fn the_link_without_the_filter_keeps_the_order() {
        for (raw, link) in [("q=a", "./"), ("q=a&sort=size&order=desc", "?sort=-size")] {
            let mut out = Vec::new();
            parse(raw).put_unfiltered(&mut out).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), link);
        }
    }
}
