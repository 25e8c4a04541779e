//! What a line of the access log looks like. Part of `access_log`; pure, imports
//! only the rendered time.
//!
//! The Common and the Combined Log Format are written as nginx writes them: a body of no
//! bytes is `0`, and `"`, `\` and every byte that is not printable ASCII become `\xHH`. JSON
//! is one object a line, in ASCII: what is valid UTF-8 reads back as it was sent, and what is
//! not reads back as U+FFFD, as [`String::from_utf8_lossy`] has it.
//!
//! The request line is logged as it was received, not as it was understood. A decoded path
//! would bring back the very line ends that percent-encoding took out of it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use super::stamp::{self, Stamp, put};

/// The shape of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `peer - - [time] "request" status bytes`, the format of NCSA httpd.
    Common,
    /// [`Format::Common`], then `"referer" "user agent"`.
    Combined,
    /// One JSON object a line.
    Json,
}

impl Format {
    /// Every format, for help texts and for completion.
    pub const ALL: [Self; 3] = [Self::Common, Self::Combined, Self::Json];

    /// The name by which an operator asks for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Common => "common",
            Self::Combined => "combined",
            Self::Json => "json",
        }
    }

    /// Appends the line that stands where `count` lines are missing. No request can look
    /// like it: those begin with a peer, and their objects with a time.
    pub fn write_dropped(self, count: u64, out: &mut Vec<u8>) {
        match self {
            Self::Common | Self::Combined => {
                put(out, format_args!("# oneloop: lines dropped: {count}\n"));
            }
            Self::Json => put(out, format_args!("{{\"dropped\":{count}}}\n")),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        Self::ALL
            .into_iter()
            .find(|format| format.name() == name)
            .ok_or(UnknownFormat)
    }
}

/// A name that is not that of a [`Format`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownFormat;

impl fmt::Display for UnknownFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a log format is one of common, combined, json")
    }
}

impl std::error::Error for UnknownFormat {}

/// Who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// The address without its port. An IPv4 address that reached us through an IPv6 socket
    /// is written as IPv4, so that a client has one name in the log.
    Ip(IpAddr),
    /// A peer of a Unix socket has no address. Written `127.0.0.1`: it is a process of this
    /// machine, and log tools take nothing but addresses (goaccess refuses `unix:` and `-`).
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

/// One answered request. The bytes are those the peer sent; nothing is decoded.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'e> {
    /// Who asked.
    pub peer: Peer,
    /// When it was answered. A time before 1970, of a clock that was never set, is logged
    /// as 1970.
    pub wall: SystemTime,
    /// The request line without its line end. `None` when there was none, e.g. for a 408.
    pub request_line: Option<&'e [u8]>,
    /// The Host field. Only JSON has a place for it.
    pub host: Option<&'e [u8]>,
    /// The status code of the answer.
    pub status: u16,
    /// Bytes of the body that were sent: without the head, and less than Content-Length when
    /// the peer went away.
    pub body_sent: u64,
    /// The Referer field (RFC 9110 10.1.3).
    pub referer: Option<&'e [u8]>,
    /// The User-Agent field (RFC 9110 10.1.5).
    pub user_agent: Option<&'e [u8]>,
    /// From the request's first byte to the answer's last. Only JSON has a place for it.
    pub duration: Option<Duration>,
}

/// Writes entries in one format. It is kept from line to line because it remembers the
/// rendered time: a busy turn writes many lines in the same second.
#[derive(Debug)]
pub struct Renderer {
    format: Format,
    field: usize,
    stamp: Stamp,
}

impl Renderer {
    /// Of each part that a peer chose, at most `field` bytes are written: see
    /// [`Limits::log_field`](crate::limits::Limits::log_field).
    pub fn new(format: Format, field: usize) -> Self {
        Self {
            format,
            field,
            stamp: Stamp::default(),
        }
    }

    /// Appends exactly one line of printable ASCII and its LF. Allocates only when `out` has
    /// to grow.
    pub fn write_line(&mut self, entry: &Entry, out: &mut Vec<u8>) {
        match self.format {
            Format::Common => self.write_common(entry, out),
            Format::Combined => {
                self.write_common(entry, out);
                self.put_quoted(b" ", entry.referer, out);
                self.put_quoted(b" ", entry.user_agent, out);
            }
            Format::Json => self.write_object(entry, out),
        }
        out.push(b'\n');
    }

    fn write_common(&mut self, entry: &Entry, out: &mut Vec<u8>) {
        let time = stamp::since_epoch(entry.wall);
        put(out, format_args!("{} - - [", entry.peer));
        out.extend_from_slice(self.stamp.at(time.as_secs(), stamp::put_clf_time));
        self.put_quoted(b"] ", entry.request_line, out);
        put(out, format_args!(" {} {}", entry.status, entry.body_sent));
    }

