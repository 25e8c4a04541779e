//! `oneloop --trace`: what it writes, and that it is what strace sees.
#![cfg(all(feature = "study", not(mio_unsupported_force_poll_poll)))]
#![allow(dead_code, reason = "a module that other tests use as well")]
#![allow(clippy::print_stderr, reason = "a test says that it is skipped")]

#[path = "support/process.rs"]
mod process;

use process::{Launch, Server, eventually, has, site, skipped};
use rustix::process::Signal;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;
use tempfile::TempDir;

/// More than the kernel's socket buffers take at once.
const LARGE: usize = 8_000_000;

fn files() -> TempDir {
    site(&[("small", b"0123456789"), ("large", &vec![b'x'; LARGE])])
}

fn start(root: &Path, trace: &Path, options: &str) -> Server {
    let launch = Launch::of(root).arg("--trace").arg(trace);
    launch.with(options).start()
}

fn stop(mut server: Server) {
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
}

fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(server.address()).unwrap()
}

/// Sends a request in parts, and reads a response with a body of `length` bytes.
fn request(stream: &mut TcpStream, parts: &[&str], length: usize) {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            // The server reads the part before.
            sleep(Duration::from_millis(100));
        }
        stream.write_all(part.as_bytes()).unwrap();
    }
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
}

/// The session of a client that is scripted: half a request, a large file that is read late, a
/// half-close; then a connection whose only request is its last.
fn session(server: &Server) {
    let mut stream = connect(server);
    request(
        &mut stream,
        &["GET /small HT", "TP/1.1\r\nHost: a\r\n\r\n"],
        10,
    );
    stream
        .write_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    // The server fills the buffers of the kernel meanwhile.
    sleep(Duration::from_millis(300));
    request(&mut stream, &[], LARGE);
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    let mut stream = connect(server);
    request(&mut stream, &["GET /small HTTP/1.0\r\n\r\n"], 10);
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    let mut stream = connect(server);
    stream.write_all(b"no HTTP\r\n\r\n").unwrap();
    stream.read_to_end(&mut Vec::new()).unwrap();
}

/// The columns of the lines of connection `id`, without the time and what depends on it.
fn lines_of(trace: &str, id: &str) -> Vec<String> {
    let lines = trace.lines().filter_map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        let [_, _, connection, rest @ ..] = &words[..] else {
            return None;
        };
        let rest = rest.join(" ");
        let (what, _) = rest
            .rsplit_once(" (")
            .filter(|_| rest.ends_with(" us)"))
            .unwrap_or((&rest, ""));
        // The port of the client.
        let what = match what.split_once(" from 127.0.0.1:") {
            Some((before, after)) => {
                let (_, after) = after.split_once(',').unwrap();
                format!("{before} from 127.0.0.1,{after}")
            }
            None => what.to_owned(),
        };
        (*connection == id).then_some(what)
    });
    lines.collect()
}

#[test]
fn a_request_in_two_parts_is_traced_line_by_line() {
    let root = files();
    let trace = root.path().join("trace");
    let server = start(root.path(), &trace, "");
    let mut stream = connect(&server);
    request(
        &mut stream,
        &["GET /small HT", "TP/1.1\r\nHost: a\r\n\r\n"],
        10,
    );
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    stop(server);
    let trace = fs::read_to_string(trace).unwrap();
    assert!(trace.starts_with("#  time us   iter   conn  state          call      result\n"));
    let mut lines = lines_of(&trace, "0");
    // How often the loop wakes without bytes depends on time.
    lines.retain(|line| {
        line != "- register" && !line.starts_with("- event") && !line.contains(" recv not called")
    });
    let sent = lines
        .iter()
        .find(|line| line.starts_with("WritingHeader send"));
    let sent = sent.unwrap().clone();
    let expected = [
        "- accept from 127.0.0.1, listener 0",
        "Reading recv 13 bytes",
        "Reading recv 19 bytes",
        "Reading -> Parsing (recv)",
        "- request GET /small HTTP/1.1",
        "Parsing respond 200",
        "Parsing -> WritingHeader (respond)",
        &sent,
        "WritingHeader -> Reading (send)",
        "Reading recv 0 bytes",
        "Reading -> Closed (recv)",
        "- close PeerClosed, 10 body bytes",
    ];
    assert_eq!(lines, expected);
}

