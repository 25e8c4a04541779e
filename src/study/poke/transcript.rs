//! What `oneloop poke` prints: what was sent and what came, with its time.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

/// What happened on a connection.
#[derive(Debug)]
pub enum Event<'b> {
    /// It was made, from this address.
    Connected(SocketAddr),
    /// It was not made, to this address.
    NotConnected(SocketAddr, io::Error),
    /// The TLS handshake is finished, with this.
    Secured(String),
    /// It broke.
    Failed(io::Error),
    /// The kernel took these bytes.
    Sent(&'b [u8]),
    /// These bytes came.
    Received(&'b [u8]),
    /// Our direction was closed (SHUT_WR), by this.
    HalfClosed(&'static str),
    /// The server closed it, by this.
    ClosedByServer(&'static str),
    /// We closed it.
    Closed,
    /// We reset it (SO_LINGER 0).
    Reset,
}

/// How many connections came how far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Made.
    pub connected: usize,
    /// With at least one byte received. The caller counts them.
    pub answered: usize,
    /// Closed by the server.
    pub closed_by_server: usize,
    /// Not made, or broken.
    pub failed: usize,
}

/// Prints events.
#[derive(Debug)]
pub struct Transcript<W> {
    out: W,
    connections: usize,
    /// Connections that are neither made nor refused so far.
    connecting: usize,
    /// The most bytes of a text that are printed. 0: reads are counted.
    max_bytes: usize,
    /// Of each printed connection, the bytes and the reads that are counted and not yet printed.
    counted: [(usize, usize); MOST_PRINTED],
    /// The counts so far.
    pub totals: Totals,
}

/// With more connections, only the first is printed, and the totals of all.
const MOST_PRINTED: usize = 8;

impl<W: Write> Transcript<W> {
    /// Of this many connections, and at most `max_bytes` bytes of each text.
    pub fn new(out: W, connections: usize, max_bytes: usize) -> Self {
        Self {
            out,
            connections,
            connecting: connections,
            max_bytes,
            counted: [(0, 0); MOST_PRINTED],
            totals: Totals::default(),
        }
    }

    /// Prints what happened on the connection `number`, counted from 0, at `time` since the start.
    ///
    /// # Errors
    /// Those of writing.
    pub fn record(&mut self, number: usize, time: Duration, event: &Event<'_>) -> io::Result<()> {
        self.count(event);
        self.print_event(number, time, event)?;
        if matches!(event, Event::Connected(_) | Event::NotConnected(..)) {
            self.connecting -= 1;
            if self.connecting == 0 && self.connections > 1 {
                let (connected, all) = (self.totals.connected, self.connections);
                self.print_of_all(time, &format!("{connected} of {all} are connected"))?;
            }
        }
        self.out.flush()
    }

    fn print_event(&mut self, number: usize, time: Duration, event: &Event<'_>) -> io::Result<()> {
        if self.connections > MOST_PRINTED && number > 0 {
            return Ok(());
        }
        if let (Event::Received(bytes), 0) = (event, self.max_bytes) {
            if let Some((sum, reads)) = self.counted.get_mut(number) {
                *sum += bytes.len();
                *reads += 1;
            }
            return Ok(());
        }
        self.print_counted(number, time)?;
        self.print(number, time, &describe(event))?;
        if let Event::Sent(bytes) | Event::Received(bytes) = event {
            self.print_bytes(bytes)?;
        }
        Ok(())
    }

    fn print(&mut self, number: usize, time: Duration, what: &str) -> io::Result<()> {
        let name = match self.connections {
            1 => String::new(),
            _ => format!("#{}  ", number + 1),
        };
        self.print_of_all(time, &format!("{name}{what}"))
    }

    fn print_of_all(&mut self, time: Duration, what: &str) -> io::Result<()> {
        let milliseconds = time.as_secs_f64() * 1e3;
        writeln!(self.out, "{milliseconds:10.3} ms  {what}")
    }

    /// Prints the reads of a connection that were counted.
    fn print_counted(&mut self, number: usize, time: Duration) -> io::Result<()> {
        match self.counted.get_mut(number).map(std::mem::take) {
            None | Some((_, 0)) => Ok(()),
            Some((bytes, reads)) => {
                let (bytes, reads) = (counted(bytes, "byte"), counted(reads, "read"));
                let what = format!("received {bytes} in {reads}");
                self.print(number, time, &what)
            }
        }
    }

    fn count(&mut self, event: &Event<'_>) {
        let count = match event {
            Event::Connected(_) => &mut self.totals.connected,
            Event::NotConnected(..) | Event::Failed(_) => &mut self.totals.failed,
            Event::ClosedByServer(_) => &mut self.totals.closed_by_server,
            _ => return,
        };
        *count += 1;
    }

    /// Prints text line by line, with what ends each line.
    fn print_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.max_bytes == 0 {
            return Ok(());
        }
        let shown = bytes.get(..self.max_bytes).unwrap_or(bytes);
        for line in shown.split_inclusive(|byte| *byte == b'\n') {
            writeln!(self.out, "{:15}{}", "", visible(line))?;
        }
        match bytes.len() - shown.len() {
            0 => Ok(()),
            more => writeln!(self.out, "{:15}... {more} bytes more", ""),
        }
    }

    /// Prints the totals, if there are several connections.
    ///
    /// # Errors
    /// Those of writing.
    pub fn finish(&mut self, time: Duration) -> io::Result<()> {
        for number in 0..MOST_PRINTED {
            self.print_counted(number, time)?;
        }
        if self.connections > 1 {
            let (all, totals) = (self.connections, self.totals);
            let what = format!(
                "of {all} connections: {} connected, {} answered, {} closed by the server, \
                 {} failed",
                totals.connected, totals.answered, totals.closed_by_server, totals.failed,
            );
            self.print_of_all(time, &what)?;
        }
        self.out.flush()
    }
}

fn describe(event: &Event<'_>) -> String {
    match event {
        Event::Connected(local) => format!("connected from {local}"),
        Event::NotConnected(server, error) => format!("not connected to {server}: {error}"),
        Event::Secured(agreed) => agreed.clone(),
        Event::Failed(error) => format!("failed: {error}"),
        Event::Sent(bytes) => format!("sent {}", counted(bytes.len(), "byte")),
        Event::Received(bytes) => format!("received {}", counted(bytes.len(), "byte")),
        Event::HalfClosed(mark) => format!("closed our direction ({mark} sent)"),
        Event::ClosedByServer(mark) => format!("closed by the server ({mark} received)"),
        Event::Closed => "closed by poke".to_owned(),
        Event::Reset => "reset by poke (RST sent)".to_owned(),
    }
}

fn counted(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

/// The bytes with the escapes that a script has.
fn visible(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\r' => text.push_str("\\r"),
                '\n' => text.push_str("\\n"),
                '\t' => text.push_str("\\t"),
                '\0' => text.push_str("\\0"),
                '\\' => text.push_str("\\\\"),
                c if c.is_control() => {
                    let mut buffer = [0; 4];
                    escape(&mut text, c.encode_utf8(&mut buffer).as_bytes());
                }
                c => text.push(c),
            }
        }
        escape(&mut text, chunk.invalid());
    }
    text
}

