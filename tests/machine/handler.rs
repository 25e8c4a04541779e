//! A handler with a page for each kind of body.

use crate::scripted_body::ScriptedBody;
use oneloop::clock::Now;
use oneloop::connection::{CloseReason, Counts};
use oneloop::handler::{Handler, ListenerInfo};
use oneloop::http::fields::FieldLines;
use oneloop::http::payload::{FileRange, Multipart, Parts, Payload, Progress};
use oneloop::http::range::ByteRange;
use oneloop::http::request::{Refusal, Request, Target};
use oneloop::http::response::Response;
use oneloop::http::status::Status;
use std::fs::File;
use std::io::{self, Write};
use std::net::IpAddr;
use std::sync::Arc;

/// The body of `/parts`.
pub const PARTS: &str = "\r\n--b\r\nContent-Type: t\r\nContent-Range: bytes 97-97/100000\r\n\r\na\
                         \r\n--b\r\nContent-Type: t\r\nContent-Range: bytes 99-100/100000\r\n\r\ncd\
                         \r\n--b--\r\n";

/// Bytes of `/file`.
pub const FILE: usize = 100_000;

pub struct Pages {
    file: Arc<File>,
    connections: usize,
    /// Whether `/late` can be answered.
    pub is_late_ready: bool,
    /// How often that was asked.
    pub asked: usize,
    /// State and status of each response, in order.
    pub answered: Vec<(usize, u16)>,
    /// State and body length of each complete response.
    pub sent: Vec<(usize, u64)>,
    /// State and counts of each closed connection.
    pub closed: Vec<(usize, Counts)>,
    /// Why they have ended.
    pub reasons: Vec<CloseReason>,
}

impl Default for Pages {
    fn default() -> Self {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&content()).unwrap();
        Self {
            file: Arc::new(file),
            connections: 0,
            is_late_ready: false,
            asked: 0,
            answered: Vec::new(),
            sent: Vec::new(),
            closed: Vec::new(),
            reasons: Vec::new(),
        }
    }
}

/// The bytes of `/file`.
pub fn content() -> Vec<u8> {
    (0..FILE).map(|n| (n % 251) as u8).collect()
}

impl Pages {
    fn body(&self, path: &[u8]) -> Payload {
        let bytes = |text: &[u8]| Payload::Bytes(text.into(), None);
        let stream = |slices| Payload::Stream(Box::new(ScriptedBody(slices)));
        let slices = |count, text| {
            let mut slices: Vec<_> = (1..count).map(|_| Ok((text, Progress::More))).collect();
            slices.push(Ok((text, Progress::Done)));
            stream(slices)
        };
        let length = FILE as u64;
        match path {
            b"/small" => bytes(b"small"),
            b"/1000" => bytes(&[b'x'; 1000]),
            b"/file" => Payload::File(FileRange::new(self.file.clone(), 0, length)),
            b"/parts" => {
                let part = |first, last| ByteRange::new(first, last, length).unwrap();
                self.parts(vec![part(97, 97), part(99, 100)])
            }
            b"/many-parts" => {
                let part = |n: u64| ByteRange::new(n * 251, n * 251, length).unwrap();
                self.parts((0..100).map(part).collect())
            }
            b"/stream" => slices(3, "slice"),
            b"/long" => slices(1000, "slice"),
            b"/slow" => slices(100, ""),
            b"/broken" => stream(vec![
                Ok(("lost", Progress::More)),
                Err(io::ErrorKind::Other.into()),
            ]),
            b"/panic" => panic!("a panic that the scheduler catches"),
            _ => Payload::Empty,
        }
    }

    fn parts(&self, ranges: Vec<ByteRange>) -> Payload {
        let multipart = Multipart::new("b", "t", FILE as u64);
        Payload::Parts(Box::new(Parts::new(self.file.clone(), ranges, multipart)))
    }

    /// Truncates the file.
    pub fn truncate(&self, length: u64) {
        self.file.set_len(length).unwrap();
    }
}

impl Handler for Pages {
    type State = usize;

    fn on_connect(&mut self, _: ListenerInfo, _: Option<IpAddr>) -> usize {
        self.connections += 1;
        self.connections - 1
    }

    fn is_ready(
        &mut self,
        _: &mut usize,
        request: &Result<Request<'_>, Refusal<'_>>,
        _: Now,
    ) -> bool {
        let is_late = |request: &Request<'_>| request.line.starts_with(b"GET /late");
        match request {
            Ok(request) if is_late(request) => {
                self.asked += 1;
                self.is_late_ready
            }
            _ => true,
        }
    }

    fn respond(
        &mut self,
        state: &mut usize,
        request: Result<Request<'_>, Refusal<'_>>,
        _: Now,
    ) -> Response {
        let (status, payload) = match request {
            Err(refusal) => (refusal.status, Payload::Empty),
            Ok(request) => match request.target {
                Target::Path { path, .. } => (Status::Ok, self.body(path)),
                _ => (Status::BadRequest, Payload::Empty),
            },
        };
        self.answered.push((*state, status.code()));
        Response::new(status, Arc::new(FieldLines::new())).with(payload)
    }

    fn on_body_taken(&mut self, state: &mut usize, body_bytes: u64, _: Now) {
        self.sent.push((*state, body_bytes));
    }

    fn on_close(&mut self, state: usize, reason: CloseReason, counts: Counts, _: Now) {
        self.closed.push((state, counts));
        self.reasons.push(reason);
    }
}
