//! The options for a server behind a proxy. The comments of the fields are the help and the manual
//! page.

use std::str::FromStr;

use super::bind::{BindArgument, TLS_PORT};
use super::help_text::{LISTENING, LOGGING};
use crate::listen::address::Bind;
use crate::proxy::TrustedProxies;
use crate::proxy::trusted::Trusted;

/// The proxies in front of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyConfig {
    /// The proxies that may name their clients.
    pub trusted: TrustedProxies,
    /// The addresses where each connection begins with a header of the PROXY protocol.
    pub binds: Vec<Bind>,
}

/// The options of the command line.
#[derive(clap::Args, Clone, Debug)]
pub struct ProxyArguments {
    /// Expect the PROXY protocol at this --bind, or all
    ///
    /// An address of --bind or --tls-bind; may be repeated. Each connection there must begin with a
    /// header of version 1 or 2 (haproxy: send-proxy, send-proxy-v2; nginx: proxy_protocol on),
    /// which names the client. Others are refused, and so are connections from proxies that
    /// --trusted-proxy does not name, if it names any.
    #[arg(
        long,
        value_name = "ADDR",
        value_delimiter = ',',
        env = "ONELOOP_PROXY_PROTOCOL",
        help_heading = LISTENING
    )]
    pub proxy_protocol: Vec<ProxiedBinds>,

    /// Let this proxy name its clients; may be repeated
    ///
    /// An address, a network (10.0.0.0/8, fd00::/8), or unix for every peer on a unix socket. The
    /// access log then has the address that the proxy names in X-Forwarded-For or Forwarded: the
    /// last one in the list that is not trusted. Let the proxy remove the field that it does not
    /// set, or its clients could send it. Commas separate several in one value.
    #[arg(
        long,
        value_name = "CIDR",
        value_delimiter = ',',
        env = "ONELOOP_TRUSTED_PROXY",
        help_heading = LOGGING
    )]
    pub trusted_proxy: Vec<Trusted>,
}

/// One value of `--proxy-protocol`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProxiedBinds {
    /// `all`.
    All,
    /// The address of one `--bind` or `--tls-bind`.
    One(BindArgument, String),
}

impl FromStr for ProxiedBinds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(Self::All),
            _ => Ok(Self::One(text.parse()?, text.to_owned())),
        }
    }
}

impl ProxyArguments {
    /// What they ask for. `binds` are the addresses of --bind and --tls-bind; `port` is the value
    /// of --port.
    ///
    /// # Errors
    /// An address is none of `binds`.
    pub fn config<'b>(
        &self,
        binds: impl Iterator<Item = &'b Bind> + Clone,
        port: u16,
    ) -> Result<ProxyConfig, String> {
        let mut proxied = Vec::new();
        for value in &self.proxy_protocol {
            let found = binds.clone().filter(|bind| match value {
                ProxiedBinds::All => true,
                ProxiedBinds::One(argument, _) => [port, TLS_PORT]
                    .map(|port| argument.clone().at(port))
                    .contains(bind),
            });
            let before = proxied.len();
            proxied.extend(found.cloned());
            if let (ProxiedBinds::One(_, text), true) = (value, proxied.len() == before) {
                return Err(format!(
                    "--proxy-protocol {text} is no address of --bind or --tls-bind"
                ));
            }
        }
        proxied.iter_mut().for_each(Bind::forget_socket);
        Ok(ProxyConfig {
            trusted: TrustedProxies::new(self.trusted_proxy.iter().copied()),
            binds: proxied,
        })
    }
}
