//! [`Response`]: a status, field lines and a payload; and how they look on the wire.

use super::fields::FieldLines;
use super::payload::Payload;
use super::request::Manners;
use super::status::Status;
use std::sync::Arc;

/// An answer, before it is known how the connection will deliver it.
#[derive(Debug)]
pub struct Response {
    /// The status.
    pub status: Status,
    /// Lines that many responses share: rendered once, when a file was opened.
    pub about: Arc<FieldLines>,
    /// Lines of this response alone. Mostly none, and then they hold no memory.
    pub fields: FieldLines,
    /// The body that GET would get. The connection leaves it away where none may be sent.
    pub payload: Payload,
}

/// How a body is delimited (RFC 9112 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// The status has no body, or Content-Length counts it.
    Counted,
    /// Chunks, each with its length.
    Chunked,
    /// The end of the connection ends it: for HTTP/1.0, which knows no chunks.
    UntilClose,
}

impl Response {
    /// A response without fields of its own and without a body.
    pub fn new(status: Status, about: Arc<FieldLines>) -> Self {
        Self {
            status,
            about,
            fields: FieldLines::new(),
            payload: Payload::Empty,
        }
    }

    /// The same with a body.
    pub fn with(mut self, payload: Payload) -> Self {
        self.payload = payload;
        self
    }

    /// How the body must be delimited for a peer with these manners.
    pub fn framing(&self, manners: Manners) -> Framing {
        match self.payload.length() {
            _ if self.status.is_bodiless() => Framing::Counted,
            Some(_) => Framing::Counted,
            None if manners.old => Framing::UntilClose,
            None => Framing::Chunked,
        }
    }

    /// Appends status line and fields to `out`, up to and including the empty line.
    /// `persistent` says whether the connection stays open after this response.
    pub fn render(&self, out: &mut Vec<u8>, date: &[u8; 29], manners: Manners, persistent: bool) {
        out.extend_from_slice(self.status.line().as_bytes());
        out.extend_from_slice(b"Date: ");
        out.extend_from_slice(date);
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(match self.status {
            Status::NOT_MODIFIED => self.about.without_metadata(),
            _ => self.about.as_bytes(),
        });
        out.extend_from_slice(self.fields.as_bytes());
        match (self.framing(manners), self.payload.length()) {
            (Framing::Chunked, _) => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
            (Framing::Counted, Some(length)) if !self.status.is_bodiless() => {
                out.extend_from_slice(b"Content-Length: ");
                push_decimal(out, length);
                out.extend_from_slice(b"\r\n");
            }
            _ => {}
        }
        match (persistent, manners.old) {
            (false, _) => out.extend_from_slice(b"Connection: close\r\n"),
            (true, true) => out.extend_from_slice(b"Connection: keep-alive\r\n"),
            (true, false) => {}
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// Appends `number` in decimal.
pub fn push_decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut length = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        length += 1;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(digits.len() - length..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &[u8; 29] = b"Sun, 06 Nov 1994 08:49:37 GMT";
    const NEW: Manners = Manners {
        old: false,
        bodiless: false,
        persistent: true,
        last: false,
    };
    const OLD: Manners = Manners {
        old: true,
        bodiless: false,
        persistent: true,
        last: false,
    };

    fn render(response: &Response, manners: Manners, persistent: bool) -> String {
        let mut out = Vec::new();
        response.render(&mut out, DATE, manners, persistent);
        String::from_utf8(out).unwrap()
    }

    fn about() -> Arc<FieldLines> {
        let mut lines = FieldLines::new();
        lines.push("Server", "oneloop");
        Arc::new(lines)
    }

    #[test]
    fn a_counted_body_has_its_length_in_the_header() {
        let payload = Payload::Bytes(Arc::from(*b"hello"), None);
        let response = Response::new(Status::OK, about()).with(payload);
        assert_eq!(
            render(&response, NEW, true),
            "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nServer: oneloop\r\n\
             Content-Length: 5\r\n\r\n"
        );
        assert!(render(&response, OLD, true).ends_with("5\r\nConnection: keep-alive\r\n\r\n"));
        assert!(render(&response, NEW, false).ends_with("5\r\nConnection: close\r\n\r\n"));
    }

    #[test]
    fn an_empty_body_says_so_but_where_none_may_be() {
        let length_of = |status| {
            let text = render(&Response::new(status, about()), NEW, true);
            text.contains("Content-Length: 0\r\n")
        };
        assert!(length_of(Status::OK));
        assert!(length_of(Status::MOVED_PERMANENTLY));
        assert!(!length_of(Status::NO_CONTENT));
        assert!(!length_of(Status::NOT_MODIFIED));
    }

    #[test]
    fn a_stream_is_chunked_or_ends_with_the_connection() {
        struct Nothing;
        impl super::super::payload::Produce for Nothing {
            fn produce(
                &mut self,
                _: &mut Vec<u8>,
            ) -> std::io::Result<super::super::payload::Progress> {
                Ok(super::super::payload::Progress::Done)
            }
        }
        let stream = || Response::new(Status::OK, about()).with(Payload::Stream(Box::new(Nothing)));
        assert!(render(&stream(), NEW, true).ends_with("Transfer-Encoding: chunked\r\n\r\n"));
        let old = render(&stream(), OLD, false);
        assert!(
            old.ends_with("Server: oneloop\r\nConnection: close\r\n\r\n"),
            "{old}"
        );
    }

    #[test]
    fn numbers_are_decimal() {
        for number in [0, 7, 10, 1234567890, u64::MAX] {
            let mut out = Vec::new();
            push_decimal(&mut out, number);
            assert_eq!(out, number.to_string().as_bytes());
        }
    }
}