/// The system calls on connections that are compared.
const WATCHED: &str = "accept4,recvfrom,sendto,sendfile,shutdown,close";

/// Whether the calls can be compared. If not, a line says why.
fn can_compare() -> bool {
    if cfg!(feature = "portable") {
        skipped("without sendfile, a step of a file body is two calls");
        return false;
    }
    has("strace")
}

/// Every system call on a connection is a record with the same result, in the same order; a record
/// that is no system call says so. Every poll has its number of events, and each event its flags.
#[test]
fn the_trace_of_a_loop_has_the_calls_that_strace_sees() {
    for model in ["reactor", "coroutine", "level", "poll", "select"] {
        if can_compare() {
            compare_loop(model);
        }
    }
}

fn compare_loop(model: &str) {
    let root = files();
    let [trace, calls] = ["trace", "calls"].map(|name| root.path().join(name));
    let launch = Launch::of(root.path()).arg("--trace").arg(&trace);
    let launch = launch.with("--trace-format json --model").with(model);
    let watched = format!("{WATCHED},epoll_ctl,epoll_wait,epoll_pwait");
    let server = launch.traced(&watched, &calls).start();
    session(&server);
    stop(server);
    let mut text = String::new();
    eventually("strace has written everything", || {
        text = fs::read_to_string(&calls).unwrap_or_default();
        text.contains("+++ exited")
    });
    let mut traced = traced_calls(&fs::read_to_string(trace).unwrap());
    if !text.contains("accept4(") {
        return skipped("strace may not trace here");
    }
    if ["poll", "select"].contains(&model) {
        let is_poll = |call: &String| call.starts_with("epoll_") || call.starts_with("event ");
        traced.retain(|call| !is_poll(call));
        assert!(traced.contains(&"sendfile EAGAIN".to_owned()), "{traced:?}");
        return assert_eq!(traced, seen_by_strace(&text), "{model}");
    }
    assert_eq!(traced, seen_by_strace(&text), "{model}");
    for call in [
        "accept4",
        "recvfrom",
        "sendto",
        "sendfile",
        "shutdown",
        "close",
        "epoll_ctl",
        "epoll_wait 1",
        "event readable",
        "event writable",
    ] {
        assert!(
            traced.iter().any(|traced| traced.starts_with(call)),
            "{call}"
        );
    }
    assert!(traced.contains(&"sendfile EAGAIN".to_owned()), "{traced:?}");
}

/// The same for the models whose threads and processes block: each of them is compared with its own
/// calls. There, a read from the socket is the record `wait`, and what the pump receives is in
/// memory already.
#[test]
fn the_trace_of_a_blocking_model_has_the_calls_that_strace_sees() {
    for model in [
        "fixed",
        "sequential",
        "thread",
        "thread-reuse",
        "process",
        "prefork",
        "pool",
    ] {
        if can_compare() {
            compare_threads(model);
        }
    }
}

