//! HTTPS as the configuration asks for it: its listeners, its certificates, and what the site does
//! for it. Without the feature `tls` it is nothing.

use crate::config::Config;
use crate::listen::open::{BoundListener, ListenOptions};
use crate::site_handler::HttpsPolicy;
use std::error::Error;

#[cfg(feature = "tls")]
use crate::clock::Now;
#[cfg(feature = "tls")]
use crate::listen::address::{self, Address};
#[cfg(feature = "tls")]
use crate::listen::open::{expect_proxy_headers, open_listeners};
#[cfg(feature = "tls")]
use crate::tls::Certificates;
#[cfg(feature = "tls")]
use std::net::IpAddr;

/// The part of HTTPS that the handler has.
#[derive(Clone, Default)]
pub struct Https {
    /// What the site does for it.
    pub policy: HttpsPolicy,
    #[cfg(feature = "tls")]
    certificates: Option<Certificates>,
}

#[cfg(feature = "tls")]
impl Https {
    /// Reads the certificates and opens the listeners.
    ///
    /// # Errors
    /// With a sentence for the user: a certificate or a listener cannot be used.
    pub fn open(
        config: &Config,
        options: ListenOptions,
    ) -> Result<(Self, Vec<BoundListener>), Box<dyn Error>> {
        let Some(tls) = &config.tls else {
            return Ok((Self::default(), Vec::new()));
        };
        let mut listeners = open_listeners(&tls.binds, options)?;
        let proxy = &config.proxy;
        expect_proxy_headers(&mut listeners, &tls.binds, &proxy.binds, &proxy.trusted);
        let locals = listeners
            .iter()
            .filter_map(|listener| match listener.address {
                Address::Tcp { local, .. } => Some(local),
                Address::Unix(_) | Address::Unnamed => None,
            });
        let certificates = Certificates::new(
            &tls.certificates,
            &reachable(locals.clone()),
            Now::read().wall,
        )?;
        let acceptor = certificates.acceptor()?;
        let policy = HttpsPolicy {
            redirect: match tls.redirect {
                true => locals.map(|local| local.port()).next(),
                false => None,
            },
            hsts: tls.hsts.map(|seconds| format!("max-age={seconds}")),
            ..HttpsPolicy::default()
        };
        let listeners = listeners.into_iter();
        let listeners = listeners.map(|listener| listener.with_tls(acceptor.clone()));
        let certificates = Some(certificates);
        Ok((
            Self {
                policy,
                certificates,
            },
            listeners.collect(),
        ))
    }

    /// Reads the certificates of `config` again. Returns what makes them those of new connections.
    ///
    /// # Errors
    /// With a sentence for the user: a certificate cannot be used.
    pub fn read_again(&self, config: &Config) -> Result<impl FnOnce() + use<>, String> {
        let pair = self.certificates.clone().zip(config.tls.as_ref());
        let read = pair.map(|(certificates, tls)| {
            let read = certificates.read_again(&tls.certificates, Now::read().wall);
            read.map(|read| move || certificates.replace_by(&read))
        });
        let replace = read.transpose().map_err(|error| error.to_string())?;
        Ok(move || replace.into_iter().for_each(|replace| replace()))
    }
}

/// The addresses of this machine under which a client reaches these listeners.
#[cfg(feature = "tls")]
fn reachable(locals: impl Iterator<Item = std::net::SocketAddr>) -> Vec<IpAddr> {
    let mut all: Vec<_> = locals.map(|local| local.ip()).collect();
    if all.iter().any(IpAddr::is_unspecified) {
        let interfaces = address::interfaces().into_iter();
        all.extend(interfaces.map(|interface| interface.ip));
        all.retain(|ip| !ip.is_unspecified());
    }
    all.sort_unstable();
    all.dedup();
    all
}

#[cfg(not(feature = "tls"))]
impl Https {
    /// Nothing.
    ///
    /// # Errors
    /// None.
    pub fn open(
        _: &Config,
        _: ListenOptions,
    ) -> Result<(Self, Vec<BoundListener>), Box<dyn Error>> {
        Ok((Self::default(), Vec::new()))
    }

    /// Nothing.
    ///
    /// # Errors
    /// None.
    pub fn read_again(&self, _: &Config) -> Result<impl FnOnce() + use<>, String> {
        Ok(|| {})
    }
}
