//! Several sites, chosen by the host of a request (virtual hosts).

use super::Site;
use crate::clock::Now;
use crate::http::request::{Refusal, Request};
use crate::http::response::Response;
use std::collections::HashMap;
use std::time::Instant;

/// The sites of a server. They share their file caches: the bounds are those of all together.
#[derive(Debug)]
pub struct Sites {
    first: Site,
    others: Vec<Site>,
    /// `None`: the first site answers every request.
    hosts: Option<Hosts>,
    /// The site that has the caches: 0 is the first.
    current: usize,
}

/// What requests name, and the sites that answer.
#[derive(Debug, Default)]
pub struct Hosts {
    names: HashMap<Vec<u8>, usize>,
    /// Endings of names with their dot (`.example.org`), longest first.
    endings: Vec<(Vec<u8>, usize)>,
    refuses_unknown: bool,
    /// The host of a request in lower case.
    buffer: Vec<u8>,
}

impl From<Site> for Sites {
    fn from(site: Site) -> Self {
        Self {
            first: site,
            others: Vec::new(),
            hosts: None,
            current: 0,
        }
    }
}

impl Sites {
    /// The sites that `hosts` numbers. All others come after `first`.
    pub fn new(mut first: Site, mut others: Vec<Site>, hosts: Hosts) -> Self {
        for (index, site) in others.iter_mut().enumerate() {
            site.files.set_site(index + 1);
        }
        first.files.set_site(0);
        Self {
            first,
            others,
            hosts: Some(hosts),
            current: 0,
        }
    }

    /// Answers a request.
    pub fn respond(&mut self, request: &Request<'_>, now: Now) -> Response {
        let Some(hosts) = &mut self.hosts else {
            return self.first.respond(request, now);
        };
        match hosts.find(request.host) {
            Some(site) => self.select(site).respond(request, now),
            None => self.first.misdirected(request),
        }
    }

    /// See [`Site::realm_of`].
    pub fn realm_of(&mut self, request: &Request<'_>) -> Option<usize> {
        self.site_for(request)?.realm_of(request)
    }

    /// Answers a request without the password of a realm, whose `challenge` is sent (RFC 9110
    /// 11.6.1).
    pub fn unauthorized(&mut self, request: &Request<'_>, challenge: &str, now: Now) -> Response {
        match self.site_for(request) {
            Some(site) => site.unauthorized(request, challenge, now),
            None => self.first.misdirected(request),
        }
    }

    /// Answers a request that must be sent again later.
    pub fn busy(&mut self, request: &Request<'_>, now: Now) -> Response {
        match self.site_for(request) {
            Some(site) => site.busy(request, now),
            None => self.first.misdirected(request),
        }
    }

    /// The site that answers a request, which gets the caches.
    fn site_for(&mut self, request: &Request<'_>) -> Option<&mut Site> {
        let site = match &mut self.hosts {
            Some(hosts) => hosts.find(request.host)?,
            None => 0,
        };
        Some(self.select(site))
    }

    /// Whether a site answers requests for this host.
    pub fn answers_for(&mut self, host: Option<&[u8]>) -> bool {
        let hosts = self.hosts.as_mut();
        hosts.is_none_or(|hosts| hosts.find(host).is_some())
    }

    /// The site with this number, which gets the caches.
    fn select(&mut self, number: usize) -> &mut Site {
        if number != self.current {
            if let Some(current) = self.current.checked_sub(1)
                && let Some(site) = self.others.get_mut(current)
            {
                site.files.swap_caches(&mut self.first.files);
            }
            self.current = 0;
            if let Some(other) = number.checked_sub(1)
                && let Some(site) = self.others.get_mut(other)
            {
                site.files.swap_caches(&mut self.first.files);
                self.current = number;
            }
        }
        match self.current.checked_sub(1) {
            Some(other) => self.others.get_mut(other).unwrap_or(&mut self.first),
            None => &mut self.first,
        }
    }

