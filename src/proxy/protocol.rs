//! The PROXY protocol, versions 1 and 2: a header with the client's address, which a proxy sends
//! before everything else on a connection.
//! <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>
//!
//! No byte behind the header is read: it belongs to the next protocol, TLS or HTTP. So the
//! transport needs no buffer for the header, and a connection costs nothing more once it is read.

use super::TrustedProxies;
use crate::warnings::RateLimited;
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The longest header of version 1, with its CRLF (section 2.1).
const MAX_V1: usize = 107;

/// The shortest header of either version: `PROXY UNKNOWN` CRLF.
const MIN: usize = 15;

/// The first bytes of version 1.
const V1: &[u8] = b"PROXY ";

/// The first bytes of version 2 (section 2.2).
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// What precedes the addresses in version 2: the first bytes, version and command, family and
/// transport, and the length of the rest.
const V2_FIXED: usize = 16;

/// The longest rest of a header of version 2: addresses, and extensions (TLVs), which are skipped.
const MAX_V2_REST: usize = 4096;

/// A connection was refused because of its header.
static REFUSED: RateLimited = RateLimited::new();

/// The header of a connection, while it is received.
#[derive(Debug)]
pub struct ProxyHeader {
    /// `None` for a unix socket.
    peer: Option<IpAddr>,
    is_trusted: bool,
    received: [u8; MAX_V1],
    length: usize,
    /// Bytes of extensions that were received and dropped.
    skipped: usize,
}

/// What is known about a header after some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// At least this many more bytes belong to it.
    Missing(usize),
    /// It is understood; this many more bytes of extensions belong to it.
    Complete {
        /// `None`: the proxy itself, or an address that is not an IP address.
        client: Option<IpAddr>,
        skip: usize,
    },
}

/// Why a header is refused.
type Malformed = &'static str;

impl ProxyHeader {
    /// For a connection from `peer`, which must be one of the proxies `trusted`, if there are any.
    pub fn new(peer: Option<IpAddr>, trusted: &TrustedProxies) -> Self {
        Self {
            peer,
            is_trusted: trusted.is_empty() || trusted.trusts(peer),
            received: [0; MAX_V1],
            length: 0,
            skipped: 0,
        }
    }

    /// Receives the header with `receive`, which returns 0 at the end of the stream. Returns the
    /// client that it names. After an error of `receive`, the next call goes on.
    ///
    /// # Errors
    /// Those of `receive`; the peer is not trusted, or has sent no header. Logs a warning then.
    pub fn receive(
        &mut self,
        mut receive: impl FnMut(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<Option<IpAddr>> {
        if !self.is_trusted {
            return Err(refuse(self.peer, "it is no trusted proxy"));
        }
        loop {
            let (received, free) = self.received.split_at_mut(self.length);
            let progress = parse(received).map_err(|why| refuse(self.peer, why))?;
            let mut skipped = [0; 512];
            let buffer = match progress {
                Progress::Missing(missing) => free.split_at_mut(missing).0,
                Progress::Complete { client, skip } if skip == self.skipped => return Ok(client),
                Progress::Complete { skip, .. } => {
                    let length = skipped.len().min(skip - self.skipped);
                    skipped.split_at_mut(length).0
                }
            };
            let length = match receive(buffer)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                length => length,
            };
            match progress {
                Progress::Missing(_) => self.length += length,
                Progress::Complete { .. } => self.skipped += length,
            }
        }
    }
}

fn refuse(peer: Option<IpAddr>, why: Malformed) -> io::Error {
    REFUSED.warn(format_args!(
        "PROXY protocol: a connection from {} is refused: {why}",
        Peer(peer)
    ));
    io::Error::new(ErrorKind::InvalidData, why)
}

/// A peer in a warning.
struct Peer(Option<IpAddr>);

impl fmt::Display for Peer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.to_canonical().fmt(out),
            None => out.write_str("a unix socket"),
        }
    }
}

/// What `bytes`, the first ones of a connection, say.
fn parse(bytes: &[u8]) -> Result<Progress, Malformed> {
    let begins = |start: &[u8]| bytes.iter().zip(start).all(|(a, b)| a == b);
    let is_v1 = begins(V1);
    if !is_v1 && !begins(V2) {
        return Err("it sent no PROXY header");
    }
    if bytes.len() < MIN {
        return Ok(Progress::Missing(MIN - bytes.len()));
    }
    match is_v1 {
        true => parse_v1(bytes),
        false => parse_v2(bytes),
    }
}

