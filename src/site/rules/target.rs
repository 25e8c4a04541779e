//! Where a redirect or a rewrite leads.

use super::pattern::Pattern;
use crate::site::path::{self, SitePath};
use std::str::FromStr;

/// A path that begins with a slash, or for a redirect an `http:` or `https:` URL. `{path}` is the
/// requested path without its first slash, `{rest}` the part of it that a `**` at the end of the
/// rule's pattern matches. Both are escaped when they are put in, and only after the slash that
/// follows the host, so a request cannot choose another host (CWE-601) or end the header line
/// (CWE-113).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target(String);

const PATH: &str = "{path}";
const REST: &str = "{rest}";

impl Target {
    /// Whether it is a path.
    pub fn is_local(&self) -> bool {
        self.0.starts_with('/')
    }

    /// Whether it has its own query.
    pub(in crate::site) fn has_query(&self) -> bool {
        let before_fragment = self.0.split('#').next();
        before_fragment.is_some_and(|text| text.contains('?'))
    }

    /// Whether `{rest}` is in it.
    pub fn needs_rest(&self) -> bool {
        self.0.contains(REST)
    }

    /// Whether it is the path of a rewrite: it has neither a host nor a query.
    pub fn is_path(&self) -> bool {
        self.is_local() && !self.0.contains(['?', '#'])
    }

    /// The reference for a request of `path`, which `pattern` matches.
    pub(super) fn expand(&self, path: &[u8], pattern: &Pattern) -> String {
        let before = pattern.before_rest().unwrap_or("/").as_bytes();
        let rest = path.strip_prefix(before).unwrap_or(b"");
        let whole = path.strip_prefix(b"/").unwrap_or(path);
        let expanded = self.0.replace(REST, &encode(rest));
        let expanded = expanded.replace(PATH, &encode(whole));
        match self.is_local() {
            // Two slashes would begin a host.
            true => format!("/{}", expanded.trim_start_matches('/')),
            false => expanded,
        }
    }

    /// Whether `expanded` is `path` itself.
    pub(super) fn leads_to(&self, expanded: &str, path: &[u8]) -> bool {
        self.is_local() && path_of(expanded) == path
    }
}

/// The decoded path of a reference that begins with a slash.
pub(super) fn path_of(reference: &str) -> Vec<u8> {
    let path = reference.split(['?', '#']).next().unwrap_or(reference);
    percent_encoding::percent_decode_str(path).collect()
}

fn encode(name: &[u8]) -> String {
    let segments = name.split(|&byte| byte == b'/');
    let segments: Vec<_> = segments.map(|one| path::encode(one).to_string()).collect();
    segments.join("/")
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let example = "a path such as /new/{rest}, or a URL such as https://example.org/{path}";
        let is_url_byte = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`|".contains(&byte);
        if !text.bytes().all(is_url_byte) {
            return Err(format!(
                "{text:?} holds what a URL does not: escape it with %"
            ));
        }
        let plain = text.replace(PATH, "x").replace(REST, "x");
        if plain.contains(['{', '}']) {
            return Err("{path} and {rest} are all that can be put in".to_owned());
        }
        if text.starts_with("//") {
            return Err(format!("two slashes begin a host; write {example}"));
        }
        if !text.starts_with('/') {
            let after_scheme = ["https://", "http://"]
                .iter()
                .find_map(|scheme| text.strip_prefix(scheme));
            let host = after_scheme.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or(rest));
            return match host {
                Some("") | None => Err(format!("{text:?} is not {example}")),
                Some(host) if host.contains('{') => {
                    Err("a slash follows the host: https://example.org/{path}".to_owned())
                }
                Some(_) => Ok(Self(text.to_owned())),
            };
        }
        let path = plain.split(['?', '#']).next().unwrap_or(&plain);
        SitePath::decode(path.as_bytes(), &mut Vec::new())
            .map_err(|error| format!("{text:?} cannot be a path: {}", error.0))?;
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(pattern: &str, target: &str, path: &[u8]) -> String {
        let target = target.parse::<Target>().unwrap();
        target.expand(path, &pattern.parse().unwrap())
    }

    #[test]
    fn parts_of_the_path_are_put_in_escaped() {
        for (pattern, target, path, expected) in [
            ("/old/**", "/new/{rest}", "/old/a/b", "/new/a/b"),
            ("/old/**", "/new/{rest}", "/old/", "/new/"),
            ("/old/**", "/{rest}", "/old/a b/ü/", "/a%20b/%C3%BC/"),
            (
                "/**",
                "https://example.org/{path}",
                "/a?b",
                "https://example.org/a%3Fb",
            ),
            ("*.htm", "/{path}l", "/a/b.htm", "/a/b.html"),
            ("/old/**", "/{rest}/x", "/old/", "/x"),
            ("/**", "/{rest}", "/\\evil.org", "/%5Cevil.org"),
            ("/**", "/{rest}", "/a\r\nX: y", "/a%0D%0AX%3A%20y"),
            ("/a", "/{path}?x=1", "/a", "/a?x=1"),
        ] {
            let expanded = expand(pattern, target, path.as_bytes());
            assert_eq!(expanded, expected, "{pattern} {target} {path}");
        }
        assert_eq!(expand("/**", "/{rest}", b"//evil.org/"), "/evil.org/");
        assert_eq!(expand("/**", "/{rest}", b"/\xff"), "/%FF");
    }

    #[test]
    fn a_target_that_a_request_could_turn_elsewhere_is_refused() {
        for (text, expected) in [
            ("new", "is not a path"),
            ("//example.org", "two slashes begin a host"),
            ("https://example.org{path}", "a slash follows the host"),
            ("https://{path}/", "a slash follows the host"),
            ("https:///x", "is not a path"),
            ("javascript:alert(1)", "is not a path"),
            ("/a b", "escape it"),
            ("/\\a", "escape it"),
            ("/a\r\nX: y", "escape it"),
            ("/../a", "climbs above the root"),
            ("/%zz", "two hexadecimal digits"),
            ("/{1}", "are all that can be put in"),
            ("/ü", "escape it"),
        ] {
            let error = text.parse::<Target>().unwrap_err();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }
}
