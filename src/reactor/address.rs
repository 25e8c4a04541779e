//! The reactor room: what is a place to listen at called, before it is opened ([`Bind`]) and after
//! ([`Address`])? It imports its neighbour `socket_activation` for one number.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use socket2::Socket;

use super::socket_activation;

/// The lowest number `fd:N` can have: below are standard input, output and error.
pub const FIRST_INHERITED: u32 = socket_activation::FIRST;

/// Where to listen, fully decided: nothing is left to a default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bind {
    /// TCP. Port 0 asks the system for any free one.
    Tcp {
        /// Which address of this machine.
        host: Host,
        /// 0 to 65,535.
        port: u16,
    },
    /// A unix stream socket, at this path.
    Unix(PathBuf),
    /// A listening socket that whoever started us has passed under this number.
    Inherited(u32),
}

/// An address, or a name that stands for one or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A literal; the unspecified address means every interface.
    Ip(IpAddr),
    /// An IPv6 address with the interface that has it, by name or by number (RFC 4007 11.2).
    Zoned(Ipv6Addr, String),
    /// Resolved when the socket is opened; every address it has is used.
    Name(String),
}

/// As the command line spells it.
impl fmt::Display for Bind {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Tcp { host, port } => match host {
                Host::Ip(ip) => write!(out, "{}", SocketAddr::new(*ip, *port)),
                Host::Zoned(ip, zone) => write!(out, "[{ip}%{zone}]:{port}"),
                Host::Name(name) => write!(out, "{name}:{port}"),
            },
            Self::Unix(path) => write!(out, "unix:{}", path.display()),
            Self::Inherited(number) => write!(out, "fd:{number}"),
        }
    }
}

/// Where a socket turned out to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// TCP.
    Tcp {
        /// The address as the system tells it; never port 0.
        local: SocketAddr,
        /// An IPv6 socket on every interface that takes IPv4 connections, too.
        dual_stack: bool,
    },
    /// A unix socket with a path.
    Unix(PathBuf),
    /// A unix socket without one: inherited, in the abstract name space.
    Unnamed,
}

impl Address {
    /// Whether it says which interfaces it is on: every one, or that of a link-local address.
    pub fn names_interfaces(&self) -> bool {
        match self {
            Self::Tcp {
                local: SocketAddr::V6(v6),
                ..
            } if v6.scope_id() != 0 => true,
            Self::Tcp { local, .. } => local.ip().is_unspecified(),
            Self::Unix(_) | Self::Unnamed => false,
        }
    }

    /// Asks the socket.
    pub(super) fn of(socket: &Socket) -> io::Result<Self> {
        let local = socket.local_addr()?;
        Ok(match local.as_socket() {
            Some(local) => Self::Tcp {
                local,
                dual_stack: local.is_ipv6() && local.ip().is_unspecified() && !socket.only_v6()?,
            },
            None => local
                .as_pathname()
                .map_or(Self::Unnamed, |path| Self::Unix(path.to_owned())),
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Tcp { local, .. } => write!(out, "{local}"),
            Self::Unix(path) => write!(out, "unix:{}", path.display()),
            Self::Unnamed => out.write_str("unix:(unnamed)"),
        }
    }
}

/// An address of this machine, with the network interface that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name, such as `eth0`.
    pub name: String,
    /// Its number, which is the scope id of an IPv6 socket address; 0 if it has none.
    pub index: u32,
    /// One of its addresses. An interface with several is listed several times.
    pub ip: IpAddr,
}

/// The addresses of the interfaces that are up (getifaddrs(3)); none if the system does not tell.
pub fn interfaces() -> Vec<Interface> {
    let all = if_addrs::get_if_addrs().unwrap_or_else(|error| {
        log::debug!("cannot list the network interfaces: {error}");
        Vec::new()
    });
    let up = all.into_iter().filter(if_addrs::Interface::is_oper_up);
    up.map(|one| Interface {
        ip: one.ip(),
        index: one.index.unwrap_or(0),
        name: one.name,
    })
    .collect()
}
