//! What is allocated: nothing for a request that is like the one before, and nothing that an
//! idle connection would hold beside its slot.
//!
//! Requests go through all there is above the socket: scheduler, pump, connection, site, log.

// To count allocations is to be an allocator, and that trait is unsafe to implement. Every
// method hands its arguments to the system's allocator as they are.
#![allow(unsafe_code)]
#![allow(clippy::print_stdout, reason = "a test says what it measured")]

use oneloop::access_log::{AccessLog, LogFormat, Sink};
use oneloop::clock::Now;
use oneloop::handler::Handler;
use oneloop::http::fields::FieldLines;
use oneloop::limits::Limits;
use oneloop::reactor::scheduler::{Scheduler, slot_size};
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
    /// How often this thread asked for memory, and how much it holds. Each test has a thread, and
    /// the log's is another.
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
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size() as isize);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(0, -(layout.size() as isize));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(1, size as isize - layout.size() as isize);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const REQUEST: &[u8] = b"GET /small.html HTTP/1.1\r\nHost: example.com\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: text/html,*/*;q=0.8\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\nReferer: http://example.com/\r\n\r\n";

/// A peer that only counts what it gets.
#[derive(Debug)]
struct Asker {
    /// What arrives next.
    asks: Rc<Cell<&'static [u8]>>,
    got: Rc<Cell<usize>>,
}

impl Transport for Asker {
    fn receive(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let asks = self.asks.take();
        if asks.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        room[..asks.len()].copy_from_slice(asks);
        Ok(asks.len())
    }

    fn is_drained(&self) -> bool {
        self.asks.get().is_empty()
    }

    fn send(&mut self, bytes: &[u8], _: bool) -> io::Result<usize> {
        self.got.set(self.got.get() + bytes.len());
        Ok(bytes.len())
    }

    fn send_file(&mut self, _: &File, _: u64, length: u64, _: &mut [u8]) -> io::Result<usize> {
        Ok(length as usize)
    }

    fn shutdown(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn abort(&mut self) {}
}

/// A loop with a site of one small page.
struct Loop {
    scheduler: Scheduler<Asker, PeerState>,
    handler: SiteHandler,
    now: Now,
    asks: Rc<Cell<&'static [u8]>>,
    got: Rc<Cell<usize>>,
    _root: TempDir,
}

impl Loop {
    fn new(log: Option<AccessLog>) -> Self {
        let root = TempDir::new().unwrap();
        fs::write(root.path().join("small.html"), [b'x'; 1000]).unwrap();
        let limits = Arc::new(Limits::default());
        let options = SiteOptions {
            index: vec![],
            listing: false,
            hidden: false,
            follow_symlinks: false,
            spa: false,
            only: None,
            cors: None,
            types: Default::default(),
            headers: FieldLines::new(),
        };
        let site = Site::new(root.path(), options, limits.clone()).unwrap();
        Self {
            scheduler: Scheduler::new(limits),
            handler: SiteHandler::new(site, log, None),
            now: Now {
                // Long after the file's time: it is not young, and may be remembered.
                wall: UNIX_EPOCH + Duration::from_secs(4_102_444_800),
                ..Now::read()
            },
            asks: Rc::default(),
            got: Rc::default(),
            _root: root,
        }
    }

    fn connect(&mut self) {
        let asker = Asker {
            asks: self.asks.clone(),
            got: self.got.clone(),
        };
        let peer = std::net::IpAddr::from([192, 0, 2, 1]);
        let state = self.handler.on_connect(Some(peer));
        self.scheduler.admit(asker, state, self.now);
        self.scheduler.register(|_, _| Ok(()));
    }

    /// These bytes arrive on the connection `key`, in a turn of their own.
    fn hear(&mut self, key: usize, bytes: &'static [u8]) {
        self.asks.set(bytes);
        // All turns lie in the time for which a file is remembered.
        self.now.instant += Duration::from_micros(100);
        self.now.wall += Duration::from_micros(100);
        self.scheduler.mark_ready(key);
        self.turn();
    }

    /// A request arrives and is answered.
    fn ask(&mut self, key: usize) {
        let before = self.got.get();
        self.hear(key, REQUEST);
        assert!(self.got.get() > before + 1000, "a response");
    }

    fn turn(&mut self) {
        self.scheduler.run(&mut self.handler, self.now);
        self.scheduler.reap(&mut self.handler, self.now, |_| {});
        self.handler.end_iteration(self.now);
    }
}

/// Allocations of several thousand requests, after as many that warmed up.
fn allocations(log: Option<AccessLog>) -> usize {
    let mut server = Loop::new(log);
    for _ in 0..10 {
        server.connect();
    }
    server.turn();
    let requests = || (0..3000).map(|n| n % 10);
    requests().for_each(|key| server.ask(key));
    let before = CALLS.get();
    requests().for_each(|key| server.ask(key));
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
    assert_eq!(allocations(None), 0);
}

#[test]
fn neither_does_one_that_is_logged() {
    for format in [LogFormat::Common, LogFormat::Combined, LogFormat::Json] {
        let sink = Sink::Writer(Box::new(io::sink()));
        let log = AccessLog::new(sink, format, &Limits::default()).unwrap();
        assert_eq!(allocations(Some(log)), 0, "{format:?}");
    }
}

#[test]
fn an_idle_connection_holds_nothing_but_its_slot() {
    const MANY: usize = 4096;
    /// A key of the run queue, which has room for everybody at once.
    const QUEUE_ENTRY: usize = size_of::<usize>();
    /// A deadline with its key, and where it stands.
    const TIMER_ENTRY: usize = 28;

    let mut server = Loop::new(None);
    // The site remembers the file, and the buffers are as large as they get.
    server.connect();
    (0..100).for_each(|_| server.ask(0));

    let before = HELD.get();
    (1..MANY).for_each(|_| server.connect());
    server.turn();
    // A power of two, so that no table has room to spare.
    let new = (HELD.get() - before) as usize;
    let slot = slot_size::<Asker, PeerState>();
    let most = MANY * (slot + TIMER_ENTRY + QUEUE_ENTRY);
    println!(
        "{} bytes for each connection, {slot} of them its slot",
        new / MANY
    );
    assert!(new <= most);

    let before = HELD.get();
    (0..MANY).for_each(|key| server.ask(key));
    assert_eq!(HELD.get() - before, 0, "used and idle again");
}

#[test]
fn half_a_head_holds_as_many_bytes_as_have_come() {
    let mut server = Loop::new(None);
    server.connect();
    (0..100).for_each(|_| server.ask(0));
    let before = HELD.get();
    let (half, rest) = REQUEST.split_at(100);
    server.hear(0, half);
    assert_eq!(HELD.get() - before, 100);
    server.hear(0, rest);
    assert_eq!(HELD.get() - before, 0);
}
