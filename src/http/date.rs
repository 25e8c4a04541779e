//! The dates of header fields (RFC 9110 5.6.7).

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
        let text = str::from_utf8(value).ok()?.trim_matches([' ', '\t']);
        // httpdate also removes other white space around the date, and accepts any byte as the
        // space between day and time of the RFC 850 form, the form with the fewest spaces.
        if text.trim().len() < text.len() || text.matches(' ').count() < 3 {
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

    /// For tests: seconds since 1970.
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
}

impl fmt::Display for HttpDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.to_bytes()))
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
            "\tSunday, 06-Nov-94!08:49:37 GMT  \u{b}",
            "Sun, 06 Nov 1994 08:49:37 GMT\u{b}",
            "\u{c}Sun, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 GMT\r\n",
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

    proptest! {
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