/// `PROXY TCP4 192.0.2.1 192.0.2.2 56324 443` CRLF.
fn parse_v1(bytes: &[u8]) -> Result<Progress, Malformed> {
    let is_unknown = bytes.starts_with(b"PROXY UNKNOWN");
    let Some(end) = memchr::memmem::find(bytes, b"\r\n") else {
        // Each space that is missing has a byte behind it.
        let spaces = bytes.iter().filter(|&&byte| byte == b' ').count();
        let words = if is_unknown {
            0
        } else {
            5_usize.saturating_sub(spaces)
        };
        let line_end = if bytes.ends_with(b"\r") { 1 } else { 2 };
        let missing = 2 * words + line_end;
        return match bytes.len() + missing <= MAX_V1 {
            true => Ok(Progress::Missing(missing)),
            false => Err("its PROXY header has no end"),
        };
    };
    let (line, after) = bytes.split_at(end);
    let client = match is_unknown {
        // What follows is to be ignored.
        true => matches!(line.get(b"PROXY UNKNOWN".len()), None | Some(b' ')).then_some(None),
        false => client_v1(line).map(Some),
    };
    // Bytes behind the end have been counted as a part of the line.
    let client = client.filter(|_| after.len() == 2);
    let client = client.ok_or("its PROXY header is malformed")?;
    Ok(Progress::Complete { client, skip: 0 })
}

fn client_v1(line: &[u8]) -> Option<IpAddr> {
    let line = str::from_utf8(line).ok()?;
    let words: Vec<_> = line.split(' ').collect();
    let [_, family, client, server, client_port, server_port] = words[..] else {
        return None;
    };
    let addresses = match family {
        "TCP4" => [client, server].map(|text| text.parse::<Ipv4Addr>().ok().map(IpAddr::V4)),
        "TCP6" => [client, server].map(|text| text.parse::<Ipv6Addr>().ok().map(IpAddr::V6)),
        _ => return None,
    };
    let is_port = |text: &str| {
        let number = text.parse::<u16>();
        // "+80" and "080" are numbers, too.
        number.is_ok_and(|number| number.to_string() == text)
    };
    match addresses {
        [Some(client), Some(_)] if is_port(client_port) && is_port(server_port) => Some(client),
        _ => None,
    }
}