fn compare_threads(model: &str) {
    let root = files();
    let [trace, calls] = ["trace", "calls"].map(|name| root.path().join(name));
    let launch = Launch::of(root.path()).arg("--trace").arg(&trace);
    let launch = launch.with("--trace-format json --model").with(model);
    let launch = match model {
        "fixed" => launch.arg("--page").arg(root.path().join("small")),
        "pool" => launch.with("--workers 2"),
        "prefork" => launch.with("--workers 1"),
        _ => launch,
    };
    let server = launch.traced_by_thread(WATCHED, &calls).start();
    match model {
        "fixed" => session_of_fixed(&server),
        _ => session(&server),
    }
    stop(server);
    let files = || {
        let entries = fs::read_dir(root.path()).unwrap().flatten();
        let files = entries.filter_map(|entry| {
            let thread = entry.file_name().to_str()?.strip_prefix("calls.")?.parse();
            Some((thread.unwrap(), fs::read_to_string(entry.path()).unwrap()))
        });
        files.collect::<HashMap<u64, String>>()
    };
    eventually("strace has written everything", || {
        let files = files();
        !files.is_empty() && files.values().all(|text| text.contains("+++ "))
    });
    let files = files();
    if !files.values().any(|text| text.contains("accept4(")) {
        return skipped("strace may not trace here");
    }
    let trace = fs::read_to_string(trace).unwrap();
    let mut lines: HashMap<u64, String> = HashMap::new();
    for line in trace.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        let thread = record["thread"].as_u64().unwrap();
        *lines.entry(thread).or_default() += &format!("{line}\n");
    }
    let mut accepted = Vec::new();
    for (thread, lines) in lines {
        let (accepts, traced) = divide(traced_calls(&lines));
        accepted.extend(accepts);
        let (_, seen) = divide(seen_by_strace(&files[&thread]));
        assert_eq!(traced, seen, "{model}, thread {thread}");
        assert!(traced.iter().any(|call| call.starts_with("recvfrom")));
    }
    assert_eq!(accepted.len(), 3, "{model}: {trace}");
}

/// The accepts, which another thread may have done, and the other calls.
fn divide(calls: Vec<String>) -> (Vec<String>, Vec<String>) {
    calls.into_iter().partition(|call| call == "accept4")
}

/// A client of the model `fixed`: a head in two parts, the shortest one, none.
fn session_of_fixed(server: &Server) {
    for parts in [&["GET / HT", "TP/1.1\r\n\r\n"][..], &["\r\n\r\n"]] {
        let mut stream = connect(server);
        request(&mut stream, parts, 10);
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    }
    connect(server).shutdown(Shutdown::Both).unwrap();
}

/// Calls of connections with their results, from a trace.
fn traced_calls(trace: &str) -> Vec<String> {
    let is_loop = trace.contains("\"iteration\":");
    let calls = trace.lines().filter_map(|line| {
        let record: Value = serde_json::from_str(line).unwrap();
        let name = match record["call"].as_str().unwrap() {
            "poll" => return Some(format!("epoll_wait {}", record["events"])),
            "event" => {
                let flags = record["flags"].as_array().unwrap().iter();
                let flags: Vec<_> = flags.map(|flag| flag.as_str().unwrap()).collect();
                return Some(format!("event {}", flags.join(", ")));
            }
            "register" => return Some("epoll_ctl".to_owned()),
            "accept" => return Some("accept4".to_owned()),
            "close" => return Some("close".to_owned()),
            "shutdown" if record.get("called").is_some() => return None,
            "shutdown" => return Some("shutdown".to_owned()),
            "recv" | "discard" if is_loop => "recvfrom",
            "wait" => "recvfrom",
            "send" => "sendto",
            "sendfile" => "sendfile",
            _ => return None,
        };
        match (record.get("bytes"), record.get("error")) {
            (Some(bytes), _) => Some(format!("{name} {bytes}")),
            (_, Some(error)) if error == "would block" => Some(format!("{name} EAGAIN")),
            (_, Some(error)) => panic!("{error}"),
            // Known without a call.
            (None, None) => None,
        }
    });
    calls.collect()
}

