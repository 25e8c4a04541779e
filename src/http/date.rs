//! Room `http`: how does a moment look in a header field, and which moment does one name?
//!
//! Imports nothing of ours.

use std::fmt;
use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A moment that a header field can name: whole seconds since 1970, not before it and
/// not after the year 9999, whose four digits are all that the format has (RFC 9110 5.6.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HttpDate(u64);

impl HttpDate {
    /// Fri, 31 Dec 9999 23:59:59 GMT. Rendering relies on nothing being later.
    const LAST: Self = Self(253_402_300_799);

    /// Reads any of the three forms of RFC 9110 5.6.7. `None` when it is none of them, when
    /// the weekday is not that day's, and before 1970.
    ///
    /// Two digits of a year mean 1970 to 2069. By any clock from 2019 on, that is never more
    /// than 50 years ahead, which is what the RFC asks of a reader.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let text = str::from_utf8(value.trim_ascii()).ok()?;
        // httpdate takes any byte for the blank between day and time of the RFC 850 form, which
        // has the fewest blanks of the three.
        if text.matches(' ').count() < 3 {
            return None;
        }
        Self::from_system_time(httpdate::parse_http_date(text).ok()?)
    }

    /// The second that holds `time`; `None` when no header field can name it: file
    /// systems know times before 1970 and after 9999.
    pub fn from_system_time(time: SystemTime) -> Option<Self> {
        let since_1970 = time.duration_since(UNIX_EPOCH).ok()?;
        let date = Self(since_1970.as_secs());
        (date <= Self::LAST).then_some(date)
    }

    /// The nearest moment a header field can name. For the wall clock, which has to be
    /// written down whatever it says.
    pub fn nearest(time: SystemTime) -> Self {
        let since_1970 = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(since_1970.as_secs()).min(Self::LAST)
    }

    /// Seconds since 1970.
    pub fn seconds(self) -> u64 {
        self.0
    }

    /// As an IMF-fixdate, the form to send: `Sun, 06 Nov 1994 08:49:37 GMT`.
    pub fn to_bytes(self) -> [u8; 29] {
        let mut text = [b' '; 29];
        let date = httpdate::HttpDate::from(UNIX_EPOCH + Duration::from_secs(self.0));
        let written = write!(text.as_mut_slice(), "{date}");
        debug_assert!(written.is_ok(), "an IMF-fixdate has 29 bytes");
        text
    }
}

impl fmt::Display for HttpDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(&self.to_bytes()).unwrap_or_default())
    }
}

/// The value of `Date`, rendered again only when the second changes: at 100,000 responses
/// a second, 99,999 of them say the same.
#[derive(Clone, Debug)]
pub struct DateLine {
    date: HttpDate,
    text: [u8; 29],
}

impl Default for DateLine {
    fn default() -> Self {
        let date = HttpDate::default();
        Self {
            date,
            text: date.to_bytes(),
        }
    }
}

impl DateLine {
    /// What `Date` says at `wall`. A clock before 1970 counts as 1970: a wrong date is worth
    /// less than a right one, but more than a server that stopped.
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
    fn two_digit_years_lie_between_1970_and_2069() {
        let year_69 = HttpDate::parse(b"Tuesday, 31-Dec-69 23:59:59 GMT");
        assert_eq!(
            year_69.map(HttpDate::to_bytes).as_ref(),
            Some(b"Tue, 31 Dec 2069 23:59:59 GMT")
        );
        let year_70 = HttpDate::parse(b"Thursday, 01-Jan-70 00:00:00 GMT");
        assert_eq!(year_70, Some(HttpDate(0)));
    }

    #[test]
    fn what_is_not_a_date_is_none() {
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
    fn times_no_field_can_name_are_none() {
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
        let mut line = DateLine::default();
        let half_past = after_1970(784_111_777) + Duration::from_millis(500);
        assert_eq!(line.at(half_past), b"Sun, 06 Nov 1994 08:49:37 GMT");
        let next = half_past + Duration::from_millis(500);
        assert_eq!(line.at(next), b"Sun, 06 Nov 1994 08:49:38 GMT");
        assert_eq!(line.at(half_past), b"Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn a_clock_outside_the_calendar_gives_its_nearest_date() {
        let mut line = DateLine::default();
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
            let mut line = DateLine::default();
            prop_assert_eq!(*line.at(wall), HttpDate::nearest(wall).to_bytes());
            if let Some(date) = HttpDate::from_system_time(wall) {
                prop_assert_eq!(date, HttpDate::nearest(wall));
            }
        }
    }
}
