//! Listening sockets: ports, unix sockets, inherited sockets, and errors.

use crate::client::{Client, get};
use crate::process::{Launch, Server, available, eventually, site};
use rustix::process::Signal;
use std::fs;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, Instant};

fn small_site() -> tempfile::TempDir {
    site(&[("small", b"small")])
}

/// A server at a unix socket.
fn at(root: &Path, path: &Path) -> Launch {
    Launch::of(root)
        .without_port()
        .arg("-b")
        .arg(format!("unix:{}", path.display()))
}

/// A server on descriptor 3, which is this socket.
fn inheriting(root: &Path, socket: impl Into<OwnedFd>) -> Server {
    Launch::of(root)
        .without_port()
        .with("-b fd:3")
        .stdin(socket.into())
        .run_before("exec 3<&0 0</dev/null")
        .start()
}

/// Two servers on one port would each get half of the clients. Fails if the option SO_REUSEPORT is
/// set.
#[test]
fn a_second_server_on_the_same_port_is_refused_with_a_hint() {
    let root = small_site();
    let first = Launch::of(&root).start();
    let port = first.address().port();
    let (status, messages) = Launch::of(&root)
        .without_port()
        .with(&format!("-p {port}"))
        .expect_failure();
    assert_eq!(status.code(), Some(1));
    let address = format!("cannot listen on 127.0.0.1:{port}");
    assert!(messages.contains(&address), "{messages}");
    assert!(messages.contains("address already in use"), "{messages}");
    assert_eq!(Client::of(&first).fetch("/small").status(), 200);
}

/// Connections that a server closes first keep its port in TIME_WAIT. Fails if
/// SO_REUSEADDR is not set.
#[test]
fn a_port_can_be_used_again_at_once() {
    let root = small_site();
    let mut first = Launch::of(&root).with("--linger-timeout 0.1").start();
    let port = first.address().port();
    let mut client = Client::of(&first);
    assert_eq!(client.fetch("/small").status(), 200);
    first.signal(Signal::TERM);
    client.expect_end();
    assert_eq!(first.wait().code(), Some(0));
    drop(client);
    let second = Launch::of(&root)
        .without_port()
        .with(&format!("-p {port}"))
        .start();
    assert_eq!(second.address().port(), port);
    assert_eq!(Client::of(&second).fetch("/small").status(), 200);
}

#[test]
fn port_0_picks_a_free_port_and_prints_it() {
    let root = small_site();
    let (one, two) = (Launch::of(&root).start(), Launch::of(&root).start());
    assert_ne!(one.address().port(), 0);
    assert_ne!(one.address(), two.address());
    assert!(one.diagnostics().contains(&one.url("/")));
    assert_eq!(Client::of(&two).fetch("/small").status(), 200);
}

#[test]
fn a_root_that_does_not_exist_is_an_error_with_its_name() {
    let root = small_site();
    let missing = root.path().join("missing");
    let (status, messages) = Launch::of(&missing).expect_failure();
    assert!(matches!(status.code(), Some(1 | 2)), "{status}");
    assert!(messages.contains("missing"), "{messages}");
}

#[test]
fn several_addresses_are_all_served() {
    let root = small_site();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let server = Launch::of(&root)
        .with("-b 127.0.0.1 -b 127.0.0.2 -b")
        .arg(format!("unix:{}", path.display()))
        .start();
    let messages = server.diagnostics();
    let addresses = messages.lines().filter_map(|line| {
        let (address, _) = line.trim().strip_prefix("http://")?.split_once('/')?;
        address.parse().ok()
    });
    let addresses: Vec<_> = addresses.collect();
    assert_eq!(addresses.len(), 2, "{messages}");
    for address in addresses {
        assert_eq!(Client::to(address).fetch("/small").body, b"small");
    }
    assert_eq!(Client::at(&path).fetch("/small").body, b"small");
}

#[test]
fn a_unix_socket_is_served_and_leaves_no_file_behind() {
    let root = small_site();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let mut server = at(root.path(), &path).start();
    let mut client = Client::at(&path);
    for _ in 0..3 {
        assert_eq!(client.fetch("/small").body, b"small");
    }
    drop(client);
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    assert!(!path.exists());
}

/// A server that was killed leaves its socket file. Fails if the file is not detected.
#[test]
fn a_stale_unix_socket_is_replaced() {
    let root = small_site();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let _server = at(root.path(), &path).start();
    assert_eq!(Client::at(&path).fetch("/small").body, b"small");
}

/// Fails if the socket file is removed although a server listens.
#[test]
fn a_unix_socket_on_which_a_server_listens_is_not_replaced() {
    let root = small_site();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let _first = at(root.path(), &path).start();
    let (status, messages) = at(root.path(), &path).expect_failure();
    assert_eq!(status.code(), Some(1));
    assert!(messages.contains("address already in use"), "{messages}");
    assert_eq!(Client::at(&path).fetch("/small").body, b"small");
}

