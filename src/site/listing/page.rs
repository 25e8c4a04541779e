//! A listing as an HTML page without scripts or other files.
//!
//! Programs parse these pages (`wget -r`, rclone, lftp, httpdirfs, Kodi). They expect what nginx
//! sends: `<a href="a.txt">a.txt</a>`, a relative link whose text is exactly the name, and links
//! only to entries and to directories above. So sorting, filtering and JSON are buttons of a form,
//! not links, and `wget -r` fetches each directory once. With relative links, a proxy may put the
//! site under another path.

use super::query::{Column, Order, View};
use super::sorted_entries::{EntryCounts, Row};
use super::text;
use crate::http::date::HttpDate;
use crate::text::civil_time::CivilTime;
use std::io::{self, Write};

/// The value of `Content-Security-Policy` for these pages. If the escaping of a name failed, the
/// name could still run, load and send nothing. The hash is that of [`STYLE`]. The image is the
/// icon: it is empty, so that browsers do not request /favicon.ico.
pub fn csp() -> &'static str {
    "default-src 'none'; style-src 'sha256-2uSWImBdEtO3+3exbRICiaO1tKFLcDQoCkrVID5z24c='; \
     img-src data:; form-action 'self'; base-uri 'none'"
}

/// The stylesheet of the pages.
pub const STYLE: &str = include_str!("style.css");

/// The address of the stylesheet for sites whose own policy may forbid styles in the page: a query
/// of the directory. The policy `default-src 'self'` allows it. The number changes with the style,
/// so the stylesheet may be cached for ever.
const STYLE_LINK: &str = "?style=dae49622";

const HEAD: &str = "<!DOCTYPE html>
<html lang=\"en\">
<head>
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<link rel=\"icon\" href=\"data:,\">
<title>Index of /";

/// On pages in another than the default order: crawlers find every entry on the default page.
const NO_FOLLOW: &str = "<meta name=\"robots\" content=\"noindex, nofollow\">\n";

const COLUMNS: [(Column, &str); 3] = [
    (Column::Name, "Name"),
    (Column::Size, "Size"),
    (Column::Time, "Modified"),
];

const UP: &str = "<tr class=\"d\"><td><a href=\"../\">../</a></td><td></td><td></td></tr>\n";

/// Appends what comes before the rows.
pub(super) fn put_head(view: &View, counts: EntryCounts, out: &mut Vec<u8>) -> io::Result<()> {
    out.extend_from_slice(HEAD.as_bytes());
    text::put_html(&view.path, out)?;
    let slash = if view.path.is_empty() { "" } else { "/" };
    writeln!(out, "{slash}</title>")?;
    if view.query.order() != Order::default() {
        out.extend_from_slice(NO_FOLLOW.as_bytes());
    }
    match view.links_style {
        true => writeln!(out, "<link rel=\"stylesheet\" href=\"{STYLE_LINK}\">")?,
        false => writeln!(out, "<style>{STYLE}</style>")?,
    }
    out.extend_from_slice(b"</head>\n<body>\n");
    put_breadcrumb(&view.path, out)?;
    out.extend_from_slice(b"<main>\n<form action=\"./\">\n<div class=\"bar\">\n");
    put_summary(view, counts, out)?;
    put_filter(view, out)?;
    out.extend_from_slice(b"</div>\n");
    put_columns(view, out)?;
    if !view.path.is_empty() {
        out.extend_from_slice(UP.as_bytes());
    }
    Ok(())
}

/// Appends the row of one entry.
pub(super) fn put_row(row: &Row, out: &mut Vec<u8>) -> io::Result<()> {
    out.extend_from_slice(match row.is_directory {
        true => b"<tr class=\"d\"><td><a href=\"",
        false => b"<tr><td><a href=\"",
    });
    text::put_href(row.name(), row.is_directory, out)?;
    out.extend_from_slice(b"\">");
    text::put_html(row.name(), out)?;
    if row.is_directory {
        out.extend_from_slice(b"/</a></td><td></td><td>");
    } else {
        out.extend_from_slice(b"</a></td><td>");
        text::put_size(row.size, out)?;
        out.extend_from_slice(b"</td><td>");
    }
    CivilTime::of(HttpDate::nearest_to_seconds(row.modified)).put_minute(out);
    out.write_all(b"</td></tr>\n")
}

