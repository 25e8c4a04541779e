//! Clients that abort, send garbage or are too slow, or whose file is truncated.

use crate::clients::Client;
use crate::connection::{Checked, Connection, Ending, TIMEOUT, difference};
use crate::context::{HEADER, count};
use crate::exchanges::get;
use crate::site::LARGE;
use std::fs::{self, File};
use std::ops::Range;
use std::time::Duration;

impl Client<'_> {
    /// Disconnects in the middle of a large file.
    pub fn abort_a_download(&mut self) -> Checked {
        let mut connection = match self.random.one_in(2) {
            true => self.connect()?,
            false => self.connect_narrow()?,
        };
        let exchange = self.context.exchange("/large.bin");
        connection.send(exchange.request.as_bytes())?;
        connection.expect_head(&exchange.response)?;
        let most = 1 << self.random.below(23);
        let length = self.random.below(most);
        connection.expect_body(&exchange.response.body()[..length], 64 << 10, |_| {})?;
        count(&self.context.counters.abandoned, 1);
        self.disconnect(connection);
        Ok(())
    }

    /// Connects, sends something or nothing, and disconnects without receiving.
    pub fn connect_and_disconnect(&mut self) -> Checked {
        let mut connection = self.connect()?;
        let context = self.context;
        let any = self.random.pick(&context.exchanges).request.as_bytes();
        // Sending may fail, as the server may have closed.
        let _ = match self.random.below(4) {
            0 => Ok(()),
            1 => connection.send(&any[..self.random.below(any.len())]),
            2 => connection.send(any),
            _ => connection.send(get("/many/", "").repeat(3).as_bytes()),
        };
        if self.random.one_in(4) {
            let _ = connection.half_close();
        }
        self.disconnect(connection);
        Ok(())
    }

    /// Sends bytes that are not a request.
    pub fn send_garbage(&mut self) -> Checked {
        let mut connection = self.connect()?;
        let most = 2 << self.random.below(15);
        let mut garbage = vec![0; 1 + self.random.below(most)];
        let lines_of = 1 + self.random.below(200);
        for byte in &mut garbage {
            *byte = match self.random.below(lines_of) {
                0 => b'\n',
                _ => self.random.next() as u8,
            };
        }
        connection.send(&garbage)?;
        connection.half_close()?;
        let mut received = Vec::new();
        let ending = loop {
            match connection.receive(4096) {
                Ok(bytes) => received.extend_from_slice(bytes),
                Err(ending) => break ending,
            }
        };
        let received = String::from_utf8_lossy(&received);
        if ending != Ending::Closed || !(received.is_empty() || is_refusal(&received)) {
            return Err(format!("{ending:?} after {received}"));
        }
        count(
            &self.context.counters.responses,
            u64::from(!received.is_empty()),
        );
        Ok(())
    }

    /// Sends a head so slowly that it times out, and not earlier.
    pub fn time_out_a_head(&mut self) -> Checked {
        let mut connection = self.connect()?;
        connection.send(get("/", "X: ").strip_suffix("\r\n").unwrap().as_bytes())?;
        let pause = Duration::from_millis(1 + self.random.next() % 200);
        while connection.is_silent_for(pause)? {
            connection.send(b"x")?;
            if connection.opened.elapsed() > TIMEOUT {
                return Err("a head without an end was not refused".into());
            }
        }
        let waited = connection.opened.elapsed();
        if waited < HEADER {
            return Err(format!("a response after no more than {waited:?}"));
        }
        let head = connection.head()?;
        let body = connection.take(length_in(&head))?;
        let response = head + &String::from_utf8_lossy(&body);
        if !response.starts_with("HTTP/1.1 408 ") || !is_refusal(&response) {
            return Err(format!("not a 408: {response}"));
        }
        count(&self.context.counters.responses, 1);
        self.expect_close(connection)
    }

    /// Requests a file that is truncated while it is sent: the response must not look complete.
    pub fn download_a_truncated_file(&mut self) -> Checked {
        let name = format!("{}.bin", self.number);
        let path = self.context.root.join("cut").join(&name);
        let whole = self.context.exchange("/large.bin").response.body();
        fs::write(&path, whole).map_err(|error| error.to_string())?;
        let mut connection = self.connect_narrow()?;
        connection.send(get(&format!("/cut/{name}"), "").as_bytes())?;
        let head = connection.head()?;
        if length_in(&head) != LARGE || !head.starts_with("HTTP/1.1 200 ") {
            return Err(format!("not {LARGE} bytes: {head}"));
        }
        let begun = self.random.below(1 << 20);
        connection.expect_body(&whole[..begun], 64 << 10, |_| {})?;
        let end = self.random.below(LARGE / 2);
        let cut = File::options().write(true).open(&path);
        cut.and_then(|file| file.set_len(end as u64))
            .map_err(|error| error.to_string())?;
        receive_the_rest(&mut connection, whole, begun, end)?;
        count(&self.context.counters.aborted, 1);
        self.disconnect(connection);
        Ok(())
    }
}

/// Receives the rest of a file that was truncated at `end`: its bytes, and then a reset.
/// sendfile(2) passes the pages of the file to the socket, and truncation zeroes those beyond the
/// end.
fn receive_the_rest(
    connection: &mut Connection,
    whole: &[u8],
    begun: usize,
    end: usize,
) -> Checked {
    let mut offset = begun;
    loop {
        let bytes = match connection.receive(64 << 10) {
            Ok(bytes) => bytes,
            Err(Ending::Reset) => return Ok(()),
            Err(ending) => return Err(format!("cut at {end}: {ending:?} at {offset}")),
        };
        let range = offset..offset + bytes.len();
        let expected = whole.get(range.clone());
        let expected = expected.ok_or("more than the file had")?;
        if bytes != expected && !is_zeroed_beyond(bytes, expected, range, end) {
            return Err(format!(
                "cut at {end}: {}",
                difference(bytes, expected, offset)
            ));
        }
        offset += bytes.len();
        if offset == whole.len() {
            return Err(format!("cut at {end}, but complete"));
        }
    }
}

/// Whether these bytes, which are in `range`, differ only by zeros beyond `end`.
fn is_zeroed_beyond(bytes: &[u8], expected: &[u8], range: Range<usize>, end: usize) -> bool {
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

/// Whether it is a complete response that refuses the request and closes the connection.
fn is_refusal(response: &str) -> bool {
    let Some((head, body)) = response.split_once("\r\n\r\n") else {
        return false;
    };
    let is_error = head.starts_with("HTTP/1.1 4") || head.starts_with("HTTP/1.1 5");
    is_error && head.contains("\r\nConnection: close") && body.len() == length_in(head)
}

/// The Content-Length.
fn length_in(head: &str) -> usize {
    let fields = head.split("\r\n");
    let length = fields.filter_map(|field| field.strip_prefix("Content-Length: "));
    length
        .last()
        .and_then(|length| length.parse().ok())
        .unwrap_or(usize::MAX)
}
