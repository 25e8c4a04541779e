//! Which paths only the users of a realm may request.

use super::options::{Protected, SiteOptions};

/// Whether a path that is protected is about `name`. Without case: a file system may have none.
fn covers(protected: &Protected, name: &[u8]) -> bool {
    let Some((start, rest)) = name.split_at_checked(protected.name.len()) else {
        return false;
    };
    start.eq_ignore_ascii_case(&protected.name)
        && (start.is_empty() || matches!(rest, [] | [b'/', ..]))
}

/// The realm of a request for one of `names`: that of the longest path that covers one of them, or
/// of a file that the site may send for one of them.
pub(super) fn realm_of(options: &SiteOptions, names: &[Vec<u8>]) -> Option<usize> {
    let mut all = names.to_vec();
    for name in names {
        let beneath = |file: &Vec<u8>| match &**name {
            [] => file.clone(),
            name => [name, b"/", file].concat(),
        };
        all.extend(options.index.iter().map(beneath));
        if options.clean_urls {
            all.push([name, &b".html"[..]].concat());
        }
    }
    if options.spa {
        all.extend(options.index.iter().cloned());
    }
    let covers = |protected: &&Protected| all.iter().any(|name| covers(protected, name));
    // Of two equal paths, the first one.
    let covering = options.protected.iter().rev().filter(covers);
    covering.max_by_key(|one| one.name.len())?.realm
}

#[cfg(test)]
mod tests {
    use super::*;

    fn realm(options: &SiteOptions, name: &str) -> Option<usize> {
        realm_of(options, &[name.as_bytes().to_vec()])
    }

    fn options(table: &[(&str, Option<usize>)]) -> SiteOptions {
        let protected = table.iter().map(|&(name, realm)| Protected {
            name: name.into(),
            realm,
        });
        SiteOptions {
            protected: protected.collect(),
            index: vec![b"index.html".to_vec()],
            ..SiteOptions::default()
        }
    }

    #[test]
    fn the_longest_path_counts_by_whole_names_and_without_case() {
        let options = options(&[
            ("a", Some(1)),
            ("a/b", Some(2)),
            ("a/b/open", None),
            ("a", Some(3)),
        ]);
        for (name, expected) in [
            ("", None),
            ("b", None),
            ("ab", None),
            ("a", Some(1)),
            ("A/x", Some(1)),
            ("a/bc", Some(1)),
            ("a/b", Some(2)),
            ("a/B/c/d", Some(2)),
            ("a/b/open", None),
            ("a/b/open/x", None),
            ("a/b/opened", Some(2)),
        ] {
            assert_eq!(realm(&options, name), expected, "{name:?}");
        }
        let all = self::options(&[("", Some(0)), ("open", None)]);
        assert_eq!(realm(&all, ""), Some(0));
        assert_eq!(realm(&all, "x/y"), Some(0));
        assert_eq!(realm(&all, "open/y"), None);
    }

    #[test]
    fn a_protected_file_is_protected_at_each_address_that_leads_to_it() {
        let mut options = options(&[("a.html", Some(1)), ("b/index.html", Some(2))]);
        assert_eq!(realm(&options, "a"), None);
        assert_eq!(realm(&options, "b"), Some(2));
        options.clean_urls = true;
        assert_eq!(realm(&options, "a"), Some(1));
        let mut app = self::options(&[("index.html", Some(1))]);
        assert_eq!(realm(&app, "x"), None);
        app.spa = true;
        assert_eq!(realm(&app, "x"), Some(1));
    }
}
