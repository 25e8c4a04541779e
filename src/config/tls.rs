//! The options of HTTPS. The comments of the fields are the help and the manual page.

use std::path::PathBuf;

use clap::ValueHint;

use super::bind::{BindArgument, TLS_PORT};
use super::help_text::HTTPS;
use crate::listen::address::Bind;
use crate::tls::{CertificateSource, KeyPairFiles};

/// How connections are encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// The addresses at which they are: at least one.
    pub binds: Vec<Bind>,
    /// The certificates.
    pub certificates: CertificateSource,
    /// Whether requests on plain connections are redirected.
    pub redirect: bool,
    /// The seconds for which a browser shall use HTTPS only (RFC 6797).
    pub hsts: Option<u32>,
}

/// The options of the command line.
#[derive(clap::Args, Clone, Debug)]
pub struct TlsArguments {
    /// Serve HTTPS with this certificate; may be repeated
    ///
    /// A PEM file: the certificate of the server, then those of its issuers. A client gets the
    /// first certificate that is valid for the name it asks for (SNI), else the first of all.
    /// SIGHUP reads the files again. Without --tls-bind, all addresses of --bind speak HTTPS.
    #[arg(
        long,
        value_name = "FILE",
        value_delimiter = ',',
        env = "ONELOOP_TLS_CERT",
        value_hint = ValueHint::FilePath,
        help_heading = HTTPS
    )]
    pub tls_cert: Vec<PathBuf>,

    /// The private key of the certificate; may be repeated
    ///
    /// A PEM file without a password. The first key belongs to the first certificate, and so on.
    /// Without this option, each key is in the file of its certificate.
    #[arg(
        long,
        value_name = "FILE",
        value_delimiter = ',',
        env = "ONELOOP_TLS_KEY",
        value_hint = ValueHint::FilePath,
        help_heading = HTTPS
    )]
    pub tls_key: Vec<PathBuf>,

    /// Serve HTTPS with a certificate made at the start
    ///
    /// It is for localhost and the addresses that the server listens on. No browser trusts it:
    /// it warns.
    #[arg(long, env = "ONELOOP_TLS_SELF_SIGNED", help_heading = HTTPS)]
    pub tls_self_signed: bool,

    /// Serve HTTPS at this address, plain HTTP at --bind
    ///
    /// An address as for --bind; may be repeated. The default port is 7443.
    #[arg(
        long,
        value_name = "ADDR",
        value_delimiter = ',',
        env = "ONELOOP_TLS_BIND",
        help_heading = HTTPS
    )]
    pub tls_bind: Vec<BindArgument>,

    /// Redirect plain HTTP to HTTPS
    ///
    /// For --bind with --tls-bind. The redirect leads to the first address of --tls-bind.
    #[arg(long, env = "ONELOOP_REDIRECT_HTTPS", help_heading = HTTPS)]
    pub redirect_https: bool,

    /// Tell browsers to use only HTTPS for this host
    ///
    /// For a year if no time is given. Strict-Transport-Security is sent over HTTPS only. A browser
    /// refuses plain HTTP and every certificate that it does not trust until the time is over.
    /// --hsts=0 takes it back.
    #[arg(
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "31536000",
        value_parser = super::values::whole,
        env = "ONELOOP_HSTS",
        help_heading = HTTPS
    )]
    pub hsts: Option<u32>,
}

impl TlsArguments {
    /// What they ask for (`None`: no HTTPS), and which of `binds` stay plain.
    ///
    /// # Errors
    /// The options do not go together.
    pub fn divide(&self, binds: Vec<Bind>) -> Result<(Vec<Bind>, Option<TlsConfig>), String> {
        let Some(certificates) = self.certificates()? else {
            let given = [
                ("--tls-key", !self.tls_key.is_empty()),
                ("--tls-bind", !self.tls_bind.is_empty()),
                ("--redirect-https", self.redirect_https),
                ("--hsts", self.hsts.is_some()),
            ];
            return match given.into_iter().find(|(_, is_given)| *is_given) {
                None => Ok((binds, None)),
                Some((name, _)) => Err(format!(
                    "{name} is for HTTPS, which needs --tls-cert FILE or --tls-self-signed"
                )),
            };
        };
        let given = self.tls_bind.iter().cloned();
        let tls_binds: Vec<_> = given.map(|bind| bind.at(TLS_PORT)).collect();
        let mut taken = tls_binds.iter().filter(|bind| !bind.is_any_port());
        if let Some(twice) = taken.find(|bind| binds.contains(bind)) {
            return Err(format!(
                "--bind and --tls-bind name {twice}: an address speaks either HTTP or HTTPS"
            ));
        }
        if self.redirect_https && tls_binds.is_empty() {
            return Err(
                "--redirect-https needs addresses of both kinds: --bind ADDR --tls-bind ADDR"
                    .to_owned(),
            );
        }
        if self.redirect_https && matches!(tls_binds.first(), Some(Bind::Unix(_))) {
            return Err(
                "--redirect-https leads to the first --tls-bind, which has no port; name another \
                 one first"
                    .to_owned(),
            );
        }
        let (plain, encrypted) = match tls_binds.is_empty() {
            true => (Vec::new(), binds),
            false => (binds, tls_binds),
        };
        let config = TlsConfig {
            binds: encrypted,
            certificates,
            redirect: self.redirect_https,
            hsts: self.hsts,
        };
        Ok((plain, Some(config)))
    }

    fn certificates(&self) -> Result<Option<CertificateSource>, String> {
        let (certificates, keys) = (&self.tls_cert, &self.tls_key);
        let keys = match keys.is_empty() {
            true => certificates,
            false => keys,
        };
        match (self.tls_self_signed, certificates.len()) {
            (false, 0) => return Ok(None),
            (true, 0) if keys.is_empty() => return Ok(Some(CertificateSource::SelfSigned)),
            (true, _) => {
                return Err(
                    "--tls-self-signed makes a certificate; leave out --tls-cert and --tls-key"
                        .to_owned(),
                );
            }
            (false, count) if count != keys.len() => {
                return Err(format!(
                    "each --tls-cert needs its --tls-key: there are {count} and {}",
                    keys.len()
                ));
            }
            (false, _) => {}
        }
        let pairs = certificates.iter().cloned().zip(keys.iter().cloned());
        let files = pairs.map(|(certificate, key)| KeyPairFiles { certificate, key });
        Ok(Some(CertificateSource::Files(files.collect())))
    }
}
