//! While the handler holds the public connections, the loop serves those of the operator only.

use crate::handler::Pages;
use crate::memory_transport::{MemoryTransport, Peer, pair};
use crate::{GET, OK, TestServer, seconds};
use oneloop::clock::Now;
use oneloop::deadline_clock::PollOutcome;
use oneloop::event_loop::engine::{Engine, Flow, Sockets};
use oneloop::handler::{Handler, ListenerInfo, Role};
use oneloop::http::request::{Refusal, Request};
use oneloop::http::response::Response;
use oneloop::limits::Limits;
use oneloop::listen::accept::Accept;
use oneloop::notifier::Notifier;
use oneloop::probe::EventFlags;
use oneloop::signals::Action;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A listening socket at which connections wait.
#[derive(Clone)]
struct Waiting(Role, Rc<RefCell<VecDeque<MemoryTransport>>>);

impl Accept for Waiting {
    type Stream = MemoryTransport;

    fn accept(&mut self) -> io::Result<MemoryTransport> {
        let next = self.1.borrow_mut().pop_front();
        next.ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }

    fn role(&self) -> Role {
        self.0
    }
}

struct InMemory;

impl Sockets<Waiting, MemoryTransport> for InMemory {
    fn make_transport(
        &mut self,
        _: ListenerInfo,
        stream: MemoryTransport,
    ) -> io::Result<(MemoryTransport, Option<SocketAddr>)> {
        Ok((stream, None))
    }

    fn register(&mut self, _: &mut MemoryTransport, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn close_connection(&mut self, _: MemoryTransport) {}

    fn watch(&mut self, _: &Notifier) -> io::Result<()> {
        Ok(())
    }

    fn close_listeners(&mut self, _: Vec<Waiting>) {}
}

/// Holds the public connections while a test wants it.
struct Holding(Pages, Rc<Cell<bool>>);

impl Handler for Holding {
    type State = usize;

    fn on_connect(&mut self, listener: ListenerInfo, peer: Option<std::net::IpAddr>) -> usize {
        self.0.on_connect(listener, peer)
    }

    fn respond(
        &mut self,
        state: &mut usize,
        request: Result<Request<'_>, Refusal<'_>>,
        now: Now,
    ) -> Response {
        self.0.respond(state, request, now)
    }

    fn holds_public(&self, _: Instant) -> bool {
        self.1.get()
    }
}

/// A whole loop, but for its poll.
struct Loop {
    engine: Engine<Waiting, MemoryTransport, Holding>,
    listeners: [Waiting; 2],
    peers: Vec<Peer>,
    is_held: Rc<Cell<bool>>,
    now: Now,
}

impl Loop {
    fn new() -> Self {
        let is_held = Rc::new(Cell::new(false));
        let listeners = [Role::Public, Role::Admin].map(|role| Waiting(role, Rc::default()));
        let handler = Holding(Pages::default(), is_held.clone());
        let engine = Engine::new(listeners.clone(), handler, Arc::new(Limits::default()), ());
        Self {
            engine,
            listeners,
            peers: Vec::new(),
            is_held,
            now: TestServer::new().now,
        }
    }

    /// Connections of these roles and orders get the keys 0, 1, 2.
    fn connect(&mut self, role: Role, words: &str) -> Peer {
        let (transport, peer) = pair();
        peer.sends(words);
        let id = usize::from(role == Role::Admin);
        self.listeners[id].1.borrow_mut().push_back(transport);
        self.engine.mark_listener_ready(id);
        self.peers.push(peer.clone());
        peer
    }

    /// Polls for `time`, marks the connections with an event, and iterates.
    fn poll_and_run(&mut self, time: Duration) -> Flow {
        let timeout = self.engine.begin_poll(self.now);
        self.now.instant += time;
        self.engine
            .end_poll(self.now, timeout, PollOutcome::Events, 1);
        for (key, peer) in self.peers.iter().enumerate() {
            if peer.take_event() {
                self.engine.mark_ready(key, EventFlags::default);
            }
        }
        (self.engine.run_phases(self.now, &mut InMemory)).unwrap()
    }

    /// The same. Returns the timeout of the next poll.
    fn iterate_after(&mut self, time: Duration) -> Option<Duration> {
        assert!(self.poll_and_run(time).is_continue());
        self.engine.poll_timeout(self.now)
    }

