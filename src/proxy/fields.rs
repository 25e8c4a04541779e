//! The client that X-Forwarded-For or Forwarded (RFC 7239) names.
//!
//! Each proxy adds the address of its own peer at the end of the list. So the list is read from its
//! end, as nginx does with `real_ip_recursive`: a trusted proxy vouches for the address that it has
//! added, and if that is a trusted proxy, too, for the one before. Everything before the first
//! address that is not trusted may be invented, and is not looked at.

use super::TrustedProxies;
use crate::http::fields::{Fields, trim};
use crate::warnings::RateLimited;
use std::net::{IpAddr, Ipv6Addr};

/// A client could send the field that the proxy does not set.
static CONTRADICTION: RateLimited = RateLimited::new();

impl TrustedProxies {
    /// The client of a request that arrived from `peer`, which is trusted: the last address in the
    /// list that is not trusted, or the first one if all are. Where a part of the list is reached
    /// that is no address, it is the address behind that part, or `peer` if there is none.
    ///
    /// If the request has both fields, and they name different clients, it is `peer`: one of them
    /// may be the client's own.
    pub fn client(&self, peer: Option<IpAddr>, fields: Fields<'_>) -> Option<IpAddr> {
        let lines = fields.all("x-forwarded-for").rev();
        let x_forwarded_for = lines.flat_map(|line| line.rsplit(|&byte| byte == b','));
        let x_forwarded_for = self.last_untrusted(x_forwarded_for, address);
        let forwarded = fields.all("forwarded").rev().flat_map(Elements);
        let forwarded = self.last_untrusted(forwarded, for_parameter);
        match (x_forwarded_for, forwarded) {
            (Some(one), Some(other)) if one != other => {
                CONTRADICTION.warn(format_args!(
                    "a request has both X-Forwarded-For and Forwarded, and they differ, so neither \
                     counts: let the proxy remove the field that it does not set"
                ));
                peer
            }
            (one, other) => one.or(other).flatten().or(peer),
        }
    }

    /// The client in a list whose elements come from its end. `None` if the list is empty,
    /// `Some(None)` if its last element is no address.
    fn last_untrusted<'h>(
        &self,
        elements: impl Iterator<Item = &'h [u8]>,
        address_in: fn(&[u8]) -> Option<IpAddr>,
    ) -> Option<Option<IpAddr>> {
        let mut client = None;
        for element in elements.map(trim).filter(|element| !element.is_empty()) {
            let address = address_in(element);
            client = Some(address.or(client.flatten()));
            if address.is_none_or(|address| !self.trusts(Some(address))) {
                break;
            }
        }
        client
    }
}

/// The elements of one Forwarded line, from its end. A comma in a quoted string divides nothing;
/// what precedes the element that a proxy has added cannot change where that begins.
struct Elements<'h>(&'h [u8]);

impl<'h> Iterator for Elements<'h> {
    type Item = &'h [u8];

    fn next(&mut self) -> Option<&'h [u8]> {
        let (before, element) = rsplit_unquoted(self.0, b',')?;
        self.0 = before;
        Some(element)
    }
}

/// Splits at the last `separator` that is not in a quoted string (RFC 9110 5.6.4): what precedes
/// it, and what follows it. `None` if `text` is empty.
fn rsplit_unquoted(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let mut is_quoted = false;
    for (at, byte) in text.iter().enumerate().rev() {
        let (before, from) = text.split_at(at);
        if *byte == b'"' {
            let backslashes = before.iter().rev().take_while(|&&byte| byte == b'\\');
            // An escaped quote is a part of the string.
            is_quoted ^= backslashes.count() % 2 == 0;
        } else if *byte == separator && !is_quoted {
            return Some((before, from.split_at(1).1));
        }
    }
    (!text.is_empty()).then_some((b"", text))
}

