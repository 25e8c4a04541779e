//! Runs the rows of a table and compares the responses byte by byte.

use crate::peer::Peer;
use crate::process::{Launch, Server, available};
use crate::report::{Failure, report};
use crate::root::Tree;
use crate::script::{BOUNDARY, DATE, Response, Row, Script, options};
use std::io;
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

/// The options of a server, and the headers that its responses then have.
pub struct Setup<'s> {
    pub options: &'s [&'s str],
    pub common_fields: &'s str,
    /// Further headers of 200, 206 and 304.
    pub content: &'s str,
    /// Further headers of a response to OPTIONS, the request that follows every row.
    pub allows: &'s [&'s str],
}

/// The headers that every response has.
pub const COMMON_FIELDS: &str = "Server: oneloop\nX-Content-Type-Options: nosniff";

/// Runs a table with a server without options.
pub fn run_table(tree: &Tree, rows: Vec<Row>) {
    run_table_with(&Setup::of(&[]), &tree.root(), rows);
}

impl<'s> Setup<'s> {
    /// Options that do not change the common headers.
    pub fn of(options: &'s [&'s str]) -> Self {
        Self {
            options,
            common_fields: COMMON_FIELDS,
            content: "",
            allows: &[],
        }
    }
}

/// The models that share the site and the protocol, and so every byte. Each runs all tables, which
/// takes a few seconds.
const MODELS: [&str; 13] = [
    "reactor",
    "reactors",
    "uring",
    "level",
    "poll",
    "select",
    "coroutine",
    "sequential",
    "process",
    "prefork",
    "thread",
    "thread-reuse",
    "pool",
];

/// Runs a table with a server for each model. Panics with the rows that fail, each difference once.
pub fn run_table_with(setup: &Setup, root: &Path, rows: Vec<Row>) {
    // A racy file has other validators: wait until no file is racy.
    std::thread::sleep(Duration::from_millis(50));
    let results = std::thread::scope(|scope| {
        let models = available(&MODELS).into_iter();
        let threads: Vec<_> = models
            .map(|model| {
                let rows = &rows;
                scope.spawn(move || run_in_model(model, setup, root, rows))
            })
            .collect();
        let ends = threads.into_iter().map(|thread| thread.join());
        ends.map(|ended| ended.expect("a table runs to its end"))
            .collect::<Vec<_>>()
    });
    let mut failures = Vec::new();
    let mut log = String::new();
    for (failed, messages) in results {
        if !failed.is_empty() && log.is_empty() {
            log = format!(
                "the messages of the server of {}:\n{messages}",
                failed[0].model
            );
        }
        failures.extend(failed);
    }
    assert!(failures.is_empty(), "{}", report(&rows, &failures, &log));
}

/// The rows that fail, and the messages of the server.
fn run_in_model(
    model: &'static str,
    setup: &Setup,
    root: &Path,
    rows: &[Row],
) -> (Vec<Failure>, String) {
    let launch = Launch::of(root).arg("--model").arg(model);
    let server = setup.options.iter().fold(launch, Launch::arg).start();
    let failures = rows.iter().enumerate().filter_map(|(index, row)| {
        let (expected, received, end) = run_row(&server, row, setup).err()?;
        Some(Failure {
            model,
            row: index,
            expected,
            received,
            end,
        })
    });
    let failures = failures.collect();
    (failures, server.diagnostics())
}

/// The request after each row. If the connection is open, it is answered, which also shows that no
/// byte of the row was taken for the start of another request.
const PROBE: &[u8] = b"OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// Err: the expected bytes, the received bytes, and the end.
fn run_row(
    server: &Server,
    row: &Row,
    setup: &Setup<'_>,
) -> Result<(), (Vec<u8>, Vec<u8>, String)> {
    let is_closed = row.script.closes_first || row.responses.iter().any(Response::closes);
    let mut expected: Vec<u8> = row
        .responses
        .iter()
        .flat_map(|response| response.to_bytes(setup))
        .collect();
    let mut received = Vec::new();
    let end = exchange(server, &row.script, &expected, &mut received);
    if !is_closed {
        let probed = setup
            .allows
            .iter()
            .fold(options(), |response, line| response.with_field(line));
        expected.extend(probed.closing().to_bytes(setup));
    }
    let received = normalize(received);
    let end = match end {
        Ok(()) if received == expected => return Ok(()),
        Ok(()) => "and then it closed".to_owned(),
        Err(error) => format!("and then: {error}"),
    };
    Err((expected, received, end))
}

