//! TLS over a connection in memory: what the kernel takes and when is scripted, and time passes only
//! when a test advances it. The client is rustls.

use crate::certificate::TestCertificate;
use crate::memory_transport::{MemoryTransport, Peer, Space, pair};
use crate::{GET, LAST, LAST_GET, OK, TestServer, get, seconds};
use oneloop::connection::CloseReason::{self, *};
use oneloop::limits::Limits;
use oneloop::probe::EventFlags;
use oneloop::tls::{CertificateSource, Certificates, KeyPairFiles, TlsAcceptor, TlsTransport};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use std::io::{ErrorKind, Read, Write};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

const MILLISECOND: Duration = Duration::from_millis(1);

type TlsServer = TestServer<TlsTransport<MemoryTransport>>;

/// What a server and a client need, made once.
static PAIR: LazyLock<(TlsAcceptor, Arc<ClientConfig>)> = LazyLock::new(|| {
    let files = tempfile::tempdir().unwrap();
    let certificate = TestCertificate::write(files.path(), "server", &["localhost"]);
    let pair = KeyPairFiles {
        certificate: certificate.certificate(),
        key: certificate.key(),
    };
    let source = CertificateSource::Files(vec![pair]);
    let certificates = Certificates::new(&source, &[], SystemTime::now()).unwrap();
    (
        certificates.acceptor().unwrap(),
        Arc::new(certificate.client()),
    )
});

fn server(change: impl FnOnce(&mut Limits)) -> TlsServer {
    TestServer::of_transports(change)
}

/// A client that has sent its first message.
struct Client {
    peer: Peer,
    session: ClientConnection,
    plaintext: Vec<u8>,
    /// The server's close_notify has arrived.
    has_end: bool,
}

impl Client {
    fn connect(server: &mut TlsServer) -> Self {
        let (memory_transport, peer) = pair();
        let transport = TlsTransport::new(memory_transport, &PAIR.0).unwrap();
        let peer = server.add(transport, peer);
        let name = ServerName::try_from("localhost").unwrap();
        let mut client = Self {
            peer,
            session: ClientConnection::new(PAIR.1.clone(), name).unwrap(),
            plaintext: Vec::new(),
            has_end: false,
        };
        client.exchange();
        client
    }

    /// A client whose handshake is complete.
    fn connected(server: &mut TlsServer) -> Self {
        let mut client = Self::connect(server);
        client.run(server);
        assert!(!client.session.is_handshaking());
        client
    }

    /// Decrypts what has arrived, and sends what is to be sent.
    fn exchange(&mut self) {
        let received = self.peer.take_received();
        let mut received = &received[..];
        while !received.is_empty() {
            self.session.read_tls(&mut received).unwrap();
            self.has_end |= self
                .session
                .process_new_packets()
                .unwrap()
                .peer_has_closed();
            let mut buf = [0; 4096];
            loop {
                match self.session.reader().read(&mut buf) {
                    Ok(0) => break,
                    Ok(length) => self.plaintext.extend_from_slice(&buf[..length]),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => panic!("{error}"),
                }
            }
        }
        let sent = self.take_encrypted();
        if !sent.is_empty() {
            self.peer.sends(sent);
        }
    }

    /// The bytes that the session has to send.
    fn take_encrypted(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.session.wants_write() {
            self.session.write_tls(&mut bytes).unwrap();
        }
        bytes
    }

    fn send(&mut self, plaintext: impl AsRef<[u8]>) {
        self.session.writer().write_all(plaintext.as_ref()).unwrap();
        let bytes = self.take_encrypted();
        self.peer.sends(bytes);
    }

    /// Runs the server, and sends events until an operation that blocked has no further result.
    fn run(&mut self, server: &mut TlsServer) {
        loop {
            server.run();
            self.exchange();
            if self.peer.is_closed() || !(self.peer.take_event() || self.peer.unblock()) {
                break;
            }
            server
                .scheduler
                .mark_ready(server.peers[0].0, EventFlags::default);
        }
        server.run();
        self.exchange();
    }
}

fn reasons(server: &TlsServer) -> &[CloseReason] {
    &server.handler.reasons
}

/// Fails if `send` reports bytes that the socket has not taken, or encrypts them twice.
#[test]
fn every_response_has_the_bytes_of_a_plain_one_whatever_the_socket_takes() {
    let requests = [
        GET.repeat(3),
        get("/file") + GET,
        get("/parts") + &get("/many-parts"),
        get("/stream") + &get("/long"),
        "GET /stream HTTP/1.0\r\n\r\n".into(),
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc".into(),
        get("/small") + LAST_GET,
    ];
    let script_sends = [
        vec![Space::All],
        vec![Space::Some(997), Space::Nothing],
        vec![Space::Nothing, Space::Some(5000), Space::Some(1)],
    ];
    for request in requests {
        let mut plain = TestServer::new();
        let peer = plain.connect(&request);
        plain.run();
        let (response, is_shut) = (peer.take_received(), peer.is_shut());
        for script_sends in &script_sends {
            let mut server = server(|_| {});
            let mut client = Client::connected(&mut server);
            client.peer.script_sends(script_sends.clone());
            client.send(&request);
            client.run(&mut server);
            let text = String::from_utf8_lossy(&client.plaintext);
            assert!(client.plaintext == response, "{request}: {text}");
            assert_eq!((client.peer.is_shut(), client.has_end), (is_shut, is_shut));
        }
    }
}

