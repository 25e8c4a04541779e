//! The keys of a `[[site]]` in the configuration file: `hosts`, and the options that are about a
//! site.

use clap::{Arg, ArgAction, Command};

use super::help_text::SITE;
use super::passwords::ProtectTable;
use crate::site::rules::Rule;

/// The hosts of a site.
pub const HOSTS: &str = "hosts";

/// What a `[[site]]` has besides options.
#[derive(Clone, Debug, Default)]
pub struct SiteParts {
    /// In lower case; at least one, except for the first site.
    pub hosts: Vec<String>,
    /// Those of the site, and those of all sites.
    pub rules: Vec<Rule>,
    /// Those of the site, and those of all sites.
    pub protect: Vec<ProtectTable>,
}

/// The keys of a site, as arguments.
pub fn parser(options: &Command) -> Command {
    let is_about_site = |arg: &&Arg| {
        arg.get_id() == "root" || arg.get_id() != "page" && arg.get_help_heading() == Some(SITE)
    };
    let args = options.get_arguments().filter(is_about_site).cloned();
    let hosts = Arg::new(HOSTS)
        .long(HOSTS)
        .action(ArgAction::Append)
        .value_parser(host);
    Command::new("site")
        .disable_help_flag(true)
        .args(args)
        .arg(hosts)
}

/// A host without its port, in lower case; `*.example.org` is every name below `example.org`.
fn host(text: &str) -> Result<String, String> {
    let name = text.strip_prefix("*.").unwrap_or(text);
    let address = name
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let is_host = match address {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok() && name == text,
        None => !name.is_empty() && !name.starts_with('.') && name.bytes().all(is_name),
    };
    if !is_host {
        return Err(
            "a host without a port, such as example.org, *.example.org, 127.0.0.1 or [::1]"
                .to_owned(),
        );
    }
    let text = text.strip_suffix('.').unwrap_or(text);
    Ok(text.to_ascii_lowercase())
}
