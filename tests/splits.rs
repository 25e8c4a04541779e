//! The bytes of the responses depend neither on how the requests are split into packets nor on how
//! many bytes the socket takes at a time.
//!
//! Each stream of the corpus is served once in one piece. Then it is served again cut at every
//! byte, into single bytes, and, where it is short, at every two places; to peers that take all, or
//! seven bytes or one at a time and would block in between; and each time within three budgets. The
//! driver follows the rules of a driver: it continues after "blocked" only when the script has an
//! event, and after "yielded" at once.

#[path = "support/memory_transport.rs"]
mod memory_transport;
#[path = "support/records.rs"]
mod records;

use memory_transport::{Input, Peer, Space, pair};
use oneloop::clock::Now;
use oneloop::connection::CloseReason;
use oneloop::handler::{Handler, ListenerInfo};
use oneloop::http::date::DateCache;
use oneloop::limits::Limits;
use oneloop::pump::{PumpContext, PumpOutcome, Session, SharedBuffers, pump};
use oneloop::site::{Site, SiteOptions};
use oneloop::site_handler::SiteHandler;
use oneloop::transport::Transport;
use records::{CLOSE, DATA, HANDSHAKE, Records, open, seal};
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};
use tempfile::TempDir;

/// Long after the time of each file, so that no file is racy: Fri, 01 Jan 2100.
const WALL: Duration = Duration::from_secs(4_102_444_800);
/// When the files were last changed: Sun, 06 Nov 1994 08:49:37 GMT.
const MODIFIED: Duration = Duration::from_secs(784_111_777);
/// Streams up to this length are cut at every two places, too.
const SHORT: usize = 45;

/// What arrives on one connection, and the status codes of the responses.
struct Stream {
    name: &'static str,
    bytes: Vec<u8>,
    statuses: &'static [u16],
}

/// A request to a host, with more field lines.
fn request(line: &str, fields: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
}

