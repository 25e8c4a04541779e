//! The language of the tables: requests and responses.

use crate::root::{MODIFIED, tag};
use crate::runner::Setup;
use std::ops::Add;

/// A row of a table.
pub struct Row {
    pub name: &'static str,
    pub script: Script,
    pub responses: Vec<Response>,
}

/// `"description": requests => responses;` ...
macro_rules! rows {
    ($($name:literal: $script:expr => $responses:expr;)*) => {
        vec![$(crate::script::Row {
            name: $name,
            script: crate::script::Script::from($script),
            responses: Vec::from(crate::script::Responses::from($responses).0),
        }),*]
    };
}
pub(crate) use rows;

/// The bytes that a client sends, in separate writes.
#[derive(Clone)]
pub struct Script {
    pub pieces: Vec<Vec<u8>>,
    /// Whether it shuts down its sending side afterwards.
    pub closes_first: bool,
}

/// Sends this, and then shuts down the sending side.
pub fn half_close_after(script: impl Into<Script>) -> Script {
    Script {
        closes_first: true,
        ..script.into()
    }
}

impl From<&str> for Script {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

impl From<String> for Script {
    fn from(text: String) -> Self {
        text.as_bytes().into()
    }
}

impl From<&[u8]> for Script {
    fn from(bytes: &[u8]) -> Self {
        Self {
            pieces: vec![bytes.to_vec()],
            closes_first: false,
        }
    }
}

impl<const N: usize> From<&[u8; N]> for Script {
    fn from(bytes: &[u8; N]) -> Self {
        bytes.as_slice().into()
    }
}

impl From<Request> for Script {
    fn from(request: Request) -> Self {
        request.to_bytes().as_slice().into()
    }
}

/// Any number of pieces, each in a write of its own.
pub struct Pieces<'t>(Vec<&'t str>);

impl<'t> FromIterator<&'t str> for Pieces<'t> {
    fn from_iter<I: IntoIterator<Item = &'t str>>(pieces: I) -> Self {
        Self(pieces.into_iter().collect())
    }
}

impl From<Pieces<'_>> for Script {
    fn from(pieces: Pieces<'_>) -> Self {
        Self {
            pieces: pieces
                .0
                .iter()
                .map(|piece| piece.as_bytes().to_vec())
                .collect(),
            closes_first: false,
        }
    }
}

/// Several pieces, each in a write of its own.
impl<T: Into<Script>, const N: usize> From<[T; N]> for Script {
    fn from(pieces: [T; N]) -> Self {
        let pieces = pieces.into_iter().flat_map(|piece| piece.into().pieces);
        Self {
            pieces: pieces.collect(),
            closes_first: false,
        }
    }
}

/// Both in one write.
impl<T: Into<Script>> Add<T> for Request {
    type Output = Script;

    fn add(self, next: T) -> Script {
        Script::from(self) + next
    }
}

/// Both in one write.
impl<T: Into<Script>> Add<T> for Script {
    type Output = Script;

    fn add(self, next: T) -> Script {
        let mut bytes = self.pieces.concat();
        bytes.extend(next.into().pieces.concat());
        bytes.as_slice().into()
    }
}

/// A valid request. It has `Host: a` unless it is HTTP/1.0.
#[derive(Clone)]
pub struct Request {
    line: String,
    fields: String,
    body: Vec<u8>,
}

pub fn get(target: &str) -> Request {
    request(&format!("GET {target} HTTP/1.1"))
}

pub fn head(target: &str) -> Request {
    request(&format!("HEAD {target} HTTP/1.1"))
}

/// A request with this request line.
pub fn request(line: &str) -> Request {
    let host = if line.ends_with("/1.0") {
        ""
    } else {
        "Host: a\r\n"
    };
    Request {
        line: line.to_owned(),
        fields: host.to_owned(),
        body: Vec::new(),
    }
}

impl Request {
    /// Adds a field line.
    pub fn field(mut self, line: &str) -> Self {
        self.fields += line;
        self.fields += "\r\n";
        self
    }