/// Appends what comes after the rows.
pub(super) fn put_tail(view: &View, counts: EntryCounts, out: &mut Vec<u8>) -> io::Result<()> {
    out.extend_from_slice(b"</tbody>\n</table>\n</form>\n");
    if counts.found == 0 {
        out.extend_from_slice(b"<p class=\"note\">This directory is empty.</p>\n");
    } else if counts.shown() + counts.omitted == 0 {
        out.extend_from_slice("<p class=\"note\">No name here contains “<bdi>".as_bytes());
        text::put_html(view.query.typed().as_bytes(), out)?;
        out.extend_from_slice("</bdi>”.</p>\n".as_bytes());
    }
    if counts.omitted > 0 {
        out.extend_from_slice(b"<p class=\"note\">");
        put_count(counts.omitted, "more entry", "more entries", out)?;
        let is = if counts.omitted == 1 { "is" } else { "are" };
        writeln!(out, " {is} not shown. The filter looks at all of them.</p>")?;
    }
    out.extend_from_slice(b"</main>\n<footer><span>Times are in UTC.</span> <form action=\"./\">");
    if view.query.order() != Order::default() {
        put_hidden("sort", view.query.order().to_string().as_bytes(), out)?;
    }
    if !view.query.typed().is_empty() {
        put_hidden("q", view.query.typed().as_bytes(), out)?;
    }
    out.write_all(
        b"<button name=\"format\" value=\"json\">This list as JSON</button></form></footer>\n\
          </body>\n</html>\n",
    )
}

/// The path as a heading, with a link to every directory above.
fn put_breadcrumb(path: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    out.extend_from_slice(b"<header><nav aria-label=\"Breadcrumb\"><h1><small>Index of</small> ");
    let segments = || path.split(|&byte| byte == b'/').filter(|s| !s.is_empty());
    let mut depth = segments().count();
    put_ancestor(depth, b"", out)?;
    for segment in segments() {
        depth -= 1;
        put_ancestor(depth, segment, out)?;
    }
    out.write_all(b"</h1></nav></header>\n")
}

/// The directory `levels` levels up, as a link unless it is this one. The root has no name.
fn put_ancestor(levels: usize, name: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let (start, end) = match levels {
        0 => ("<span aria-current=\"page\">".to_owned(), "</span>"),
        _ => (format!("<a href=\"{}\">", "../".repeat(levels)), "</a>"),
    };
    out.extend_from_slice(start.as_bytes());
    if name.is_empty() {
        return write!(out, "/{end}");
    }
    out.extend_from_slice(b"<bdi>");
    text::put_html(name, out)?;
    write!(out, "</bdi>{end}/")
}

/// `5 of 120 shown: 1 directory, 4 files, 1.2 MB`
fn put_summary(view: &View, counts: EntryCounts, out: &mut Vec<u8>) -> io::Result<()> {
    out.extend_from_slice(b"<p>");
    if counts.shown() < counts.found {
        text::put_number(counts.shown(), out)?;
        out.extend_from_slice(b" of ");
        text::put_number(counts.found, out)?;
        out.extend_from_slice(b" shown: ");
    }
    put_count(counts.directories, "directory", "directories", out)?;
    out.extend_from_slice(b", ");
    put_count(counts.files, "file", "files", out)?;
    out.extend_from_slice(b", ");
    text::put_size(counts.bytes, out)?;
    if !view.query.filter().is_empty() {
        out.extend_from_slice(b" (<a href=\"");
        view.query.put_unfiltered(out)?;
        out.extend_from_slice(b"\">show all</a>)");
    }
    out.write_all(b"</p>\n")
}

fn put_count(number: u64, one: &str, many: &str, out: &mut Vec<u8>) -> io::Result<()> {
    text::put_number(number, out)?;
    write!(out, " {}", if number == 1 { one } else { many })
}

/// The filter. Its button keeps the order; it is the first of the form, which the enter key
/// presses.
fn put_filter(view: &View, out: &mut Vec<u8>) -> io::Result<()> {
    out.extend_from_slice(
        b"<div role=\"search\"><input type=\"search\" name=\"q\" aria-label=\"Part of a name\" \
          placeholder=\"Part of a name\" value=\"",
    );
    text::put_html(view.query.typed().as_bytes(), out)?;
    let order = view.query.order();
    match order == Order::default() {
        true => out.write_all(b"\"><button>Filter</button></div>\n"),
        false => writeln!(
            out,
            "\"><button name=\"sort\" value=\"{order}\">Filter</button></div>"
        ),
    }
}

fn put_hidden(name: &str, value: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    write!(out, "<input type=\"hidden\" name=\"{name}\" value=\"")?;
    text::put_html(value, out)?;
    out.write_all(b"\">")
}