/// The same from the output of strace: the calls on descriptors that accept4 has returned. A thread
/// that does not accept got its connection from another one, and receives from nothing else.
fn seen_by_strace(text: &str) -> Vec<String> {
    let mut open: HashMap<&str, bool> = HashMap::new();
    let mut calls = Vec::new();
    let accepts = text.contains("accept4(");
    for line in text.lines() {
        let Some((name, rest)) = line.split_once('(') else {
            continue;
        };
        let Some((_, result)) = line.rsplit_once(" = ") else {
            continue;
        };
        let mut arguments = rest.split([',', ')']).map(str::trim);
        let descriptor = arguments.next().unwrap();
        match name {
            "epoll_wait" | "epoll_pwait" => {
                calls.push(format!("epoll_wait {}", result.parse().unwrap_or(0)));
                calls.extend(events_of(rest, |token| match name {
                    // The tokens of listeners and signals are the last ones.
                    "epoll_wait" => token < u64::MAX / 2,
                    // The token is the descriptor.
                    _ => open.contains_key(&*token.to_string()),
                }));
                continue;
            }
            "epoll_ctl" => {
                if open.contains_key(arguments.nth(1).unwrap()) {
                    calls.push("epoll_ctl".to_owned());
                }
                continue;
            }
            "recvfrom" if !accepts => drop(open.insert(descriptor, true)),
            _ => {}
        }
        if name == "accept4" {
            if !result.starts_with('-') {
                open.insert(result, true);
                calls.push("accept4".to_owned());
            }
            continue;
        }
        if !open.contains_key(descriptor) {
            continue;
        }
        match name {
            "close" => {
                open.remove(descriptor);
                calls.push("close".to_owned());
            }
            "shutdown" => calls.push("shutdown".to_owned()),
            _ if result.starts_with("-1 EAGAIN") => calls.push(format!("{name} EAGAIN")),
            _ => calls.push(format!("{name} {result}")),
        }
    }
    calls
}

/// The events of connections that epoll_wait has returned, in the words of the trace.
fn events_of(arguments: &str, is_connection: impl Fn(u64) -> bool) -> Vec<String> {
    let events = arguments.split("events=").skip(1).filter_map(|event| {
        let (flags, data) = event.split_once(", data=")?;
        let (_, token) = data.split_once("u64=")?;
        let token: u64 = token.split('}').next()?.parse().unwrap();
        let has = |name: &str| flags.split('|').any(|flag| flag == name);
        let [read, write, error] = ["EPOLLIN", "EPOLLOUT", "EPOLLERR"].map(has);
        let (urgent, gone) = (has("EPOLLPRI"), has("EPOLLHUP"));
        let words = [
            (read || urgent, "readable"),
            (write, "writable"),
            (gone || read && has("EPOLLRDHUP"), "read closed"),
            (gone || write && error, "write closed"),
            (urgent, "urgent"),
            (error, "error"),
        ];
        let words = words.iter().filter(|(is_set, _)| *is_set);
        let words: Vec<_> = words.map(|(_, word)| *word).collect();
        is_connection(token).then(|| format!("event {}", words.join(", ")))
    });
    events.collect()
}

/// What the [format] demands, and what Perfetto counts as lost data otherwise.
///
/// [format]: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
#[test]
fn a_trace_for_perfetto_is_in_the_trace_event_format_and_its_slices_are_nested() {
    for model in ["reactor", "coroutine", "level", "fixed", "pool", "process"] {
        check_perfetto(model);
    }
}

