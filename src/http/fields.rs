//! The field lines of a received head, and the owned lines of a head to send.
//!
//! Received fields stay where they arrived: [`Fields`] walks the bytes of the head
//! again for each question. A head is short and most questions are asked of heads
//! that carry few fields, so a walk costs less than a table would.

use std::fmt;
use std::io::Write;

/// The field lines of one head, after httparse has accepted it and [`super::request`]
/// has refused what httparse tolerates: every line is `name: value CRLF`.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'h>(&'h [u8]);

impl<'h> Fields<'h> {
    /// `lines` is the head without its request line and without the empty line that ends it.
    pub fn new(lines: &'h [u8]) -> Self {
        Self(lines)
    }

    /// All lines, in the order they arrived: name as sent, value without surrounding blanks.
    pub fn iter(self) -> impl Iterator<Item = (&'h [u8], &'h [u8])> {
        self.0.split(|&byte| byte == b'\n').filter_map(|line| {
            let colon = line.iter().position(|&byte| byte == b':')?;
            let (name, value) = line.split_at(colon);
            Some((name, trim(value.get(1..)?)))
        })
    }

    /// Every value of the field `name` (compared without case, RFC 9110 5.1), in order.
    /// A list may be spread over several lines (RFC 9110 5.3): see [`list`].
    pub fn all<'n>(self, name: &'n str) -> impl Iterator<Item = &'h [u8]> + use<'h, 'n> {
        self.iter()
            .filter(move |(found, _)| found.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }

    /// The value of a field that may stand only once; `None` when it is absent or repeated.
    pub fn only(self, name: &str) -> Option<&'h [u8]> {
        let mut values = self.all(name);
        let first = values.next();
        if values.next().is_some() { None } else { first }
    }
}

/// The members of a comma-separated list (RFC 9110 5.6.1), without empty ones. Commas
/// inside quoted strings do split: use it only for lists of tokens.
pub fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|&byte| byte == b',')
        .map(trim)
        .filter(|member| !member.is_empty())
}

/// Without blanks (SP, HTAB) and line ends at either end.
pub fn trim(bytes: &[u8]) -> &[u8] {
    bytes.trim_ascii()
}

/// Field lines to send, already rendered. There is no way to make a line with a
/// control byte in it, so no value can end its line early (CWE-113).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldLines(Vec<u8>);

impl FieldLines {
    /// No lines; holds no memory.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The same lines, with room for so many bytes more.
    pub fn with_room(&self, bytes: usize) -> Self {
        let mut lines = Vec::with_capacity(self.0.len() + bytes);
        lines.extend_from_slice(&self.0);
        Self(lines)
    }

    /// Adds `name: value`. Control bytes in the value become spaces.
    pub fn push(&mut self, name: &str, value: impl AsRef<[u8]>) {
        let value = value.as_ref();
        self.0.reserve(name.len() + value.len() + 4);
        self.push_with(name, |lines| lines.extend_from_slice(value));
    }

    /// The same, for a value that is rendered into its place.
    pub fn push_display(&mut self, name: &str, value: &impl fmt::Display) {
        self.push_with(name, |lines| {
            let written = write!(lines, "{value}");
            debug_assert!(written.is_ok(), "writing into memory does not fail");
        });
    }

    fn push_with(&mut self, name: &str, write_value: impl FnOnce(&mut Vec<u8>)) {
        debug_assert!(
            name.bytes().all(is_token_byte),
            "{name} is not a field name"
        );
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b": ");
        let start = self.0.len();
        write_value(&mut self.0);
        for byte in self.0.iter_mut().skip(start) {
            if is_control(*byte) {
                *byte = b' ';
            }
        }
        self.0.extend_from_slice(b"\r\n");
    }

    /// Whether a line with this name is among them.
    pub fn has(&self, name: &str) -> bool {
        Fields::new(&self.0).all(name).next().is_some()
    }

    /// Adds all lines of `other`.
    pub fn extend(&mut self, other: &FieldLines) {
        self.0.extend_from_slice(&other.0);
    }

    /// The lines as they go on the wire, each with its CRLF.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A `tchar` of RFC 9110 5.6.2.
pub fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_control(byte: u8) -> bool {
    byte < 0x20 || byte == 0x7f
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_without_case_and_in_order() {
        let fields = Fields::new(b"Host: a\r\nX-One:1\r\nACCEPT:  b, c \r\naccept: d\r\n");
        let accepts: Vec<_> = fields.all("Accept").collect();
        assert_eq!(accepts, [b"b, c".as_slice(), b"d"]);
        assert_eq!(fields.only("host"), Some(b"a".as_slice()));
        assert_eq!(
            fields.only("accept"),
            None,
            "a repeated field is not one value"
        );
        assert_eq!(fields.only("range"), None);
    }

    #[test]
    fn no_value_can_end_its_line() {
        let mut lines = FieldLines::new();
        lines.push("Location", "/a\r\nSet-Cookie: x\0\x7f");
        assert_eq!(lines.as_bytes(), b"Location: /a  Set-Cookie: x  \r\n");
    }

    #[test]
    fn list_members_are_trimmed_and_empty_ones_skipped() {
        let members: Vec<_> = list(b" a,, b\t, c d ,").collect();
        assert_eq!(members, [b"a".as_slice(), b"b", b"c d"]);
    }
}
