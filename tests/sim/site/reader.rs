//! Parses the responses of one connection as they are sent: head, framing, body. `check` examines
//! each when it is complete or the connection is closed.

use super::body::Body;
use super::check::Case;
use super::{SharedSite, Window};
use crate::requests::{Method, Persistence, SimRequest};
use crate::response_checker::{Position, ResponseChecker};
use crate::site::request::SiteRequest;

#[derive(Debug)]
pub struct Reader {
    site: SharedSite,
    id: usize,
    requests: Vec<SimRequest>,
    /// The bytes of an incomplete head.
    head: Vec<u8>,
    response: Option<PartialResponse>,
    over: bool,
    total: u64,
    ends: Vec<u64>,
}

/// A response whose head is complete.
#[derive(Debug)]
struct PartialResponse {
    head: Head,
    window: Window,
    framing: Framing,
    body: Body,
}

#[derive(Debug)]
pub struct Head {
    pub status: u16,
    fields: Vec<(String, String)>,
}

/// What follows.
#[derive(Debug, PartialEq, Eq)]
enum Framing {
    /// This many bytes.
    Counted(u64),
    /// The line with a chunk's size, as far as it was sent.
    ChunkSize(Vec<u8>),
    /// This many bytes of a chunk, with its line end.
    Chunk(usize),
    /// This many bytes of the last line end.
    ChunksEnd(usize),
    UntilClose,
    Nothing,
}

impl Reader {
    pub fn new(site: SharedSite, id: usize, requests: &[SimRequest]) -> Self {
        Self {
            site,
            id,
            requests: requests.to_vec(),
            head: Vec::new(),
            response: None,
            over: false,
            total: 0,
            ends: Vec::new(),
        }
    }

    fn begin(&mut self) -> Result<(), String> {
        let head = Head::parse(&self.head)?;
        self.head.clear();
        let request = &self.requests[self.ends.len()];
        let mut site = self.site.borrow_mut();
        let window = site.windows[self.id].pop_front();
        let window = window.ok_or("a response that the handler did not make")?;
        let framing = head.framing(request)?;
        self.response = Some(PartialResponse {
            head,
            window,
            framing,
            body: Body::default(),
        });
        Ok(())
    }

    /// Goes on to the next response if this one is complete.
    fn finish(&mut self) -> Result<(), String> {
        if let Some(response) = &self.response
            && matches!(response.framing, Framing::Nothing | Framing::Counted(0))
        {
            self.over = response.head.has("connection", "close");
            self.check(true)?;
            self.ends.push(self.total);
            self.response = None;
        }
        Ok(())
    }

    fn check(&self, is_whole: bool) -> Result<(), String> {
        let Some(response) = &self.response else {
            return Ok(());
        };
        let at = self.ends.len();
        let site = &mut *self.site.borrow_mut();
        let validator = site.sent_validators[self.id]
            .get(&at)
            .cloned()
            .unwrap_or_default();
        let case = Case {
            request: &self.requests[at],
            validator: &validator,
            window: response.window,
            head: &response.head,
            body: &response.body,
            is_whole,
        };
        let fault = |what| {
            format!(
                "response {at} to {:?}: {what}; {:?}",
                case.request, case.head
            )
        };
        let learned = case.check(site).map_err(fault)?;
        site.validators
            .learn(&case, &learned, &site.tree)
            .map_err(fault)
    }
}

impl ResponseChecker for Reader {
    fn sent(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        while let [byte, rest @ ..] = bytes {
            if self.over || self.ends.len() == self.requests.len() {
                return Err(format!("{} bytes after the last response", bytes.len()));
            }
            match &mut self.response {
                None => {
                    self.head.push(*byte);
                    bytes = rest;
                    self.total += 1;
                    if self.head.ends_with(b"\r\n\r\n") {
                        self.begin()?;
                    }
                }
                Some(response) => {
                    let taken = response.sent(bytes)?;
                    self.total += taken as u64;
                    bytes = &bytes[taken..];
                }
            }
            self.finish()?;
        }
        Ok(())
    }

    fn file_sent(&mut self, file: usize, offset: u64, length: u64) -> Result<(), String> {
        self.total += length;
        let site = self.site.clone();
        let site = site.borrow();
        let Some(PartialResponse { framing, body, .. }) = &mut self.response else {
            return Err("bytes of a file without a header".into());
        };
        let Framing::Counted(left) = framing else {
            return Err(format!("bytes of a file, but {framing:?}"));
        };
        let bytes = site.tree.bytes(file);
        let (first, end) = (offset as usize, (offset + length) as usize);
        if length > *left || end > bytes.len() {
            return Err(format!("{offset}+{length} of a file, {left} left"));
        }
        *left -= length;
        body.push_file(&bytes[first..end], file, offset);
        drop(site);
        self.finish()
    }

