//! Addresses of listeners: as configured ([`Bind`]) and as opened ([`Address`]).

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use socket2::Socket;

pub use super::socket_activation::{FIRST as FIRST_INHERITED, InheritedSocket};

/// Where to listen. Defaults are filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bind {
    /// TCP. Port 0 asks the system for any free one.
    Tcp {
        /// An address of this machine.
        host: Host,
        /// 0 to 65,535.
        port: u16,
    },
    /// A unix socket at this path.
    Unix(PathBuf),
    /// A listening socket that was passed to this process.
    Inherited(InheritedSocket),
}

impl Bind {
    /// Whether the system chooses the port: two of these are two addresses.
    pub fn is_any_port(&self) -> bool {
        matches!(self, Self::Tcp { port: 0, .. })
    }

    /// Holds no descriptor any more. It stays equal to what it was.
    pub fn forget_socket(&mut self) {
        if let Self::Inherited(socket) = self {
            *socket = InheritedSocket::new(socket.number());
        }
    }
}

/// An address, or a name with one or several addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// An address. The unspecified one means every interface.
    Ip(IpAddr),
    /// An IPv6 address with its interface, by name or by number (RFC 4007 11.2).
    Zoned(Ipv6Addr, String),
    /// Resolved when the socket is opened. All its addresses are used.
    Name(String),
}

/// As on the command line.
impl fmt::Display for Bind {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Tcp { host, port } => match host {
                Host::Ip(ip) => write!(out, "{}", SocketAddr::new(*ip, *port)),
                Host::Zoned(ip, zone) => write!(out, "[{ip}%{zone}]:{port}"),
                Host::Name(name) => write!(out, "{name}:{port}"),
            },
            Self::Unix(path) => write!(out, "unix:{}", path.display()),
            Self::Inherited(socket) => write!(out, "{socket}"),
        }
    }
}

/// Where a socket listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// TCP.
    Tcp {
        /// The address that the system reports. Never port 0.
        local: SocketAddr,
        /// An IPv6 socket on every interface that accepts IPv4 connections, too.
        dual_stack: bool,
    },
    /// A unix socket with a path.
    Unix(PathBuf),
    /// A unix socket without a path: inherited, in the abstract name space.
    Unnamed,
}

impl Address {
    /// Whether it stands for interfaces: for every one, or for that of a link-local address.
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

    /// The address of `socket`.
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

/// An address of this machine with its network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The name of the interface, such as `eth0`.
    pub name: String,
    /// The number of the interface, which is the scope id of an IPv6 socket address. 0: none.
    pub index: u32,
    /// The address. An interface with several addresses is listed several times.
    pub ip: IpAddr,
}

/// The addresses of all interfaces that are up (getifaddrs(3)). Empty if the system reports an
/// error.
pub fn interfaces() -> Vec<Interface> {
    let all = if_addrs::get_if_addrs().unwrap_or_else(|error| {
        log::debug!("cannot list the network interfaces: {error}");
        Vec::new()
    });
    let up = all.into_iter().filter(if_addrs::Interface::is_oper_up);
    up.map(|interface| Interface {
        ip: interface.ip(),
        index: interface.index.unwrap_or(0),
        name: interface.name,
    })
    .collect()
}
