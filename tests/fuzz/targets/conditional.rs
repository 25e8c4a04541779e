//! Conditional requests. Input: on the first line the validators (`s` a strong entity-tag of a
//! file's times, `i` one with the time of its inode, `c` one of its content, `y` a weak one of a
//! racy file; `m` a time of modification; `<`, `=` or `>`: now is before, in or after that second),
//! then field lines.

use super::{date, first_line, opinion, strip};
use oneloop::http::conditional::{ConditionOutcome, Validators, evaluate};
use oneloop::http::date::HttpDate;
use oneloop::http::etag::ETag;
use oneloop::http::fields::Fields;
use oneloop::http::negotiate::Coding;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Sun, 06 Nov 1994 08:49:37 GMT.
const MODIFIED: u64 = 784_111_777;

pub fn check(data: &[u8]) {
    let (plan, lines) = first_line(data);
    let Some(asked) = Asked::read(lines) else {
        return;
    };
    let has = |letter: u8| plan.contains(&letter);
    let modified = has(b'm').then(|| at(MODIFIED));
    let now = match (has(b'<'), has(b'=')) {
        (true, _) => at(MODIFIED - 1),
        (_, true) => at(MODIFIED),
        _ => at(MODIFIED + 1_000_000_000),
    };
    let nanoseconds = i128::from(MODIFIED) * 1_000_000_000;
    let kind = plan.iter().find(|&letter| b"sicy".contains(letter));
    let etag = kind.map(|kind| match kind {
        b's' => ETag::strong(nanoseconds, 5, Coding::Identity),
        b'i' => ETag::of_inode(nanoseconds, 5, nanoseconds + 1, Coding::Brotli),
        b'c' => ETag::of_content(nanoseconds as u64, Coding::Zstd),
        _ => ETag::racy(nanoseconds, 5, Coding::Gzip, now),
    });
    let current = Validators {
        etag: etag.as_ref(),
        modified: modified.and_then(HttpDate::from_system_time),
    };
    let found = evaluate(Fields::new(&asked.text), current, HttpDate::nearest(now));
    let etag = etag.map(|etag| etag.as_bytes().to_vec());
    let expected = verdict(&asked, etag.as_deref(), modified, now);
    assert_eq!(found, expected, "tag {:?}", etag.map(String::from_utf8));
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// Field lines, as bytes and as pairs.
struct Asked {
    text: Vec<u8>,
    fields: Vec<(String, Vec<u8>)>,
}

impl Asked {
    fn read(lines: &[u8]) -> Option<Self> {
        let mut asked = Self {
            text: Vec::new(),
            fields: Vec::new(),
        };
        for line in lines
            .split(|&byte| byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            let colon = line.iter().position(|&byte| byte == b':')?;
            let (name, value) = (&line[..colon], &line[colon + 1..]);
            if !opinion::is_token(name) || !opinion::is_value(value) {
                return None;
            }
            asked.text.extend_from_slice(line);
            asked.text.extend_from_slice(b"\r\n");
            let name = String::from_utf8(name.to_ascii_lowercase()).ok()?;
            asked.fields.push((name, strip(value).to_vec()));
        }
        Some(asked)
    }

    fn all(&self, name: &str) -> Vec<&[u8]> {
        let same = self.fields.iter().filter(|(found, _)| found == name);
        same.map(|(_, value)| value.as_slice()).collect()
    }

    fn has(&self, name: &str) -> bool {
        !self.all(name).is_empty()
    }

    /// The date of a field that occurs once and is valid.
    fn date(&self, name: &str) -> Option<SystemTime> {
        let [value] = self.all(name)[..] else {
            return None;
        };
        date::read(std::str::from_utf8(value).ok()?).map(at)
    }

    /// The list of tags, its lines joined (RFC 9110 5.3); `None` if it is malformed.
    fn tags(&self, name: &str) -> Option<Vec<Vec<u8>>> {
        read_tags(&self.all(name).join(b", ".as_slice()))
    }

    fn says_any(&self, name: &str) -> bool {
        self.all(name) == [b"*"]
    }
}

/// RFC 9110 13.2.2, step by step.
fn verdict(
    asked: &Asked,
    etag: Option<&[u8]>,
    modified: Option<SystemTime>,
    now: SystemTime,
) -> ConditionOutcome {
    // 1. If-Match: true for any, or for one that is the same by strong comparison.
    if asked.has("if-match") {
        let same = |tag: &Vec<u8>| Some(tag.as_slice()) == etag && !tag.starts_with(b"W/");
        let tags = asked.tags("if-match").unwrap_or_default();
        if !asked.says_any("if-match") && !tags.iter().any(same) {
            return ConditionOutcome::PreconditionFailed;
        }
    }
    // 2. If-Unmodified-Since, without If-Match: true if not modified after.
    if !asked.has("if-match")
        && let (Some(modified), Some(date)) = (modified, asked.date("if-unmodified-since"))
        && modified > date
    {
        return ConditionOutcome::PreconditionFailed;
    }
    // 3. If-None-Match: false for any, or for one that is the same by weak comparison.
    if asked.has("if-none-match") {
        let opaque = |tag: &[u8]| tag.strip_prefix(b"W/").unwrap_or(tag).to_vec();
        let same = |tag: &Vec<u8>| Some(opaque(tag)) == etag.map(opaque);
        let tags = asked.tags("if-none-match").unwrap_or_default();
        if asked.says_any("if-none-match") || tags.iter().any(same) {
            return ConditionOutcome::NotModified;
        }
    }
    // 4. If-Modified-Since, without If-None-Match: false if not modified after. A date in the
    //    future is ignored.
    if !asked.has("if-none-match")
        && let (Some(modified), Some(date)) = (modified, asked.date("if-modified-since"))
        && date <= now
        && modified <= date
    {
        return ConditionOutcome::NotModified;
    }
    // 5. Range and If-Range: does the validator match, and is it strong (13.1.5)?
    let is_same = match asked.all("if-range")[..] {
        [value] if value.ends_with(b"\"") => {
            Some(value) == etag && !value.starts_with(b"W/") && read_tags(value).is_some()
        }
        [_] => {
            let date = asked.date("if-range");
            date.is_some() && date == modified && modified.is_some_and(|modified| modified < now)
        }
        _ => false,
    };
    ConditionOutcome::Proceed {
        ranges: is_same || !asked.has("range") || !asked.has("if-range"),
    }
}

/// `#entity-tag`: empty members are allowed, and commas within a tag.
fn read_tags(text: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut tags = Vec::new();
    let mut tag: Vec<u8> = Vec::new();
    let mut is_inside = false;
    // A comma at the end closes the last member, too.
    for &byte in text.iter().chain(b",") {
        match (is_inside, byte) {
            (true, b'"') => is_inside = false,
            (true, b' ' | b'\t' | 0x7f) => return None,
            (true, _) => {}
            (false, b',') => {
                let found = strip(&tag).to_vec();
                tag.clear();
                match found.as_slice() {
                    b"" => {}
                    [b'W', b'/', b'"', .., b'"'] | [b'"', .., b'"'] => tags.push(found),
                    _ => return None,
                }
                continue;
            }
            // A second tag in the member, or a quote that does not begin one.
            (false, b'"') if !matches!(strip(&tag), b"" | b"W/") => return None,
            (false, b'"') => is_inside = true,
            (false, _) => {}
        }
        tag.push(byte);
    }
    (!is_inside).then_some(tags)
}
