//! Accept: whether a browser requests a page. Input: a value of the field on each line.

use super::coding::weight;
use super::{lines_of, strip};
use oneloop::http::fields::Fields;
use oneloop::http::negotiate::names_html;

pub fn check(data: &[u8]) {
    let Some(lines) = lines_of("Accept", data) else {
        return;
    };
    let values = data.split(|&byte| byte == b'\n');
    let expected = values.flat_map(|value| split(value, b',')).any(is_html);
    assert_eq!(names_html(Fields::new(&lines)), expected);
}

/// Whether the member names HTML, and its first weight, if any, is above zero.
fn is_html(member: &[u8]) -> bool {
    let parts: Vec<_> = split(member, b';')
        .into_iter()
        .map(|part| strip(part).to_ascii_lowercase())
        .collect();
    let is_named = [b"text/html".as_slice(), b"application/xhtml+xml"].contains(&&parts[0][..]);
    let weights = parts[1..]
        .iter()
        .filter_map(|part| part.strip_prefix(b"q="));
    let mut weights = weights.map(|text| std::str::from_utf8(text).ok().and_then(weight));
    is_named
        && weights
            .next()
            .is_none_or(|weight| weight.is_some_and(|weight| weight > 0.0))
}

/// The pieces between separators outside quoted strings (RFC 9110 5.6.4).
fn split(text: &[u8], separator: u8) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut at = 0;
    while at < text.len() {
        if text[at] == b'"' {
            at += 1;
            while at < text.len() && text[at] != b'"' {
                at += if text[at] == b'\\' { 2 } else { 1 };
            }
        } else if text[at] == separator {
            pieces.push(&text[start..at]);
            start = at + 1;
        }
        at += 1;
    }
    pieces.push(&text[start.min(text.len())..]);
    pieces
}
