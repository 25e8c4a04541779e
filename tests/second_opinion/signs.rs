//! Properties of heads: the conditions of the known differences.
//!
//! Written from the RFCs, without the functions of the server: a mistake in one of those would hide
//! itself.

use crate::head::{Head, find, trim_blanks};
use std::net::Ipv6Addr;

pub fn has_bare_lf(head: Head<'_>) -> bool {
    let mut before = 0;
    head.bytes().iter().any(|&byte| {
        let last = std::mem::replace(&mut before, byte);
        byte == b'\n' && last != b'\r'
    })
}

pub fn has_bare_cr(head: Head<'_>) -> bool {
    let bytes = [head.bytes(), head.after()].concat();
    let next = |at: usize| bytes.get(at + 1);
    (0..head.bytes().len()).any(|at| bytes[at] == b'\r' && next(at) != Some(&b'\n'))
}

pub fn has_more_empty_lines(head: Head<'_>) -> bool {
    head.bytes().starts_with("\r\n".repeat(101).as_bytes())
}

pub fn has_more_blanks(head: Head<'_>) -> bool {
    find(head.line(), b"  ").is_some() || head.line().ends_with(b" ")
}

pub fn is_without_version(head: Head<'_>) -> bool {
    head.version().is_empty()
}

/// `HTTP/` and not one digit, a dot, one digit.
pub fn has_malformed_version(head: Head<'_>) -> bool {
    let rest = head.version().strip_prefix(b"HTTP/");
    rest.is_some_and(|rest| !matches!(rest, [b'0'..=b'9', b'.', b'0'..=b'9']))
}

/// A major version other than 1, also at the end of a line with more than three parts.
pub fn has_other_major_version(head: Head<'_>) -> bool {
    let last = head.line().rsplit(|&byte| byte == b' ').next();
    let versions = [Some(head.version()), last].into_iter().flatten();
    let mut rests = versions.filter_map(|version| version.strip_prefix(b"HTTP/"));
    rests.any(|rest| !rest.starts_with(b"1."))
}

pub fn has_other_scheme(head: Head<'_>) -> bool {
    let Some(at) = find(head.target(), b"://") else {
        return false;
    };
    let scheme = &head.target()[..at];
    scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && ![b"http".as_slice(), b"https"]
            .iter()
            .any(|it| scheme.eq_ignore_ascii_case(it))
}

/// `uri-host [ ":" port ]` (RFC 9110 7.2).
pub fn is_host(value: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(value) else {
        return false;
    };
    let (host, port) = match text.rfind(':') {
        Some(at) if !text[at..].contains(']') => (&text[..at], &text[at + 1..]),
        _ => (text, ""),
    };
    let is_in_brackets = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let is_host = match is_in_brackets {
        Some(literal) => is_address(literal) || is_future_address(literal),
        None => !has_bad_escape(host.as_bytes()) && host.chars().all(is_in_name),
    };
    is_host && port.chars().all(|c| c.is_ascii_digit())
}

/// With a zone or without one.
fn is_address(literal: &str) -> bool {
    let (address, zone) = literal.split_once('%').unwrap_or((literal, "0"));
    let is_in_zone = |c: char| c.is_ascii_alphanumeric() || "-._~%".contains(c);
    address.parse::<Ipv6Addr>().is_ok() && !zone.is_empty() && zone.chars().all(is_in_zone)
}

fn is_future_address(literal: &str) -> bool {
    let rest = literal.strip_prefix(['v', 'V']);
    let parts = rest.and_then(|rest| rest.split_once('.'));
    parts.is_some_and(|(version, address)| {
        let is_in_address = |c| c == ':' || (c != '%' && is_in_name(c));
        let is_number = !version.is_empty() && version.chars().all(|c| c.is_ascii_hexdigit());
        is_number && !address.is_empty() && address.chars().all(is_in_address)
    })
}

fn is_in_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=%".contains(c)
}

pub fn has_bad_host(head: Head<'_>) -> bool {
    head.any("host", |value| !is_host(value))
}

pub fn has_bad_authority(head: Head<'_>) -> bool {
    head.authority()
        .is_some_and(|value| value.is_empty() || !is_host(value))
}

pub fn has_host_without_name(head: Head<'_>) -> bool {
    head.any("host", |value| value.is_empty() || value.starts_with(b":"))
}

/// A name with an empty label, except after a dot at the end.
fn has_empty_label(host: &[u8]) -> bool {
    let name = host.split(|&byte| byte == b':').next().unwrap();
    find(name, b"..").is_some() || name == b"."
}

