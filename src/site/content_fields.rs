//! Header fields about the content of a response.

use super::path;

/// The first word of Content-Disposition (RFC 6266 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// A browser shows the file if it can.
    Inline,
    /// A browser saves the file.
    Attachment,
}

/// The value of Content-Disposition (RFC 6266) with which a browser saves a file as `name`.
/// `filename` leaves out bytes that clients interpret differently (RFC 6266 appendix D); if there
/// are any, `filename*` has the whole name (RFC 8187).
pub(super) fn disposition(kind: Disposition, name: &[u8]) -> String {
    let kind = match kind {
        Disposition::Inline => "inline",
        Disposition::Attachment => "attachment",
    };
    let name = String::from_utf8_lossy(name);
    let is_safe = |character| matches!(character, ' '..='~') && !"\"\\%".contains(character);
    let plain = name.replace(|character| !is_safe(character), "_");
    let mut value = format!("{kind}; filename=\"{plain}\"");
    if plain != name {
        value += &format!("; filename*=UTF-8''{}", path::encode(name.as_bytes()));
    }
    value
}

/// Whether a field describes the content of a response, and so does not belong in an error or a
/// redirect. The rule is that of nginx's `add_header` without `always`, except for 301. All other
/// fields are in every response, as browsers obey them there too: those for security
/// (Content-Security-Policy, Strict-Transport-Security, X-Frame-Options ...), other origins
/// (Access-Control-*) and robots (X-Robots-Tag).
pub(super) fn is_about_content(name: &[u8]) -> bool {
    /// How long it may be stored: a cache would store an error for as long. Also every
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
    /// Keys by which caches purge content.
    const KEYS: [&str; 5] = [
        "Cache-Tag",
        "Edge-Cache-Tag",
        "Surrogate-Key",
        "X-Cache-Tags",
        "xkey",
    ];
    /// What the content is, and what belongs to it: an error has no preload, no canonical address
    /// and no file name. Also every `Content-*` (Content-Disposition, Content-Language,
    /// Content-Location ...) except the policies.
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
    fn fields_about_content_are_only_in_responses_with_content() {
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