/// All requests are in one record: the socket is empty, and no event announces the rest.
#[test]
fn plaintext_inside_the_session_is_read_without_an_event() {
    for most in [1, 5, 64 * 1024] {
        let mut server = server(|limits| limits.read_bytes_per_iteration = most);
        let mut client = Client::connected(&mut server);
        client.send(GET.repeat(4));
        server.run();
        client.exchange();
        assert_eq!(client.plaintext, OK.repeat(4).as_bytes());
    }
}

#[test]
fn a_handshake_in_pieces_takes_an_iteration_for_each_and_others_run_in_between() {
    let mut server = server(|_| {});
    let mut other = Client::connected(&mut server);
    let mut slow = Client::connect(&mut server);
    server.run();
    slow.exchange();
    assert!(
        !slow.session.is_handshaking(),
        "the client has all it needs"
    );
    other.send(GET);
    server.iterate();
    other.exchange();
    assert_eq!(other.plaintext, OK.as_bytes());
    slow.send(GET);
    server.run();
    slow.exchange();
    assert_eq!(slow.plaintext, OK.as_bytes());
}

#[test]
fn a_handshake_that_stalls_has_the_header_timeout_in_either_direction() {
    for takes in [Space::Nothing, Space::Some(100), Space::All] {
        let mut server = server(|_| {});
        let client = Client::connect(&mut server);
        client.peer.script_sends([takes, Space::Nothing]);
        server.wait(seconds(20) - MILLISECOND);
        assert!(!client.peer.is_closed());
        server.wait(MILLISECOND);
        assert!(client.peer.is_closed() && !client.peer.is_reset());
        assert_eq!(reasons(&server), [HandshakeTimeout]);
    }
}

/// The client asks for the server's keys to be updated while the socket takes nothing, then sends
/// requests. Fails if a write that waits keeps the server from reading (rustls issue 2556).
#[test]
fn both_directions_are_full_and_go_on() {
    let mut server = server(|_| {});
    let mut client = Client::connected(&mut server);
    client.peer.script_sends([Space::Nothing]);
    client.send(get("/file"));
    client.session.refresh_traffic_keys().unwrap();
    client.send(GET);
    client.run(&mut server);
    assert_eq!(client.plaintext, b"");
    assert_eq!(server.evict(), 0, "it is not idle");
    client.peer.script_sends([Space::Some(700), Space::Nothing]);
    client.run(&mut server);
    let mut plain = TestServer::new();
    let peer = plain.connect(get("/file") + GET);
    plain.run();
    let response = peer.take_received();
    let length = client.plaintext.len();
    assert!(
        client.plaintext == response,
        "{length} of {} bytes",
        response.len()
    );
}

#[test]
fn a_response_that_is_not_taken_is_reset_without_close_notify() {
    for request in [GET.to_owned(), get("/file"), get("/stream")] {
        let mut server = server(|_| {});
        let mut client = Client::connected(&mut server);
        client.peer.script_sends([Space::Some(50), Space::Nothing]);
        client.send(&request);
        server.run();
        server.wait(seconds(60) - MILLISECOND);
        assert!(!client.peer.is_closed());
        client.peer.script_sends([Space::Nothing]);
        server.wait(MILLISECOND);
        assert!(client.peer.is_closed() && client.peer.is_reset());
        client.exchange();
        assert!(!client.has_end);
        assert_eq!(reasons(&server), [SendTimeout]);
    }
}

#[test]
fn an_end_without_close_notify_is_an_error_only_within_a_request() {
    for (request, reason) in [
        ("", PeerClosed),
        (GET, PeerClosed),
        (
            "GET /small HTTP/1.1\r\nHo",
            SocketError(ErrorKind::UnexpectedEof),
        ),
    ] {
        let mut server = server(|_| {});
        let mut client = Client::connected(&mut server);
        if !request.is_empty() {
            client.send(request);
        }
        server.run();
        client.peer.closes();
        client.run(&mut server);
        assert_eq!(reasons(&server), [reason], "{request}");
    }
}

#[test]
fn a_close_notify_ends_the_requests_and_not_the_responses() {
    let mut server = server(|_| {});
    let mut client = Client::connected(&mut server);
    client.session.writer().write_all(GET.as_bytes()).unwrap();
    client.session.send_close_notify();
    client.exchange();
    server.run();
    client.exchange();
    assert_eq!(client.plaintext, OK.as_bytes());
    assert!(client.has_end && client.peer.is_closed());
    assert_eq!(reasons(&server), [PeerClosed]);
}

/// The client's close_notify would meet a closed socket, and be answered with a reset.
#[test]
fn the_last_response_is_followed_by_close_notify_and_the_connection_lingers() {
    let mut server = server(|_| {});
    let mut client = Client::connected(&mut server);
    client.peer.sends_no_more();
    client.send(LAST_GET);
    server.run();
    client.exchange();
    assert_eq!(client.plaintext, LAST.as_bytes());
    assert!(client.has_end && client.peer.is_shut() && !client.peer.is_closed());
    client.peer.closes();
    server.run();
    assert!(client.peer.is_closed() && !client.peer.is_reset());
    assert_eq!(reasons(&server), [Completed]);
}
