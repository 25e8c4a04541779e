//! The path of a target as a name beneath the root. Input: the path after its first slash.

use oneloop::site::path::{SitePath, encode};
use percent_encoding::percent_decode;

pub fn check(data: &[u8]) {
    let raw = [b"/", data].concat();
    let mut buffer = b"left over".to_vec();
    let found = SitePath::decode(&raw, &mut buffer);
    let expected = decode(&raw);
    match (found, &expected) {
        (Ok(path), Some(segments)) => {
            assert_eq!(path.name(), segments.join(&b'/'));
            assert_eq!(path.has_slash(), raw.ends_with(b"/"));
            assert_eq!(path.is_hidden(), is_hidden(segments));
            assert_harmless(path);
        }
        (Err(_), None) => {}
        _ => panic!("{found:?}, but the second opinion is {expected:?}"),
    }
    comes_back(data);
}

/// The segments of a path that names something here.
fn decode(raw: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut segments = Vec::new();
    for segment in raw.split(|&byte| byte == b'/') {
        // The crate leaves alone what is no escape; here that is a mistake.
        let mut after_percent = segment.split(|&byte| byte == b'%').skip(1);
        let is_escape = |rest: &[u8]| {
            let digits = rest.iter().take(2);
            digits.filter(|digit| digit.is_ascii_hexdigit()).count() == 2
        };
        if !after_percent.all(is_escape) {
            return None;
        }
        let decoded: Vec<u8> = percent_decode(segment).collect();
        if decoded.iter().any(|byte| b"/\\\0".contains(byte)) {
            return None;
        }
        match decoded.as_slice() {
            b"" => {}
            b"." | b".." => return None,
            _ => segments.push(decoded),
        }
    }
    Some(segments)
}

fn is_hidden(segments: &[Vec<u8>]) -> bool {
    let mut shown = segments;
    if let [first, rest @ ..] = segments
        && first == b".well-known"
    {
        shown = rest;
    }
    shown.iter().any(|segment| segment.starts_with(b"."))
}

/// By the standard library's notion of a path: it goes down, and nowhere else.
fn assert_harmless(path: SitePath<'_>) {
    use std::path::Component;
    let mut components = path.as_path().components();
    if path.name().is_empty() {
        assert_eq!(components.next(), Some(Component::CurDir));
    }
    assert!(components.all(|component| matches!(component, Component::Normal(_))));
    assert!(path.as_path().is_relative() && !path.name().contains(&0));
}

/// A name that a link was made of is the name that the link leads to.
fn comes_back(name: &[u8]) {
    let link = format!("/{}", encode(name));
    let mut buffer = Vec::new();
    let decoded = SitePath::decode(link.as_bytes(), &mut buffer);
    let is_name = !name.iter().any(|byte| b"/\\\0".contains(byte)) && name != b"." && name != b"..";
    match decoded {
        Ok(path) => assert_eq!(path.name(), name),
        Err(_) => assert!(!is_name, "{link} leads nowhere"),
    }
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"/-._~%".contains(&b);
    assert!(link.bytes().all(is_plain), "{link} needs escaping");
}
