//! Part of `site::listing`: names, sizes and times as text in a page, in JSON and in a link.
//!
//! A name is bytes that somebody else chose. Whatever it holds, it comes out of here as text
//! that is only text, and as a link that leads to nothing but the name. Imports
//! `http::date` and `site::path`.

use crate::http::date::HttpDate;
use crate::site::path;
use std::io::{self, Write};
use std::time::{Duration, UNIX_EPOCH};

/// A name to compare with others: what is no UTF-8 replaced, in lower case, each character by
/// itself (a rule that looks at neighbours would lose parts of names).
pub(super) fn without_case(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(name);
    text.chars().flat_map(char::to_lowercase).collect()
}

/// Appends a name as text for HTML, between tags or in a quoted attribute. What would not be
/// seen but change what is seen is shown, a newline as `\x0a`: a name must not look like two,
/// nor, its direction turned over in the middle, like another.
pub(super) fn put_html(name: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    for character in String::from_utf8_lossy(name).chars() {
        match character {
            '&' => out.extend_from_slice(b"&amp;"),
            '<' => out.extend_from_slice(b"&lt;"),
            '>' => out.extend_from_slice(b"&gt;"),
            '"' => out.extend_from_slice(b"&quot;"),
            '\'' => out.extend_from_slice(b"&#39;"),
            _ if character.is_control() => write!(out, "\\x{:02x}", u32::from(character))?,
            _ if turns_direction(character) => write!(out, "\\u{:04x}", u32::from(character))?,
            _ => put_char(character, out),
        }
    }
    Ok(())
}

/// Embeddings, overrides and isolates of the bidirectional algorithm (UAX 9 2). The marks that
/// Arabic and Hebrew need between words are not among them.
fn turns_direction(character: char) -> bool {
    matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Appends a name as what stands in a JSON string, between the quotes (RFC 8259 7).
pub(super) fn put_json(name: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    for character in String::from_utf8_lossy(name).chars() {
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            _ if character.is_control() => write!(out, "\\u{:04x}", u32::from(character))?,
            _ => put_char(character, out),
        }
    }
    Ok(())
}

/// Appends a link from a directory's page to an entry. All bytes that could make it a scheme, a
/// query, a fragment or another path are escaped (RFC 3986 4.2), so no name needs a `./` before
/// it, which programs that read listings would take for a part of the name. It needs no more
/// escaping in HTML or JSON.
pub(super) fn put_href(name: &[u8], is_directory: bool, out: &mut Vec<u8>) -> io::Result<()> {
    let slash = if is_directory { "/" } else { "" };
    write!(out, "{}{slash}", path::encode(name))
}

/// Appends a size in three digits or fewer, in units of 1,000: `999 B`, `1.0 kB`, `12 MB`.
pub(super) fn put_size(bytes: u64, out: &mut Vec<u8>) -> io::Result<()> {
    if bytes < 1000 {
        return write!(out, "{bytes} B");
    }
    // Not in floating point, so that 999,999 bytes are 1.0 MB and not 1000 kB.
    let bytes = u128::from(bytes);
    let mut unit = 1000;
    for name in ["kB", "MB", "GB", "TB", "PB", "EB"] {
        let tenths = (bytes * 10 + unit / 2) / unit;
        let whole = (bytes + unit / 2) / unit;
        if tenths < 100 {
            return write!(out, "{}.{} {name}", tenths / 10, tenths % 10);
        }
        if whole < 1000 {
            return write!(out, "{whole} {name}");
        }
        unit *= 1000;
    }
    Ok(())
}

/// Appends a number in groups of three digits: `1,234,567`.
pub(super) fn put_number(number: u64, out: &mut Vec<u8>) -> io::Result<()> {
    let digits = number.to_string();
    for (at, digit) in digits.bytes().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(b',');
        }
        out.push(digit);
    }
    Ok(())
}

/// A moment as `2026-11-22`, `15:42` and `28`, in UTC.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) day: String,
    pub(super) minute: String,
    pub(super) second: String,
}

impl Moment {
    /// `seconds` since 1970; before that and after 9999 the nearest moment that a header
    /// field can name. The calendar is the one of `http::date`; here its words change places.
    pub(super) fn at(seconds: i64) -> Self {
        let since_1970 = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        let last = UNIX_EPOCH + Duration::from_secs(253_402_300_799);
        let time = UNIX_EPOCH.checked_add(since_1970).unwrap_or(last);
        // Sun, 06 Nov 1994 08:49:37 GMT
        let date = HttpDate::nearest(time).to_string();
        let mut words = date.split([' ', ':']).skip(1);
        let mut word = || words.next().unwrap_or_default();
        let (day, month, year) = (word(), word(), word());
        let (hour, minute, second) = (word(), word(), word());
        Self {
            day: format!("{year}-{:02}-{day}", month_number(month)),
            minute: format!("{hour}:{minute}"),
            second: second.to_owned(),
        }
    }
}

fn month_number(name: &str) -> usize {
    const NAMES: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    NAMES.find(name).unwrap_or_default() / 3 + 1
}