fn parse_v2(bytes: &[u8]) -> Result<Progress, Malformed> {
    let Some((fixed, addresses)) = bytes.split_at_checked(V2_FIXED) else {
        return Ok(Progress::Missing(V2_FIXED - bytes.len()));
    };
    let [.., version_and_command, family, high, low] = *fixed else {
        return Err("its PROXY header is malformed");
    };
    let rest = usize::from(u16::from_be_bytes([high, low]));
    let size = match (version_and_command, family) {
        // LOCAL: the proxy itself, such as a health check. Everything else is to be ignored.
        (0x20, _) => 0,
        // TCP: two addresses and two ports.
        (0x21, 0x11) => 2 * 4 + 2 * 2,
        (0x21, 0x21) => 2 * 16 + 2 * 2,
        // Unspecified, UDP, or a unix socket.
        (0x21, 0x00 | 0x12 | 0x22 | 0x31 | 0x32) => 0,
        _ => return Err("its PROXY header is malformed"),
    };
    if rest > MAX_V2_REST {
        return Err("its PROXY header is too long");
    }
    let skip = rest
        .checked_sub(size)
        .ok_or("its PROXY header is malformed")?;
    let client = match (size, addresses) {
        (0, _) => None,
        (12, [a, b, c, d, _, _, _, _, _, _, _, _]) => Some(Ipv4Addr::new(*a, *b, *c, *d).into()),
        (36, addresses) if addresses.len() == size => {
            let first = addresses.first_chunk::<16>();
            first.map(|bytes| IpAddr::V6(Ipv6Addr::from(*bytes)))
        }
        _ => return Ok(Progress::Missing(size - addresses.len())),
    };
    Ok(Progress::Complete { client, skip })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Receives the header of a connection that begins with `bytes`, of which at most `cut` arrive
    /// at once. Returns the result, and how many bytes were received.
    fn receive(bytes: &[u8], cut: usize) -> (Result<Option<String>, String>, usize) {
        let mut header = ProxyHeader::new(None, &TrustedProxies::default());
        let (mut at, mut may_block) = (0, true);
        let client = loop {
            let received = header.receive(|buffer| {
                may_block = !may_block;
                if !may_block {
                    return Err(ErrorKind::WouldBlock.into());
                }
                let length = buffer.len().min(cut).min(bytes.len() - at);
                buffer[..length].copy_from_slice(&bytes[at..at + length]);
                at += length;
                Ok(length)
            });
            match received {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                received => break received,
            }
        };
        let client = client.map(|client| client.map(|client| client.to_string()));
        (client.map_err(|error| error.to_string()), at)
    }

    /// A header of version 2.
    fn v2(version_and_command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [V2, &[version_and_command, family], &length, rest].concat()
    }

    /// Two addresses, two ports, and extensions.
    fn v4(extensions: &[u8]) -> Vec<u8> {
        let addresses = [192, 0, 2, 1, 192, 0, 2, 2, 0xdc, 4, 1, 0xbb];
        [&addresses[..], extensions].concat()
    }

    fn v6() -> Vec<u8> {
        let client = "2001:db8::1".parse::<Ipv6Addr>().unwrap().octets();
        [&client[..], &client, &[0xdc, 4, 1, 0xbb]].concat()
    }

    #[test]
    fn the_header_names_the_client_and_no_byte_behind_it_is_read() {
        let rows: [(Vec<u8>, Option<&str>); 17] = [
            (
                b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n".into(),
                Some("192.0.2.1"),
            ),
            (
                b"PROXY TCP4 0.0.0.1 0.0.0.0 0 0\r\n".into(),
                Some("0.0.0.1"),
            ),
            (
                b"PROXY TCP4 255.255.255.254 255.255.255.255 65535 65535\r\n".into(),
                Some("255.255.255.254"),
            ),
            (b"PROXY TCP6 :: ::1 1 2\r\n".into(), Some("::")),
            (
                b"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff \
                  ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"
                    .into(),
                Some("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
            ),
            (b"PROXY UNKNOWN\r\n".into(), None),
            (b"PROXY UNKNOWN 192.0.2.1 x\r\n".into(), None),
            (
                // The longest, as the specification has it.
                b"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff \
                  ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"
                    .into(),
                None,
            ),
            (v2(0x21, 0x11, &v4(b"")), Some("192.0.2.1")),
            (
                v2(0x21, 0x11, &v4(&[3; MAX_V2_REST - 12])),
                Some("192.0.2.1"),
            ),
            (v2(0x21, 0x21, &v6()), Some("2001:db8::1")),
            (v2(0x20, 0x00, b""), None),
            (v2(0x20, 0x11, &v4(b"x")), None),
            (v2(0x20, 0xff, b"PROXY "), None),
            (v2(0x21, 0x00, b"xyz"), None),
            (v2(0x21, 0x12, &v4(b"")), None),
            (v2(0x21, 0x31, &[b's'; 216]), None),
        ];
        for (header, client) in rows {
            for behind in [
                &b"GET / HTTP/1.1\r\n"[..],
                b"\r\n",
                b" 1 1\r\n",
                b"\x16\x03",
            ] {
                let bytes = [&header[..], behind].concat();
                for cut in [1, 2, 7, usize::MAX] {
                    let expected = (Ok(client.map(str::to_owned)), header.len());
                    assert_eq!(receive(&bytes, cut), expected, "{header:?} {cut}");
                }
            }
        }
    }

    #[test]
    fn a_header_that_is_none_is_refused_as_soon_as_that_is_certain() {
        let rows: [(Vec<u8>, &str, usize); 28] = [
            (b"GET / HTTP/1.1\r\n".into(), "it sent no PROXY header", 1),
            (b"PROXZ TCP4".into(), "it sent no PROXY header", 5),
            (b"PROXY\tTCP4".into(), "it sent no PROXY header", 6),
            (b"proxy TCP4".into(), "it sent no PROXY header", 1),
            (b"\x16\x03\x01".into(), "it sent no PROXY header", 1),
            (
                b"\r\n\r\n\0\r\nQUIT\r".into(),
                "it sent no PROXY header",
                12,
            ),
            (b"\r\n\r\nGET /".into(), "it sent no PROXY header", 5),
            (
                b"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n".into(),
                "malformed",
                34,
            ),
            (
                b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n".into(),
                "malformed",
                38,
            ),
            (
                b"PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n".into(),
                "malformed",
                37,
            ),
            (
                b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n".into(),
                "malformed",
                37,
            ),
            (
                b"PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n".into(),
                "malformed",
                37,
            ),
            (
                b"PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n".into(),
                "malformed",
                37,
            ),
            (
                b"PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n".into(),
                "malformed",
                40,
            ),
            (b"PROXY TCP4 192.0.2.1 ::1 1 2\r\n".into(), "malformed", 30),
            (
                b"PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n".into(),
                "malformed",
                36,
            ),
            (
                b"PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n".into(),
                "malformed",
                36,
            ),
            (
                b"PROXY TCP4 192.0.2.1\xff 192.0.2.2 1 2\r\n".into(),
                "malformed",
                37,
            ),
            (
                b"PROXY TCP4 192.0.2.1\n192.0.2.2 1 2\r\n".into(),
                "malformed",
                36,
            ),
            (
                b"PROXY TCP4\r\nGET / HTTP/1.1\r\n\r\n".into(),
                "malformed",
                15,
            ),
            (b"PROXY UNKNOWNS\r\n".into(), "malformed", 16),
            (
                [b"PROXY UNKNOWN ", &[b'x'; 93][..]].concat(),
                "has no end",
                106,
            ),
            (
                [b"PROXY TCP4 ", &[b'1'; 93][..]].concat(),
                "has no end",
                100,
            ),
            (v2(0x11, 0x11, &v4(b"")), "malformed", 16),
            (v2(0x22, 0x11, &v4(b"")), "malformed", 16),
            (v2(0x21, 0x41, &v4(b"")), "malformed", 16),
            (v2(0x21, 0x11, &[1; 11]), "malformed", 16),
            (v2(0x21, 0x11, &v4(&[3; MAX_V2_REST])), "too long", 16),
        ];
        for (bytes, expected, length) in rows {
            let (client, received) = receive(&bytes, 1);
            let error = client.unwrap_err();
            assert!(error.contains(expected), "{bytes:?}: {error}");
            assert!(received <= length, "{bytes:?}: {received}");
            assert!(receive(&bytes, usize::MAX).0.is_err());
        }
    }

    #[test]
    fn an_early_end_is_an_error_without_a_warning() {
        let whole = b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n";
        for bytes in [
            &b""[..],
            b"P",
            V2,
            &v2(0x21, 0x11, &v4(b"xyz"))[..30],
            &whole[..41],
        ] {
            let end = io::Error::from(ErrorKind::UnexpectedEof).to_string();
            assert_eq!(receive(bytes, usize::MAX), (Err(end), bytes.len()));
        }
    }

    #[test]
    fn a_peer_that_is_not_trusted_is_not_read_from() {
        let trusted = TrustedProxies::new(["10.0.0.0/8".parse().unwrap()]);
        for (peer, is_read) in [
            (Some("10.0.0.1"), true),
            (Some("11.0.0.1"), false),
            (None, false),
        ] {
            let peer = peer.map(|peer| peer.parse().unwrap());
            let mut calls = 0;
            let received = ProxyHeader::new(peer, &trusted).receive(|_| {
                calls += 1;
                Err(ErrorKind::WouldBlock.into())
            });
            assert_eq!(calls > 0, is_read, "{peer:?}");
            let kind = received.unwrap_err().kind();
            assert_eq!(kind == ErrorKind::WouldBlock, is_read, "{peer:?}");
        }
    }

    proptest! {
        #[test]
        fn cuts_change_nothing(
            bytes in proptest::collection::vec(any::<u8>(), 0..40),
            text in "( |TCP4|TCP6|UNKNOWN|192.0.2.1|::1|1|\r\n){0,12}",
            cut in 1..5_usize,
        ) {
            let headers = [[V1, &bytes], [V2, &bytes], [V1, text.as_bytes()]];
            for bytes in headers.map(|header| header.concat()) {
                // A header that is refused is refused earlier or later.
                let [cut, whole] = [cut, usize::MAX].map(|cut| match receive(&bytes, cut) {
                    (Ok(client), length) => Some((client, length)),
                    (Err(_), _) => None,
                });
                assert_eq!(cut, whole, "{bytes:?}");
            }
        }
    }
}
