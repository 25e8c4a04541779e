//! The values of `--bind` and `--admin`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use crate::listen::address::{Bind, FIRST_INHERITED, Host, InheritedSocket};

/// One `--bind` before `--port` is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BindArgument {
    /// An address or a name without a port.
    AnyPort(Host),
    /// A complete bind.
    Complete(Bind),
}

impl BindArgument {
    /// The complete bind. `port` is the value of `--port`.
    pub fn at(self, port: u16) -> Bind {
        match self {
            Self::AnyPort(host) => Bind::Tcp { host, port },
            Self::Complete(bind) => bind,
        }
    }
}

/// `127.0.0.1`, `127.0.0.1:80`, `::1`, `[::1]`, `[::1]:80`, `[fe80::1%eth0]:80`, `localhost`,
/// `localhost:80`, `unix:PATH`, `fd:N`. Several colons without brackets are an IPv6 address without
/// a port.
impl FromStr for BindArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return unix(path);
        }
        if let Some(number) = text.strip_prefix("fd:") {
            return inherited(number);
        }
        if let Some((ip, zone)) = text.split_once('%') {
            return zoned(ip, zone);
        }
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Ok(Self::AnyPort(literal(ip)));
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(tcp(literal(address.ip()), address.port()));
        }
        if let Some(bracketed) = text.strip_prefix('[') {
            return bracketed
                .strip_suffix(']')
                .and_then(|ip| ip.parse::<Ipv6Addr>().ok())
                .map(|ip| Self::AnyPort(literal(ip.into())))
                .ok_or_else(|| "brackets are for an IPv6 address: [::1] or [::1]:80".to_owned());
        }
        if text.contains("://") {
            return Err("an address, not a URL: leave out the part before ://".to_owned());
        }
        match text.split_once(':') {
            None => Ok(Self::AnyPort(name(text)?)),
            Some((_, rest)) if rest.contains(':') => Err("not an IPv6 address".to_owned()),
            Some((host, port)) => {
                let port = parse_port(port)?;
                Ok(tcp(name(host)?, port))
            }
        }
    }
}

/// The port of `--tls-bind` if none is given.
pub const TLS_PORT: u16 = 7443;

/// The port of the operator if none is given.
const ADMIN_PORT: u16 = 7891;

/// The value of `--admin`: a loopback address, or the path of a unix socket.
pub fn admin(text: &str) -> Result<Bind, String> {
    let port = text.strip_prefix(':').unwrap_or(text);
    if port.parse::<u16>().is_ok() {
        return Err(format!("a port needs an address: 127.0.0.1:{port}"));
    }
    let bind = text.parse::<BindArgument>()?.at(ADMIN_PORT);
    match bind {
        Bind::Unix(_) => Ok(bind),
        Bind::Tcp {
            host: Host::Ip(ip), ..
        } if ip.is_loopback() => Ok(bind),
        // RFC 6761 6.3: it has no other addresses.
        Bind::Tcp {
            host: Host::Name(name),
            port,
        } if name == "localhost" => Ok(Bind::Tcp {
            host: Host::Ip(Ipv4Addr::LOCALHOST.into()),
            port,
        }),
        _ => Err(
            "the live view shows what clients send, so it is only for this machine: \
             127.0.0.1, [::1], localhost or unix:PATH, and ssh -L from elsewhere"
                .to_owned(),
        ),
    }
}

fn tcp(host: Host, port: u16) -> BindArgument {
    BindArgument::Complete(Bind::Tcp { host, port })
}