#[test]
fn a_file_in_the_way_of_a_unix_socket_is_not_touched() {
    let root = small_site();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("diary");
    fs::write(&path, "dear diary").unwrap();
    let (status, messages) = at(root.path(), &path).expect_failure();
    assert_eq!(status.code(), Some(1));
    assert!(messages.contains("not a socket"), "{messages}");
    assert_eq!(fs::read(&path).unwrap(), b"dear diary");
}

/// The socket may be blocking, and then accept(2) without a connection stops the loop. There are
/// two clients: the loop must continue after the first. Fails if the socket is not switched to
/// non-blocking.
#[test]
fn an_inherited_socket_is_served_even_if_it_was_blocking() {
    let root = small_site();
    for nonblocking in [false, true] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(nonblocking).unwrap();
        let address = listener.local_addr().unwrap();
        let server = inheriting(root.path(), listener);
        assert_eq!(server.address(), address);
        for _ in 0..2 {
            let mut client = Client::to(address);
            assert_eq!(client.fetch("/small").body, b"small");
            assert_eq!(client.fetch("/small").body, b"small");
        }
    }
}

/// Fails if connections are accepted at once.
#[test]
#[cfg(target_os = "linux")]
fn a_silent_connection_waits_in_the_kernel_and_is_served_when_it_sends() {
    let root = small_site();
    let server = Launch::of(root.path()).start();
    let mut clients = vec![Client::of(&server)];
    assert_eq!(clients[0].fetch("/small").body, b"small");
    let before = server.descriptors();
    // The kernel keeps it back for a second: on a busy machine the test is repeated.
    let mut accepted = 2;
    for _ in 0..10 {
        let (begun, now) = (Instant::now(), server.descriptors());
        let (mut silent, mut other) = (Client::of(&server), Client::of(&server));
        assert_eq!(other.fetch("/small").body, b"small");
        let new = server.descriptors() - now;
        assert_eq!(silent.fetch("/small").body, b"small");
        clients.extend([silent, other]);
        if begun.elapsed() < Duration::from_millis(500) {
            accepted = new;
            break;
        }
    }
    assert_eq!(accepted, 1);
    let before = before + clients.len() - 1;
    assert_eq!(server.descriptors(), before);

    let _silent = Client::of(&server);
    eventually("a connection without bytes is accepted, too", || {
        server.descriptors() == before + 1
    });
}

/// Fails if the option has no effect.
#[test]
fn a_silent_connection_is_accepted_at_once_without_defer_accept() {
    let root = small_site();
    let server = Launch::of(root.path()).with("--no-defer-accept").start();
    let mut first = Client::of(&server);
    assert_eq!(first.fetch("/small").body, b"small");
    let before = server.descriptors();
    let (_silent, mut other) = (Client::of(&server), Client::of(&server));
    assert_eq!(other.fetch("/small").body, b"small");
    assert_eq!(server.descriptors(), before + 2);
}

/// The file belongs to the parent process.
#[test]
fn an_inherited_unix_socket_keeps_its_file() {
    let root = small_site();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let mut server = inheriting(root.path(), UnixListener::bind(&path).unwrap());
    assert_eq!(Client::at(&path).fetch("/small").body, b"small");
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    assert!(path.exists());
}

#[test]
fn a_descriptor_that_does_not_listen_is_an_error() {
    let root = small_site();
    for (before, message) in [("exec 3</dev/null", "not a socket"), ("exec 3<&-", "fd:3")] {
        let (status, messages) = Launch::of(&root)
            .without_port()
            .with("-b fd:3")
            .run_before(before)
            .expect_failure();
        assert_eq!(status.code(), Some(1), "{messages}");
        assert!(messages.contains(message), "{messages}");
    }
}

/// The access log shows the order. Fails if one listener is emptied after the other.
#[test]
fn many_connections_at_one_address_do_not_hold_up_another() {
    let root = small_site();
    for model in available(&["reactor", "coroutine", "uring", "level"]) {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        let server = Launch::of(&root)
            .with(&format!(
                "--model {model} -b 127.0.0.1 -b 127.0.0.2 --log-file"
            ))
            .arg(&log)
            .start();
        let messages = server.diagnostics();
        let second = messages.split("http://127.0.0.2:").nth(1).unwrap();
        let port: u16 = second.split_once('/').unwrap().0.parse().unwrap();
        server.freeze();
        let mut flood: Vec<_> = (0..300)
            .map(|_| Client::with_request(&server, get("/small")))
            .collect();
        let mut other = Client::to(([127, 0, 0, 2], port).into());
        other.send(get("/small?other"));
        server.thaw();
        assert_eq!(other.read_response().body, b"small");
        for client in &mut flood {
            assert_eq!(client.read_response().body, b"small");
        }
        let mut text = String::new();
        eventually("all is logged", || {
            text = fs::read_to_string(&log).unwrap();
            text.lines().count() == 301
        });
        let at = text.lines().position(|line| line.contains("?other"));
        assert!(at.unwrap() < 10, "{model}: it was number {at:?}");
    }
}

