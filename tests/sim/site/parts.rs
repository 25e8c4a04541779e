//! Ranges: the bytes that were requested, and whether they were sent.

use super::check::Case;
use super::request::{Ranges, Spec};
use super::tree::Version;

/// First and last byte.
type Pair = (u64, u64);

/// The byte ranges of a file of this size: empty if none can be satisfied, `None` if the whole file
/// is sent.
pub fn wanted(ranges: Ranges, size: u64) -> Option<Vec<Pair>> {
    let mut wanted = Vec::new();
    for spec in ranges {
        let (first, last) = match *spec {
            Spec::Between(first, last) if first > last => return None,
            Spec::Last(_) | Spec::From(0) | Spec::Between(0, _) if size == 0 => return None,
            Spec::From(first) => (first, u64::MAX),
            Spec::Between(first, last) => (first, last),
            Spec::Last(length) => (size.saturating_sub(length), u64::MAX),
        };
        if first < size {
            wanted.push((first, last.min(size - 1)));
        }
    }
    Some(wanted)
}

/// Checks that a 206 has the requested bytes of a version, with correct fields.
pub fn check(
    case: &Case<'_>,
    wanted: &[Pair],
    version: &Version,
    inode: usize,
) -> Result<(), String> {
    let parts = match case.head.field("content-range") {
        Some(range) => {
            let (first, last, total) = pair(range)?;
            if !case.has_length((last - first + 1) as usize) {
                return Err(format!("not {range}"));
            }
            vec![((first, last), total, 0)]
        }
        None => several(case)?,
    };
    let is_sent = |&(first, last): &Pair| {
        let within = |part: &(Pair, u64, usize)| part.0.0 <= first && last <= part.0.1;
        parts.iter().any(within)
    };
    let is_all = wanted.iter().all(is_sent) && !wanted.is_empty();
    if case.is_whole && !is_all
        || wanted.len() == 1 && parts.first().map(|p| p.0) != Some(wanted[0])
    {
        return Err(format!("{wanted:?} were wanted"));
    }
    let mut sorted: Vec<Pair> = parts.iter().map(|part| part.0).collect();
    sorted.sort_unstable();
    if sorted.windows(2).any(|two| two[0].1 >= two[1].0) {
        return Err("parts that overlap".into());
    }
    for ((first, last), total, at) in parts {
        let bytes = version.bytes.get(first as usize..=last as usize);
        let bytes = bytes.ok_or("bytes beyond the end")?;
        if total != version.bytes.len() as u64 || !case.body.holds(at, bytes, inode, first) {
            return Err(format!("{first}-{last}/{total} are other bytes"));
        }
    }
    Ok(())
}

/// The parts of a multipart body: range, size of the file, and position in the body.
fn several(case: &Case<'_>) -> Result<Vec<(Pair, u64, usize)>, String> {
    let content_type = case.head.field("content-type").unwrap_or_default();
    let (_, boundary) = content_type.split_once("boundary=").ok_or("no range")?;
    let body = &case.body.bytes;
    let mut parts: Vec<(Pair, u64, usize)> = Vec::new();
    let mut at = 0;
    loop {
        let line = format!("\r\n--{boundary}");
        let rest = &body[at.min(body.len())..];
        if !case.is_whole && rest.len() < line.len() + 200 {
            // The last part of an incomplete body is not checked.
            return Ok(parts);
        }
        let rest = rest.strip_prefix(line.as_bytes()).ok_or("no boundary")?;
        if rest == b"--\r\n" && !parts.is_empty() {
            return Ok(parts);
        }
        let end = rest.windows(4).position(|four| four == b"\r\n\r\n");
        let end = end.ok_or("a part without a head")?;
        let head = String::from_utf8_lossy(&rest[..end]);
        let (_, range) = head.split_once("Content-Range: ").ok_or("a part of what")?;
        let (first, last, total) = pair(range)?;
        at += line.len() + end + 4;
        parts.push(((first, last), total, at));
        at += (last - first + 1) as usize;
    }
}

/// `bytes 0-4/10`
fn pair(range: &str) -> Result<(u64, u64, u64), String> {
    let numbers = range.strip_prefix("bytes ").unwrap_or_default();
    let numbers: Vec<u64> = numbers
        .split(['-', '/'])
        .filter_map(|number| number.parse().ok())
        .collect();
    match numbers[..] {
        [first, last, total] if first <= last && last < total => Ok((first, last, total)),
        _ => Err(format!("a range of {range}")),
    }
}
