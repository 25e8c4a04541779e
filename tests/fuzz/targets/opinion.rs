//! A reference parser of request heads: written from the grammar of the RFC, slow, and with copies.

use super::strip;

/// A head that is not refused.
#[derive(Debug, PartialEq, Eq)]
pub struct Opinion {
    pub method: String,
    pub target: Target,
    pub host: Option<Vec<u8>>,
    pub old: bool,
    pub persistent: bool,
    pub last: bool,
    pub expects_unknown: bool,
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Target {
    Path(Vec<u8>, Option<Vec<u8>>),
    Asterisk,
    Authority,
}

/// Where a head ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Partial,
    /// Bytes that are skipped, and bytes of the head.
    Whole(usize, usize),
    /// No head begins like this.
    Malformed,
    LineTooLong,
    TooLong,
}

/// The limits of a head.
#[derive(Clone, Copy)]
pub struct Bounds {
    pub head: usize,
    pub line: usize,
    pub empty_lines: usize,
}

/// Finds the end of a head: skips some empty lines; the next one is the end.
pub fn end(bytes: &[u8], bounds: &Bounds) -> End {
    let lines = bytes.chunks(2).take(bounds.empty_lines);
    let skipped = 2 * lines.take_while(|line| line == b"\r\n").count();
    let bytes = &bytes[skipped..];
    // An error before the limit takes precedence.
    let or_malformed = |end, length: usize| match is_malformed(&bytes[..length]) {
        true => End::Malformed,
        false => end,
    };
    let mut length = 0;
    for (index, line) in bytes.split_inclusive(|&b| b == b'\n').enumerate() {
        length += line.len();
        let ended = line.ends_with(b"\n");
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        // A CR at the end may be half a line end.
        let content = line.strip_suffix(b"\r").unwrap_or(line);
        let is_too_long = match ended {
            true => content.len() > bounds.line,
            false => line.len() > bounds.line + 1,
        };
        if index == 0 && is_too_long {
            return or_malformed(End::LineTooLong, bounds.line + 2);
        }
        if length > bounds.head {
            return or_malformed(End::TooLong, bounds.head + 1);
        }
        if ended && content.is_empty() {
            return End::Whole(skipped, length);
        }
    }
    or_malformed(End::Partial, bytes.len())
}

/// Whether no head begins like this, or is this. Parses whole lines; for the last one, which is
/// incomplete, tries everything that could complete it.
fn is_malformed(bytes: &[u8]) -> bool {
    let is_whole = bytes.ends_with(b"\r\n\r\n");
    let bytes = if is_whole {
        &bytes[..bytes.len() - 2]
    } else {
        bytes
    };
    let mut lines = split(bytes, b"\r\n");
    let last = lines.pop().unwrap_or_default();
    let mut lines = lines.into_iter();
    let request_line = lines.next();
    let has_bad_line = request_line.is_some_and(|line| {
        read_line(line).is_none_or(|(method, target, version)| {
            let method = std::str::from_utf8(method).unwrap();
            read_target(method, target).is_none() || !version.starts_with(b"HTTP/1.")
        })
    });
    let is_line = |line: &[u8]| match request_line {
        None => read_line(line).is_some(),
        Some(_) => read_field(line).is_some(),
    };
    let has_rest = |line: &[u8]| {
        let model: &[u8] = match request_line {
            None => b"GET / HTTP/1.1",
            Some(_) => b"A:",
        };
        (0..=model.len()).any(|at| is_line(&[line, &model[at..]].concat()))
    };
    let is_last_bad = match last.strip_suffix(b"\r") {
        Some(content) => !content.is_empty() && !is_line(content),
        None => !has_rest(last),
    };
    has_bad_line || lines.any(|line| read_field(line).is_none()) || is_last_bad
}