/// The address of `for=` in an element of Forwarded: `for="[2001:db8::1]:4711";proto=https`.
/// `None` for `unknown`, for an identifier such as `_hidden` (RFC 7239 6), and if there is no such
/// parameter or more than one.
fn for_parameter(element: &[u8]) -> Option<IpAddr> {
    let mut rest = element;
    let mut node = None;
    while let Some((before, pair)) = rsplit_unquoted(rest, b';') {
        rest = before;
        if trim(pair).is_empty() {
            continue;
        }
        let equals = pair.iter().position(|&byte| byte == b'=')?;
        let (name, value) = pair.split_at(equals);
        if trim(name).eq_ignore_ascii_case(b"for") && node.replace(trim(value.get(1..)?)).is_some()
        {
            return None;
        }
    }
    let node = node?;
    let quoted = node.strip_prefix(b"\"");
    address(quoted.map_or(Some(node), |node| node.strip_suffix(b"\""))?)
}

/// An address, with or without a port. Several proxies write an IPv6 address without brackets into
/// X-Forwarded-For.
fn address(node: &[u8]) -> Option<IpAddr> {
    let node = str::from_utf8(node).ok()?;
    let address = match node.strip_prefix('[') {
        Some(node) => {
            let (address, port) = node.split_once(']')?;
            let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
            IpAddr::V6(address.parse::<Ipv6Addr>().ok().filter(|_| is_port)?)
        }
        None => match node.split_once(':') {
            Some((address, port)) if is_port(port) => IpAddr::V4(address.parse().ok()?),
            _ => node.parse().ok()?,
        },
    };
    Some(address.to_canonical())
}