    /// `before"value"`, or `before"-"` when there is no value.
    fn put_quoted(&self, before: &[u8], value: Option<&[u8]>, out: &mut Vec<u8>) {
        out.extend_from_slice(before);
        out.push(b'"');
        self.put_cut(value.unwrap_or(b"-"), put_escaped, out);
        out.push(b'"');
    }

    fn write_object(&mut self, entry: &Entry, out: &mut Vec<u8>) {
        let time = stamp::since_epoch(entry.wall);
        out.extend_from_slice(b"{\"time\":\"");
        out.extend_from_slice(self.stamp.at(time.as_secs(), stamp::put_rfc3339_time));
        let millis = time.subsec_millis();
        put(
            out,
            format_args!(".{millis:03}Z\",\"peer\":\"{}\"", entry.peer),
        );

        if let Some((method, target, version)) = entry.request_line.and_then(split_request_line) {
            self.put_member("method", Some(method), out);
            self.put_member("target", Some(target), out);
            self.put_member("version", Some(version), out);
        } else {
            self.put_member("request", entry.request_line, out);
        }
        self.put_member("host", entry.host, out);
        let (status, body_sent) = (entry.status, entry.body_sent);
        put(
            out,
            format_args!(",\"status\":{status},\"bytes\":{body_sent}"),
        );
        if let Some(duration) = entry.duration {
            put(
                out,
                format_args!(",\"duration_us\":{}", duration.as_micros()),
            );
        }
        self.put_member("referer", entry.referer, out);
        self.put_member("user_agent", entry.user_agent, out);
        out.push(b'}');
    }

    /// `,"name":"value"`, or nothing when there is no value.
    fn put_member(&self, name: &str, value: Option<&[u8]>, out: &mut Vec<u8>) {
        let Some(value) = value else { return };
        put(out, format_args!(",\"{name}\":\""));
        self.put_cut(value, put_json_escaped, out);
        out.push(b'"');
    }

    /// The limit counts bytes received: what the peer sent is cut, not what escaping made
    /// of it, so no escape is cut in half.
    fn put_cut(&self, value: &[u8], put_part: fn(&[u8], &mut Vec<u8>), out: &mut Vec<u8>) {
        match value.split_at_checked(self.field) {
            Some((kept, cut)) if !cut.is_empty() => {
                put_part(kept, out);
                out.extend_from_slice(b"...");
            }
            _ => put_part(value, out),
        }
    }
}

/// Method, target and version, when the line is what RFC 9112 3 says a request line is:
/// three words with one space between them, the last of which is a version.
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

/// Bytes that stand for themselves in every format.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

/// Plain bytes as they are, a run at a time; any other as `\xHH`.
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

/// The inside of a JSON string (RFC 8259 7), in ASCII: a character beyond it as the escapes
/// of its UTF-16 code units, a sequence that is not UTF-8 as U+FFFD.
fn put_json_escaped(bytes: &[u8], out: &mut Vec<u8>) {
    // Nearly every value that browsers send.
    if bytes.iter().all(|&byte| is_plain(byte)) {
        out.extend_from_slice(bytes);
        return;
    }
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            put_json_character(character, out);
        }
        if !chunk.invalid().is_empty() {
            put_json_character(char::REPLACEMENT_CHARACTER, out);
        }
    }
}

