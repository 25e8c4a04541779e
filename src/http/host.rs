//! The grammar of a Host field (RFC 9110 7.2).

use std::net::Ipv6Addr;

/// Whether `value` is `uri-host [ ":" port ]` (RFC 9110 7.2, RFC 3986 3.2.2).
pub fn is_host(value: &[u8]) -> bool {
    let (is_host, port) = match value {
        [b'[', rest @ ..] => {
            let Some(end) = memchr::memchr(b']', rest) else {
                return false;
            };
            let (inside, after) = rest.split_at(end);
            let is_literal = is_ipv6(inside) || is_ipv_future(inside);
            (is_literal, after.split_at(1).1)
        }
        _ => (true, after_reg_name(value)),
    };
    is_host
        && match port {
            [] => true,
            [b':', digits @ ..] => digits.iter().all(u8::is_ascii_digit),
            _ => false,
        }
}

/// Whether `target` is in authority-form (RFC 9112 3.2.3): neither part may be empty.
pub fn is_host_and_port(target: &[u8]) -> bool {
    let digits = target.rsplit(|byte| !byte.is_ascii_digit()).next();
    let port = digits.map_or(0, <[u8]>::len);
    let host = target.get(..target.len().saturating_sub(port));
    port > 0 && is_host(target) && matches!(host, Some([_, .., b':']))
}

/// An IPv6 address, or a link-local one with its zone. Clients should not send a zone (RFC 9844),
/// but some do: unescaped, or escaped as in RFC 6874.
fn is_ipv6(literal: &[u8]) -> bool {
    let end = memchr::memchr(b'%', literal).unwrap_or(literal.len());
    let (address, zone) = literal.split_at(end);
    let address = str::from_utf8(address).map(str::parse::<Ipv6Addr>);
    matches!(address, Ok(Ok(_)))
        && match zone {
            [] => true,
            [_percent, zone @ ..] => !zone.is_empty() && zone.iter().all(|&byte| is_in_zone(byte)),
        }
}

/// `"v" 1*HEXDIG "." 1*( unreserved / sub-delims / ":" )` (RFC 3986 3.2.2).
fn is_ipv_future(literal: &[u8]) -> bool {
    let [b'v' | b'V', rest @ ..] = literal else {
        return false;
    };
    let Some(dot) = memchr::memchr(b'.', rest) else {
        return false;
    };
    let (version, address) = rest.split_at(dot);
    let is_in_address = |&byte: &u8| is_unreserved_or_sub_delim(byte) || byte == b':';
    !version.is_empty()
        && version.iter().all(u8::is_ascii_hexdigit)
        && address.len() > 1
        && address.iter().all(is_in_address)
}

/// The unreserved bytes of RFC 3986, and the percent sign of an escape.
fn is_in_zone(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte)
}

/// What follows `*( unreserved / pct-encoded / sub-delims )`. IPv4 addresses match that, too.
fn after_reg_name(value: &[u8]) -> &[u8] {
    let mut rest = value;
    loop {
        let end = rest
            .iter()
            .position(|&byte| !is_unreserved_or_sub_delim(byte));
        rest = rest.split_at(end.unwrap_or(rest.len())).1;
        match rest {
            [b'%', high, low, after @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                rest = after;
            }
            _ => return rest,
        }
    }
}

/// `unreserved / sub-delims` of RFC 3986. The compiler turns the pattern into a test of one bit.
fn is_unreserved_or_sub_delim(byte: u8) -> bool {
    matches!(byte,
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9'
        | b'-' | b'.' | b'_' | b'~'
        | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_and_maybe_a_port() {
        for (value, expected) in [
            ("", true),
            ("a.b", true),
            ("a:", true),
            ("a:80", true),
            (":80", true),
            ("[::1]:80", true),
            ("[::ffff:1.2.3.4]", true),
            ("1.2.3.4", true),
            ("a,b:80", true),
            ("%C3%bc.example", true),
            ("a b", false),
            ("a/b", false),
            ("a:b", false),
            ("a@b", false),
            ("a:80:80", false),
            ("::1", false),
            ("[::1", false),
            ("[]", false),
            ("[:::]", false),
            ("[fe80::1%25lo]", true),
            ("[fe80::1%lo]:80", true),
            ("[fe80::1%]", false),
            ("[fe80::1%a b]", false),
            ("[%lo]", false),
            ("[v1.a]", true),
            ("[vF.a:b]:80", true),
            ("[V1.!]", true),
            ("[v.a]", false),
            ("[v1.]", false),
            ("[v1]", false),
            ("[vg.a]", false),
            ("[v1.a@b]", false),
            ("[v1.%41]", false),
            ("[::1]x", false),
            ("<a>", false),
            ("%zz", false),
            ("a%4", false),
            ("a%", false),
            ("\u{fc}", false),
        ] {
            assert_eq!(is_host(value.as_bytes()), expected, "{value:?}");
        }
    }
    #[test]
    fn a_tunnel_needs_both_a_host_and_a_port() {
        for (value, expected) in [
            ("a:80", true),
            ("[::1]:80", true),
            ("a", false),
            ("a:", false),
            (":80", false),
            ("80", false),
            ("a:x8", false),
            ("a:80:80", false),
            ("::1", false),
            ("[::1]", false),
            ("", false),
        ] {
            assert_eq!(is_host_and_port(value.as_bytes()), expected, "{value:?}");
        }
    }
}
