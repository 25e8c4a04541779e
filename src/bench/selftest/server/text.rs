//! Room `bench`: the bytes that an oracle answers with.

use crate::bench::load::{Fault, Page, body_hash};
use std::rc::Rc;

/// An answer as it goes over the wire.
#[derive(Debug, PartialEq, Eq)]
pub struct Text {
    /// All of it.
    pub bytes: Vec<u8>,
    /// Bytes of its head.
    pub head: usize,
    /// Bytes of its body.
    pub body: usize,
    /// Whether a client can take it for a whole answer.
    pub is_whole: bool,
}

impl Text {
    /// How many of the first `given` bytes are of the body.
    pub fn body_in(&self, given: usize) -> usize {
        given.saturating_sub(self.head).min(self.body)
    }
}

/// All that an oracle may have to say.
pub struct Texts {
    /// The right answer.
    pub right: Rc<Text>,
    wrong: Vec<(Fault, Rc<Text>)>,
    /// In place of every second status of 500.
    absent: Rc<Text>,
}

/// The page that an oracle serves, with a right body of `size` bytes.
pub fn page(size: usize) -> Page {
    let body = body(size);
    Page {
        path: "/".to_owned(),
        status: 200,
        length: Some(body.len() as u64),
        hash: Some(body_hash(&body)),
    }
}

fn body(size: usize) -> Vec<u8> {
    b"right ".iter().copied().cycle().take(size).collect()
}

fn text(status: &str, length: usize, body: &[u8]) -> Text {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n").into_bytes();
    Text {
        head: head.len(),
        body: body.len(),
        is_whole: body.len() == length,
        bytes: [&head[..], body].concat(),
    }
}

impl Texts {
    /// With right bodies of `size` bytes.
    pub fn new(size: usize) -> Self {
        let right = body(size);
        let half = right.get(..size / 2).unwrap_or_default();
        let other: Vec<u8> = right.iter().map(|byte| byte ^ 1).collect();
        let longer = [&right[..], b"longer"].concat();
        let ok = |length, body: &[u8]| text("200 OK", length, body);
        let mut unasked = ok(size, &right);
        unasked.bytes.extend(b"unasked");
        let nothing = |bytes: &[u8]| Text {
            bytes: bytes.to_vec(),
            head: bytes.len(),
            body: 0,
            is_whole: false,
        };
        let wrong = [
            (Fault::Truncated, ok(size, half)),
            (Fault::Status, text("500 Wrong", size, &right)),
            (Fault::Content, ok(size, &other)),
            (Fault::Length, ok(longer.len(), &longer)),
            (Fault::Malformed, nothing(b"220 this is no HTTP\r\n\r\n")),
            (Fault::Unsolicited, unasked),
        ];
        Self {
            right: Rc::new(ok(size, &right)),
            wrong: wrong.map(|(fault, text)| (fault, Rc::new(text))).into(),
            absent: Rc::new(text("404 Not Found", size, &right)),
        }
    }

    /// What is said the `time`-th time that something is to be wrong in this way. Where the fault
    /// is that nothing comes it is nothing.
    pub fn wrong(&self, fault: Fault, time: u64) -> Rc<Text> {
        if fault == Fault::Status && time % 2 == 1 {
            return self.absent.clone();
        }
        let found = self.wrong.iter().find(|(known, _)| *known == fault);
        found.map_or_else(
            || {
                Rc::new(Text {
                    bytes: Vec::new(),
                    head: 0,
                    body: 0,
                    is_whole: false,
                })
            },
            |(_, text)| text.clone(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wrong_answer_is_wrong_in_its_own_way_only() {
        let texts = Texts::new(12);
        let shown = |fault, time| {
            let text = texts.wrong(fault, time);
            let bytes = String::from_utf8(text.bytes.clone()).unwrap();
            (bytes, text.is_whole)
        };
        let answer = |status: &str, length: usize, body: &str| {
            format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}")
        };
        let right = "right right ";
        let table = [
            (Fault::Truncated, 0, answer("200 OK", 12, "right "), false),
            (Fault::Status, 0, answer("500 Wrong", 12, right), true),
            (Fault::Status, 1, answer("404 Not Found", 12, right), true),
            (
                Fault::Content,
                0,
                answer("200 OK", 12, "shfiu!shfiu!"),
                true,
            ),
            (
                Fault::Length,
                0,
                answer("200 OK", 18, "right right longer"),
                true,
            ),
            (
                Fault::Unsolicited,
                0,
                answer("200 OK", 12, "right right unasked"),
                true,
            ),
            (Fault::Reset, 0, String::new(), false),
            (Fault::Closed, 0, String::new(), false),
        ];
        for (fault, time, bytes, is_whole) in table {
            assert_eq!(shown(fault, time), (bytes, is_whole), "{fault:?}");
        }
        assert_eq!(texts.right.body, 12);
        assert_eq!(page(12).length, Some(12));
    }
}