fn put_json_character(character: char, out: &mut Vec<u8>) {
    match u8::try_from(character) {
        Ok(byte) if is_plain(byte) => out.push(byte),
        Ok(byte @ (b'"' | b'\\')) => out.extend_from_slice(&[b'\\', byte]),
        _ => {
            for unit in character.encode_utf16(&mut [0; 2]) {
                put(out, format_args!("\\u{unit:04x}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;
    use std::time::UNIX_EPOCH;

    const FIELD: usize = 2048;

    fn entry(request_line: &[u8]) -> Entry<'_> {
        Entry {
            peer: Peer::Ip([127, 0, 0, 1].into()),
            wall: UNIX_EPOCH + Duration::from_millis(1_795_362_148_042),
            request_line: Some(request_line),
            host: Some(b"example.org"),
            status: 200,
            body_sent: 1234,
            referer: Some(b"https://example.org/"),
            user_agent: Some(b"curl/8.5.0"),
            duration: Some(Duration::from_micros(1_500)),
        }
    }

    fn line(format: Format, entry: &Entry) -> String {
        let mut out = Vec::new();
        Renderer::new(format, FIELD).write_line(entry, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn object(entry: &Entry) -> Value {
        let line = line(Format::Json, entry);
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
            line(Format::Common, &request),
            "127.0.0.1 - - [22/Nov/2026:15:42:28 +0000] \"GET / HTTP/1.1\" 200 1234\n"
        );
        assert_eq!(
            line(Format::Combined, &request),
            "127.0.0.1 - - [22/Nov/2026:15:42:28 +0000] \"GET / HTTP/1.1\" 200 1234 \
             \"https://example.org/\" \"curl/8.5.0\"\n"
        );
        request.status = 304;
        request.body_sent = 0;
        request.referer = None;
        request.user_agent = None;
        assert_eq!(
            line(Format::Combined, &request),
            "127.0.0.1 - - [22/Nov/2026:15:42:28 +0000] \"GET / HTTP/1.1\" 304 0 \"-\" \"-\"\n"
        );
        request.status = 408;
        request.request_line = None;
        assert_eq!(
            line(Format::Common, &request),
            "127.0.0.1 - - [22/Nov/2026:15:42:28 +0000] \"-\" 408 0\n"
        );
    }

    #[test]
    fn an_object_has_the_request_line_in_three_parts() {
        let mut request = entry(b"GET /a?b=c HTTP/1.1");
        assert_eq!(
            line(Format::Json, &request),
            "{\"time\":\"2026-11-22T15:42:28.042Z\",\"peer\":\"127.0.0.1\",\"method\":\"GET\",\
             \"target\":\"/a?b=c\",\"version\":\"HTTP/1.1\",\"host\":\"example.org\",\
             \"status\":200,\"bytes\":1234,\"duration_us\":1500,\
             \"referer\":\"https://example.org/\",\"user_agent\":\"curl/8.5.0\"}\n"
        );
        request.request_line = None;
        request.host = None;
        request.referer = None;
        request.user_agent = None;
        request.duration = None;
        request.status = 408;
        request.body_sent = 0;
        assert_eq!(
            line(Format::Json, &request),
            "{\"time\":\"2026-11-22T15:42:28.042Z\",\"peer\":\"127.0.0.1\",\
             \"status\":408,\"bytes\":0}\n"
        );
    }

    #[test]
    fn an_object_has_a_line_that_is_not_a_request_line_as_it_came() {
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

            assert_one_printable_line(&line(Format::Common, &request));
            let combined = line(Format::Combined, &request);
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
    fn escapes_are_those_of_nginx() {
        let request = entry(b"GET /\x1b[2J\r\n\"\\\x7f\xc3\xa9~ HTTP/1.1");
        assert_eq!(
            line(Format::Common, &request),
            "127.0.0.1 - - [22/Nov/2026:15:42:28 +0000] \
             \"GET /\\x1B[2J\\x0D\\x0A\\x22\\x5C\\x7F\\xC3\\xA9~ HTTP/1.1\" 200 1234\n"
        );
    }

    #[test]
    fn text_in_any_language_is_ascii_in_json_and_reads_back_as_it_was() {
        let mut request = entry(b"GET / HTTP/1.1");
        request.user_agent = Some("é € 😀 \"\\\n".as_bytes());
        let text = line(Format::Json, &request);
        let end = "\"user_agent\":\"\\u00e9 \\u20ac \\ud83d\\ude00 \\\"\\\\\\u000a\"}\n";
        assert!(text.ends_with(end), "{text}");
        assert_eq!(object(&request)["user_agent"], "é € 😀 \"\\\n");
    }

    #[test]
    fn a_part_is_cut_beyond_the_limit_and_says_so() {
        let fits = vec![b'a'; FIELD];
        let cut = vec![b'"'; FIELD + 1];
        let mut request = entry(b"GET / HTTP/1.1");
        request.referer = Some(&fits);
        request.user_agent = Some(&cut);
        let parts = quoted(&line(Format::Combined, &request));
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
    fn a_peer_has_one_name() {
        let mapped: IpAddr = "::ffff:192.0.2.7".parse().unwrap();
        let six: IpAddr = "2001:db8::1".parse().unwrap();
        assert_eq!(Peer::Ip(mapped).to_string(), "192.0.2.7");
        assert_eq!(Peer::Ip(six).to_string(), "2001:db8::1");
        assert_eq!(Peer::Unix.to_string(), "127.0.0.1");
    }

    #[test]
    fn the_time_follows_the_clock_wherever_it_goes() {
        let mut renderer = Renderer::new(Format::Common, FIELD);
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
        assert_eq!(time(at(253_402_300_800)), "01/Jan/10000:00:00:00 +0000");
    }

    #[test]
    fn names_of_formats_are_read_as_they_are_written() {
        for format in Format::ALL {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        assert_eq!("Combined".parse::<Format>(), Err(UnknownFormat));
    }

    #[test]
    fn a_gap_looks_like_no_request() {
        let mut out = Vec::new();
        Format::Common.write_dropped(12, &mut out);
        Format::Combined.write_dropped(1, &mut out);
        Format::Json.write_dropped(3, &mut out);
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
            let combined = line(Format::Combined, &request);
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