    /// Adds bytes after the head, without a field for them.
    pub fn body(mut self, bytes: &str) -> Self {
        self.body.extend_from_slice(bytes.as_bytes());
        self
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{}\r\n{}\r\n", self.line, self.fields).into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// The value of Date in every expected response.
pub const DATE: &str = "Tue, 15 Nov 1994 08:12:31 GMT";

/// The boundary in every expected multipart body.
pub const BOUNDARY: &str = "oneloop-0123456789abcdef";

/// A response, with its fields in the order in which they are sent.
#[derive(Clone)]
pub struct Response {
    status: &'static str,
    kind: Option<String>,
    coding: Option<&'static str>,
    vary: Option<String>,
    /// Further field lines, which a 304 has, too.
    lasting_fields: Vec<String>,
    /// The value of Content-Disposition.
    disposition: Option<String>,
    modified: Option<String>,
    tag: Option<String>,
    ranges: bool,
    fields: Vec<String>,
    length: Length,
    connection: Option<&'static str>,
    body: Vec<u8>,
}

/// How the body ends.
#[derive(Clone, Copy, PartialEq)]
enum Length {
    Counted(usize),
    Chunked,
    Absent,
}

/// The responses: one, several, or none.
pub struct Responses(pub Vec<Response>);

impl From<Response> for Responses {
    fn from(response: Response) -> Self {
        Self(vec![response])
    }
}

impl<const N: usize> From<[Response; N]> for Responses {
    fn from(responses: [Response; N]) -> Self {
        Self(responses.into())
    }
}

impl From<Vec<Response>> for Responses {
    fn from(responses: Vec<Response>) -> Self {
        Self(responses)
    }
}

/// No response.
pub fn no_response() -> Responses {
    Responses(Vec::new())
}

/// A text file.
pub fn text(content: &str) -> Response {
    file("text/plain; charset=utf-8", content).varying()
}

/// An HTML file.
pub fn html(content: &str) -> Response {
    file("text/html; charset=utf-8", content).varying()
}

/// A file of unknown type.
pub fn binary(content: &str) -> Response {
    file("application/octet-stream", content).varying()
}

/// A whole file with the time [`MODIFIED`].
pub fn file(kind: &str, content: &str) -> Response {
    Response {
        modified: Some(MODIFIED.to_owned()),
        tag: Some(tag(content.as_bytes())),
        ranges: true,
        ..with_body("200 OK", kind, content.as_bytes())
    }
}

/// A page of the server in plain text.
pub fn page(status: &'static str, why: &str) -> Response {
    Response {
        vary: Some("Accept".to_owned()),
        ..refusal(status, why)
    }
}

/// The same in HTML.
pub fn html_page(status: &'static str, why: &str) -> Response {
    let body = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{status}</title>\
         <style>:root{{color-scheme:light dark}}body{{font:1.1rem/1.5 system-ui,sans-serif;\
         max-width:34rem;margin:18vh auto;padding:0 1rem}}h1{{font-size:1.6rem}}</style></head>\n\
         <body><h1>{status}</h1><p>{why}.</p></body></html>\n"
    );
    Response {
        vary: Some("Accept".to_owned()),
        ..with_body(status, "text/html; charset=utf-8", body.as_bytes())
    }
}

/// The page for a request that cannot be parsed.
pub fn refusal(status: &'static str, why: &str) -> Response {
    let body = format!("{status}: {why}\n");
    with_body(status, "text/plain; charset=utf-8", body.as_bytes())
}

/// The same with status 400: the connection closes.
pub fn bad(why: &str) -> Response {
    refusal("400 Bad Request", why).closing()
}

pub fn not_found() -> Response {
    page("404 Not Found", "there is nothing at this address")
}

pub fn not_allowed() -> Response {
    let why = "only GET, HEAD and OPTIONS are allowed";
    page("405 Method Not Allowed", why).with_field("Allow: GET, HEAD, OPTIONS")
}

pub fn not_implemented() -> Response {
    page("501 Not Implemented", "the method is unknown")
}

pub fn precondition_failed() -> Response {
    let why = "the file is not the one the request depends on";
    page("412 Precondition Failed", why)
}

/// A 416 for a file of `length` bytes.
pub fn unsatisfiable(length: usize) -> Response {
    let why = "the file ends before the requested range begins";
    page("416 Range Not Satisfiable", why).with_field(&format!("Content-Range: bytes */{length}"))
}

pub fn expectation_failed() -> Response {
    let why = "the only supported expectation is 100-continue";
    page("417 Expectation Failed", why)
}

/// A redirect to the slash of a directory.
pub fn redirect(location: &str) -> Response {
    let why = "this is a directory; its address ends with a slash";
    page("301 Moved Permanently", why).with_field(&format!("Location: {location}"))
}

/// The allowed methods.
pub fn options() -> Response {
    let response = with_body("204 No Content", "", b"").with_field("Allow: GET, HEAD, OPTIONS");
    Response {
        kind: None,
        length: Length::Absent,
        ..response
    }
}

/// The head of a listing, without rows.
pub fn listing_page() -> Response {
    stream("text/html; charset=utf-8", &[])
        .with_lasting_field(&format!(
            "Content-Security-Policy: {}",
            oneloop::site::listing::csp()
        ))
        .with_lasting_field("Cache-Control: no-cache")
        .varying()
}

/// The same where the owner has set both of these fields.
pub fn plain_listing_page() -> Response {
    stream("text/html; charset=utf-8", &[]).varying()
}

/// The stylesheet of a listing.
pub fn listing_style() -> Response {
    let style = oneloop::site::listing::STYLE.as_bytes();
    with_body("200 OK", "text/css; charset=utf-8", style)
}

/// A listing as JSON, in these chunks.
pub fn listing_json(chunks: &[&str]) -> Response {
    stream("application/json", chunks)
        .with_lasting_field("Cache-Control: no-cache")
        .varying()
}

/// A body that is produced in these chunks.
pub fn stream(kind: &str, chunks: &[&str]) -> Response {
    let chunk = |chunk: &&str| format!("{:08x}\r\n{chunk}\r\n", chunk.len());
    let body: String = chunks.iter().map(chunk).collect();
    Response {
        length: Length::Chunked,
        ..with_body("200 OK", kind, format!("{body}0\r\n\r\n").as_bytes())
    }
}

fn with_body(status: &'static str, kind: &str, body: &[u8]) -> Response {
    Response {
        status,
        kind: Some(kind.to_owned()),
        coding: None,
        vary: None,
        lasting_fields: Vec::new(),
        disposition: None,
        modified: None,
        tag: None,
        ranges: false,
        fields: Vec::new(),
        length: Length::Counted(body.len()),
        connection: None,
        body: body.to_vec(),
    }
}

fn is_vary(line: &str) -> bool {
    line.to_ascii_lowercase().starts_with("vary: ")
}

impl Response {
    /// With another status.
    pub fn status(mut self, status: &'static str) -> Self {
        self.status = status;
        self
    }

