//! Opens listeners: from an address such as `127.0.0.1:7890` to a socket that listens.
//!
//! Each socket is non-blocking and close-on-exec. SO_REUSEADDR is set, so that a restart does not
//! wait for old connections in TIME_WAIT.
//!
//! SO_REUSEPORT is set only for a model with several loops, each of which has sockets of its own:
//! the kernel divides the connections among them. With it a second server on the same port would
//! start without an error and take half of the connections. So the first socket is bound without
//! the option, which fails if any other server listens there, and gets it before it listens.
//! Closing one socket drops the connections in its queue: a loop that stops accepts them first.

use std::fmt;
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6, ToSocketAddrs};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net::sockopt::{set_socket_reuseport, socket_reuseport};
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};

use crate::handler::Role;
use crate::proxy::TrustedProxies;
use crate::tls::TlsAcceptor;
use crate::transport::blocking::Timeouts;

use super::address::{self, Address, Bind, Host, InheritedSocket};
use super::defer_accept;
use super::socket::{Family, ListenerSocket, TcpKind};
use super::socket_activation::{self, AdoptError};
pub use super::socket_file::SocketFile;
use super::socket_file::{self, SocketPath};

/// A socket that listens, before it is registered.
#[derive(Debug)]
pub struct BoundListener {
    /// The file of a unix socket that this process made. It is removed before the socket is closed,
    /// because fields are dropped in order.
    pub file: Option<SocketFile>,
    /// The socket.
    pub socket: ListenerSocket,
    /// The index of its bind, of those that were opened together.
    bind: usize,
    /// Where it listens, with the port that the system chose if 0 was asked for.
    pub address: Address,
}

/// The files of listening sockets. They are removed before their sockets are closed, so that the
/// file of another server is not taken for ours.
#[derive(Debug)]
pub struct SocketFiles(Vec<(Role, SocketFile)>);

impl SocketFiles {
    /// Takes the files from `listeners`. Returns the sockets in their order, which is that of their
    /// ids.
    pub fn take_from(listeners: Vec<BoundListener>) -> (Vec<ListenerSocket>, Self) {
        let (mut sockets, mut files) = (Vec::new(), Vec::new());
        for BoundListener { file, socket, .. } in listeners {
            files.extend(file.map(|file| (socket.role, file)));
            sockets.push(socket);
        }
        (sockets, Self(files))
    }

    /// `closing` are about to be closed: all sockets of a role.
    pub fn remove(&mut self, closing: &[ListenerSocket]) {
        let closes = |role: Role| closing.iter().any(|socket| socket.role == role);
        self.0.retain(|(role, _)| !closes(*role));
    }
}

/// Options of listening sockets.
#[derive(Clone, Copy, Debug)]
pub struct ListenOptions {
    /// What is served on them.
    pub role: Role,
    /// How many connections the kernel queues for one socket (listen(2)).
    pub backlog: i32,
    /// Whether the kernel holds TCP connections back until their first bytes arrive, or for about a
    /// second (TCP_DEFER_ACCEPT).
    pub deferred: bool,
    /// Whether [`BoundListener::sibling`] may bind further sockets to the same address
    /// (SO_REUSEPORT).
    pub has_siblings: bool,
    /// The timeouts of blocking connections. On many systems a socket inherits those of its
    /// listener, which saves two calls for each connection; on Linux one of TCP does, and one of a
    /// unix socket does not.
    pub timeouts: Option<Timeouts>,
}

/// Opens a listener for each bind, in order; a name may become several. An inherited socket keeps
/// the options that its creator set.
///
/// # Errors
/// The first bind that fails. The listeners opened before it are closed.
pub fn open_listeners(
    binds: &[Bind],
    options: ListenOptions,
) -> Result<Vec<BoundListener>, ListenError> {
    warn_of_a_short_queue(options.backlog);
    let mut listeners = Vec::new();
    for (index, bind) in binds.iter().enumerate() {
        let opened = match bind {
            Bind::Tcp { host, port } => resolve(host, *port).and_then(|addresses| {
                listen_tcp_all(addresses, shares_port(binds, *port), options)
            }),
            Bind::Unix(path) => listen_unix(path, options).map(|listener| vec![listener]),
            Bind::Inherited(passed) => {
                open_inherited(passed, options.role).map(|listener| vec![listener])
            }
        };
        let opened = opened.map_err(|problem| ListenError {
            bind: bind.clone(),
            problem,
        })?;
        listeners.extend(opened.into_iter().map(|listener| BoundListener {
            bind: index,
            ..listener
        }));
    }
    Ok(listeners)
}

