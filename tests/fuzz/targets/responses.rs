//! Parsing the responses that a server sends.

/// A whole response.
#[derive(Debug, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The end of the connection is the end of its body.
    pub until_close: bool,
}

impl Response {
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut same = self.fields.iter().filter(|(found, _)| found == name);
        let first = same.next();
        assert!(same.next().is_none(), "{name} stands twice");
        first.map(|(_, value)| value.as_str())
    }

    pub fn closes(&self) -> bool {
        self.field("connection") == Some("close")
    }
}

/// Parses the first response, and returns what follows it. `None` if it is incomplete.
///
/// # Panics
/// It is malformed.
pub fn read(bytes: &[u8], is_bodiless: bool) -> Option<(Response, &[u8])> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).expect("heads of ours are text");
    let rest = &bytes[end + 4..];
    let mut lines = head.split("\r\n");
    let status = read_status(lines.next().unwrap_or_default());
    let fields = lines.map(read_field).collect();
    let mut response = Response {
        status,
        fields,
        body: Vec::new(),
        until_close: false,
    };
    assert!(response.field("date").is_some(), "no Date");
    let coding = response.field("transfer-encoding").map(str::to_owned);
    let length = response.field("content-length").map(str::to_owned);
    response.until_close = coding.is_none() && length.is_none() && !matches!(status, 204 | 304);
    assert!(
        response.closes() || !response.until_close,
        "the end of the body is unknown"
    );
    let (body, rest) = match (coding.as_deref(), length) {
        _ if is_bodiless || matches!(status, 204 | 304) => (Vec::new(), rest),
        (Some("chunked"), None) => read_chunks(rest)?,
        (None, Some(length)) => {
            let length = length.parse().expect("a number");
            let (body, rest) = rest.split_at_checked(length)?;
            (body.to_vec(), rest)
        }
        (None, None) => (rest.to_vec(), &rest[rest.len()..]),
        both => panic!("{both:?}"),
    };
    response.body = body;
    Some((response, rest))
}

fn read_status(line: &str) -> u16 {
    let rest = line.strip_prefix("HTTP/1.1 ").expect("our version");
    let (code, phrase) = rest.split_once(' ').expect("a phrase");
    assert!(code.len() == 3 && !phrase.is_empty(), "{line:?}");
    code.parse().expect("a status code")
}

fn read_field(line: &str) -> (String, String) {
    let (name, value) = line.split_once(": ").expect("a name and a value");
    assert!(super::opinion::is_token(name.as_bytes()), "{line:?}");
    assert!(!value.chars().any(char::is_control), "{line:?}");
    (name.to_ascii_lowercase(), value.to_owned())
}

fn read_chunks(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n")?;
        let size = std::str::from_utf8(&rest[..end]).expect("a size");
        let size = usize::from_str_radix(size, 16).expect("a hexadecimal size");
        let (chunk, behind) = rest[end + 2..].split_at_checked(size)?;
        body.extend_from_slice(chunk);
        if behind.len() < 2 {
            return None;
        }
        rest = behind
            .strip_prefix(b"\r\n")
            .expect("a line end after a chunk");
        if size == 0 {
            return Some((body, rest));
        }
    }
}