    fn stop(&mut self) {
        let flow = (self.engine).handle_signal(Action::Stop, self.now, &mut InMemory);
        assert!(flow.is_continue());
    }

    fn iterate(&mut self) -> Option<Duration> {
        self.iterate_after(Duration::ZERO)
    }
}

#[test]
fn a_held_loop_serves_the_operator_and_waits_without_spinning() {
    let mut server = Loop::new();
    let public = server.connect(Role::Public, GET);
    server.iterate();
    assert_eq!(public.take_received_text(), OK);

    server.is_held.set(true);
    public.sends(GET);
    let late = server.connect(Role::Public, GET);
    assert_eq!(server.iterate(), None, "what waits is held");
    server.peers.pop();
    let admin = server.connect(Role::Admin, GET);
    server.iterate();
    admin.sends(GET);
    assert_eq!(server.iterate(), None);
    assert_eq!(admin.take_received_text(), OK.repeat(2));
    assert_eq!(public.take_received_text() + &late.take_received_text(), "");

    server.is_held.set(false);
    assert_eq!(server.engine.poll_timeout(server.now), Some(Duration::ZERO));
    server.iterate();
    assert_eq!(public.take_received_text(), OK, "its event was kept");
    assert_eq!(late.take_received_text(), OK);
}

/// The operator's bytes count as events of their loop, so the poll returns again and again.
#[test]
fn deadlines_stand_still_while_connections_are_held() {
    let mut server = Loop::new();
    let slow = server.connect(Role::Public, "GET /sm");
    server.iterate();
    server.is_held.set(true);
    for _ in 0..100 {
        server.iterate_after(seconds(1));
    }
    server.is_held.set(false);
    server.iterate_after(seconds(1));
    assert_eq!(slow.take_received_text(), "");
    let header_timeout = Limits::default().header_timeout;
    let left = server.engine.poll_timeout(server.now).unwrap();
    assert!(
        left <= header_timeout && left + seconds(3) > header_timeout,
        "{left:?}"
    );
    server.iterate_after(header_timeout);
    assert!(slow.take_received_text().starts_with("HTTP/1.1 408 "));
}

#[test]
fn a_server_that_stops_holds_nothing() {
    let mut server = Loop::new();
    let public = server.connect(Role::Public, "GET /sm");
    server.iterate();
    server.is_held.set(true);
    public.sends("all HTTP/1.1\r\nHost: a\r\n\r\n");
    server.iterate();
    assert_eq!(public.take_received_text(), "");
    server.stop();
    server.iterate();
    assert!(
        public
            .take_received_text()
            .starts_with("HTTP/1.1 200 OK\r\n")
    );
}

#[test]
fn a_server_that_stops_serves_the_operator_until_the_last_public_connection_has_ended() {
    let mut server = Loop::new();
    let public = server.connect(Role::Public, "GET /sm");
    server.iterate();
    server.stop();
    server.iterate();
    for _ in 0..2 {
        let operator = server.connect(Role::Admin, GET);
        server.iterate();
        let answer = operator.take_received_text();
        assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
        operator.closes();
        server.iterate();
        server.peers.pop();
    }
    let late = server.connect(Role::Public, GET);
    server.iterate();
    server.peers.pop();
    public.sends("all HTTP/1.1\r\nHost: a\r\n\r\n");
    public.closes();
    assert!(server.poll_and_run(Duration::ZERO).is_break());
    let answer = public.take_received_text();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert_eq!(late.take_received_text(), "", "it is not accepted");
}

/// Fails if the loop ends while a request of the operator is being received.
#[test]
fn a_server_that_stops_ends_when_the_operators_connections_have_ended() {
    let mut server = Loop::new();
    let operator = server.connect(Role::Admin, "GET /sm");
    server.iterate();
    server.stop();
    server.iterate();
    let late = server.connect(Role::Admin, GET);
    server.iterate();
    server.peers.pop();
    operator.sends("all HTTP/1.1\r\nHost: a\r\n\r\n");
    operator.closes();
    assert!(server.poll_and_run(Duration::ZERO).is_break());
    let answer = operator.take_received_text();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert_eq!(late.take_received_text(), "", "it is not accepted");
}
