//! The handler: answers requests, and keeps a state for each connection.
//!
//! A connection knows no site, and a site no connection. Every driver calls one [`Handler`] in the
//! same way.

use crate::clock::Now;
use crate::connection::{CloseReason, Counts};
use crate::http::request::{Refusal, Request};
use crate::http::response::Response;
use crate::notifier::Notifier;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

/// The listener that accepted a connection, as the handler and the probe get it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerInfo {
    /// Its index, in the order in which they were opened. A name with two addresses is two
    /// listeners.
    pub id: usize,
    /// What is served on it.
    pub role: Role,
    /// Whether its connections are encrypted.
    pub is_tls: bool,
}

/// What is served on a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The site.
    Public,
    /// Pages for the operator of the server, and nothing of the site.
    Admin,
}

impl ListenerInfo {
    /// A plain listener on which the site is served.
    pub fn public(id: usize) -> Self {
        Self {
            id,
            role: Role::Public,
            is_tls: false,
        }
    }
}

/// Answers requests.
pub trait Handler {
    /// What the handler keeps of one connection between its requests.
    type State;

    /// `listener` accepted a connection. `peer` is `None` on a unix socket.
    fn on_connect(&mut self, listener: ListenerInfo, peer: Option<IpAddr>) -> Self::State;

    /// A proxy has named the client of the connection: before its first request, and once at most.
    fn on_client(&mut self, _state: &mut Self::State, _client: IpAddr) {}

    /// Whether the request can be answered now. If not, another thread works on it, and the
    /// [`notifier`](Self::notifier) tells when to ask again. Asking again earlier changes nothing.
    /// What arrived in place of a request can be answered.
    fn is_ready(
        &mut self,
        _state: &mut Self::State,
        _request: &Result<Request<'_>, Refusal<'_>>,
        _now: Now,
    ) -> bool {
        true
    }

    /// What tells when to call [`is_ready`](Self::is_ready) again. Always the same. `None`: the
    /// handler is always ready.
    fn notifier(&mut self) -> Option<Arc<Notifier>> {
        None
    }

    /// Answers a request, or what arrived in place of one.
    fn respond(
        &mut self,
        state: &mut Self::State,
        request: Result<Request<'_>, Refusal<'_>>,
        now: Now,
    ) -> Response;

    /// Logs a request that a handler around this one has answered.
    fn log_request(
        &mut self,
        _state: &mut Self::State,
        _request: &Result<Request<'_>, Refusal<'_>>,
        _response: &Response,
        _now: Now,
    ) {
    }

    /// All of the response's body, `body_bytes` long, is in the write buffer or taken by the
    /// socket: a small body counts before it is sent. Not called if the connection ends before
    /// that.
    fn on_body_taken(&mut self, _state: &mut Self::State, _body_bytes: u64, _now: Now) {}

    /// The connection has ended, and its socket closes now.
    fn on_close(&mut self, _state: Self::State, _reason: CloseReason, _counts: Counts, _now: Now) {}

    /// The iteration is over: does what is done once for all its requests. Returns when it must be
    /// called again at the latest, even if nothing happens; `None` if that does not matter.
    fn end_iteration(&mut self, _now: Now) -> Option<Instant> {
        None
    }

    /// Whether the public connections are held at `now`: no connection is accepted or run, and no
    /// deadline passes. Events are kept for later, and connections of [`Role::Admin`] go on. Asked
    /// at the beginning of an iteration and of a poll, and only by the reactor.
    fn holds_public(&self, _now: Instant) -> bool {
        false
    }

    /// SIGUSR1, or SIGHUP with a log file: opens the log files again, because they may have
    /// been renamed, and closes cached files, because a volume may be about to be unmounted.
    fn reopen_files(&mut self) {}

    /// SIGHUP with a configuration file or certificates: reads them again, and opens the log files
    /// again.
    fn reload(&mut self) {
        self.reopen_files();
    }
}

/// A handler around another one. It may override how requests are answered and how an iteration
/// ends. All other methods of [`Handler`] call the inner handler, except
/// [`holds_public`](Handler::holds_public), which the reactor asks of the outermost handler only.
pub trait Wrapper {
    /// The handler inside.
    type Inner: Handler;

    /// Calls the inner handler.
    fn with_inner<R>(&mut self, call: impl FnOnce(&mut Self::Inner) -> R) -> R;

    /// See [`Handler::respond`].
    fn respond(
        &mut self,
        state: &mut <Self::Inner as Handler>::State,
        request: Result<Request<'_>, Refusal<'_>>,
        now: Now,
    ) -> Response {
        self.with_inner(|inner| inner.respond(state, request, now))
    }

    /// See [`Handler::end_iteration`].
    fn end_iteration(&mut self, now: Now) -> Option<Instant> {
        self.with_inner(|inner| inner.end_iteration(now))
    }
}

impl<W: Wrapper> Handler for W {
    type State = <W::Inner as Handler>::State;

    fn on_connect(&mut self, listener: ListenerInfo, peer: Option<IpAddr>) -> Self::State {
        self.with_inner(|inner| inner.on_connect(listener, peer))
    }

    fn on_client(&mut self, state: &mut Self::State, client: IpAddr) {
        self.with_inner(|inner| inner.on_client(state, client));
    }

    fn is_ready(
        &mut self,
        state: &mut Self::State,
        request: &Result<Request<'_>, Refusal<'_>>,
        now: Now,
    ) -> bool {
        self.with_inner(|inner| inner.is_ready(state, request, now))
    }

    fn notifier(&mut self) -> Option<Arc<Notifier>> {
        self.with_inner(Handler::notifier)
    }

    fn respond(
        &mut self,
        state: &mut Self::State,
        request: Result<Request<'_>, Refusal<'_>>,
        now: Now,
    ) -> Response {
        Wrapper::respond(self, state, request, now)
    }

    fn log_request(
        &mut self,
        state: &mut Self::State,
        request: &Result<Request<'_>, Refusal<'_>>,
        response: &Response,
        now: Now,
    ) {
        self.with_inner(|inner| inner.log_request(state, request, response, now));
    }

    fn on_body_taken(&mut self, state: &mut Self::State, body_bytes: u64, now: Now) {
        self.with_inner(|inner| inner.on_body_taken(state, body_bytes, now));
    }

    fn on_close(&mut self, state: Self::State, reason: CloseReason, counts: Counts, now: Now) {
        self.with_inner(|inner| inner.on_close(state, reason, counts, now));
    }

    fn end_iteration(&mut self, now: Now) -> Option<Instant> {
        Wrapper::end_iteration(self, now)
    }

    fn reopen_files(&mut self) {
        self.with_inner(Handler::reopen_files);
    }

    fn reload(&mut self) {
        self.with_inner(Handler::reload);
    }
}