/// On a unix socket, a client can send ancillary data: a receive stops there although more has
/// arrived, and no further event follows. Fails if a short receive counts as "nothing left".
mod messages {
    use super::*;
    use rustix::net::{
        SendAncillaryBuffer, SendAncillaryMessage, SendFlags, send, sendmsg, sockopt,
    };
    use std::io::IoSlice;
    use std::mem::MaybeUninit;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use std::process::{Command, Stdio};

    const FIRST: &[u8] = b"GET /small HTTP/1.1\r\n";
    const SECOND: &[u8] = b"Host: test\r\n\r\n";

    /// Calls `send` while the server is stopped, and expects two responses.
    fn assert_answered(model: &str, send: impl FnOnce(&UnixStream)) {
        let root = small_site();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        sockopt::set_socket_passcred(&listener, true).unwrap();
        let server = Launch::of(&root)
            .without_port()
            .with(&format!("--model {model} --header-timeout 100 -b fd:3"))
            .stdin(OwnedFd::from(listener))
            .run_before("exec 3<&0 0</dev/null")
            .start();
        let stream = UnixStream::connect(&path).unwrap();
        stream
            .set_read_timeout(Some(crate::process::TIME_LIMIT))
            .unwrap();
        let mut client = Client::over(stream);
        assert_eq!(client.fetch("/small").body, b"small");
        server.freeze();
        send(client.stream());
        server.thaw();
        assert_eq!(client.read_response().body, b"small", "{model}");
        assert_eq!(client.fetch("/small").body, b"small", "{model}");
    }

    fn send_all(stream: &UnixStream, bytes: &[u8]) {
        assert_eq!(send(stream, bytes, SendFlags::empty()), Ok(bytes.len()));
    }

    #[test]
    fn a_request_with_passed_descriptors_is_answered() {
        for model in available(&["reactor", "coroutine", "uring", "level"]) {
            assert_answered(model, |stream| {
                let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
                let mut passed = SendAncillaryBuffer::new(&mut space);
                let fds = [stream.as_fd()];
                assert!(passed.push(SendAncillaryMessage::ScmRights(&fds)));
                let sent = sendmsg(
                    stream,
                    &[IoSlice::new(FIRST)],
                    &mut passed,
                    SendFlags::empty(),
                );
                assert_eq!(sent, Ok(FIRST.len()));
                send_all(stream, SECOND);
            });
        }
    }

    #[test]
    fn a_request_that_two_processes_send_with_their_credentials_is_answered() {
        for model in available(&["reactor", "coroutine", "uring", "level"]) {
            assert_answered(model, |stream| {
                send_all(stream, FIRST);
                let other = Command::new("printf")
                    .arg(
                        str::from_utf8(SECOND)
                            .unwrap()
                            .replace('\r', "\\r")
                            .replace('\n', "\\n"),
                    )
                    .stdout(Stdio::from(OwnedFd::from(stream.try_clone().unwrap())))
                    .status();
                assert!(other.unwrap().success());
            });
        }
    }

    /// An out-of-band byte is not part of the stream, as with TCP.
    #[test]
    fn a_request_with_an_urgent_byte_is_answered() {
        for model in available(&["reactor", "coroutine", "uring", "level"]) {
            assert_answered(model, |stream| {
                send_all(stream, FIRST);
                match send(stream, b"!", SendFlags::OOB) {
                    Ok(_) => {}
                    Err(error) => crate::process::skipped(&format!("no urgent data: {error}")),
                }
                send_all(stream, SECOND);
            });
        }
    }
}

/// Go's net.Listen makes such sockets. Fails if the socket is refused.
#[test]
fn an_inherited_socket_of_multipath_tcp_is_served() {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, ipproto, listen, socket_with};
    let (family, kind) = (AddressFamily::INET, SocketType::STREAM);
    let socket = socket_with(family, kind, SocketFlags::CLOEXEC, Some(ipproto::MPTCP));
    let Ok(socket) = socket else {
        return crate::process::skipped("the kernel has no Multipath TCP");
    };
    let address = std::net::SocketAddrV4::new([127, 0, 0, 1].into(), 0);
    bind(&socket, &address).unwrap();
    listen(&socket, 16).unwrap();
    let root = small_site();
    let server = inheriting(root.path(), socket);
    let mut client = Client::of(&server);
    for _ in 0..3 {
        assert_eq!(client.fetch("/small").body, b"small");
    }
    client.send(&get("/small")[..9]);
    assert!(client.has_received_nothing());
    client.send(&get("/small")[9..]);
    assert_eq!(client.read_response().body, b"small");
}
