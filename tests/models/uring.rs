//! The model `uring`: a kernel that refuses it, and what the operations in flight share.

use crate::client::{Client, StreamEnd, get};
use crate::process::{Launch, available, eventually, has};
use crate::{assert_served, small};
use rustix::io::ioctl_fionread;
use rustix::net::{SendFlags, send};
use rustix::process::Signal;
use std::io::Read;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

const LARGE: usize = 50 * 1024 * 1024;

/// The site has a small and a large file.
fn large() -> tempfile::TempDir {
    let root = small();
    let large = std::fs::File::create(root.path().join("large")).unwrap();
    large.set_len(LARGE as u64).unwrap();
    root
}

/// As in a container. Fails if the error of the kernel is printed as it is.
#[test]
fn a_kernel_that_refuses_io_uring_is_an_error_that_says_what_to_do() {
    if available(&["uring"]).is_empty() || !has("strace") {
        return;
    }
    let root = small();
    for (call, error, expected) in [
        (
            "setup",
            "EPERM",
            "oneloop: io_uring is forbidden here, by a container's filter",
        ),
        (
            "setup",
            "ENOSYS",
            "oneloop: this kernel has no io_uring (Function not implemented",
        ),
        (
            "register",
            "EINVAL",
            "oneloop: the model uring needs the io_uring of Linux 6.0 or later;",
        ),
    ] {
        let inject = format!(
            "exec strace -D -f -q -e signal=none -e trace=io_uring_{call} \
             -e inject=io_uring_{call}:error={error} -o /dev/null \"$0\" \"$@\""
        );
        let launch = Launch::of(&root).with("--model uring").run_before(&inject);
        let (status, messages) = launch.expect_failure();
        assert_eq!(status.code(), Some(1), "{messages}");
        assert!(messages.contains(expected), "{messages}");
        assert!(messages.contains("; use --model reactor"), "{messages}");
    }
}

/// Before the first deadline is judged, the kernel is asked for all that has arrived, and there are
/// fewer buffers than requests. Fails if a receive that has found no buffer is not submitted again.
#[test]
fn no_client_is_lost_where_more_requests_arrive_than_there_are_buffers() {
    let root = small();
    for model in available(&["uring"]) {
        let options = format!("--model {model} --header-timeout 2");
        let server = Launch::of(&root).with(&options).start();
        let mut clients: Vec<_> = (0..1200).map(|_| Client::of(&server)).collect();
        clients.iter_mut().for_each(assert_served);
        let mut late = Client::with_request(&server, "GET /small HTTP/1.1\r\nHo");
        // Of a stall, half a second counts for the deadline.
        sleep(Duration::from_millis(1700));
        server.freeze();
        for client in &mut clients {
            client.send(get("/small"));
        }
        sleep(Duration::from_millis(600));
        server.thaw();
        for client in &mut clients {
            assert_eq!(client.read_response().body, b"small");
        }
        assert_eq!(late.read_response().status(), 408);
    }
}

/// Fails if a send that cannot go on keeps its buffer: there are fewer buffers than downloads.
#[test]
fn downloads_that_wait_for_their_clients_hold_up_no_other() {
    let root = large();
    for model in available(&["uring"]) {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("socket");
        let launch = Launch::of(&root).with(&format!("--model {model} -b 127.0.0.1 -b"));
        let server = launch.arg(format!("unix:{}", socket.display())).start();
        let mut slow: Vec<_> = (0..300).map(|_| Client::at(&socket)).collect();
        for client in &mut slow {
            client.send(get("/large"));
            assert!(client.read_head().starts_with("HTTP/1.1 200 "));
        }
        eventually("all sockets are full", || {
            let before = server.cpu_time();
            sleep(Duration::from_millis(100));
            server.cpu_time() - before < Duration::from_millis(20)
        });
        assert_served(&mut Client::of(&server));
        let mut first = slow.remove(0);
        first.stream().shutdown(Shutdown::Write).unwrap();
        let (body, end) = first.read_to_end();
        assert_eq!((body.len(), end), (LARGE, StreamEnd::Closed));
    }
}

