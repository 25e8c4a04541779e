//! The script of one connection: bytes to send, and the pauses between them.

use std::str::FromStr;
use std::time::Duration;

/// The pause between two parts of a text that `--split` cuts: long enough for the server to read
/// the first before the second is sent.
const SPLIT_PAUSE: Duration = Duration::from_millis(1);

/// One argument of the script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Bytes to send.
    Text(Vec<u8>),
    /// A time in which nothing is sent.
    Pause(Duration),
}

impl FromStr for Piece {
    type Err = String;

    /// A number with the unit `us`, `ms` or `s` is a pause; a URL is most likely a mistake;
    /// anything else is text with escapes.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with("http://") || text.starts_with("https://") {
            return Err("this is text to send; the server is --to HOST:PORT".to_owned());
        }
        match duration(text) {
            Ok(pause) => Ok(Self::Pause(pause)),
            Err(_) => unescape(text).map(Self::Text),
        }
    }
}

/// Parses a time such as `500ms`, `1.5s` or `20us`; at most a day.
///
/// # Errors
/// What a time looks like.
pub fn duration(text: &str) -> Result<Duration, String> {
    let units = [("ms", 1e-3), ("us", 1e-6), ("s", 1.0)];
    let parsed = units.into_iter().find_map(|(unit, seconds)| {
        let number = text.strip_suffix(unit)?;
        let is_number =
            !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let value = number.parse::<f64>().ok().filter(|_| is_number)? * seconds;
        Duration::try_from_secs_f64(value).ok()
    });
    parsed
        .filter(|time| *time <= Duration::from_secs(86_400))
        .ok_or_else(|| "a time with its unit, such as 500ms or 1.5s, at most 86400s".to_owned())
}

/// Replaces the escapes `\r \n \t \0 \\ \xNN`.
fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut parts = text.split('\\');
    bytes.extend(parts.next().unwrap_or_default().bytes());
    while let Some(part) = parts.next() {
        let mut rest = part.chars();
        let byte = match rest.next() {
            Some('r') => b'\r',
            Some('n') => b'\n',
            Some('t') => b'\t',
            Some('0') => 0,
            Some('x') => {
                let digits: String = rest.by_ref().take(2).collect();
                let byte = u8::from_str_radix(&digits, 16)
                    .ok()
                    .filter(|_| digits.len() == 2);
                byte.ok_or("after \\x come two hexadecimal digits, such as \\x0d")?
            }
            // Two backslashes: the part between them is empty, and the next one is plain text.
            None => {
                bytes.push(b'\\');
                bytes.extend(parts.next().ok_or(LONE_BACKSLASH)?.bytes());
                continue;
            }
            Some(other) => {
                return Err(format!(
                    "unknown escape \\{other}; known are \\r \\n \\t \\0 \\\\ and \\xNN"
                ));
            }
        };
        bytes.push(byte);
        bytes.extend(rest.as_str().bytes());
    }
    Ok(bytes)
}

const LONE_BACKSLASH: &str = "a backslash at the end; a backslash itself is written \\\\";

/// One write, and the pause before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// How long to wait since the write before, or since the connection was made.
    pub pause: Duration,
    /// What to send.
    pub bytes: Vec<u8>,
}

/// What one connection sends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// The writes, in order.
    pub writes: Vec<Write>,
    /// How long to wait after the last one.
    pub last_pause: Duration,
}

impl Script {
    /// Puts the pieces in order. With `split`, no write is longer than this many bytes.
    pub fn new(pieces: &[Piece], split: Option<usize>) -> Self {
        let mut script = Self::default();
        for piece in pieces {
            match piece {
                Piece::Pause(pause) => script.last_pause += *pause,
                Piece::Text(bytes) => {
                    let length = split.unwrap_or(bytes.len()).max(1);
                    for part in bytes.chunks(length) {
                        script.add(part);
                    }
                }
            }
        }
        script.separate(split.is_some());
        script
    }

    fn add(&mut self, bytes: &[u8]) {
        self.writes.push(Write {
            pause: std::mem::take(&mut self.last_pause),
            bytes: bytes.to_owned(),
        });
    }

    /// Where the script has no pause between two writes, waits a moment if the writes are meant to
    /// arrive apart.
    fn separate(&mut self, is_split: bool) {
        for write in self.writes.iter_mut().skip(1).filter(|_| is_split) {
            write.pause = write.pause.max(SPLIT_PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_number_with_a_unit_is_a_pause_and_anything_else_is_text() {
        let piece = |text: &str| text.parse::<Piece>().unwrap();
        assert_eq!(piece("500ms"), Piece::Pause(500 * MS));
        assert_eq!(piece("1.5s"), Piece::Pause(1500 * MS));
        assert_eq!(piece("20us"), Piece::Pause(MS / 50));
        for text in [
            "ms",
            "5",
            "5 ms",
            "-5ms",
            "1e3s",
            "GET / HTTP",
            "86401s",
            "",
        ] {
            assert_eq!(piece(text), Piece::Text(text.as_bytes().to_vec()), "{text}");
        }
    }

    #[test]
    fn escapes_stand_for_bytes_that_a_shell_cannot_write() {
        let bytes = |text: &str| unescape(text).unwrap();
        assert_eq!(bytes(r"a\r\nb\t\0\\n\x0D\xff"), b"a\r\nb\t\0\\n\r\xff");
        assert_eq!(bytes(r"\\\\r\\\r"), b"\\\\r\\\r");
        assert_eq!(bytes("é"), "é".as_bytes());
    }

    #[test]
    fn an_unknown_escape_is_an_error_that_names_the_known_ones() {
        let error = |text: &str| unescape(text).unwrap_err();
        assert_eq!(
            error(r"GET \q"),
            r"unknown escape \q; known are \r \n \t \0 \\ and \xNN"
        );
        assert_eq!(
            error(r"\xg1"),
            r"after \x come two hexadecimal digits, such as \x0d"
        );
        assert_eq!(
            error(r"\x1"),
            r"after \x come two hexadecimal digits, such as \x0d"
        );
        assert_eq!(
            error("end\\"),
            r"a backslash at the end; a backslash itself is written \\"
        );
    }

    #[test]
    fn a_pause_comes_before_the_next_write_and_the_last_one_after_all() {
        let pieces = ["a", "2ms", "3ms", "bc", "d", "7ms"].map(|text| text.parse().unwrap());
        let script = |split| {
            let script = Script::new(&pieces, split);
            assert_eq!(script.last_pause, 7 * MS);
            let writes = script.writes.into_iter();
            writes
                .map(|write| (write.pause, String::from_utf8(write.bytes).unwrap()))
                .collect::<Vec<_>>()
        };
        let text = |pause: u32, text: &str| (MS * pause, text.to_owned());
        assert_eq!(script(None), [text(0, "a"), text(5, "bc"), text(0, "d")]);
        assert_eq!(
            script(Some(1)),
            [text(0, "a"), text(5, "b"), text(1, "c"), text(1, "d")]
        );
    }
}
