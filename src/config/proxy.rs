//! The options for a server behind a proxy. The comments of the fields are the help and the manual
//! page.

use super::help_text::LOGGING;
use crate::proxy::trusted::Trusted;

/// The options of the command line.
#[derive(clap::Args, Clone, Debug)]
pub struct ProxyArguments {
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
