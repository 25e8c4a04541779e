//! `--tls`: the same script over TLS.

use crate::any_certificate::AnyCertificate;
use rustls::CertificateError;
use rustls::client::verify_server_name;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, ClientConnection};
use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;

/// What all connections use: no certificate is refused, for this is a tool to look with.
#[derive(Clone, Debug)]
pub struct Connector {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Connector {
    /// Asks for the certificate of `name`: a DNS name (SNI; RFC 6066, section 3) or an IP address.
    ///
    /// # Errors
    /// It is neither.
    pub fn new(name: &str) -> Result<Self, String> {
        let parsed = ServerName::try_from(name.to_owned());
        let name =
            parsed.map_err(|_| format!("--tls={name}: write a DNS name or an IP address"))?;
        let provider = Arc::new(ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("--tls: {error}"))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let config = Arc::new(config);
        Ok(Self { config, name })
    }

    /// TLS above a socket that is being connected.
    ///
    /// # Errors
    /// There are no random numbers (getrandom(2)).
    pub fn session<S>(&self, socket: S) -> Result<Session<S>, rustls::Error> {
        let session = ClientConnection::new(self.config.clone(), self.name.clone())?;
        let name = self.name.clone();
        Ok(Session {
            socket,
            session,
            name,
        })
    }
}

/// One connection over TLS. Nothing here waits: what cannot be done now is `WouldBlock`.
#[derive(Debug)]
pub struct Session<S> {
    socket: S,
    session: ClientConnection,
    name: ServerName<'static>,
}

impl<S: Read + Write> Session<S> {
    /// The socket below.
    pub fn socket(&mut self) -> &mut S {
        &mut self.socket
    }

    /// Goes on with the handshake. Returns whether it is finished.
    ///
    /// # Errors
    /// The server closed the connection, or refused the handshake.
    pub fn handshake(&mut self) -> io::Result<bool> {
        self.flush()?;
        while self.session.is_handshaking() {
            match self.receive() {
                Ok(0) => {
                    let what = "the server closed it during the TLS handshake";
                    return Err(io::Error::new(ErrorKind::UnexpectedEof, what));
                }
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Says that nothing more follows. What the socket does not take now is lost.
    pub fn close(&mut self) {
        self.session.send_close_notify();
        // The connection ends, whether this was sent or not.
        let _ = self.flush();
    }

    /// Reads from the socket once, and decrypts. Returns 0 at the end of the stream.
    fn receive(&mut self) -> io::Result<usize> {
        let length = self.session.read_tls(&mut self.socket)?;
        let processed = self.session.process_new_packets();
        // The answer, which may be an alert that says what was wrong.
        self.flush()?;
        match processed {
            Ok(_) => Ok(length),
            Err(error) => Err(io::Error::new(ErrorKind::InvalidData, error)),
        }
    }

    /// The version, the cipher suite, the protocol, and whose certificate it is.
    pub fn agreed(&self) -> String {
        let version = match self.session.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => "TLS 1.3",
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLS 1.2",
            _ => "TLS",
        };
        let suite = self.session.negotiated_cipher_suite();
        let suite = suite
            .and_then(|suite| suite.suite().as_str())
            .unwrap_or("?");
        let protocol = self.session.alpn_protocol().map(String::from_utf8_lossy);
        let protocol = protocol.map_or_else(String::new, |name| format!(", {name}"));
        format!("{version}, {suite}{protocol}, {}", self.whose_certificate())
    }

    fn whose_certificate(&self) -> String {
        let name = self.name.to_str();
        let certificates = self.session.peer_certificates();
        let Some(certificate) = certificates.and_then(<[_]>::first) else {
            return "no certificate".to_owned();
        };
        let parsed = ParsedCertificate::try_from(certificate);
        match parsed.and_then(|parsed| verify_server_name(&parsed, &self.name)) {
            Ok(()) => format!("the certificate is for {name}"),
            Err(rustls::Error::InvalidCertificate(CertificateError::NotValidForNameContext {
                presented,
                ..
            })) => format!(
                "the certificate is not for {name}, but for {}",
                presented.join(" and ")
            ),
            Err(error) => format!("the certificate is not for {name}: {error}"),
        }
    }
}

impl<S: Read + Write> Read for Session<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                done => return done,
            }
            self.receive()?;
        }
    }
}

impl<S: Read + Write> Write for Session<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.flush()?;
        if self.session.wants_write() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let length = self.session.writer().write(bytes)?;
        self.flush()?;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut self.socket) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
