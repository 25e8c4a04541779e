//! Restarts: a listening socket that outlives the server, opened by systemd or a supervisor
//! (`fd:3`). No request may fail, and these clients do not retry.

use crate::client::Answer;
use crate::process::{Launch, Server, TIME_LIMIT, site};
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

/// One request, and its whole answer.
fn ask(stream: &mut BufReader<TcpStream>, fields: &str) -> io::Result<Answer> {
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
    Ok(Answer { head, body })
}

fn connect(address: SocketAddr) -> io::Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(TIME_LIMIT))?;
    Ok(BufReader::new(stream))
}

/// How a client uses its connections.
#[derive(Clone, Copy, Debug)]
enum Habit {
    /// A connection for each request, which says so.
    One,
    /// The same, but the client closes.
    OneAndLeaves,
    /// A connection for as long as the server lets it open, with a pause between two requests.
    Keeps(Duration),
    /// It connects, and asks a moment later.
    Late(Duration),
}

/// Asks until `is_over`; counts what was answered.
fn use_it(
    address: SocketAddr,
    habit: Habit,
    is_over: &AtomicBool,
    answered: &AtomicUsize,
) -> io::Result<()> {
    let mut kept = None;
    while !is_over.load(Ordering::Relaxed) {
        let mut stream = match kept.take() {
            Some(stream) => stream,
            None => connect(address)?,
        };
        let fields = match habit {
            Habit::One => "Connection: close\r\n",
            _ => "",
        };
        if let Habit::Late(pause) = habit {
            thread::sleep(pause);
        }
        let answer = ask(&mut stream, fields)?;
        assert_eq!(answer.body, b"small");
        answered.fetch_add(1, Ordering::Relaxed);
        let is_last = answer.field("Connection") == Some("close");
        if let (Habit::Keeps(pause), false) = (habit, is_last) {
            kept = Some(stream);
            thread::sleep(pause);
        }
    }
    Ok(())
}

/// Restarts the server until so many requests are answered, at least `restarts` times.
fn restart(model: &str, requests: usize, restarts: usize) {
    let millis = Duration::from_millis;
    let habits = [
        Habit::One,
        Habit::OneAndLeaves,
        Habit::Keeps(millis(0)),
        Habit::Keeps(millis(3)),
        Habit::Keeps(millis(200)),
        Habit::Late(millis(1)),
        Habit::Late(millis(50)),
    ];
    let root = site(&[("small", b"small")]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (is_over, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let mut server = on(&root, model, &listener);
    let mut done = 0;
    thread::scope(|scope| {
        let clients: Vec<_> = (habits.iter().chain(&habits))
            .map(|&habit| {
                let (is_over, answered) = (&is_over, &answered);
                (
                    habit,
                    scope.spawn(move || use_it(address, habit, is_over, answered)),
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
        for (habit, client) in clients {
            let served = client.join().unwrap();
            assert!(
                served.is_ok(),
                "{model}, {habit:?}: {served:?} after {done} restarts"
            );
        }
    });
    println!(
        "{model}: {} requests, {done} restarts",
        answered.into_inner()
    );
}

/// Fails with idle connections that are closed as the server stops.
#[test]
fn no_request_fails_while_the_server_is_restarted() {
    for model in ["reactor", "coroutine"] {
        restart(model, 500, 3);
    }
}

/// The same for longer: `cargo test --test kernel no_request_of -- --ignored --nocapture`.
#[test]
#[ignore = "a minute and more"]
fn no_request_of_a_hundred_thousand_fails_while_the_server_is_restarted() {
    for model in ["reactor", "coroutine"] {
        restart(model, 100_000, 20);
    }
}
