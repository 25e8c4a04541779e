//! Rules: what the configuration says of paths.
//!
//! Those about files (cache, headers, type, encoding, disposition) are applied when a file is
//! opened, not for each request: its headers are rendered once. Redirects and rewrites are looked
//! up for each request, before the file.
//!
//! For each property, the first rule in order that matches and has it applies. Each header is a
//! property of its own, so a rule never removes a header that another one adds.

mod cache;
mod pattern;
mod target;

pub use super::content_fields::Disposition;
pub use cache::CachePolicy;
pub use pattern::Pattern;
pub use target::Target;

use super::content_fields::{disposition, is_about_content};
use crate::http::fields::{FieldLines, Fields, list};
use crate::http::negotiate::Coding;
use crate::http::status::Status;
use std::fmt;

/// What a rule says of the paths that match one of its patterns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// For which paths it is.
    pub paths: Vec<Pattern>,
    /// How long caches may store files.
    pub cache: Option<CachePolicy>,
    /// Headers; those about content are only for files.
    pub headers: FieldLines,
    /// The media type of files.
    pub media_type: Option<String>,
    /// The coding that files are in, whatever the client accepts.
    pub encoding: Option<Coding>,
    /// Whether a browser shows a file or saves it.
    pub disposition: Option<Disposition>,
    /// Where else the request leads.
    pub action: Option<Action>,
}

/// Where a request leads instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The client asks there.
    Redirect(Status, Target),
    /// The site answers with what is there.
    Rewrite(Target),
}

/// The rules of a site.
#[derive(Debug)]
pub(super) struct Rules {
    rules: Vec<Rule>,
    index: Vec<Vec<u8>>,
    clean_urls: bool,
}

impl Rules {
    /// `index` are the names of index files; `clean_urls`: the address of a page may lack its
    /// `.html`.
    pub(super) fn new(rules: Vec<Rule>, index: Vec<Vec<u8>>, clean_urls: bool) -> Self {
        Self {
            rules,
            index,
            clean_urls,
        }
    }

    /// What the rules say of the file `name`. A rule is for a file if it matches its path or an
    /// address that leads to it: `/docs/` for `docs/index.html`, `/about` for `about.html` with
    /// clean URLs.
    pub(super) fn of_file(&self, name: &[u8]) -> FileProperties<'_> {
        let addresses = self.addresses(name);
        let mut properties = FileProperties::default();
        for rule in &self.rules {
            if !addresses.iter().any(|address| rule.matches(address)) {
                continue;
            }
            let mut lines = rule.headers.clone();
            if let Some(cache) = &rule.cache {
                lines.push("Cache-Control", cache.value(name));
            }
            if let Some(kind) = rule.disposition {
                let file = name.rsplit(|&byte| byte == b'/').next().unwrap_or(name);
                lines.push_metadata("Content-Disposition", disposition(kind, file));
            }
            add_missing(&mut properties.headers, lines);
            let type_of_rule = rule.media_type.as_deref();
            properties.media_type = properties.media_type.or(type_of_rule);
            properties.encoding = properties.encoding.or(rule.encoding);
        }
        properties
    }

    fn addresses(&self, name: &[u8]) -> Vec<Vec<u8>> {
        let path = [b"/", name].concat();
        let (directory, file) = match path.iter().rposition(|&byte| byte == b'/') {
            Some(slash) => path.split_at(slash + 1),
            None => (&b""[..], &path[..]),
        };
        let mut addresses = Vec::new();
        if self.index.iter().any(|index| index == file) {
            addresses.push(directory.to_vec());
        }
        if let (true, Some(stem)) = (self.clean_urls, path.strip_suffix(b".html")) {
            addresses.push(stem.to_vec());
        }
        addresses.push(path);
        addresses
    }

    /// The headers for a response at `path` that sends no file: an error, a redirect, a listing.
    pub(super) fn of_response(&self, path: &[u8]) -> FieldLines {
        let mut headers = FieldLines::new();
        for rule in self.rules.iter().filter(|rule| rule.matches(path)) {
            let mut lines = rule.headers.clone();
            lines.retain(|name| !is_about_content(name));
            add_missing(&mut headers, lines);
        }
        headers
    }

    /// The redirect or rewrite for `path`, and where it leads: a reference whose path begins with a
    /// slash, or an absolute URL. A redirect from a path to itself is none.
    pub(super) fn action(&self, path: &[u8]) -> Option<(&Action, String)> {
        self.rules.iter().find_map(|rule| {
            let action = rule.action.as_ref()?;
            let pattern = rule.paths.iter().find(|pattern| pattern.matches(path))?;
            let (Action::Redirect(_, target) | Action::Rewrite(target)) = action;
            let expanded = target.expand(path, pattern);
            let is_same = target.leads_to(&expanded, path);
            (!is_same).then_some((action, expanded))
        })
    }
}

impl Rule {
    /// A rule for all files.
    pub fn caching(cache: CachePolicy) -> Self {
        Self {
            paths: vec![Pattern::everything()],
            cache: Some(cache),
            ..Self::default()
        }
    }

    fn matches(&self, path: &[u8]) -> bool {
        self.paths.iter().any(|pattern| pattern.matches(path))
    }
}