    /// Answers a request that cannot be parsed.
    pub fn refuse(&self, refusal: &Refusal<'_>) -> Response {
        self.first.refuse(refusal)
    }

    /// Ends an iteration of the loop: closes files that are neither cached nor being sent.
    pub fn end_iteration(&mut self, now: Now) {
        self.select(self.current).end_iteration(now);
    }

    /// When [`end_iteration`](Self::end_iteration) is due, even without a request.
    pub fn next_due(&mut self) -> Option<Instant> {
        self.select(self.current).next_due()
    }

    /// Empties the caches, and closes files that are not being sent.
    pub fn forget_files(&mut self) {
        // Compressed files are with every site that compresses.
        self.first.forget_files();
        self.others.iter_mut().for_each(Site::forget_files);
    }
}

impl Hosts {
    /// No hosts yet. `refuses_unknown`: a request for a host that no site has gets a 421 (RFC 9110
    /// 7.4), else the first site answers it.
    pub fn new(refuses_unknown: bool) -> Self {
        Self {
            refuses_unknown,
            ..Self::default()
        }
    }

    /// Adds a host in lower case, without a port; `*.example.org` is every name below it.
    pub fn add(&mut self, host: &str, site: usize) {
        match host.strip_prefix('*') {
            Some(ending) => {
                self.endings.push((ending.as_bytes().to_vec(), site));
                self.endings
                    .sort_by_key(|(ending, _)| std::cmp::Reverse(ending.len()));
            }
            None => {
                self.names.insert(host.as_bytes().to_vec(), site);
            }
        }
    }

    /// The site for a host. `None`: no site has it, and such requests are refused.
    fn find(&mut self, host: Option<&[u8]>) -> Option<usize> {
        let default = (!self.refuses_unknown).then_some(0);
        let Some(host) = host else {
            return default;
        };
        self.buffer.clear();
        self.buffer.extend_from_slice(without_port(host));
        self.buffer.make_ascii_lowercase();
        let name = self.buffer.strip_suffix(b".").unwrap_or(&self.buffer);
        if let Some(site) = self.names.get(name) {
            return Some(*site);
        }
        let mut endings = self.endings.iter();
        let found = endings.find(|(ending, _)| {
            name.strip_suffix(&**ending)
                .is_some_and(|rest| !rest.is_empty())
        });
        found.map(|(_, site)| *site).or(default)
    }
}

/// The host without its port. An IPv6 address is in brackets.
fn without_port(host: &[u8]) -> &[u8] {
    match host.iter().rposition(|&byte| byte == b':' || byte == b']') {
        Some(colon) if host.get(colon) == Some(&b':') => host.split_at(colon).0,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_no_case_no_port_and_no_last_dot() {
        let mut hosts = Hosts::new(true);
        for (host, site) in [
            ("example.org", 1),
            ("*.example.org", 2),
            ("*.a.example.org", 3),
            ("[::1]", 4),
            ("b.example.org", 5),
        ] {
            hosts.add(host, site);
        }
        for (host, expected) in [
            ("example.org", Some(1)),
            ("EXAMPLE.org:8080", Some(1)),
            ("example.org.", Some(1)),
            ("example.org.:80", Some(1)),
            ("example.org:", Some(1)),
            ("x.example.org", Some(2)),
            ("x.y.example.org", Some(2)),
            ("x.a.example.org", Some(3)),
            ("b.example.org", Some(5)),
            ("[::1]:80", Some(4)),
            ("[::1]", Some(4)),
            (".example.org", None),
            ("evilexample.org", None),
            ("example.org.evil", None),
            ("[::2]", None),
            ("", None),
        ] {
            assert_eq!(hosts.find(Some(host.as_bytes())), expected, "{host}");
        }
        assert_eq!(hosts.find(None), None);
        hosts.refuses_unknown = false;
        assert_eq!(hosts.find(Some(b"other")), Some(0));
        assert_eq!(hosts.find(None), Some(0));
    }
}
