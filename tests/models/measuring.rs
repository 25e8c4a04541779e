//! What the benchmark needs from the server: the tally and the CPU burner.

use crate::client::{Client, StreamEnd, get};
use crate::process::{Launch, Server, available, eventually, site};
use crate::{EVERY, PREFORK, REACTORS, assert_served, small};
use rustix::process::Signal;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

const LARGE: u64 = 50 * 1024 * 1024;

/// The sum of all lines: connections, responses, bytes of bodies; and how many lines there are.
fn sum(tally: &Path) -> ([u64; 3], usize) {
    let text = fs::read_to_string(tally).unwrap();
    let mut sum = [0; 3];
    for line in text.lines() {
        let rest = line.strip_prefix("{\"connections\":").expect(line);
        let (connections, rest) = rest.split_once(",\"responses\":").expect(line);
        let (responses, rest) = rest.split_once(",\"body_bytes\":").expect(line);
        let numbers = [connections, responses, rest.strip_suffix('}').expect(line)];
        for (all, number) in sum.iter_mut().zip(numbers) {
            *all += number.parse::<u64>().unwrap();
        }
    }
    (sum, text.lines().count())
}

#[track_caller]
fn stop(mut server: Server) {
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
}

/// Fails if refused requests are not counted, if the parent of the processes writes a line, and if
/// a body is counted again when its connection ends.
#[test]
fn the_tally_has_every_connection_every_response_and_every_byte() {
    let root = site(&[("small", b"small"), ("page", &[b'p'; 20_000])]);
    for model in available(&EVERY) {
        let directory = tempfile::tempdir().unwrap();
        let tally = directory.path().join("tally");
        let launch = Launch::of(&root).with(&format!("--model {model}"));
        let server = launch.arg("--tally").arg(&tally).start();
        let mut bytes = 0;
        let mut count = |body: &[u8]| bytes += body.len() as u64;
        let mut client = Client::of(&server);
        for path in ["/small", "/page", "/missing", "/small"] {
            count(&client.fetch(path).body);
        }
        client.send("HEAD /page HTTP/1.1\r\nHost: test\r\n\r\n");
        assert!(client.read_head().starts_with("HTTP/1.1 200 "));
        client.send(get("/small").repeat(3));
        (0..3).for_each(|_| count(&client.read_response().body));
        drop(client);
        let mut wrong = Client::with_request(&server, "no request\r\n\r\n");
        let response = wrong.read_response();
        assert_eq!(response.status(), 400);
        count(&response.body);
        wrong.expect_end();
        drop(wrong);
        // A listing is made while it is sent.
        let mut old = Client::with_request(&server, "GET / HTTP/1.0\r\n\r\n");
        old.read_head();
        count(&old.read_to_end().0);
        drop(old);
        // A connection without a request.
        drop(Client::with_request(&server, "GET /sm"));
        assert_served(&mut Client::of(&server));
        count(b"small");
        stop(server);
        let (sum, lines) = sum(&tally);
        assert_eq!(sum, [5, 11, bytes], "{model}");
        let expected = match model {
            "process" => 5..=5,
            // As many as have served a connection.
            PREFORK | REACTORS | "thread" | "thread-reuse" | "pool" => 1..=5,
            _ => 1..=1,
        };
        assert!(expected.contains(&lines), "{model}: {lines}");
    }
}

/// The access log has the bytes that the server has sent. Fails if the whole length is counted at
/// once, and if `on_close` does nothing.
#[test]
fn the_tally_counts_the_bytes_that_were_sent_of_an_aborted_body() {
    let root = site(&[("small", b"small")]);
    let large = fs::File::create(root.path().join("large")).unwrap();
    large.set_len(LARGE).unwrap();
    for model in available(&EVERY) {
        let directory = tempfile::tempdir().unwrap();
        let (tally, log) = (directory.path().join("tally"), directory.path().join("log"));
        let launch = Launch::of(&root).with(&format!("--model {model} --log-format json"));
        let launch = launch.arg("--tally").arg(&tally);
        let server = launch.arg("--log-file").arg(&log).start();
        let mut client = Client::with_request(&server, get("/large"));
        client.read_head();
        client.read(&mut [0; 1000]).unwrap();
        client.reset();
        let logged = || {
            let text = fs::read_to_string(&log).unwrap();
            let (_, rest) = text.split_once("\"bytes\":")?;
            rest.split(',').next()?.parse::<u64>().ok()
        };
        eventually("it is logged", || logged().is_some());
        stop(server);
        let sent = logged().unwrap();
        assert!((1000..LARGE).contains(&sent), "{model}: {sent}");
        assert_eq!(sum(&tally), ([1, 1, sent], 1), "{model}");
    }
}