pub fn has_host_with_empty_label(head: Head<'_>) -> bool {
    head.any("host", has_empty_label)
}

/// Bytes that the grammar of a name allows, and no DNS name has.
pub fn has_unusual_authority(head: Head<'_>) -> bool {
    let is_usual = |byte: &u8| byte.is_ascii_alphanumeric() || b"-.:[]".contains(byte);
    head.authority()
        .is_some_and(|value| has_empty_label(value) || !value.iter().all(is_usual))
}

pub fn is_token(name: &[u8]) -> bool {
    let is_in_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !name.is_empty() && name.iter().all(is_in_token)
}

pub fn has_unusual_method(head: Head<'_>) -> bool {
    let is_usual = |byte: &u8| byte.is_ascii_uppercase() || b"-_".contains(byte);
    is_token(head.method()) && !head.method().iter().all(is_usual)
}

pub fn is_method_unknown(head: Head<'_>) -> bool {
    let known = [
        "GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "TRACE", "PATCH", "CONNECT",
    ];
    !known.iter().any(|name| name.as_bytes() == head.method())
}

pub fn is_method_read_only(head: Head<'_>) -> bool {
    matches!(head.method(), b"GET" | b"HEAD")
}

pub fn has_name_that_is_no_token(head: Head<'_>) -> bool {
    let has_colon = |line: &&[u8]| line.contains(&b':');
    let names = head.field_lines().filter(has_colon);
    names
        .map(|line| line.split(|&byte| byte == b':').next().unwrap())
        .any(|name| !is_token(name))
}

pub fn has_line_without_colon(head: Head<'_>) -> bool {
    head.field_lines().any(|line| !line.contains(&b':'))
}

pub fn has_control_byte_in_value(head: Head<'_>) -> bool {
    let is_control = |byte: &u8| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f;
    head.fields().any(|(_, value)| value.iter().any(is_control))
}

pub fn is_repeated(head: Head<'_>, names: &[&str]) -> bool {
    names.iter().any(|name| head.values(name).count() > 1)
}

pub fn has_long_length(head: Head<'_>) -> bool {
    head.any("content-length", |value| {
        value.len() > 19 && value.iter().all(u8::is_ascii_digit)
    })
}

/// The first Content-Length, if it is a number.
pub fn length(head: Head<'_>) -> Option<u128> {
    let value = head.values("content-length").next()?;
    let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    is_number.then(|| str::from_utf8(value).ok()?.parse().ok())?
}

pub fn is_chunked(head: Head<'_>) -> bool {
    head.any("transfer-encoding", |value| {
        value.eq_ignore_ascii_case(b"chunked")
    })
}

/// The largest chunk that nginx takes.
const NGINX_CHUNK: i64 = i64::MAX / 16;

/// A chunk that does not begin with its size in hexadecimal, or is not followed by a line end, or a
/// line with a CR inside.
pub fn has_malformed_chunk(body: &[u8]) -> bool {
    let mut rest = body;
    loop {
        let digits = rest
            .iter()
            .take_while(|byte| byte.is_ascii_hexdigit())
            .count();
        let size = str::from_utf8(&rest[..digits]).unwrap();
        let is_size_ended = rest
            .get(digits)
            .is_none_or(|byte| b" \t;\r\n".contains(byte));
        // nginx refuses a size to which it could not add another digit.
        let size = i64::from_str_radix(size, 16).ok();
        let (Some(size @ ..=NGINX_CHUNK), true) = (size, is_size_ended) else {
            return true;
        };
        if size == 0 {
            let lines = rest.split_inclusive(|&byte| byte == b'\n');
            let mut lines = lines.take_while(|line| !matches!(*line, b"\r\n" | b"\n"));
            return lines.any(has_cr_inside);
        }
        let end = find(rest, b"\n").map_or(rest.len(), |at| at + 1);
        let after = rest.get(end + size as usize..).unwrap_or_default();
        if has_cr_inside(&rest[..end]) || after.is_empty() {
            return has_cr_inside(&rest[..end]);
        }
        rest = match after {
            [b'\r', b'\n', next @ ..] | [b'\n', next @ ..] => next,
            _ => return true,
        };
    }
}