fn corpus() -> Vec<Stream> {
    let get = |path: &str| request(&format!("GET {path}"), "");
    let ranged = |path: &str, range: &str| request(&format!("GET {path}"), range);
    let stream = |name, text: String, statuses| Stream {
        name,
        bytes: text.into_bytes(),
        statuses,
    };
    let two = |a: String, b: String| a + &b;
    let old = |line: &str, fields: &str| format!("{line} HTTP/1.0\r\n{fields}\r\n");
    let dated = "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    vec![
        stream("a small file", get("/s"), &[200]),
        stream("an empty file", get("/empty"), &[200]),
        stream("a large file", get("/large"), &[200]),
        stream("a header only", request("HEAD /s", ""), &[200]),
        stream(
            "the header of a large file",
            request("HEAD /large", ""),
            &[200],
        ),
        stream("an index", get("/"), &[200]),
        stream("a redirect", get("/dir?q"), &[301]),
        stream("a listing", get("/dir/?format=json"), &[200]),
        stream(
            "a listing for 1.0",
            old("GET /dir/?format=json", ""),
            &[200],
        ),
        stream("the header of a listing", request("HEAD /dir/", ""), &[200]),
        stream("nothing", get("/missing"), &[404]),
        stream("a range", ranged("/s", "Range: bytes=1-3\r\n"), &[206]),
        stream(
            "a range of a large file",
            ranged("/large", "Range: bytes=-30\r\n"),
            &[206],
        ),
        stream(
            "several ranges",
            ranged("/s", "Range: bytes=0-0,3-3\r\n"),
            &[206],
        ),
        stream(
            "several ranges of a large file",
            ranged("/large", "Range: bytes=0-9,100-119,-5\r\n"),
            &[206],
        ),
        stream(
            "a range beyond",
            ranged("/s", "Range: bytes=99-\r\n"),
            &[416],
        ),
        stream("not modified", ranged("/s", dated), &[304]),
        stream(
            "a failed condition",
            ranged("/s", "If-Match: \"no\"\r\n"),
            &[412],
        ),
        stream("what is allowed", request("OPTIONS *", ""), &[204]),
        stream("an unknown method", request("BREW /s", ""), &[501]),
        stream(
            "an unknown expectation",
            request("GET /s", "Expect: tea\r\n"),
            &[417],
        ),
        stream(
            "a body that is discarded",
            request("POST /s", "Content-Length: 11\r\n") + "hello world",
            &[405],
        ),
        stream(
            "a body that looks like a request",
            request("POST /s", "Content-Length: 9\r\n") + &get("/s"),
            &[405],
        ),
        stream(
            "a chunked body",
            request("PUT /s", "Transfer-Encoding: chunked\r\n") + "3\r\nabc\r\n0\r\n\r\n",
            &[405],
        ),
        stream("a bare LF", "GET /s HTTP/1.1\nHost: a\n\n".into(), &[400]),
        stream("no host", "GET /s HTTP/1.1\r\n\r\n".into(), &[400]),
        stream(
            "conflicting lengths",
            request("GET /s", "Content-Length: 1\r\nContent-Length: 2\r\n") + "x",
            &[400],
        ),
        stream("another version", "GET /s HTTP/3.0\r\n\r\n".into(), &[505]),
        stream("a long line", format!("GET /{}", "x".repeat(300)), &[414]),
        stream(
            "a long head",
            request("GET /s", &"A: bcdefghijklmnopqrstuvw\r\n".repeat(25)),
            &[431],
        ),
        stream("one empty line first", format!("\r\n{}", get("/s")), &[200]),
        stream(
            "two empty lines first",
            format!("\r\n\r\n{}", get("/s")),
            &[200],
        ),
        stream("nothing but empty lines", "\r\n".repeat(110), &[400]),
        stream("a path that is none", get("/%zz") + &get("/s"), &[400]),
        stream(
            "TLS",
            "\u{16}\u{3}\u{1}\0\u{5}\u{1}\0\0\u{1}\0".into(),
            &[400],
        ),
        stream("SMTP", "EHLO x\r\n".into(), &[400]),
        stream("redis", "*1\r\n$4\r\nPING\r\n".into(), &[400]),
        stream("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), &[400]),
        stream("HTTP/0.9", "GET /s\r\n".into(), &[400]),
        stream(
            "HEAD with two blanks",
            "HEAD  /s HTTP/1.1\r\n".into(),
            &[400],
        ),
        stream("HEAD and a line end", "HEAD \r\n\r\n".into(), &[400]),
        stream(
            "another version, and more",
            request("GET /s HTTP/2.0 x", ""),
            &[400],
        ),
        stream(
            "several mistakes",
            "GET s HTTP/2.0\r\nA : b\r\nC: \0\r\nD: e\n\r\n".into(),
            &[400],
        ),
        stream(
            "a mistake in what is pipelined",
            get("/s") + "HEAD / HTTP/1.1\r\nA\r\nB: c\r\n\r\n",
            &[200, 400],
        ),
        stream(
            "a mistake in a long line",
            format!("\0{}", "x".repeat(300)),
            &[400],
        ),
        stream(
            "a mistake behind a long line",
            format!("GET /{}\0\r\n\r\n", "x".repeat(300)),
            &[414],
        ),
        stream("a long method", "M".repeat(300), &[501]),
        stream(
            "a mistake in a long head",
            "GET / HTTP/1.1\r\nA\r\n".to_owned() + &"A: bcdefghijklmnopqrstuvw\r\n".repeat(25),
            &[400],
        ),
        stream(
            "a mistake behind a long head",
            request("GET /s", &"A: bcdefghijklmnopqrstuvw\r\n".repeat(25)) + "A\r\n\r\n",
            &[431],
        ),
        stream("1.0", old("GET /s", ""), &[200]),
        stream(
            "1.0 that stays",
            two(
                old("GET /s", "Connection: keep-alive\r\n"),
                old("GET /s", ""),
            ),
            &[200, 200],
        ),
        stream("three at once", get("/s").repeat(3), &[200, 200, 200]),
        stream(
            "a header, then a file",
            two(request("HEAD /s", ""), get("/s")),
            &[200, 200],
        ),
        stream(
            "a large file between small ones",
            [get("/s"), get("/large"), get("/s")].concat(),
            &[200, 200, 200],
        ),
        stream(
            "parts, then a stream, then nothing",
            [
                ranged("/large", "Range: bytes=0-9,100-119\r\n"),
                get("/dir/?format=json"),
                get("/x"),
            ]
            .concat(),
            &[206, 200, 404],
        ),
        stream(
            "an empty line between",
            [get("/s"), "\r\n".into(), get("/s")].concat(),
            &[200, 200],
        ),
        stream(
            "the last response has Connection: close",
            two(request("GET /s", "Connection: close\r\n"), get("/s")),
            &[200],
        ),
        stream(
            "one good, one bad, one too late",
            [get("/s"), "GET\r\n\r\n".into(), get("/s")].concat(),
            &[200, 400],
        ),
        stream("the end within a head", "GET /s HTT".into(), &[]),
        stream(
            "the end within a second head",
            two(get("/s"), "GET /s".into()),
            &[200],
        ),
        stream("the end at once", String::new(), &[]),
    ]
}

