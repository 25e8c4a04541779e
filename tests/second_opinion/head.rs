//! A lenient parser of heads, to find their properties (`signs`).

/// A request, and all bytes after it.
#[derive(Clone, Copy, Debug)]
pub struct Head<'b> {
    rest: &'b [u8],
    /// Up to and with the empty line; everything, if there is none.
    bytes: &'b [u8],
}

impl<'b> Head<'b> {
    pub fn new(rest: &'b [u8]) -> Self {
        let bytes = &rest[..head_length(rest)];
        Self { rest, bytes }
    }

    /// The heads in a stream, if nothing between them is a body.
    pub fn all(stream: &'b [u8]) -> impl Iterator<Item = Self> {
        let mut rest = stream;
        std::iter::from_fn(move || {
            let head = Self::new(rest);
            rest = head.after();
            (!head.bytes.is_empty()).then_some(head)
        })
    }

    pub fn bytes(self) -> &'b [u8] {
        self.bytes
    }

    /// What was sent behind it.
    pub fn after(self) -> &'b [u8] {
        &self.rest[self.bytes.len()..]
    }

    /// The request line without its end; empty lines before it are skipped.
    pub fn line(self) -> &'b [u8] {
        self.lines().next().unwrap_or_default()
    }

    /// Method, target and version: two words, and what stands behind them.
    pub fn parts(self) -> (&'b [u8], &'b [u8], &'b [u8]) {
        let (method, rest) = split_at_byte(self.line().trim_ascii_start(), b' ');
        let (target, rest) = split_at_byte(rest.trim_ascii_start(), b' ');
        (method, target, rest.trim_ascii())
    }

    pub fn method(self) -> &'b [u8] {
        self.parts().0
    }

    pub fn target(self) -> &'b [u8] {
        self.parts().1
    }

    pub fn version(self) -> &'b [u8] {
        self.parts().2
    }

    /// The path of the target, without scheme, authority and query.
    pub fn path(self) -> &'b [u8] {
        let target = self.target();
        let from = match (target.first(), find(target, b"://")) {
            (Some(b'/'), _) | (_, None) => 0,
            (_, Some(at)) => {
                let rest = &target[at + 3..];
                let end = rest.iter().position(|byte| b"/?".contains(byte));
                at + 3 + end.unwrap_or(rest.len())
            }
        };
        target[from..].split(|&byte| byte == b'?').next().unwrap()
    }

    /// What stands between `://` and the path, if the target has it.
    pub fn authority(self) -> Option<&'b [u8]> {
        let target = self.target();
        let from = find(target, b"://").filter(|_| !target.starts_with(b"/"))? + 3;
        let rest = &target[from..];
        let end = rest.iter().position(|byte| b"/?#".contains(byte));
        Some(&rest[..end.unwrap_or(rest.len())])
    }

    /// The field lines, without their ends.
    pub fn field_lines(self) -> impl Iterator<Item = &'b [u8]> {
        self.lines().skip(1).take_while(|line| !line.is_empty())
    }

    /// Name and value of each field line; without a colon it is all name.
    pub fn fields(self) -> impl Iterator<Item = (&'b [u8], &'b [u8])> {
        self.field_lines().map(|line| split_at_byte(line, b':'))
    }

    /// The values of all fields of that name, without the blanks around them.
    pub fn values(self, name: &str) -> impl Iterator<Item = &'b [u8]> {
        self.untrimmed(name).map(trim_blanks)
    }

    /// The values as they were sent.
    pub fn untrimmed(self, name: &str) -> impl Iterator<Item = &'b [u8]> {
        self.fields()
            .filter(move |(found, _)| found.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }

    /// Whether there is such a field and `is_so` of one of its values.
    pub fn any(self, name: &str, is_so: impl FnMut(&'b [u8]) -> bool) -> bool {
        self.values(name).any(is_so)
    }

    fn lines(self) -> impl Iterator<Item = &'b [u8]> {
        let is_end = |byte: &u8| b"\r\n".contains(byte);
        let start = self.bytes.iter().position(|byte| !is_end(byte));
        let bytes = &self.bytes[start.unwrap_or(self.bytes.len())..];
        bytes
            .split(|&byte| byte == b'\n')
            .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
    }
}

/// Up to and with the first empty line behind a line that is not empty.
fn head_length(bytes: &[u8]) -> usize {
    let mut length = 0;
    let mut has_begun = false;
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        length += line.len();
        let is_empty = matches!(line, b"\r\n" | b"\n");
        if is_empty && has_begun {
            break;
        }
        has_begun |= !is_empty;
    }
    length
}

/// Without spaces and tabs at either end.
pub fn trim_blanks(bytes: &[u8]) -> &[u8] {
    let is_text = |byte: &u8| !b" \t".contains(byte);
    let from = bytes.iter().position(is_text).unwrap_or(bytes.len());
    let to = bytes.iter().rposition(is_text).map_or(from, |at| at + 1);
    &bytes[from..to]
}

/// What stands before the first `byte`, and what behind it.
pub fn split_at_byte(bytes: &[u8], byte: u8) -> (&[u8], &[u8]) {
    match bytes.iter().position(|&found| found == byte) {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => (bytes, b""),
    }
}

/// Where `wanted` begins.
pub fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    let mut windows = bytes.windows(wanted.len());
    windows.position(|found| found == wanted)
}

#[test]
fn a_head_is_split_into_parts() {
    let bytes = b"\r\nGET  http://h:1/p?q  HTTP/1.1\r\nA: b\r\nC\r\nA:  d \r\n\r\nmore";
    let head = Head::new(bytes);
    let parts = (
        b"GET".as_slice(),
        b"http://h:1/p?q".as_slice(),
        b"HTTP/1.1".as_slice(),
    );
    assert_eq!(head.parts(), parts);
    assert_eq!(head.path(), b"/p");
    assert_eq!(head.authority(), Some(b"h:1".as_slice()));
    let values: Vec<_> = head.values("a").collect();
    assert_eq!(values, [b"b", b"d"]);
    assert_eq!(head.field_lines().count(), 3);
    assert_eq!(head.after(), b"more");
    assert_eq!(Head::new(b"GET /a?b://c\r\n").authority(), None);
}