/// Makes `listeners`, those of `binds`, expect a header of the PROXY protocol at `proxied`, from
/// one of `proxies`.
pub fn expect_proxy_headers(
    listeners: &mut [BoundListener],
    binds: &[Bind],
    proxied: &[Bind],
    proxies: &TrustedProxies,
) {
    let proxies = Arc::new(proxies.clone());
    for listener in listeners {
        let bind = binds.get(listener.bind);
        if bind.is_some_and(|bind| proxied.contains(bind)) {
            listener.socket.proxies = Some(proxies.clone());
        }
    }
}

/// Warns if the kernel limits the backlog, which it does without an error.
fn warn_of_a_short_queue(backlog: i32) {
    let max_backlog = fs::read_to_string("/proc/sys/net/core/somaxconn")
        .ok()
        .and_then(|number| number.trim().parse::<i32>().ok());
    if let Some(max_backlog) = max_backlog.filter(|max| *max < backlog) {
        log::warn!(
            "net.core.somaxconn cuts the queue of new connections to {max_backlog} (asked for \
             {backlog}): in larger bursts clients will wait a second or more"
        );
    }
}

/// Whether a bind that is no IPv6 literal has this port. Then `[::]` is IPv6 only, so that
/// `-b 0.0.0.0 -b ::` does not fail with "address already in use".
fn shares_port(binds: &[Bind], port: u16) -> bool {
    let wants_v4 = |bind: &Bind| {
        matches!(bind, Bind::Tcp { host, port: its } if *its == port
            && !matches!(host, Host::Ip(IpAddr::V6(_)) | Host::Zoned(..)))
    };
    port != 0 && binds.iter().any(wants_v4)
}

/// Listens on all addresses of a name. Addresses that this machine lacks (`localhost` is also
/// `::1`, on a machine without IPv6) are skipped if another one works.
fn listen_tcp_all(
    addresses: Vec<SocketAddr>,
    only_v6: bool,
    options: ListenOptions,
) -> Result<Vec<BoundListener>, Problem> {
    let mut opened = Vec::new();
    let mut absent = None;
    for address in addresses {
        match listen_tcp(address, only_v6, options) {
            Ok(listener) => opened.push(listener),
            Err(error) if is_absent(&error) => absent = Some(error),
            Err(error) => return Err(error.into()),
        }
    }
    match absent {
        Some(error) if opened.is_empty() => Err(error.into()),
        _ if opened.is_empty() => Err(Problem::NoAddress(None)),
        _ => Ok(opened),
    }
}

fn resolve(host: &Host, port: u16) -> Result<Vec<SocketAddr>, Problem> {
    let name = match host {
        Host::Ip(ip) => return Ok(vec![SocketAddr::new(*ip, port)]),
        Host::Zoned(ip, zone) => {
            let scope = scope_id(zone)?;
            return Ok(vec![SocketAddrV6::new(*ip, port, 0, scope).into()]);
        }
        Host::Name(name) => name,
    };
    let found =
        (name.as_str(), port)
            .to_socket_addrs()
            .map_err(|error| match addresses_of(name) {
                addresses if addresses.is_empty() => Problem::NoAddress(Some(error)),
                addresses => Problem::Interface(addresses),
            })?;
    let mut addresses = Vec::new();
    for address in found {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

/// The scope id of a zone: the number of the interface (RFC 4007 11.2). The name of an interface
/// may be a number, so names are tried first.
fn scope_id(zone: &str) -> Result<u32, Problem> {
    let interfaces = address::interfaces();
    let by_name = |name: &str| interfaces.iter().find(|interface| interface.name == name);
    // In a URL the percent sign is `%25` (RFC 6874).
    let named = by_name(zone).or_else(|| by_name(zone.strip_prefix("25")?));
    match (named, zone.parse()) {
        (Some(interface), _) => Ok(interface.index),
        (None, Ok(number)) => Ok(number),
        (None, Err(_)) => {
            let names = interfaces.into_iter().map(|interface| interface.name);
            let mut names: Vec<_> = names.collect();
            names.sort();
            names.dedup();
            Err(Problem::NoInterface(names))
        }
    }
}

/// The addresses of the interface `name`.
fn addresses_of(name: &str) -> Vec<IpAddr> {
    let interfaces = address::interfaces().into_iter();
    interfaces
        .filter(|interface| interface.name == name)
        .map(|interface| interface.ip)
        .collect()
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT)
    )
}

