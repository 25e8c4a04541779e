//! The path of a target as a name beneath the root. Input: the path after its first slash.

use oneloop::site::path::{SitePath, encode};
use percent_encoding::percent_decode;

pub fn check(data: &[u8]) {
    let raw = [b"/", data].concat();
    let mut buffer = b"left over".to_vec();
    let found = SitePath::decode(&raw, &mut buffer);
    let expected = decode(&raw);
    match (found, &expected) {
        (Ok(path), Some((segments, is_directory))) => {
            assert_eq!(path.name(), segments.join(&b'/'));
            assert_eq!(path.has_slash(), *is_directory);
            assert_eq!(path.is_hidden(), is_hidden(segments));
            assert_harmless(path);
            leads_to_the_directory(&raw, path);
        }
        (Err(_), None) => {}
        _ => panic!("{found:?}, but the second opinion is {expected:?}"),
    }
    comes_back(data);
}

/// The segments of a valid path, and whether it names a directory: decoded as a whole, then split,
/// then resolved.
fn decode(raw: &[u8]) -> Option<(Vec<Vec<u8>>, bool)> {
    // The crate ignores invalid escapes; here they are errors.
    let mut after_percent = raw.split(|&byte| byte == b'%').skip(1);
    let is_escape = |rest: &[u8]| {
        let digits = rest.iter().take(2);
        digits.filter(|digit| digit.is_ascii_hexdigit()).count() == 2
    };
    if !after_percent.all(is_escape) {
        return None;
    }
    let decoded: Vec<u8> = percent_decode(raw).collect();
    if decoded.contains(&0) {
        return None;
    }
    let mut segments = Vec::new();
    let mut is_directory = true;
    for segment in decoded.split(|&byte| byte == b'/') {
        is_directory = matches!(segment, b"" | b"." | b"..");
        match segment {
            b".." => drop(segments.pop()?),
            _ if is_directory => {}
            name => segments.push(name.to_vec()),
        }
    }
    Some((segments, is_directory))
}

/// Resolves the relative reference as a client does (RFC 3986 5.2.3), with dot segments (5.2.4) or
/// without: the result must be the same name, as a directory.
fn leads_to_the_directory(raw: &[u8], path: SitePath<'_>) {
    let (Some(from), false) = (path.relative_from(), path.has_slash()) else {
        return;
    };
    let base = &raw[..=raw
        .iter()
        .rposition(|&byte| byte == b'/')
        .unwrap_or_default()];
    let segments = path.name()[from..].split(|&byte| byte == b'/');
    let mut merged = base.to_vec();
    merged.extend(segments.flat_map(|name| format!("{}/", encode(name)).into_bytes()));
    for asked in [remove_dot_segments(&merged), merged] {
        let mut buffer = Vec::new();
        let resolved = SitePath::decode(&asked, &mut buffer);
        let resolved = resolved.map(|it| (it.name(), it.has_slash()));
        assert_eq!(resolved, Ok((path.name(), true)));
    }
}

/// RFC 3986 5.2.4, for a path that begins with a slash: escapes are not decoded, and empty segments
/// count.
fn remove_dot_segments(path: &[u8]) -> Vec<u8> {
    let mut output: Vec<&[u8]> = Vec::new();
    let mut segments = path[1..].split(|&byte| byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            b"." | b".." => {
                if segment == b".." {
                    output.pop();
                }
                if is_last {
                    output.push(b"");
                }
            }
            _ => output.push(segment),
        }
    }
    [b"/", output.join(&b'/').as_slice()].concat()
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

/// The path leads down only, according to the standard library.
fn assert_harmless(path: SitePath<'_>) {
    use std::path::Component;
    let mut components = path.as_path().components();
    if path.name().is_empty() {
        assert_eq!(components.next(), Some(Component::CurDir));
    }
    assert!(components.all(|component| matches!(component, Component::Normal(_))));
    assert!(path.as_path().is_relative() && !path.name().contains(&0));
}

/// A link made from a name leads to that name.
fn comes_back(name: &[u8]) {
    let link = format!("/{}", encode(name));
    let mut buffer = Vec::new();
    let decoded = SitePath::decode(link.as_bytes(), &mut buffer);
    let is_name = !name.contains(&b'/') && !matches!(name, b"." | b"..") && !name.contains(&0);
    match decoded {
        Ok(path) if is_name => assert_eq!(path.name(), name),
        Ok(_) => {}
        Err(_) => assert!(!is_name, "{link} leads nowhere"),
    }
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"/-._~%".contains(&b);
    assert!(link.bytes().all(is_plain), "{link} needs escaping");
}
