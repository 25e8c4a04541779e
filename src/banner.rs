//! The front door: what does a person read when the server has started? Text only, made from
//! what was asked for (config) and what came of it (`reactor::address`), the two it
//! imports; main prints it.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::config::{Config, Model, Root};
use crate::reactor::address::Address;

/// What is served, where, who can reach it, and how to stop it; each line ends in a newline.
/// `addresses` are those that are really listened on.
pub fn banner(config: &Config, addresses: &[Address]) -> String {
    let mut text = format!("oneloop {} serves ", env!("CARGO_PKG_VERSION"));
    if let Root::File(_) = config.root {
        text.push_str("the file ");
    }
    text.push_str(&printable(&config.root.path().to_string_lossy()));
    if config.model != Model::Reactor {
        text.push_str(&format!("  (model: {})", config.model.name()));
    }
    text.push_str("\n\n");

    let places: Vec<_> = addresses.iter().map(place).collect();
    let width = places.iter().map(|place| place.chars().count()).max();
    for (address, place) in addresses.iter().zip(&places) {
        let width = width.unwrap_or(0);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {place:width$}  {}", audience(address));
    }
    text.push('\n');
    let lists = config.listing && matches!(config.root, Root::Directory(_));
    if lists && addresses.iter().any(is_open) {
        text.push_str(
            "warning: directory listings are open to the network (--no-listing closes them)\n",
        );
    }
    text.push_str("Stop it with Ctrl-C.\n");
    text
}

/// Something to click on or to copy.
fn place(address: &Address) -> String {
    match *address {
        Address::Tcp { local, dual_stack } => {
            let local = SocketAddr::new(reachable(local.ip(), dual_stack), local.port());
            match (local, local.port()) {
                (SocketAddr::V4(v4), 80) => format!("http://{}/", v4.ip()),
                (SocketAddr::V6(v6), 80) => format!("http://[{}]/", v6.ip()),
                _ => format!("http://{local}/"),
            }
        }
        Address::Unix(_) | Address::Unnamed => printable(&address.to_string()),
    }
}

/// "Every interface" is no address to connect to; loopback is one of them.
fn reachable(ip: IpAddr, dual_stack: bool) -> IpAddr {
    if !ip.is_unspecified() {
        ip
    } else if ip.is_ipv4() || dual_stack {
        Ipv4Addr::LOCALHOST.into()
    } else {
        Ipv6Addr::LOCALHOST.into()
    }
}

fn audience(address: &Address) -> String {
    match *address {
        Address::Tcp { local, dual_stack } if local.ip().is_unspecified() => {
            let which = if dual_stack || local.is_ipv4() {
                "every interface"
            } else {
                "every IPv6 interface"
            };
            format!("anyone who can reach this machine on the network ({which})")
        }
        Address::Tcp { local, .. } if is_open(address) => {
            format!("anyone who can reach {} on the network", local.ip())
        }
        Address::Tcp { .. } | Address::Unix(_) | Address::Unnamed => "only this machine".to_owned(),
    }
}

fn is_open(address: &Address) -> bool {
    match address {
        Address::Tcp { local, .. } => !local.ip().to_canonical().is_loopback(),
        Address::Unix(_) | Address::Unnamed => false,
    }
}

/// A directory may be named to drive a terminal.
fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for one in text.chars() {
        if one.is_control() {
            shown.extend(one.escape_default());
        } else {
            shown.push(one);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Invocation;
    use std::path::PathBuf;

    fn config(args: &[&str]) -> Config {
        let args = ["oneloop"].iter().chain(args);
        let Ok(Invocation::Serve(mut config)) = Invocation::from_args(args) else {
            panic!("these arguments are fine");
        };
        config.root = Root::Directory(PathBuf::from("/srv/www"));
        *config
    }

    fn tcp(local: &str, dual_stack: bool) -> Address {
        let local = local.parse().unwrap();
        Address::Tcp { local, dual_stack }
    }

    fn version(text: &str) -> String {
        text.replace("VERSION", env!("CARGO_PKG_VERSION"))
    }

    #[test]
    fn at_home_it_says_that_only_this_machine_can_reach_it() {
        let addresses = [
            tcp("127.0.0.1:7890", false),
            tcp("[::1]:80", false),
            Address::Unix("/run/\u{1b}[2J".into()),
            Address::Unnamed,
        ];
        assert_eq!(
            banner(&config(&[]), &addresses),
            version(
                "oneloop VERSION serves /srv/www\n\
                 \n\
                 \x20 http://127.0.0.1:7890/  only this machine\n\
                 \x20 http://[::1]/           only this machine\n\
                 \x20 unix:/run/\\u{1b}[2J     only this machine\n\
                 \x20 unix:(unnamed)          only this machine\n\
                 \n\
                 Stop it with Ctrl-C.\n"
            )
        );
    }

    #[test]
    fn an_open_listing_is_warned_of() {
        let addresses = [tcp("0.0.0.0:8080", false), tcp("192.0.2.7:80", false)];
        let warned = banner(&config(&[]), &addresses);
        assert_eq!(
            warned,
            version(
                "oneloop VERSION serves /srv/www\n\
                 \n\
                 \x20 http://127.0.0.1:8080/  \
                 anyone who can reach this machine on the network (every interface)\n\
                 \x20 http://192.0.2.7/       anyone who can reach 192.0.2.7 on the network\n\
                 \n\
                 warning: directory listings are open to the network \
                 (--no-listing closes them)\n\
                 Stop it with Ctrl-C.\n"
            )
        );
        let closed = banner(&config(&["--no-listing"]), &addresses);
        assert!(!closed.contains("warning"), "{closed}");
    }

    #[test]
    fn a_single_file_has_no_listing_to_warn_of() {
        let mut config = config(&[]);
        config.root = Root::File(PathBuf::from("/srv/a\nb"));
        let text = banner(&config, &[tcp("0.0.0.0:1", false)]);
        assert!(text.contains(" serves the file /srv/a\\nb\n"), "{text}");
        assert!(!text.contains("warning"), "{text}");
    }

    #[test]
    fn every_interface_is_shown_as_a_loopback_address_that_answers() {
        let table = [
            (
                "[::]:7890",
                true,
                "http://127.0.0.1:7890/",
                "(every interface)",
            ),
            (
                "[::]:7890",
                false,
                "http://[::1]:7890/",
                "(every IPv6 interface)",
            ),
            (
                "0.0.0.0:80",
                false,
                "http://127.0.0.1/",
                "(every interface)",
            ),
        ];
        for (local, dual_stack, url, which) in table {
            let text = banner(&config(&[]), &[tcp(local, dual_stack)]);
            assert!(text.contains(url) && text.contains(which), "{text}");
            assert!(text.contains("warning"), "{text}");
        }
    }
}
