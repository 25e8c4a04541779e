//! The Host field and the target of CONNECT. Input: its value.

use super::opinion;
use oneloop::http::host::{is_host, is_host_and_port};

pub fn check(data: &[u8]) {
    assert_eq!(is_host(data), opinion::is_host(data));
    assert_eq!(is_host_and_port(data), opinion::is_host_and_port(data));
    // What the standard library parses is an address.
    if let Ok(text) = std::str::from_utf8(data)
        && !text.contains('%')
        && !text.starts_with(['v', 'V'])
    {
        let bracketed = format!("[{text}]:80");
        let is_address = text.parse::<std::net::Ipv6Addr>().is_ok();
        assert_eq!(is_host(bracketed.as_bytes()), is_address);
        assert_eq!(opinion::is_host(bracketed.as_bytes()), is_address);
    }
}
