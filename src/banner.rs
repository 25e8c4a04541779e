//! The banner: what is printed when the server has started.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::ffi::OsStrExt;

use crate::config::{Config, Model, RootPath, SiteConfig};
use crate::listen::address::{self, Address, Interface};
use crate::site::path;

/// Most network addresses printed for one listener; the others are only counted.
const MAX_SHOWN: usize = 8;

/// Prints the banner to standard error. The server listens on `addresses`, and with TLS on `https`;
/// `admin` is that of the operator.
pub fn print(config: &Config, addresses: &[Address], https: &[Address], admin: Option<&Address>) {
    let mut all = addresses.iter().chain(https);
    let interfaces = match all.any(Address::names_interfaces) {
        true => address::interfaces(),
        false => Vec::new(),
    };
    let text = text(config, addresses, https, admin, &interfaces);
    // The server serves even if this cannot be written.
    let _ = io::stderr().write_all(text.as_bytes());
}

/// What is served, the addresses, who can reach them, and how to stop the server. Each line ends in
/// a newline. `interfaces` are those of this machine.
fn text(
    config: &Config,
    addresses: &[Address],
    https: &[Address],
    admin: Option<&Address>,
    interfaces: &[Interface],
) -> String {
    let mut text = format!("oneloop {} serves ", env!("CARGO_PKG_VERSION"));
    let sites = || std::iter::once(&config.site).chain(&config.other_sites);
    let names: Vec<_> = sites().map(name).collect();
    text.push_str(&names.join(", "));
    if config.model != Model::Reactor {
        text.push_str(&format!("  (model: {})", config.model.name()));
    }
    text.push_str("\n\n");

    // A single file is served at `/`, too, but a browser saves it under the name in its URL.
    let path = match &config.site.root {
        RootPath::File(path) => path.file_name().unwrap_or_default(),
        RootPath::Directory(_) => OsStr::new(""),
    };
    let base = match &*config.site.base {
        "" => String::new(),
        base => format!("{base}/"),
    };
    let segments = base
        .split('/')
        .map(|one| path::encode(one.as_bytes()).to_string());
    let base = segments.collect::<Vec<_>>().join("/");
    let path = format!("{base}{}", path::encode(path.as_bytes()));
    let plain = addresses.iter().map(|address| (address, "http"));
    let listeners = plain.chain(https.iter().map(|address| (address, "https")));
    let mut rows: Vec<_> = listeners
        .clone()
        .flat_map(|(address, scheme)| rows(address, scheme, interfaces))
        .collect();
    for (url, _) in &mut rows {
        if url.contains("://") {
            let _ = write!(url, "{path}");
        }
    }
    let admin = admin.iter();
    for (url, _) in admin.flat_map(|address| self::rows(address, "http", interfaces)) {
        rows.push((url, "for the operator, on this machine".to_owned()));
    }
    let width = rows.iter().map(|(url, _)| url.chars().count()).max();
    for (url, audience) in &rows {
        let width = width.unwrap_or(0);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {url:width$}  {audience}");
    }
    text.push('\n');
    let lists = |site: &SiteConfig| site.listing && matches!(site.root, RootPath::Directory(_));
    if sites().any(lists) && listeners.map(|(address, _)| address).any(is_open) {
        text.push_str(
            "warning: directory listings are open to the network (--no-listing closes them)\n",
        );
    }
    text.push_str("Stop it with Ctrl-C.\n");
    text
}

/// What a site serves, and for which hosts.
fn name(site: &SiteConfig) -> String {
    let path = printable(&site.root.path().to_string_lossy());
    let path = match &site.root {
        RootPath::File(_) => format!("the file {path}"),
        RootPath::Directory(_) => path,
    };
    match &*site.hosts {
        [] => path,
        hosts => format!("{path} ({})", hosts.join(" ")),
    }
}

/// The URLs of a listener and who can reach each. Those of this machine come first.
fn rows(address: &Address, scheme: &str, interfaces: &[Interface]) -> Vec<(String, String)> {
    let (local, dual_stack) = match *address {
        Address::Tcp { local, dual_stack } => (local, dual_stack),
        Address::Unix(_) | Address::Unnamed => {
            return vec![(printable(&address.to_string()), audience(address))];
        }
    };
    if !local.ip().is_unspecified() {
        let index = match local {
            SocketAddr::V6(v6) => v6.scope_id(),
            SocketAddr::V4(_) => 0,
        };
        let interface = interfaces.iter().find(|interface| interface.index == index);
        let zone = match (index, interface) {
            (0, _) => String::new(),
            (_, Some(interface)) => format!("%{}", printable(&interface.name)),
            (index, None) => format!("%{index}"),
        };
        return vec![(
            url(scheme, local.ip(), &zone, local.port()),
            audience(address),
        )];
    }
    let row = |ip, audience| (url(scheme, ip, "", local.port()), audience);
    let is_covered = |ip: &IpAddr| dual_stack || ip.is_ipv4() == local.is_ipv4();
    let home = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    let home = home.into_iter().filter(is_covered);
    let mut rows: Vec<_> = home.map(|ip| row(ip, "this machine".to_owned())).collect();

    let mut network: Vec<_> = interfaces
        .iter()
        .filter(|interface| is_covered(&interface.ip))
        .collect();
    network.retain(|interface| !interface.ip.is_loopback() && !is_link_local(interface.ip));
    network.sort_by_key(|interface| interface.ip.is_ipv6());
    network.dedup_by_key(|interface| interface.ip);
    if let (true, Some((_, audience))) = (network.is_empty(), rows.first_mut()) {
        *audience = self::audience(address);
    }
    for interface in network.iter().take(MAX_SHOWN) {
        let name = printable(&interface.name);
        rows.push(row(interface.ip, format!("the network ({name})")));
    }
    if network.len() > MAX_SHOWN {
        let more = network.len() - MAX_SHOWN;
        rows.push((format!("and {more} more"), audience(address)));
    }
    rows
}

