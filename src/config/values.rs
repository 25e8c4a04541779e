//! The values of the other options. Each function parses one value, or says what is wrong with it.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::http::fields::is_token_byte;

/// A time in seconds, perhaps with a fraction, above 0 and at most a day. More is most likely a
/// mistake, such as milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seconds(pub Duration);

/// The longest time, in seconds.
const DAY: f64 = 86_400.0;

impl Seconds {
    /// Parses a time that may be 0.
    pub fn or_none(text: &str) -> Result<Self, String> {
        let seconds = text.parse::<f64>().ok();
        seconds
            .filter(|seconds| (0.0..=DAY).contains(seconds))
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .map(Self)
            .ok_or_else(|| "seconds, such as 10 or 0.5, at most 86400 (a day)".to_owned())
    }
}

impl FromStr for Seconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match Self::or_none(text)? {
            Self(Duration::ZERO) => Err("must be more than 0 seconds".to_owned()),
            seconds => Ok(seconds),
        }
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "{}", self.0.as_secs_f64())
    }
}

/// A port. The message explains "80:80" and "0.0.0.0:80", which other programs accept.
pub fn port(text: &str) -> Result<u16, String> {
    let port = text.parse().ok().filter(|_| is_digits(text));
    port.ok_or_else(|| match text.rsplit_once(':') {
        None => "a port is a number from 0 to 65535".to_owned(),
        Some((host, port)) => match is_digits(port) && !is_digits(host) && !host.is_empty() {
            true => format!("an address with its port is: --bind {text}"),
            false => format!("one port, a number from 0 to 65535: --port {port}"),
        },
    })
}

/// A whole number, 0 included.
pub fn whole(text: &str) -> Result<u32, String> {
    let number = text.parse().ok().filter(|_| is_digits(text));
    number.ok_or_else(|| format!("a whole number from 0 to {}", u32::MAX))
}

/// A whole number above 0.
pub fn count(text: &str) -> Result<u32, String> {
    match whole(text) {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("a whole number from 1 to {}", u32::MAX)),
    }
}

/// A number, or `None` for `auto`. The alias keeps clap from taking the type for an option that may
/// be missing.
pub type Count = Option<u32>;

/// A whole number above 0, or `auto`.
pub fn count_or_auto(text: &str) -> Result<Count, String> {
    match text {
        "auto" => Ok(None),
        _ => count(text)
            .map(Some)
            .map_err(|error| format!("auto, or {error}")),
    }
}

/// Whether the text is only digits: `parse` accepts "+80", too.
fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The value of a switch.
pub fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "y" | "on" | "t" => Ok(true),
        "0" | "false" | "no" | "n" | "off" | "f" => Ok(false),
        _ => Err("a switch is true or false (1 or 0, on or off)".to_owned()),
    }
}

/// One `-v`, or a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verbosity {
    /// `-v`: one level more than before.
    More,
    /// `--verbose=LEVEL`: this level, whatever came before.
    Level(u8),
}

impl Verbosity {
    /// The level after all of them, in order.
    pub fn level(all: &[Self]) -> u8 {
        all.iter().fold(0, |level: u8, option| match option {
            Self::More => level.saturating_add(1),
            Self::Level(level) => *level,
        })
    }
}

impl FromStr for Verbosity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.parse(), switch(text)) {
            ("more", ..) => Ok(Self::More),
            (_, Ok(level @ 0..=2), _) if is_digits(text) => Ok(Self::Level(level)),
            (.., Ok(is_verbose)) => Ok(Self::Level(is_verbose.into())),
            _ => Err("0 logs only warnings, 1 logs more, 2 adds mio's messages".to_owned()),
        }
    }
}

/// The value of one `--header`, or of its variable: headers, one per line. Blank lines are skipped,
/// so that the variable can be a block of YAML. `none` is no header; on the command line it
/// overrides the variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headers(pub Vec<Header>);

impl FromStr for Headers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(Vec::new()));
        }
        let filled = text.lines().filter(|line| !line.trim().is_empty());
        let headers = filled.map(str::parse).collect::<Result<Vec<_>, _>>()?;
        if headers.is_empty() {
            // The error of an empty line.
            return text.parse().map(|header| Self(vec![header]));
        }
        Ok(Self(headers))
    }
}

