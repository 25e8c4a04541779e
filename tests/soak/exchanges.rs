//! The requests for files that do not change, each with its only right response.
//!
//! The responses are recorded from the idle server before the load, and compared with what is known
//! without it: the status, and the bytes of the file. From then on every response must be the same,
//! head and body, except the date.

use crate::connection::{Checked, Connection, Ending, difference};
use crate::random::{Random, content};
use crate::site::{ENTRIES, FILES};
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

/// A request and its response.
#[derive(Debug)]
pub struct Exchange {
    /// Its kind.
    pub kind: Kind,
    /// A request.
    pub request: String,
    /// The response.
    pub response: Response,
}

/// Kinds of exchanges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The response is short, and the connection stays open.
    Light,
    /// The response is long.
    Heavy,
    /// The server closes afterwards.
    Last,
    /// As [`Kind::Last`], and the request has a body of a megabyte.
    Upload,
    /// A listing.
    Listing,
    /// Several ranges.
    Parts,
}

/// A whole response.
#[derive(Clone, Debug)]
pub struct Response {
    /// Status line, fields and empty line.
    pub head: Vec<u8>,
    /// The range of the date in it.
    pub date: Range<usize>,
    bytes: Arc<[u8]>,
    /// The range of the body, as sent.
    range: Range<usize>,
}

impl Response {
    /// The body, with its framing.
    pub fn body(&self) -> &[u8] {
        &self.bytes[self.range.clone()]
    }

    /// The head as text.
    pub fn text(&self) -> &str {
        str::from_utf8(&self.head).unwrap()
    }

    /// The same with the multipart boundary of `head`, which differs in every response.
    pub fn with_boundary_of(&self, head: &str) -> Option<Self> {
        let boundary = |head: &str| {
            let (_, after) = head.split_once("boundary=")?;
            Some(after.split_once("\r\n")?.0.to_owned())
        };
        let (old, new) = (boundary(self.text())?, boundary(head)?);
        // The files do not contain it.
        let rename = |bytes: &[u8]| -> Vec<u8> {
            let mut renamed = bytes.to_vec();
            for at in 0..bytes.len() {
                if bytes[at..].starts_with(old.as_bytes()) {
                    renamed[at..at + old.len()].copy_from_slice(new.as_bytes());
                }
            }
            renamed
        };
        (old.len() == new.len()).then(|| Self {
            head: rename(&self.head),
            date: self.date.clone(),
            bytes: rename(self.body()).into(),
            range: self.range.clone(),
        })
    }

    fn kind(&self, request: &str) -> Kind {
        let has = |connection: &str| self.text().contains(connection);
        match () {
            () if request.starts_with("POST ") => Kind::Upload,
            () if request.starts_with("GET /many/") => Kind::Listing,
            () if has("multipart/byteranges") => Kind::Parts,
            () if has("Connection: close\r\n") => Kind::Last,
            () if self.body().len() < 300_000 => Kind::Light,
            () => Kind::Heavy,
        }
    }
}

/// What is known of a response without the server.
enum Known {
    /// Its status.
    Status(u16),
    /// Its status, and the body: a range of a file.
    Body(u16, Arc<[u8]>, Range<usize>),
    /// Its status, and that the body names all entries of the directory, by name.
    Entries(u16),
}

/// All exchanges, from an idle server.
pub fn record(address: SocketAddr, random: &mut Random) -> Checked<Vec<Exchange>> {
    let mut exchanges = Vec::new();
    for (request, known) in requests() {
        let response = fetch_once(address, random, &request, &known)
            .map_err(|error| format!("{request:?} on the quiet server: {error}"))?;
        exchanges.push(Exchange {
            kind: response.kind(&request),
            request,
            response,
        });
    }
    Ok(exchanges)
}

fn fetch_once(
    address: SocketAddr,
    random: &mut Random,
    request: &str,
    known: &Known,
) -> Checked<Response> {
    let mut connection = Connection::open(address, random)?;
    connection.send(request.as_bytes())?;
    connection.half_close()?;
    let head = connection.head()?;
    let mut body = Vec::new();
    let ending = loop {
        match connection.receive(1 << 20) {
            Ok(bytes) => body.extend_from_slice(bytes),
            Err(ending) => break ending,
        }
    };
    if ending != Ending::Closed {
        return Err(format!("{ending:?} after {} bytes of body", body.len()));
    }
    check(&head, &body, request.starts_with("HEAD "), known)?;
    let (before, _) = head.split_once("Date: ").ok_or("no date")?;
    let date = before.len() + "Date: ".len();
    let (bytes, range) = match known {
        // Each file is stored once.
        Known::Body(_, bytes, range) => (bytes.clone(), range.clone()),
        _ => (Arc::from(body.as_slice()), 0..body.len()),
    };
    Ok(Response {
        head: head.into_bytes(),
        date: date..date + "Sun, 06 Nov 1994 08:49:37 GMT".len(),
        bytes,
        range,
    })
}