/// A URL. `zone` is empty, or begins with a percent sign.
fn url(scheme: &str, ip: IpAddr, zone: &str, port: u16) -> String {
    let port = match (scheme, port) {
        ("http", 80) | ("https", 443) => String::new(),
        (_, port) => format!(":{port}"),
    };
    match ip {
        IpAddr::V4(ip) => format!("{scheme}://{ip}{port}/"),
        IpAddr::V6(ip) => format!("{scheme}://[{ip}{zone}]{port}/"),
    }
}

/// Browsers do not accept the zone that such an address needs, so it is not shown.
fn is_link_local(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local())
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

/// The text with control characters escaped: the name of a directory may contain some.
fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
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
        config.site.root = RootPath::Directory(PathBuf::from("/srv/www"));
        *config
    }

    fn tcp(local: &str, dual_stack: bool) -> Address {
        let local = local.parse().unwrap();
        Address::Tcp { local, dual_stack }
    }

    /// Two of the interfaces of this machine, and loopback.
    fn interfaces() -> Vec<Interface> {
        let table = [
            ("lo", 1, "127.0.0.1"),
            ("lo", 1, "::1"),
            ("eth0", 2, "fd00::2"),
            ("eth0", 2, "192.0.2.2"),
            ("eth0", 2, "fe80::2"),
            ("wg\u{1b}0", 3, "10.0.0.3"),
        ];
        let interface = |(name, index, ip): (&str, u32, &str)| Interface {
            name: name.to_owned(),
            index,
            ip: ip.parse().unwrap(),
        };
        table.map(interface).to_vec()
    }

    /// The lines with addresses.
    fn places(local: &str, dual_stack: bool, interfaces: &[Interface]) -> String {
        let text = text(
            &config(&[]),
            &[tcp(local, dual_stack)],
            &[],
            None,
            interfaces,
        );
        let places = text.split("\n\n").nth(1).unwrap();
        format!("{places}\n")
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
            text(&config(&[]), &addresses, &[], None, &[]),
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
        let warned = text(&config(&[]), &addresses, &[], None, &[]);
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
        let closed = text(&config(&["--no-listing"]), &addresses, &[], None, &[]);
        assert!(!closed.contains("warning"), "{closed}");
    }

    #[test]
    fn a_single_file_has_no_listing_to_warn_of() {
        let mut config = config(&[]);
        config.site.root = RootPath::File(PathBuf::from("/srv/a\nb"));
        let text = text(&config, &[tcp("0.0.0.0:1", false)], &[], None, &[]);
        assert!(text.contains(" serves the file /srv/a\\nb\n"), "{text}");
        assert!(
            text.contains("  http://127.0.0.1:1/a%0Ab  anyone"),
            "{text}"
        );
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
            let text = text(&config(&[]), &[tcp(local, dual_stack)], &[], None, &[]);
            assert!(text.contains(url) && text.contains(which), "{text}");
            assert!(text.contains("warning"), "{text}");
        }
    }

    #[test]
    fn every_interface_is_shown_with_the_addresses_that_others_can_use() {
        let all = interfaces();
        assert_eq!(
            places("0.0.0.0:8080", false, &all),
            "  http://127.0.0.1:8080/  this machine\n\
             \x20 http://192.0.2.2:8080/  the network (eth0)\n\
             \x20 http://10.0.0.3:8080/   the network (wg\\u{1b}0)\n"
        );
        assert_eq!(
            places("[::]:80", true, &all),
            "  http://127.0.0.1/  this machine\n\
             \x20 http://[::1]/      this machine\n\
             \x20 http://192.0.2.2/  the network (eth0)\n\
             \x20 http://10.0.0.3/   the network (wg\\u{1b}0)\n\
             \x20 http://[fd00::2]/  the network (eth0)\n"
        );
        assert_eq!(
            places("[::]:80", false, &all),
            "  http://[::1]/      this machine\n\
             \x20 http://[fd00::2]/  the network (eth0)\n"
        );
    }

    #[test]
    fn of_many_addresses_the_first_are_shown_and_the_others_counted() {
        let many = (0..100).map(|last| Interface {
            name: "eth0".to_owned(),
            index: 2,
            ip: Ipv4Addr::new(10, 0, 0, last).into(),
        });
        let text = places("0.0.0.0:80", false, &many.collect::<Vec<_>>());
        assert_eq!(text.lines().count(), 1 + MAX_SHOWN + 1, "{text}");
        assert!(text.contains("  and 92 more "), "{text}");
    }

    #[test]
    fn a_link_local_address_is_shown_with_its_zone() {
        for (local, expected) in [
            ("[fe80::2%2]:80", "http://[fe80::2%eth0]/"),
            ("[fe80::2%9]:8080", "http://[fe80::2%9]:8080/"),
        ] {
            let text = places(local, false, &interfaces());
            assert!(text.contains(expected), "{text}");
        }
    }
}
