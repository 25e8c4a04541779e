//! Room `site`: the path of a target as a name beneath the root.
//!
//! [`SitePath`] is the only thing the room opens. It is decoded once, relative, free of `.` and
//! `..`, of empty segments and of NUL, by construction. It is bytes, as file names are, in
//! whatever language. Imports nothing of ours.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A path beneath the root; borrows the buffer it was decoded into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SitePath<'b> {
    name: &'b [u8],
    has_slash: bool,
}

/// The target's path names nothing that could be a file here (400).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl<'b> SitePath<'b> {
    /// Decodes the raw path of a target, which begins with a slash, into `buffer`.
    ///
    /// # Errors
    /// An escape that is none, an escaped NUL, slash or backslash (which another program might
    /// take for a separator after all), and the segments `.` and `..`: clients resolve those
    /// themselves (RFC 3986 5.2.4), so one that arrives was meant to.
    pub fn decode(raw: &[u8], buffer: &'b mut Vec<u8>) -> Result<Self, Malformed> {
        buffer.clear();
        for segment in raw
            .split(|&byte| byte == b'/')
            .filter(|segment| !segment.is_empty())
        {
            if !buffer.is_empty() {
                buffer.push(b'/');
            }
            let start = buffer.len();
            decode_segment(segment, buffer)?;
            if matches!(buffer.get(start..), Some(b"." | b"..")) {
                return Err(Malformed("the path holds a dot segment"));
            }
        }
        let has_slash = raw.ends_with(b"/");
        Ok(Self {
            name: buffer,
            has_slash,
        })
    }

    /// The root itself, or a name that was composed of others: an index file, a sibling.
    pub fn of_name(name: &'b [u8]) -> Self {
        Self {
            name,
            has_slash: false,
        }
    }

    /// The name relative to the root, without a slash at either end; empty for the root.
    pub fn name(self) -> &'b [u8] {
        self.name
    }

    /// For the system: `.` stands for the root.
    pub fn as_path(self) -> &'b Path {
        Path::new(OsStr::from_bytes(if self.name.is_empty() {
            b"."
        } else {
            self.name
        }))
    }

    /// Whether it was written with a slash at its end, as a directory is.
    pub fn has_slash(self) -> bool {
        self.has_slash
    }

    /// Whether a segment begins with a dot. `/.well-known/` at the root does not count: it exists
    /// to be found (RFC 8615).
    pub fn is_hidden(self) -> bool {
        let mut segments = self.name.split(|&byte| byte == b'/');
        let first = segments.next().unwrap_or_default();
        (first.starts_with(b".") && first != b".well-known")
            || segments.any(|segment| segment.starts_with(b"."))
    }
}

/// A segment as it is written in a URL: everything but RFC 3986's unreserved bytes is escaped.
pub fn encode(segment: &[u8]) -> impl std::fmt::Display {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
    const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~');
    percent_encode(segment, RESERVED)
}

fn decode_segment(segment: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    let mut rest = segment;
    while let [byte, after @ ..] = rest {
        rest = after;
        if matches!(byte, 0 | b'\\') {
            return Err(Malformed("the path holds a backslash or NUL"));
        }
        if *byte != b'%' {
            out.push(*byte);
            continue;
        }
        let [high, low, after @ ..] = after else {
            return Err(Malformed(
                "the path holds a % without two hexadecimal digits",
            ));
        };
        let (Some(high), Some(low)) = (hex(*high), hex(*low)) else {
            return Err(Malformed(
                "the path holds a % without two hexadecimal digits",
            ));
        };
        match high << 4 | low {
            0 | b'/' | b'\\' => {
                return Err(Malformed("the path holds an escaped separator or NUL"));
            }
            byte => out.push(byte),
        }
        rest = after;
    }
    Ok(())
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(raw: &str) -> Result<(String, bool), &'static str> {
        let mut buffer = Vec::new();
        SitePath::decode(raw.as_bytes(), &mut buffer)
            .map(|path| (path.name().escape_ascii().to_string(), path.has_slash()))
            .map_err(|Malformed(why)| why)
    }

    #[test]
    fn paths_are_decoded_once_and_lose_their_empty_segments() {
        for (raw, name, has_slash) in [
            ("/", "", true),
            ("/a", "a", false),
            ("/a/", "a", true),
            ("//a///b//", "a/b", true),
            ("/a%20b", "a b", false),
            ("/%61", "a", false),
            ("/%2561", "%61", false),
            ("/%e4%bd%a0", r"\xe4\xbd\xa0", false),
            ("/%FF", r"\xff", false),
            ("/...", "...", false),
            ("/..a/b..", "..a/b..", false),
            ("/a;b=c/..;", "a;b=c/..;", false),
            ("/a%3Fb%23", "a?b#", false),
        ] {
            assert_eq!(decode(raw), Ok((name.to_owned(), has_slash)), "{raw}");
        }
    }

    #[test]
    fn whatever_could_climb_or_confuse_is_refused() {
        for raw in [
            "/..",
            "/../a",
            "/a/..",
            "/a/../b",
            "/.",
            "/./a",
            "/a/.",
            "/%2e",
            "/%2e%2E/a",
            "/.%2e/",
            "/%00",
            "/a%00.html",
            "/a%2fb",
            "/a%2Fb",
            "/%5c",
            "/..%5Ca",
            "/%",
            "/%4",
            "/%zz",
            "/%%61",
            "/a%2",
        ] {
            assert!(decode(raw).is_err(), "{raw}");
        }
    }

    #[test]
    fn a_dot_at_the_start_of_a_segment_hides_it() {
        let is_hidden = |name: &str| SitePath::of_name(name.as_bytes()).is_hidden();
        for name in [
            ".git",
            "a/.b",
            ".well-knownx",
            ".well-known/.a",
            "a/.well-known",
        ] {
            assert!(is_hidden(name), "{name}");
        }
        for name in ["", "a", "a.b", ".well-known", ".well-known/acme"] {
            assert!(!is_hidden(name), "{name}");
        }
    }

    proptest! {
        #[test]
        fn no_path_leaves_the_root(raw in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut buffer = Vec::new();
            if let Ok(path) = SitePath::decode(&raw, &mut buffer) {
                prop_assert!(!path.name().starts_with(b"/") && !path.name().contains(&0));
                for segment in path.name().split(|&byte| byte == b'/') {
                    prop_assert!(segment != b"." && segment != b"..");
                    prop_assert!(!segment.is_empty() || path.name().is_empty());
                }
            }
        }
    }
}