fn listen_tcp(
    address: SocketAddr,
    only_v6: bool,
    options: ListenOptions,
) -> io::Result<BoundListener> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // Set in both cases, because the default is a system-wide setting.
        let wants_v4 = address.ip().is_unspecified() && !only_v6;
        let result = socket.set_only_v6(!wants_v4);
        // OpenBSD has no dual stack: there the socket is IPv6 only.
        if !wants_v4 {
            result?;
        }
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    if options.has_siblings {
        set_socket_reuseport(&socket, true)?;
    }
    listen_on(socket, address, options)
}

/// Makes a bound socket listen.
fn listen_on(
    socket: Socket,
    address: SocketAddr,
    options: ListenOptions,
) -> io::Result<BoundListener> {
    let mut kind = TcpKind::Plain;
    if options.deferred {
        match defer_accept::defer(&socket) {
            Ok(()) => kind = TcpKind::Deferred,
            Err(error) => log::debug!("{address}: TCP_DEFER_ACCEPT is not available: {error}"),
        }
    }
    if let Some(timeouts) = options.timeouts {
        timeouts.set_on(&socket)?;
    }
    socket.listen(options.backlog)?;
    socket.set_nonblocking(true)?;
    BoundListener::tcp(socket, kind, options.role)
}

fn listen_unix(path: &Path, options: ListenOptions) -> Result<BoundListener, Problem> {
    let address = SockAddr::unix(path)?;
    match socket_file::inspect(path, &address)? {
        SocketPath::Free => {}
        SocketPath::Stale => {
            log::info!("{}: the server that made it has ended", path.display());
            fs::remove_file(path)?;
        }
        SocketPath::InUse => return Err(Problem::InUse),
        SocketPath::NotASocket => return Err(Problem::NotASocket),
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&address)?;
    // The file is removed also if listen(2) fails.
    let file = SocketFile::new(path)?;
    socket.listen(options.backlog)?;
    socket.set_nonblocking(true)?;
    Ok(BoundListener::unix(socket, Some(file), options.role)?)
}

fn open_inherited(passed: &InheritedSocket, role: Role) -> Result<BoundListener, Problem> {
    let socket = passed.duplicate().map_err(Problem::Inherited)?;
    if socket.local_addr()?.is_unix() {
        // Its file, if it has one, belongs to the process that made it.
        return Ok(BoundListener::unix(socket, None, role)?);
    }
    let kind = match socket_activation::is_plain_tcp(&socket)? {
        true => TcpKind::Plain,
        false => TcpKind::Other,
    };
    Ok(BoundListener::tcp(socket, kind, role)?)
}

impl BoundListener {
    /// Its connections are encrypted.
    #[must_use]
    pub fn with_tls(mut self, acceptor: TlsAcceptor) -> Self {
        self.socket.tls = Some(acceptor);
        self
    }

    /// Another listener for the same address, for another loop. It is a socket with an accept queue
    /// of its own if this one is TCP and has SO_REUSEPORT; the kernel divides the connections by
    /// their addresses and ports. Otherwise it is another descriptor of this socket: all loops wait
    /// for one queue, and the first one gets a connection.
    ///
    /// # Errors
    /// There is no descriptor.
    pub fn sibling(&self, options: ListenOptions) -> io::Result<Self> {
        let socket = match self.bind_sibling(options) {
            Some(Ok(sibling)) => sibling.socket.family,
            // Its creator was another user.
            _ => self.duplicate()?,
        };
        Ok(Self {
            file: None,
            bind: self.bind,
            socket: ListenerSocket {
                role: self.socket.role,
                tls: self.socket.tls.clone(),
                proxies: self.socket.proxies.clone(),
                family: socket,
            },
            address: self.address.clone(),
        })
    }