/// Sends the script, receives the responses, sends the probe, receives the rest, and checks that
/// there is no reset.
fn exchange(
    server: &Server,
    script: &Script,
    expected: &[u8],
    received: &mut Vec<u8>,
) -> io::Result<()> {
    let mut peer = Peer::new(TcpStream::connect(server.address())?);
    for piece in &script.pieces {
        peer.send(piece)?;
    }
    if script.closes_first {
        peer.half_close()?;
        return append(peer.receive_to_end(), received);
    }
    // Only the probe makes the server close, so the responses before it are awaited; not after an
    // unexpected one.
    while received.len() < expected.len() && expected.starts_with(&normalize(received.clone())) {
        match peer.receive_some()? {
            bytes if bytes.is_empty() => break,
            bytes => received.extend(bytes),
        }
    }
    if is_last(&script.pieces.concat()) && is_last(received) {
        // Nothing may be sent after the last request: the server may have closed.
        return append(peer.receive_to_end(), received);
    }
    let before = received.len();
    peer.send(PROBE)?;
    append(peer.receive_to_end(), received)?;
    match received.len() == before {
        true => linger(&mut peer),
        false => Ok(()),
    }
}

/// Whether a request or a response is the last of the connection.
fn is_last(bytes: &[u8]) -> bool {
    let text = bytes.to_ascii_lowercase();
    let has = |words: &[u8]| text.windows(words.len()).any(|window| window == words);
    has(b"close") || has(b" http/1.0\r\n")
}

/// Appends what was received to `received`.
fn append(result: Result<Vec<u8>, (Vec<u8>, io::Error)>, received: &mut Vec<u8>) -> io::Result<()> {
    let (bytes, end) = match result {
        Ok(bytes) => (bytes, Ok(())),
        Err((bytes, error)) => (bytes, Err(error)),
    };
    received.extend(bytes);
    end
}

/// Checks that the server has closed only its sending side: a reset would destroy a response that
/// was not read yet (RFC 9112 9.6).
fn linger(peer: &mut Peer) -> io::Result<()> {
    let explain =
        |error: io::Error| io::Error::other(format!("it closed without lingering: {error}"));
    for _ in 0..2 {
        peer.send(b"bytes after the end").map_err(explain)?;
    }
    peer.receive(1).map_err(|(_, error)| explain(error))?;
    Ok(())
}

/// Replaces the values that a test cannot know by known ones of the same length.
fn normalize(mut bytes: Vec<u8>) -> Vec<u8> {
    replace_between(&mut bytes, b"\r\nDate: ", b" GMT\r\n", |value| {
        // Only a valid one: `Sun, 06 Nov 1994 08:49:37`.
        let known = DATE.as_bytes().get(..value.len()).unwrap_or_default();
        let is_date = value.len() == known.len()
            && std::iter::zip(value, known).all(|(a, b)| same_class(*a, *b));
        is_date.then(|| known.to_vec())
    });
    let mut boundaries = Vec::new();
    replace_between(&mut bytes, b"boundary=", b"\r\n", |value| {
        boundaries.push(value.to_vec());
        None
    });
    for boundary in boundaries {
        if boundary.len() == BOUNDARY.len() {
            replace_all(&mut bytes, &boundary, BOUNDARY.as_bytes());
        }
    }
    bytes
}

fn same_class(a: u8, b: u8) -> bool {
    a.is_ascii_digit() == b.is_ascii_digit() && a.is_ascii_alphabetic() == b.is_ascii_alphabetic()
}

/// Calls `replace` for each part of `bytes` between `before` and `after`.
fn replace_between(
    bytes: &mut Vec<u8>,
    before: &[u8],
    after: &[u8],
    mut replace: impl FnMut(&[u8]) -> Option<Vec<u8>>,
) {
    let mut at = 0;
    while let Some(start) = find(bytes, before, at).map(|found| found + before.len()) {
        let Some(end) = find(bytes, after, start) else {
            return;
        };
        if let Some(value) = replace(&bytes[start..end]) {
            bytes.splice(start..end, value);
        }
        at = start;
    }
}

fn replace_all(bytes: &mut Vec<u8>, old: &[u8], new: &[u8]) {
    let mut at = 0;
    while let Some(start) = find(bytes, old, at) {
        bytes.splice(start..start + old.len(), new.iter().copied());
        at = start + new.len();
    }
}

fn find(bytes: &[u8], wanted: &[u8], from: usize) -> Option<usize> {
    let found = bytes.get(from..)?;
    let at = found.windows(wanted.len()).position(|it| it == wanted)?;
    Some(from + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_date_is_replaced() {
        let date = |value: &str| {
            let line = format!("\r\nDate: {value}\r\n");
            normalize(line.into_bytes()) == format!("\r\nDate: {DATE}\r\n").into_bytes()
        };
        assert!(date("Sun, 06 Nov 1994 08:49:37 GMT"));
        assert!(!date("Sun,  6 Nov 1994 08:49:37 GMT"));
        assert!(!date("Sunday, 06-Nov-94 08:49:37 GMT"));
        assert!(!date("Sun, 06 Nov 1994 08:49:37 UTC"));
    }

    #[test]
    fn a_boundary_is_replaced_everywhere() {
        let bytes = b"boundary=oneloop-fedcba9876543210\r\n\r\n--oneloop-fedcba9876543210--\r\n";
        let expected = format!("boundary={BOUNDARY}\r\n\r\n--{BOUNDARY}--\r\n");
        assert_eq!(normalize(bytes.to_vec()), expected.into_bytes());
    }
}
