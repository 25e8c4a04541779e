//! The path of a target as a name beneath the root.
//!
//! Only a [`SitePath`] can be opened. It is decoded once, relative, and has no `.`, no `..`, no
//! empty segment and no NUL. It consists of bytes, as file names do.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A path beneath the root; borrows the buffer it was decoded into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SitePath<'b> {
    name: &'b [u8],
    has_slash: bool,
    /// See [`SitePath::relative_from`].
    relative_from: Option<usize>,
}

/// The path of the target cannot be a file name (400).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedPath(pub &'static str);

impl<'b> SitePath<'b> {
    /// Decodes the raw path of a target, which begins with a slash, into `buffer`, and resolves its
    /// segments. `.` and `..` are resolved (RFC 3986 5.2.4), as many clients send them, and after
    /// decoding, so that no escape hides one. An escaped slash separates segments as a plain one
    /// does: clients that escape a whole name send it. Empty segments are removed. A backslash is
    /// an ordinary byte.
    ///
    /// # Errors
    /// A `%` without two hexadecimal digits, NUL, and a path that climbs above the root.
    // By itself it is compiled to fewer instructions than inside of its caller.
    #[inline(never)]
    pub fn decode(raw: &[u8], buffer: &'b mut Vec<u8>) -> Result<Self, MalformedPath> {
        buffer.clear();
        let mut rest = raw.strip_prefix(b"/").unwrap_or(raw);
        // The start of the current segment in the buffer.
        let mut start = 0;
        let mut relative_from = 0;
        let (mut climbs, mut differs) = (false, false);
        while let [byte, after @ ..] = rest {
            rest = after;
            let is_escaped = *byte == b'%';
            let decoded = match is_escaped {
                true => unescape(&mut rest)?,
                false => *byte,
            };
            match decoded {
                0 => return Err(MalformedPath("the path contains NUL")),
                b'/' => {
                    let kind = end_segment(buffer, &mut start)?;
                    climbs |= kind == Segment::Parent;
                    differs |= is_escaped || kind == Segment::Empty;
                    if !is_escaped {
                        relative_from = start;
                    }
                }
                byte => {
                    differs |= is_escaped && byte == b'.';
                    buffer.push(byte);
                }
            }
        }
        let last = end_segment(buffer, &mut start)?;
        // The slash after the last segment.
        buffer.pop();
        Ok(Self {
            name: buffer,
            has_slash: last != Segment::Name,
            relative_from: (!(climbs && differs)).then_some(relative_from),
        })
    }

    /// The root itself, or a name composed of others: an index file, a sibling.
    pub fn of_name(name: &'b [u8]) -> Self {
        Self {
            name,
            has_slash: false,
            relative_from: None,
        }
    }

    /// The name relative to the root, without a slash at either end; empty for the root.
    pub fn name(self) -> &'b [u8] {
        self.name
    }

    /// The path for system calls: `.` for the root.
    pub fn as_path(self) -> &'b Path {
        Path::new(OsStr::from_bytes(if self.name.is_empty() {
            b"."
        } else {
            self.name
        }))
    }

    /// Whether it was written as a directory: its last segment is empty, `.` or `..`.
    pub fn has_slash(self) -> bool {
        self.has_slash
    }

    /// The offset in the name of a reference relative to the raw path: after its last plain slash.
    /// `None` if a client may resolve the raw path to another directory: for a client, `..` removes
    /// an empty segment, an escaped dot segment, or the two that an escaped slash separates.
    pub fn relative_from(self) -> Option<usize> {
        self.relative_from
    }

    /// Whether a segment begins with a dot, except `/.well-known/` at the root (RFC 8615).
    pub fn is_hidden(self) -> bool {
        let mut segments = self.name.split(|&byte| byte == b'/');
        let first = segments.next().unwrap_or(b"");
        (first.starts_with(b".") && first != b".well-known")
            || segments.any(|segment| segment.starts_with(b"."))
    }
}

/// A segment in the form of a URL: all bytes except the unreserved ones of RFC 3986 are escaped.
pub fn encode(segment: &[u8]) -> impl std::fmt::Display {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
    const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~');
    percent_encode(segment, RESERVED)
}

/// A part of a request target, as it was sent, in the form of a URL: only those bytes are escaped
/// that clients send although no URL has them (RFC 3986 2).
pub fn escape(part: &[u8]) -> String {
    use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
    // Bytes above 127 are always escaped.
    const NOT_IN_URLS: &AsciiSet = &CONTROLS
        .add(b' ')
        .add(b'"')
        .add(b'#')
        .add(b'<')
        .add(b'>')
        .add(b'\\')
        .add(b'^')
        .add(b'`')
        .add(b'{')
        .add(b'|')
        .add(b'}');
    percent_encode(part, NOT_IN_URLS).to_string()
}

