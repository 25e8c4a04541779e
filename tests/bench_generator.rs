//! The load generator against small servers of a few lines that keep their own count: both must agree
//! to the last request. How fast it is, is the business of `oneloop bench selftest`.
#![cfg(feature = "bench")]

use oneloop::bench::load::{
    Arrivals, Behavior, ClientStats, Closer, Fault, Group, Load, Outcome, Page, body_hash,
};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

const MS: u64 = 1_000_000;
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
/// A body that is too long for all of them to be compared.
const LONG: [u8; 1000] = [b'x'; 1000];

/// What a server makes of the number of a request, from 1; `None` closes.
type Answer = fn(u64) -> Option<Vec<u8>>;

/// A change that makes a load wrong.
type Change = fn(&mut Load);

/// What a server has seen.
#[derive(Debug, Default)]
struct Log {
    connections: u64,
    requests: u64,
    /// All that came on the latest connection.
    bytes: Vec<u8>,
}

/// A server.
fn server(answer: Answer) -> (SocketAddr, Arc<Mutex<Log>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let log = Arc::new(Mutex::new(Log::default()));
    let kept = log.clone();
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let log = log.clone();
            thread::spawn(move || serve(client, &log, answer));
        }
    });
    (address, kept)
}

fn serve(mut client: TcpStream, log: &Mutex<Log>, answer: Answer) {
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
            let asked = String::from_utf8(head.drain(..end + 4).collect()).unwrap();
            let number = {
                let mut log = log.lock().unwrap();
                log.requests += 1;
                log.requests
            };
            let Some(answer) = answer(number) else {
                return;
            };
            if client.write_all(&answer).is_err() || asked.contains("Connection: close") {
                return;
            }
        }
    }
}