/// Fails if a receive goes on for a connection that does not read.
#[test]
fn a_client_that_sends_and_does_not_receive_is_not_read_from() {
    const MOST: usize = 64 * 1024 * 1024;
    let root = large();
    for model in available(&["uring"]) {
        let server = Launch::of(&root).with(&format!("--model {model}")).start();
        let mut client = Client::with_request(&server, get("/large"));
        assert!(client.read_head().starts_with("HTTP/1.1 200 "));
        let requests = get("/small").repeat(1000);
        let mut sent = 0;
        let mut refused = 0;
        eventually("the client can send no more", || {
            match send(client.socket(), requests.as_bytes(), SendFlags::DONTWAIT) {
                Ok(length) => (sent, refused) = (sent + length, 0),
                Err(_) => refused += 1,
            }
            refused == 20 || sent > MOST
        });
        assert!(sent <= MOST, "all is received");
        assert_served(&mut Client::of(&server));
    }
}

/// The poll of a ring reports that the peer has closed, whatever it waits for. Fails if the ring
/// waits until such a socket can send.
#[test]
fn half_closed_clients_that_read_nothing_keep_the_loop_asleep() {
    let root = large();
    for model in available(&["uring"]) {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("socket");
        let launch = Launch::of(&root).with(&format!("--model {model} -b 127.0.0.1 -b"));
        let server = launch.arg(format!("unix:{}", socket.display())).start();
        let mut client = Client::with_request(&server, get("/large"));
        client.read_head();
        client.finish_sending();
        let mut other = Client::at(&socket);
        other.send(get("/large"));
        other.read_head();
        other.stream().shutdown(Shutdown::Write).unwrap();
        sleep(Duration::from_millis(300));
        let (begun, before) = (Instant::now(), server.cpu_time());
        sleep(Duration::from_millis(500));
        let used = server.cpu_time() - before;
        assert!(used < begun.elapsed() / 4, "{used:?} of CPU");
        for (body, end) in [client.read_to_end(), other.read_to_end()] {
            assert_eq!((body.len(), end), (LARGE, StreamEnd::Closed));
        }
    }
}

/// Returns when the server has sent what the socket's buffer takes.
fn wait_until_full(client: &mut Client<UnixStream>) {
    let mut last = 0;
    eventually("the buffer is full", || {
        sleep(Duration::from_millis(300));
        let unread = ioctl_fionread(client.stream()).unwrap();
        unread > 100_000 && std::mem::replace(&mut last, unread) == unread
    });
}

/// They free a part of the socket's buffer that is too small for a poll. One gets a file, the other
/// a listing, which is made in memory. Fails if nothing is sent before the deadline is judged.
#[test]
fn clients_that_read_a_little_within_the_send_timeout_get_all() {
    let root = large();
    for number in 0..4000 {
        std::fs::write(root.path().join(format!("{number:0100}")), "").unwrap();
    }
    for model in available(&["uring", "reactor"]) {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("socket");
        let launch = Launch::of(&root).without_port();
        let launch = launch.with(&format!("--model {model} --send-timeout 3 -b"));
        let _server = launch.arg(format!("unix:{}", socket.display())).start();
        let mut clients = ["/large", "/"].map(|path| {
            let mut client = Client::at(&socket);
            client.send(format!(
                "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
            ));
            assert!(client.read_head().starts_with("HTTP/1.1 200 "), "{path}");
            client
        });
        for client in &mut clients {
            wait_until_full(client);
            let mut left = vec![0; 80 * 1024];
            client.stream().read_exact(&mut left).unwrap();
        }
        // The deadline has passed, and the next one, if there is one, has not.
        sleep(Duration::from_millis(3500));
        let [file, listing] = &mut clients;
        let (rest, _) = listing.read_to_end();
        assert!(rest.ends_with(b"\r\n0\r\n\r\n"), "{model}: {}", rest.len());
        let (rest, _) = file.read_to_end();
        assert!(rest.len() > LARGE - 90 * 1024, "{model}: {}", rest.len());
    }
}