fn check_perfetto(model: &str) {
    let root = files();
    let trace = root.path().join("trace");
    let options = format!("--trace-format perfetto --model {model}");
    let launch = Launch::of(root.path()).arg("--trace").arg(&trace);
    let launch = launch.with(&options);
    match model {
        "fixed" => {
            let server = launch.arg("--page").arg(root.path().join("small")).start();
            session_of_fixed(&server);
            stop(server);
        }
        _ => {
            let server = launch.start();
            session(&server);
            stop(server);
        }
    }
    let text = fs::read_to_string(trace).unwrap();
    let events: Vec<Value> = serde_json::from_str(&text).unwrap();
    let is_loop = ["reactor", "coroutine", "level"].contains(&model);
    let mut tracks: BTreeMap<u64, Track> = BTreeMap::new();
    for (index, event) in events.iter().enumerate() {
        assert_eq!(event["pid"], 1, "{event}");
        let name = event["name"].as_str().unwrap();
        if name == "process_name" {
            assert_eq!(event["ph"], "M");
            continue;
        }
        // Perfetto takes 0 for the thread whose number is that of its process.
        let track = event["tid"].as_u64().filter(|track| *track > 0).unwrap();
        let track = tracks.entry(track).or_default();
        if name == "thread_name" {
            assert_eq!(event["ph"], "M");
            let name = event["args"]["name"].as_str().unwrap().to_owned();
            assert_eq!(track.name.replace(name), None, "one name for each track");
        } else {
            track.add(event, index);
        }
    }
    let mut names = tracks.values().map(|track| track.name.as_deref().unwrap());
    if is_loop {
        assert_eq!(names.next(), Some("loop"));
    }
    for (id, name) in (0..3).zip(&mut names) {
        let begin = format!("connection {id} from 127.0.0.1:");
        assert!(name.starts_with(&begin), "{name}");
        assert_eq!(name.contains(", thread "), !is_loop, "{name}");
    }
    assert_eq!(names.next(), None);
    assert_eq!(tracks.len(), if is_loop { 4 } else { 3 });
    tracks.values_mut().for_each(Track::check);
}

/// A track of a viewer.
#[derive(Default)]
struct Track {
    name: Option<String>,
    /// Begins (1) and ends (-1) of slices: the time in nanoseconds, the number of the event, and
    /// the name.
    edges: Vec<(u64, usize, i8, String)>,
}

impl Track {
    fn add(&mut self, event: &Value, index: usize) {
        let nanoseconds = |member: &str| {
            let microseconds = event[member].as_f64().unwrap();
            assert!(microseconds >= 0.0, "{event}");
            (microseconds * 1000.0).round() as u64
        };
        let name = event["name"].as_str().unwrap().to_owned();
        let start = nanoseconds("ts");
        match event["ph"].as_str().unwrap() {
            "B" => self.edges.push((start, index, 1, name)),
            "E" => self.edges.push((start, index, -1, name)),
            "X" => {
                let end = start + nanoseconds("dur");
                self.edges.push((start, index, 1, name.clone()));
                self.edges.push((end, index, -1, name));
            }
            phase => assert_eq!((phase, &event["s"]), ("i", &Value::from("t"))),
        }
    }

    /// Every slice ends before the one in which it begins. Events of the same time are in the order
    /// of the file, which a viewer keeps.
    fn check(&mut self) {
        self.edges.sort_by_key(|(time, index, ..)| (*time, *index));
        let mut open: Vec<&str> = Vec::new();
        for (time, _, kind, name) in &self.edges {
            match kind {
                1 => open.push(name),
                _ => assert_eq!(open.pop(), Some(&**name), "{:?} at {time} ns", self.name),
            }
        }
        assert!(open.is_empty(), "{:?} has not ended: {open:?}", self.name);
        assert!(self.edges.len() >= 2, "{:?}", self.name);
    }
}

#[test]
fn a_trace_for_perfetto_of_one_path_has_all_states_and_only_its_calls() {
    let root = files();
    let trace = root.path().join("trace");
    let options = "--trace-format perfetto --trace-filter path=/large";
    let server = start(root.path(), &trace, options);
    session(&server);
    stop(server);
    let text = fs::read_to_string(trace).unwrap();
    let events: Vec<Value> = serde_json::from_str(&text).unwrap();
    let count = |phase: &str| events.iter().filter(|event| event["ph"] == phase).count();
    assert!(count("B") > 10 && count("B") == count("E"), "{text}");
    let calls = events.iter().filter(|event| event["ph"] == "X");
    let mut calls: Vec<&str> = calls.map(|event| event["name"].as_str().unwrap()).collect();
    calls.retain(|name| *name != "recv");
    calls.dedup();
    assert_eq!(calls, ["respond", "send", "sendfile"]);
}

