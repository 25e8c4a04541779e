//! Which paths only the users of a realm may request.

use super::options::{Protected, SiteOptions};

/// Whether a path that is protected is about `name`. Without case: a file system may have none. But
/// one that needs no password opens nothing else where there is case.
fn covers(protected: &Protected, name: &[u8]) -> bool {
    let Some((start, rest)) = name.split_at_checked(protected.name.len()) else {
        return false;
    };
    let is_same = match protected.realm {
        Some(_) => start.eq_ignore_ascii_case(&protected.name),
        None => start == protected.name,
    };
    is_same && (start.is_empty() || matches!(rest, [] | [b'/', ..]))
}

/// The longest path that covers `name`.
fn covering<'o>(options: &'o SiteOptions, name: &[u8]) -> Option<&'o Protected> {
    // Of two equal paths, the first one.
    let all = options.protected.iter().rev();
    let covering = all.filter(|protected| covers(protected, name));
    covering.max_by_key(|one| one.name.len())
}

/// The realm of the longest path that covers `name`.
pub(super) fn realm_of_name(options: &SiteOptions, name: &[u8]) -> Option<usize> {
    covering(options, name)?.realm
}

/// The realm of a request for the last of `names`, which those before were rewritten to: that of a
/// name which is protected, the last one first. If no path covers the last one, that of a file
/// which the site may send in its place. So a file that needs no password opens nothing beside it.
pub(super) fn realm_of(options: &SiteOptions, names: &[Vec<u8>]) -> Option<usize> {
    let of_names = names.iter().rev();
    let realm = of_names
        .clone()
        .find_map(|name| realm_of_name(options, name));
    let last = names
        .last()
        .filter(|name| covering(options, name).is_none());
    let others = last.map_or_else(Vec::new, |name| others(options, name));
    realm.or_else(|| others.iter().find_map(|name| realm_of_name(options, name)))
}

/// The files that the site may send in place of what `name` is.
fn others(options: &SiteOptions, name: &[u8]) -> Vec<Vec<u8>> {
    let mut others: Vec<_> = options.only.iter().cloned().collect();
    let beneath = |file: &Vec<u8>| match name {
        [] => file.clone(),
        name => [name, b"/", file].concat(),
    };
    others.extend(options.index.iter().map(beneath));
    if options.clean_urls {
        others.push([name, b".html"].concat());
    }
    if options.spa {
        others.extend(options.index.iter().cloned());
    }
    others
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
            ("a/b/OPEN", Some(2)),
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

    #[test]
    fn a_file_that_needs_no_password_opens_nothing_beside_it() {
        let mut options = options(&[
            ("api", Some(1)),
            ("index.html", None),
            ("api/index.html", None),
        ]);
        options.spa = true;
        options.clean_urls = true;
        for name in ["api", "api/x", "api/index"] {
            assert_eq!(realm(&options, name), Some(1), "{name}");
        }
        assert_eq!(realm(&options, "index.html"), None);
        assert_eq!(realm(&options, "api/index.html"), None);
    }

    #[test]
    fn a_rewrite_needs_the_password_of_where_it_leads_or_else_that_of_where_it_begins() {
        let options = options(&[("a", Some(1)), ("a/open", None), ("b", Some(2))]);
        let rewritten = |from: &str, to: &str| realm_of(&options, &[from.into(), to.into()]);
        assert_eq!(rewritten("a/open", "b"), Some(2));
        assert_eq!(rewritten("a", "b"), Some(2));
        assert_eq!(rewritten("a", "a/open"), Some(1));
        assert_eq!(rewritten("c", "a/open"), None);
    }

    #[test]
    fn a_single_file_is_protected_at_the_root() {
        let mut options = options(&[("a.html", Some(1))]);
        options.only = Some(b"a.html".to_vec());
        assert_eq!(realm(&options, ""), Some(1));
    }
}
