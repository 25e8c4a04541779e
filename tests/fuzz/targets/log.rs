//! Lines of the access log. Input: on the first line the limit for a part, then request line, Host,
//! Referer and User-Agent, as far as present, each after a byte 0xFF.

use super::first_line;
use oneloop::access_log::format::Renderer;
use oneloop::access_log::{LogEntry, LogFormat, Peer};
use serde_json::{Map, Value};
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, UNIX_EPOCH};

pub fn check(data: &[u8]) {
    let (field, parts) = first_line(data);
    let field = std::str::from_utf8(field)
        .ok()
        .and_then(|text| text.parse::<u16>().ok());
    let field = usize::from(field.unwrap_or(2048));
    let mut parts = parts.split(|&byte| byte == 0xff).skip(1);
    let entry = LogEntry {
        peer: Peer::Ip(IpAddr::V6(Ipv6Addr::LOCALHOST)),
        wall: UNIX_EPOCH + Duration::from_millis(784_111_777_123),
        request_line: parts.next().unwrap_or_default(),
        host: parts.next(),
        status: 404,
        body_sent: 17,
        referer: parts.next(),
        user_agent: parts.next(),
        user: None,
        duration: Duration::from_micros(5),
    };
    let line = |format| {
        let mut out = b"before\n".to_vec();
        Renderer::new(format, field).write_line(&entry, &mut out);
        let line = String::from_utf8(out).expect("ASCII");
        let line = line.strip_prefix("before\n").expect("appended");
        let line = line.strip_suffix('\n').expect("ended by LF");
        let is_printable = |byte| matches!(byte, b' '..=b'~');
        assert!(line.bytes().all(is_printable), "{line:?}");
        line.to_owned()
    };
    let common = line(LogFormat::Common);
    let combined = line(LogFormat::Combined);
    assert_eq!(
        read_quoted(&common),
        (COMMON.into(), vec![cut(Some(entry.request_line), field)])
    );
    let parts = [Some(entry.request_line), entry.referer, entry.user_agent];
    let expected = (COMBINED.into(), parts.map(|part| cut(part, field)).to_vec());
    assert_eq!(read_quoted(&combined), expected);
    check_object(&entry, field, &line(LogFormat::Json));
}

const COMMON: &str = "::1 - - [06/Nov/1994:08:49:37 +0000] Q 404 17";
const COMBINED: &str = "::1 - - [06/Nov/1994:08:49:37 +0000] Q 404 17 Q Q";

/// What parsing a part must give back.
fn cut(part: Option<&[u8]>, field: usize) -> Vec<u8> {
    let part = part.unwrap_or(b"-");
    match part.len() > field {
        true => [&part[..field], b"..."].concat(),
        false => part.to_vec(),
    }
}

/// A line with `Q` for each quoted string, and the strings without their escapes: a parser written
/// from the description of the format.
fn read_quoted(line: &str) -> (String, Vec<Vec<u8>>) {
    let mut outside = String::new();
    let mut strings = Vec::new();
    let mut pieces = line.split('"');
    outside.push_str(pieces.next().unwrap());
    while let Some(inside) = pieces.next() {
        let mut unescaped = Vec::new();
        let mut escapes = inside.split('\\');
        unescaped.extend_from_slice(escapes.next().unwrap().as_bytes());
        for escape in escapes {
            let hex = escape.strip_prefix('x').expect("the only escape is \\x");
            unescaped.push(u8::from_str_radix(&hex[..2], 16).unwrap());
            unescaped.extend_from_slice(&hex.as_bytes()[2..]);
        }
        strings.push(unescaped);
        outside.push('Q');
        outside.push_str(pieces.next().expect("a closing quote"));
    }
    (outside, strings)
}

fn check_object(entry: &LogEntry, field: usize, line: &str) {
    let mut expected = Map::new();
    let mut put = |name: &str, value: Value| assert!(expected.insert(name.into(), value).is_none());
    put("time", "1994-11-06T08:49:37.123Z".into());
    put("peer", "::1".into());
    put("status", 404.into());
    put("bytes", 17.into());
    put("duration_us", 5.into());
    let mut put_text = |name: &str, part: Option<&[u8]>| {
        if let Some(part) = part {
            let mut text = String::from_utf8_lossy(&part[..part.len().min(field)]).into_owned();
            text.push_str(if part.len() > field { "..." } else { "" });
            put(name, text.into());
        }
    };
    put_text("host", entry.host);
    put_text("referer", entry.referer);
    put_text("user_agent", entry.user_agent);
    let words: Vec<_> = entry.request_line.split(|&b| b == b' ').collect();
    match words[..] {
        [method @ [_, ..], target @ [_, ..], version] if version.starts_with(b"HTTP/") => {
            put_text("method", Some(method));
            put_text("target", Some(target));
            put_text("version", Some(version));
        }
        _ => put_text("request", Some(entry.request_line)),
    }
    let found: Value = serde_json::from_str(line).expect("an object of JSON");
    assert_eq!(found, Value::Object(expected));
}