/// Method, target and version, if a line is a valid request line.
fn read_line(line: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let words = split(line, b" ");
    let [method, target, version] = words[..] else {
        return None;
    };
    let is_version = matches!(version, [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
        if major.is_ascii_digit() && minor.is_ascii_digit());
    let is_target = !target.is_empty() && !target.iter().any(u8::is_ascii_control);
    (is_token(method) && is_target && is_version).then_some((method, target, version))
}

/// Whether a head, or the start of one, is of a HEAD request.
pub fn is_bodiless(head: &[u8]) -> bool {
    head.starts_with(b"HEAD ")
}

/// Parses a head. `None`: it must be refused.
pub fn read(head: &[u8], most_fields: usize) -> Option<Opinion> {
    let text = head.strip_suffix(b"\r\n\r\n")?;
    let lines = split(text, b"\r\n");
    let (request_line, field_lines) = lines.split_first()?;
    let (method, target, version) = read_line(request_line)?;
    if field_lines.len() > most_fields {
        return None;
    }
    let old = match version {
        b"HTTP/1.0" => true,
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1'..=b'9'] => false,
        _ => return None,
    };
    let fields = field_lines
        .iter()
        .map(|line| read_field(line))
        .collect::<Option<Vec<_>>>()?;
    let method = String::from_utf8(method.to_vec()).ok()?;
    let (target, authority) = read_target(&method, target)?;
    let named = |name: &str| -> Vec<&[u8]> {
        let same = fields.iter().filter(|(found, _)| found == name.as_bytes());
        same.map(|(_, value)| value.as_slice()).collect()
    };
    let lists = |name: &str| {
        let members = named(name).into_iter().flat_map(|value| split(value, b","));
        let members = members.map(|member| strip(member).to_ascii_lowercase());
        members
            .filter(|member| !member.is_empty())
            .collect::<Vec<_>>()
    };

    let hosts = named("host");
    if hosts.len() > 1 || (hosts.is_empty() && !old) || !hosts.iter().all(|host| is_host(host)) {
        return None;
    }
    let has_body = read_framing(&named("content-length"), &named("transfer-encoding"), old)?;
    let says = |token: &[u8]| lists("connection").iter().any(|member| member == token);
    let is_tunnel = method == "CONNECT";
    let may_go_on = !says(b"close") && (!old || says(b"keep-alive"));
    let persistent = !has_body && !is_tunnel && may_go_on;
    let is_strange = |member: &Vec<u8>| member != b"100-continue";
    let expects_unknown = !old && lists("expect").iter().any(is_strange);
    let host = authority.or(hosts.first().map(|host| host.to_vec()));
    Some(Opinion {
        method,
        target,
        host,
        old,
        persistent,
        last: !has_body && !is_tunnel && !may_go_on,
        expects_unknown,
        fields,
    })
}

/// Whether there is a body; `None` if its end is ambiguous.
fn read_framing(lengths: &[&[u8]], codings: &[&[u8]], old: bool) -> Option<bool> {
    match (lengths, codings) {
        ([], []) => Some(false),
        // No body has 10^19 bytes: longer numbers are refused, even with leading zeros.
        ([length], []) if !length.is_empty() && length.len() < 20 => {
            let is_number = length.iter().all(u8::is_ascii_digit);
            is_number.then(|| length.iter().any(|&digit| digit != b'0'))
        }
        ([], [coding]) => (!old && coding.eq_ignore_ascii_case(b"chunked")).then_some(true),
        _ => None,
    }
}

fn read_field(line: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    let is_field = is_token(name) && is_value(value);
    is_field.then(|| (name.to_ascii_lowercase(), strip(value).to_vec()))
}

fn read_target(method: &str, target: &[u8]) -> Option<(Target, Option<Vec<u8>>)> {
    if method == "CONNECT" {
        return is_host_and_port(target).then_some((Target::Authority, None));
    }
    if target.starts_with(b"/") {
        return Some((read_path(target), None));
    }
    if target == b"*" && method == "OPTIONS" {
        return Some((Target::Asterisk, None));
    }
    for scheme in ["http://", "https://"] {
        if target.to_ascii_lowercase().starts_with(scheme.as_bytes()) {
            let rest = &target[scheme.len()..];
            let end = rest.iter().position(|byte| b"/?".contains(byte));
            let (authority, path) = rest.split_at(end.unwrap_or(rest.len()));
            let is_empty = authority.is_empty() || authority.starts_with(b":");
            let is_good = !is_empty && is_host(authority);
            return is_good.then(|| (read_path(path), Some(authority.to_vec())));
        }
    }
    None
}

/// What comes before a fragment, split at the first question mark.
fn read_path(target: &[u8]) -> Target {
    let before = split(target, b"#")[0];
    let path = split(before, b"?")[0];
    let query = before.get(path.len() + 1..).map(<[u8]>::to_vec);
    let path: &[u8] = if path.is_empty() { b"/" } else { path };
    Target::Path(path.to_vec(), query)
}

pub fn is_token(text: &[u8]) -> bool {
    let is_delimiter = |byte: &u8| b"(),/:;<=>?@[\\]{}\"".contains(byte);
    !text.is_empty()
        && text
            .iter()
            .all(|b| b.is_ascii_graphic() && !is_delimiter(b))
}

/// Whether a field value has no control bytes except tabs.
pub fn is_value(value: &[u8]) -> bool {
    value
        .iter()
        .all(|&byte| byte == b'\t' || !byte.is_ascii_control())
}

/// `uri-host [ ":" port ]` by RFC 3986 3.2.2, and IPv6 addresses with a zone, escaped or not.
pub fn is_host(value: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(value) else {
        return false;
    };
    let (host, port) = match text.rfind(']') {
        Some(end) => text.split_at(end + 1),
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let is_digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(is_digits);
    let inside = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let is_literal = |text| is_address_with_zone(text) || is_ipv_future(text);
    is_port && inside.map_or_else(|| is_name(host), is_literal)
}

/// The authority-form of CONNECT: a host with a port, and neither of them empty.
pub fn is_host_and_port(value: &[u8]) -> bool {
    let text = String::from_utf8_lossy(value);
    let is_port = |port: &str| !port.is_empty() && port.chars().all(|c| c.is_ascii_digit());
    let parts = text.rsplit_once(':');
    parts.is_some_and(|(host, port)| !host.is_empty() && is_port(port)) && is_host(value)
}

fn is_name(text: &str) -> bool {
    let mut pieces = text.split('%');
    let is_plain = |text: &str| {
        let is_unreserved = |c: char| c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=".contains(c);
        text.chars().all(is_unreserved)
    };
    let is_escape = |text: &str| {
        let hex = text.as_bytes().get(..2);
        hex.is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit)) && is_plain(&text[2..])
    };
    pieces.next().is_some_and(is_plain) && pieces.all(is_escape)
}

