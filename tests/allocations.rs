//! Allocations: none for a repeated request, and nothing but its slot for an idle connection.
//!
//! Requests go through everything above the socket: scheduler, pump, connection, site, log.

// The trait of an allocator is unsafe to implement. Every method passes its arguments to the
// system's allocator unchanged.
#![allow(unsafe_code)]
#![allow(clippy::print_stdout, reason = "the test prints what it measured")]

use oneloop::access_log::{AccessLog, LogFormat, Sink};
use oneloop::clock::Now;
use oneloop::event_loop::scheduler::{Scheduler, slot_size};
use oneloop::handler::{Handler, ListenerInfo};
use oneloop::limits::Limits;
use oneloop::probe::{EventFlags, Origin, Probe};
use oneloop::site::{Site, SiteOptions};
use oneloop::site_handler::{PeerState, SiteHandler};
use oneloop::transport::Transport;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs::{self, File};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};
use tempfile::TempDir;

struct Counting;

thread_local! {
    /// How often this thread allocated, and the bytes that it holds. Each test has its own thread,
    /// and so has the log.
    static CALLS: Cell<usize> = const { Cell::new(0) };
    static HELD: Cell<isize> = const { Cell::new(0) };
}

fn count(calls: usize, held: isize) {
    CALLS.set(CALLS.get() + calls);
    HELD.set(HELD.get() + held);
}

// SAFETY: the system's allocator keeps the contract; counting touches no memory of its own.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size() as isize);
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size() as isize);
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(0, -(layout.size() as isize));
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(1, size as isize - layout.size() as isize);
        // SAFETY: the caller keeps the contract.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const REQUEST: &[u8] = b"GET /small.html HTTP/1.1\r\nHost: example.com\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: text/html,*/*;q=0.8\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\nReferer: http://example.com/\r\n\r\n";

/// A client that counts the bytes sent to it.
#[derive(Debug)]
struct Client {
    /// The bytes that arrive next.
    incoming: Rc<Cell<&'static [u8]>>,
    sent: Rc<Cell<usize>>,
}

impl Transport for Client {
    fn receive(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let incoming = self.incoming.take();
        if incoming.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        buf[..incoming.len()].copy_from_slice(incoming);
        Ok(incoming.len())
    }

    fn is_known_empty(&self) -> bool {
        self.incoming.get().is_empty()
    }

    fn send(&mut self, bytes: &[u8], _: bool) -> io::Result<usize> {
        self.sent.set(self.sent.get() + bytes.len());
        Ok(bytes.len())
    }

    fn send_file(&mut self, _: &Arc<File>, _: u64, length: u64, _: &mut [u8]) -> io::Result<usize> {
        Ok(length as usize)
    }

    fn shutdown(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn reset_on_close(&mut self) {}
}

/// A loop that serves one small page.
struct Loop<H: Handler = SiteHandler, P: Probe = ()> {
    scheduler: Scheduler<Client, H::State, P>,
    handler: H,
    now: Now,
    incoming: Rc<Cell<&'static [u8]>>,
    sent: Rc<Cell<usize>>,
    _root: TempDir,
}

impl Loop {
    fn new(log: Option<AccessLog>) -> Self {
        Self::around(log, |site| site, ())
    }
}

impl<H: Handler, P: Probe> Loop<H, P> {
    /// With the handler that `wrap` makes of that of the site.
    fn around(log: Option<AccessLog>, wrap: impl FnOnce(SiteHandler) -> H, probe: P) -> Self {
        let root = TempDir::new().unwrap();
        fs::write(root.path().join("small.html"), [b'x'; 1000]).unwrap();
        let limits = Arc::new(Limits::default());
        let options = SiteOptions::default();
        let site = Site::new(root.path(), options, limits.clone()).unwrap();
        Self {
            scheduler: Scheduler::new(limits, probe),
            handler: wrap(SiteHandler::new(site, log, None)),
            now: Now {
                // Long after the file's time: it is not racy, and may be cached.
                wall: UNIX_EPOCH + Duration::from_secs(4_102_444_800),
                ..Now::read()
            },
            incoming: Rc::default(),
            sent: Rc::default(),
            _root: root,
        }
    }

    fn connect(&mut self) {
        let client = Client {
            incoming: self.incoming.clone(),
            sent: self.sent.clone(),
        };
        let peer = std::net::IpAddr::from([192, 0, 2, 1]);
        let listener = ListenerInfo::public(0);
        let state = self.handler.on_connect(listener, Some(peer));
        let origin = Origin {
            listener,
            peer: Some((peer, 4000).into()),
        };
        self.scheduler.add(&origin, client, state, self.now);
        self.scheduler.register(|_, _| Ok(()));
    }

