//! TLS for the connections of the generator.

use crate::any_certificate::AnyCertificate;
use crate::bench::types::TlsOptions;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

/// Where most systems have the certificates of the public authorities.
const AUTHORITIES: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

/// What the connections to one server share.
#[derive(Clone)]
pub struct Config(Arc<ClientConfig>, ServerName<'static>);

/// The configuration for a server, whose certificate is checked unless the options say no.
pub fn config(options: &TlsOptions) -> Result<Config, String> {
    let name = ServerName::try_from(options.server_name.clone());
    let name = name.map_err(|error| format!("{}: {error}", options.server_name))?;
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone());
    let builder = builder.with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| error.to_string())?;
    let config = match (options.insecure, &options.ca) {
        (true, _) => {
            let verifier = Arc::new(AnyCertificate(provider));
            builder
                .dangerous()
                .with_custom_certificate_verifier(verifier)
        }
        (false, Some(file)) => builder.with_root_certificates(roots(file)?),
        (false, None) => {
            let file = AUTHORITIES.iter().map(Path::new).find(|file| file.exists());
            let file = file.ok_or("no file of certificate authorities is found: use --ca")?;
            builder.with_root_certificates(roots(file)?)
        }
    };
    Ok(Config(Arc::new(config.with_no_client_auth()), name))
}

fn roots(file: &Path) -> Result<RootCertStore, String> {
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let certificates = CertificateDer::pem_file_iter(file).map_err(|error| failed(&error))?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        let certificate = certificate.map_err(|error| failed(&error))?;
        // A bundle of a system may have some that are too old for rustls.
        let _ = roots.add(certificate);
    }
    match roots.is_empty() {
        true => Err(failed(&"it has no certificate")),
        false => Ok(roots),
    }
}

/// A TLS connection.
pub struct Session(ClientConnection);

impl Session {
    pub fn new(Config(config, name): &Config) -> io::Result<Self> {
        let session = ClientConnection::new(config.clone(), name.clone());
        Ok(Self(session.map_err(io::Error::other)?))
    }

    /// Takes bytes to send, and sends what the socket takes.
    pub fn write(&mut self, bytes: &[u8], socket: &mut impl Write) -> io::Result<()> {
        self.0.writer().write_all(bytes)?;
        while self.0.wants_write() {
            self.0.write_tls(socket)?;
        }
        Ok(())
    }

    /// Reads decrypted bytes; 0 is the end of the stream.
    pub fn read<S: Read + Write>(
        &mut self,
        buffer: &mut [u8],
        socket: &mut S,
    ) -> io::Result<usize> {
        loop {
            match self.0.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
            if self.0.read_tls(socket)? == 0 {
                return Ok(0);
            }
            self.0.process_new_packets().map_err(io::Error::other)?;
            match self.write(&[], socket) {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
        }
    }
}