/// A directory with one file of each kind.
fn root() -> TempDir {
    let root = TempDir::new().unwrap();
    let large: Vec<u8> = (0..300).map(|n| b'a' + (n % 26) as u8).collect();
    let put = |name: &str, bytes: &[u8]| {
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        age(&path);
    };
    put("s", b"small");
    put("empty", b"");
    put("large", &large);
    put("index.html", b"<p>");
    put("dir/one", b"1");
    put("dir/two", b"22");
    age(&root.path().join("dir"));
    root
}

fn age(path: &Path) {
    let file = File::open(path).unwrap();
    file.set_modified(UNIX_EPOCH + MODIFIED).unwrap();
}

/// Small limits, so that a file of 300 bytes is not sent with its head, and heads can be too long.
fn limits(change: impl FnOnce(&mut Limits)) -> Arc<Limits> {
    let mut limits = Limits {
        max_inline_body_bytes: 64,
        max_head_bytes: 600,
        max_request_line_bytes: 200,
        ..Limits::default()
    };
    change(&mut limits);
    Arc::new(limits)
}

/// A driver: the handler, the buffers and the time of its iterations.
struct Server {
    handler: SiteHandler,
    limits: Arc<Limits>,
    buffers: SharedBuffers,
    date: DateCache,
    now: Now,
}

impl Server {
    fn new(root: &Path, limits: Arc<Limits>) -> Self {
        let options = SiteOptions {
            index: vec![b"index.html".to_vec()],
            listing: true,
            ..SiteOptions::default()
        };
        let site = Site::new(root, options, limits.clone()).unwrap();
        Self {
            handler: SiteHandler::new(site, None, None),
            buffers: SharedBuffers::new(&limits),
            limits,
            date: DateCache::default(),
            now: Now {
                wall: UNIX_EPOCH + WALL,
                ..Now::read()
            },
        }
    }

    /// Serves one connection to its end, and returns what the peer got and how it ended.
    fn serve(&mut self, pieces: &[&[u8]], script_sends: &[Space]) -> (Vec<u8>, CloseReason) {
        let (memory_transport, peer) = pair();
        peer.script_sends(script_sends.iter().copied());
        for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
            peer.script_inputs([Input::Bytes(piece.to_vec()), Input::Nothing]);
        }
        peer.closes();
        let ending = self.serve_on(memory_transport, &peer);
        (without_boundaries(&peer.take_received()), ending)
    }

    /// The same through records, whose bytes come one by one if `is_cut`.
    fn serve_records(
        &mut self,
        stream: &[u8],
        script_sends: &[Space],
        is_cut: bool,
    ) -> (Vec<u8>, CloseReason) {
        let (memory_transport, peer) = pair();
        peer.script_sends(script_sends.iter().copied());
        let mut bytes = seal(HANDSHAKE, b"hello").repeat(2);
        for chunk in stream.chunks(7) {
            bytes.extend(seal(DATA, chunk));
        }
        bytes.extend(seal(CLOSE, b""));
        for piece in bytes.chunks(if is_cut { 1 } else { bytes.len() }) {
            peer.script_inputs([Input::Bytes(piece.to_vec()), Input::Nothing]);
        }
        let ending = self.serve_on(Records::new(memory_transport, 2), &peer);
        let opened = open(&peer.take_received());
        assert_eq!((opened.flights, opened.is_closed), (2, true));
        (without_boundaries(&opened.plaintext), ending)
    }

    /// Serves this end of a connection until it is closed.
    fn serve_on<T: Transport>(&mut self, transport: T, peer: &Peer) -> CloseReason {
        let state = self.handler.on_connect(ListenerInfo::public(0), None);
        let limits = self.limits.clone();
        let mut session = Session::new(0, transport, state, limits, self.now.instant);
        let ending = loop {
            let mut context = PumpContext {
                now: self.now,
                deadline_now: self.now.instant,
                date: self.date.at(self.now.wall),
                draining: false,
                limits: &self.limits,
                buffers: &mut self.buffers,
                probe: &mut (),
            };
            match pump(&mut session, &mut self.handler, &mut context) {
                PumpOutcome::Ended(ending) => break ending,
                PumpOutcome::Yielded => {}
                PumpOutcome::Waiting => unreachable!("a site without passwords is always ready"),
                PumpOutcome::Blocked => send_event(peer),
            }
        };
        // A peer that has received everything also takes the end of the transport.
        peer.script_sends([Space::All]);
        session.close(ending, &mut self.handler, &mut (), self.now);
        ending
    }
}

