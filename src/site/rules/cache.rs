//! Cache-Control (RFC 9111 5.2.2).

use std::str::FromStr;

/// How long caches may store a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CachePolicy {
    /// A year for files whose name contains a hash of their content; all others are asked for each
    /// time.
    Auto,
    /// The value of Cache-Control.
    Value(String),
}

/// May be stored, but has to be asked for each time.
const NO_CACHE: &str = "no-cache";

/// The directives of a response, and whether each has a number of seconds.
const DIRECTIVES: [(&str, bool); 13] = [
    ("immutable", false),
    ("max-age", true),
    ("must-revalidate", false),
    ("must-understand", false),
    ("no-cache", false),
    ("no-store", false),
    ("no-transform", false),
    ("private", false),
    ("proxy-revalidate", false),
    ("public", false),
    ("s-maxage", true),
    ("stale-if-error", true),
    ("stale-while-revalidate", true),
];

impl CachePolicy {
    /// For a file whose name changes with its content (RFC 8246).
    pub const IMMUTABLE: &str = "public, max-age=31536000, immutable";
    /// The same for the cache of one user.
    pub const IMMUTABLE_PRIVATE: &str = "private, max-age=31536000, immutable";

    /// The value for the file `name`.
    pub(super) fn value(&self, name: &[u8]) -> &str {
        match self {
            Self::Value(value) => value,
            Self::Auto if is_hashed(name) => CachePolicy::IMMUTABLE,
            Self::Auto => NO_CACHE,
        }
    }
}

impl FromStr for CachePolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => return Ok(Self::Auto),
            "immutable" => return Ok(Self::Value(CachePolicy::IMMUTABLE.to_owned())),
            _ => {}
        }
        for directive in text.split(',').map(str::trim) {
            let (name, seconds) = match directive.split_once('=') {
                Some((name, seconds)) => (name, Some(seconds)),
                None => (directive, None),
            };
            let is_number = |text: &str| {
                (1..=10).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
            };
            let mut known = DIRECTIVES.iter();
            match known.find(|(known, _)| known.eq_ignore_ascii_case(name)) {
                Some((_, true)) if seconds.is_some_and(is_number) => {}
                Some((_, false)) if seconds.is_none() => {}
                Some((known, true)) => return Err(format!("{known} has seconds: {known}=3600")),
                Some((known, false)) => return Err(format!("{known} has no value")),
                None => {
                    let names: Vec<_> = DIRECTIVES.iter().map(|(name, _)| *name).collect();
                    return Err(format!(
                        "{directive:?} is not auto and no directive of Cache-Control ({})",
                        names.join(", ")
                    ));
                }
            }
        }
        Ok(Self::Value(text.to_owned()))
    }
}

/// Whether the name of a file contains a hash, as the tools that build sites write it: between dots
/// or hyphens, at least 8 hexadecimal digits in lower case, or 8 letters and digits of both cases,
/// in a mixture that no word or date has. A name in doubt has none: its file is asked for each
/// time.
/// Directories of such tools that contain nothing else count, too.
fn is_hashed(name: &[u8]) -> bool {
    const DIRECTORIES: [&[u8]; 4] = [b"_app/immutable", b"_astro", b"_next/static", b"_nuxt"];
    let is_in = |directory: &&[u8]| {
        name.strip_prefix(*directory)
            .is_some_and(|rest| rest.starts_with(b"/"))
    };
    let file = name.rsplit(|&byte| byte == b'/').next().unwrap_or(name);
    let mut parts = file.split(|byte| b".-_~".contains(byte));
    DIRECTORIES.iter().any(is_in) || parts.any(is_hash)
}

fn is_hash(part: &[u8]) -> bool {
    let kind = |byte: &u8| (byte.is_ascii_digit(), byte.is_ascii_uppercase());
    let changes = part.windows(2).filter(|pair| match pair {
        [one, other] => kind(one) != kind(other),
        _ => false,
    });
    let changes = changes.count();
    let is_hexadecimal = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
    match part.len() {
        8 if part.iter().all(u8::is_ascii_alphanumeric) && changes >= 5 => true,
        8.. => part.iter().all(is_hexadecimal) && changes >= 2,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_or_a_date_in_a_name_is_no_hash() {
        for name in [
            "assets/app.3f2a9c1b.js",
            "3f2a9c1b.css",
            "js/chunk-vendors.8a3fb0e1.js",
            "index-B1fYKq1a.js",
            "main.d41d8cd98f00b204e9800998ecf8427e.css",
            "_next/static/css/page.css",
            "_app/immutable/entry.js",
        ] {
            assert!(is_hashed(name.as_bytes()), "{name}");
        }
        for name in [
            "index.html",
            "report-20240101.pdf",
            "logo-LinkedIn.png",
            "logo-iPhone15.png",
            "logo-Win10Pro.png",
            "JavaScript.svg",
            "photo2024.jpg",
            "jquery-3.7.1.min.js",
            "deadbeef.js",
            "decade2020.png",
            "app-ubuntu2204amd64.deb",
            "3f2a9c1b/app.js",
            "x/_astro/a.js",
            "_astrology/a.js",
        ] {
            assert!(!is_hashed(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn a_policy_is_a_preset_or_directives() {
        for text in [
            "no-cache",
            "max-age=3600",
            "public, max-age=60, stale-while-revalidate=5",
            "No-Store",
        ] {
            let policy = text.parse::<CachePolicy>().unwrap();
            assert_eq!(policy.value(b"a"), text);
        }
        let value = |text: &str, name: &str| {
            let policy = text.parse::<CachePolicy>().unwrap();
            policy.value(name.as_bytes()).to_owned()
        };
        assert_eq!(value("immutable", "a"), CachePolicy::IMMUTABLE);
        assert_eq!(value("auto", "a.html"), NO_CACHE);
        assert_eq!(value("auto", "a.3f2a9c1b.js"), CachePolicy::IMMUTABLE);
        for (text, expected) in [
            ("", "is not auto and no directive"),
            ("hashed", "is not auto and no directive"),
            ("max-age", "max-age has seconds: max-age=3600"),
            ("max-age=1h", "max-age has seconds"),
            ("no-cache=1", "no-cache has no value"),
            ("max-age=1\r\nX: y", "max-age has seconds"),
            ("max-age=1,", "\"\" is not auto"),
        ] {
            let error = text.parse::<CachePolicy>().unwrap_err();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }
}