    /// With a further field line, after those of the file.
    pub fn with_field(mut self, line: &str) -> Self {
        self.fields.push(line.to_owned());
        self
    }

    /// Varies by Accept-Encoding.
    pub fn varying(mut self) -> Self {
        self.vary = Some("Accept-Encoding".to_owned());
        self
    }

    /// Varies by these fields of the request.
    pub fn varying_by(mut self, names: &str) -> Self {
        self.vary = Some(names.to_owned());
        self
    }

    /// With the field Content-Disposition: a name to save the file by.
    pub fn with_disposition(self, name: &str) -> Self {
        Self {
            disposition: Some(format!("inline; {name}")),
            ..self
        }
    }

    /// The same to save the file by.
    pub fn attached(self, name: &str) -> Self {
        Self {
            disposition: Some(format!("attachment; {name}")),
            ..self
        }
    }

    /// Stored in this coding, whatever the client accepts.
    pub fn stored_in(self, coding: &'static str) -> Self {
        let tag = self
            .tag
            .map(|tag| format!("\"{coding}-{}", tag.trim_start_matches('"')));
        Self {
            coding: Some(coding),
            tag,
            ..self
        }
    }

    /// Does not vary, or only by a further field line.
    pub fn not_varying(self) -> Self {
        Self { vary: None, ..self }
    }

    /// With a further field line, which a 304 has, too.
    pub fn with_lasting_field(mut self, line: &str) -> Self {
        self.lasting_fields.push(line.to_owned());
        self
    }

    /// The connection closes after it.
    pub fn closing(mut self) -> Self {
        self.connection = Some("close");
        self
    }

    /// With `Connection: keep-alive`, for HTTP/1.0.
    pub fn kept_alive(mut self) -> Self {
        self.connection = Some("keep-alive");
        self
    }

    /// The response to HEAD: without the body.
    pub fn without_body(mut self) -> Self {
        self.body.clear();
        self
    }

    /// For HTTP/1.0, without chunks: the end of the connection ends the body.
    pub fn until_close(self, body: &str) -> Self {
        Self {
            length: Length::Absent,
            body: body.as_bytes().to_vec(),
            ..self.closing()
        }
    }

    /// A 304.
    pub fn not_modified(self) -> Self {
        Self {
            status: "304 Not Modified",
            kind: None,
            disposition: None,
            coding: None,
            modified: None,
            ranges: false,
            fields: Vec::new(),
            length: Length::Absent,
            ..self.without_body()
        }
    }

    /// A part of the file: `part("2-4/10", "234")`.
    pub fn part(self, content_range: &str, content: &str) -> Self {
        Self {
            status: "206 Partial Content",
            length: Length::Counted(content.len()),
            body: content.as_bytes().to_vec(),
            ..self.with_field(&format!("Content-Range: bytes {content_range}"))
        }
    }