    /// `None`: this socket cannot have siblings.
    fn bind_sibling(&self, options: ListenOptions) -> Option<io::Result<Self>> {
        let (Family::Tcp(..), Address::Tcp { local, .. }) = (&self.socket.family, &self.address)
        else {
            return None;
        };
        let first = SockRef::from(&self.socket);
        let bind = || {
            let domain = Domain::for_address(*local);
            let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
            if local.is_ipv6() {
                socket.set_only_v6(first.only_v6()?)?;
            }
            socket.set_reuse_address(true)?;
            set_socket_reuseport(&socket, true)?;
            socket.bind(&(*local).into())?;
            listen_on(socket, *local, options)
        };
        socket_reuseport(&self.socket).is_ok_and(|it| it).then(bind)
    }

    fn duplicate(&self) -> io::Result<Family> {
        let copy = self.socket.as_fd().try_clone_to_owned()?;
        Ok(match &self.socket.family {
            Family::Tcp(_, kind) => {
                Family::Tcp(mio::net::TcpListener::from_std(copy.into()), *kind)
            }
            Family::Unix(_) => Family::Unix(mio::net::UnixListener::from_std(copy.into())),
        })
    }

    fn tcp(socket: Socket, kind: TcpKind, role: Role) -> io::Result<Self> {
        let address = Address::of(&socket)?;
        // A response is sent whole, so packets need not be gathered. Accepted sockets inherit the
        // option, which saves a call for each.
        socket.set_tcp_nodelay(true)?;
        let listener = mio::net::TcpListener::from_std(OwnedFd::from(socket).into());
        let family = Family::Tcp(listener, kind);
        Ok(Self {
            file: None,
            bind: 0,
            socket: ListenerSocket {
                role,
                tls: None,
                proxies: None,
                family,
            },
            address,
        })
    }

    fn unix(socket: Socket, file: Option<SocketFile>, role: Role) -> io::Result<Self> {
        let address = Address::of(&socket)?;
        let listener = mio::net::UnixListener::from_std(OwnedFd::from(socket).into());
        let family = Family::Unix(listener);
        Ok(Self {
            file,
            bind: 0,
            socket: ListenerSocket {
                role,
                tls: None,
                proxies: None,
                family,
            },
            address,
        })
    }
}

/// A bind that failed. The text says what to do.
#[derive(Debug)]
pub struct ListenError {
    /// What was asked for.
    pub bind: Bind,
    /// Why it failed.
    pub problem: Problem,
}

/// Why a listener could not be opened.
#[derive(Debug)]
pub enum Problem {
    /// A system call failed.
    System(io::Error),
    /// The name has no address.
    NoAddress(Option<io::Error>),
    /// The name is that of a network interface, which has these addresses.
    Interface(Vec<IpAddr>),
    /// The zone is not an interface of this machine. Its interfaces have these names.
    NoInterface(Vec<String>),
    /// A server listens at this path.
    InUse,
    /// The file at this path is not a socket. It is never removed.
    NotASocket,
    /// The descriptor cannot be used as a listener.
    Inherited(AdoptError),
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl std::error::Error for ListenError {}

impl fmt::Display for ListenError {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "cannot listen on {}: ", self.bind)?;
        match &self.problem {
            Problem::System(error) => self.explain(error, out),
            Problem::NoAddress(Some(error)) => {
                write!(out, "{error} (try an IP address, such as 127.0.0.1)")
            }
            Problem::NoAddress(None) => out.write_str("the name has no address"),
            Problem::Interface(addresses) => write!(
                out,
                "that is a network interface (bind an address of it: {})",
                join(addresses)
            ),
            Problem::NoInterface(names) => write!(
                out,
                "no interface of that name is up (there are: {})",
                join(names)
            ),
            Problem::InUse => out.write_str(
                "address already in use (a server answers there: stop it, or take another path)",
            ),
            Problem::NotASocket => out.write_str(
                "a file that is not a socket is in the way (remove it, or take another path)",
            ),
            Problem::Inherited(refusal) => write!(out, "{refusal}"),
        }
    }
}

