//! `oneloop --admin`: the access to the live view, what its snapshots say, and its page in a
//! browser.
#![cfg(all(feature = "study", not(mio_unsupported_force_poll_poll)))]
#![allow(dead_code, reason = "a module that other tests use as well")]

#[path = "support/browser.rs"]
mod browser;
#[path = "support/process.rs"]
mod process;

use browser::Browser;
use process::{Launch, Server, eventually, has, site};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// More than the kernel's socket buffers take at once.
const LARGE: usize = 8_000_000;

/// Bytes of a cell in a snapshot.
const RECORD: usize = 24;

fn files() -> TempDir {
    site(&[("small", b"0123456789"), ("large", &vec![b'x'; LARGE])])
}

/// Without deferring, connections get their slots in the order in which they are made.
fn start(root: &Path) -> Server {
    let options = "--admin 127.0.0.1:0 --no-defer-accept";
    Launch::of(root).with(options).start()
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(process::TIME_LIMIT)).unwrap();
    stream
}

/// Status, head and body of the response.
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

/// Sends a whole head, and reads the response until the server closes.
fn exchange(mut stream: impl Read + Write, head: &str) -> Answer {
    stream.write_all(head.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let body = bytes.split_off(end.expect("a head") + 4);
    let head = String::from_utf8(bytes).unwrap();
    let body = match head.contains("chunked") {
        true => unchunked(&body),
        false => body,
    };
    let status = head[9..12].parse().unwrap();
    Answer { status, head, body }
}

fn unchunked(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = bytes.iter().position(|byte| *byte == b'\r').unwrap();
        let length = str::from_utf8(&bytes[..end]).unwrap();
        let length = usize::from_str_radix(length, 16).unwrap();
        if length == 0 {
            return body;
        }
        body.extend(&bytes[end + 2..end + 2 + length]);
        bytes = &bytes[end + 4 + length..];
    }
}

/// GETs a path of the view over a connection of its own.
fn get(server: &Server, path: &str) -> Answer {
    let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    exchange(connect(server.admin()), &head)
}

/// A cell of a snapshot.
#[derive(Clone, Debug, PartialEq)]
struct Cell {
    id: u32,
    state: u8,
    wait: u8,
    is_admin: bool,
    has_request: bool,
    progress: u8,
}

struct Snapshot {
    loop_: Value,
    cells: BTreeMap<u32, Cell>,
}

fn snapshot(server: &Server, since: &Value, run: &Value) -> Snapshot {
    let run = run.as_str().unwrap_or("0");
    let body = get(server, &format!("/snapshot?since={since}&run={run}")).body;
    let number = |at: usize| u32::from_le_bytes(body[at..at + 4].try_into().unwrap());
    let length = number(0) as usize;
    let loop_ = serde_json::from_slice(&body[4..4 + length]).unwrap();
    assert_eq!((body.len() - 4 - length) % RECORD, 0);
    let cells = (4 + length..body.len()).step_by(RECORD).map(|at| {
        let cell = Cell {
            id: number(at + 4),
            state: body[at + 8],
            wait: body[at + 9],
            is_admin: body[at + 10] & 1 > 0,
            has_request: body[at + 10] & 2 > 0,
            progress: body[at + 11],
        };
        (number(at), cell)
    });
    Snapshot {
        cells: cells.collect(),
        loop_,
    }
}

fn whole(server: &Server) -> Snapshot {
    snapshot(server, &Value::from(0), &Value::Null)
}

fn life(server: &Server, key: u32) -> Value {
    serde_json::from_slice(&get(server, &format!("/connection?key={key}")).body).unwrap()
}

/// The life line of the client that was accepted as the number `index`, from 0. Connections of the
/// view may have slots before it.
fn life_of_client(server: &Server, index: usize) -> Value {
    let mut lives: Vec<_> = (0..)
        .map(|key| get(server, &format!("/connection?key={key}")))
        .take_while(|answer| answer.status == 200)
        .map(|answer| serde_json::from_slice::<Value>(&answer.body).unwrap())
        .filter(|life| life["public"] == true)
        .collect();
    lives.sort_by_key(|life| life["connection"].as_u64());
    lives.into_iter().nth(index).unwrap_or_default()
}

#[test]
fn the_view_is_on_its_own_listener_and_the_site_on_the_others() {
    let root = files();
    let server = start(root.path());
    for path in ["/snapshot", "/connection?key=0"] {
        assert_eq!(get(&server, path).status, 200, "{path}");
        let head = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
        assert_eq!(exchange(connect(server.address()), &head).status, 404);
    }
    assert_eq!(get(&server, "/small").status, 404);
    assert_eq!(get(&server, "/nothing").status, 404);
    let page = get(&server, "/");
    let text = String::from_utf8(page.body).unwrap();
    assert!(text.contains("<title>oneloop: live view</title>"));
    assert!(
        !text.contains("://"),
        "the page loads nothing from elsewhere"
    );
    for field in ["Cache-Control: no-store", "frame-ancestors 'none'"] {
        assert!(page.head.contains(field), "{}", page.head);
    }
}

