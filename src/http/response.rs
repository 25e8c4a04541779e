//! [`Response`]: a status, headers and a payload; and its header as bytes.

use super::fields::{FieldLines, push_decimal};
use super::payload::Payload;
use super::request::Delivery;
use super::status::Status;
use std::sync::Arc;

/// A response, independent of the connection that sends it.
#[derive(Debug)]
pub struct Response {
    /// The status.
    pub status: Status,
    /// Headers that several responses share: rendered once, when a file was opened.
    pub shared_fields: Arc<FieldLines>,
    /// Headers of this response alone. Usually none, without an allocation.
    pub headers: FieldLines,
    /// The body of a response to GET. The connection omits it where none may be sent.
    pub payload: Payload,
}

/// How a body is delimited (RFC 9112 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// The status has no body, or Content-Length counts it.
    Counted,
    /// Chunks, each with its length.
    Chunked,
    /// The end of the connection ends it: for HTTP/1.0, which has no chunks.
    UntilClose,
}

impl Response {
    /// A response with shared headers only and without a body.
    pub fn new(status: Status, shared_fields: Arc<FieldLines>) -> Self {
        Self {
            status,
            shared_fields,
            headers: FieldLines::new(),
            payload: Payload::Empty,
        }
    }

    /// The same with a body.
    pub fn with(mut self, payload: Payload) -> Self {
        self.payload = payload;
        self
    }

    /// How the body is delimited in the response to a request with this delivery.
    pub fn framing(&self, delivery: Delivery) -> Framing {
        match self.payload.length() {
            _ if self.status.is_bodiless() => Framing::Counted,
            Some(_) => Framing::Counted,
            None if delivery.http10 => Framing::UntilClose,
            None => Framing::Chunked,
        }
    }

    /// Appends the status line and the headers to `out`, up to and including the empty line.
    /// `keep_alive` says whether the connection stays open after this response.
    pub fn render(&self, out: &mut Vec<u8>, date: &[u8; 29], delivery: Delivery, keep_alive: bool) {
        out.extend_from_slice(self.status.line().as_bytes());
        out.extend_from_slice(b"Date: ");
        out.extend_from_slice(date);
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(match self.status {
            Status::NotModified => self.shared_fields.without_metadata(),
            _ => self.shared_fields.as_bytes(),
        });
        out.extend_from_slice(self.headers.as_bytes());
        match (self.framing(delivery), self.payload.length()) {
            (Framing::Chunked, _) => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
            (Framing::Counted, Some(length)) if !self.status.is_bodiless() => {
                out.extend_from_slice(b"Content-Length: ");
                push_decimal(out, length);
                out.extend_from_slice(b"\r\n");
            }
            _ => {}
        }
        match (keep_alive, delivery.http10) {
            (false, _) => out.extend_from_slice(b"Connection: close\r\n"),
            (true, true) => out.extend_from_slice(b"Connection: keep-alive\r\n"),
            (true, false) => {}
        }
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::super::payload::{Produce, Progress};
    use super::*;

    const DATE: &[u8; 29] = b"Sun, 06 Nov 1994 08:49:37 GMT";
    const NEW: Delivery = Delivery {
        http10: false,
        is_head: false,
        keep_alive: true,
        close_requested: false,
    };
    const OLD: Delivery = Delivery {
        http10: true,
        is_head: false,
        keep_alive: true,
        close_requested: false,
    };

    fn render(response: &Response, delivery: Delivery, keep_alive: bool) -> String {
        let mut out = Vec::new();
        response.render(&mut out, DATE, delivery, keep_alive);
        String::from_utf8(out).unwrap()
    }

    fn shared_fields() -> Arc<FieldLines> {
        let mut lines = FieldLines::new();
        lines.push("Server", "oneloop");
        Arc::new(lines)
    }

    #[test]
    fn a_counted_body_has_its_length_in_the_header() {
        let payload = Payload::Bytes(Arc::from(*b"hello"), None);
        let response = Response::new(Status::Ok, shared_fields()).with(payload);
        assert_eq!(
            render(&response, NEW, true),
            "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nServer: oneloop\r\n\
             Content-Length: 5\r\n\r\n"
        );
        assert!(render(&response, OLD, true).ends_with("5\r\nConnection: keep-alive\r\n\r\n"));
        assert!(render(&response, NEW, false).ends_with("5\r\nConnection: close\r\n\r\n"));
    }

    #[test]
    fn an_empty_body_has_content_length_0_unless_the_status_has_no_body() {
        let length_of = |status| {
            let text = render(&Response::new(status, shared_fields()), NEW, true);
            text.contains("Content-Length: 0\r\n")
        };
        assert!(length_of(Status::Ok));
        assert!(length_of(Status::MovedPermanently));
        assert!(!length_of(Status::NoContent));
        assert!(!length_of(Status::NotModified));
    }

    #[test]
    fn a_stream_is_chunked_in_1_1_and_ends_with_the_connection_in_1_0() {
        struct Nothing;
        impl Produce for Nothing {
            fn produce(&mut self, _: &mut Vec<u8>) -> std::io::Result<Progress> {
                Ok(Progress::Done)
            }
        }
        let stream =
            || Response::new(Status::Ok, shared_fields()).with(Payload::Stream(Box::new(Nothing)));
        assert!(render(&stream(), NEW, true).ends_with("Transfer-Encoding: chunked\r\n\r\n"));
        let old = render(&stream(), OLD, false);
        assert!(
            old.ends_with("Server: oneloop\r\nConnection: close\r\n\r\n"),
            "{old}"
        );
    }
}