fn check(head: &str, body: &[u8], is_head: bool, known: &Known) -> Checked {
    let status = match known {
        Known::Status(status) | Known::Body(status, ..) | Known::Entries(status) => status,
    };
    if !head.starts_with(&format!("HTTP/1.1 {status} ")) {
        return Err(format!("not {status}: {head}"));
    }
    let length = head
        .split("\r\n")
        .find_map(|connection| connection.strip_prefix("Content-Length: "));
    if length.is_some_and(|length| !is_head && length != body.len().to_string()) {
        return Err(format!("{} bytes after {head}", body.len()));
    }
    match known {
        Known::Body(_, bytes, range) => {
            let expected = &bytes[range.clone()];
            if body != expected {
                return Err(difference(body, expected, 0));
            }
        }
        Known::Entries(_) => {
            let text = String::from_utf8_lossy(body);
            let mut rest = &*text;
            for entry in 0..ENTRIES {
                let after = rest.split_once(&format!("entry-{entry:04}"));
                rest = after
                    .ok_or_else(|| format!("entry {entry} is not listed"))?
                    .1;
            }
        }
        Known::Status(_) => {}
    }
    Ok(())
}

/// `GET path`, with more lines.
pub fn get(path: &str, lines: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: soak\r\n{lines}\r\n")
}

fn requests() -> Vec<(String, Known)> {
    let mut requests = of_files();
    let mut add = |request: String, known| requests.push((request, known));
    add(get("/", ""), whole("index.html"));
    add(
        get("/page.css", "Accept-Encoding: gzip\r\n"),
        whole("page.css.gz"),
    );
    add(get("/many/", ""), Known::Entries(200));
    add(get("/many/?format=json", ""), Known::Entries(200));
    add(get("/many", ""), Known::Status(301));
    add(get("/missing.txt", ""), Known::Status(404));
    add(
        get("/small.txt", "If-None-Match: *\r\n"),
        Known::Status(304),
    );
    add(
        get("/large.bin", "If-Match: \"other\"\r\n"),
        Known::Status(412),
    );
    add(
        get("/small.txt", "Range: bytes=500-\r\n"),
        Known::Status(416),
    );
    add(
        get("/medium.bin", "Range: bytes=5-9,70000-99999,-7\r\n"),
        Known::Status(206),
    );
    add(
        "OPTIONS * HTTP/1.1\r\nHost: soak\r\n\r\n".into(),
        Known::Status(204),
    );
    // After these the server closes.
    add(
        get("/small.txt", "Connection: close\r\n"),
        whole("small.txt"),
    );
    add("GET /small.txt HTTP/1.0\r\n\r\n".into(), whole("small.txt"));
    add("GET /small.txt HTTP/1.1\r\n\r\n".into(), Known::Status(400));
    add("GET /small.txt\r\n\r\n".into(), Known::Status(400));
    add("\u{16}\u{3}\u{1}\r\n\r\n".into(), Known::Status(400));
    add(
        "GET / HTTP/2.0\r\nHost: soak\r\n\r\n".into(),
        Known::Status(505),
    );
    add(
        get(&format!("/{}", "x".repeat(9000)), ""),
        Known::Status(414),
    );
    add(get("/", "no colon\r\n"), Known::Status(400));
    add(get("/", "Content-Length: 5x\r\n"), Known::Status(400));
    add(get("/%2g", ""), Known::Status(400));
    add(
        get("/small.txt", "").replacen("GET", "DELETE", 1),
        Known::Status(405),
    );
    add(
        get("/small.txt", "").replacen("GET", "FETCH", 1),
        Known::Status(501),
    );
    add(
        get("/", "Content-Length: 1048576\r\n").replacen("GET", "POST", 1),
        Known::Status(405),
    );
    add(
        get("/", &format!("X: {}\r\n", "y".repeat(40_000))),
        Known::Status(431),
    );
    requests
}

/// Each file whole, its head alone, and ranges of it.
fn of_files() -> Vec<(String, Known)> {
    let mut requests = Vec::new();
    for (name, length) in FILES {
        let path = format!("/{name}");
        let bytes: Arc<[u8]> = content(name, 0, length).into();
        let body = |status, range| Known::Body(status, bytes.clone(), range);
        requests.push((get(&path, ""), body(200, 0..length)));
        requests.push((
            get(&path, "").replacen("GET", "HEAD", 1),
            Known::Status(200),
        ));
        if length > 1000 {
            let (first, last) = (length / 3, length / 3 + 600);
            let part = format!("Range: bytes={first}-{last}\r\n");
            requests.push((get(&path, &part), body(206, first..last + 1)));
            let rest = "Range: bytes=-999\r\n";
            requests.push((get(&path, rest), body(206, length - 999..length)));
        }
    }
    requests
}

fn whole(name: &str) -> Known {
    let (_, length) = FILES.into_iter().find(|(its, _)| *its == name).unwrap();
    Known::Body(200, content(name, 0, length).into(), 0..length)
}