fn is_address_with_zone(text: &str) -> bool {
    let is_in_zone = |c: char| c.is_ascii_alphanumeric() || "-._~%".contains(c);
    let is_zone = |zone: &str| !zone.is_empty() && zone.chars().all(is_in_zone);
    match text.split_once('%') {
        Some((address, zone)) => is_ipv6(address) && is_zone(zone),
        None => is_ipv6(text),
    }
}

fn is_ipv_future(text: &str) -> bool {
    let is_hex = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_hexdigit());
    let is_in_address = |c: char| c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:".contains(c);
    let rest = text.strip_prefix(['v', 'V']);
    rest.and_then(|rest| rest.split_once('.'))
        .is_some_and(|(version, address)| {
            is_hex(version) && !address.is_empty() && address.chars().all(is_in_address)
        })
}

fn is_ipv6(text: &str) -> bool {
    match text.split("::").collect::<Vec<_>>()[..] {
        [all] => groups(all, true) == Some(8),
        [left, right] => {
            let count = |text: &str, is_last| match text.is_empty() {
                true => Some(0),
                false => groups(text, is_last),
            };
            matches!((count(left, false), count(right, true)), (Some(l), Some(r)) if l + r < 8)
        }
        _ => false,
    }
}

/// The number of groups of 16 bits; an IPv4 address at the end counts as two.
fn groups(text: &str, is_last: bool) -> Option<usize> {
    let groups: Vec<_> = text.split(':').collect();
    let mut count = 0;
    for (index, group) in groups.iter().enumerate() {
        let is_hex = group.chars().all(|c| c.is_ascii_hexdigit());
        if is_hex && (1..=4).contains(&group.len()) {
            count += 1;
        } else if is_last && index + 1 == groups.len() && is_ipv4(group) {
            count += 2;
        } else {
            return None;
        }
    }
    Some(count)
}

fn is_ipv4(text: &str) -> bool {
    let octets: Vec<_> = text.split('.').collect();
    let is_octet = |octet: &&str| (0..=255).any(|number: u16| number.to_string() == **octet);
    octets.len() == 4 && octets.iter().all(is_octet)
}

/// The pieces between the separators.
fn split<'t>(text: &'t [u8], separator: &[u8]) -> Vec<&'t [u8]> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with(separator) {
            pieces.push(&text[start..at]);
            at += separator.len();
            start = at;
        } else {
            at += 1;
        }
    }
    pieces.push(&text[start..]);
    pieces
}
