//! Iterations and system calls: events, budgets, and what a request costs.

use crate::client::{Client, get};
use crate::process::{Launch, Server, eventually, has, site, skipped};
use rustix::net::{SendFlags, send};
use rustix::process::Signal;
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

fn small_site() -> tempfile::TempDir {
    site(&[("small", b"small")])
}

/// The kernel announces all 500 with one event, and the next only when another connects. Fails if
/// `Listeners` accept their share and wait for the next event.
#[test]
fn five_hundred_connections_announced_by_one_event_are_all_accepted() {
    let root = small_site();
    let server = Launch::of(&root).start();
    server.freeze();
    let mut clients: Vec<_> = (0..500)
        .map(|_| Client::with_request(&server, get("/small")))
        .collect();
    server.thaw();
    for client in &mut clients {
        assert_eq!(client.read_response().body, b"small");
    }
}

/// The same for one connection: everything has arrived, its end too, before the first receive. No
/// further event comes.
#[test]
fn a_thousand_requests_announced_by_one_event_are_all_answered() {
    let root = small_site();
    let server = Launch::of(&root).start();
    let mut client = Client::of(&server);
    assert_eq!(client.fetch("/small").status(), 200);
    server.freeze();
    client.send(get("/small").repeat(1000));
    client.finish_sending();
    server.thaw();
    for _ in 0..1000 {
        assert_eq!(client.read_response().body, b"small");
    }
    client.expect_end();
}

/// With a fast reader of a large file, a write may never block. (Whether it does depends on speed,
/// so the tests of the pump test the budget, not this one.)
#[test]
fn a_large_file_for_a_fast_reader_lets_others_through() {
    let root = small_site();
    let large = fs::File::create(root.path().join("large")).unwrap();
    large.set_len(1 << 40).unwrap();
    let server = Launch::of(&root).start();
    let mut greedy = Client::with_request(&server, get("/large"));
    greedy.read_head();
    let reader = greedy.socket().try_clone().unwrap();
    let discarding = std::thread::spawn(move || {
        let mut buf = vec![0; 1 << 20];
        while std::io::Read::read(&mut &reader, &mut buf).is_ok_and(|length| length > 0) {}
    });
    let mut other = Client::of(&server);
    for _ in 0..100 {
        assert_eq!(other.fetch("/small").body, b"small");
    }
    drop(server);
    discarding.join().unwrap();
}

/// The models that wait for events of many sockets in one call.
const POLLING: [&str; 4] = ["reactor", "level", "poll", "select"];

/// Waiting clients cost nothing. Fails if the poll timeout is zero; on poll(2), also if each event
/// leads to a receive; with levels, if a connection is watched for what it does not wait for.
#[test]
fn an_idle_server_makes_no_system_calls() {
    let root = small_site();
    let large = fs::File::create(root.path().join("large")).unwrap();
    large.set_len(1 << 30).unwrap();
    for model in POLLING {
        let server = Launch::of(&root).with("--model").with(model).start();
        let mut idle = Client::of(&server);
        assert_eq!(idle.fetch("/small").status(), 200);
        let _slow = Client::with_request(&server, "GET /small HT");
        let mut full = Client::with_request(&server, get("/large"));
        full.read_head();
        let mut lingering = Client::with_request(
            &server,
            "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\n",
        );
        assert_eq!(lingering.read_response().status(), 405);
        let mut gone = Client::with_request(&server, get("/large"));
        gone.read_head();
        // After each send that would block, mio's poll(2) selector announces this end again.
        if !cfg!(mio_unsupported_force_poll_poll) || model != "reactor" {
            gone.finish_sending();
        }
        sleep(Duration::from_millis(100));
        assert_asleep(&server);
    }
}

/// Urgent data (MSG_OOB) raises an event of its own kind, and a read stops at its mark. Neither may
/// keep the loop busy or hide the bytes after the mark.
#[test]
fn urgent_data_neither_spins_the_loop_nor_hides_what_follows() {
    let root = small_site();
    for model in POLLING {
        // At a deadline the server calls recv(2) in any case: not within this test.
        let launch = Launch::of(&root).with("--header-timeout 100 --model");
        let server = launch.with(model).start();
        let mut client = Client::of(&server);
        let send_urgent = |client: &Client| send(client.socket(), b"!", SendFlags::OOB).unwrap();
        client.send("GET /small HT");
        send_urgent(&client);
        assert_asleep(&server);
        // The urgent byte is not part of the stream.
        client.send("TP/1.1\r\nHost: test\r\n\r\n");
        assert_eq!(client.read_response().body, b"small");

        server.freeze();
        client.send("GET /small HT");
        send_urgent(&client);
        client.send("TP/1.1\r\nHost: test\r\n\r\n");
        server.thaw();
        assert_eq!(client.read_response().body, b"small");
        assert_asleep(&server);
    }
}

