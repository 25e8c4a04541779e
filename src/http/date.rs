//! Dates: those of header fields (RFC 9110 5.6.7), and the parts of one for other formats.

use std::fmt;
use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A date that a header field can contain: whole seconds since 1970, not before 1970 and not after
/// 9999, as the format has four digits for the year (RFC 9110 5.6.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HttpDate(u64);

impl HttpDate {
    /// Fri, 31 Dec 9999 23:59:59 GMT.
    const LAST: Self = Self(253_402_300_799);

    /// Parses any of the three forms of RFC 9110 5.6.7. `None` if it has none of them, if the
    /// weekday is wrong, or before 1970.
    ///
    /// A year of two digits is 1970 to 2069. From 2019 on, that is at most 50 years ahead, as the
    /// RFC requires.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let text = str::from_utf8(value.trim_ascii()).ok()?;
        // httpdate accepts any byte as the space between day and time of the RFC 850 form, which
        // has the fewest spaces of the three.
        if text.matches(' ').count() < 3 {
            return None;
        }
        Self::from_system_time(httpdate::parse_http_date(text).ok()?)
    }

    /// The second of `time`. `None` before 1970 and after 9999: file systems have such times.
    pub fn from_system_time(time: SystemTime) -> Option<Self> {
        let since_1970 = time.duration_since(UNIX_EPOCH).ok()?;
        let date = Self(since_1970.as_secs());
        (date <= Self::LAST).then_some(date)
    }

    /// The date nearest to `time`: for the clock, whatever it shows.
    pub fn nearest(time: SystemTime) -> Self {
        let since_1970 = time.duration_since(UNIX_EPOCH);
        Self(since_1970.map_or(0, |since| since.as_secs())).min(Self::LAST)
    }

    /// The date nearest to `seconds` after 1970.
    pub fn nearest_to_seconds(seconds: i64) -> Self {
        Self(seconds.max(0).cast_unsigned()).min(Self::LAST)
    }

    /// Seconds since 1970.
    pub fn seconds(self) -> u64 {
        self.0
    }

    /// The date as an IMF-fixdate, the form to send: `Sun, 06 Nov 1994 08:49:37 GMT`.
    pub fn to_bytes(self) -> [u8; 29] {
        let mut text = [b' '; 29];
        let date = httpdate::HttpDate::from(UNIX_EPOCH + Duration::from_secs(self.0));
        let written = write!(text.as_mut_slice(), "{date}");
        assert!(written.is_ok(), "an IMF-fixdate has 29 bytes");
        text
    }

    /// The parts of the date.
    pub fn civil(self) -> CivilTime {
        #[rustfmt::skip]
        let [
            _, _, _, _, _, d1, d2, _, m1, m2, m3, _, y1, y2, y3, y4, _, time @ .., _, _, _, _,
        ] = self.to_bytes();
        CivilTime {
            year: [y1, y2, y3, y4],
            month: [m1, m2, m3],
            day: [d1, d2],
            time,
        }
    }
}

impl fmt::Display for HttpDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.to_bytes()))
    }
}

/// The parts of a date in UTC, as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CivilTime {
    year: [u8; 4],
    month: [u8; 3],
    day: [u8; 2],
    time: [u8; 8],
}