fn escape(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // A String takes everything.
        let _ = write!(text, "\\x{byte:02x}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(connections: usize, max_bytes: usize, events: &[(usize, Event<'_>)]) -> String {
        let mut out = Vec::new();
        let mut transcript = Transcript::new(&mut out, connections, max_bytes);
        for (number, event) in events {
            let time = Duration::from_micros(1_234_500);
            transcript.record(*number, time, event).unwrap();
        }
        transcript.finish(Duration::from_secs(2)).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_bytes_are_printed_line_by_line_with_what_ends_each() {
        let events = [
            (0, Event::Sent(b"GET / HT")),
            (
                0,
                Event::Received(b"a\r\nb\x01\\\xff\x80\n\nrest of all the text"),
            ),
            (0, Event::ClosedByServer("FIN")),
        ];
        let expected = "  \
  1234.500 ms  sent 8 bytes
               GET / HT
  1234.500 ms  received 30 bytes
               a\\r\\n
               b\\x01\\\\\\xff\\x80\\n
               \\n
               rest of al
               ... 10 bytes more
  1234.500 ms  closed by the server (FIN received)
";
        assert_eq!(printed(1, 20, &events), expected);
    }

    #[test]
    fn of_many_connections_the_first_is_printed_and_all_are_counted() {
        let local = SocketAddr::from(([127, 0, 0, 1], 50_000));
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let events = [
            (0, Event::Connected(local)),
            (1, Event::Connected(local)),
            (1, Event::Received(b"x")),
            (2, Event::NotConnected(local, refused)),
            (1, Event::ClosedByServer("FIN")),
        ];
        let expected = "  \
  1234.500 ms  #1  connected from 127.0.0.1:50000
  2000.000 ms  of 9 connections: 2 connected, 0 answered, 1 closed by the server, 1 failed
";
        assert_eq!(printed(9, 20, &events), expected);
    }

    #[test]
    fn reads_that_are_not_shown_are_counted_until_something_else_happens() {
        let events = [
            (0, Event::Sent(b"GET / HT")),
            (0, Event::Received(b"abc")),
            (1, Event::Received(b"x")),
            (0, Event::Received(b"def")),
            (0, Event::ClosedByServer("FIN")),
        ];
        let expected = "  \
  1234.500 ms  #1  sent 8 bytes
  1234.500 ms  #1  received 6 bytes in 2 reads
  1234.500 ms  #1  closed by the server (FIN received)
  2000.000 ms  #2  received 1 byte in 1 read
  2000.000 ms  of 2 connections: 0 connected, 0 answered, 1 closed by the server, 0 failed
";
        assert_eq!(printed(2, 0, &events), expected);
    }
}
