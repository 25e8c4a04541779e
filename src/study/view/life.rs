//! What is kept of one connection to be read by a person: its latest transitions, and the heads of
//! its latest request and response.

use crate::connection::StateName;
use crate::http::request::{Refusal, Request};
use crate::probe::Cause;
use std::collections::VecDeque;
use std::time::Duration;

/// Transitions that are kept of a connection.
const TRANSITIONS: usize = 32;

/// Bytes that are kept of a head.
const HEAD: usize = 4096;

/// The life line of a connection.
#[derive(Debug, Default)]
pub struct Life {
    transitions: VecDeque<Transition>,
    /// How many requests the connection had with the one whose heads are kept.
    pub requests: u64,
    /// What was received of a head, when it was not complete.
    pub partial: Head,
    /// The head of the latest request; of one that was refused, its first line.
    pub request: Head,
    /// The head of the latest response.
    pub response: Head,
}

/// A change of a connection's state.
#[derive(Clone, Copy, Debug)]
pub struct Transition {
    /// Since the view began.
    pub time: Duration,
    /// The number of the iteration.
    pub iteration: u64,
    /// The state before.
    pub from: StateName,
    /// The state after.
    pub to: StateName,
    /// What it follows from.
    pub cause: Cause,
}

/// The bytes of a head, from its beginning, up to [`HEAD`].
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// What is kept.
    pub bytes: Vec<u8>,
    /// The length of the whole head.
    pub length: usize,
}

impl Head {
    fn clear(&mut self) {
        self.bytes.clear();
        self.length = 0;
    }

    fn add(&mut self, bytes: &[u8]) {
        let left = HEAD - self.bytes.len();
        let kept = bytes.get(..left).unwrap_or(bytes);
        self.bytes.extend_from_slice(kept);
        self.length += bytes.len();
    }

    /// Adds lines of a head of a request. Passwords become asterisks.
    fn add_request(&mut self, bytes: &[u8]) {
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let at = self.bytes.len();
            self.add(line);
            if let Some(name) = secret_name(line) {
                let hidden = self.bytes.iter_mut().skip(at + name + 1);
                let visible = |byte: &&mut u8| !byte.is_ascii_whitespace();
                hidden.filter(visible).for_each(|byte| *byte = b'*');
            }
        }
    }
}

/// The length of the name of the field, if it is one with a password.
fn secret_name(line: &[u8]) -> Option<usize> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let (name, _) = line.split_at(colon);
    let secrets: [&[u8]; 2] = [b"authorization", b"proxy-authorization"];
    let is_secret = secrets.iter().any(|one| name.eq_ignore_ascii_case(one));
    is_secret.then_some(colon)
}

impl Life {
    /// Begins the life of another connection, in the memory of this one.
    pub fn clear(&mut self) {
        self.transitions.clear();
        self.requests = 0;
        self.partial.clear();
        self.request.clear();
        self.response.clear();
    }

    /// Goes on with what `next` has, and takes its memory.
    pub fn append(&mut self, next: &mut Self) {
        next.transitions.drain(..).for_each(|one| self.push(one));
        if next.requests > 0 {
            self.requests = next.requests;
            std::mem::swap(&mut self.request, &mut next.request);
            std::mem::swap(&mut self.response, &mut next.response);
        }
    }

    /// These bytes of a head were received so far.
    pub fn set_partial(&mut self, bytes: &[u8]) {
        self.partial.clear();
        self.partial.add_request(bytes);
    }

    /// Adds a transition, in place of the oldest one if there are [`TRANSITIONS`].
    pub fn push(&mut self, transition: Transition) {
        if self.transitions.len() == TRANSITIONS {
            self.transitions.pop_front();
        }
        self.transitions.push_back(transition);
    }

    /// The latest transitions, in their order.
    pub fn transitions(&self) -> impl Iterator<Item = &Transition> {
        self.transitions.iter()
    }

    /// A request was received, the one with the number `requests`; the response to the one before
    /// is forgotten.
    pub fn set_request(&mut self, requests: u64, request: &Result<Request<'_>, Refusal<'_>>) {
        self.requests = requests;
        self.request.clear();
        self.response.clear();
        match request {
            Ok(request) => {
                self.request.add(request.line);
                self.request.add(b"\r\n");
                self.request.add_request(request.fields.as_bytes());
                self.request.add(b"\r\n");
            }
            Err(refusal) => self.request.add(refusal.line),
        }
    }

    /// A response was rendered, with a part of its body or all of it. Returns the length of its
    /// head.
    pub fn set_response(&mut self, rendered: &[u8]) -> usize {
        const END: &[u8] = b"\r\n\r\n";
        let end = memchr::memmem::find(rendered, END);
        let length = end.map_or(rendered.len(), |at| at + END.len());
        self.response.clear();
        self.response.add(rendered.split_at(length).0);
        length
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::StepName;

    #[test]
    fn only_the_latest_transitions_are_kept() {
        let mut life = Life::default();
        for iteration in 0..40 {
            life.push(Transition {
                time: Duration::ZERO,
                iteration,
                from: StateName::Reading,
                to: StateName::Parsing,
                cause: Cause::Step(StepName::Receive),
            });
        }
        let kept: Vec<_> = life.transitions().map(|one| one.iteration).collect();
        assert_eq!(kept, (8..40).collect::<Vec<_>>());
    }

    #[test]
    fn a_head_is_kept_byte_by_byte_and_cut_at_its_limit() {
        let head = "GET / HTTP/1.1\r\nHost:  a\r\nCookie: b=\"c\"\r\n\r\n";
        let mut life = Life::default();
        life.set_request(1, &Request::parse(head.as_bytes(), b"", 9));
        assert_eq!(life.request.bytes, head.as_bytes());
        let long = format!(
            "GET / HTTP/1.1\r\nHost: a\r\nA: {}\r\n\r\n",
            "b".repeat(5000)
        );
        life.set_request(1, &Request::parse(long.as_bytes(), b"", 9));
        assert_eq!(life.request.bytes, long.as_bytes()[..HEAD]);
        assert_eq!(life.request.length, long.len());
    }

    #[test]
    fn a_password_is_never_kept() {
        let fields = "Host: a\r\nAUTHORIZATION: Basic YTpi\r\nProxy-Authorization: x\r\nB: c\r\n";
        let hidden = "Host: a\r\nAUTHORIZATION: ***** ****\r\nProxy-Authorization: *\r\nB: c\r\n";
        let mut life = Life::default();
        let head = format!("GET / HTTP/1.1\r\n{fields}\r\n");
        life.set_request(1, &Request::parse(head.as_bytes(), b"", 9));
        let expected = format!("GET / HTTP/1.1\r\n{hidden}\r\n");
        assert_eq!(str::from_utf8(&life.request.bytes), Ok(&*expected));
        life.set_partial(b"GET / HTTP/1.1\r\nAuthorization: Basic YT");
        let expected = b"GET / HTTP/1.1\r\nAuthorization: ***** **";
        assert_eq!(life.partial.bytes, expected);
    }

    #[test]
    fn the_head_of_a_response_ends_at_the_empty_line() {
        let mut life = Life::default();
        assert_eq!(
            life.set_response(b"HTTP/1.1 200 OK\r\n\r\nbody\r\n\r\n"),
            19
        );
        assert_eq!(life.response.bytes, b"HTTP/1.1 200 OK\r\n\r\n");
    }
}