/// What the rules say of one file.
#[derive(Debug, Default)]
pub(super) struct FileProperties<'r> {
    headers: FieldLines,
    pub(super) media_type: Option<&'r str>,
    pub(super) encoding: Option<Coding>,
}

impl FileProperties<'_> {
    pub(super) fn set_headers(self, headers: &mut FieldLines) {
        set(headers, &self.headers);
    }
}

/// Adds `lines` to `headers`. They replace those of the same name; Vary is joined.
pub(super) fn set(headers: &mut FieldLines, lines: &FieldLines) {
    if lines.as_bytes().is_empty() {
        return;
    }
    let is_vary = |name: &[u8]| name.eq_ignore_ascii_case(b"Vary");
    let mut others = lines.clone();
    others.retain(|name| !is_vary(name));
    headers.retain(|name| !others.has_name(name));
    headers.extend(&others);
    for value in Fields::new(lines.as_bytes()).all("Vary") {
        for name in list(value) {
            headers.push_vary(&String::from_utf8_lossy(name));
        }
    }
}

/// Adds the lines whose name `headers` does not have yet.
fn add_missing(headers: &mut FieldLines, mut lines: FieldLines) {
    lines.retain(|name| !headers.has_name(name));
    headers.extend(&lines);
}

/// A rule that would redirect a client without end.
#[derive(Debug)]
pub struct EndlessRedirect {
    /// Its index.
    pub rule: usize,
    /// From where.
    pattern: Pattern,
}

impl fmt::Display for EndlessRedirect {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pattern = &self.pattern;
        write!(
            out,
            "{pattern}: a client would be redirected from there without end"
        )
    }
}

/// Follows the redirects of `rules` from each of their targets.
///
/// # Errors
/// The first rule whose redirects have no end.
pub fn check_redirects(rules: &[Rule]) -> Result<(), EndlessRedirect> {
    /// More redirects than a browser follows.
    const MAX_REDIRECTS: usize = 20;
    let all = Rules::new(rules.to_vec(), Vec::new(), false);
    let rules = rules.iter().enumerate();
    let patterns = rules.flat_map(|(rule, found)| found.paths.iter().map(move |path| (rule, path)));
    for (rule, pattern) in patterns {
        let mut path = pattern.example();
        let mut is_ended = false;
        for _ in 0..MAX_REDIRECTS {
            match all.action(&path) {
                Some((Action::Redirect(_, target), location)) if target.is_local() => {
                    path = target::path_of(&location);
                }
                _ => {
                    is_ended = true;
                    break;
                }
            }
        }
        if !is_ended {
            let pattern = pattern.clone();
            return Err(EndlessRedirect { rule, pattern });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(path: &str) -> Rule {
        Rule {
            paths: vec![path.parse().unwrap()],
            ..Rule::default()
        }
    }

    fn redirect(path: &str, target: &str) -> Rule {
        Rule {
            action: Some(Action::Redirect(Status::Found, target.parse().unwrap())),
            ..rule(path)
        }
    }

    fn rules(rules: Vec<Rule>) -> Rules {
        Rules::new(rules, vec![b"index.html".to_vec()], true)
    }

    #[test]
    fn the_first_rule_with_a_property_applies_and_none_removes_a_header_of_another() {
        let header = |path, name, value| {
            let mut rule = rule(path);
            rule.headers.push(name, value);
            rule
        };
        let rules = rules(vec![
            header("/a/*", "X-One", "1"),
            header("/**", "x-one", "2"),
            header("/**", "X-Two", "2"),
        ]);
        let lines = |name: &str| {
            let properties = rules.of_file(name.as_bytes());
            String::from_utf8(properties.headers.as_bytes().to_vec()).unwrap()
        };
        assert_eq!(lines("a/b"), "X-One: 1\r\nX-Two: 2\r\n");
        assert_eq!(lines("b"), "x-one: 2\r\nX-Two: 2\r\n");
    }

    #[test]
    fn a_rule_is_for_the_path_of_a_file_and_for_the_addresses_that_lead_to_it() {
        for (path, name, expected) in [
            ("/", "index.html", true),
            ("/index.html", "index.html", true),
            ("*.html", "index.html", true),
            ("/docs/", "docs/index.html", true),
            ("/docs", "docs/index.html", false),
            ("/about", "about.html", true),
            ("/about", "about.htm", false),
            ("/", "about.html", false),
        ] {
            let rules = rules(vec![Rule {
                encoding: Some(Coding::Gzip),
                ..rule(path)
            }]);
            let found = rules.of_file(name.as_bytes()).encoding.is_some();
            assert_eq!(found, expected, "{path} {name}");
        }
    }

    #[test]
    fn redirects_without_end_are_found() {
        for (table, is_good) in [
            (&[("/a", "/b")][..], true),
            (&[("/a", "/b"), ("/b", "/c")], true),
            (&[("/a", "/b"), ("/b", "/a")], false),
            (&[("/a/**", "/a/x/{rest}")], false),
            (&[("/a/**", "/b/{rest}")], true),
            (&[("/**", "/closed.html")], true),
            (&[("/**", "https://example.org/{path}")], true),
            (&[("/a/*", "/a/b"), ("/a/b", "/a/c")], false),
        ] {
            let rules: Vec<_> = table.iter().map(|(from, to)| redirect(from, to)).collect();
            assert_eq!(check_redirects(&rules).is_ok(), is_good, "{table:?}");
        }
    }
}