#[test]
fn only_reading_is_allowed() {
    let root = files();
    let server = start(root.path());
    for (method, status) in [("HEAD", 200), ("POST", 405), ("PUT", 405), ("OPTIONS", 405)] {
        let head = format!("{method} /snapshot HTTP/1.0\r\nHost: localhost\r\n\r\n");
        let answer = exchange(connect(server.admin()), &head);
        assert_eq!(answer.status, status, "{method}");
        assert!(answer.body.is_empty() || status == 405);
    }
}

/// Sets the pace of the loop, with a field.
fn set_pace(server: &Server, query: &str, field: &str) -> u16 {
    let head = format!("PUT /pace?{query} HTTP/1.0\r\nHost: localhost\r\n{field}\r\n");
    exchange(connect(server.admin()), &head).status
}

/// What another site can send without the browser asking the server first: GET, HEAD and POST. PUT
/// it cannot, and the server never allows it: it answers OPTIONS with 405.
#[test]
fn only_the_page_itself_can_set_the_pace() {
    let root = files();
    let server = start(root.path());
    for method in ["GET", "HEAD", "POST", "OPTIONS"] {
        let head = format!("{method} /pace?set=hold HTTP/1.0\r\nHost: localhost\r\n\r\n");
        let answer = exchange(connect(server.admin()), &head);
        assert_eq!(answer.status, 405, "{method}");
        assert!(answer.head.contains("Allow: PUT\r\n"), "{}", answer.head);
        assert!(!answer.head.contains("Access-Control"), "{}", answer.head);
    }
    let link = "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document";
    for from in ["cross-site", "same-site"] {
        let field = format!("Sec-Fetch-Site: {from}\r\n{link}\r\n");
        assert_eq!(set_pace(&server, "set=hold", &field), 400);
    }
    for wrong in ["set=stop", "set=slow", "set=slow&ms=x", ""] {
        assert_eq!(set_pace(&server, wrong, ""), 400, "{wrong}");
    }
    let head = "PUT /pace?set=hold HTTP/1.0\r\nHost: localhost\r\n\r\n";
    assert_eq!(exchange(connect(server.address()), head).status, 405);
    assert_eq!(whole(&server).loop_["pace"], "run");
    assert_eq!(
        set_pace(&server, "set=hold", "Sec-Fetch-Site: same-origin\r\n"),
        200
    );
    assert_eq!(whole(&server).loop_["pace"], "hold");
}

/// Sends a request for the small file.
fn ask(stream: &mut TcpStream) {
    stream
        .write_all(b"GET /small HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
}

/// Reads its response.
fn read_answer(stream: &mut TcpStream) {
    let mut response = Vec::new();
    while !response.ends_with(b"0123456789") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        response.extend(byte);
    }
}

/// Nothing comes for a moment.
fn is_silent(stream: &mut TcpStream) -> bool {
    let short = Duration::from_millis(200);
    stream.set_read_timeout(Some(short)).unwrap();
    let is_silent = stream.read_exact(&mut [0]).is_err();
    stream.set_read_timeout(Some(process::TIME_LIMIT)).unwrap();
    is_silent
}

