//! What an admin connection is answered. Public connections get the site, and never anything from
//! here.
//!
//! A page of another site must not read what is served here, even if its name resolves to a
//! loopback address (DNS rebinding): the Host must be one of this machine, and a browser's request
//! must come from a page of this listener.

use super::exposition::CONTENT_TYPE;
use super::metrics::Metrics;
use super::responses::{TEXT, not_allowed, respond};
use crate::clock::Now;
use crate::connection::{CloseReason, Counts};
use crate::handler::{Handler, ListenerInfo, Role};
use crate::http::request::{Method, Refusal, Request, Target};
use crate::http::response::Response;
use crate::http::status::{RequestError, Status};
use crate::notifier::Notifier;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Instant;

/// Pages on the listener of the operator, besides `/metrics`, `/health` and `/ready`.
pub trait Pages {
    /// Answers a request for another path. It comes from this machine, and from no page of another
    /// site, except for a link to a path for which [`Pages::is_page`] is true.
    ///
    /// # Errors
    /// The path is unknown, or its query is wrong.
    fn answer(&mut self, request: &Request<'_>, now: Instant) -> Result<Response, RequestError>;

    /// Whether a browser shows this path as a page, so that other sites may link to it.
    fn is_page(&self, path: &[u8]) -> bool;

    /// See [`Handler::end_iteration`].
    fn end_iteration(&mut self, now: Instant) -> Option<Instant>;

    /// See [`Handler::holds_public`].
    fn holds_public(&self, now: Instant) -> bool;
}

/// No further pages.
impl Pages for () {
    fn answer(&mut self, _: &Request<'_>, _: Instant) -> Result<Response, RequestError> {
        Err((Status::NotFound, "here are /metrics, /health and /ready"))
    }

    fn is_page(&self, _: &[u8]) -> bool {
        false
    }

    fn end_iteration(&mut self, _: Instant) -> Option<Instant> {
        None
    }

    fn holds_public(&self, _: Instant) -> bool {
        false
    }
}

/// Answers admin connections, and lets `inner` answer the public ones.
pub struct AdminHandler<H, V> {
    inner: H,
    metrics: Metrics,
    pages: V,
}

/// What is kept of a connection.
#[derive(Debug)]
pub enum AdminState<S> {
    /// A public connection.
    Public {
        /// The inner handler's state.
        state: S,
        /// A response was begun, and its body is not counted yet.
        is_sending: bool,
    },
    /// An admin connection has no state.
    Admin,
}

impl<H, V: Pages> AdminHandler<H, V> {
    /// Serves `metrics` and `pages` to the operator.
    pub fn new(inner: H, metrics: Metrics, pages: V) -> Self {
        Self {
            inner,
            metrics,
            pages,
        }
    }

    /// The handler of the public connections.
    pub fn into_inner(self) -> H {
        self.inner
    }

    fn answer(&mut self, request: &Result<Request<'_>, Refusal<'_>>, now: Instant) -> Response {
        let answered = match request {
            Ok(request) => self
                .check_origin(request)
                .and_then(|()| self.route(request, now)),
            Err(refusal) => Err((refusal.status, refusal.why)),
        };
        answered.unwrap_or_else(|(status, why)| respond(status, TEXT, format!("{why}\n").into()))
    }

    fn route(&mut self, request: &Request<'_>, now: Instant) -> Result<Response, RequestError> {
        let response = match path_of(request) {
            b"/metrics" => respond(Status::Ok, CONTENT_TYPE, self.metrics.render().into()),
            b"/health" => respond(Status::Ok, TEXT, "ok\n".into()),
            b"/ready" => {
                self.check_ready(now)?;
                respond(Status::Ok, TEXT, "ready\n".into())
            }
            _ => return self.pages.answer(request, now),
        };
        Ok(match request.method {
            Method::Get | Method::Head => response,
            _ => not_allowed("GET, HEAD"),
        })
    }

    /// Whether new public connections are served.
    fn check_ready(&self, now: Instant) -> Result<(), RequestError> {
        let why = match () {
            () if self.metrics.is_draining() => {
                "draining: the server stops, and only answers the requests that it has"
            }
            () if self.pages.holds_public(now) => {
                "held: the live view has paused the public connections"
            }
            () => return Ok(()),
        };
        Err((Status::ServiceUnavailable, why))
    }