/// A port, or an identifier in place of one (RFC 7239 6.2).
fn is_port(text: &str) -> bool {
    match text.strip_prefix('_') {
        None => matches!(text.len(), 1..=5) && text.bytes().all(|byte| byte.is_ascii_digit()),
        Some(name) => {
            let may_stand = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            !name.is_empty() && name.bytes().all(may_stand)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PEER: &str = "10.0.0.1";

    /// The client of a request from `PEER` with these field lines. Trusted is 10.0.0.0/8.
    fn client(lines: &str) -> String {
        let trusted = TrustedProxies::new(["10.0.0.0/8".parse().unwrap()]);
        let lines = lines.lines().map(|line| format!("{line}\r\n"));
        let lines: String = lines.collect();
        let client = trusted.client(PEER.parse().ok(), Fields::new(lines.as_bytes()));
        client.unwrap().to_string()
    }

    #[test]
    fn the_client_is_the_last_address_that_is_not_trusted() {
        for (list, expected) in [
            ("", PEER),
            (",", PEER),
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1,", "192.0.2.1"),
            ("192.0.2.2, 192.0.2.1", "192.0.2.1"),
            ("192.0.2.1, 10.0.0.2", "192.0.2.1"),
            ("192.0.2.2,192.0.2.1,,10.0.0.3 , 10.0.0.2", "192.0.2.1"),
            ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
            ("192.0.2.1, ::ffff:10.0.0.2", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("192.0.2.1:80", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:65535", "2001:db8::1"),
        ] {
            assert_eq!(client(&format!("X-Forwarded-For: {list}")), expected);
        }
    }

    #[test]
    fn what_is_no_address_ends_the_search() {
        for wrong in [
            "unknown",
            "192.0.2.1.",
            "192.0.2.256",
            "192.0.2.01",
            "192.0.2.1:",
            "192.0.2.1:123456",
            "192.0.2.1:+1",
            "192.0.2.1 192.0.2.2",
            "2001:db8::1:80:80::",
            "[2001:db8::1",
            "[2001:db8::1]80",
            "[192.0.2.1]",
            "fe80::1%eth0",
            "\"192.0.2.1\"",
            "192.0.2.1\u{e9}",
            "192.0.2.1\x1b[2J",
        ] {
            let last = format!("X-Forwarded-For: 192.0.2.9, {wrong}");
            assert_eq!(client(&last), PEER, "{wrong}");
            let before = format!("X-Forwarded-For: 192.0.2.9, {wrong}, 10.0.0.2");
            assert_eq!(client(&before), "10.0.0.2", "{wrong}");
            let ignored = format!("X-Forwarded-For: {wrong}, 192.0.2.9");
            assert_eq!(client(&ignored), "192.0.2.9", "{wrong}");
        }
    }

    #[test]
    fn forwarded_names_the_client_in_its_parameter_for() {
        for (list, expected) in [
            ("for=192.0.2.1", "192.0.2.1"),
            ("FOR=192.0.2.1;proto=https;by=10.0.0.1", "192.0.2.1"),
            ("proto=https; for=192.0.2.1", "192.0.2.1"),
            ("for=\"192.0.2.1:4711\"", "192.0.2.1"),
            ("for=\"192.0.2.1:_port\"", "192.0.2.1"),
            ("for=\"[2001:db8::1]\"", "2001:db8::1"),
            ("For=\"[2001:db8::1]:4711\"", "2001:db8::1"),
            ("for=\"[2001:db8::1]:_p.-\"", "2001:db8::1"),
            ("for=192.0.2.1, for=10.0.0.2", "192.0.2.1"),
            ("for=192.0.2.1;a=\"x,for=192.0.2.2\"", "192.0.2.1"),
            ("for=192.0.2.1;a=\"\\\",for=192.0.2.2;\"", "192.0.2.1"),
            ("for=192.0.2.1;a=\"\\\\\", for=10.0.0.2", "192.0.2.1"),
            // What a client has sent before the proxy added its element.
            ("for=\"x, for=192.0.2.1", "192.0.2.1"),
            ("\\\", for=192.0.2.1", "192.0.2.1"),
            ("for=192.0.2.1, for=_hidden, for=10.0.0.2", "10.0.0.2"),
            ("for=unknown", PEER),
            ("for=_hidden", PEER),
            ("for=\"_hidden:80\"", PEER),
            ("for=\"192.0.2.1:_\"", PEER),
            ("for=", PEER),
            ("for", PEER),
            ("by=192.0.2.1", PEER),
            ("for=192.0.2.1;for=192.0.2.2", PEER),
            ("for=192.0.2.1;", "192.0.2.1"),
            ("for=\"192.0.2.1", PEER),
            ("for=192.0.2.1\"", PEER),
            ("192.0.2.1", PEER),
        ] {
            assert_eq!(client(&format!("Forwarded: {list}")), expected, "{list}");
        }
    }

    #[test]
    fn several_lines_are_one_list() {
        let lines = "X-Forwarded-For: 192.0.2.2\nA: b\nx-forwarded-for: 192.0.2.1, 10.0.0.3\n\
                     X-FORWARDED-FOR: 10.0.0.2";
        assert_eq!(client(lines), "192.0.2.1");
        let lines = "Forwarded: for=192.0.2.2\nforwarded: for=192.0.2.1\nForwarded: for=10.0.0.2";
        assert_eq!(client(lines), "192.0.2.1");
    }

    #[test]
    fn fields_that_contradict_each_other_do_not_count() {
        for (x_forwarded_for, forwarded, expected) in [
            ("192.0.2.1", "for=192.0.2.1", "192.0.2.1"),
            ("10.0.0.2, 192.0.2.1", "for=192.0.2.1", "192.0.2.1"),
            ("192.0.2.1", "for=192.0.2.2", PEER),
            ("192.0.2.1", "for=unknown", PEER),
            ("unknown", "for=192.0.2.1", PEER),
            ("", "for=192.0.2.1", "192.0.2.1"),
            ("192.0.2.1", "", "192.0.2.1"),
        ] {
            let lines = format!("X-Forwarded-For: {x_forwarded_for}\nForwarded: {forwarded}");
            assert_eq!(client(&lines), expected, "{lines}");
        }
    }

    proptest! {
        #[test]
        fn what_precedes_the_element_of_the_proxy_changes_nothing(
            before in "[ -~]{0,20}|[\"\\\\,;=for 0-9.]{0,20}",
        ) {
            let lines = format!("X-Forwarded-For: {before}, 192.0.2.1");
            assert_eq!(client(&lines), "192.0.2.1");
            let lines = format!("Forwarded: {before}, for=\"192.0.2.1:80\";proto=\"a,b\"");
            assert_eq!(client(&lines), "192.0.2.1");
        }
    }
}