/// Fails if an aborted connection keeps the handler alive, so that no line is written.
#[test]
fn a_tally_is_written_also_after_the_grace_period() {
    let root = site(&[]);
    let large = fs::File::create(root.path().join("large")).unwrap();
    large.set_len(LARGE).unwrap();
    for model in available(&EVERY) {
        let directory = tempfile::tempdir().unwrap();
        let tally = directory.path().join("tally");
        let launch = Launch::of(&root).with(&format!("--model {model} --grace 0.2"));
        let server = launch.arg("--tally").arg(&tally).start();
        let mut client = Client::with_request(&server, get("/large"));
        client.read_head();
        stop(server);
        let (rest, end) = client.read_to_end();
        assert_eq!(end, StreamEnd::Reset, "{model}");
        let ([connections, responses, bytes], _) = sum(&tally);
        assert_eq!((connections, responses), (1, 1), "{model}");
        assert!((rest.len() as u64..LARGE).contains(&bytes), "{model}");
    }
}

/// Fails if the tally is opened only at the end.
#[test]
fn a_tally_that_cannot_be_written_is_an_error_at_the_start() {
    let root = small();
    for model in available(&EVERY) {
        let launch = Launch::of(&root).with(&format!("--model {model}"));
        let (status, messages) = launch.with("--tally /nowhere/tally").expect_failure();
        assert_eq!(status.code(), Some(1), "{model}");
        assert!(
            messages.contains("cannot open the tally /nowhere/tally: "),
            "{messages}"
        );
    }
}

/// The response is counted and logged like those of the site. Fails if the server sleeps instead,
/// if a query makes it another path, and if `log_request` does nothing.
#[test]
fn burning_takes_processor_time_and_is_answered_and_counted() {
    let root = small();
    for model in available(&EVERY) {
        let directory = tempfile::tempdir().unwrap();
        let (tally, log) = (directory.path().join("tally"), directory.path().join("log"));
        let launch = Launch::of(&root).with(&format!("--model {model} --burn 200"));
        let launch = launch.arg("--tally").arg(&tally);
        let server = launch.arg("--log-file").arg(&log).start();
        let mut client = Client::of(&server);
        assert_served(&mut client);
        let (begun, before) = (Instant::now(), used(&server));
        for path in ["/burn", "/burn?again"] {
            let response = client.fetch(path);
            assert_eq!((response.status(), &*response.body), (200, &b"burnt\n"[..]));
            assert_eq!(response.field("Content-Length"), Some("6"), "{model}");
        }
        assert!(begun.elapsed() >= Duration::from_millis(400), "{model}");
        let used = used(&server) - before;
        assert!(used >= Duration::from_millis(350), "{model}: {used:?}");
        assert_eq!(client.fetch("/burn/").status(), 404, "{model}");
        drop(client);
        stop(server);
        assert_eq!(sum(&tally).0[..2], [1, 4], "{model}");
        let text = fs::read_to_string(&log).unwrap();
        assert!(
            text.contains("\"GET /burn?again HTTP/1.1\" 200 6 "),
            "{text}"
        );
    }
}

/// The processor time of the server and its children.
fn used(server: &Server) -> Duration {
    let path = format!("/proc/{0}/task/{0}/children", server.pid());
    let children = fs::read_to_string(path).unwrap();
    let all = children.split_whitespace().map(|child| {
        let stat = fs::read_to_string(format!("/proc/{child}/stat")).unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        let mut ticks = fields.split_whitespace().skip(11);
        let mut ticks = || ticks.next().unwrap().parse::<u64>().unwrap();
        Duration::from_millis((ticks() + ticks()) * 10)
    });
    server.cpu_time() + all.sum()
}

/// With threads or processes the other connections have processors of their own, if there are
/// several. The test shows only that a small file does not wait, although more threads burn than
/// there are handlers. Fails if the burner runs under a lock of `SharedHandler`.
#[test]
fn a_slow_handler_in_its_own_thread_or_process_holds_up_no_other_connection() {
    let root = small();
    for model in ["thread", "thread-reuse", "pool", "process"] {
        let server = Launch::of(&root)
            .with(&format!("--model {model} --burn 1000"))
            .start();
        let mut other = Client::of(&server);
        assert_served(&mut other);
        let count = 1 + std::thread::available_parallelism().unwrap().get();
        let burning = (0..count).map(|_| Client::with_request(&server, get("/burn")));
        let mut burning: Vec<_> = burning.collect();
        std::thread::sleep(Duration::from_millis(100));
        assert_served(&mut other);
        for client in &mut burning {
            assert!(client.has_received_nothing(), "{model}");
        }
        for client in &mut burning {
            assert_eq!(client.read_response().body, b"burnt\n");
        }
    }
}

#[test]
fn without_the_option_no_request_burns() {
    let root = small();
    for model in available(&EVERY) {
        let launch = Launch::of(&root).with(&format!("--model {model}"));
        let response = Client::of(&launch.start()).fetch("/burn");
        assert_eq!(response.status(), 404, "{model}");
    }
}
