//! The field lines that the owner of a site sets: which responses carry which of them.

use super::{Options, path};
use crate::http::fields::FieldLines;
use std::sync::Arc;

/// The lines that responses have in common, by what the response is.
#[derive(Debug)]
pub(super) struct Preset {
    /// 200, 206 and 304: they are about content.
    pub(super) content: Arc<FieldLines>,
    /// All others: errors, redirects, answers to OPTIONS.
    pub(super) other: Arc<FieldLines>,
}

impl Preset {
    pub(super) fn new(options: &Options) -> Self {
        let mut content = options.lines.clone();
        if let Some(origin) = &options.cors {
            content.push("Access-Control-Allow-Origin", origin);
            content.push_default("Access-Control-Expose-Headers", "*");
            if origin != "*" {
                content.push_vary("Origin");
            }
        }
        if let Some(name) = &options.only
            && !content.has("Content-Disposition")
        {
            content.push_metadata("Content-Disposition", disposition(name));
        }
        let mut other = content.clone();
        other.retain(|name| !is_about_content(name));
        Self {
            content: Arc::new(content),
            other: Arc::new(other),
        }
    }
}

/// Shows a file where a browser can, and saves it as `name` where it cannot, or is asked to: the
/// address `/` has no name (RFC 6266). `filename` is without bytes that clients read in different
/// ways (RFC 6266 appendix D); where some are missing, `filename*` has them (RFC 8187).
fn disposition(name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name);
    let is_safe = |one: char| (' '..='~').contains(&one) && !"\"\\%".contains(one);
    let plain = name.replace(|one| !is_safe(one), "_");
    let mut value = format!("inline; filename=\"{plain}\"");
    if plain != name {
        value += &format!("; filename*=UTF-8''{}", path::encode(name.as_bytes()));
    }
    value
}

/// Whether a field speaks about the content of a response, and so has no place in an error or a
/// redirect. The rule is that of nginx's `add_header` without `always`, but for 301. Every field
/// that is not named here, such as those about security (Content-Security-Policy,
/// Strict-Transport-Security, X-Frame-Options ...), about other origins (Access-Control-*) or
/// about robots (X-Robots-Tag), is on every response: a browser obeys it there, too.
fn is_about_content(name: &[u8]) -> bool {
    /// How long it may be stored: a cache would keep an error for as long. Also every
    /// `*-Cache-Control` for one kind of cache (RFC 9213).
    const STORING: [&str; 8] = [
        "Age",
        "Cache-Control",
        "Edge-Control",
        "Expires",
        "No-Vary-Search",
        "Pragma",
        "Surrogate-Control",
        "X-Accel-Expires",
    ];
    /// Which content it belongs to: a purge by such a key is not about errors.
    const KEYS: [&str; 5] = [
        "Cache-Tag",
        "Edge-Cache-Tag",
        "Surrogate-Key",
        "X-Cache-Tags",
        "xkey",
    ];
    /// What it is, and what belongs to it: an error has no preload, no canonical address and is
    /// not to be saved under a name. Also every `Content-*` (Content-Disposition,
    /// Content-Language, Content-Location ...) but the policies.
    const METADATA: [&str; 5] = ["Digest", "Link", "Repr-Digest", "SourceMap", "X-SourceMap"];
    let is = |known: &&str| name.eq_ignore_ascii_case(known.as_bytes());
    let name_is_known = STORING.iter().chain(&KEYS).chain(&METADATA).any(is);
    let lower = name.to_ascii_lowercase();
    name_is_known
        || lower.ends_with(b"-cache-control")
        || lower.starts_with(b"content-") && !lower.starts_with(b"content-security-policy")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_about_content_are_told_from_those_for_every_response() {
        for name in [
            "cache-control",
            "CDN-Cache-Control",
            "Netlify-CDN-Cache-Control",
            "Expires",
            "Surrogate-Control",
            "Content-Disposition",
            "content-language",
            "Link",
        ] {
            assert!(is_about_content(name.as_bytes()), "{name}");
        }
        for name in [
            "Content-Security-Policy",
            "content-security-policy-report-only",
            "Strict-Transport-Security",
            "X-Frame-Options",
            "Access-Control-Allow-Origin",
            "Cross-Origin-Resource-Policy",
            "X-Robots-Tag",
            "Set-Cookie",
            "X-Anything",
        ] {
            assert!(!is_about_content(name.as_bytes()), "{name}");
        }
    }
}
