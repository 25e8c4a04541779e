//! The load generator against small servers that count on their own side: both must have counted
//! the same. `oneloop bench selftest` tests times and rates.
#![cfg(feature = "bench")]

use oneloop::bench::types::{
    Arrivals, Behavior, ClientStats, Fault, Group, Load, Outcome, Page, body_hash,
};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

const MS: u64 = 1_000_000;
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
/// A body of a length of which only one in 64 is compared.
const LONG: [u8; 1000] = [b'x'; 1000];

/// The response to the request with this number, from 1; `None` closes the connection.
type Respond = fn(u64) -> Option<Vec<u8>>;

/// A change that makes a load invalid.
type Change = fn(&mut Load);

/// What a server has counted.
#[derive(Debug, Default)]
struct Log {
    connections: u64,
    requests: u64,
    /// The bytes received on the latest connection.
    bytes: Vec<u8>,
}

/// Starts a server in a thread.
fn server(respond: Respond) -> (SocketAddr, Arc<Mutex<Log>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let log = Arc::new(Mutex::new(Log::default()));
    let kept = log.clone();
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let log = log.clone();
            thread::spawn(move || serve(client, &log, respond));
        }
    });
    (address, kept)
}

fn serve(mut client: TcpStream, log: &Mutex<Log>, respond: Respond) {
    {
        let mut log = log.lock().unwrap();
        log.connections += 1;
        log.bytes.clear();
    }
    let mut head = Vec::new();
    let mut byte = [0; 1024];
    while let Ok(length @ 1..) = client.read(&mut byte) {
        head.extend_from_slice(&byte[..length]);
        log.lock().unwrap().bytes.extend_from_slice(&byte[..length]);
        while let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") {
            head.drain(..end + 4);
            let number = {
                let mut log = log.lock().unwrap();
                log.requests += 1;
                log.requests
            };
            let Some(response) = respond(number) else {
                return;
            };
            if client.write_all(&response).is_err() {
                return;
            }
        }
    }
}

fn correct(_: u64) -> Option<Vec<u8>> {
    Some(RESPONSE.to_vec())
}

fn page() -> Page {
    Page {
        path: "/hello".to_owned(),
        status: 200,
        length: Some(5),
        hash: Some(body_hash(b"hello")),
    }
}

fn load(target: SocketAddr, connections: u32, behavior: Behavior) -> Load {
    Load {
        warm_up: 20 * MS,
        drain: 2000 * MS,
        groups: vec![Group {
            name: "main".to_owned(),
            connections,
            behavior,
            page: Some(page()),
        }],
        ..Load::new(target, 200 * MS)
    }
}

