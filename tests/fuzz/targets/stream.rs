//! A whole connection. Input: a byte that selects the budget and how much the peer receives at a
//! time, then the stream; a byte 0xFF is not sent, it splits the stream.
//!
//! The stream is served in pieces and as a whole, and each of its requests alone: the responses
//! must be the same. The reference parser determines how many responses there are and which is the
//! last; also while the server waits, which it must not do while it has a whole request or bytes
//! that cannot be one.
//!
//! The response to a malformed chunked body depends on how much of it has been received, so it is
//! not compared.

#[path = "../../support/memory_transport.rs"]
mod memory_transport;

use super::opinion::{self, Bounds, End};
use super::{responses, site};
use memory_transport::{Input, MemoryTransport, Space, pair};
use oneloop::clock::Now;
use oneloop::connection::{CloseReason, Connection};
use oneloop::handler::{Handler, ListenerInfo};
use oneloop::http::date::DateCache;
use oneloop::limits::Limits;
use oneloop::pump::{PumpContext, PumpOutcome, Session, SharedBuffers, pump};
use oneloop::site::{Site, SiteOptions};
use oneloop::site_handler::SiteHandler;
use oneloop::transport::Transport;
use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};
use tempfile::TempDir;

/// Long after the time of the files, so that none is racy: Fri, 01 Jan 2100.
const WALL: Duration = Duration::from_secs(4_102_444_800);
const BOUNDS: Bounds = Bounds {
    head: 600,
    line: 200,
    empty_lines: 3,
};
const MOST_FIELDS: usize = 12;
const CUT: u8 = 0xff;
/// With fewer pieces than this, the responses are compared whenever the server waits.
const MANY: usize = 40;

const TAKES: [&[Space]; 4] = [
    &[Space::All],
    &[Space::Some(7), Space::Nothing],
    &[Space::Some(1), Space::All, Space::Nothing],
    &[Space::Some(100)],
];

/// Bytes, requests and coalesced bytes of an iteration.
const BUDGETS: [(usize, usize, usize); 3] = [(65_536, 32, 32_768), (50, 2, 300), (1, 1, 0)];

thread_local! {
    /// Taken while in use: after a panic they are built again.
    static SERVERS: RefCell<Option<Servers>> = const { RefCell::new(None) };
}

pub fn check(data: &[u8]) {
    let [plan, data @ ..] = data else {
        return;
    };
    let pieces: Vec<_> = data.split(|&byte| byte == CUT).collect();
    let whole = pieces.concat();
    let script_sends = TAKES[usize::from(*plan) % TAKES.len()];
    let budget = usize::from(*plan) / TAKES.len() % BUDGETS.len();
    let mut servers = SERVERS.take().unwrap_or_else(Servers::new);
    let usual = servers.usual().serve(&[&whole], &[Space::All]);
    let split = servers.within[budget].serve(&pieces, script_sends);
    let exchanges = match_up(&whole, &usual.0);
    let (compared, all) = match exchanges.split_last() {
        Some((last, before)) if has_malformed_body(last) => (before, false),
        _ => (exchanges.as_slice(), true),
    };
    let length = compared.iter().map(|(_, sent)| sent.len()).sum();
    let sent = if all {
        &split.0[..]
    } else {
        &split.0[..length]
    };
    assert_eq!(
        text(sent),
        text(&usual.0[..length]),
        "the bytes that are sent"
    );
    assert_eq!(split.1, usual.1, "how the connection ends");

    for (request, sent) in compared {
        let alone = servers.usual().serve(&[&request.bytes], &[Space::All]);
        assert_eq!(text(sent), text(&alone.0), "as a single request");
    }
    let is_over = exchanges.last().is_some_and(|(request, sent)| {
        let (response, _) = responses::read(sent, request.is_bodiless).expect("read before");
        response.closes()
    });
    let ending = if is_over {
        CloseReason::Completed
    } else {
        CloseReason::PeerClosed
    };
    assert_eq!(usual.1, ending);
    SERVERS.set(Some(servers));
}