/// The headers in `values` of `--header` that `others` do not set, each as a value of its own.
pub fn other_headers(values: &[String], others: &[String]) -> Vec<String> {
    let parse = |values: &[String]| -> Vec<Header> {
        let values = values
            .iter()
            .filter_map(|value| value.parse::<Headers>().ok());
        values.flat_map(|headers| headers.0).collect()
    };
    let others = parse(others);
    let is_other = |header: &Header| {
        let mut others = others.iter();
        !others.any(|other| other.name.eq_ignore_ascii_case(&header.name))
    };
    let kept = parse(values).into_iter().filter(is_other);
    kept.map(|Header { name, value }| format!("{name}: {value}"))
        .collect()
}

/// One header for responses: `NAME: VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// A token (RFC 9110 5.1), but no header that the server sets itself.
    pub name: String,
    /// Without control bytes and without blanks at either end.
    pub value: String,
}

/// Headers that decide where a message ends or whether the connection stays open (RFC 9112 6 and
/// 9.3, RFC 9110 7.6.1). A wrong one is a security hole.
const FRAMING: [&str; 8] = [
    "Connection",
    "Content-Length",
    "Keep-Alive",
    "Proxy-Connection",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
];

/// Headers that differ between responses. The same value for all of them would be wrong.
const COMPUTED: [&str; 10] = [
    "Accept-Ranges",
    "Allow",
    "Content-Encoding",
    "Content-Range",
    "Content-Type",
    "Date",
    "ETag",
    "Last-Modified",
    "Location",
    "Retry-After",
];

impl FromStr for Header {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text
            .split_once(':')
            .ok_or("no colon: write NAME: VALUE, such as 'Cache-Control: no-cache'")?;
        if name.is_empty() || !name.bytes().all(is_token_byte) {
            return Err(format!(
                "{name:?} is not the name of a header (letters, digits and hyphens, no blanks)"
            ));
        }
        let is = |known: &&str| known.eq_ignore_ascii_case(name);
        if FRAMING.iter().any(is) {
            return Err(format!(
                "{name} controls the connection, so only the server can set it"
            ));
        }
        if COMPUTED.iter().any(is) {
            return Err(format!(
                "{name} differs between responses: the server computes it"
            ));
        }
        if value.chars().any(char::is_control) {
            return Err(format!("the value of {name} contains a control character"));
        }
        Ok(Self {
            name: name.to_owned(),
            value: value.trim_matches(' ').to_owned(),
        })
    }
}

/// The origin that may read files: the value of Access-Control-Allow-Origin. `None` if the header
/// is not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors(pub Option<String>);

impl FromStr for Cors {
    type Err = String;

    /// An origin, or the value of a switch: `--cors` alone is a switch.
    fn from_str(text: &str) -> Result<Self, String> {
        match switch(text) {
            Ok(true) => Ok(Self(Some("*".to_owned()))),
            Ok(false) => Ok(Self(None)),
            Err(_) => origin(text).map(|origin| Self(Some(origin))),
        }
    }
}

/// `*`, `null` or an origin as browsers send it (RFC 6454 6.2): no path, not even a slash.
fn origin(text: &str) -> Result<String, String> {
    let (scheme, host) = text.split_once("://").unwrap_or_default();
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let is_host = !host.is_empty()
        && host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._[]:".contains(&byte));
    if text == "*" || text == "null" || (is_scheme && is_host) {
        return Ok(text.to_owned());
    }
    Err("an origin is *, or scheme://host[:port] without a path: https://example.org".to_owned())
}

