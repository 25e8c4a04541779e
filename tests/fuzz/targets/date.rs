//! Dates. Input: seconds since 1970 to render, or a date to parse.

use oneloop::http::date::{DateCache, HttpDate};
use std::time::{Duration, UNIX_EPOCH};

const DAYS: [&str; 7] = [
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
];
const MONTHS: [(&str, u64); 12] = [
    ("Jan", 31),
    ("Feb", 28),
    ("Mar", 31),
    ("Apr", 30),
    ("May", 31),
    ("Jun", 30),
    ("Jul", 31),
    ("Aug", 31),
    ("Sep", 30),
    ("Oct", 31),
    ("Nov", 30),
    ("Dec", 31),
];
/// The first second of the year 10000.
const END: u64 = 253_402_300_800;

pub fn check(data: &[u8]) {
    if let Some(seconds) = std::str::from_utf8(data)
        .ok()
        .and_then(|text| text.parse().ok())
    {
        write(seconds);
    }
    let found = HttpDate::parse(data).map(HttpDate::seconds);
    let text = std::str::from_utf8(data)
        .ok()
        .filter(|text| text.is_ascii())
        .map(|text| text.trim_matches([' ', '\t']));
    let expected = text.and_then(read);
    assert_eq!(found, expected, "by the calendar");
    let theirs = text.and_then(|text| httpdate::parse_http_date(text).ok());
    let theirs = theirs.map(|time| time.duration_since(UNIX_EPOCH).unwrap().as_secs());
    // The crate also removes white space that HTTP does not have, and accepts any byte as the space
    // before the time of the RFC 850 form.
    let is_plain = text.is_some_and(|text| text.trim() == text && text.matches(' ').count() > 2);
    assert_eq!(found, theirs.filter(|_| is_plain), "by the crate httpdate");
    if let Some(seconds) = found {
        write(seconds);
    }
}

/// Rendering gives the same as the crate, and parsing gives the number back.
fn write(seconds: u64) {
    let Some(time) = UNIX_EPOCH.checked_add(Duration::from_secs(seconds)) else {
        return;
    };
    let date = HttpDate::from_system_time(time);
    assert_eq!(date.is_some(), seconds < END);
    let nearest = HttpDate::nearest(time);
    assert_eq!(nearest.seconds(), seconds.min(END - 1));
    let text = nearest.to_bytes();
    let theirs = UNIX_EPOCH + Duration::from_secs(nearest.seconds());
    assert_eq!(text, *httpdate::fmt_http_date(theirs).as_bytes());
    assert_eq!(HttpDate::parse(&text), Some(nearest));
    assert_eq!(*DateCache::default().at(time), text);
    assert_eq!(nearest.to_string().as_bytes(), text);
}

/// The three forms of RFC 9110 5.6.7, by their words.
pub fn read(text: &str) -> Option<u64> {
    let words: Vec<_> = text.split(' ').collect();
    match words[..] {
        [day, date, time, "GMT"] => {
            let parts: Vec<_> = date.split('-').collect();
            let [date, month, year] = parts[..] else {
                return None;
            };
            let year = match digits(year, 2)? {
                year @ 0..70 => 2000 + year,
                year => 1900 + year,
            };
            let name = day.strip_suffix(',')?;
            seconds(name, false, year, month, digits(date, 2)?, time)
        }
        [day, date, month, year, time, "GMT"] => {
            let name = day.strip_suffix(',')?;
            seconds(name, true, digits(year, 4)?, month, digits(date, 2)?, time)
        }
        [day, month, date, time, year] => {
            seconds(day, true, digits(year, 4)?, month, digits(date, 2)?, time)
        }
        [day, month, "", date, time, year] => {
            seconds(day, true, digits(year, 4)?, month, digits(date, 1)?, time)
        }
        _ => None,
    }
}

fn digits(text: &str, count: usize) -> Option<u64> {
    let is_number = text.len() == count && text.chars().all(|c| c.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

fn seconds(
    day: &str,
    is_short: bool,
    year: u64,
    month: &str,
    date: u64,
    time: &str,
) -> Option<u64> {
    let is_leap =
        |year: u64| year.is_multiple_of(400) || year.is_multiple_of(4) && !year.is_multiple_of(100);
    let index = MONTHS.iter().position(|(name, _)| *name == month)?;
    let length = |month: usize| MONTHS[month].1 + u64::from(month == 1 && is_leap(year));
    if !(1970..=9999).contains(&year) || !(1..=length(index)).contains(&date) {
        return None;
    }
    let before: u64 = (0..index).map(length).sum();
    let leap_days = |year: u64| year / 4 - year / 100 + year / 400;
    let days = (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969) + before + date - 1;
    let name = DAYS[(days % 7) as usize];
    if day != if is_short { &name[..3] } else { name } {
        return None;
    }
    let parts: Vec<_> = time.split(':').collect();
    let [hour, minute, second] = parts[..] else {
        return None;
    };
    let (hour, minute, second) = (digits(hour, 2)?, digits(minute, 2)?, digits(second, 2)?);
    // A leap second is refused.
    let is_time = hour < 24 && minute < 60 && second < 60;
    is_time.then_some(days * 86_400 + hour * 3600 + minute * 60 + second)
}