    /// Receives these bytes on the connection `key`, in an iteration of their own.
    fn receive(&mut self, key: usize, bytes: &'static [u8]) {
        self.incoming.set(bytes);
        // All iterations are within the time for which a file is cached.
        self.now.instant += Duration::from_micros(100);
        self.now.wall += Duration::from_micros(100);
        self.scheduler.mark_ready(key, EventFlags::default);
        self.iterate();
    }

    /// Receives a request and answers it.
    fn request(&mut self, key: usize) {
        let before = self.sent.get();
        self.receive(key, REQUEST);
        assert!(self.sent.get() > before + 1000, "a response");
    }

    fn iterate(&mut self) {
        self.scheduler.run(&mut self.handler, self.now);
        self.scheduler.reap(&mut self.handler, self.now, |_| {});
        self.handler.end_iteration(self.now);
    }
}

/// Allocations of 3,000 requests, after as many for warm-up.
fn allocations<H: Handler, P: Probe>(mut server: Loop<H, P>) -> usize {
    for _ in 0..10 {
        server.connect();
    }
    server.iterate();
    let requests = || (0..3000).map(|n| n % 10);
    requests().for_each(|key| server.request(key));
    let before = CALLS.get();
    requests().for_each(|key| server.request(key));
    CALLS.get() - before
}

#[test]
fn the_counter_counts() {
    let (calls, held) = (CALLS.get(), HELD.get());
    let bytes = std::hint::black_box(vec![1_u8; 100]);
    assert_eq!((CALLS.get() - calls, HELD.get() - held), (1, 100));
    drop(bytes);
    assert_eq!((CALLS.get() - calls, HELD.get() - held), (1, 0));
}

#[test]
fn a_request_for_a_small_file_allocates_nothing() {
    assert_eq!(allocations(Loop::new(None)), 0);
}

#[cfg(feature = "admin")]
#[test]
fn a_request_that_the_metrics_count_allocates_nothing() {
    use oneloop::admin::{AdminHandler, Metrics};
    let metrics = Metrics::new(|| 0);
    let wrap = |site| AdminHandler::new(site, metrics.clone(), ());
    let server = Loop::around(None, wrap, metrics.clone());
    assert_eq!(allocations(server), 0);
    let counted = "oneloop_requests_total{status=\"200\"} 6000\n";
    assert!(metrics.render().contains(counted));
}

#[test]
fn a_logged_request_allocates_nothing() {
    for format in [LogFormat::Common, LogFormat::Combined, LogFormat::Json] {
        let sink = Sink::Writer(Box::new(io::sink()));
        let log = AccessLog::new(sink, format, &Limits::default()).unwrap();
        assert_eq!(allocations(Loop::new(Some(log))), 0, "{format:?}");
    }
}

#[test]
fn an_idle_connection_holds_nothing_but_its_slot() {
    const MANY: usize = 4096;
    /// A key in the run queue, which has space for every connection.
    const QUEUE_ENTRY: usize = size_of::<usize>();
    /// A deadline with its key, and its place in the heap.
    const TIMER_ENTRY: usize = 28;

    let mut server = Loop::new(None);
    // Now the file is cached, and the buffers have their final size.
    server.connect();
    (0..100).for_each(|_| server.request(0));

    let before = HELD.get();
    (1..MANY).for_each(|_| server.connect());
    server.iterate();
    // A power of two, so that no table has spare capacity.
    let new = (HELD.get() - before) as usize;
    let slot = slot_size::<Client, PeerState>();
    let most = MANY * (slot + TIMER_ENTRY + QUEUE_ENTRY);
    println!(
        "{} bytes for each connection, {slot} of them its slot",
        new / MANY
    );
    assert!(new <= most);

    let before = HELD.get();
    (0..MANY).for_each(|key| server.request(key));
    assert_eq!(HELD.get() - before, 0, "idle again");
}

#[test]
fn half_a_head_holds_only_the_bytes_that_have_arrived() {
    let mut server = Loop::new(None);
    server.connect();
    (0..100).for_each(|_| server.request(0));
    let before = HELD.get();
    let (half, rest) = REQUEST.split_at(100);
    server.receive(0, half);
    assert_eq!(HELD.get() - before, 100);
    server.receive(0, rest);
    assert_eq!(HELD.get() - before, 0);
}
