//! Room `http`: is this the name of a host? Imports nothing of ours.

use std::net::Ipv6Addr;

/// `uri-host [ ":" port ]` (RFC 9110 7.2, RFC 3986 3.2.2), without resolving anything.
pub fn is_host(value: &[u8]) -> bool {
    let (is_host, port) = match value {
        [b'[', rest @ ..] => {
            let Some(end) = memchr::memchr(b']', rest) else {
                return false;
            };
            let (inside, after) = rest.split_at(end);
            let address = str::from_utf8(inside).unwrap_or_default();
            let is_address = address.parse::<Ipv6Addr>().is_ok();
            (is_address, after.get(1..).unwrap_or_default())
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

/// The authority-form (RFC 9112 3.2.3), in which neither part may be empty.
pub fn is_host_and_port(target: &[u8]) -> bool {
    let digits = target.rsplit(|byte| !byte.is_ascii_digit()).next();
    let port = digits.map_or(0, <[u8]>::len);
    let host = target.get(..target.len().saturating_sub(port));
    port > 0 && is_host(target) && matches!(host, Some([_, .., b':']))
}

/// What follows `*( unreserved / pct-encoded / sub-delims )`, which every IPv4 address is, too.
fn after_reg_name(value: &[u8]) -> &[u8] {
    let mut rest = value;
    loop {
        let end = rest.iter().position(|&byte| !may_stand_alone(byte));
        rest = end.and_then(|end| rest.get(end..)).unwrap_or_default();
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

/// `unreserved / sub-delims` of RFC 3986. As a pattern it becomes a test of one bit.
fn may_stand_alone(byte: u8) -> bool {
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
            ("[fe80::1%25lo]", false),
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
