//! Header fields: those of a received head, borrowed, and those of a head to send, owned.
//!
//! [`Fields`] searches the bytes of the head for each lookup. A head is short, so a search costs
//! less than building a table.

use std::fmt;
use std::io::Write;

/// The field lines of a head that was parsed: every line is `name: value CRLF`.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'h>(&'h [u8]);

impl<'h> Fields<'h> {
    /// `lines` is the head without its request line and without the empty line that ends it.
    pub fn new(lines: &'h [u8]) -> Self {
        Self(lines)
    }

    /// The lines as they were received.
    pub fn as_bytes(self) -> &'h [u8] {
        self.0
    }

    /// All lines in order: the name as received, the value without surrounding spaces.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = (&'h [u8], &'h [u8])> {
        self.0.split(|&byte| byte == b'\n').filter_map(|line| {
            let colon = line.iter().position(|&byte| byte == b':')?;
            let (name, value) = line.split_at(colon);
            Some((name, trim(value.get(1..)?)))
        })
    }

    /// Every value of the field `name` (compared without case, RFC 9110 5.1), in order.
    /// A list may be spread over several lines (RFC 9110 5.3): see [`list`].
    pub fn all<'n>(self, name: &'n str) -> impl DoubleEndedIterator<Item = &'h [u8]> + use<'h, 'n> {
        self.iter()
            .filter(move |(found, _)| found.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }

    /// The value of a field that may occur only once; `None` if it is absent or repeated.
    pub fn only(self, name: &str) -> Option<&'h [u8]> {
        let mut values = self.all(name);
        let first = values.next();
        if values.next().is_some() { None } else { first }
    }
}

/// The members of a comma-separated list (RFC 9110 5.6.1), without empty ones. Splits at commas in
/// quoted strings, too: only for lists of tokens.
pub fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|&byte| byte == b',')
        .map(trim)
        .filter(|member| !member.is_empty())
}

/// Without white space and line ends at either end.
pub fn trim(bytes: &[u8]) -> &[u8] {
    bytes.trim_ascii()
}

/// Field lines to send, already rendered. No line can contain a control byte, so no value can end
/// its line (CWE-113).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldLines {
    bytes: Vec<u8>,
    /// Where the lines of [`FieldLines::push_metadata`] begin; they are the last ones.
    metadata: usize,
}

impl FieldLines {
    /// No lines. Does not allocate.
    pub const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            metadata: 0,
        }
    }

    /// A copy with capacity for `bytes` more.
    pub fn with_capacity(&self, bytes: usize) -> Self {
        let mut lines = Vec::with_capacity(self.bytes.len() + bytes);
        lines.extend_from_slice(&self.bytes);
        Self {
            bytes: lines,
            metadata: self.metadata,
        }
    }

    /// Adds `name: value`. Control bytes in the value become spaces.
    pub fn push(&mut self, name: &str, value: impl AsRef<[u8]>) {
        let value = value.as_ref();
        self.bytes.reserve(name.len() + value.len() + 4);
        self.insert(self.metadata, name, |line| line.extend_from_slice(value));
    }

    /// Adds `name: value` if the field is absent.
    pub fn push_default(&mut self, name: &str, value: impl AsRef<[u8]>) {
        if !self.has(name) {
            self.push(name, value);
        }
    }

    /// Adds a line that describes a representation to a client that does not have it yet: a 304
    /// leaves it out (RFC 9110 15.4.5).
    pub fn push_metadata(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.push_metadata_with(name, |line| line.extend_from_slice(value.as_ref()));
    }

    /// The same with a value that is formatted.
    pub fn push_metadata_display(&mut self, name: &str, value: &impl fmt::Display) {
        self.push_metadata_with(name, |line| {
            let written = write!(line, "{value}");
            assert!(written.is_ok(), "writing to a vector does not fail");
        });
    }

    fn push_metadata_with(&mut self, name: &str, write_value: impl FnOnce(&mut Vec<u8>)) {
        let metadata = self.metadata;
        self.insert(self.bytes.len(), name, write_value);
        self.metadata = metadata;
    }

    /// Adds the name of a request field to the one Vary line (RFC 9110 12.5.5).
    pub fn push_vary(&mut self, name: &str) {
        let values = || Fields::new(&self.bytes).all("Vary");
        let is_known = |known: &[u8]| known.eq_ignore_ascii_case(name.as_bytes());
        if values().flat_map(list).any(is_known) {
            return;
        }
        let mut at = 0;
        let end = self
            .bytes
            .split_inclusive(|&byte| byte == b'\n')
            .find_map(|line| {
                at += line.len();
                let is_vary = name_of(line).eq_ignore_ascii_case(b"Vary");
                is_vary.then_some(at - b"\r\n".len())
            });
        match end {
            Some(end) => self.splice(end, &[b", ", name.as_bytes()].concat()),
            None => self.push("Vary", name),
        }
    }

    /// Keeps the lines whose name `keep` accepts.
    pub fn retain(&mut self, keep: impl Fn(&[u8]) -> bool) {
        let mut kept = Self::new();
        let mut at = 0;
        for line in self.bytes.split_inclusive(|&byte| byte == b'\n') {
            if keep(name_of(line)) {
                kept.bytes.extend_from_slice(line);
                if at < self.metadata {
                    kept.metadata = kept.bytes.len();
                }
            }
            at += line.len();
        }
        *self = kept;
    }

    /// Whether there is a line with this name.
    pub fn has(&self, name: &str) -> bool {
        Fields::new(&self.bytes).all(name).next().is_some()
    }

    /// The same for a name in bytes.
    pub fn has_name(&self, name: &[u8]) -> bool {
        let mut lines = Fields::new(&self.bytes).iter();
        lines.any(|(found, _)| found.eq_ignore_ascii_case(name))
    }

    /// Adds all lines of `other`.
    pub fn extend(&mut self, other: &FieldLines) {
        let (lines, metadata) = other.bytes.split_at(other.metadata);
        self.bytes.extend_from_slice(metadata);
        self.splice(self.metadata, lines);
    }

    /// The lines as they are sent, each with its CRLF.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The same for a 304.
    pub fn without_metadata(&self) -> &[u8] {
        self.bytes.split_at(self.metadata).0
    }

    /// Inserts a line at the offset `at`.
    fn insert(&mut self, at: usize, name: &str, write_value: impl FnOnce(&mut Vec<u8>)) {
        debug_assert!(
            name.bytes().all(is_token_byte),
            "{name} is not a field name"
        );
        let before = self.bytes.len();
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.extend_from_slice(b": ");
        let value = self.bytes.len();
        write_value(&mut self.bytes);
        for byte in self.bytes.iter_mut().skip(value) {
            if is_control(*byte) {
                *byte = b' ';
            }
        }
        self.bytes.extend_from_slice(b"\r\n");
        self.move_end(before, at);
    }

    /// Inserts `bytes` at the offset `at`.
    fn splice(&mut self, at: usize, bytes: &[u8]) {
        let before = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        self.move_end(before, at);
    }

    /// Moves what was appended behind the offset `before` to `at`, before the metadata.
    fn move_end(&mut self, before: usize, at: usize) {
        let added = self.bytes.len() - before;
        self.metadata += added;
        let (_, behind) = self.bytes.split_at_mut(at);
        behind.rotate_right(added);
    }
}

