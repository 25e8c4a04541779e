//! Dates in the formats of log lines and listings, made from the date of a header field.

use crate::http::date::HttpDate;

/// The parts of a date in UTC, as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CivilTime {
    year: [u8; 4],
    month: [u8; 3],
    day: [u8; 2],
    time: [u8; 8],
}

impl CivilTime {
    /// The parts of `date`.
    pub fn of(date: HttpDate) -> Self {
        #[rustfmt::skip]
        let [
            _, _, _, _, _, d1, d2, _, m1, m2, m3, _, y1, y2, y3, y4, _, time @ .., _, _, _, _,
        ] = date.to_bytes();
        Self {
            year: [y1, y2, y3, y4],
            month: [m1, m2, m3],
            day: [d1, d2],
            time,
        }
    }

    /// Appends `2026-11-22T15:42:28`, to which the caller adds a fraction and the `Z` (RFC 3339
    /// 5.6).
    pub fn put_rfc3339(&self, out: &mut Vec<u8>) {
        self.put_day(out);
        out.push(b'T');
        out.extend_from_slice(&self.time);
    }

    /// Appends `2026-11-22 15:42`.
    pub fn put_minute(&self, out: &mut Vec<u8>) {
        let [minute @ .., _, _, _] = &self.time;
        self.put_day(out);
        out.push(b' ');
        out.extend_from_slice(minute);
    }

    /// Appends `22/Nov/2026:15:42:28 +0000`, as in the Common Log Format.
    pub fn put_clf(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.day);
        out.push(b'/');
        out.extend_from_slice(&self.month);
        out.push(b'/');
        out.extend_from_slice(&self.year);
        out.push(b':');
        out.extend_from_slice(&self.time);
        out.extend_from_slice(b" +0000");
    }

    /// Appends `2026-11-22`.
    fn put_day(&self, out: &mut Vec<u8>) {
        const NAMES: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
        let mut numbers = (1..).zip(NAMES.chunks(3));
        let number = numbers.find(|(_, name)| *name == self.month);
        assert!(number.is_some(), "HttpDate has the names of RFC 9110");
        let number = number.map_or(0, |(number, _)| number);
        out.extend_from_slice(&self.year);
        out.extend_from_slice(&[b'-', b'0' + number / 10, b'0' + number % 10, b'-']);
        out.extend_from_slice(&self.day);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::{Duration, UNIX_EPOCH};

    fn written(put: fn(&CivilTime, &mut Vec<u8>), date: HttpDate) -> String {
        let mut out = Vec::new();
        put(&CivilTime::of(date), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_date_is_written_in_other_formats() {
        for (seconds, day, minute, second) in [
            (784_111_777, "1994-11-06", "08:49", "37"),
            (951_782_399, "2000-02-28", "23:59", "59"),
            (951_782_400, "2000-02-29", "00:00", "00"),
            (1_795_362_148, "2026-11-22", "15:42", "28"),
            (0, "1970-01-01", "00:00", "00"),
            (-1, "1970-01-01", "00:00", "00"),
            (i64::MIN, "1970-01-01", "00:00", "00"),
            (253_402_300_800, "9999-12-31", "23:59", "59"),
            (i64::MAX, "9999-12-31", "23:59", "59"),
        ] {
            let date = HttpDate::nearest_to_seconds(seconds);
            let rfc3339 = written(CivilTime::put_rfc3339, date);
            assert_eq!(rfc3339, format!("{day}T{minute}:{second}"));
            let to_the_minute = written(CivilTime::put_minute, date);
            assert_eq!(to_the_minute, format!("{day} {minute}"));
        }
    }

    #[test]
    fn every_month_has_its_number() {
        for month in 1..=12 {
            let seconds = 1_767_225_600 + (month - 1) * 2_630_000 + 1_000_000;
            let date = HttpDate::nearest_to_seconds(seconds);
            let text = written(CivilTime::put_rfc3339, date);
            assert_eq!(text[..8], format!("2026-{month:02}-"), "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_parts_are_those_of_the_whole_date(seconds in 0..=253_402_300_799_u64) {
            let http = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds));
            let words: Vec<_> = http.split(' ').collect();
            let [_, day, month, year, time, _] = words[..] else { panic!("{http}") };
            let date = HttpDate::nearest_to_seconds(seconds as i64);
            let clf = written(CivilTime::put_clf, date);
            prop_assert_eq!(clf, format!("{day}/{month}/{year}:{time} +0000"));
        }
    }
}
