//! The paths that a rule is for.

use std::fmt;
use std::str::FromStr;

/// A pattern for paths. It begins with a slash: `/assets/**`, `/img/*.{png,jpg}`; or it has no
/// slash, and is compared with the last segment: `*.html`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

/// What a pattern may hold beside the bytes of a path.
const SPECIAL: [char; 7] = ['*', '?', '[', ']', '{', '}', '\\'];

impl Pattern {
    /// The pattern for all paths.
    pub(super) fn everything() -> Self {
        Self("/**".to_owned())
    }

    /// Whether the pattern is for `path`, which begins with a slash.
    pub fn matches(&self, path: &[u8]) -> bool {
        let path = match self.0.starts_with('/') {
            true => path,
            false => path.rsplit(|&byte| byte == b'/').next().unwrap_or(path),
        };
        fast_glob::glob_match(&self.0, path)
    }

    /// What precedes the `**` at the end, if that is the only wildcard.
    pub fn before_rest(&self) -> Option<&str> {
        let before = self.0.strip_suffix("**")?;
        (!before.is_empty() && !before.contains(SPECIAL)).then_some(before)
    }

    /// A path that it is for, unless the pattern is a complicated one.
    pub(super) fn example(&self) -> Vec<u8> {
        let path = self.0.replace("**", "x").replace('*', "x");
        match path.starts_with('/') {
            true => path.into_bytes(),
            false => format!("/{path}").into_bytes(),
        }
    }
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let example = "such as /assets/** or *.html";
        if text.starts_with('!') || text.is_empty() {
            return Err(format!("{text:?} is not a pattern for paths, {example}"));
        }
        if text.contains('/') && !text.starts_with('/') {
            return Err(format!(
                "a path begins with a slash, and a pattern for names has none, {example}"
            ));
        }
        let is_wrong = |segment: &str| segment.contains("**") && segment != "**";
        if text.split('/').any(is_wrong) {
            return Err(format!(
                "** stands alone between slashes, {example}; * is part of a name"
            ));
        }
        if text.contains("//") || text.contains(char::is_control) {
            return Err(format!("no path matches this pattern, {example}"));
        }
        fast_glob::validate(text).map_err(|error| error.to_string())?;
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_compared_with_the_path_or_with_the_name() {
        for (pattern, path, expected) in [
            ("/", "/", true),
            ("/", "/a", false),
            ("/**", "/", true),
            ("/**", "/a/b", true),
            ("/a/**", "/a", false),
            ("/a/**", "/a/", true),
            ("/a/**", "/a/b/c", true),
            ("/a/*", "/a/b", true),
            ("/a/*", "/a/b/c", false),
            ("*.html", "/a/b.html", true),
            ("*.html", "/a.html/b", false),
            ("/*.{js,css}", "/a.css", true),
            ("/**/*.js", "/a.js", true),
            ("/[ab]", "/b", true),
        ] {
            let parsed = pattern.parse::<Pattern>().unwrap();
            assert_eq!(
                parsed.matches(path.as_bytes()),
                expected,
                "{pattern} {path}"
            );
        }
        let bytes = "/a/*".parse::<Pattern>().unwrap();
        assert!(bytes.matches(b"/a/\xff"));
    }

    #[test]
    fn a_pattern_that_would_not_do_what_it_seems_to_is_refused() {
        for (pattern, expected) in [
            ("", "is not a pattern"),
            ("!/a", "is not a pattern"),
            ("a/b", "begins with a slash"),
            ("/a**", "** stands alone"),
            ("/**.js", "** stands alone"),
            ("/a//b", "no path matches"),
            ("/{a", "unclosed"),
            ("/[a", "unclosed"),
        ] {
            let error = pattern.parse::<Pattern>().unwrap_err();
            assert!(error.contains(expected), "{pattern}: {error}");
        }
    }
}