/// The response to HEAD does not tell why it is 400.
fn has_malformed_body((request, sent): &(ExpectedRequest, &[u8])) -> bool {
    let has = |bytes: &[u8], part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    match request.is_bodiless {
        true => {
            let is_chunked = has(&request.bytes.to_ascii_lowercase(), b"chunked");
            is_chunked && sent.starts_with(b"HTTP/1.1 400 ")
        }
        false => has(sent, b"the body is not made of chunks"),
    }
}

/// Each request of a stream with the bytes of its response.
fn match_up<'b>(stream: &[u8], mut sent: &'b [u8]) -> Vec<(ExpectedRequest, &'b [u8])> {
    let mut exchanges = Vec::new();
    for request in requests(stream) {
        let (response, rest) =
            responses::read(sent, request.is_bodiless).expect("a whole response to each request");
        let is_refusal = [414, 431, 505].contains(&response.status);
        match request.refused {
            [] => assert!(!is_refusal, "{} for what is a request", response.status),
            statuses => assert!(statuses.contains(&response.status), "{}", response.status),
        }
        // After an invalid path, too.
        let is_last = request.is_last || response.until_close || response.status == 400;
        assert_eq!(response.closes(), is_last, "says whether it is the last");
        exchanges.push((request, &sent[..sent.len() - rest.len()]));
        sent = rest;
        if is_last {
            break;
        }
    }
    assert_eq!(text(sent), "", "behind the last response");
    exchanges
}

struct ExpectedRequest {
    bytes: Vec<u8>,
    is_bodiless: bool,
    is_last: bool,
    /// The statuses with which it may be refused.
    refused: &'static [u16],
}

/// The requests of a stream that are answered.
fn requests(mut stream: &[u8]) -> Vec<ExpectedRequest> {
    let mut requests = Vec::new();
    loop {
        let (skipped, length, refused): (_, _, &[u16]) = match opinion::end(stream, &BOUNDS) {
            End::Partial => return requests,
            End::Malformed => (0, stream.len(), &[400, 505]),
            End::LineTooLong => (0, stream.len(), &[414, 501]),
            End::TooLong => (0, stream.len(), &[431]),
            End::Whole(skipped, length) => (skipped, length, &[]),
        };
        let (bytes, rest) = stream.split_at(skipped + length);
        let mut head = bytes;
        for _ in 0..BOUNDS.empty_lines {
            head = head.strip_prefix(b"\r\n").unwrap_or(head);
        }
        let read = opinion::read(head, MOST_FIELDS).filter(|_| refused.is_empty());
        let is_last = read.as_ref().is_none_or(|read| !read.persistent);
        requests.push(ExpectedRequest {
            bytes: bytes.to_vec(),
            is_bodiless: opinion::is_bodiless(head),
            is_last,
            refused: match (&read, refused) {
                (None, []) => &[400, 431, 501, 505],
                (_, refused) => refused,
            },
        });
        if is_last {
            return requests;
        }
        stream = rest;
    }
}

/// Bytes as text, with a fixed multipart boundary.
fn text(bytes: &[u8]) -> String {
    let text = bytes.escape_ascii().to_string();
    let mut pieces = text.split("oneloop-");
    let mut fixed = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        fixed.push_str("BOUNDARY");
        fixed.push_str(piece.get(16..).unwrap_or_default());
    }
    fixed
}

/// A server for each budget.
struct Servers {
    within: [Server; BUDGETS.len()],
    _root: TempDir,
}

impl Servers {
    fn new() -> Self {
        let root = site::make();
        Self {
            within: BUDGETS.map(|budget| Server::new(root.path(), budget)),
            _root: root,
        }
    }

    fn usual(&mut self) -> &mut Server {
        &mut self.within[0]
    }
}