fn start(text: &str) -> Child {
    let mut generator = Command::new(env!("CARGO_BIN_EXE_oneloop"))
        .args(["bench", "generate"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = generator.stdin.take().unwrap();
    stdin.write_all(text.as_bytes()).unwrap();
    drop(stdin);
    generator
}

fn generate(text: &str) -> Output {
    start(text).wait_with_output().unwrap()
}

fn outcome(load: &Load) -> Outcome {
    let output = generate(&serde_json::to_string(load).unwrap());
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The statistics of the only group.
fn stats(load: &Load) -> ClientStats {
    outcome(load).groups.pop().unwrap()
}

#[test]
fn a_closed_loop_and_the_server_count_the_same() {
    let (address, log) = server(correct);
    let stats = stats(&load(address, 3, Behavior::Closed));
    let log = log.lock().unwrap();
    assert_eq!(stats.errors, [].into());
    assert_eq!(stats.connections, (3, 3));
    let totals = stats.totals;
    assert_eq!(
        (totals.requests, totals.responses),
        (log.requests, log.requests)
    );
    assert_eq!(totals.body_bytes, 5 * log.requests);
    assert_eq!((totals.connections, log.connections), (3, 3));
    assert!(stats.responses > 0 && stats.responses < totals.responses);
    assert_eq!(stats.responses, stats.shares.iter().sum::<u64>());
    let buckets = stats.time_series.iter().map(|bucket| bucket.responses);
    assert_eq!(stats.responses, buckets.sum::<u64>());
}

#[test]
fn each_short_request_has_a_connection_of_its_own() {
    let (address, log) = server(correct);
    let stats = stats(&load(address, 3, Behavior::Short));
    assert_eq!(stats.errors, [].into());
    let log = log.lock().unwrap();
    let counts = (stats.totals.connections, stats.totals.responses);
    assert_eq!(counts, (log.requests, log.requests));
    assert_eq!(log.connections, log.requests);
}

/// The due times are computed, so their number is exact on a slow machine, too.
#[test]
fn the_rate_of_an_open_loop_decides_how_many_requests_are_due() {
    let (address, log) = server(correct);
    let behavior = Behavior::Open {
        rate: 1000.0,
        arrivals: Arrivals::Constant,
        max_waiting: 10_000,
    };
    let stats = stats(&load(address, 4, behavior));
    assert!((200..=201).contains(&stats.due), "{}", stats.due);
    assert_eq!((stats.dropped, &stats.errors), (0, &[].into()));
    assert_eq!(stats.totals.responses, log.lock().unwrap().requests);
}

/// Two requests are outstanding, five wait, and the others are dropped.
#[test]
fn an_open_loop_drops_what_cannot_wait_and_a_request_without_a_response_is_missing() {
    let (address, _) = server(|_| Some(Vec::new()));
    let behavior = Behavior::Open {
        rate: 1000.0,
        arrivals: Arrivals::Constant,
        max_waiting: 5,
    };
    let mut load = load(address, 2, behavior);
    load.drain = 50 * MS;
    let stats = stats(&load);
    assert_eq!(
        stats.dropped, stats.due,
        "the first seven were due before the measurement"
    );
    assert_eq!(stats.errors, [(Fault::Missing, 7)].into());
}

#[test]
fn the_first_of_64_long_bodies_is_compared() {
    let (address, log) = server(|_| {
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";
        Some([&head[..], &LONG].concat())
    });
    let mut load = load(address, 1, Behavior::Closed);
    let page = load.groups[0].page.as_mut().unwrap();
    (page.length, page.hash) = (Some(1000), Some(body_hash(&LONG) + 1));
    let stats = stats(&load);
    let requests = log.lock().unwrap().requests;
    let expected = [(Fault::Content, requests.div_ceil(64))];
    assert_eq!(stats.errors, expected.into(), "of {requests}");
}

/// The pauses are 1 ms, 2 ms, 4 ms and so on.
#[test]
fn reconnects_to_a_server_that_closes_at_once_are_paced() {
    let behaviors = [
        Behavior::Open {
            rate: 1.0,
            arrivals: Arrivals::Constant,
            max_waiting: 1,
        },
        Behavior::Closed,
        Behavior::Silent,
    ];
    for behavior in behaviors {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(Mutex::new(0));
        let counted = connections.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                *counted.lock().unwrap() += 1;
                drop(client);
            }
        });
        let mut load = load(address, 2, behavior);
        load.drain = 20 * MS;
        stats(&load);
        let most = 2 * 20;
        let count = *connections.lock().unwrap();
        assert!((4..=most).contains(&count), "{behavior:?}: {count}");
    }
}

#[test]
fn requests_that_wait_at_the_end_are_sent_even_if_the_server_closes_each_connection() {
    let (address, log) = server(|_| {
        let response = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello";
        Some(response.to_vec())
    });
    let behavior = Behavior::Open {
        rate: 50_000.0,
        arrivals: Arrivals::Constant,
        max_waiting: 100,
    };
    let mut load = load(address, 1, behavior);
    // The drain ends as soon as nothing is outstanding.
    load.drain = 60_000 * MS;
    let stats = stats(&load);
    assert!(stats.dropped > 0, "requests must wait at the end");
    assert_eq!(stats.errors, [].into());
    assert_eq!(stats.totals.responses, log.lock().unwrap().requests);
}

