//! Rendering the lines of the access log.
//!
//! The Common and the Combined Log Format are those of nginx: an empty body is `0`, and `"`, `\`
//! and every byte that is not printable ASCII become `\xHH`. JSON is one object a line, in ASCII:
//! valid UTF-8 is unchanged when parsed, and other bytes are U+FFFD, as with
//! [`String::from_utf8_lossy`].
//!
//! The request line is logged as received. A decoded path could contain line ends.

use crate::http::date::HttpDate;
use crate::text::civil_time::CivilTime;
use crate::text::json::put_json_ascii;
use crate::text::put;
use clap::ValueEnum;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The format of a line. The comments are those of the command line's help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// The common log format of NCSA httpd
    Common,
    /// The same, with Referer and User-Agent
    Combined,
    /// One JSON object a line
    Json,
}

impl LogFormat {
    /// Appends the line that replaces `count` dropped lines. It differs from all others: they begin
    /// with an address, and their objects with a time.
    pub fn write_dropped(self, count: u64, out: &mut Vec<u8>) {
        match self {
            Self::Common | Self::Combined => {
                put(out, format_args!("# oneloop: lines dropped: {count}\n"));
            }
            Self::Json => put(out, format_args!("{{\"dropped\":{count}}}\n")),
        }
    }
}

/// The client of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// The address without its port. An IPv4 address mapped to IPv6 is written as IPv4, so that a
    /// client has one address in the log.
    Ip(IpAddr),
    /// The client of a Unix socket, which has no address. Written `127.0.0.1`: it is on this
    /// machine, and log tools accept only addresses (goaccess refuses `unix:` and `-`).
    Unix,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.to_canonical().fmt(f),
            Self::Unix => Ipv4Addr::LOCALHOST.fmt(f),
        }
    }
}

/// A request and its response. The bytes are as received; nothing is decoded.
#[derive(Clone, Copy, Debug)]
pub struct LogEntry<'e> {
    /// The client.
    pub peer: Peer,
    /// When it was answered. A time before 1970, of a clock that was never set, is logged as 1970.
    pub wall: SystemTime,
    /// The request line without its line end, as far as it has been received.
    pub request_line: &'e [u8],
    /// The Host field, or the authority of the request target (RFC 9112 3.2.2). Only in JSON.
    pub host: Option<&'e [u8]>,
    /// The status code.
    pub status: u16,
    /// Bytes of the body that the kernel has taken: less than Content-Length if the connection was
    /// lost. A body that is sent together with its head counts in full.
    pub body_sent: u64,
    /// The Referer field (RFC 9110 10.1.3).
    pub referer: Option<&'e [u8]>,
    /// The User-Agent field (RFC 9110 10.1.5).
    pub user_agent: Option<&'e [u8]>,
    /// The user that the request names, if it asks for something that is protected. It may be wrong
    /// if the status is 401.
    pub user: Option<&'e [u8]>,
    /// From the iteration that answered to the one in which the kernel took the last byte. Only in
    /// JSON.
    pub duration: Duration,
}

/// The time of a line in UTC, rendered when the second changes. Local times do not sort where
/// clocks change twice a year.
#[derive(Debug, Default, Clone)]
struct Timestamp {
    date: Option<HttpDate>,
    text: Vec<u8>,
}

impl Timestamp {
    /// `render` must be the same for every call.
    fn at(&mut self, wall: SystemTime, render: fn(&CivilTime, &mut Vec<u8>)) -> &[u8] {
        let date = HttpDate::nearest(wall);
        if self.date != Some(date) {
            self.text.clear();
            render(&CivilTime::of(date), &mut self.text);
            self.date = Some(date);
        }
        &self.text
    }
}

/// Renders entries in one format. It keeps the rendered time, because many lines have the same
/// second.
#[derive(Debug, Clone)]
pub struct Renderer {
    format: LogFormat,
    max_field: usize,
    timestamp: Timestamp,
}

impl Renderer {
    /// Writes at most `max_field` bytes of each part that a client chooses: see
    /// [`Limits::max_log_field_bytes`](crate::limits::Limits::max_log_field_bytes).
    pub fn new(format: LogFormat, max_field: usize) -> Self {
        Self {
            format,
            max_field,
            timestamp: Timestamp::default(),
        }
    }