/// The event for the operation that was refused: a driver may wait only for that.
fn send_event(peer: &Peer) {
    assert!(
        peer.is_blocked(),
        "waits for an event, but no operation was refused"
    );
    assert!(
        peer.unblock(),
        "waits for an event that never comes; so far it sent {:?}",
        String::from_utf8_lossy(&peer.take_received())
    );
}

/// The boundary of several ranges is random: it is replaced by a fixed one.
fn without_boundaries(bytes: &[u8]) -> Vec<u8> {
    let text = bytes.to_vec();
    let mark = b"oneloop-";
    let mut fixed = Vec::with_capacity(text.len());
    let mut rest = text.as_slice();
    while let Some(at) = rest.windows(mark.len()).position(|window| window == mark) {
        let (before, boundary) = rest.split_at(at);
        fixed.extend_from_slice(before);
        fixed.extend_from_slice(b"oneloop-0123456789abcdef");
        rest = &boundary[(mark.len() + 16).min(boundary.len())..];
    }
    fixed.extend_from_slice(rest);
    fixed
}

/// The status codes of responses, read as a client reads them: each body has the length that
/// its header says, and nothing stands between or behind them.
fn statuses(stream: &Stream, mut bytes: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(&stream.bytes);
    let mut heads_only = text
        .split_inclusive("\r\n\r\n")
        .map(|request| request.starts_with("HEAD"));
    let mut statuses = Vec::new();
    while !bytes.is_empty() {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let (head, rest) = bytes.split_at(end.expect("a whole head") + 4);
        let head = str::from_utf8(head).unwrap();
        let field = |name: &str| {
            let lines = head.lines().filter_map(|line| line.split_once(": "));
            lines
                .filter(|(field, _)| *field == name)
                .map(|(_, value)| value)
                .next()
        };
        let length = match (field("Content-Length"), field("Transfer-Encoding")) {
            _ if heads_only.next() == Some(true) || head.starts_with("HTTP/1.1 304") => 0,
            (Some(length), None) => length.parse().unwrap(),
            (None, Some("chunked")) => chunked_length(rest),
            (None, None) if field("Connection") == Some("close") => rest.len(),
            (None, None) => 0,
            other => panic!("{other:?}"),
        };
        statuses.push(head[9..12].parse().unwrap());
        bytes = &rest[length..];
    }
    statuses
}