/// As with accept(2), which knows the address. Fails if an error of getpeername(2) counts.
#[test]
fn requests_whose_clients_have_reset_before_they_are_accepted_are_logged() {
    let root = small();
    for model in available(&["uring", "reactor"]) {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        let launch = Launch::of(&root).with(&format!("--model {model}"));
        let mut server = launch.arg("--log-file").arg(&log).start();
        server.freeze();
        for _ in 0..100 {
            Client::with_request(&server, get("/small")).reset();
        }
        server.thaw();
        assert_served(&mut Client::of(&server));
        server.signal(Signal::TERM);
        assert_eq!(server.wait().code(), Some(0), "{model}");
        let log = std::fs::read_to_string(&log).unwrap();
        assert_eq!(log.lines().count(), 101, "{model}");
        assert!(log.lines().all(|line| line.starts_with("127.0.0.1 ")));
        let messages = server.diagnostics();
        assert!(!messages.contains("accept"), "{model}: {messages}");
    }
}

/// The kernel does so where the bytes are still in the socket. Fails if those that the ring has
/// received do not count.
#[test]
fn a_connection_that_is_closed_with_bytes_unread_is_reset() {
    let root = small();
    for model in available(&["uring", "reactor"]) {
        let options = format!("--model {model} --proxy-protocol all");
        let server = Launch::of(&root).with(&options).start();
        for _ in 0..10 {
            // Refused after its first bytes: it is no PROXY header.
            let mut client = Client::with_request(&server, get("/small"));
            assert_eq!(client.read_to_end(), (vec![], StreamEnd::Reset), "{model}");
        }
    }
}

/// Fails if a multishot accept takes them all.
#[test]
fn connections_beyond_the_limit_wait_in_the_kernel_and_are_answered_when_the_server_stops() {
    const PARTIAL: &str = "GET /small HTTP/1.1\r\nHost: ";
    let root = small();
    for model in available(&["uring"]) {
        let options = format!("--model {model} --max-connections 2 --grace 600");
        let mut server = Launch::of(&root).with(&options).start();
        let mut inside = [PARTIAL; 2].map(|partial| Client::with_request(&server, partial));
        let before = server.descriptors();
        let mut outside: Vec<_> = (0..20)
            .map(|_| Client::with_request(&server, get("/small")))
            .collect();
        assert!(outside[0].has_received_nothing());
        assert!(server.descriptors() <= before + 3, "they are accepted");
        server.signal(Signal::TERM);
        for client in &mut outside {
            assert_eq!(client.read_response().body, b"small");
            client.expect_end();
        }
        for client in &mut inside {
            client.send("a\r\n\r\n");
            assert_eq!(client.read_response().body, b"small");
        }
        drop((inside, outside));
        assert_eq!(server.wait().code(), Some(0));
    }
}

/// It closes after its request, so no receive reports the reset that follows. Fails if only a send
/// shows it: a compressed listing has many slices before its next send.
#[cfg(feature = "study")]
#[test]
fn a_listing_is_produced_no_further_when_its_client_has_left() {
    let root = small();
    for number in 0..3000 {
        std::fs::write(root.path().join(number.to_string()), "").unwrap();
    }
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("trace");
    for model in available(&["uring"]) {
        let launch = Launch::of(&root).with(&format!("--model {model} --trace"));
        let server = launch.arg(&file).start();
        server.freeze();
        let request = "GET / HTTP/1.1\r\nHost: test\r\nAccept-Encoding: gzip\r\n\r\n";
        drop(Client::with_request(&server, request));
        server.thaw();
        eventually("the connection is closed", || {
            let trace = std::fs::read_to_string(&file).unwrap();
            trace.contains("SendError(ConnectionReset)")
        });
    }
}