fn iteration(server: &Server) -> Vec<Value> {
    let body = String::from_utf8(get(server, "/iteration").body).unwrap();
    let lines = body.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn a_step_runs_one_iteration_and_shows_its_records() {
    let root = files();
    let server = start(root.path());
    let mut client = connect(server.address());
    ask(&mut client);
    read_answer(&mut client);
    assert_eq!(
        iteration(&server).len(),
        0,
        "nothing is recorded at full pace"
    );
    set_pace(&server, "set=hold", "");
    ask(&mut client);
    assert!(is_silent(&mut client));
    set_pace(&server, "set=step", "");
    read_answer(&mut client);
    assert_eq!(whole(&server).loop_["steps"], 0);
    let records = iteration(&server);
    let calls: Vec<_> = records
        .iter()
        .map(|one| one["call"].as_str().unwrap())
        .collect();
    let expected = [
        "event", "poll", "recv", "->", "request", "respond", "->", "send", "->", "recv", "end",
    ];
    assert_eq!(calls, expected, "{records:?}");
    assert_eq!(records[4]["line"], "GET /small HTTP/1.1");
    ask(&mut client);
    assert!(is_silent(&mut client), "it was one step");
    let mut other = connect(server.address());
    ask(&mut other);
    assert!(is_silent(&mut other), "no connection is accepted");
    set_pace(&server, "set=run", "");
    read_answer(&mut client);
    read_answer(&mut other);
}

/// With levels, both would be reported in every poll. Fails if a connection that is held, or a
/// listener, stays watched.
#[test]
fn what_arrives_at_a_held_server_does_not_keep_its_loop_awake() {
    for model in ["reactor", "level", "poll", "select"] {
        let root = files();
        let trace = root.path().join("trace");
        let launch = Launch::of(root.path()).arg("--trace").arg(&trace);
        let options = "--admin 127.0.0.1:0 --no-defer-accept --model";
        let server = launch.with(options).with(model).start();
        let mut client = connect(server.address());
        ask(&mut client);
        read_answer(&mut client);
        set_pace(&server, "set=hold", "");
        let polls = || {
            let trace = std::fs::read_to_string(&trace).unwrap();
            trace.lines().filter(|line| line.contains(" poll ")).count()
        };
        ask(&mut client);
        let mut other = connect(server.address());
        ask(&mut other);
        // A thread writes the trace.
        eventually("a poll is in the trace", || polls() > 0);
        let before = polls();
        assert!(is_silent(&mut client) && is_silent(&mut other), "{model}");
        let count = polls() - before;
        assert!(count < 40, "{model}: {count} polls");
        set_pace(&server, "set=run", "");
        read_answer(&mut client);
        read_answer(&mut other);
    }
}

#[test]
fn the_latest_records_are_a_trace_of_the_clients_while_a_page_is_open() {
    let root = files();
    let server = start(root.path());
    let mut client = connect(server.address());
    ask(&mut client);
    read_answer(&mut client);
    assert_eq!(get(&server, "/trace").body, b"", "no page is open");
    whole(&server);
    ask(&mut client);
    read_answer(&mut client);
    let trace = String::from_utf8(get(&server, "/trace").body).unwrap();
    let records: Vec<Value> = (trace.lines())
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let calls: Vec<_> = (records.iter())
        .map(|one| one["call"].as_str().unwrap())
        .collect();
    let expected = [
        "poll", "event", "recv", "->", "request", "respond", "->", "send", "->", "recv", "end",
    ];
    assert_eq!(calls, expected, "{trace}");
    let is_of_client = |one: &Value| one["connection"].as_u64().is_none_or(|id| id == 0);
    assert!(records.iter().all(is_of_client), "{trace}");
}

#[test]
fn slow_motion_runs_an_iteration_at_a_time() {
    let root = files();
    let server = start(root.path());
    let mut client = connect(server.address());
    set_pace(&server, "set=slow&ms=300", "");
    let begun = std::time::Instant::now();
    // The accept and the first request take the first iteration or two.
    for _ in 0..4 {
        ask(&mut client);
        read_answer(&mut client);
    }
    assert!(begun.elapsed() > Duration::from_millis(900));
    assert_eq!(whole(&server).loop_["every_ms"], 300);
}

/// Closing the page while the loop is paused leaves no frozen server, nor does a browser that
/// crashes.
#[test]
fn a_held_server_goes_on_when_no_page_shows_it() {
    let root = files();
    let server = start(root.path());
    let mut client = connect(server.address());
    set_pace(&server, "set=hold", "");
    ask(&mut client);
    assert!(is_silent(&mut client));
    read_answer(&mut client);
    assert_eq!(whole(&server).loop_["pace"], "run");
    eventually("a message says so", || {
        server
            .diagnostics()
            .contains("no page shows the view any more")
    });
}

#[test]
fn a_held_server_stops_on_a_signal() {
    let root = files();
    let mut server = start(root.path());
    let mut client = connect(server.address());
    set_pace(&server, "set=hold", "");
    ask(&mut client);
    assert!(is_silent(&mut client));
    server.signal(rustix::process::Signal::TERM);
    read_answer(&mut client);
    drop(client);
    assert_eq!(server.wait().code(), Some(0));
}

/// DNS rebinding: a page of another site whose name resolves to 127.0.0.1.
#[test]
fn a_request_of_another_site_is_refused() {
    let root = files();
    let server = start(root.path());
    let ask = |fields: &str| {
        let head = format!("GET /snapshot HTTP/1.0\r\n{fields}\r\n\r\n");
        exchange(connect(server.admin()), &head).status
    };
    for host in [
        "localhost",
        "LOCALHOST:7891",
        "127.0.0.1",
        "127.9.9.9:80",
        "[::1]:7891",
        "[::1]",
    ] {
        assert_eq!(ask(&format!("Host: {host}")), 200, "{host}");
    }
    for host in [
        "evil.example",
        "localhost.evil.example",
        "evil.example:7891",
        "10.0.0.1",
        "127.0.0.1.evil.example",
        "[::2]",
        "0.0.0.0",
        "",
    ] {
        assert_eq!(ask(&format!("Host: {host}")), 400, "{host}");
    }
    assert_eq!(ask("A: b"), 400, "no Host");
    for (from, status) in [
        ("same-origin", 200),
        ("none", 200),
        ("cross-site", 400),
        ("same-site", 400),
    ] {
        let fields = format!("Host: localhost\r\nSec-Fetch-Site: {from}");
        assert_eq!(ask(&fields), status, "{from}");
    }
}

/// The browser shows the page alone, and the other site cannot read it.
#[test]
fn a_link_on_another_site_opens_a_page_and_no_data() {
    let root = files();
    let server = start(root.path());
    let ask = |path: &str, mode: &str, dest: &str| {
        let head = format!(
            "GET {path} HTTP/1.0\r\nHost: localhost\r\nSec-Fetch-Site: cross-site\r\n\
             Sec-Fetch-Mode: {mode}\r\nSec-Fetch-Dest: {dest}\r\n\r\n"
        );
        exchange(connect(server.admin()), &head)
    };
    for page in ["/", "/request"] {
        let answer = ask(page, "navigate", "document");
        assert_eq!(answer.status, 200);
        let alone = "Cross-Origin-Opener-Policy: same-origin\r\n";
        assert!(answer.head.contains(alone), "{}", answer.head);
        assert_eq!(ask(page, "navigate", "iframe").status, 400);
        assert_eq!(ask(page, "no-cors", "document").status, 400);
    }
    for data in ["/snapshot", "/connection?key=0", "/exchange?number=0"] {
        assert_eq!(ask(data, "navigate", "document").status, 400);
    }
}

/// The bytes of a head in the view, which has a character for each byte.
fn bytes(head: &Value) -> Vec<u8> {
    let text = head["bytes"].as_str().unwrap().chars();
    text.map(|byte| u8::try_from(u32::from(byte)).unwrap())
        .collect()
}

#[test]
fn an_exchange_has_the_exact_bytes_of_a_request_for_its_page_and_the_silent_connections() {
    let root = files();
    let server = start(root.path());
    let silent = connect(server.address());
    let mut other = connect(server.address());
    other.write_all(b"GET /sm").unwrap();
    let request =
        "GET /request HTTP/1.1\r\nhost: localhost\r\nX-Odd: \u{e9}\r\nConnection: close\r\n\r\n";
    let page = exchange(connect(server.admin()), request);
    // Another page does not disturb the first one.
    get(&server, "/request");
    let text = String::from_utf8(page.body).unwrap();
    let (_, number) = text.split_once("data-exchange=\"").unwrap();
    let (number, _) = number.split_once('"').unwrap();
    let path = format!("/exchange?number={number}");
    let mut data = Value::Null;
    eventually("the half request is received", || {
        data = serde_json::from_slice(&get(&server, &path).body).unwrap();
        data["connections"].as_array().unwrap().len() == 3
            && data["connections"][1]["received"] == 7
    });
    assert_eq!(bytes(&data["request"]), request.as_bytes());
    assert_eq!(bytes(&data["response"]), page.head.as_bytes());
    let silent = silent.local_addr().unwrap().to_string();
    assert_eq!(data["connections"][2]["peer"], silent);
    assert_eq!(data["connections"][2]["received"], 0);
    assert_eq!(data["more"], 0);
    let _others: Vec<_> = (0..40).map(|_| connect(server.address())).collect();
    eventually("those that are not listed are counted", || {
        data = serde_json::from_slice(&get(&server, &path).body).unwrap();
        data["more"] == 43 - 32
    });
    assert_eq!(data["connections"].as_array().unwrap().len(), 32);
    assert_eq!(get(&server, "/exchange?number=99").status, 404);
}

#[test]
fn an_address_that_others_can_reach_is_refused() {
    let root = files();
    for address in [
        "0.0.0.0:7891",
        "[::]:7891",
        "192.0.2.1",
        "example.com:1",
        "fd:3",
    ] {
        let (status, messages) = Launch::of(root.path())
            .with(&format!("--admin {address}"))
            .expect_failure();
        assert_eq!(status.code(), Some(2), "{address}: {messages}");
        assert!(messages.contains("only for this machine"), "{messages}");
    }
    let launch = Launch::of(root.path()).with("--admin localhost --model thread");
    let (status, messages) = launch.expect_failure();
    assert_eq!(status.code(), Some(2));
    assert!(
        messages.contains("--admin is for the models with a loop"),
        "{messages}"
    );
}

#[test]
fn an_address_in_use_is_an_error_that_names_it() {
    let root = files();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let launch = Launch::of(root.path()).with(&format!("--admin {address}"));
    let (status, messages) = launch.expect_failure();
    assert_eq!(status.code(), Some(1));
    assert!(
        messages.contains(&format!("cannot listen on {address}")),
        "{messages}"
    );
}

#[test]
fn the_view_works_on_a_unix_socket() {
    let root = files();
    let path = root.path().join("view.sock");
    let launch = Launch::of(root.path()).arg(format!("--admin=unix:{}", path.display()));
    let server = launch.start();
    let head = "GET /snapshot HTTP/1.0\r\nHost: localhost\r\n\r\n";
    let answer = exchange(UnixStream::connect(&path).unwrap(), head);
    assert_eq!(answer.status, 200);
    drop(server);
}

/// One connection is idle, one has sent half a head, and one does not read its response.
#[test]
fn a_snapshot_has_each_connection_with_its_state_and_what_it_waits_for() {
    let root = files();
    let server = start(root.path());
    let mut idle = connect(server.address());
    idle.write_all(b"GET /small HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    idle.read_exact(&mut [0]).unwrap();
    let mut half = connect(server.address());
    half.write_all(b"GET /sm").unwrap();
    let mut late = connect(server.address());
    late.write_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    let mut last = whole(&server);
    eventually("the large file waits for its reader", || {
        last = whole(&server);
        let is_late = |cell: &Cell| (cell.state, cell.wait) == (5, 2);
        last.cells.len() == 4 && last.cells.values().any(is_late)
    });
    let (viewers, public): (Vec<_>, Vec<_>) = last.cells.values().partition(|cell| cell.is_admin);
    let mut public: Vec<_> = public
        .iter()
        .map(|cell| (cell.state, cell.wait, cell.has_request))
        .collect();
    public.sort_unstable();
    assert_eq!(public, [(2, 1, false), (2, 1, true), (5, 2, true)]);
    let progress = last.cells.values().map(|cell| cell.progress).max().unwrap();
    assert!((1..254).contains(&progress), "{progress}");
    assert_eq!(
        last.loop_["you"], viewers[0].id,
        "the own connection is marked"
    );
    assert_eq!(last.loop_["open"], 4);
    assert_eq!(last.loop_["requests"], 2, "those of the view do not count");
    drop((half, late));
}

#[test]
fn a_snapshot_has_only_what_has_changed_since_the_one_before() {
    let root = files();
    let server = start(root.path());
    let _idle: Vec<_> = (0..3).map(|_| connect(server.address())).collect();
    let ending = connect(server.address());
    eventually("all are accepted", || whole(&server).cells.len() == 5);
    let first = whole(&server);
    drop(ending);
    eventually("the slot is free", || whole(&server).cells.len() == 4);
    let (version, run) = (&first.loop_["version"], &first.loop_["run"]);
    let second = snapshot(&server, version, run);
    assert_eq!(second.loop_["whole"], false);
    let has_changed = |cell: &Cell| cell.is_admin || cell.state == 0;
    assert!(
        second.cells.values().all(has_changed),
        "the idle ones have not changed: {:?}",
        second.cells
    );
    assert_eq!(second.loop_["slots"], 5);
    // Of another server, or of a later one: the whole.
    for (since, run) in [(version, &Value::from("1")), (&Value::from(u64::MAX), run)] {
        let all = snapshot(&server, since, run);
        assert_eq!((&all.loop_["whole"], all.cells.len()), (&true.into(), 4));
    }
}

#[test]
fn a_life_line_has_the_exact_bytes_of_both_heads() {
    let root = files();
    let server = start(root.path());
    let request = "GET /small HTTP/1.1\r\nhost:a\r\nX-Odd:  \"\u{e9}\t\"\r\n\r\n";
    let mut stream = connect(server.address());
    eventually("a page shows the connection", || {
        whole(&server).cells.len() == 2
    });
    stream.write_all(request.as_bytes()).unwrap();
    let mut response = Vec::new();
    while !response.ends_with(b"0123456789") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        response.extend(byte);
    }
    let life = life_of_client(&server, 0);
    assert_eq!(bytes(&life["request"]), request.as_bytes());
    let head = response.len() - 10;
    assert_eq!(bytes(&life["response"]), response[..head]);
    let transitions = life["transitions"].as_array().unwrap().iter();
    let steps: Vec<_> = transitions
        .map(|line| format!("{} {} {}", line["from"], line["to"], line["cause"]).replace('"', ""))
        .collect();
    let expected = [
        "Reading Parsing recv",
        "Parsing WritingHeader respond",
        "WritingHeader Reading send",
    ];
    assert_eq!(steps, expected);
    let wanted = [
        ("requests", 1),
        ("received", request.len()),
        ("sent", response.len()),
    ];
    for (name, value) in wanted {
        assert_eq!(life[name], value, "{name}");
    }
    assert_eq!(get(&server, "/connection?key=99").status, 404);
    assert_eq!(get(&server, "/connection").status, 404);
}

/// Also if no page was open when they came.
#[test]
fn a_life_line_has_the_bytes_of_an_incomplete_head() {
    let root = files();
    let server = start(root.path());
    let mut stream = connect(server.address());
    for (next, expected) in [
        ("GET / HT", "GET / HT"),
        ("TP/1.1\r\nH", "GET / HTTP/1.1\r\nH"),
    ] {
        stream.write_all(next.as_bytes()).unwrap();
        eventually("the bytes are there", || {
            life_of_client(&server, 0)["partial"]["bytes"] == expected
        });
    }
    stream.write_all(b"ost: a\r\n\r\n").unwrap();
    eventually("the head is complete", || {
        life_of_client(&server, 0)["requests"] == 1
    });
    assert_eq!(life_of_client(&server, 0)["partial"], Value::Null);
}

/// While no page is open, the heads of requests that are finished at once are not kept.
#[test]
fn the_heads_of_a_slow_request_are_kept_also_if_no_page_was_open() {
    let root = files();
    let server = start(root.path());
    let mut quick = connect(server.address());
    ask(&mut quick);
    read_answer(&mut quick);
    assert_eq!(life_of_client(&server, 0)["requests"], 1);
    assert_eq!(life_of_client(&server, 0)["request"], Value::Null);
    let request = "GET /large HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut slow = connect(server.address());
    slow.write_all(request.as_bytes()).unwrap();
    let mut of_slow = Value::Null;
    eventually("the response is being sent", || {
        of_slow = life_of_client(&server, 1);
        of_slow["state"] == "WritingBody"
    });
    assert_eq!(bytes(&of_slow["request"]), request.as_bytes());
    assert!(bytes(&of_slow["response"]).starts_with(b"HTTP/1.1 200 OK\r\n"));
    assert_eq!(of_slow["transitions"].as_array().unwrap().len(), 3);
    whole(&server);
    ask(&mut quick);
    read_answer(&mut quick);
    assert_eq!(life_of_client(&server, 0)["request"]["length"], 32);
}

#[test]
fn the_longest_iteration_and_its_longest_step_are_those_of_clients() {
    let root = files();
    let server = start(root.path());
    whole(&server);
    let snapshot = whole(&server);
    for name in ["latest", "longest"] {
        assert_eq!(snapshot.loop_[name]["number"], 0, "{}", snapshot.loop_);
    }
    let mut client = connect(server.address());
    ask(&mut client);
    read_answer(&mut client);
    let snapshot = whole(&server);
    let id = &life_of_client(&server, 0)["connection"];
    for name in ["latest", "longest"] {
        let one = &snapshot.loop_[name];
        assert_eq!(&one["slowest"]["connection"], id, "{one}");
    }
}

/// What a connection did last can be read until its slot is used again.
#[test]
fn the_life_line_of_a_closed_connection_ends_with_its_reason() {
    let root = files();
    let server = start(root.path());
    // It has the first slot, so that it does not take that of the connection that ends.
    let view = connect(server.admin());
    eventually("the view is accepted", || whole(&server).cells.len() == 2);
    let mut closing = connect(server.address());
    closing.write_all(b"GET /small HTTP/1.0\r\n\r\n").unwrap();
    closing.read_to_end(&mut Vec::new()).unwrap();
    drop(closing);
    let ask = "GET /connection?key=1 HTTP/1.0\r\nHost: localhost\r\n\r\n";
    let life: Value = serde_json::from_slice(&exchange(view, ask).body).unwrap();
    assert_eq!(life["open"], false);
    let last = life["transitions"].as_array().unwrap().last().unwrap();
    assert_eq!(last["reason"], "Completed");
}

/// The public cannot lock the operator out, and the operator takes nothing from the public.
#[test]
fn the_operator_has_connections_of_their_own() {
    let root = files();
    let launch = Launch::of(root.path()).with("--admin 127.0.0.1:0 --no-defer-accept");
    let server = launch.with("--max-connections 2").start();
    let mut busy: Vec<_> = (0..2).map(|_| connect(server.address())).collect();
    for stream in &mut busy {
        stream.write_all(b"GET /sm").unwrap();
    }
    eventually("both are open", || whole(&server).cells.len() == 3);
    let mut waiting = connect(server.address());
    waiting.write_all(b"GET /small HTTP/1.0\r\n\r\n").unwrap();
    assert_eq!(whole(&server).loop_["open"], 3);
    // As many views as there may be, and one more, which waits.
    let mut views: Vec<_> = (0..16).map(|_| connect(server.admin())).collect();
    let mut late = connect(server.admin());
    let ask = b"GET /snapshot HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for view in &mut views {
        view.write_all(ask).unwrap();
        view.read_exact(&mut [0]).unwrap();
    }
    late.write_all(ask).unwrap();
    late.set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    assert!(late.read_exact(&mut [0]).is_err(), "the limit holds");
    views.pop();
    late.set_read_timeout(Some(process::TIME_LIMIT)).unwrap();
    late.read_exact(&mut [0]).unwrap();
    // The public has its two connections all the time.
    for mut stream in busy {
        stream.write_all(b"all HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("0123456789"));
    }
    let mut answer = String::new();
    waiting.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("0123456789"));
}