fn put_char(character: char, out: &mut Vec<u8>) {
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::path::SitePath;
    use proptest::prelude::*;

    fn put(put: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        put(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_name_is_only_text_in_a_page() {
        for (name, text) in [
            ("a b.txt", "a b.txt"),
            (
                "<img src=x onerror=alert(1)>",
                "&lt;img src=x onerror=alert(1)&gt;",
            ),
            ("\"'&amp;", "&quot;&#39;&amp;amp;"),
            ("a\nb\t\0\x1b[31m\x7f", r"a\x0ab\x09\x00\x1b[31m\x7f"),
            ("\u{85}\u{9b}", r"\x85\x9b"),
            ("\u{4f60}\u{202e}txt.exe", "\u{4f60}\\u202etxt.exe"),
            ("\u{5d0}\u{200f}.txt", "\u{5d0}\u{200f}.txt"),
        ] {
            assert_eq!(put(|out| put_html(name.as_bytes(), out)), text);
        }
        assert_eq!(put(|out| put_html(b"a\xff<", out)), "a\u{fffd}&lt;");
    }

    #[test]
    fn a_link_is_never_a_scheme_a_query_or_markup() {
        for (name, is_directory, link) in [
            ("a.txt", false, "a.txt"),
            ("a", true, "a/"),
            ("javascript:alert(1)", false, "javascript%3Aalert%281%29"),
            ("?x", false, "%3Fx"),
            ("#y", true, "%23y/"),
            ("%41", false, "%2541"),
            ("a&b=\"'<>+;", false, "a%26b%3D%22%27%3C%3E%2B%3B"),
            (" \n", false, "%20%0A"),
            ("..foo~_-", false, "..foo~_-"),
            ("\u{e9}", false, "%C3%A9"),
        ] {
            let written = put(|out| put_href(name.as_bytes(), is_directory, out));
            assert_eq!(written, link);
        }
        assert_eq!(put(|out| put_href(b"a\xff", false, out)), "a%FF");
    }

    #[test]
    fn a_size_has_at_most_three_digits() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (1049, "1.0 kB"),
            (1050, "1.1 kB"),
            (9949, "9.9 kB"),
            (9950, "10 kB"),
            (999_499, "999 kB"),
            (999_500, "1.0 MB"),
            (4_500_000, "4.5 MB"),
            (12_345_678_901, "12 GB"),
            (u64::MAX, "18 EB"),
        ] {
            assert_eq!(put(|out| put_size(bytes, out)), text);
        }
    }

    #[test]
    fn a_number_is_read_in_groups_of_three() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (100_000, "100,000"),
            (u64::MAX, "18,446,744,073,709,551,615"),
        ] {
            assert_eq!(put(|out| put_number(number, out)), text);
        }
    }

    #[test]
    fn a_moment_is_read_from_the_year_to_the_second() {
        for (seconds, day, minute, second) in [
            (784_111_777, "1994-11-06", "08:49", "37"),
            (951_782_399, "2000-02-28", "23:59", "59"),
            (951_782_400, "2000-02-29", "00:00", "00"),
            (1_795_362_148, "2026-11-22", "15:42", "28"),
            (0, "1970-01-01", "00:00", "00"),
            (-1, "1970-01-01", "00:00", "00"),
            (i64::MIN, "1970-01-01", "00:00", "00"),
            (253_402_300_800, "9999-12-31", "23:59", "59"),
            (i64::MAX, "9999-12-31", "23:59", "59"),
        ] {
            let Moment {
                day: d,
                minute: m,
                second: s,
            } = Moment::at(seconds);
            assert_eq!(
                (d.as_str(), m.as_str(), s.as_str()),
                (day, minute, second),
                "{seconds}"
            );
        }
    }

    #[test]
    fn every_month_has_its_number() {
        for month in 1..=12 {
            let seconds = 1_767_225_600 + (month - 1) * 2_630_000 + 1_000_000;
            let day = Moment::at(seconds).day;
            assert_eq!(day[..8], format!("2026-{month:02}-"), "{day}");
        }
    }

    proptest! {
        #[test]
        fn a_link_leads_back_to_the_name(
            name in prop::collection::vec(
                (1..=255u8).prop_filter("a separator", |byte| *byte != b'/'),
                1..40,
            ),
            is_directory: bool,
        ) {
            prop_assume!(!matches!(name.as_slice(), b"." | b".."));
            let href = put(|out| put_href(&name, is_directory, out));
            let raw = format!("/{href}");
            let mut buffer = Vec::new();
            let path = SitePath::decode(raw.as_bytes(), &mut buffer).unwrap();
            prop_assert_eq!(path.name(), name);
            prop_assert_eq!(path.has_slash(), is_directory);
        }

        #[test]
        fn any_bytes_are_a_string_in_json(name in prop::collection::vec(any::<u8>(), 0..40)) {
            let json = put(|out| put_json(&name, out));
            let parsed: String = serde_json::from_str(&format!("\"{json}\"")).unwrap();
            prop_assert_eq!(parsed, String::from_utf8_lossy(&name));
        }

        #[test]
        fn no_bytes_are_markup(name in prop::collection::vec(any::<u8>(), 0..40)) {
            let html = put(|out| put_html(&name, out));
            prop_assert!(!html.contains(['<', '>', '"', '\'']));
            prop_assert!(!html.contains(char::is_control));
        }
    }
}