/// The same by the grammar of RFC 9112 7.1, with trailers.
pub fn has_chunk_outside_the_grammar(body: &[u8]) -> bool {
    let is_control = |byte: &u8| *byte != b'\t' && byte.is_ascii_control();
    let mut rest = body;
    loop {
        let end = find(rest, b"\n").map_or(rest.len(), |at| at + 1);
        let (line, after) = rest.split_at(end);
        let Some(line) = line.strip_suffix(b"\r\n") else {
            return !line.is_empty();
        };
        let is_digit = |byte: &&u8| byte.is_ascii_hexdigit();
        let digits = line.iter().take_while(is_digit).count();
        let (size, extension) = line.split_at(digits);
        let size = u64::from_str_radix(str::from_utf8(size).unwrap(), 16);
        let is_extension = matches!(extension, [] | [b';' | b' ' | b'\t', ..]);
        let (Ok(size), true) = (size, is_extension && !extension.iter().any(is_control)) else {
            return true;
        };
        if size == 0 {
            let lines = after.split_inclusive(|&byte| byte == b'\n');
            let mut trailer = lines.take_while(|line| *line != b"\r\n");
            return trailer.any(|line| {
                let name = line.split(|&byte| byte == b':').next().unwrap();
                let has_end = line.ends_with(b"\r\n");
                !has_end || name.len() == line.len() || !is_token(name) || has_cr_inside(line)
            });
        }
        rest = match after.get(size as usize..).unwrap_or_default() {
            [] => return false,
            [b'\r', b'\n', next @ ..] => next,
            _ => return true,
        };
    }
}

fn has_cr_inside(line: &[u8]) -> bool {
    let content = line.strip_suffix(b"\r\n").unwrap_or(line);
    content.contains(&b'\r')
}

pub fn has_body(head: Head<'_>) -> bool {
    is_chunked(head) || length(head).is_some_and(|length| length > 0)
}

/// A tab in the blanks around a value, which are not part of it.
pub fn has_tab_beside(head: Head<'_>, name: &str) -> bool {
    head.untrimmed(name).any(|sent| {
        let value = trim_blanks(sent);
        let tabs = |bytes: &[u8]| bytes.iter().filter(|&&byte| byte == b'\t').count();
        tabs(sent) > tabs(value)
    })
}

/// A member of the list, or only some bytes of a value.
pub fn has_option(head: Head<'_>, option: &str) -> bool {
    head.any("connection", |value| {
        let mut members = value.split(|&byte| byte == b',').map(trim_blanks);
        members.any(|member| member.eq_ignore_ascii_case(option.as_bytes()))
    })
}

pub fn names_option(head: Head<'_>, option: &str) -> bool {
    head.any("connection", |value| {
        find(&value.to_ascii_lowercase(), option.as_bytes()).is_some()
    })
}

pub fn expects_other_things(head: Head<'_>) -> bool {
    head.any("expect", |value| {
        let mut members = value.split(|&byte| byte == b',').map(trim_blanks);
        members.any(|it| !it.is_empty() && !it.eq_ignore_ascii_case(b"100-continue"))
    })
}

pub fn expects_continue(head: Head<'_>) -> bool {
    head.any("expect", |value| {
        value.eq_ignore_ascii_case(b"100-continue")
    })
}

/// A percent sign without two hexadecimal digits.
pub fn has_bad_escape(text: &[u8]) -> bool {
    text.iter().enumerate().any(|(at, &byte)| {
        let digits = text.get(at + 1..at + 3);
        byte == b'%' && !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

pub fn has_escape_of(text: &[u8], escapes: &[&str]) -> bool {
    let text = text.to_ascii_lowercase();
    escapes
        .iter()
        .any(|escape| find(&text, escape.as_bytes()).is_some())
}

/// `..` for which there is no segment to remove.
pub fn climbs(path: &[u8]) -> bool {
    let path = String::from_utf8_lossy(path).to_ascii_lowercase();
    let path = path.replace("%2e", ".").replace("%2f", "/");
    let steps = path.split('/').map(|segment| match segment {
        "" | "." => 0,
        ".." => -1,
        _ => 1,
    });
    let mut depth = 0;
    steps.into_iter().any(|step| {
        depth += step;
        depth < 0
    })
}

pub fn has_path_that_is_none(head: Head<'_>) -> bool {
    let path = head.path();
    climbs(path) || has_bad_escape(path) || has_escape_of(path, &["%00"])
}

pub fn is_line_longer_than(head: Head<'_>, length: usize) -> bool {
    head.line().len() > length
}

pub fn has_field_longer_than(head: Head<'_>, length: usize) -> bool {
    head.field_lines().any(|line| line.len() > length)
}

pub fn has_more_fields_than(head: Head<'_>, count: usize) -> bool {
    head.field_lines().count() > count
}