/// The column headers, each a button that sorts by its column, or reverses the order. Sizes and
/// times are first sorted with the largest and the latest at the top.
fn put_columns(view: &View, out: &mut Vec<u8>) -> io::Result<()> {
    let current = view.query.order();
    out.extend_from_slice(b"<table>\n<thead><tr>");
    for (column, name) in COLUMNS {
        let is_descending = match column == current.by {
            true => !current.is_descending,
            false => column != Column::Name,
        };
        let sorted = match (column == current.by, current.is_descending) {
            (false, _) => "none",
            (true, false) => "ascending",
            (true, true) => "descending",
        };
        let order = Order {
            by: column,
            is_descending,
        };
        write!(
            out,
            "<th scope=\"col\" aria-sort=\"{sorted}\">\
             <button name=\"sort\" value=\"{order}\">{name}</button></th>"
        )?;
    }
    out.write_all(b"</tr></thead>\n<tbody>\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_style_on_the_page_is_the_one_that_the_policy_allows() {
        let allowed = format!("style-src 'sha256-{}'", base64(&sha256(STYLE.as_bytes())));
        assert!(csp().contains(&allowed), "expected {allowed}");
        assert!(!STYLE.contains('<') && !STYLE.contains("url("));
        let hex = sha256(STYLE.as_bytes())
            .map(|byte| format!("{byte:02x}"))
            .concat();
        let link = format!("?style={}", hex.get(..8).unwrap());
        assert_eq!(STYLE_LINK, link);
    }

    /// SHA-256 (FIPS 180-4 6.2). Its constants are the first bits of the fractions of the
    /// roots of the first primes, so they are computed and not copied.
    fn sha256(message: &[u8]) -> [u8; 32] {
        let is_prime = |n: &u64| (2..*n).all(|divisor| !n.is_multiple_of(divisor));
        let primes: Vec<u64> = (2..312).filter(is_prime).collect();
        let fraction = |root: f64| (root.fract() * 2f64.powi(32)) as u32;
        let k: Vec<u32> = primes
            .iter()
            .map(|&p| fraction((p as f64).cbrt()))
            .collect();
        let roots = primes.iter().map(|&p| fraction((p as f64).sqrt()));
        let mut hash: Vec<u32> = roots.take(8).collect();

        let mut padded = message.to_vec();
        padded.push(0x80);
        while padded.len() % 64 != 56 {
            padded.push(0);
        }
        padded.extend_from_slice(&(message.len() as u64 * 8).to_be_bytes());
        for block in padded.chunks(64) {
            let words = block.chunks(4);
            let mut w: Vec<u32> = words
                .map(|word| u32::from_be_bytes(word.try_into().unwrap()))
                .collect();
            for t in 16..64 {
                let (a, b) = (w[t - 15], w[t - 2]);
                let s0 = a.rotate_right(7) ^ a.rotate_right(18) ^ (a >> 3);
                let s1 = b.rotate_right(17) ^ b.rotate_right(19) ^ (b >> 10);
                let sum = w[t - 16].wrapping_add(s0).wrapping_add(w[t - 7]);
                w.push(sum.wrapping_add(s1));
            }
            let mut v = hash.clone();
            for t in 0..64 {
                let [a, b, c, e, f, g] = [v[0], v[1], v[2], v[4], v[5], v[6]];
                let s1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
                let choice = (e & f) ^ (!e & g);
                let t1 = [s1, choice, k[t], w[t]]
                    .iter()
                    .fold(v[7], |sum, &x| sum.wrapping_add(x));
                let s0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
                let majority = (a & b) ^ (a & c) ^ (b & c);
                v.rotate_right(1);
                v[4] = v[4].wrapping_add(t1);
                v[0] = t1.wrapping_add(s0).wrapping_add(majority);
            }
            for (word, add) in hash.iter_mut().zip(v) {
                *word = word.wrapping_add(add);
            }
        }
        let bytes: Vec<u8> = hash.iter().flat_map(|word| word.to_be_bytes()).collect();
        bytes.try_into().unwrap()
    }

    fn base64(bytes: &[u8]) -> String {
        const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let groups = bytes.chunks(3).map(|group| {
            let number = (0..3).fold(0, |number, at| {
                number << 8 | usize::from(group.get(at).copied().unwrap_or(0))
            });
            let digit = |at: usize| match at <= group.len() {
                true => char::from(DIGITS[number >> (18 - 6 * at) & 63]),
                false => '=',
            };
            (0..4).map(digit).collect::<String>()
        });
        groups.collect()
    }

    #[test]
    fn the_hash_is_the_one_that_others_compute() {
        assert_eq!(
            base64(&sha256(b"abc")),
            "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="
        );
    }
}