/// The site with the buffers of a driver.
struct Server {
    handler: SiteHandler,
    limits: Arc<Limits>,
    buffers: SharedBuffers,
    date: DateCache,
    now: Now,
}

impl Server {
    fn new(root: &Path, (bytes, requests, max_coalesced_bytes): (usize, usize, usize)) -> Self {
        let limits = Arc::new(Limits {
            max_head_bytes: BOUNDS.head,
            max_request_line_bytes: BOUNDS.line,
            max_empty_lines: BOUNDS.empty_lines as u16,
            max_fields: MOST_FIELDS,
            // A file of 300 bytes is large.
            max_inline_body_bytes: 64,
            read_bytes_per_iteration: bytes,
            written_bytes_per_iteration: bytes,
            requests_per_iteration: requests,
            max_coalesced_bytes,
            // Some slices of a listing only prepare.
            listing_slice_entries: 1,
            ..Limits::default()
        });
        let options = SiteOptions {
            index: vec![b"index.html".to_vec()],
            listing: true,
            ..SiteOptions::default()
        };
        let site = Site::new(root, options, limits.clone()).expect("the root is there");
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

    /// Serves a connection to its end. Returns what the client received and how it ended.
    fn serve(&mut self, pieces: &[&[u8]], script_sends: &[Space]) -> (Vec<u8>, CloseReason) {
        let (memory_transport, peer) = pair();
        let watch = Rc::new(Watch::default());
        peer.script_sends(script_sends.iter().copied());
        for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
            peer.script_inputs([Input::Bytes(piece.to_vec()), Input::Nothing]);
        }
        peer.closes();
        let mut session = Session {
            id: 0,
            connection: Connection::new(self.limits.clone(), self.now.instant),
            transport: Watched(memory_transport, watch.clone()),
            handler_state: self.handler.on_connect(ListenerInfo::public(0), None),
        };
        let mut sent = Vec::new();
        loop {
            let mut context = PumpContext {
                now: self.now,
                deadline_now: self.now.instant,
                date: self.date.at(self.now.wall),
                draining: false,
                limits: &self.limits,
                buffers: &mut self.buffers,
                probe: &mut (),
            };
            let pause = pump(&mut session, &mut self.handler, &mut context);
            sent.extend_from_slice(&peer.take_received());
            match pause {
                PumpOutcome::Ended(ending) => return (sent, ending),
                PumpOutcome::Yielded => continue,
                PumpOutcome::Waiting => unreachable!("a site without passwords is always ready"),
                PumpOutcome::Blocked => assert!(peer.is_blocked(), "waits without having tried"),
            }
            if watch.waits_for_bytes.get() && pieces.len() < MANY {
                match_up(&pieces.concat()[..watch.received.get()], &sent);
            }
            assert!(peer.unblock(), "waits for an event that never comes");
        }
    }
}

/// A transport that records what the server waits for.
struct Watched(MemoryTransport, Rc<Watch>);

#[derive(Default)]
struct Watch {
    received: Cell<usize>,
    waits_for_bytes: Cell<bool>,
}

impl Transport for Watched {
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let received = self.0.receive(buffer);
        let length = *received.as_ref().unwrap_or(&0);
        self.1.received.update(|received| received + length);
        self.1.waits_for_bytes.set(received.is_err());
        received
    }

    fn is_known_empty(&self) -> bool {
        self.0.is_known_empty()
    }

    fn send(&mut self, bytes: &[u8], more: bool) -> io::Result<usize> {
        self.1.waits_for_bytes.set(false);
        self.0.send(bytes, more)
    }

    fn send_file(
        &mut self,
        file: &Arc<File>,
        offset: u64,
        length: u64,
        copy: &mut [u8],
    ) -> io::Result<usize> {
        self.1.waits_for_bytes.set(false);
        self.0.send_file(file, offset, length, copy)
    }

    fn shutdown(&mut self) -> io::Result<()> {
        self.0.shutdown()
    }

    fn reset_on_close(&mut self) {
        self.0.reset_on_close();
    }
}