impl CivilTime {
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

/// The value of `Date`, rendered only when the second changes.
#[derive(Clone, Debug)]
pub struct DateCache {
    date: HttpDate,
    text: [u8; 29],
}

impl Default for DateCache {
    fn default() -> Self {
        let date = HttpDate::default();
        Self {
            date,
            text: date.to_bytes(),
        }
    }
}

impl DateCache {
    /// The value of `Date` at `wall`. A clock that was never set may show a time before 1970: the
    /// value is 1970 then.
    pub fn at(&mut self, wall: SystemTime) -> &[u8; 29] {
        let date = HttpDate::nearest(wall);
        if date != self.date {
            *self = Self {
                date,
                text: date.to_bytes(),
            };
        }
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn after_1970(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn the_three_forms_name_the_same_second() {
        for form in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            let date = HttpDate::parse(form.as_bytes());
            assert_eq!(date, Some(HttpDate(784_111_777)), "{form}");
        }
    }

    #[test]
    fn years_of_two_digits_are_between_1970_and_2069() {
        let year_69 = HttpDate::parse(b"Tuesday, 31-Dec-69 23:59:59 GMT");
        assert_eq!(
            year_69.map(HttpDate::to_bytes).as_ref(),
            Some(b"Tue, 31 Dec 2069 23:59:59 GMT")
        );
        let year_70 = HttpDate::parse(b"Thursday, 01-Jan-70 00:00:00 GMT");
        assert_eq!(year_70, Some(HttpDate(0)));
    }

    #[test]
    fn an_invalid_date_is_none() {
        for text in [
            "",
            "0",
            "Mon, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Thu, 30 Feb 2023 00:00:00 GMT",
            "Wed, 31 Dec 1969 23:59:59 GMT",
            "Sunday, 06-Nov-94!08:49:37 GMT",
            "\u{2029}Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(HttpDate::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn times_that_no_field_can_contain_are_none() {
        let before = UNIX_EPOCH - Duration::from_nanos(1);
        assert_eq!(HttpDate::from_system_time(before), None);
        assert_eq!(
            HttpDate::from_system_time(after_1970(253_402_300_800)),
            None
        );
        let last = HttpDate::from_system_time(after_1970(253_402_300_799));
        assert_eq!(
            last.map(HttpDate::to_bytes).as_ref(),
            Some(b"Fri, 31 Dec 9999 23:59:59 GMT")
        );
    }

    #[test]
    fn a_date_is_displayed_as_it_is_sent() {
        let date = HttpDate(784_111_777);
        assert_eq!(date.to_string(), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(date.to_bytes(), *b"Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn the_date_line_changes_with_the_second_and_back() {
        let mut line = DateCache::default();
        let half_past = after_1970(784_111_777) + Duration::from_millis(500);
        assert_eq!(line.at(half_past), b"Sun, 06 Nov 1994 08:49:37 GMT");
        let next = half_past + Duration::from_millis(500);
        assert_eq!(line.at(next), b"Sun, 06 Nov 1994 08:49:38 GMT");
        assert_eq!(line.at(half_past), b"Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn a_clock_before_1970_or_after_9999_gives_the_nearest_date() {
        let mut line = DateCache::default();
        let before = UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(line.at(before), b"Thu, 01 Jan 1970 00:00:00 GMT");
        let far = after_1970(1_000_000_000_000);
        assert_eq!(line.at(far), b"Fri, 31 Dec 9999 23:59:59 GMT");
    }

    fn written(put: fn(&CivilTime, &mut Vec<u8>), date: HttpDate) -> String {
        let mut out = Vec::new();
        put(&date.civil(), &mut out);
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
        fn the_parts_are_those_of_the_whole_date(seconds in 0..=HttpDate::LAST.0) {
            let http = httpdate::fmt_http_date(after_1970(seconds));
            let words: Vec<_> = http.split(' ').collect();
            let [_, day, month, year, time, _] = words[..] else { panic!("{http}") };
            let clf = written(CivilTime::put_clf, HttpDate(seconds));
            prop_assert_eq!(clf, format!("{day}/{month}/{year}:{time} +0000"));
        }

        #[test]
        fn every_date_is_read_back_as_itself(seconds in 0..=HttpDate::LAST.0) {
            let date = HttpDate(seconds);
            let read = HttpDate::parse(&date.to_bytes());
            prop_assert_eq!(read, Some(date));
            prop_assert_eq!(date.seconds(), seconds);
        }

        #[test]
        fn parsing_survives_any_bytes(value: Vec<u8>) {
            HttpDate::parse(&value);
        }

        #[test]
        fn parsing_survives_a_date_with_any_byte_changed(
            seconds in 0..=HttpDate::LAST.0, form in 0..3, at in 0usize..33, byte: u8,
        ) {
            let imf = HttpDate(seconds).to_string();
            let mut text = match form {
                0 => imf.into_bytes(),
                1 => b"Wednesday, 09-Nov-94 08:49:37 GMT".to_vec(),
                _ => b"Sun Nov  6 08:49:37 1994".to_vec(),
            };
            let at = at % text.len();
            text[at] = byte;
            HttpDate::parse(&text);
        }

        #[test]
        fn any_clock_can_be_rendered(seconds: u32, scale in 1u64..1000, early: bool) {
            let distance = Duration::from_secs(u64::from(seconds) * scale);
            let wall = if early { UNIX_EPOCH - distance } else { UNIX_EPOCH + distance };
            let mut line = DateCache::default();
            prop_assert_eq!(*line.at(wall), HttpDate::nearest(wall).to_bytes());
            if let Some(date) = HttpDate::from_system_time(wall) {
                prop_assert_eq!(date, HttpDate::nearest(wall));
            }
        }
    }
}
