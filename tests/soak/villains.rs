//! Customers who come for no good, or are unlucky.

use crate::customers::Customer;
use crate::lab::{HEADER, count};
use crate::line::{Checked, Ending, Line, PATIENCE, difference};
use crate::questions::get;
use crate::site::LARGE;
use std::fs::{self, File};
use std::ops::Range;
use std::time::Duration;

impl Customer<'_> {
    /// Leaves in the middle of a large file.
    pub fn leave_a_download(&mut self) -> Checked {
        let mut line = match self.chance.one_in(2) {
            true => self.connect()?,
            false => self.connect_narrow()?,
        };
        let question = self.lab.question("/large.bin");
        line.send(question.request.as_bytes())?;
        line.hear_head(&question.answer)?;
        let most = 1 << self.chance.below(23);
        let length = self.chance.below(most);
        line.hear_body(&question.answer.body()[..length], 64 << 10, |_| {})?;
        count(&self.lab.tally.left, 1);
        self.vanish(line);
        Ok(())
    }

    /// Comes, says nothing or something, and is gone before it hears anything.
    pub fn come_and_go(&mut self) -> Checked {
        let mut line = self.connect()?;
        let lab = self.lab;
        let any = self.chance.pick(&lab.questions).request.as_bytes();
        // One that is gone already cannot be told more, and that is all right here.
        let _ = match self.chance.below(4) {
            0 => Ok(()),
            1 => line.send(&any[..self.chance.below(any.len())]),
            2 => line.send(any),
            _ => line.send(get("/many/", "").repeat(3).as_bytes()),
        };
        if self.chance.one_in(4) {
            let _ = line.half_close();
        }
        self.vanish(line);
        Ok(())
    }

    /// Sends what is no request. It is refused, or not even that.
    pub fn send_garbage(&mut self) -> Checked {
        let mut line = self.connect()?;
        let most = 2 << self.chance.below(15);
        let mut garbage = vec![0; 1 + self.chance.below(most)];
        let lines_of = 1 + self.chance.below(200);
        for byte in &mut garbage {
            *byte = match self.chance.below(lines_of) {
                0 => b'\n',
                _ => self.chance.next() as u8,
            };
        }
        line.send(&garbage)?;
        line.half_close()?;
        let mut heard = Vec::new();
        let ending = loop {
            match line.receive(4096) {
                Ok(bytes) => heard.extend_from_slice(bytes),
                Err(ending) => break ending,
            }
        };
        let heard = String::from_utf8_lossy(&heard);
        if ending != Ending::Closed || !(heard.is_empty() || is_refusal(&heard)) {
            return Err(format!("{ending:?} after {heard}"));
        }
        count(&self.lab.tally.answers, u64::from(!heard.is_empty()));
        Ok(())
    }

    /// Sends a head so slowly that its time runs out, but not before.
    pub fn stall_a_head(&mut self) -> Checked {
        let mut line = self.connect()?;
        line.send(get("/", "X: ").strip_suffix("\r\n").unwrap().as_bytes())?;
        let pause = Duration::from_millis(1 + self.chance.next() % 200);
        while line.is_silent_for(pause)? {
            line.send(b"x")?;
            if line.opened.elapsed() > PATIENCE {
                return Err("a head without an end is never refused".into());
            }
        }
        let waited = line.opened.elapsed();
        if waited < HEADER {
            return Err(format!("an answer after no more than {waited:?}"));
        }
        let head = line.head()?;
        let body = line.take(length_in(&head))?;
        let answer = head + &String::from_utf8_lossy(&body);
        if !answer.starts_with("HTTP/1.1 408 ") || !is_refusal(&answer) {
            return Err(format!("not a 408: {answer}"));
        }
        count(&self.lab.tally.answers, 1);
        self.end(line)
    }

    /// Asks for a file that is cut while it is sent: the answer must not look whole.
    pub fn see_a_file_cut(&mut self) -> Checked {
        let name = format!("{}.bin", self.number);
        let path = self.lab.root.join("cut").join(&name);
        let whole = self.lab.question("/large.bin").answer.body();
        fs::write(&path, whole).map_err(|error| error.to_string())?;
        let mut line = self.connect_narrow()?;
        line.send(get(&format!("/cut/{name}"), "").as_bytes())?;
        let head = line.head()?;
        if length_in(&head) != LARGE || !head.starts_with("HTTP/1.1 200 ") {
            return Err(format!("not {LARGE} bytes: {head}"));
        }
        let begun = self.chance.below(1 << 20);
        line.hear_body(&whole[..begun], 64 << 10, |_| {})?;
        let end = self.chance.below(LARGE / 2);
        let cut = File::options().write(true).open(&path);
        cut.and_then(|file| file.set_len(end as u64))
            .map_err(|error| error.to_string())?;
        hear_what_is_left(&mut line, whole, begun, end)?;
        count(&self.lab.tally.aborted, 1);
        self.vanish(line);
        Ok(())
    }
}

/// Hears the rest of a file that was cut at `end`: its bytes, and then a reset. sendfile(2) lends
/// the file's pages to the socket, and cutting wipes those that are beyond.
fn hear_what_is_left(line: &mut Line, whole: &[u8], begun: usize, end: usize) -> Checked {
    let mut heard = begun;
    loop {
        let bytes = match line.receive(64 << 10) {
            Ok(bytes) => bytes,
            Err(Ending::Reset) => return Ok(()),
            Err(ending) => return Err(format!("cut at {end}: {ending:?} at {heard}")),
        };
        let range = heard..heard + bytes.len();
        let expected = whole.get(range.clone());
        let expected = expected.ok_or("more than the file had")?;
        if bytes != expected && !is_wiped(bytes, expected, range, end) {
            return Err(format!(
                "cut at {end}: {}",
                difference(bytes, expected, heard)
            ));
        }
        heard += bytes.len();
        if heard == whole.len() {
            return Err(format!("cut at {end}, and all of it came"));
        }
    }
}

/// Whether these bytes, which lie in `range`, differ only in being wiped, and only beyond `end`.
fn is_wiped(bytes: &[u8], expected: &[u8], range: Range<usize>, end: usize) -> bool {
    const STEP: usize = 512;
    let kept = end.saturating_sub(range.start).min(bytes.len());
    let (bytes, expected) = (bytes.split_at(kept), expected.split_at(kept));
    let mut steps = bytes.1.chunks(STEP).zip(expected.1.chunks(STEP));
    let is_either = |(byte, expected): (&u8, &u8)| *byte == 0 || byte == expected;
    let is_so = |(bytes, expected): (&[u8], &[u8])| {
        let is_plain = bytes == expected || bytes == &[0; STEP][..bytes.len()];
        is_plain || bytes.iter().zip(expected).all(is_either)
    };
    bytes.0 == expected.0 && steps.all(is_so)
}

/// Whether it is one answer, whole, that says why there is no other, and the last one.
fn is_refusal(answer: &str) -> bool {
    let Some((head, body)) = answer.split_once("\r\n\r\n") else {
        return false;
    };
    let is_error = head.starts_with("HTTP/1.1 4") || head.starts_with("HTTP/1.1 5");
    is_error && head.contains("\r\nConnection: close") && body.len() == length_in(head)
}

/// What Content-Length says.
fn length_in(head: &str) -> usize {
    let fields = head.split("\r\n");
    let length = fields.filter_map(|line| line.strip_prefix("Content-Length: "));
    length
        .last()
        .and_then(|length| length.parse().ok())
        .unwrap_or(usize::MAX)
}