    /// Appends one line of printable ASCII and its LF. Allocates only to grow `out`.
    pub fn write_line(&mut self, entry: &LogEntry, out: &mut Vec<u8>) {
        match self.format {
            LogFormat::Common => self.write_common(entry, out),
            LogFormat::Combined => {
                self.write_common(entry, out);
                self.put_quoted(b" ", entry.referer, out);
                self.put_quoted(b" ", entry.user_agent, out);
            }
            LogFormat::Json => self.write_object(entry, out),
        }
        out.push(b'\n');
    }

    fn write_common(&mut self, entry: &LogEntry, out: &mut Vec<u8>) {
        match entry.user {
            None => put(out, format_args!("{} - - [", entry.peer)),
            Some(user) => self.put_user(entry.peer, user, out),
        }
        out.extend_from_slice(self.timestamp.at(entry.wall, CivilTime::put_clf));
        self.put_quoted(b"] ", Some(entry.request_line), out);
        put(out, format_args!(" {} {}", entry.status, entry.body_sent));
    }

    /// The begin of a line with a user. A space would end the field.
    #[cold]
    fn put_user(&self, peer: Peer, user: &[u8], out: &mut Vec<u8>) {
        put(out, format_args!("{peer} - "));
        let mut escaped = Vec::new();
        self.put_cut(user, put_escaped, &mut escaped);
        match escaped.is_empty() {
            true => out.push(b'-'),
            false => escaped.into_iter().for_each(|byte| match byte {
                b' ' => out.extend_from_slice(b"\\x20"),
                byte => out.push(byte),
            }),
        }
        out.extend_from_slice(b" [");
    }

    /// `before"value"`, or `before"-"` without a value.
    fn put_quoted(&self, before: &[u8], value: Option<&[u8]>, out: &mut Vec<u8>) {
        out.extend_from_slice(before);
        out.push(b'"');
        self.put_cut(value.unwrap_or(b"-"), put_escaped, out);
        out.push(b'"');
    }

    fn write_object(&mut self, entry: &LogEntry, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"time\":\"");
        out.extend_from_slice(self.timestamp.at(entry.wall, CivilTime::put_rfc3339));
        let since_1970 = entry.wall.duration_since(UNIX_EPOCH);
        let millis = since_1970.map_or(0, |since| since.subsec_millis());
        put(
            out,
            format_args!(".{millis:03}Z\",\"peer\":\"{}\"", entry.peer),
        );
        self.put_member("user", entry.user, out);

        if let Some((method, target, version)) = split_request_line(entry.request_line) {
            self.put_member("method", Some(method), out);
            self.put_member("target", Some(target), out);
            self.put_member("version", Some(version), out);
        } else {
            self.put_member("request", Some(entry.request_line), out);
        }
        self.put_member("host", entry.host, out);
        let (status, bytes, micros) = (entry.status, entry.body_sent, entry.duration.as_micros());
        put(
            out,
            format_args!(",\"status\":{status},\"bytes\":{bytes},\"duration_us\":{micros}"),
        );
        self.put_member("referer", entry.referer, out);
        self.put_member("user_agent", entry.user_agent, out);
        out.push(b'}');
    }

    /// `,"name":"value"`, or nothing without a value.
    fn put_member(&self, name: &str, value: Option<&[u8]>, out: &mut Vec<u8>) {
        let Some(value) = value else { return };
        put(out, format_args!(",\"{name}\":\""));
        self.put_cut(value, put_json_ascii, out);
        out.push(b'"');
    }

    /// The limit is for the bytes before escaping, so no escape is cut in half.
    fn put_cut(&self, value: &[u8], put_part: fn(&[u8], &mut Vec<u8>), out: &mut Vec<u8>) {
        match value.split_at_checked(self.max_field) {
            Some((kept, cut)) if !cut.is_empty() => {
                put_part(kept, out);
                out.extend_from_slice(b"...");
            }
            _ => put_part(value, out),
        }
    }
}