/// The name of an index file: one path segment, any bytes.
pub fn index_name(name: OsString) -> Result<OsString, String> {
    let bytes = name.as_encoded_bytes();
    if bytes.is_empty() || name == OsStr::new(".") || name == OsStr::new("..") {
        return Err("the name of a file, such as index.html".to_owned());
    }
    if bytes.contains(&b'/') || bytes.contains(&0) {
        return Err("a name, not a path: every directory may have such a file".to_owned());
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_may_have_a_fraction_and_are_printed_as_written() {
        for text in ["20", "0.5", "86400", "0.001"] {
            assert_eq!(text.parse::<Seconds>().unwrap().to_string(), text);
        }
        let half = "5e-1".parse::<Seconds>().unwrap();
        assert_eq!(half, Seconds(Duration::from_millis(500)));
    }

    #[test]
    fn seconds_are_finite_and_positive_and_at_most_a_day() {
        for text in ["-1", "86400.1", "inf", "NaN", "1e300", "10s", "", " 1"] {
            let message = text.parse::<Seconds>().unwrap_err();
            assert!(
                message.starts_with("seconds, such as"),
                "{text:?}: {message}"
            );
        }
        for text in ["0", "0.0", "-0", "1e-12"] {
            let message = text.parse::<Seconds>().unwrap_err();
            assert_eq!(message, "must be more than 0 seconds", "{text}");
            assert_eq!(Seconds::or_none(text).unwrap().0, Duration::ZERO);
        }
    }

    #[test]
    fn a_header_is_a_token_a_colon_and_a_value() {
        let table = [
            ("Cache-Control: no-cache", "Cache-Control", "no-cache"),
            ("Server:mine", "Server", "mine"),
            ("X-Empty:", "X-Empty", ""),
            ("X-Url:  https://a/b  ", "X-Url", "https://a/b"),
            ("X-Name: Zo\u{eb}", "X-Name", "Zo\u{eb}"),
        ];
        for (text, name, value) in table {
            let header = text.parse::<Header>().unwrap();
            assert_eq!((&*header.name, &*header.value), (name, value));
        }
    }

    #[test]
    fn headers_are_on_lines_of_their_own() {
        let headers = "X-One: 1\r\n\nX-Two: a, b\n".parse::<Headers>().unwrap();
        let names: Vec<_> = headers.0.iter().map(|header| &*header.name).collect();
        assert_eq!(names, ["X-One", "X-Two"]);
        assert_eq!(headers.0[1].value, "a, b");
        for bad in ["", "\n \n", "X-One: 1\nDate: now"] {
            assert!(bad.parse::<Headers>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_header_that_the_server_sets_is_refused_with_the_reason() {
        let table = [
            ("Cache-Control", "no colon"),
            ("", "no colon"),
            (": x", "is not the name of a header"),
            ("X Y: z", "is not the name of a header"),
            ("X-Space : z", "is not the name of a header"),
            ("X\r\nY: z", "is not the name of a header"),
            ("Zo\u{eb}: z", "is not the name of a header"),
            ("X-Two: a\r\nSet-Cookie: b", "a control character"),
            ("X-Nul: a\0", "a control character"),
            ("X-Delete: \x7f", "a control character"),
            ("X-Tab: a\tb", "a control character"),
            ("content-length: 5", "controls the connection"),
            ("Transfer-Encoding: chunked", "controls the connection"),
            ("CONNECTION: close", "controls the connection"),
            ("Date: now", "the server computes it"),
            ("content-range: bytes 0-1/2", "the server computes it"),
            ("ETag: \"x\"", "the server computes it"),
        ];
        for (text, expected) in table {
            let message = text.parse::<Header>().unwrap_err();
            assert!(message.contains(expected), "{text:?}: {message}");
        }
    }

    #[test]
    fn an_origin_has_no_path() {
        for good in [
            "*",
            "null",
            "https://example.org",
            "http://[::1]:8080",
            "moz-extension://1234-abcd",
        ] {
            assert_eq!(origin(good).as_deref(), Ok(good));
        }
        for bad in [
            "",
            "example.org",
            "https://",
            "://host",
            "https://a/",
            "https://a/b",
            "https://a, https://b",
            "https://a\r\nX: y",
            "https://*.example.org",
        ] {
            assert!(origin(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_index_is_a_name_not_a_path() {
        for good in ["index.html", "...", "\u{65e5}\u{672c}.html", "a b"] {
            assert_eq!(index_name(good.into()).as_deref(), Ok(OsStr::new(good)));
        }
        for bad in ["", ".", "..", "a/b", "/", "../x", "a\0"] {
            assert!(index_name(bad.into()).is_err(), "{bad:?}");
        }
    }
}