/// `fe80::1%eth0`, `[fe80::1%eth0]`, `[fe80::1%eth0]:80`; `rest` follows the percent sign.
fn zoned(ip: &str, rest: &str) -> Result<BindArgument, String> {
    let (ip, zone, port) = match ip.strip_prefix('[') {
        None => (ip, rest, ""),
        Some(ip) => {
            let (zone, port) = rest
                .rsplit_once(']')
                .ok_or("brackets are for an IPv6 address: [fe80::1%eth0]:80")?;
            (ip, zone, port)
        }
    };
    let parsed = ip.parse::<Ipv6Addr>();
    let ip = parsed.map_err(|_| "only an IPv6 address has a zone after %: [fe80::1%eth0]:80")?;
    if ip.is_unspecified() {
        return Err("[::] is every interface and has no zone".to_owned());
    }
    if zone.is_empty() || zone.contains(|c: char| c == '/' || c.is_whitespace()) {
        return Err(
            "the zone after % is the name or the number of an interface (ip link)".to_owned(),
        );
    }
    let host = Host::Zoned(ip, zone.to_owned());
    match port.strip_prefix(':') {
        None if port.is_empty() => Ok(BindArgument::AnyPort(host)),
        None => Err("brackets are for an IPv6 address: [fe80::1%eth0]:80".to_owned()),
        Some(port) => Ok(tcp(host, parse_port(port)?)),
    }
}

/// `::ffff:127.0.0.1` becomes 127.0.0.1.
fn literal(ip: IpAddr) -> Host {
    Host::Ip(ip.to_canonical())
}

fn unix(path: &str) -> Result<BindArgument, String> {
    if path.is_empty() {
        return Err("unix: needs a path, such as unix:/run/oneloop.sock".to_owned());
    }
    if path.starts_with('@') {
        return Err(format!(
            "an abstract socket is not supported; a file of that name is unix:./{path}"
        ));
    }
    if path.ends_with('/') {
        return Err("unix: needs the path of a file, not of a directory".to_owned());
    }
    Ok(BindArgument::Complete(Bind::Unix(PathBuf::from(path))))
}

fn inherited(number: &str) -> Result<BindArgument, String> {
    match number.parse::<u32>() {
        Ok(number) if i32::try_from(number).is_ok() && number >= FIRST_INHERITED => Ok(
            BindArgument::Complete(Bind::Inherited(InheritedSocket::new(number))),
        ),
        Ok(number) if number < FIRST_INHERITED => Err(format!(
            "{number} is standard input, output or error; \
             passed sockets start at fd:{FIRST_INHERITED}"
        )),
        _ => Err(format!(
            "fd: needs a number, such as fd:{FIRST_INHERITED}, the first socket systemd passes"
        )),
    }
}

/// A host name (RFC 1123 2.1, and the underscore that container networks use). It must not end in a
/// number: most resolvers would read it as an IPv4 address, `8080` as 0.0.31.144.
fn name(text: &str) -> Result<Host, String> {
    if text.is_empty() || text == "*" {
        return Err("for every interface write 0.0.0.0 (IPv4) or [::] (IPv4 and IPv6)".to_owned());
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("a port alone is --port {text}"));
    }
    let last = text
        .trim_end_matches('.')
        .rsplit('.')
        .next()
        .unwrap_or(text);
    if last.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("not an IPv4 address".to_owned());
    }
    let may_stand = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if text.starts_with(['-', '.']) || !text.bytes().all(may_stand) {
        return Err("not an address, a host name, unix:PATH or fd:N".to_owned());
    }
    Ok(Host::Name(text.to_ascii_lowercase()))
}

