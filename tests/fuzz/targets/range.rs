//! Range. Input: the length of the file on the first line, then a value of the field on each line.

use super::{first_line, lines_of, strip};
use oneloop::http::fields::Fields;
use oneloop::http::range::{ByteRange, Ranges, ranges, unsatisfied};

/// Ranges with a smaller gap become one.
const PART_COST: u128 = 80;
/// The length of the file if the input has none.
const LENGTH: u64 = 10_000;
/// Beyond the length of every file.
const BEYOND: u128 = u64::MAX as u128;

/// The first byte, and the one after the last.
type Span = (u128, u128);

pub fn check(data: &[u8]) {
    let (length, values) = first_line(data);
    let length = std::str::from_utf8(length)
        .ok()
        .and_then(|text| text.parse().ok());
    let total: u64 = length.unwrap_or(LENGTH);
    let Some(lines) = lines_of("Range", values) else {
        return;
    };
    let found = ranges(Fields::new(&lines), total);
    let expected = match values.contains(&b'\n') {
        true => Outcome::Whole,
        false => outcome(strip(values), total.into()),
    };
    assert_eq!(Outcome::of(&found, total), expected, "of {total} bytes");
}

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Whole,
    Unsatisfiable(String),
    Parts(Vec<Span>, Vec<String>),
}

impl Outcome {
    fn of(ranges: &Ranges, total: u64) -> Self {
        let ranges = match ranges {
            Ranges::Whole => return Self::Whole,
            Ranges::Unsatisfiable => return Self::Unsatisfiable(unsatisfied(total)),
            Ranges::One(range) => vec![*range],
            Ranges::Several(ranges) => {
                assert!(ranges.len() > 1);
                ranges.clone()
            }
        };
        let span = |range: &ByteRange| {
            let (first, last) = (u128::from(range.first()), u128::from(range.last()));
            assert_eq!(u128::from(range.length()), last - first + 1);
            (first, last + 1)
        };
        let spans = ranges.iter().map(span).collect();
        let text = |range: &ByteRange| String::from_utf8(range.content_range(total)).unwrap();
        let texts = ranges.iter().map(text);
        Self::Parts(spans, texts.collect())
    }
}

/// RFC 9110 14.1.2 and 14.2, with numbers that do not overflow.
fn outcome(value: &[u8], total: u128) -> Outcome {
    let text = String::from_utf8_lossy(value);
    let Some((unit, set)) = text.split_once('=') else {
        return Outcome::Whole;
    };
    let members = set
        .split(',')
        .map(|member| member.trim_matches([' ', '\t']));
    let members: Vec<_> = members.filter(|member| !member.is_empty()).collect();
    let is_good = unit.eq_ignore_ascii_case("bytes") && !members.is_empty();
    let spans: Option<Vec<_>> = members.iter().map(|member| span(member, total)).collect();
    let Some(spans) = spans.filter(|_| is_good) else {
        return Outcome::Whole;
    };
    let spans = joined(spans.into_iter().flatten().collect());
    if spans.is_empty() {
        return Outcome::Unsatisfiable(format!("bytes */{total}"));
    }
    let text = |&(first, end): &Span| format!("bytes {first}-{}/{total}", end - 1);
    let texts = spans.iter().map(text).collect();
    Outcome::Parts(spans, texts)
}

/// `None`: malformed. `Some(None)`: without a byte of the file.
fn span(member: &str, total: u128) -> Option<Option<Span>> {
    let (first, last) = member.split_once('-')?;
    let (first, end) = match (first, last) {
        ("", length) => {
            let length = number(length)?;
            (total - length.min(total), total)
        }
        (first, "") => (number(first)?, total),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return None;
            }
            (first, total.min(last + 1))
        }
    };
    match total == 0 && first == 0 {
        // The whole of an empty file: there is no Content-Range for it.
        true => None,
        false => Some((first < end).then_some((first, end))),
    }
}

fn number(digits: &str) -> Option<u128> {
    if digits.is_empty() || !digits.chars().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let significant = digits.trim_start_matches('0');
    match significant.len() {
        0 => Some(0),
        1..30 => significant
            .parse()
            .ok()
            .map(|number: u128| number.min(BEYOND)),
        _ => Some(BEYOND),
    }
}

/// Joins ranges with small gaps, pair by pair. The earlier one keeps its place.
fn joined(spans: Vec<Span>) -> Vec<Span> {
    let near = |a: Span, b: Span| a.0 < b.1 + PART_COST && b.0 < a.1 + PART_COST;
    let mut joined: Vec<(usize, Span)> = Vec::new();
    for (mut place, mut span) in spans.into_iter().enumerate() {
        while let Some(at) = joined.iter().position(|(_, other)| near(span, *other)) {
            let (earlier, other) = joined.swap_remove(at);
            place = place.min(earlier);
            span = (span.0.min(other.0), span.1.max(other.1));
        }
        joined.push((place, span));
    }
    joined.sort_unstable();
    joined.into_iter().map(|(_, span)| span).collect()
}