    /// Refuses a request that a page of another site has caused, unless a link there leads to a
    /// page here: then the browser shows our page alone, and no other page can read it.
    fn check_origin(&self, request: &Request<'_>) -> Result<(), RequestError> {
        if !request.host.is_some_and(is_loopback) {
            let why = "the Host of this listener is localhost or a loopback address";
            return Err((Status::BadRequest, why));
        }
        let mut sites = request.fields.all("sec-fetch-site");
        let is_own = sites.all(|site| matches!(site, b"same-origin" | b"none"));
        let is_link = request.fields.only("sec-fetch-mode") == Some(b"navigate")
            && request.fields.only("sec-fetch-dest") == Some(b"document");
        if !(is_own || is_link && self.pages.is_page(path_of(request))) {
            let why = "this listener answers only its own pages";
            return Err((Status::BadRequest, why));
        }
        Ok(())
    }
}

/// The path; empty for a target without one.
fn path_of<'r>(request: &Request<'r>) -> &'r [u8] {
    match request.target {
        Target::Path { path, .. } => path,
        Target::Asterisk | Target::Authority => b"",
    }
}

/// Whether a Host field names this machine from within. (RFC 6761 6.3: localhost always does.)
fn is_loopback(host: &[u8]) -> bool {
    let Ok(host) = str::from_utf8(host) else {
        return false;
    };
    if let Some(rest) = host.strip_prefix("[::1]") {
        return rest.is_empty() || rest.starts_with(':');
    }
    let (name, _) = host.split_once(':').unwrap_or((host, ""));
    let address = name.parse::<Ipv4Addr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

impl<H: Handler, V: Pages> Handler for AdminHandler<H, V> {
    type State = AdminState<H::State>;

    fn on_connect(&mut self, listener: ListenerInfo, peer: Option<IpAddr>) -> Self::State {
        match listener.role {
            Role::Public => AdminState::Public {
                state: self.inner.on_connect(listener, peer),
                is_sending: false,
            },
            Role::Admin => AdminState::Admin,
        }
    }

    fn on_client(&mut self, state: &mut Self::State, client: IpAddr) {
        if let AdminState::Public { state, .. } = state {
            self.inner.on_client(state, client);
        }
    }

    fn is_ready(
        &mut self,
        state: &mut Self::State,
        request: &Result<Request<'_>, Refusal<'_>>,
        now: Now,
    ) -> bool {
        match state {
            AdminState::Public { state, .. } => self.inner.is_ready(state, request, now),
            AdminState::Admin => true,
        }
    }

    fn notifier(&mut self) -> Option<Arc<Notifier>> {
        self.inner.notifier()
    }

    fn respond(
        &mut self,
        state: &mut Self::State,
        request: Result<Request<'_>, Refusal<'_>>,
        now: Now,
    ) -> Response {
        let AdminState::Public { state, is_sending } = state else {
            return self.answer(&request, now.instant);
        };
        let response = self.inner.respond(state, request, now);
        self.metrics.on_response(response.status);
        *is_sending = true;
        response
    }

    fn log_request(
        &mut self,
        state: &mut Self::State,
        request: &Result<Request<'_>, Refusal<'_>>,
        response: &Response,
        now: Now,
    ) {
        if let AdminState::Public { state, .. } = state {
            self.inner.log_request(state, request, response, now);
        }
    }

    fn on_body_taken(&mut self, state: &mut Self::State, body_bytes: u64, now: Now) {
        if let AdminState::Public { state, is_sending } = state {
            *is_sending = false;
            self.metrics.on_body(body_bytes);
            self.inner.on_body_taken(state, body_bytes, now);
        }
    }

    fn on_close(&mut self, state: Self::State, reason: CloseReason, counts: Counts, now: Now) {
        if let AdminState::Public { state, is_sending } = state {
            if is_sending {
                self.metrics.on_body(counts.latest_body);
            }
            self.inner.on_close(state, reason, counts, now);
        }
    }

    fn end_iteration(&mut self, now: Now) -> Option<Instant> {
        let inner = self.inner.end_iteration(now);
        let pages = self.pages.end_iteration(now.instant);
        inner.into_iter().chain(pages).min()
    }

    fn holds_public(&self, now: Instant) -> bool {
        self.pages.holds_public(now)
    }

    fn reopen_files(&mut self) {
        self.inner.reopen_files();
    }

    fn reload(&mut self) {
        self.inner.reload();
    }
}