fn parse_port(text: &str) -> Result<u16, String> {
    // `parse` accepts "+80".
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(port) if digits => Ok(port),
        _ => Err("the port after the colon must be a number from 0 to 65535".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_an_address_is_accepted() {
        let table = [
            ("127.0.0.1", "127.0.0.1:7890"),
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("0.0.0.0:0", "0.0.0.0:0"),
            ("::1", "[::1]:7890"),
            ("[::1]", "[::1]:7890"),
            ("[::1]:80", "[::1]:80"),
            ("::", "[::]:7890"),
            ("::1:80", "[::1:80]:7890"),
            ("::ffff:10.0.0.1", "10.0.0.1:7890"),
            ("[::ffff:10.0.0.1]:80", "10.0.0.1:80"),
            ("fe80::1%eth0", "[fe80::1%eth0]:7890"),
            ("[fe80::1%2]", "[fe80::1%2]:7890"),
            ("[fe80::1%eth0.5:1]:80", "[fe80::1%eth0.5:1]:80"),
            ("localhost", "localhost:7890"),
            ("LocalHost:65535", "localhost:65535"),
            ("my_box-1.example.org", "my_box-1.example.org:7890"),
            ("unix:/run/a b,c:d.sock", "unix:/run/a b,c:d.sock"),
            ("unix:relative", "unix:relative"),
            ("unix:fd:3", "unix:fd:3"),
            ("fd:3", "fd:3"),
            ("fd:2147483647", "fd:2147483647"),
        ];
        for (text, expected) in table {
            let bind = text.parse::<BindArgument>().unwrap().at(7890);
            assert_eq!(bind.to_string(), expected, "{text}");
        }
    }

    #[test]
    fn an_error_explains_what_is_not_an_address() {
        let table = [
            ("", "0.0.0.0 (IPv4) or [::]"),
            (":8080", "0.0.0.0 (IPv4) or [::]"),
            ("*:8080", "0.0.0.0 (IPv4) or [::]"),
            ("8080", "--port 8080"),
            ("127.0.0.256", "not an IPv4 address"),
            ("1.2.3", "not an IPv4 address"),
            ("1.2.3.4.:80", "not an IPv4 address"),
            ("...", "not an IPv4 address"),
            ("::g", "not an IPv6 address"),
            ("a:b:c", "not an IPv6 address"),
            ("[::1", "brackets are for"),
            ("[::1]x", "brackets are for"),
            ("[::1]:", "brackets are for"),
            ("[127.0.0.1]:80", "brackets are for"),
            ("[fe80::1%eth0", "brackets are for"),
            ("[fe80::1%eth0]80", "brackets are for"),
            ("[fe80::1%eth0]:x", "must be a number from 0 to 65535"),
            ("fe80::1%", "the zone after %"),
            ("fe80::1%a b", "the zone after %"),
            ("127.0.0.1%lo", "only an IPv6 address has a zone"),
            ("localhost%lo", "only an IPv6 address has a zone"),
            ("::%lo", "[::] is every interface"),
            ("127.0.0.1:", "must be a number from 0 to 65535"),
            ("127.0.0.1:65536", "must be a number from 0 to 65535"),
            ("localhost:65536", "must be a number from 0 to 65535"),
            ("localhost:+80", "must be a number from 0 to 65535"),
            ("localhost:http", "must be a number from 0 to 65535"),
            ("http://localhost", "not a URL"),
            ("a b", "not an address, a host name"),
            ("-x", "not an address, a host name"),
            ("unix:", "needs a path"),
            ("unix:/run/", "not of a directory"),
            ("unix:@x", "a file of that name is unix:./@x"),
            ("fd:", "needs a number"),
            ("fd:x", "needs a number"),
            ("fd:-3", "needs a number"),
            ("fd:2147483648", "needs a number"),
            ("fd:0", "0 is standard input"),
            ("fd:2", "2 is standard input"),
        ];
        for (text, expected) in table {
            let message = text.parse::<BindArgument>().unwrap_err();
            assert!(message.contains(expected), "{text}: {message}");
        }
    }

    #[test]
    fn all_spellings_of_an_address_are_equal() {
        let parse = |text: &str| text.parse::<BindArgument>().unwrap().at(80);
        assert_eq!(parse("::1"), parse("[0:0::1]:80"));
        assert_eq!(parse("LOCALHOST"), parse("localhost:80"));
        assert_ne!(parse("::1"), parse("[::1]:81"));
    }

    #[test]
    fn a_port_alone_is_no_address_for_the_live_view() {
        for text in ["7891", ":7891"] {
            let expected = "a port needs an address: 127.0.0.1:7891";
            assert_eq!(admin(text).unwrap_err(), expected);
        }
    }
}