/// Method, target and version, if the line has the form of RFC 9112 3: three words with one space
/// between them, the last of which is a version.
fn split_request_line(line: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let mut words = line.split(|&byte| byte == b' ');
    let parts = (words.next()?, words.next()?, words.next()?);
    let (method, target, version) = parts;
    let whole = words.next().is_none()
        && !method.is_empty()
        && !target.is_empty()
        && version.starts_with(b"HTTP/");
    whole.then_some(parts)
}

/// Bytes that are not escaped.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

/// Appends plain bytes unchanged and any other as `\xHH`.
fn put_escaped(mut bytes: &[u8], out: &mut Vec<u8>) {
    while let Some(length) = bytes.iter().position(|&byte| !is_plain(byte)) {
        let Some((run, [byte, rest @ ..])) = bytes.split_at_checked(length) else {
            break;
        };
        out.extend_from_slice(run);
        put(out, format_args!("\\x{byte:02X}"));
        bytes = rest;
    }
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;
    use std::time::UNIX_EPOCH;

    const FIELD: usize = 2048;

    fn entry(request_line: &[u8]) -> LogEntry<'_> {
        LogEntry {
            peer: Peer::Ip([127, 0, 0, 1].into()),
            wall: UNIX_EPOCH + Duration::from_millis(1_795_362_148_042),
            request_line,
            host: Some(b"example.org"),
            status: 200,
            body_sent: 1234,
            referer: Some(b"https://example.org/"),
            user_agent: Some(b"curl/8.5.0"),
            user: None,
            duration: Duration::from_micros(1_500),
        }
    }

    fn line(format: LogFormat, entry: &LogEntry) -> String {
        let mut out = Vec::new();
        Renderer::new(format, FIELD).write_line(entry, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn object(entry: &LogEntry) -> Value {
        let line = line(LogFormat::Json, entry);
        assert_one_printable_line(&line);
        serde_json::from_str(&line).unwrap()
    }

    #[track_caller]
    fn assert_one_printable_line(line: &str) {
        let text = line.strip_suffix('\n').expect("a line ends with LF");
        assert!(
            text.bytes().all(|byte| matches!(byte, b' '..=b'~')),
            "{line:?}"
        );
    }

    /// The quoted parts of a combined line, unescaped.
    fn quoted(line: &str) -> Vec<Vec<u8>> {
        let parts = line.split('"').skip(1).step_by(2);
        parts.map(unescape).collect()
    }

    fn unescape(text: &str) -> Vec<u8> {
        let mut pieces = text.split("\\x");
        let mut bytes = pieces.next().unwrap().as_bytes().to_vec();
        for piece in pieces {
            bytes.push(u8::from_str_radix(&piece[..2], 16).unwrap());
            bytes.extend_from_slice(&piece.as_bytes()[2..]);
        }
        bytes
    }

    #[test]
    fn lines_are_those_of_apache_and_nginx() {
        let mut request = entry(b"GET / HTTP/1.1");
        assert_eq!(
            line(LogFormat::Common, &request),
            "127.0.0.1 - - [22/Nov/2026:15:42:28 +0000] \"GET / HTTP/1.1\" 200 1234\n"
        );
        assert_eq!(
            line(LogFormat::Combined, &request),
            "127.0.0.1 - - [22/Nov/2026:15:42:28 +0000] \"GET / HTTP/1.1\" 200 1234 \
             \"https://example.org/\" \"curl/8.5.0\"\n"
        );
        request.status = 304;
        request.body_sent = 0;
        request.referer = None;
        request.user_agent = None;
        assert_eq!(
            line(LogFormat::Combined, &request),
            "127.0.0.1 - - [22/Nov/2026:15:42:28 +0000] \"GET / HTTP/1.1\" 304 0 \"-\" \"-\"\n"
        );
    }

    #[test]
    fn an_object_has_the_request_line_in_three_parts() {
        let mut request = entry(b"GET /a?b=c HTTP/1.1");
        assert_eq!(
            line(LogFormat::Json, &request),
            "{\"time\":\"2026-11-22T15:42:28.042Z\",\"peer\":\"127.0.0.1\",\"method\":\"GET\",\
             \"target\":\"/a?b=c\",\"version\":\"HTTP/1.1\",\"host\":\"example.org\",\
             \"status\":200,\"bytes\":1234,\"duration_us\":1500,\
             \"referer\":\"https://example.org/\",\"user_agent\":\"curl/8.5.0\"}\n"
        );
        request.request_line = b"GE";
        request.host = None;
        request.referer = None;
        request.user_agent = None;
        request.status = 408;
        request.body_sent = 0;
        assert_eq!(
            line(LogFormat::Json, &request),
            "{\"time\":\"2026-11-22T15:42:28.042Z\",\"peer\":\"127.0.0.1\",\
             \"request\":\"GE\",\"status\":408,\"bytes\":0,\"duration_us\":1500}\n"
        );
    }

    #[test]
    fn an_object_has_an_invalid_request_line_as_received() {
        for bad in [
            "",
            "GET",
            "GET /",
            "GET  HTTP/1.1",
            " / HTTP/1.1",
            "GET / b HTTP/1.1",
            "GET / FTP/1.1",
            "GET / HTTP/1.1 ",
            "\x16\x03\x01 \x02 \"\\",
        ] {
            let object = object(&entry(bad.as_bytes()));
            assert_eq!(object["request"], bad);
            assert_eq!(object.get("target"), None);
        }
    }

    #[test]
    fn every_byte_in_every_part_gives_one_printable_line_and_can_be_read_back() {
        for byte in 0..=255_u8 {
            let target = [b"GET /a", [byte].as_slice(), b"b HTTP/1.1"].concat();
            let value = [b"x", [byte].as_slice(), b"y"].concat();
            let mut request = entry(&target);
            request.host = Some(&value);
            request.referer = Some(&value);
            request.user_agent = Some(&value);

            assert_one_printable_line(&line(LogFormat::Common, &request));
            let combined = line(LogFormat::Combined, &request);
            assert_one_printable_line(&combined);
            assert_eq!(
                quoted(&combined),
                [target.clone(), value.clone(), value.clone()]
            );

            let object = object(&request);
            let text = String::from_utf8_lossy(&value);
            for name in ["host", "referer", "user_agent"] {
                assert_eq!(object[name], *text, "byte {byte}");
            }
        }
    }

    #[test]
    fn a_user_is_one_word_in_common_and_a_member_in_json() {
        let mut request = entry(b"GET / HTTP/1.1");
        for (user, word) in [
            (&b"alice"[..], "alice"),
            (b"", "-"),
            (b"a b\"\xc3\xa9[\n", "a\\x20b\\x22\\xC3\\xA9[\\x0A"),
        ] {
            request.user = Some(user);
            assert_eq!(
                line(LogFormat::Common, &request),
                format!(
                    "127.0.0.1 - {word} [22/Nov/2026:15:42:28 +0000] \"GET / HTTP/1.1\" 200 1234\n"
                )
            );
            assert_eq!(object(&request)["user"], *String::from_utf8_lossy(user));
        }
        request.user = Some(&[b'a'; FIELD + 1]);
        let common = line(LogFormat::Common, &request);
        assert!(common.contains(&format!(" {}... [", "a".repeat(FIELD))));
    }

    #[test]
    fn escapes_are_those_of_nginx() {
        let request = entry(b"GET /\x1b[2J\r\n\"\\\x7f\xc3\xa9~ HTTP/1.1");
        assert_eq!(
            line(LogFormat::Common, &request),
            "127.0.0.1 - - [22/Nov/2026:15:42:28 +0000] \
             \"GET /\\x1B[2J\\x0D\\x0A\\x22\\x5C\\x7F\\xC3\\xA9~ HTTP/1.1\" 200 1234\n"
        );
    }

    #[test]
    fn text_in_any_language_is_ascii_in_json_and_unchanged_when_parsed() {
        let mut request = entry(b"GET / HTTP/1.1");
        request.user_agent = Some("é € 😀 \"\\\n".as_bytes());
        let text = line(LogFormat::Json, &request);
        let end = "\"user_agent\":\"\\u00e9 \\u20ac \\ud83d\\ude00 \\\"\\\\\\u000a\"}\n";
        assert!(text.ends_with(end), "{text}");
        assert_eq!(object(&request)["user_agent"], "é € 😀 \"\\\n");
    }

    #[test]
    fn a_part_beyond_the_limit_is_cut_and_ends_with_dots() {
        let fits = vec![b'a'; FIELD];
        let cut = vec![b'"'; FIELD + 1];
        let mut request = entry(b"GET / HTTP/1.1");
        request.referer = Some(&fits);
        request.user_agent = Some(&cut);
        let parts = quoted(&line(LogFormat::Combined, &request));
        assert_eq!(parts[1], fits);
        assert_eq!(parts[2], [&cut[..FIELD], b"..."].concat());

        let object = object(&request);
        assert_eq!(object["referer"], "a".repeat(FIELD));
        assert_eq!(object["user_agent"], "\"".repeat(FIELD) + "...");
    }

    #[test]
    fn a_cut_target_keeps_its_method_and_version_in_json() {
        let target = format!("/{}", "a".repeat(FIELD));
        let request_line = format!("GET {target} HTTP/1.1");
        let object = object(&entry(request_line.as_bytes()));
        assert_eq!(object["method"], "GET");
        assert_eq!(object["target"], format!("{}...", &target[..FIELD]));
        assert_eq!(object["version"], "HTTP/1.1");
    }

    #[test]
    fn a_client_has_one_address() {
        let mapped: IpAddr = "::ffff:192.0.2.7".parse().unwrap();
        let six: IpAddr = "2001:db8::1".parse().unwrap();
        assert_eq!(Peer::Ip(mapped).to_string(), "192.0.2.7");
        assert_eq!(Peer::Ip(six).to_string(), "2001:db8::1");
        assert_eq!(Peer::Unix.to_string(), "127.0.0.1");
    }

    #[test]
    fn the_time_follows_the_clock() {
        let mut renderer = Renderer::new(LogFormat::Common, FIELD);
        let mut out = Vec::new();
        let mut request = entry(b"GET / HTTP/1.1");
        let mut time = |wall| {
            request.wall = wall;
            out.clear();
            renderer.write_line(&request, &mut out);
            let line = std::str::from_utf8(&out).unwrap();
            line[line.find('[').unwrap() + 1..line.find(']').unwrap()].to_owned()
        };
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(time(at(951_782_399)), "28/Feb/2000:23:59:59 +0000");
        assert_eq!(time(at(951_782_399)), "28/Feb/2000:23:59:59 +0000");
        assert_eq!(time(at(951_782_400)), "29/Feb/2000:00:00:00 +0000");
        assert_eq!(time(at(951_782_399)), "28/Feb/2000:23:59:59 +0000");
        assert_eq!(
            time(UNIX_EPOCH - Duration::from_secs(1)),
            "01/Jan/1970:00:00:00 +0000"
        );
        assert_eq!(time(at(253_402_300_800)), "31/Dec/9999:23:59:59 +0000");
    }

    #[test]
    fn a_line_about_dropped_lines_differs_from_those_of_requests() {
        let mut out = Vec::new();
        LogFormat::Common.write_dropped(12, &mut out);
        LogFormat::Combined.write_dropped(1, &mut out);
        LogFormat::Json.write_dropped(3, &mut out);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "# oneloop: lines dropped: 12\n# oneloop: lines dropped: 1\n{\"dropped\":3}\n"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_read_back(
            target in proptest::collection::vec(any::<u8>(), 0..40),
            value in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let mut request = entry(&target);
            request.referer = Some(&value);
            request.user_agent = Some(&value);
            let combined = line(LogFormat::Combined, &request);
            assert_one_printable_line(&combined);
            assert_eq!(quoted(&combined), [target.clone(), value.clone(), value.clone()]);
            let object = object(&request);
            assert_eq!(object["user_agent"], *String::from_utf8_lossy(&value));
            if let Some(request) = object.get("request") {
                assert_eq!(*request, *String::from_utf8_lossy(&target));
            }
        }
    }
}