    /// Several parts of it.
    pub fn parts(self, parts: &[(&str, &str)]) -> Self {
        let mut body = String::new();
        for (content_range, content) in parts {
            let kind = self.kind.as_deref().unwrap_or_default();
            body += &format!(
                "\r\n--{BOUNDARY}\r\nContent-Type: {kind}\r\n\
                 Content-Range: bytes {content_range}\r\n\r\n{content}"
            );
        }
        body += &format!("\r\n--{BOUNDARY}--\r\n");
        Self {
            status: "206 Partial Content",
            kind: None,
            length: Length::Counted(body.len()),
            body: body.into_bytes(),
            ..self.with_field(&format!(
                "Content-Type: multipart/byteranges; boundary={BOUNDARY}"
            ))
        }
    }

    /// A listing that is compressed while it is sent.
    pub fn in_coding(self, coding: &'static str) -> Self {
        Self {
            coding: Some(coding),
            ..self
        }
    }

    /// A file that is compressed while it is sent, in one chunk.
    pub fn compressed(self, coding: &'static str, encoded: &[u8]) -> Self {
        let size = format!("{:08x}\r\n", encoded.len());
        Self {
            ranges: false,
            length: Length::Chunked,
            body: [size.as_bytes(), encoded, b"\r\n0\r\n\r\n"].concat(),
            ..self.stored_in(coding)
        }
    }

    /// The same body with its length.
    pub fn counted(self, body: &[u8]) -> Self {
        Self {
            length: Length::Counted(body.len()),
            body: body.to_vec(),
            ..self
        }
    }

    /// A sibling of the file, with the same bytes in another coding.
    pub fn encoded(self, coding: &'static str, content: &str) -> Self {
        let tag = tag(content.as_bytes());
        Self {
            coding: Some(coding),
            tag: Some(format!("\"{coding}-{}", tag.trim_start_matches('"'))),
            length: Length::Counted(content.len()),
            body: content.as_bytes().to_vec(),
            ..self
        }
    }

    /// With another entity-tag.
    pub fn tagged(self, tag: &str) -> Self {
        Self {
            tag: Some(tag.to_owned()),
            ..self
        }
    }

    /// Last modified at another time.
    pub fn modified(self, date: &str) -> Self {
        Self {
            modified: Some(date.to_owned()),
            ..self
        }
    }

    /// Without validators.
    pub fn without_validators(self) -> Self {
        Self {
            vary: None,
            modified: None,
            tag: None,
            ranges: false,
            ..self
        }
    }

    /// Whether the connection closes after it.
    pub fn closes(&self) -> bool {
        self.connection == Some("close")
    }

    /// The bytes, with the headers that every response of its kind has.
    pub fn to_bytes(&self, setup: &Setup<'_>) -> Vec<u8> {
        let is_content = ["200", "206", "304"].contains(&&self.status[..3]);
        let length = match self.length {
            Length::Counted(length) => Some(format!("Content-Length: {length}")),
            Length::Chunked => Some("Transfer-Encoding: chunked".to_owned()),
            Length::Absent => None,
        };
        let line = |name: &str, value: Option<&str>| value.map(|value| format!("{name}: {value}"));
        let lines = [
            Some(format!("HTTP/1.1 {}", self.status)),
            line("Date", Some(DATE)),
        ];
        let content = if is_content { setup.content } else { "" };
        let common_fields = setup.common_fields.lines().chain(content.lines());
        // One field Vary with all names.
        let mut vary = self.vary.clone();
        let mut common_fields: Vec<_> = common_fields.map(str::to_owned).collect();
        if let Some(line) = common_fields.iter_mut().find(|line| is_vary(line)) {
            *line += &vary
                .take()
                .map_or(String::new(), |names| format!(", {names}"));
        }
        let common_fields = common_fields.into_iter().map(Some);
        let representation = [
            line("Vary", vary.as_deref()),
            line("ETag", self.tag.as_deref()),
            line("Content-Disposition", self.disposition.as_deref()),
            line("Content-Type", self.kind.as_deref()),
            line("Content-Encoding", self.coding),
            line("Last-Modified", self.modified.as_deref()),
            line("Accept-Ranges", self.ranges.then_some("bytes")),
        ];
        let last = [length, line("Connection", self.connection)];
        let fields = self.fields.iter().cloned().map(Some);
        let lasting_fields = self.lasting_fields.iter().cloned().map(Some);
        let lines = lines.into_iter().chain(common_fields).chain(lasting_fields);
        let lines = lines.chain(representation).chain(fields);
        let mut bytes = Vec::new();
        for line in lines.chain(last).flatten() {
            bytes.extend_from_slice(line.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }
}
