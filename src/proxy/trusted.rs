//! [`TrustedProxies`]: the peers whose word about their client counts.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Which peers are trusted. The default is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<Trusted>);

/// One value of `--trusted-proxy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trusted {
    /// The addresses of a network, such as `10.0.0.0/8` (RFC 4632 3.1): those that have the first
    /// `prefix` bits of `address`, whose other bits are zero.
    Network {
        /// The first address. No IPv4 address mapped to IPv6.
        address: IpAddr,
        /// At most 32 for IPv4, 128 for IPv6.
        prefix: u32,
    },
    /// Every peer on a unix socket.
    Unix,
}

impl TrustedProxies {
    /// Trusts these.
    pub fn new(trusted: impl IntoIterator<Item = Trusted>) -> Self {
        Self(trusted.into_iter().collect())
    }

    /// Whether no peer is trusted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `peer` is trusted. `None` is a peer on a unix socket.
    pub fn trusts(&self, peer: Option<IpAddr>) -> bool {
        // Most servers name no proxy, and each connection asks.
        if self.0.is_empty() {
            return false;
        }
        let peer = peer.map(|peer| peer.to_canonical());
        self.0.iter().any(|trusted| match (*trusted, peer) {
            (Trusted::Network { address, prefix }, Some(peer)) => {
                common_bits(address, peer).is_some_and(|common| common >= prefix)
            }
            (Trusted::Unix, None) => true,
            _ => false,
        })
    }
}

/// How many bits at the beginning of two addresses are equal; `None` if the families differ.
fn common_bits(a: IpAddr, b: IpAddr) -> Option<u32> {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => Some((a.to_bits() ^ b.to_bits()).leading_zeros()),
        (IpAddr::V6(a), IpAddr::V6(b)) => Some((a.to_bits() ^ b.to_bits()).leading_zeros()),
        _ => None,
    }
}

/// `10.0.0.0/8`, `2001:db8::/32`, an address alone, or `unix`.
impl FromStr for Trusted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "unix" {
            return Ok(Self::Unix);
        }
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let given = address.parse::<IpAddr>().map_err(|_| {
            format!("{text:?} is not an address, a network such as 10.0.0.0/8, or unix")
        })?;
        let address = given.to_canonical();
        // The prefix of an IPv4 network that is mapped to IPv6 (RFC 4291 2.5.5.2).
        let mapping = if address == given { 0 } else { 96 };
        let max_prefix = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => max_prefix,
            Some(digits) => parse_prefix(digits)
                .and_then(|prefix| prefix.checked_sub(mapping))
                .filter(|prefix| *prefix <= max_prefix)
                .ok_or_else(|| {
                    format!(
                        "the prefix after the slash is a number from {mapping} to {}",
                        max_prefix + mapping
                    )
                })?,
        };
        let network = Self::Network {
            address: first_address(address, prefix),
            prefix,
        };
        match network == (Self::Network { address, prefix }) {
            true => Ok(network),
            false => Err(format!(
                "{address} is within the network: write {network}, or the address alone"
            )),
        }
    }
}

fn parse_prefix(digits: &str) -> Option<u32> {
    // `parse` accepts "+8".
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number)
}

/// `address` with zeros behind its first `prefix` bits.
fn first_address(address: IpAddr, prefix: u32) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shr(prefix).map_or(u32::MAX, |low| !low);
            IpAddr::V4((v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shr(prefix).map_or(u128::MAX, |low| !low);
            IpAddr::V6((v6.to_bits() & mask).into())
        }
    }
}

/// As on the command line.
impl fmt::Display for Trusted {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network { address, prefix } => write!(out, "{address}/{prefix}"),
            Self::Unix => out.write_str("unix"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusted(values: &[&str]) -> TrustedProxies {
        TrustedProxies::new(values.iter().map(|value| value.parse().unwrap()))
    }

    #[test]
    fn a_peer_is_trusted_if_it_is_in_a_network() {
        for (network, peer, expected) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("::ffff:10.0.0.0/104", "10.1.2.3", true),
            ("::ffff:10.1.2.3", "10.1.2.3", true),
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.128/25", "192.0.2.128", true),
            ("192.0.2.128/25", "192.0.2.127", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "::1", false),
            ("2001:db8::/32", "2001:db8:ffff::", true),
            ("2001:db8::/32", "2001:db9::", false),
            ("::/0", "2001:db8::1", true),
            ("::/0", "192.0.2.1", false),
            ("::1", "::1", true),
            ("::1", "::2", false),
            ("unix", "127.0.0.1", false),
        ] {
            let peer = peer.parse().unwrap();
            let trusted = trusted(&[network]);
            assert_eq!(trusted.trusts(Some(peer)), expected, "{network} {peer}");
        }
    }

    #[test]
    fn the_peer_on_a_unix_socket_is_trusted_only_as_such() {
        assert!(!trusted(&[]).trusts(None));
        assert!(!trusted(&["127.0.0.1", "0.0.0.0/0", "::/0"]).trusts(None));
        assert!(trusted(&["127.0.0.1", "unix"]).trusts(None));
    }

    #[test]
    fn a_network_that_is_none_is_refused_with_the_reason() {
        for (text, expected) in [
            ("", "is not an address"),
            ("localhost", "is not an address"),
            ("10.0.0/8", "is not an address"),
            ("010.0.0.0/8", "is not an address"),
            ("fe80::1%eth0", "is not an address"),
            ("10.0.0.0/33", "a number from 0 to 32"),
            ("10.0.0.0/", "a number from 0 to 32"),
            ("10.0.0.0/+8", "a number from 0 to 32"),
            ("10.0.0.0/8/8", "a number from 0 to 32"),
            ("::/129", "a number from 0 to 128"),
            ("::ffff:10.0.0.0/95", "a number from 96 to 128"),
            ("10.1.2.3/8", "write 10.0.0.0/8"),
            ("10.1.2.3/0", "write 0.0.0.0/0"),
            ("2001:db8::1/64", "write 2001:db8::/64"),
        ] {
            let message = text.parse::<Trusted>().unwrap_err();
            assert!(message.contains(expected), "{text}: {message}");
        }
    }
}