fn right(_: u64) -> Option<Vec<u8>> {
    Some(ANSWER.to_vec())
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
        target,
        source: None,
        server: None,
        processor: None,
        seed: 1,
        warm_up: 20 * MS,
        measure: 200 * MS,
        drain: 2000 * MS,
        stall: None,
        groups: vec![Group {
            name: "main".to_owned(),
            connections,
            behavior,
            pages: vec![page()],
        }],
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

/// What the only group has seen.
fn seen(load: &Load) -> ClientStats {
    outcome(load).groups.pop().unwrap()
}

/// Red with a request that is not counted, and with an answer that is counted twice.
#[test]
fn a_closed_loop_and_the_server_count_the_same() {
    for depth in [1, 4] {
        let (address, log) = server(right);
        let seen = seen(&load(address, 3, Behavior::Closed { depth }));
        let log = log.lock().unwrap();
        assert_eq!(seen.errors, [].into());
        assert_eq!(seen.connections, (3, 3));
        let whole = seen.whole;
        assert_eq!(
            (whole.requests, whole.answers),
            (log.requests, log.requests)
        );
        assert_eq!(whole.body_bytes, 5 * log.requests);
        assert_eq!((whole.connections, log.connections), (3, 3));
        assert!(seen.answers > 0 && seen.answers < whole.answers);
        assert_eq!(seen.answers, seen.shares.iter().sum::<u64>());
        assert_eq!(
            seen.answers,
            seen.course.iter().map(|row| row.answers).sum::<u64>()
        );
    }
}

/// Red if an answer that announces nothing ends the connection, and the other way round.
#[test]
fn each_request_has_a_connection_of_its_own_whoever_closes() {
    for closer in [Closer::Client, Closer::Server] {
        let (address, log) = server(right);
        let seen = seen(&load(address, 3, Behavior::Short { closer, resets: 0 }));
        assert_eq!(seen.errors, [].into(), "{closer:?}");
        let log = log.lock().unwrap();
        let counts = (seen.whole.connections, seen.whole.answers);
        assert_eq!(counts, (log.requests, log.requests), "{closer:?}");
        assert_eq!(log.connections, log.requests, "{closer:?}");
    }
}

/// The times are computed, so their number is exact however slow the machine is. Red with a rate that
/// is too high by one in a hundred.
#[test]
fn an_open_loop_has_as_many_requests_due_as_its_rate_says() {
    let (address, log) = server(right);
    let behavior = Behavior::Open {
        rate: 1000.0,
        arrivals: Arrivals::Constant,
        most_waiting: 10_000,
    };
    let seen = seen(&load(address, 4, behavior));
    assert!((200..=201).contains(&seen.due), "{}", seen.due);
    assert_eq!((seen.dropped, &seen.errors), (0, &[].into()));
    assert_eq!(seen.whole.answers, log.lock().unwrap().requests);
}

/// One request waits for each connection, five wait for those, and the rest are dropped. Red without
/// the bound, and with a request that is forgotten.
#[test]
fn what_an_open_loop_cannot_send_is_dropped_and_what_is_never_answered_is_missing() {
    let (address, _) = server(|_| Some(Vec::new()));
    let behavior = Behavior::Open {
        rate: 1000.0,
        arrivals: Arrivals::Constant,
        most_waiting: 5,
    };
    let mut load = load(address, 2, behavior);
    load.drain = 50 * MS;
    let seen = seen(&load);
    assert_eq!(
        seen.dropped, seen.due,
        "the first seven were due before the measurement"
    );
    assert_eq!(seen.errors, [(Fault::Missing, 7)].into());
}

/// Red if an error is counted as another, or not at all.
#[test]
fn answers_that_are_wrong_are_counted_by_kind() {
    let answers: [(Fault, Answer); 7] = [
        (Fault::Status, |_| {
            Some(b"HTTP/1.1 500 No\r\nContent-Length: 5\r\n\r\nhello".to_vec())
        }),
        (Fault::Length, |_| {
            Some(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhell".to_vec())
        }),
        (Fault::Content, |_| {
            Some(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhallo".to_vec())
        }),
        (Fault::Truncated, |number| match number % 2 {
            1 => Some(
                b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhe".to_vec(),
            ),
            _ => None,
        }),
        (Fault::Closed, |_| None),
        (Fault::Malformed, |_| Some(b"220 ready\r\n\r\n".to_vec())),
        (Fault::Unasked, |_| Some([ANSWER, ANSWER].concat())),
    ];
    for (fault, answer) in answers {
        let (address, log) = server(answer);
        let depth = if fault == Fault::Truncated { 2 } else { 1 };
        let seen = seen(&load(address, 1, Behavior::Closed { depth }));
        let log = log.lock().unwrap();
        let mut errors = seen.errors.clone();
        let count = errors.remove(&fault).unwrap_or(0);
        match fault {
            // The second of two requests was never begun.
            Fault::Truncated => assert_eq!(errors.remove(&Fault::Closed), Some(count)),
            _ => assert_eq!(count, log.requests, "{fault:?}"),
        }
        assert_eq!(errors, [].into(), "{fault:?}");
        assert_eq!(seen.answers > 0, fault == Fault::Unasked, "{fault:?}");
    }
}

/// Red if another number is compared, and if none is.
#[test]
fn of_long_bodies_one_in_64_is_compared_and_the_first_is() {
    let (address, log) = server(|_| {
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";
        Some([&head[..], &LONG].concat())
    });
    let mut load = load(address, 1, Behavior::Closed { depth: 1 });
    let page = &mut load.groups[0].pages[0];
    (page.length, page.hash) = (Some(1000), Some(body_hash(&LONG) + 1));
    let seen = seen(&load);
    let requests = log.lock().unwrap().requests;
    let wanted = [(Fault::Content, requests.div_ceil(64))];
    assert_eq!(seen.errors, wanted.into(), "of {requests}");
}

/// It comes back after a millisecond, two, four. Red if it comes back at once.
#[test]
fn a_server_that_closes_at_once_is_not_stormed() {
    let behaviors = [
        Behavior::Open {
            rate: 1.0,
            arrivals: Arrivals::Constant,
            most_waiting: 1,
        },
        Behavior::Closed { depth: 1 },
        Behavior::Silent,
        Behavior::Drip { rate: 1.0 },
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
        seen(&load);
        let most = 2 * 20;
        let count = *connections.lock().unwrap();
        assert!((4..=most).contains(&count), "{behavior:?}: {count}");
    }
}

/// Red if nobody connects any more once the measurement is over.
#[test]
fn what_was_due_in_time_is_sent_even_if_the_server_closes_each_connection() {
    let (address, log) = server(|_| {
        let answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello";
        Some(answer.to_vec())
    });
    let behavior = Behavior::Open {
        rate: 50_000.0,
        arrivals: Arrivals::Constant,
        most_waiting: 100,
    };
    let mut load = load(address, 1, behavior);
    // It ends as soon as nothing is owed.
    load.drain = 60_000 * MS;
    let seen = seen(&load);
    assert!(seen.dropped > 0, "so that somebody waits at the end");
    assert_eq!(seen.errors, [].into());
    assert_eq!(seen.whole.answers, log.lock().unwrap().requests);
}

/// Whether a process is stopped by a signal (proc_pid_stat(5)).
#[cfg(target_os = "linux")]
fn is_stopped(process: u32) -> bool {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    text.rsplit_once(')').unwrap().1.trim().starts_with('T')
}

/// Red if the signal ends the generator as it ends others.
#[cfg(target_os = "linux")]
#[test]
fn whichever_signal_ends_it_the_server_goes_on_and_the_outcome_says_so() {
    let (address, _) = server(right);
    for signal in ["HUP", "INT", "QUIT", "TERM"] {
        let mut stopped = Command::new("sleep").arg("600").spawn().unwrap();
        let mut load = load(address, 1, Behavior::Closed { depth: 1 });
        (load.measure, load.stall) = (600_000 * MS, Some((0, 500_000 * MS)));
        load.server = Some(stopped.id());
        let generator = start(&serde_json::to_string(&load).unwrap());
        let patience = std::time::Duration::from_millis(10);
        let wait_until = |wanted| {
            (0..1000).any(|_| {
                thread::sleep(patience);
                is_stopped(stopped.id()) == wanted
            })
        };
        let was_stopped = wait_until(true);
        let told = Command::new("kill")
            .args(["-s", signal, &generator.id().to_string()])
            .status();
        let output = generator.wait_with_output().unwrap();
        let goes_on = wait_until(false);
        stopped.kill().unwrap();
        stopped.wait().unwrap();
        assert!(
            was_stopped && told.unwrap().success() && goes_on,
            "{signal}"
        );
        let outcome: Outcome = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(outcome.problems, ["a signal ended it before its time"]);
        assert!(outcome.measured < load.measure, "{}", outcome.measured);
        assert_eq!(outcome.accounts, None);
    }
}

/// Red without the failed attempts in the count.
#[test]
fn where_nobody_listens_no_connection_is_made_and_that_is_said() {
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let outcome = outcome(&load(nobody, 5, Behavior::Closed { depth: 1 }));
    let seen = &outcome.groups[0];
    assert_eq!(seen.connections, (5, 0));
    assert!(seen.errors[&Fault::Connect] >= 5, "{seen:?}");
    assert_eq!((seen.answers, seen.whole.connections), (0, 0));
    assert_eq!(outcome.problems.len(), 1, "{:?}", outcome.problems);
}

/// Red if silent ones say something, and if the drip ends its head.
#[test]
fn who_is_silent_says_nothing_and_who_drips_never_ends() {
    let (address, log) = server(right);
    let silent = seen(&load(address, 8, Behavior::Silent));
    assert_eq!((silent.connections, silent.errors), ((8, 8), [].into()));
    assert_eq!(log.lock().unwrap().bytes, b"");

    let drip = seen(&load(address, 1, Behavior::Drip { rate: 1000.0 }));
    assert_eq!((drip.answers, drip.errors), (0, [].into()));
    let log = log.lock().unwrap();
    let text = b"GET / HTTP/1.1\r\nHost: drip\r\nX-Drip: drop\r\nX-Drip: drop\r\n";
    let length = log.bytes.len().min(text.len());
    assert!(length > 20, "{length}");
    assert_eq!(log.bytes[..length], text[..length]);
    assert_eq!(log.requests, 0);
}

/// Red if it reads when something has come, and not when it is time.
#[test]
fn a_slow_reader_takes_no_more_than_its_rate() {
    let (address, _) = server(|_| {
        let mut answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n".to_vec();
        answer.resize(answer.len() + 1_000_000, b'x');
        Some(answer)
    });
    let behavior = Behavior::SlowRead {
        rate: 10_000.0,
        buffer: 4096,
    };
    let mut load = load(address, 2, behavior);
    load.groups[0].pages[0].length = Some(1_000_000);
    let seen = seen(&load);
    let most = 2 * 10_000 * (220 + 40) / 1000;
    assert!((1..=most).contains(&seen.whole.body_bytes), "{seen:?}");
    assert_eq!((seen.whole.requests, &seen.errors), (2, &[].into()));
}

#[test]
fn what_is_no_load_is_an_error_that_says_why() {
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let good = load(address, 1, Behavior::Silent);
    let bad: [(Change, &str); 14] = [
        (|load| load.measure = 0, "nothing is measured in no time"),
        (|load| load.measure = u64::MAX, "may take a day each"),
        (|load| load.drain = u64::MAX, "may take a day each"),
        (
            |load| load.groups = vec![load.groups[0].clone(); 1001],
            "1001 groups",
        ),
        (|load| load.stall = Some((0, MS)), "no process to stop"),
        (
            |load| (load.server, load.stall) = (Some(99_999), Some((u64::MAX, MS))),
            "does not end within the measurement",
        ),
        (|load| load.server = Some(0), "process 0 is no server"),
        (|load| load.server = Some(u32::MAX), "is no server"),
        (
            |load| load.groups[0].behavior = Behavior::Closed { depth: 1001 },
            "a depth of 1001",
        ),
        (
            |load| {
                load.groups[0].behavior = Behavior::Open {
                    rate: 1e7,
                    arrivals: Arrivals::Poisson,
                    most_waiting: 1,
                };
            },
            "10000000 a second is no rate",
        ),
        (|load| load.groups.clear(), "0 connections"),
        (
            |load| load.groups[0].behavior = Behavior::Drip { rate: 0.0 },
            "0 a second is no rate",
        ),
        (
            |load| {
                load.groups[0].behavior = Behavior::Closed { depth: 1 };
                load.groups[0].pages.clear();
            },
            "no page to ask for",
        ),
        (
            |load| load.groups[0].pages[0].path = "/a b".to_owned(),
            "is no path for a request line",
        ),
    ];
    for (change, why) in bad {
        let mut load = good.clone();
        change(&mut load);
        let output = generate(&serde_json::to_string(&load).unwrap());
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(why), "{said}");
    }
    let said = generate("hello").stderr;
    assert!(said.starts_with(b"oneloop: this is no load: "));
}