/// It is longer than what is sent at once.
#[test]
fn a_snapshot_of_many_connections_has_24_bytes_for_each() {
    let root = files();
    let server = start(root.path());
    let _all: Vec<_> = (0..2000).map(|_| connect(server.address())).collect();
    eventually("all are in the table", || {
        whole(&server).cells.len() == 2001
    });
    let answer = get(&server, "/snapshot");
    assert!(answer.head.contains("Transfer-Encoding: chunked"));
    let length = u32::from_le_bytes(answer.body[..4].try_into().unwrap()) as usize;
    assert_eq!(answer.body.len(), 4 + length + 2001 * RECORD);
    assert!(length < 2000, "{length}");
}

#[test]
fn a_stopping_server_closes_its_view() {
    let root = files();
    let mut server = start(root.path());
    let _view = connect(server.admin());
    server.signal(rustix::process::Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
}

/// With the keyboard alone, a reader finds the client that does not read.
#[test]
fn the_page_shows_the_connections_and_finds_the_slow_one() {
    if !has("chromium") {
        return;
    }
    let root = files();
    let server = start(root.path());
    let _idle: Vec<_> = (0..40).map(|_| connect(server.address())).collect();
    let mut late = connect(server.address());
    late.write_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    let mut browser = Browser::start();
    browser.show(1280, 900, false);
    browser.open(&format!("http://{}/", server.admin()));
    browser.wait_for("document.querySelector('main').dataset.open >= 42");
    browser.wait_for("document.querySelector('main').dataset.slow == 1");
    browser.wait_for("document.querySelector('main').dataset.you >= 0");
    browser.wait_for("document.querySelector('#slow').innerText.includes('GET /large HTTP/1.1')");
    browser.press("n");
    let chosen = "document.querySelector('#chosen').innerText";
    browser.wait_for(&format!(
        "{chosen}.includes('waits for the client to read')"
    ));
    let heads = "document.querySelector('#heads').innerText";
    browser.wait_for(&format!("{heads}.includes('Content-Length: {LARGE}')"));
    let mut half = connect(server.address());
    half.write_all(b"GET / HT").unwrap();
    browser.wait_for("document.querySelector('#slow').innerText.includes('so far GET / HT')");
    browser.press("n");
    browser.wait_for(&format!("{heads}.includes('Request so far: 8 bytes')"));
    browser.wait_for("document.querySelector('#changes').hidden");
    drop(half);
    browser.wait_for("document.querySelector('main').dataset.slow == 1");
    browser.press("y");
    browser.wait_for(&format!("{chosen}.includes('your own')"));
    // A narrow and dark page shows the same, and nothing is wider than the page.
    browser.show(390, 844, true);
    let width = "document.documentElement.scrollWidth <= 390";
    browser.wait_for(width);
    browser.value("document.querySelector('#grid').focus()");
    browser.press("Home");
    browser.wait_for(&format!("{chosen}.startsWith('Slot 0')"));
    let frames = browser.value("Number(document.querySelector('main').dataset.frames)");
    let more = frames.as_u64().unwrap() + 10;
    browser.wait_for(&format!(
        "document.querySelector('main').dataset.frames > {more}"
    ));
    drop(late);
    browser.wait_for("document.querySelector('main').dataset.slow == 0");
}

#[test]
fn a_browser_sees_what_it_has_sent_and_its_silent_connection() {
    if !has("chromium") {
        return;
    }
    let root = files();
    let server = start(root.path());
    let mut browser = Browser::start();
    browser.show(390, 844, false);
    browser.open(&format!("http://{}/request", server.admin()));
    browser.wait_for("document.querySelector('tr.silent')");
    let lines = "[...document.querySelectorAll('#request code')].map((line) => line.innerText)";
    assert_eq!(
        browser.value(&format!("{lines}[0]")),
        "GET /request HTTP/1.1CRLF"
    );
    let host = format!("Host: {}CRLF", server.admin());
    browser.wait_for(&format!("{lines}.includes('{host}')"));
    assert_eq!(browser.value(&format!("{lines}.at(-1)")), "CRLF");
    browser.wait_for("document.querySelector('#response').innerText.includes('HTTP/1.1 200 OK')");
    browser.wait_for("document.documentElement.scrollWidth <= 390");
    browser.wait_for("document.querySelector('#list').innerText.includes('brought this page')");
}

/// With the keyboard: `p` pauses, `s` steps.
#[test]
fn the_page_pauses_the_loop_and_takes_a_step() {
    if !has("chromium") {
        return;
    }
    let root = files();
    let server = start(root.path());
    let mut client = connect(server.address());
    ask(&mut client);
    read_answer(&mut client);
    let mut browser = Browser::start();
    browser.show(1280, 900, false);
    browser.open(&format!("http://{}/", server.admin()));
    browser.wait_for("document.querySelector('main').dataset.open >= 2");
    browser.press("p");
    let health = "document.querySelector('#health').innerText";
    browser.wait_for(&format!("{health}.startsWith('paused')"));
    ask(&mut client);
    assert!(is_silent(&mut client));
    browser.press("s");
    read_answer(&mut client);
    let records = "document.querySelector('#records').innerText";
    browser.wait_for(&format!("{records}.includes('GET /small HTTP/1.1')"));
    ask(&mut client);
    assert!(is_silent(&mut client));
    browser.press("p");
    read_answer(&mut client);
    browser.wait_for(&format!("{health}.startsWith('live')"));
    // What it has seen is played again.
    browser.value("document.querySelector('#latest-records').click()");
    browser.wait_for(&format!("{health}.startsWith('replay')"));
    browser.wait_for(&format!("{records}.includes('GET /small HTTP/1.1')"));
    browser.value("document.querySelector('#live').click()");
    browser.wait_for(&format!("{health}.startsWith('live')"));
    // The page is closed while the loop is paused.
    browser.press("p");
    browser.wait_for(&format!("{health}.startsWith('paused')"));
    ask(&mut client);
    drop(browser);
    read_answer(&mut client);
}

/// Chooses a file in the page.
fn choose_file(browser: &mut Browser, path: &Path) {
    let document = browser.call("DOM.getDocument", json!({}));
    let find = json!({"nodeId": document["root"]["nodeId"], "selector": "#file"});
    let node = browser.call("DOM.querySelector", find);
    let files = json!({"files": [path], "nodeId": node["nodeId"]});
    browser.call("DOM.setFileInputFiles", files);
}

/// The trace of one request, in the format json, as the server writes it.
fn recorded(root: &Path, path: &Path) -> Vec<Value> {
    let launch = Launch::of(root).with("--trace-format json --no-defer-accept");
    let mut server = launch.arg("--trace").arg(path).start();
    let mut client = connect(server.address());
    ask(&mut client);
    read_answer(&mut client);
    let mut silent = connect(server.address());
    server.signal(rustix::process::Signal::TERM);
    let _ = silent.read_to_end(&mut Vec::new());
    drop((client, silent));
    server.wait();
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn the_page_replays_a_recorded_trace_step_by_step() {
    if !has("chromium") {
        return;
    }
    let root = files();
    let trace = root.path().join("trace.json");
    let records = recorded(root.path(), &trace);
    let server = start(root.path());
    let mut browser = Browser::start();
    browser.show(1280, 900, false);
    browser.open(&format!("http://{}/", server.admin()));
    browser.wait_for("document.querySelector('main').dataset.frames > 3");
    choose_file(&mut browser, &trace);
    let record =
        |number: usize| format!("document.querySelector('main').dataset.record == {number}");
    browser.wait_for(&record(0));
    // To the state change after the response, one record at a time.
    let sent = (records.iter())
        .position(|one| one["call"] == "->" && one["from"] == "WritingHeader")
        .unwrap();
    for _ in 0..=sent {
        browser.press("s");
    }
    browser.wait_for(&record(sent + 1));
    let current = "document.querySelector('#records [aria-current]').innerText";
    browser.wait_for(&format!("{current}.includes('Reading (send)')"));
    let detail = "document.querySelector('#detail').innerText";
    browser.wait_for(&format!("{detail}.includes('GET /small HTTP/1.1')"));
    browser.wait_for(&format!("{detail}.includes('WritingHeader → Reading')"));
    // And back: its request is not there yet.
    browser.value("document.querySelector('#back-iteration').click()");
    browser.value("document.querySelector('#back-iteration').click()");
    let steps = format!("{current}.includes('end')");
    browser.wait_for(&steps);
    for _ in 0..3 {
        browser.press("b");
    }
    // To the end, at once.
    browser.value("document.querySelector('#speed').value = '10'");
    browser.value("document.querySelector('#speed').dispatchEvent(new Event('change'))");
    browser.press("p");
    browser.wait_for(&record(records.len()));
    browser.wait_for("document.querySelector('main').dataset.open == 0");
    browser.wait_for("document.querySelector('#play').innerText == 'Play'");
    // In one expression: each frame sets the slider.
    let scrub = "document.querySelector('#scrub')";
    browser.value(&format!(
        "{scrub}.value = 1, {scrub}.dispatchEvent(new Event('input'))"
    ));
    browser.wait_for(&record(1));
    browser.show(390, 844, true);
    browser.wait_for("document.documentElement.scrollWidth <= 390");
    browser.value("document.querySelector('#live').click()");
    browser.wait_for("document.querySelector('main').dataset.source == 'live'");
    browser.wait_for("document.querySelector('main').dataset.you >= 0");
}

#[test]
fn a_file_that_is_no_trace_is_named_with_its_line_and_what_is_wrong() {
    if !has("chromium") {
        return;
    }
    let root = files();
    let server = start(root.path());
    let mut browser = Browser::start();
    browser.open(&format!("http://{}/", server.admin()));
    browser.wait_for("document.querySelector('main').dataset.frames > 3");
    let good = r#"{"us":1.0,"iteration":1,"call":"poll","events":0,"waited_us":1.0}"#;
    for (second, why) in [
        ("nonsense", "line 2 is no record"),
        ("{\"us\":1,\"call\":\"dance\"}", "unknown call \"dance\""),
        ("{\"call\":\"poll\"}", "it has no time"),
        (
            "{\"us\":1,\"call\":\"recv\"}",
            "recv without \"connection\"",
        ),
        (
            "{\"us\":1,\"connection\":1,\"call\":\"->\",\"from\":\"Nowhere\",\"to\":\"Reading\"}",
            "unknown state \"Nowhere\"",
        ),
    ] {
        let path = root.path().join("bad");
        std::fs::write(&path, format!("{good}\n{second}\n")).unwrap();
        choose_file(&mut browser, &path);
        let message = "document.querySelector('#message').innerText";
        let why = json!(why);
        browser.wait_for(&format!(
            "{message}.startsWith('bad cannot be replayed: line 2') && {message}.includes({why})"
        ));
    }
    let source = browser.value("document.querySelector('main').dataset.source");
    assert_eq!(source, "live", "the view goes on");
}