#[test]
fn a_signal_ends_the_load_early_and_the_outcome_reports_it() {
    for signal in ["HUP", "INT", "QUIT", "TERM"] {
        let (address, log) = server(correct);
        let mut load = load(address, 1, Behavior::Closed);
        load.measure = 600_000 * MS;
        let generator = start(&serde_json::to_string(&load).unwrap());
        while log.lock().unwrap().requests == 0 {
            thread::sleep(std::time::Duration::from_millis(5));
        }
        let sent = Command::new("kill")
            .args(["-s", signal, &generator.id().to_string()])
            .status();
        let output = generator.wait_with_output().unwrap();
        assert!(sent.unwrap().success(), "{signal}");
        let outcome: Outcome = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(outcome.problems, ["a signal ended the generator early"]);
        assert!(outcome.measured < load.measure, "{}", outcome.measured);
        // Nothing is expected after the signal.
        let stats = &outcome.groups[0];
        assert_eq!(stats.errors, [].into());
        assert!(stats.silence <= outcome.measured, "{}", stats.silence);
    }
}

#[test]
fn without_a_listener_no_connection_is_made_and_each_attempt_is_an_error() {
    let unused = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let outcome = outcome(&load(unused, 5, Behavior::Closed));
    let stats = &outcome.groups[0];
    assert_eq!(stats.connections, (5, 0));
    assert!(stats.errors[&Fault::Connect] >= 5, "{stats:?}");
    assert_eq!((stats.responses, stats.totals.connections), (0, 0));
    assert_eq!(outcome.problems.len(), 1, "{:?}", outcome.problems);
}

#[test]
fn a_silent_client_sends_nothing() {
    let (address, log) = server(correct);
    let silent = stats(&load(address, 8, Behavior::Silent));
    assert_eq!((silent.connections, silent.errors), ((8, 8), [].into()));
    assert_eq!(log.lock().unwrap().bytes, b"");
}

#[test]
fn a_slow_reader_reads_no_faster_than_its_rate() {
    let (address, _) = server(|_| {
        let mut response = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n".to_vec();
        response.resize(response.len() + 1_000_000, b'x');
        Some(response)
    });
    let behavior = Behavior::SlowRead {
        rate: 10_000.0,
        buffer: 4096,
    };
    let mut load = load(address, 2, behavior);
    load.groups[0].page.as_mut().unwrap().length = Some(1_000_000);
    let stats = stats(&load);
    let most = 2 * 10_000 * (220 + 40) / 1000;
    assert!((1..=most).contains(&stats.totals.body_bytes), "{stats:?}");
    assert_eq!((stats.totals.requests, &stats.errors), (2, &[].into()));
}

#[test]
fn an_invalid_load_is_an_error_with_the_reason() {
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let good = load(address, 1, Behavior::Silent);
    let bad: [(Change, &str); 8] = [
        (
            |load| load.measure = 0,
            "the measurement must take longer than 0",
        ),
        (|load| load.measure = u64::MAX, "must each be at most a day"),
        (|load| load.drain = u64::MAX, "must each be at most a day"),
        (
            |load| {
                let (rate, arrivals) = (1e7, Arrivals::Poisson);
                load.groups[0].behavior = Behavior::Open {
                    rate,
                    arrivals,
                    max_waiting: 1,
                };
            },
            "the rate must be",
        ),
        (|load| load.groups.clear(), "1 to 1000000 connections"),
        (
            |load| {
                let (rate, buffer) = (0.0, 4096);
                load.groups[0].behavior = Behavior::SlowRead { rate, buffer };
            },
            "the rate must be",
        ),
        (
            |load| {
                load.groups[0].behavior = Behavior::Closed;
                load.groups[0].page = None;
            },
            "there is no page to request",
        ),
        (
            |load| load.groups[0].page.as_mut().unwrap().path = "/a b".to_owned(),
            "cannot be in a request line",
        ),
    ];
    for (change, why) in bad {
        let mut load = good.clone();
        change(&mut load);
        let output = generate(&serde_json::to_string(&load).unwrap());
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(why), "{stderr}");
    }
    let stderr = generate("hello").stderr;
    assert!(stderr.starts_with(b"oneloop: not a load: "));
}