#[test]
fn a_filter_leaves_out_the_loop_and_other_connections_and_requests() {
    let calls = |filter: &str| {
        let root = files();
        let trace = root.path().join("trace");
        let server = start(root.path(), &trace, &format!("--trace-filter {filter}"));
        session(&server);
        stop(server);
        let trace = fs::read_to_string(trace).unwrap();
        assert_eq!(lines_of(&trace, "-"), [""; 0], "the loop");
        ["0", "1"].map(|id| {
            let lines = lines_of(&trace, id).into_iter();
            let requests =
                lines.filter_map(|line| line.strip_prefix("- request ").map(str::to_owned));
            requests.collect::<Vec<_>>()
        })
    };
    let [small, large, old] = [
        "GET /small HTTP/1.1",
        "GET /large HTTP/1.1",
        "GET /small HTTP/1.0",
    ];
    assert_eq!(calls("connection=1"), [vec![], vec![old.to_owned()]]);
    assert_eq!(calls("path=/lar"), [vec![large.to_owned()], vec![]]);
    assert_eq!(calls("peer=192.0.2.1"), [vec![], vec![] as Vec<String>]);
    assert_eq!(
        calls("peer=127.0.0.1,path=/s"),
        [vec![small.to_owned()], vec![old.to_owned()]]
    );
}

/// The pipe takes 64 KiB, and the queue some ten thousand records.
#[test]
fn a_reader_that_is_stuck_does_not_stop_the_server_and_the_gap_is_counted() {
    let root = files();
    let trace = root.path().join("trace");
    let status = std::process::Command::new("mkfifo").arg(&trace).status();
    assert!(status.unwrap().success());
    let mut reader = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&trace)
        .unwrap();
    let server = start(root.path(), &trace, "");
    let mut stream = connect(&server);
    let requests = "GET /small HTTP/1.1\r\nHost: a\r\n\r\n".repeat(20);
    for _ in 0..1000 {
        stream.write_all(requests.as_bytes()).unwrap();
        for _ in 0..20 {
            request(&mut stream, &[], 10);
        }
    }
    drop(stream);
    let mut text = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    while !String::from_utf8_lossy(&text).contains("records are missing here") {
        // More events, so that a record follows the gap.
        drop(connect(&server));
        let length = reader.read(&mut buffer).unwrap();
        // A line may be divided between two reads.
        let last = text.len().saturating_sub(200);
        text.drain(..last);
        text.extend(&buffer[..length]);
    }
    let rest = std::thread::spawn(
        move || while reader.read(&mut buffer).is_ok_and(|length| length > 0) {},
    );
    stop(server);
    drop(rest);
}

#[test]
fn a_trace_that_cannot_be_written_is_an_error_at_the_start() {
    let root = files();
    let path = root.path().join("missing").join("trace");
    let (status, messages) = Launch::of(root.path())
        .arg("--trace")
        .arg(&path)
        .expect_failure();
    assert_eq!(status.code(), Some(1));
    let expected = format!(
        "oneloop: cannot write the trace to {}: No such file or directory (os error 2)\n",
        path.display()
    );
    assert_eq!(messages, expected);
}

/// The records of a child wait for the reader in the child. Other connections do not.
#[test]
fn a_stuck_reader_of_the_log_blocks_neither_a_process_nor_the_stop() {
    let root = files();
    let trace = root.path().join("trace");
    let status = std::process::Command::new("mkfifo").arg(&trace).status();
    assert!(status.unwrap().success());
    let _reader = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&trace)
        .unwrap();
    let server = start(root.path(), &trace, "--model process");
    for _ in 0..3 {
        let mut stream = connect(&server);
        let requests = "GET /small HTTP/1.1\r\nHost: a\r\n\r\n".repeat(20);
        for _ in 0..20 {
            stream.write_all(requests.as_bytes()).unwrap();
            for _ in 0..20 {
                request(&mut stream, &[], 10);
            }
        }
    }
    stop(server);
}
