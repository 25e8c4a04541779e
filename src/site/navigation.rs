//! Whether a request is from a browser that navigates to a page, for `--spa`.

use crate::http::fields::Fields;
use crate::http::negotiate::{accepts_anything, names_html};

/// Fields that [`is_navigation`] depends on.
pub(super) const NAVIGATION_FIELDS: [&str; 3] = ["Accept", SEC_FETCH_DEST, SEC_FETCH_MODE];

/// Set by browsers for https and localhost, not for other hosts (W3C Fetch Metadata Request
/// Headers).
const SEC_FETCH_DEST: &str = "Sec-Fetch-Dest";
const SEC_FETCH_MODE: &str = "Sec-Fetch-Mode";

/// Whether the request is for a page, as when the user of a browser follows a link, and not for a
/// script, an image or data. If the fields do not tell, it is for a page unless the last segment of
/// `path` contains a dot.
pub(super) fn is_navigation(fields: Fields<'_>, path: &[u8]) -> bool {
    let names_html = names_html(fields);
    let is = |value: &[u8], known: &[&str]| {
        let mut known = known.iter();
        known.any(|known| value.eq_ignore_ascii_case(known.as_bytes()))
    };
    if let Some(destination) = fields.only(SEC_FETCH_DEST) {
        let is_page = is(destination, &["document", "frame", "iframe", "fencedframe"]);
        // A script that fetches a page to show it names HTML in Accept.
        return is_page || names_html && is(destination, &["empty"]);
    }
    let mode = fields.only(SEC_FETCH_MODE);
    if names_html || mode.is_some_and(|mode| is(mode, &["navigate"])) {
        return true;
    }
    let has_dot = |segment: &[u8]| segment.contains(&b'.');
    let is_file_name = path
        .rsplit(|&byte| byte == b'/')
        .next()
        .is_some_and(has_dot);
    accepts_anything(fields) && !is_file_name
}
