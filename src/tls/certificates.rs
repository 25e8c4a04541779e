//! Certificates and their keys, from PEM files, and which of them a client gets.

use super::self_signed;
use super::session::TlsAcceptor;
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError as RustlsError, RootCertStore, ServerConfig};
use std::error::Error;
use std::fmt;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::{SystemTime, UNIX_EPOCH};

/// A file with a certificate and those of its issuers, and the file with its private key. Both are
/// PEM (RFC 7468).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPairFiles {
    /// The certificates: the server's own first.
    pub certificate: PathBuf,
    /// The private key: PKCS #8, PKCS #1 (RSA) or SEC 1 (elliptic curves).
    pub key: PathBuf,
}

/// Where certificates come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateSource {
    /// Files, at least one pair.
    Files(Vec<KeyPairFiles>),
    /// One that is made at the start.
    SelfSigned,
}

/// The certificates of a server. They can be replaced while it runs; a handshake that has begun
/// goes on with those before.
#[derive(Clone, Debug)]
pub struct Certificates(Arc<RwLock<Vec<Arc<CertifiedKey>>>>);

/// Files that cannot be used. The text names the file, and says what to do.
#[derive(Debug)]
pub struct CertificateError {
    file: PathBuf,
    problem: String,
}

impl Error for CertificateError {}

impl fmt::Display for CertificateError {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "{}: {}", self.file.display(), self.problem)
    }
}

impl Certificates {
    /// Reads certificates and keys, and warns of those that are not valid at `now`. Or makes a
    /// certificate for `localhost` and `addresses`.
    ///
    /// # Errors
    /// The first file that cannot be used, or there are no random numbers (getrandom(2)).
    pub fn new(
        source: &CertificateSource,
        addresses: &[IpAddr],
        now: SystemTime,
    ) -> Result<Self, Box<dyn Error>> {
        let pairs = match source {
            CertificateSource::Files(files) => read_all(files, now)?,
            CertificateSource::SelfSigned => vec![Arc::new(self_signed::make(addresses, now)?)],
        };
        Ok(Self(Arc::new(RwLock::new(pairs))))
    }

    /// Reads files again, and returns the certificates that are in them now, to be passed to
    /// [`replace_by`](Self::replace_by). A certificate that was made stays.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn read_again(
        &self,
        source: &CertificateSource,
        now: SystemTime,
    ) -> Result<Self, CertificateError> {
        match source {
            CertificateSource::Files(files) => {
                Ok(Self(Arc::new(RwLock::new(read_all(files, now)?))))
            }
            CertificateSource::SelfSigned => Ok(self.clone()),
        }
    }

    /// New connections get the certificates of `other`.
    pub fn replace_by(&self, other: &Self) {
        let pairs = other.pairs().clone();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = pairs;
    }

    fn pairs(&self) -> RwLockReadGuard<'_, Vec<Arc<CertifiedKey>>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a listener with these certificates needs.
    ///
    /// # Errors
    /// There are no random numbers (getrandom(2)).
    pub fn acceptor(&self) -> Result<TlsAcceptor, rustls::Error> {
        let provider = Arc::new(ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(self.clone()));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // The state of a session is in its ticket, so the server keeps nothing of it.
        config.ticketer = ring::Ticketer::new()?;
        Ok(TlsAcceptor::new(config))
    }
}

impl ResolvesServerCert for Certificates {
    /// The first certificate that is valid for the name that the client asks for (SNI); without
    /// such a one, and without a name, the first of all.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let all = self.pairs();
        let name = hello.server_name().map(ServerName::try_from);
        let named = name.and_then(Result::ok).and_then(|name| {
            let mut all = all.iter();
            all.find(|candidate| is_valid_for(candidate, &name))
        });
        named.or(all.first()).cloned()
    }
}

fn is_valid_for(candidate: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let certificate = candidate.end_entity_cert();
    let parsed = certificate.and_then(ParsedCertificate::try_from);
    parsed.is_ok_and(|parsed| verify_server_name(&parsed, name).is_ok())
}

fn read_all(
    files: &[KeyPairFiles],
    now: SystemTime,
) -> Result<Vec<Arc<CertifiedKey>>, CertificateError> {
    files
        .iter()
        .map(|pair| read_pair(pair, now).map(Arc::new))
        .collect()
}

fn read_pair(files: &KeyPairFiles, now: SystemTime) -> Result<CertifiedKey, CertificateError> {
    let KeyPairFiles { certificate, key } = files;
    for file in [certificate, key] {
        // To open a FIFO would wait for its writer, and with it all connections.
        if fs::metadata(file).is_ok_and(|metadata| !metadata.is_file()) {
            let problem = "not a regular file".to_owned();
            let file = file.clone();
            return Err(CertificateError { file, problem });
        }
    }
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| explain(certificate, error, "certificate"))?;
    if chain.is_empty() {
        return Err(explain(
            certificate,
            pem::Error::NoItemsFound,
            "certificate",
        ));
    }
    let der = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| explain(key, error, "private key without a password"))?;
    let pair = CertifiedKey::from_der(chain, der, &ring::default_provider()).map_err(|error| {
        let (file, problem) = match error {
            rustls::Error::InconsistentKeys(_) => (
                key,
                format!(
                    "not the key of the certificate in {}",
                    certificate.display()
                ),
            ),
            rustls::Error::InvalidCertificate(error) => {
                (certificate, format!("not a valid certificate: {error}"))
            }
            error => (key, error.to_string()),
        };
        let file = file.clone();
        CertificateError { file, problem }
    })?;
    if let Some(problem) = validity_problem(&pair, now) {
        log::warn!(
            "{}: {problem}: clients will refuse it",
            certificate.display()
        );
    }
    Ok(pair)
}

/// What is wrong with the times of a certificate. Only those are asked about: without roots, every
/// chain has an issuer that is not known, but the times are checked first.
fn validity_problem(pair: &CertifiedKey, now: SystemTime) -> Option<&'static str> {
    let now = now.duration_since(UNIX_EPOCH).ok()?;
    let certificate = ParsedCertificate::try_from(pair.end_entity_cert().ok()?).ok()?;
    let verified = verify_server_cert_signed_by_trust_anchor(
        &certificate,
        &RootCertStore::empty(),
        &[],
        UnixTime::since_unix_epoch(now),
        ring::default_provider()
            .signature_verification_algorithms
            .all,
    );
    match verified {
        Err(rustls::Error::InvalidCertificate(
            RustlsError::Expired | RustlsError::ExpiredContext { .. },
        )) => Some("the certificate has expired"),
        Err(rustls::Error::InvalidCertificate(
            RustlsError::NotValidYet | RustlsError::NotValidYetContext { .. },
        )) => Some("the certificate is not valid yet"),
        _ => None,
    }
}

fn explain(file: &Path, error: pem::Error, what: &str) -> CertificateError {
    let problem = match error {
        pem::Error::Io(error) => error.to_string(),
        pem::Error::NoItemsFound => format!("no {what} in PEM format is in this file"),
        // The second line of a key in the form of OpenSSL says so (RFC 1421 4.6.1.1).
        _ if fs::read_to_string(file)
            .is_ok_and(|text| text.contains("\nProc-Type: 4,ENCRYPTED")) =>
        {
            "the key has a password; remove it: openssl pkey -in KEY -out NEW".to_owned()
        }
        error => format!("not a PEM file: {error}"),
    };
    let file = file.to_owned();
    CertificateError { file, problem }
}