fn join<T: fmt::Display>(items: &[T]) -> String {
    let items: Vec<_> = items.iter().map(T::to_string).collect();
    items.join(", ")
}

impl ListenError {
    fn is_link_local(&self) -> bool {
        matches!(&self.bind, Bind::Tcp { host: Host::Ip(IpAddr::V6(ip)), .. }
            if ip.is_unicast_link_local())
    }

    fn explain(&self, error: &io::Error, out: &mut fmt::Formatter) -> fmt::Result {
        let tcp_port = match self.bind {
            Bind::Tcp { port, .. } => Some(port),
            Bind::Unix(_) | Bind::Inherited(_) => None,
        };
        out.write_str(match (Errno::from_io_error(error), tcp_port) {
            (Some(Errno::ADDRINUSE), Some(_)) => {
                "address already in use (another oneloop? try -p 0 for any free port; \
                 `ss -ltnp` shows which program has it)"
            }
            (Some(Errno::ACCESS | Errno::PERM), Some(1..1024)) => {
                "permission denied (ports below 1024 need root or CAP_NET_BIND_SERVICE: \
                 try -p 8080, or let systemd pass the socket, docs/deploy/oneloop.socket)"
            }
            (Some(Errno::INVAL), Some(_)) if self.is_link_local() => {
                "a link-local address needs its interface, such as [fe80::1%eth0] (see: ip addr)"
            }
            (Some(Errno::NODEV), Some(_)) => "there is no such interface (see: ip link)",
            (Some(Errno::ACCESS | Errno::PERM), None) => {
                "permission denied (may this user write to that directory?)"
            }
            (Some(Errno::ADDRNOTAVAIL), _) => {
                "cannot assign requested address (not an address of this machine; \
                 try 127.0.0.1, or 0.0.0.0 for every interface)"
            }
            (Some(Errno::AFNOSUPPORT), Some(_)) => {
                "this machine has no IPv6 (try 127.0.0.1, or 0.0.0.0 for every interface)"
            }
            (Some(Errno::NOENT | Errno::NOTDIR), None) => {
                "no such directory (create it first, or take another path)"
            }
            (None, None) if error.kind() == io::ErrorKind::InvalidInput => {
                "the path is too long for a socket (about 100 bytes are allowed)"
            }
            _ => return write!(out, "{error}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::{Interest, Token};
    use std::io::Read;
    use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};
    use std::os::fd::{AsFd, BorrowedFd, IntoRawFd};
    use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

    use rustix::io::FdFlags;

    const OPTIONS: ListenOptions = ListenOptions {
        role: Role::Public,
        backlog: 16,
        deferred: false,
        has_siblings: false,
        timeouts: None,
    };

    fn tcp(host: &str, port: u16) -> Bind {
        let host = host
            .parse()
            .map_or_else(|_| Host::Name(host.to_owned()), Host::Ip);
        Bind::Tcp { host, port }
    }

    fn open_one(bind: Bind) -> Result<BoundListener, String> {
        let mut all = open_listeners(&[bind], OPTIONS).map_err(|error| error.to_string())?;
        assert_eq!(all.len(), 1);
        Ok(all.remove(0))
    }

    fn local(listener: &BoundListener) -> SocketAddr {
        match listener.address {
            Address::Tcp { local, .. } => local,
            _ => panic!("{:?} is not TCP", listener.address),
        }
    }

    fn descriptor(listener: &BoundListener) -> BorrowedFd<'_> {
        listener.socket.as_fd()
    }

    fn has_ipv6() -> bool {
        TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
    }

    #[test]
    fn port_zero_is_any_free_port_and_each_bind_gets_its_own() {
        let both = open_listeners(&[tcp("127.0.0.1", 0), tcp("127.0.0.2", 0)], OPTIONS).unwrap();
        let addresses: Vec<_> = both.iter().map(local).collect();
        assert_eq!(addresses[0].ip(), Ipv4Addr::new(127, 0, 0, 1));
        assert_eq!(addresses[1].ip(), Ipv4Addr::new(127, 0, 0, 2));
        for address in addresses {
            assert_ne!(address.port(), 0);
            TcpStream::connect(address).unwrap();
        }
    }

    #[test]
    fn sockets_are_non_blocking_and_close_on_exec_and_never_shared() {
        let directory = tempfile::tempdir().unwrap();
        let binds = [tcp("127.0.0.1", 0), Bind::Unix(directory.path().join("s"))];
        for listener in open_listeners(&binds, OPTIONS).unwrap() {
            let fd = descriptor(&listener);
            let flags = rustix::fs::fcntl_getfl(fd).unwrap();
            assert!(flags.contains(rustix::fs::OFlags::NONBLOCK));
            let flags = rustix::io::fcntl_getfd(fd).unwrap();
            assert!(flags.contains(FdFlags::CLOEXEC));
            assert!(!rustix::net::sockopt::socket_reuseport(fd).unwrap());
        }
    }

    #[test]
    fn two_servers_on_one_port_are_an_error() {
        let first = open_one(tcp("127.0.0.1", 0)).unwrap();
        let address = local(&first);
        assert_eq!(
            open_one(tcp("127.0.0.1", address.port())).unwrap_err(),
            format!(
                "cannot listen on {address}: address already in use \
                 (another oneloop? try -p 0 for any free port; `ss -ltnp` shows which program \
                 has it)"
            )
        );
        let everywhere = open_one(tcp("0.0.0.0", address.port())).unwrap_err();
        assert!(everywhere.contains("already in use"), "{everywhere}");
    }

    #[test]
    fn a_restart_does_not_wait_for_old_connections() {
        let first = open_one(tcp("127.0.0.1", 0)).unwrap();
        let address = local(&first);
        let mut client = TcpStream::connect(address).unwrap();
        let Family::Tcp(listener, _) = &first.socket.family else {
            panic!("{first:?}");
        };
        // We close first, so the connection ends in TIME_WAIT on our side.
        drop(listener.accept().unwrap());
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
        drop(client);
        drop(first);
        open_one(tcp("127.0.0.1", address.port())).unwrap();
    }

    #[test]
    fn accepted_connections_have_tcp_nodelay() {
        for host in ["127.0.0.1", "::1"] {
            if host == "::1" && !has_ipv6() {
                continue;
            }
            let listener = open_one(tcp(host, 0)).unwrap();
            let _client = TcpStream::connect(local(&listener)).unwrap();
            let Family::Tcp(listener, _) = &listener.socket.family else {
                panic!("{listener:?}");
            };
            let (accepted, _) = listener.accept().unwrap();
            assert!(accepted.nodelay().unwrap(), "{host}");
        }
    }

    #[test]
    fn an_address_of_another_machine_is_explained() {
        // RFC 5737: addresses for documentation, which no machine has.
        assert_eq!(
            open_one(tcp("192.0.2.1", 7890)).unwrap_err(),
            "cannot listen on 192.0.2.1:7890: cannot assign requested address (not an address \
             of this machine; try 127.0.0.1, or 0.0.0.0 for every interface)"
        );
    }

    #[test]
    fn a_zone_is_an_interface_by_name_or_by_number() {
        if !has_ipv6() {
            return;
        }
        let zoned = |ip: &str, zone: &str| Bind::Tcp {
            host: Host::Zoned(ip.parse().unwrap(), zone.to_owned()),
            port: 0,
        };
        for zone in ["lo", "1", "25lo"] {
            let listener = open_one(zoned("::1", zone)).unwrap();
            TcpStream::connect(local(&listener)).unwrap();
        }
        let message = open_one(zoned("fe80::1", "nope0")).unwrap_err();
        assert!(
            message.starts_with("cannot listen on [fe80::1%nope0]:0: no interface of that name")
                && message.contains("lo"),
            "{message}"
        );
        let message = open_one(zoned("fe80::1", "987654321")).unwrap_err();
        assert!(message.contains("see: ip link"), "{message}");
        let message = open_one(tcp("fe80::1", 0)).unwrap_err();
        assert!(message.contains("[fe80::1%eth0]"), "{message}");
    }

    #[test]
    fn the_name_of_an_interface_is_answered_with_its_addresses() {
        let message = open_one(tcp("lo", 7890)).unwrap_err();
        assert!(
            message.starts_with("cannot listen on lo:7890: that is a network interface")
                && message.contains("127.0.0.1"),
            "{message}"
        );
    }

    #[test]
    fn a_name_means_its_addresses_and_an_unknown_one_is_explained() {
        let all = open_listeners(&[tcp("localhost", 0)], OPTIONS).unwrap();
        assert!(!all.is_empty());
        for listener in &all {
            assert!(local(listener).ip().is_loopback());
        }
        // RFC 6761 6.4: never resolves.
        let message = open_one(tcp("name.invalid", 7890)).unwrap_err();
        assert!(
            message.starts_with("cannot listen on name.invalid:7890: ")
                && message.ends_with("(try an IP address, such as 127.0.0.1)"),
            "{message}"
        );
    }

    #[test]
    fn addresses_this_machine_lacks_are_skipped_while_another_works() {
        // RFC 5737: addresses for documentation, which no machine has.
        let absent = SocketAddr::from(([192, 0, 2, 1], 0));
        let present = SocketAddr::from(([127, 0, 0, 1], 0));
        let all = listen_tcp_all(vec![absent, present, absent], false, OPTIONS).unwrap();
        assert_eq!(all.len(), 1);
        assert_eq!(local(&all[0]).ip(), present.ip());
        assert!(listen_tcp_all(vec![absent], false, OPTIONS).is_err());
        assert!(listen_tcp_all(vec![], false, OPTIONS).is_err());
    }

    #[test]
    fn ipv6_is_dual_stack_only_when_it_means_every_interface() {
        if !has_ipv6() {
            return;
        }
        for (host, dual) in [("::1", false), ("::", true)] {
            let listener = open_one(tcp(host, 0)).unwrap();
            let Address::Tcp { local, dual_stack } = listener.address else {
                panic!("{listener:?}");
            };
            assert_eq!(dual_stack, dual, "{host}");
            let v4 = TcpStream::connect((Ipv4Addr::LOCALHOST, local.port()));
            assert_eq!(v4.is_ok(), dual, "{host}");
            TcpStream::connect((Ipv6Addr::LOCALHOST, local.port())).unwrap();
        }
    }

    #[test]
    fn every_interface_of_both_families_may_be_listed_side_by_side() {
        if !has_ipv6() {
            return;
        }
        let port = local(&open_one(tcp("0.0.0.0", 0)).unwrap()).port();
        for binds in [["0.0.0.0", "::"], ["::", "0.0.0.0"], ["127.0.0.1", "::"]] {
            let binds = binds.map(|host| tcp(host, port));
            let all = open_listeners(&binds, OPTIONS).unwrap();
            assert_eq!(all.len(), 2, "{binds:?}");
        }
        let any_port = open_listeners(&[tcp("0.0.0.0", 0), tcp("::", 0)], OPTIONS).unwrap();
        assert!(
            matches!(any_port[1].address, Address::Tcp { dual_stack, .. } if dual_stack),
            "two free ports do not collide"
        );
    }

    #[test]
    fn a_unix_socket_is_made_and_its_file_goes_with_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let listener = open_one(Bind::Unix(path.clone())).unwrap();
        assert_eq!(listener.address, Address::Unix(path.clone()));
        UnixStream::connect(&path).unwrap();
        drop(listener);
        assert!(!path.exists());
    }

    #[test]
    fn a_stale_socket_file_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "std leaves the file behind");
        let _listening = open_one(Bind::Unix(path.clone())).unwrap();
        UnixStream::connect(&path).unwrap();
    }

    #[test]
    fn a_live_socket_is_an_error_and_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let _listening = open_one(Bind::Unix(path.clone())).unwrap();
        let expected = format!(
            "cannot listen on unix:{}: address already in use \
             (a server answers there: stop it, or take another path)",
            path.display()
        );
        assert_eq!(open_one(Bind::Unix(path.clone())).unwrap_err(), expected);
        UnixStream::connect(&path).unwrap();

        let messages = directory.path().join("d");
        let _live = UnixDatagram::bind(&messages).unwrap();
        let message = open_one(Bind::Unix(messages.clone())).unwrap_err();
        assert!(message.contains("already in use"), "{message}");
        assert!(messages.exists());
    }

    #[test]
    fn a_live_server_with_a_full_queue_is_live() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let short = ListenOptions {
            backlog: 0,
            ..OPTIONS
        };
        let _full = open_listeners(&[Bind::Unix(path.clone())], short).unwrap();
        let _waiting = UnixStream::connect(&path).unwrap();
        let message = open_one(Bind::Unix(path.clone())).unwrap_err();
        assert!(message.contains("already in use"), "{message}");
        assert!(path.exists());
    }

    #[test]
    fn an_ordinary_file_is_never_removed() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("precious");
        fs::write(&file, "do not lose me").unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
        for path in [&file, &link, &directory.path().to_owned()] {
            assert_eq!(
                open_one(Bind::Unix(path.clone())).unwrap_err(),
                format!(
                    "cannot listen on unix:{}: a file that is not a socket is in the way \
                     (remove it, or take another path)",
                    path.display()
                )
            );
        }
        assert_eq!(fs::read(&file).unwrap(), b"do not lose me");
        assert!(link.is_symlink());
    }

    #[test]
    fn a_successors_socket_file_is_not_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let first = open_one(Bind::Unix(path.clone())).unwrap();
        fs::remove_file(&path).unwrap();
        let _second = open_one(Bind::Unix(path.clone())).unwrap();
        drop(first);
        UnixStream::connect(&path).unwrap();
    }

    #[test]
    fn an_invalid_unix_path_has_an_error_with_the_reason() {
        let directory = tempfile::tempdir().unwrap();
        let nowhere = directory.path().join("no/such/s");
        let message = open_one(Bind::Unix(nowhere)).unwrap_err();
        assert!(message.contains("no such directory (create"), "{message}");
        let long = directory.path().join("long".repeat(40));
        let message = open_one(Bind::Unix(long)).unwrap_err();
        assert!(message.contains("too long for a socket"), "{message}");
    }

    #[test]
    fn a_failure_closes_what_was_opened_before_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        open_listeners(
            &[
                Bind::Unix(path.clone()),
                Bind::Inherited(InheritedSocket::new(987_654)),
            ],
            OPTIONS,
        )
        .unwrap_err();
        assert!(!path.exists());
    }

    #[test]
    fn inherited_sockets_are_known_by_their_family_and_keep_their_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let pass = |ours: OwnedFd| {
            rustix::io::fcntl_setfd(&ours, FdFlags::empty()).unwrap();
            let number = u32::try_from(ours.into_raw_fd()).unwrap();
            Bind::Inherited(InheritedSocket::new(number))
        };
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let local = tcp.local_addr().unwrap();
        let unix = UnixListener::bind(&path).unwrap();
        let all = open_listeners(&[pass(tcp.into()), pass(unix.into())], OPTIONS).unwrap();
        let addresses: Vec<_> = (all.iter())
            .map(|listener| listener.address.clone())
            .collect();
        let tcp = Address::Tcp {
            local,
            dual_stack: false,
        };
        assert_eq!(addresses, [tcp, Address::Unix(path.clone())]);
        assert!(matches!(
            all[0].socket.family,
            Family::Tcp(_, TcpKind::Plain)
        ));
        assert!(matches!(all[1].socket.family, Family::Unix(_)));
        drop(all);
        assert!(path.exists(), "its maker removes it");
        assert_eq!(
            open_one(Bind::Inherited(InheritedSocket::new(1))).unwrap_err(),
            "cannot listen on fd:1: 0, 1 and 2 are standard input, output and error \
             (sockets are passed from 3 on)"
        );
    }

    #[test]
    fn a_listening_socket_can_be_registered_and_wakes_a_poll() {
        let mut listener = open_one(tcp("127.0.0.1", 0)).unwrap();
        let mut poll = mio::Poll::new().unwrap();
        poll.registry()
            .register(&mut listener.socket, Token(7), Interest::READABLE)
            .unwrap();
        let _client = TcpStream::connect(local(&listener)).unwrap();
        let mut events = mio::Events::with_capacity(4);
        poll.poll(&mut events, None).unwrap();
        assert_eq!(events.iter().next().unwrap().token(), Token(7));
    }
}
