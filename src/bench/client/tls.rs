//! TLS for the connections of the generator, in a build with the feature `tls`.

pub use system::{Config, Session, config};

#[cfg(feature = "tls")]
mod system {
    use crate::bench::types::TlsOptions;
    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use rustls::{
        ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore,
        SignatureScheme,
    };
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
                let verifier = Arc::new(Unchecked(provider));
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

    /// Checks no certificate (`--insecure`).
    #[derive(Debug)]
    struct Unchecked(Arc<CryptoProvider>);

    impl ServerCertVerifier for Unchecked {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            let algorithms = &self.0.signature_verification_algorithms;
            verify_tls12_signature(message, certificate, signature, algorithms)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            let algorithms = &self.0.signature_verification_algorithms;
            verify_tls13_signature(message, certificate, signature, algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.0.signature_verification_algorithms.supported_schemes()
        }
    }
}

#[cfg(not(feature = "tls"))]
mod system {
    use crate::bench::types::TlsOptions;
    use std::io;

    /// There is none.
    #[derive(Clone)]
    pub enum Config {}

    /// An error: this build has no TLS.
    pub fn config(_: &TlsOptions) -> Result<Config, String> {
        Err("this build has no TLS (the feature tls)".to_owned())
    }

    /// There is none.
    pub enum Session {}

    impl Session {
        pub fn new(config: &Config) -> io::Result<Self> {
            match *config {}
        }

        pub fn write<S>(&mut self, _: &[u8], _: &mut S) -> io::Result<()> {
            match *self {}
        }

        pub fn read<S>(&mut self, _: &mut [u8], _: &mut S) -> io::Result<usize> {
            match *self {}
        }
    }
}