    fn shut(&mut self) -> Result<(), String> {
        if let Some(response) = &mut self.response
            && response.framing == Framing::UntilClose
        {
            response.framing = Framing::Nothing;
        }
        self.finish()
    }

    fn closed(&mut self) -> Result<(), String> {
        self.check(false)
    }

    fn position(&self) -> Position {
        match self.response.is_none() && self.head.is_empty() {
            true => Position::Between,
            false => Position::Within,
        }
    }

    fn done(&self) -> usize {
        self.ends.len()
    }

    fn is_over(&self) -> bool {
        self.over
    }

    fn total(&self) -> u64 {
        self.total
    }

    fn done_within(&self, bytes: u64) -> usize {
        self.ends.partition_point(|&end| end <= bytes)
    }
}

impl PartialResponse {
    /// Takes the bytes that belong to this body.
    fn sent(&mut self, bytes: &[u8]) -> Result<usize, String> {
        let (taken, is_body) = match &mut self.framing {
            Framing::Nothing => return Err("bytes after a body".into()),
            Framing::UntilClose => (bytes.len(), true),
            Framing::Counted(left) => {
                let taken = bytes.len().min(*left as usize);
                *left -= taken as u64;
                (taken, true)
            }
            Framing::ChunkSize(line) => {
                line.push(bytes[0]);
                if line.ends_with(b"\r\n") {
                    let digits = String::from_utf8_lossy(&line[..line.len() - 2]);
                    let size = usize::from_str_radix(&digits, 16)
                        .map_err(|_| format!("a chunk of {digits:?} bytes"))?;
                    self.framing = match size {
                        0 => Framing::ChunksEnd(2),
                        size => Framing::Chunk(size + 2),
                    };
                }
                (1, false)
            }
            Framing::Chunk(left @ ..=2) => {
                if bytes[0] != b"\n\r"[*left - 1] {
                    return Err("a chunk without its line end".into());
                }
                *left -= 1;
                if *left == 0 {
                    self.framing = Framing::ChunkSize(Vec::new());
                }
                (1, false)
            }
            Framing::Chunk(left) => {
                let taken = bytes.len().min(*left - 2);
                *left -= taken;
                (taken, true)
            }
            Framing::ChunksEnd(left) => {
                if bytes[0] != b"\n\r"[*left - 1] {
                    return Err("chunks without their line end".into());
                }
                *left -= 1;
                if *left == 0 {
                    self.framing = Framing::Nothing;
                }
                (1, false)
            }
        };
        if is_body {
            self.body.bytes.extend_from_slice(&bytes[..taken]);
        }
        Ok(taken)
    }
}

impl Head {
    fn parse(head: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(head).map_err(|error| error.to_string())?;
        let mut lines = text.trim_end().split("\r\n");
        let line = lines.next().unwrap_or_default();
        let status = line
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.get(..3)?.parse().ok())
            .ok_or_else(|| format!("a status line of {line:?}"))?;
        let mut fields: Vec<(String, String)> = Vec::new();
        for line in lines {
            let (name, value) = line
                .split_once(": ")
                .ok_or_else(|| format!("a field of {line:?}"))?;
            let name = name.to_ascii_lowercase();
            if fields.iter().any(|(other, _)| *other == name) {
                return Err(format!("two fields {name}"));
            }
            fields.push((name, value.into()));
        }
        Ok(Self { status, fields })
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        let field = self.fields.iter().find(|(other, _)| other == name)?;
        Some(&field.1)
    }

    fn has(&self, name: &str, value: &str) -> bool {
        self.field(name) == Some(value)
    }

    fn framing(&self, request: &SimRequest) -> Result<Framing, String> {
        let site = SiteRequest::of(request);
        let is_head = site.is_some_and(|request| request.method == Method::Head);
        let is_old = site.is_some_and(|request| {
            matches!(
                request.persistence,
                Persistence::Http10 | Persistence::Http10KeepAlive
            )
        });
        if is_head || self.status == 304 {
            return Ok(Framing::Nothing);
        }
        if let Some(length) = self.field("content-length") {
            let length = length
                .parse()
                .map_err(|_| format!("a length of {length}"))?;
            return Ok(Framing::Counted(length));
        }
        match (self.has("transfer-encoding", "chunked"), is_old) {
            (true, false) => Ok(Framing::ChunkSize(Vec::new())),
            (false, true) if self.has("connection", "close") => Ok(Framing::UntilClose),
            _ => Err("a body without an end".into()),
        }
    }
}
