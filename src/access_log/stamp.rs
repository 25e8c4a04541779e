//! The time in a line of the access log. Part of `access_log`; pure, imports nothing.
//!
//! UTC only: a server's lines must sort, and twice a year a local time does not.

use std::fmt;
use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The text of one second, rendered when the second changes.
#[derive(Debug, Default)]
pub(super) struct Stamp {
    second: Option<u64>,
    text: Vec<u8>,
}

impl Stamp {
    /// `second` counts from 1970; `render` must be the same for every call.
    pub(super) fn at(&mut self, second: u64, render: fn(u64, &mut Vec<u8>)) -> &[u8] {
        if self.second != Some(second) {
            self.text.clear();
            render(second, &mut self.text);
            self.second = Some(second);
        }
        &self.text
    }
}

/// Nothing for a time before 1970: a clock that shows one was never set.
pub(super) fn since_epoch(wall: SystemTime) -> Duration {
    wall.duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// `22/Nov/2026:15:42:28 +0000`.
pub(super) fn put_clf_time(second: u64, out: &mut Vec<u8>) {
    const NAMES: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (year, month, day) = civil(second / 86_400);
    let name = NAMES.into_iter().nth(month - 1).unwrap_or_default();
    let (hour, minute, second) = clock(second);
    put(
        out,
        format_args!("{day:02}/{name}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000"),
    );
}

/// `2026-11-22T15:42:28`, to which the caller adds the fraction and the `Z` (RFC 3339 5.6).
pub(super) fn put_rfc3339_time(second: u64, out: &mut Vec<u8>) {
    let (year, month, day) = civil(second / 86_400);
    let (hour, minute, second) = clock(second);
    put(
        out,
        format_args!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"),
    );
}

/// Year, month (1-12) and day (1-31) of the day that many `days` after 1 January 1970, in
/// the Gregorian calendar.
///
/// The year is counted from 1 March, so that the leap day is the last of its year, and the
/// months before it follow the rhythm 31 30 31 30 31: five months have 153 days. Years repeat
/// after 400, which have 146,097 days. (After Howard Hinnant, "chrono-Compatible Low-Level
/// Date Algorithms".)
fn civil(days: u64) -> (u64, usize, u64) {
    // From 1 March of the year 0, not from 1970.
    let days = days + 719_468;
    let (cycle, day) = (days / 146_097, days % 146_097);
    // Leap days are taken out, so that every year has 365 days.
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let march_based = (5 * day + 2) / 153;
    let day = day - (153 * march_based + 2) / 5 + 1;
    let month = if march_based < 10 {
        march_based + 3
    } else {
        march_based - 9
    };
    let year = cycle * 400 + year + u64::from(month <= 2);
    (year, month as usize, day)
}

/// Hour, minute and second of the day.
fn clock(second: u64) -> (u64, u64, u64) {
    (second / 3_600 % 24, second / 60 % 60, second % 60)
}

/// Appends formatted text. A vector takes everything, so there is no error to report.
pub(super) fn put(out: &mut Vec<u8>, text: fmt::Arguments) {
    _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn dates_are_those_of_httpdate(second in 0..253_402_300_800_u64) {
            let http = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(second));
            let words: Vec<_> = http.split(' ').collect();
            let [_, day, month, year, time, _] = words[..] else { panic!("{http}") };
            let mut out = Vec::new();
            put_clf_time(second, &mut out);
            let ours = String::from_utf8(out).unwrap();
            assert_eq!(ours, format!("{day}/{month}/{year}:{time} +0000"));

            let mut out = Vec::new();
            put_rfc3339_time(second, &mut out);
            let number = "JanFebMarAprMayJunJulAugSepOctNovDec".find(month).unwrap() / 3 + 1;
            let ours = String::from_utf8(out).unwrap();
            assert_eq!(ours, format!("{year}-{number:02}-{day}T{time}"));
        }
    }
}
