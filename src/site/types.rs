//! Room `site`: the media type of a file, by its name. Imports nothing of ours.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Files that are text by custom, and have no extension to say so.
const TEXTS: [&str; 9] = [
    "readme",
    "license",
    "copying",
    "changelog",
    "authors",
    "contributing",
    "notice",
    "makefile",
    "dockerfile",
];

/// The Content-Type of a file with this name, with a charset where it is text. Our files are taken
/// for UTF-8: a page that is not can say so itself, and nearly none is not.
pub fn of(name: &[u8]) -> &'static str {
    let path = Path::new(OsStr::from_bytes(name));
    let Some(guess) = mime_guess::from_path(path).first_raw() else {
        let file = path.file_name().unwrap_or_default().as_bytes();
        let is_text = TEXTS
            .iter()
            .any(|text| file.eq_ignore_ascii_case(text.as_bytes()));
        return if is_text {
            "text/plain; charset=utf-8"
        } else {
            "application/octet-stream"
        };
    };
    with_charset(guess)
}

/// Whether encoded siblings are worth looking for: text, and the few others that shrink.
/// (Not every file: `a.tar.gz` beside `a.tar` is a file of its own.)
pub fn is_compressible(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default();
    essence.starts_with("text/")
        || essence.ends_with("+xml")
        || essence.ends_with("+json")
        || matches!(
            essence,
            "application/javascript"
                | "application/json"
                | "application/xml"
                | "application/wasm"
                | "application/manifest+json"
                | "font/ttf"
                | "font/otf"
                | "image/bmp"
                | "image/x-icon"
        )
}

/// The types that need a charset, with it.
fn with_charset(guess: &'static str) -> &'static str {
    const CHARSET: [(&str, &str); 16] = [
        ("text/html", "text/html; charset=utf-8"),
        ("text/css", "text/css; charset=utf-8"),
        ("text/javascript", "text/javascript; charset=utf-8"),
        ("application/javascript", "text/javascript; charset=utf-8"),
        ("text/plain", "text/plain; charset=utf-8"),
        ("text/markdown", "text/markdown; charset=utf-8"),
        ("text/csv", "text/csv; charset=utf-8"),
        (
            "text/tab-separated-values",
            "text/tab-separated-values; charset=utf-8",
        ),
        ("text/xml", "text/xml; charset=utf-8"),
        ("text/calendar", "text/calendar; charset=utf-8"),
        ("text/vcard", "text/vcard; charset=utf-8"),
        ("text/vtt", "text/vtt; charset=utf-8"),
        ("text/cache-manifest", "text/cache-manifest; charset=utf-8"),
        ("text/x-component", "text/x-component; charset=utf-8"),
        ("text/jade", "text/jade; charset=utf-8"),
        ("text/sgml", "text/sgml; charset=utf-8"),
    ];
    let with = CHARSET
        .iter()
        .find(|(bare, _)| *bare == guess)
        .map(|(_, with)| *with);
    match with {
        Some(with) => with,
        // The other text types are source code of some kind: show it as what it is.
        None if guess.starts_with("text/") => "text/plain; charset=utf-8",
        None => guess,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_a_charset_and_the_rest_its_type() {
        for (name, content_type) in [
            ("index.html", "text/html; charset=utf-8"),
            ("a/b.CSS", "text/css; charset=utf-8"),
            ("m.js", "text/javascript; charset=utf-8"),
            ("m.mjs", "text/javascript; charset=utf-8"),
            ("a.json", "application/json"),
            ("a.svg", "image/svg+xml"),
            ("a.wasm", "application/wasm"),
            ("a.woff2", "font/woff2"),
            ("a.avif", "image/avif"),
            ("a.webp", "image/webp"),
            ("a.md", "text/markdown; charset=utf-8"),
            ("a.rs", "text/plain; charset=utf-8"),
            ("src/Makefile", "text/plain; charset=utf-8"),
            ("README", "text/plain; charset=utf-8"),
            ("a.tar.gz", "application/gzip"),
            ("a", "application/octet-stream"),
            ("a.html.br", "application/octet-stream"),
        ] {
            assert_eq!(of(name.as_bytes()), content_type, "{name}");
        }
    }

    #[test]
    fn only_what_shrinks_has_encoded_siblings() {
        for (name, expected) in [
            ("a.html", true),
            ("a.js", true),
            ("a.json", true),
            ("a.svg", true),
            ("a.wasm", true),
            ("a.png", false),
            ("a.tar", false),
            ("a.woff2", false),
            ("a.bin", false),
        ] {
            assert_eq!(is_compressible(of(name.as_bytes())), expected, "{name}");
        }
    }
}