/// The kind of a segment.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Segment {
    Empty,
    /// `.`
    Current,
    /// `..`
    Parent,
    Name,
}

/// Ends the segment that begins at `start` of `buffer`: appends a slash to a name, and removes
/// anything else; `..` with the name before it.
fn end_segment(buffer: &mut Vec<u8>, start: &mut usize) -> Result<Segment, MalformedPath> {
    let kind = match buffer.get(*start..) {
        None | Some(b"") => return Ok(Segment::Empty),
        Some(b".") => {
            buffer.truncate(*start);
            Segment::Current
        }
        Some(b"..") => {
            let above = start
                .checked_sub(1)
                .and_then(|end| buffer.get(..end))
                .ok_or(MalformedPath("the path climbs above the root"))?;
            let before = above.iter().rposition(|&byte| byte == b'/');
            buffer.truncate(before.map_or(0, |slash| slash + 1));
            Segment::Parent
        }
        Some(_) => {
            buffer.push(b'/');
            Segment::Name
        }
    };
    *start = buffer.len();
    Ok(kind)
}

/// Takes two hexadecimal digits from the start of `rest`.
fn unescape(rest: &mut &[u8]) -> Result<u8, MalformedPath> {
    if let [high, low, after @ ..] = *rest
        && let (Some(high), Some(low)) = (hex(*high), hex(*low))
    {
        *rest = after;
        return Ok(high << 4 | low);
    }
    Err(MalformedPath(
        "the path contains a % without two hexadecimal digits",
    ))
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
            .map_err(|MalformedPath(why)| why)
    }

    #[test]
    fn paths_are_decoded_once_without_empty_segments() {
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
    fn dot_segments_are_resolved_after_decoding() {
        for (raw, name, has_slash) in [
            ("/.", "", true),
            ("/./", "", true),
            ("/./a", "a", false),
            ("/%2e/%2E/a", "a", false),
            ("/a/.", "a", true),
            ("/a/..", "", true),
            ("/a/../b", "b", false),
            ("/a/b/../../c/", "c", true),
            ("/a/b/%2e%2E/c", "a/c", false),
            ("/a/.%2e/b", "b", false),
            ("/a//../b", "b", false),
            ("/a/b/..", "a", true),
            ("/a%2fb", "a/b", false),
            ("/a%2Fb%2f", "a/b", true),
            ("/%2fa", "a", false),
            ("/a%2f%2e%2e%2fb", "b", false),
            ("/%5c", r"\\", false),
            ("/..%5Ca", r"..\\a", false),
            (r"/a\b", r"a\\b", false),
        ] {
            assert_eq!(decode(raw), Ok((name.to_owned(), has_slash)), "{raw}");
        }
    }

    #[test]
    fn a_path_that_climbs_or_cannot_be_decoded_is_refused() {
        for raw in [
            "/..",
            "/../a",
            "/a/../..",
            "/a/../../a",
            "/./..",
            "//..",
            "/a//../../b",
            "/%2e%2E/a",
            "/.%2e/",
            "/..%2fa",
            "/%2e%2e%2fa",
            "/a%2f..%2f..",
            "/%00",
            "/a%00.html",
            "/a%00/../b",
            "/%",
            "/%4",
            "/%zz",
            "/%%61",
            "/a%2",
            "/%2/f",
        ] {
            assert!(decode(raw).is_err(), "{raw}");
        }
    }

    #[test]
    fn a_relative_reference_begins_after_the_last_plain_slash() {
        for (raw, rest) in [
            ("/a", Some("a")),
            ("/a/b", Some("b")),
            ("//a///b", Some("b")),
            ("/a%2fb", Some("a/b")),
            ("/a/b%2fc", Some("b/c")),
            ("/a%2fb/c", Some("c")),
            ("/a/../b", Some("b")),
            ("/a/%2e/b", Some("b")),
            ("/a//../b", None),
            ("/a/%2e/../b", None),
            ("/a%2fb/../c", None),
            ("/a/b%2f..%2f..%2fc", None),
        ] {
            let mut buffer = Vec::new();
            let path = SitePath::decode(raw.as_bytes(), &mut buffer).unwrap();
            let found = path.relative_from().map(|from| &path.name()[from..]);
            assert_eq!(found, rest.map(str::as_bytes), "{raw}");
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
