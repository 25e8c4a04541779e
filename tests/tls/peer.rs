//! A TLS client on a blocking socket.

use crate::certificate::TestCertificate;
use crate::client::Client;
use crate::process::{Launch, Server, TIME_LIMIT};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

/// The models that serve HTTPS.
pub const MODELS: [&str; 13] = [
    "reactor",
    "reactors",
    "uring",
    "level",
    "poll",
    "select",
    "coroutine",
    "sequential",
    "process",
    "prefork",
    "thread",
    "thread-reuse",
    "pool",
];

/// The server of `launch`, with this certificate.
pub fn with_certificate(launch: Launch, certificate: &TestCertificate) -> Launch {
    launch
        .arg("--tls-cert")
        .arg(certificate.certificate())
        .arg("--tls-key")
        .arg(certificate.key())
}

/// A server with a certificate for `localhost`, which [`Https::connect`] trusts.
pub struct Https {
    pub server: Server,
    pub certificate: TestCertificate,
    pub files: TempDir,
    client: Arc<ClientConfig>,
}

impl Https {
    /// Starts it on `root`, with further options.
    #[track_caller]
    pub fn start(root: &Path, options: &str) -> Self {
        let files = tempfile::tempdir().unwrap();
        let certificate = TestCertificate::write(files.path(), "server", &["localhost"]);
        let server = with_certificate(Launch::of(root), &certificate)
            .with(options)
            .start();
        Self {
            server,
            client: Arc::new(certificate.client()),
            certificate,
            files,
        }
    }

    /// Where it speaks TLS.
    pub fn address(&self) -> SocketAddr {
        self.server.address_of("https")
    }

    /// A connection whose handshake is complete.
    #[track_caller]
    pub fn connect(&self) -> TlsClient {
        connect(self.address(), &self.client, "localhost").unwrap()
    }

    /// The same, and `before` is sent before the handshake.
    #[track_caller]
    pub fn connect_after(&self, before: &[u8]) -> TlsClient {
        let mut socket = TcpStream::connect(self.address()).unwrap();
        socket.write_all(before).unwrap();
        connect_over(socket, &self.client, "localhost").unwrap()
    }

    /// A connection on which nothing was sent.
    #[track_caller]
    pub fn connect_plain(&self) -> Client {
        Client::to(self.address())
    }
}

/// The stream of a client with TLS.
pub type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// A client with TLS.
pub type TlsClient = Client<TlsStream>;

/// Connects to a server, whose certificate must be valid for `name`, and does the handshake.
///
/// # Errors
/// Those of the handshake.
pub fn connect(
    address: SocketAddr,
    config: &Arc<ClientConfig>,
    name: &'static str,
) -> std::io::Result<TlsClient> {
    connect_over(TcpStream::connect(address)?, config, name)
}

/// The same on an open connection.
///
/// # Errors
/// Those of the handshake.
pub fn connect_over(
    socket: TcpStream,
    config: &Arc<ClientConfig>,
    name: &'static str,
) -> std::io::Result<TlsClient> {
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(TIME_LIMIT))?;
    socket.set_write_timeout(Some(TIME_LIMIT))?;
    let name = ServerName::try_from(name).unwrap();
    let session = ClientConnection::new(config.clone(), name).unwrap();
    let mut stream = StreamOwned::new(session, socket);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(Client::over(stream))
}

/// Sends close_notify: the client sends nothing more, and still receives.
pub fn close_notify(client: &mut TlsClient) {
    let stream = client.stream();
    stream.conn.send_close_notify();
    stream.flush().unwrap();
}
