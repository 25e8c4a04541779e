//! Part of `site::listing`: what the query of a directory's address asks for.
//!
//! Imports nothing of ours but `text`, the listing's way with names.

use super::text;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};
use std::io::{self, Write};

/// What is shown, in which order and in which form. Whatever is not understood is ignored:
/// a query that means something to nobody still deserves the page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// The filter as it was typed, to be shown again.
    typed: String,
    /// The same without case, to be compared; empty without a filter.
    filter: String,
    order: Order,
    is_json: bool,
}

/// How entries are sorted: directories always before files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) by: Column,
    pub(super) is_descending: bool,
}

/// What entries are sorted by, and the columns of the page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Column {
    #[default]
    Name,
    Size,
    Time,
}

/// Characters in a filter. No file system in use has longer names.
const FILTER: usize = 255;

impl Query {
    /// Reads `q=TEXT`, `sort=name|size|time`, `order=asc|desc` and `format=json` from the raw
    /// query of a target. Of two with the same name the last one counts.
    pub fn parse(raw: Option<&[u8]>) -> Self {
        let mut query = Self::default();
        for parameter in raw.unwrap_or_default().split(|&byte| byte == b'&') {
            match parameter {
                [b'q', b'=', value @ ..] => query.typed = decode(value),
                b"sort=name" => query.order.by = Column::Name,
                b"sort=size" => query.order.by = Column::Size,
                b"sort=time" => query.order.by = Column::Time,
                b"order=asc" => query.order.is_descending = false,
                b"order=desc" => query.order.is_descending = true,
                b"format=json" => query.is_json = true,
                _ => {}
            }
        }
        query.filter = text::without_case(query.typed.as_bytes());
        query
    }

    /// Whether JSON is asked for, and not a page.
    pub fn is_json(&self) -> bool {
        self.is_json
    }

    /// What a name without case must contain to be shown.
    pub(super) fn filter(&self) -> &str {
        &self.filter
    }

    /// The filter as it was typed; empty without one.
    pub(super) fn typed(&self) -> &str {
        &self.typed
    }

    pub(super) fn order(&self) -> Order {
        self.order
    }

    /// Appends a link, escaped for an attribute, to the same directory with the same filter,
    /// in this order. What is the default is left out, so that each page has one address.
    pub(super) fn put_link(
        &self,
        order: Order,
        is_json: bool,
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        let mut parameters = Vec::new();
        if order != Order::default() {
            let sort = order.by.parameter();
            parameters.push(format!("sort={sort}"));
        }
        if order.is_descending {
            parameters.push("order=desc".to_owned());
        }
        if !self.typed.is_empty() {
            let typed = utf8_percent_encode(&self.typed, NON_ALPHANUMERIC);
            parameters.push(format!("q={typed}"));
        }
        if is_json {
            parameters.push("format=json".to_owned());
        }
        if parameters.is_empty() {
            return out.write_all(b"./");
        }
        write!(out, "?{}", parameters.join("&amp;"))
    }

    /// The same without the filter.
    pub(super) fn put_unfiltered(&self, out: &mut Vec<u8>) -> io::Result<()> {
        let everything = Self {
            order: self.order,
            ..Self::default()
        };
        everything.put_link(self.order, false, out)
    }
}

impl Column {
    /// The value of `sort` that means this column.
    pub(super) fn parameter(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Size => "size",
            Self::Time => "time",
        }
    }
}

/// A value as forms send it: percent-encoded, blanks as `+`.
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
        assert_eq!((query.filter(), query.is_json()), ("", false));
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
        for raw in ["sort=", "sort=color", "order=up", "format=xml", "&&=", "?"] {
            assert_eq!(parse(raw), Query::default(), "{raw}");
        }
        assert!(parse("x=1&format=json&y").is_json());
    }

    #[test]
    fn a_link_says_what_is_not_the_default() {
        let order = |by, is_descending| Order { by, is_descending };
        for (raw, order, is_json, link) in [
            ("", order(Column::Name, false), false, "./"),
            ("order=desc", order(Column::Name, false), false, "./"),
            (
                "",
                order(Column::Name, true),
                false,
                "?sort=name&amp;order=desc",
            ),
            ("", order(Column::Size, false), false, "?sort=size"),
            (
                "q=%22%26b+c",
                order(Column::Time, true),
                true,
                "?sort=time&amp;order=desc&amp;q=%22%26b%20c&amp;format=json",
            ),
        ] {
            let mut out = Vec::new();
            parse(raw).put_link(order, is_json, &mut out).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), link);
        }
    }
}