#[track_caller]
fn assert_asleep(server: &Server) {
    let (begun, before) = (Instant::now(), server.cpu_time());
    sleep(Duration::from_millis(700));
    let (elapsed, used) = (begun.elapsed(), server.cpu_time() - before);
    assert!(used < elapsed / 4, "{used:?} of CPU in {elapsed:?}");
}

/// Starts a server under strace, with these system calls; skips the test where strace does not
/// work.
fn traced(launch: Launch, calls: &str, trace: &Path) -> Option<Server> {
    if !has("strace") {
        return None;
    }
    let allowed = std::process::Command::new("strace")
        .args(["-qq", "-o", "/dev/null", "true"])
        .status();
    if !allowed.is_ok_and(|status| status.success()) {
        skipped("strace may not trace here");
        return None;
    }
    Some(launch.traced(calls, trace).start())
}

/// Stops the server and returns the lines of strace.
fn calls(mut server: Server, trace: &Path) -> Vec<String> {
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    let mut text = String::new();
    eventually("strace has written all it saw", || {
        text = fs::read_to_string(trace).unwrap_or_default();
        text.contains("+++ exited")
    });
    text.lines().map(str::to_owned).collect()
}

fn count(calls: &[String], what: &str) -> usize {
    calls.iter().filter(|call| call.contains(what)).count()
}

/// Fails if the socket is registered again after each response (with levels: if a request changes what
/// it is watched for), or if head and body are two writes.
#[test]
fn a_thousand_requests_on_a_connection_are_one_registration_and_a_thousand_sends() {
    for model in ["reactor", "level"] {
        if model == "reactor" && cfg!(mio_unsupported_force_poll_poll) {
            skipped("poll(2) has no registrations to count");
            continue;
        }
        let root = small_site();
        let trace = root.path().join("trace");
        let watched = "epoll_ctl,sendto,sendmsg,write,writev,sendfile,dup";
        let launch = Launch::of(&root).with("--model").with(model);
        let Some(server) = traced(launch, watched, &trace) else {
            return;
        };
        let mut client = Client::of(&server);
        for _ in 0..1000 {
            assert_eq!(client.fetch("/small").body, b"small");
        }
        drop(client);
        let calls = calls(server, &trace);
        let connection = calls.iter().find(|call| call.starts_with("sendto("));
        let connection = connection.expect("nothing was sent");
        let (descriptor, _) = connection["sendto(".len()..].split_once(',').unwrap();
        let on = |what: &str| format!("{what}({descriptor},");
        assert_eq!(count(&calls, &on("sendto")), 1000);
        for other in ["sendmsg", "write", "writev", "sendfile"] {
            assert_eq!(count(&calls, &on(other)), 0, "{model}: {other}");
        }
        let added = format!("EPOLL_CTL_ADD, {descriptor},");
        assert_eq!(count(&calls, &added), 1, "{model}");
        let modified = format!("EPOLL_CTL_MOD, {descriptor},");
        assert_eq!(count(&calls, &modified), 0, "{model}");
    }
}

/// Fails if each response is sent before the next request is parsed.
#[test]
fn sixteen_requests_that_arrive_together_are_answered_with_one_send() {
    let root = small_site();
    let trace = root.path().join("trace");
    let Some(server) = traced(Launch::of(&root), "sendto,sendmsg,write,writev", &trace) else {
        return;
    };
    let mut client = Client::of(&server);
    client.send(get("/small").repeat(16));
    for _ in 0..16 {
        assert_eq!(client.read_response().body, b"small");
    }
    drop(client);
    let calls = calls(server, &trace);
    assert_eq!(count(&calls, "HTTP/1.1 200"), 1, "{calls:#?}");
}

/// Each listing holds its entries until they are sent. Fails if the number of listings is limited.
#[test]
fn clients_that_read_large_listings_slowly_do_not_block_other_listings() {
    let root = small_site();
    fs::create_dir(root.path().join("large")).unwrap();
    for nth in 0..5000 {
        let name = format!("large/a name that is not short, with a number {nth}");
        fs::write(root.path().join(name), "").unwrap();
    }
    let server = Launch::of(&root).start();
    let request = get("/large/");
    let mut slow: Vec<_> = (0..24).map(|_| Client::of(&server)).collect();
    for client in &mut slow {
        rustix::net::sockopt::set_socket_recv_buffer_size(client.socket(), 4096).unwrap();
        client.send(&request);
        assert!(client.read_head().starts_with("HTTP/1.1 200 OK"));
    }
    for path in ["/large/", "/"] {
        let mut client = Client::with_request(&server, get(path));
        assert!(client.read_head().starts_with("HTTP/1.1 200 OK"), "{path}");
    }
}