fn chunked_length(body: &[u8]) -> usize {
    let mut at = 0;
    loop {
        let line = body[at..]
            .windows(2)
            .position(|two| two == b"\r\n")
            .unwrap();
        let size = str::from_utf8(&body[at..at + line]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        at += line + 2 + size;
        assert_eq!(&body[at..at + 2], b"\r\n");
        at += 2;
        if size == 0 {
            return at;
        }
    }
}

/// How many bytes the sockets take: all, or fewer, and some block after each send.
const TAKES: [&[Space]; 4] = [
    &[Space::All],
    &[Space::Some(7), Space::Nothing],
    &[Space::Some(1)],
    &[Space::Some(1), Space::Nothing],
];

/// The budgets: the default ones, small ones that divide every response, and the smallest.
fn budgets() -> [Arc<Limits>; 3] {
    let within = |bytes, requests, max_coalesced_bytes| {
        limits(|limits| {
            limits.read_bytes_per_iteration = bytes;
            limits.written_bytes_per_iteration = bytes;
            limits.requests_per_iteration = requests;
            limits.max_coalesced_bytes = max_coalesced_bytes;
        })
    };
    [limits(|_| {}), within(50, 2, 300), within(1, 1, 0)]
}

/// Serves every stream in all the ways that `cuts` names, and compares.
fn compare_responses(all_takes: &[&[Space]], cuts: impl Fn(&[u8], &mut dyn FnMut(&[&[u8]]))) {
    let root = root();
    let mut usual = Server::new(root.path(), limits(|_| {}));
    let mut servers = budgets().map(|limits| Server::new(root.path(), limits));
    for stream in corpus() {
        let whole = usual.serve(&[&stream.bytes], &[Space::All]);
        for (index, server) in servers.iter_mut().enumerate() {
            for script_sends in all_takes {
                cuts(&stream.bytes, &mut |pieces| {
                    let split = server.serve(pieces, script_sends);
                    if split != whole {
                        let lengths: Vec<_> = pieces.iter().map(|piece| piece.len()).collect();
                        panic!(
                            "{}: cut into {lengths:?}, taken {script_sends:?}, budget {index}:\n\
                             {:?}\n{}\nbut whole {:?}\n{}",
                            stream.name,
                            split.1,
                            split.0.escape_ascii(),
                            whole.1,
                            whole.0.escape_ascii()
                        );
                    }
                });
            }
        }
    }
}

#[test]
fn the_corpus_gets_the_expected_statuses() {
    let root = root();
    let mut server = Server::new(root.path(), limits(|_| {}));
    for stream in corpus() {
        let (bytes, ending) = server.serve(&[&stream.bytes], &[Space::All]);
        let name = stream.name;
        assert_eq!(statuses(&stream, &bytes), stream.statuses, "{name}");
        let has_close = memchr::memmem::find(&bytes, b"Connection: close\r\n").is_some();
        let expected = match has_close {
            true => CloseReason::Completed,
            false => CloseReason::PeerClosed,
        };
        assert_eq!(ending, expected, "{name}");
    }
}

#[test]
fn the_responses_are_the_same_wherever_the_stream_is_split() {
    compare_responses(&TAKES, |bytes, serve| {
        for at in 0..=bytes.len() {
            let (start, rest) = bytes.split_at(at);
            serve(&[start, rest]);
        }
    });
}

#[test]
fn the_responses_are_the_same_when_every_byte_arrives_alone() {
    compare_responses(&TAKES, |bytes, serve| {
        serve(&bytes.chunks(1).collect::<Vec<_>>())
    });
}

#[test]
fn the_responses_are_the_same_when_a_short_stream_is_split_twice() {
    compare_responses(&[&[Space::Some(7), Space::Nothing]], |bytes, serve| {
        if bytes.len() > SHORT {
            return;
        }
        for second in 0..=bytes.len() {
            for first in 0..=second {
                serve(&[&bytes[..first], &bytes[first..second], &bytes[second..]]);
            }
        }
    });
}

#[test]
fn the_responses_are_the_same_through_a_transport_that_encodes_them() {
    let root = root();
    let mut usual = Server::new(root.path(), limits(|_| {}));
    let mut servers = budgets().map(|limits| Server::new(root.path(), limits));
    for stream in corpus() {
        let whole = usual.serve(&[&stream.bytes], &[Space::All]);
        for (index, server) in servers.iter_mut().enumerate() {
            for script_sends in TAKES {
                for is_cut in [false, true] {
                    let encoded = server.serve_records(&stream.bytes, script_sends, is_cut);
                    let name = stream.name;
                    assert_eq!(
                        encoded, whole,
                        "{name}: {script_sends:?} {is_cut}, budget {index}"
                    );
                }
            }
        }
    }
}