fn name_of(line: &[u8]) -> &[u8] {
    line.split(|&byte| byte == b':').next().unwrap_or(line)
}

/// A `tchar` of RFC 9110 5.6.2.
pub fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_control(byte: u8) -> bool {
    byte < 0x20 || byte == 0x7f
}

/// Appends `number` in decimal.
pub fn push_decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        start -= 1;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.split_at(start).1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_decimal() {
        for number in [0, 7, 10, 1234567890, u64::MAX] {
            let mut out = Vec::new();
            push_decimal(&mut out, number);
            assert_eq!(out, number.to_string().as_bytes());
        }
    }

    #[test]
    fn lookup_ignores_case_and_keeps_order() {
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
    fn a_value_cannot_end_its_line() {
        let mut lines = FieldLines::new();
        lines.push("Location", "/a\r\nSet-Cookie: x\0\x7f");
        assert_eq!(lines.as_bytes(), b"Location: /a  Set-Cookie: x  \r\n");
    }

    #[test]
    fn metadata_comes_last_and_a_304_leaves_it_out() {
        let mut lines = FieldLines::new();
        lines.push_metadata("Content-Type", "text/plain");
        lines.push("ETag", "\"x\"");
        let mut other = FieldLines::new();
        other.push("Server", "a");
        other.push_metadata("Accept-Ranges", "bytes");
        lines.extend(&other);
        lines.push_vary("Accept");
        lines.push_vary("Origin");
        lines.push_vary("accept");
        let kept = b"ETag: \"x\"\r\nServer: a\r\nVary: Accept, Origin\r\n";
        assert_eq!(lines.without_metadata(), kept);
        let metadata = b"Content-Type: text/plain\r\nAccept-Ranges: bytes\r\n";
        assert_eq!(lines.as_bytes(), [&kept[..], metadata].concat());
        lines.retain(|name| name != b"Server" && name != b"Content-Type");
        let kept = b"ETag: \"x\"\r\nVary: Accept, Origin\r\n";
        assert_eq!(lines.without_metadata(), kept);
        assert_eq!(
            lines.as_bytes(),
            [&kept[..], b"Accept-Ranges: bytes\r\n"].concat()
        );
    }

    #[test]
    fn a_default_does_not_replace_a_line() {
        let mut lines = FieldLines::new();
        lines.push("vary", "Cookie");
        lines.push("server", "mine");
        lines.push_default("Server", "ours");
        lines.push_vary("Accept");
        lines.push_default("X-One", "1");
        assert_eq!(
            lines.as_bytes(),
            b"vary: Cookie, Accept\r\nserver: mine\r\nX-One: 1\r\n"
        );
    }

    #[test]
    fn list_members_are_trimmed_and_empty_ones_skipped() {
        let members: Vec<_> = list(b" a,, b\t, c d ,").collect();
        assert_eq!(members, [b"a".as_slice(), b"b", b"c d"]);
    }
}
