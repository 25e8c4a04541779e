//! Restarts: a listening socket that outlives the server, opened by systemd or a supervisor
//! (`fd:3`). No request may fail, and these clients do not retry.

use crate::client::Response;
use crate::process::{Launch, Server, TIME_LIMIT, available, site};
use rustix::process::Signal;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

const REQUEST: &str = "GET /small HTTP/1.1\r\nHost: test\r\n";

/// A server on this socket, which stays open here.
fn on(root: &tempfile::TempDir, model: &str, socket: &TcpListener) -> Server {
    Launch::of(root)
        .without_port()
        .with(&format!("--model {model} -b fd:3"))
        .stdin(std::os::fd::OwnedFd::from(socket.try_clone().unwrap()))
        .run_before("exec 3<&0 0</dev/null")
        .start()
}

/// Sends a request and reads the response.
fn fetch(stream: &mut BufReader<TcpStream>, fields: &str) -> io::Result<Response> {
    let request = format!("{REQUEST}{fields}\r\n");
    stream.get_mut().write_all(request.as_bytes())?;
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let mut body = vec![0; 5];
    stream.read_exact(&mut body)?;
    Ok(Response { head, body })
}

fn connect(address: SocketAddr) -> io::Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(TIME_LIMIT))?;
    Ok(BufReader::new(stream))
}

/// How a client uses its connections.
#[derive(Clone, Copy, Debug)]
enum ConnectionUse {
    /// A connection for each request, with `Connection: close`.
    OneRequestServerCloses,
    /// A connection for each request, which the client closes.
    OneRequestClientCloses,
    /// A connection until the server closes it, with a pause between two requests.
    KeepAlive(Duration),
    /// A connection for each request, with a pause before the request.
    LateRequest(Duration),
}

/// Sends requests until `is_over`, and counts the responses.
fn request_until(
    address: SocketAddr,
    connection_use: ConnectionUse,
    is_over: &AtomicBool,
    answered: &AtomicUsize,
) -> io::Result<()> {
    let mut kept = None;
    while !is_over.load(Ordering::Relaxed) {
        let mut stream = match kept.take() {
            Some(stream) => stream,
            None => connect(address)?,
        };
        let fields = match connection_use {
            ConnectionUse::OneRequestServerCloses => "Connection: close\r\n",
            _ => "",
        };
        if let ConnectionUse::LateRequest(pause) = connection_use {
            thread::sleep(pause);
        }
        let response = fetch(&mut stream, fields)?;
        assert_eq!(response.body, b"small");
        answered.fetch_add(1, Ordering::Relaxed);
        let is_last = response.field("Connection") == Some("close");
        if let (ConnectionUse::KeepAlive(pause), false) = (connection_use, is_last) {
            kept = Some(stream);
            thread::sleep(pause);
        }
    }
    Ok(())
}

/// Restarts the server at least `restarts` times, until this number of requests is answered.
fn restart(model: &str, requests: usize, restarts: usize) {
    let millis = Duration::from_millis;
    let uses = [
        ConnectionUse::OneRequestServerCloses,
        ConnectionUse::OneRequestClientCloses,
        ConnectionUse::KeepAlive(millis(0)),
        ConnectionUse::KeepAlive(millis(3)),
        ConnectionUse::KeepAlive(millis(200)),
        ConnectionUse::LateRequest(millis(1)),
        ConnectionUse::LateRequest(millis(50)),
    ];
    let root = site(&[("small", b"small")]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (is_over, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let mut server = on(&root, model, &listener);
    let mut done = 0;
    thread::scope(|scope| {
        let clients: Vec<_> = (uses.iter().chain(&uses))
            .map(|&connection_use| {
                let (is_over, answered) = (&is_over, &answered);
                (
                    connection_use,
                    scope.spawn(move || request_until(address, connection_use, is_over, answered)),
                )
            })
            .collect();
        while answered.load(Ordering::Relaxed) < requests || done < restarts {
            let next = on(&root, model, &listener);
            server.signal(Signal::TERM);
            assert_eq!(server.wait().code(), Some(0));
            server = next;
            done += 1;
            if clients.iter().any(|(_, client)| client.is_finished()) {
                break;
            }
        }
        is_over.store(true, Ordering::Relaxed);
        for (connection_use, client) in clients {
            let served = client.join().unwrap();
            assert!(
                served.is_ok(),
                "{model}, {connection_use:?}: {served:?} after {done} restarts"
            );
        }
    });
    println!(
        "{model}: {} requests, {done} restarts",
        answered.into_inner()
    );
}

/// Fails if idle connections are closed as soon as the server stops.
#[test]
fn no_request_fails_while_the_server_is_restarted() {
    for model in available(&["reactor", "coroutine", "uring", "level"]) {
        restart(model, 500, 3);
    }
}

/// The same for longer: `cargo test --test kernel no_request_of -- --ignored --nocapture`.
#[test]
#[ignore = "a minute and more"]
fn no_request_of_a_hundred_thousand_fails_while_the_server_is_restarted() {
    for model in available(&["reactor", "coroutine", "uring", "level"]) {
        restart(model, 100_000, 20);
    }
}
