//! Accept-Encoding. Input: a value of the field on each line.

use super::{lines_of, strip};
use oneloop::http::fields::Fields;
use oneloop::http::negotiate::{Coding, acceptable};

const CODINGS: [(Coding, &[&str]); 4] = [
    (Coding::Brotli, &["br"]),
    (Coding::Zstd, &["zstd"]),
    (Coding::Gzip, &["gzip", "x-gzip"]),
    (Coding::Identity, &["identity"]),
];

pub fn check(data: &[u8]) {
    let Some(lines) = lines_of("Accept-Encoding", data) else {
        return;
    };
    let found: Vec<_> = acceptable(Fields::new(&lines)).iter().collect();
    assert_eq!(found, wanted(data));
}

/// The acceptable codings, by weight, then in the order of the server.
fn wanted(values: &[u8]) -> Vec<Coding> {
    let members = values
        .split(|&byte| byte == b'\n' || byte == b',')
        .map(strip);
    let parsed: Vec<_> = members.filter_map(read).collect();
    let lowest = |names: &[&str]| {
        let weights = parsed
            .iter()
            .filter(|(name, _)| names.contains(&name.as_str()));
        weights.map(|&(_, weight)| weight).reduce(f64::min)
    };
    let mut wanted = Vec::new();
    for (coding, names) in CODINGS {
        match lowest(names).or(lowest(&["*"])) {
            Some(weight) if weight > 0.0 => wanted.push((coding, weight)),
            // Neither named nor refused: after all others.
            None if coding == Coding::Identity => wanted.push((coding, 0.0)),
            _ => {}
        }
    }
    // A stable sort.
    wanted.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    wanted.into_iter().map(|(coding, _)| coding).collect()
}

/// `codings [ weight ]`; `None` if it is malformed.
fn read(member: &[u8]) -> Option<(String, f64)> {
    let text = std::str::from_utf8(member).ok()?.to_ascii_lowercase();
    let parts: Vec<_> = text
        .split(';')
        .map(|part| part.trim_matches([' ', '\t']))
        .collect();
    match parts[..] {
        [name] => Some((name.to_owned(), 1.0)),
        [name, parameter] => Some((name.to_owned(), weight(parameter.strip_prefix("q=")?)?)),
        _ => None,
    }
}

/// `( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] )` (RFC 9110 12.4.2).
pub fn weight(text: &str) -> Option<f64> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let is_short = decimals.len() <= 3 && decimals.chars().all(|c| c.is_ascii_digit());
    let weight = match whole {
        "0" | "1" if is_short => format!("{whole}.{decimals}0").parse::<f64>().ok()?,
        _ => return None,
    };
    (weight <= 1.0).then_some(weight)
}
