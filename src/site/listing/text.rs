//! Names, sizes and numbers as text in a page and in a link.
//!
//! Names are untrusted bytes. As text they cannot contain markup, and as a link they lead to
//! nothing but the entry.

use crate::site::path;
use std::io::{self, Write};

/// A name in lower case, to be compared, with bytes that are not UTF-8 replaced. Each character is
/// converted alone: rules that depend on neighbours would change the result for parts of names.
pub(super) fn without_case(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(name);
    text.chars().flat_map(char::to_lowercase).collect()
}

/// Appends a name as HTML text, for content or a quoted attribute. Characters that are invisible
/// but change what is visible are escaped, a newline as `\x0a`: a name must not look like two, nor,
/// with its direction changed, like another.
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

/// Embeddings, overrides and isolates of the bidirectional algorithm (UAX 9 2), without the marks
/// that Arabic and Hebrew need between words.
fn turns_direction(character: char) -> bool {
    matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Appends a link from a listing to an entry. All bytes that could make it a scheme, a query, a
/// fragment or another path are escaped (RFC 3986 4.2), so it needs no `./` before the name, which
/// programs that parse listings would take for a part of the name. It needs no more escaping in
/// HTML or JSON.
pub(super) fn put_href(name: &[u8], is_directory: bool, out: &mut Vec<u8>) -> io::Result<()> {
    let slash = if is_directory { "/" } else { "" };
    write!(out, "{}{slash}", path::encode(name))
}

/// Appends a size in three digits or fewer, in units of 1,000: `999 B`, `1.0 kB`, `12 MB`.
pub(super) fn put_size(bytes: u64, out: &mut Vec<u8>) -> io::Result<()> {
    if bytes < 1000 {
        return write!(out, "{bytes} B");
    }
    // In integers, so that 999,999 bytes are 1.0 MB and not 1000 kB.
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
    fn a_number_is_written_in_groups_of_three() {
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
        fn no_bytes_are_markup(name in prop::collection::vec(any::<u8>(), 0..40)) {
            let html = put(|out| put_html(&name, out));
            prop_assert!(!html.contains(['<', '>', '"', '\'']));
            prop_assert!(!html.contains(char::is_control));
        }
    }
}
