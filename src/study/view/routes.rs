//! What an admin connection is answered: the page of the view, and its data. Public connections get
//! the site, and never anything from here.
//!
//! A page of another site must not read the view, even if its name resolves to a loopback address
//! (DNS rebinding): the Host must be one of this machine, and a browser's request must come from
//! the view's own page.

use super::View;
use super::hold::{Hold, Pace};
use crate::clock::Now;
use crate::connection::{CloseReason, Counts};
use crate::handler::{Handler, ListenerInfo, Role};
use crate::http::fields::FieldLines;
use crate::http::payload::{Payload, Produce, Progress};
use crate::http::request::{Method, Refusal, Request, Target};
use crate::http::response::Response;
use crate::http::status::{Reason, Status};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The page that shows the request for itself. It has the word EXCHANGE in place of a number.
const REQUEST_PAGE: &str = include_str!("web/request.html");

/// The view, and the scripts of both pages. They load nothing else.
const FILES: [(&[u8], &str, &str); 5] = [
    (b"/", HTML, include_str!("web/view.html")),
    (b"/view.js", SCRIPT, include_str!("web/view.js")),
    (b"/live.js", SCRIPT, include_str!("web/live.js")),
    (b"/replay.js", SCRIPT, include_str!("web/replay.js")),
    (b"/request.js", SCRIPT, include_str!("web/request.js")),
];

/// Bodies up to this size are sent from memory at once.
const AT_ONCE: usize = 16 * 1024;

/// Bytes of a larger body that are sent in one iteration.
const SLICE: usize = 64 * 1024;

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const JSON_LINES: &str = "application/x-ndjson";
const BINARY: &str = "application/octet-stream";

const UNKNOWN: Reason = (Status::NotFound, "this path is not in the view");

/// Serves the view to admin connections, and lets `inner` answer the public ones.
#[derive(Debug)]
pub struct ViewHandler<H> {
    inner: H,
    view: View,
}

/// What is kept of a connection.
#[derive(Debug)]
pub enum ViewState<S> {
    /// The inner handler's state of a public connection.
    Public(S),
    /// An admin connection has no state.
    Admin,
}

impl<H> ViewHandler<H> {
    /// Serves `view`.
    pub fn new(inner: H, view: View) -> Self {
        Self { inner, view }
    }

    /// The handler of the public connections.
    pub fn into_inner(self) -> H {
        self.inner
    }

    fn answer(&self, request: &Result<Request<'_>, Refusal<'_>>, now: Now) -> Response {
        let answered = match request {
            Ok(request) => {
                check_origin(request).and_then(|()| route(request, &self.view, now.instant))
            }
            Err(refusal) => Err((refusal.status, refusal.why)),
        };
        answered.unwrap_or_else(|(status, why)| respond(status, TEXT, format!("{why}\n").into()))
    }
}

/// Refuses a request that a page of another site has caused, unless a link there leads here: then
/// the browser shows our page alone, and no other page can read it.
fn check_origin(request: &Request<'_>) -> Result<(), Reason> {
    if !request.host.is_some_and(is_loopback) {
        let why = "the Host of the view is localhost or a loopback address";
        return Err((Status::BadRequest, why));
    }
    let mut sites = request.fields.all("sec-fetch-site");
    let is_own = sites.all(|site| matches!(site, b"same-origin" | b"none"));
    let is_page = matches!(
        request.target,
        Target::Path {
            path: b"/" | b"/request",
            ..
        }
    );
    let is_link = request.fields.only("sec-fetch-mode") == Some(b"navigate")
        && request.fields.only("sec-fetch-dest") == Some(b"document");
    if !(is_own || is_page && is_link) {
        return Err((Status::BadRequest, "the view answers only its own page"));
    }
    Ok(())
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

fn route(request: &Request<'_>, view: &View, now: Instant) -> Result<Response, Reason> {
    let Target::Path { path, query } = request.target else {
        return Err(UNKNOWN);
    };
    let mut table = view.0.borrow_mut();
    if path == b"/pace" {
        // Another site cannot send PUT without asking first, and is never allowed to.
        if !request.line.starts_with(b"PUT ") {
            return Ok(not_allowed("PUT"));
        }
        set_pace(query, table.hold(), now)?;
        table.watch(now);
        return Ok(respond(Status::Ok, TEXT, Vec::new()));
    }
    if !matches!(request.method, Method::Get | Method::Head) {
        return Ok(not_allowed("GET, HEAD"));
    }
    if let Some((_, content_type, text)) = FILES.iter().find(|(name, ..)| *name == path) {
        return Ok(respond(Status::Ok, content_type, (*text).into()));
    }
    let (content_type, body) = match path {
        b"/request" => {
            let number = table.keep_exchange().to_string();
            (HTML, REQUEST_PAGE.replace("EXCHANGE", &number).into())
        }
        b"/exchange" => {
            let number = number(query, "number").and_then(|number| u64::try_from(number).ok());
            let exchange = number.and_then(|number| table.exchange(number));
            (
                JSON,
                exchange.ok_or((Status::NotFound, "load the page again"))?,
            )
        }
        b"/snapshot" => {
            let since = number(query, "since").unwrap_or(0);
            let run = number(query, "run").unwrap_or(0);
            let viewer = table.current();
            let since = u64::try_from(since).unwrap_or(0);
            table.watch(now);
            (BINARY, table.snapshot(since, run, viewer))
        }
        b"/iteration" => (JSON_LINES, table.iteration()),
        b"/trace" => (JSON_LINES, table.trace()),
        b"/connection" => {
            let key = number(query, "key").and_then(|key| usize::try_from(key).ok());
            let life = key.and_then(|key| table.life_of(key));
            (
                JSON,
                life.ok_or((Status::NotFound, "no connection was in this slot"))?,
            )
        }
        _ => return Err(UNKNOWN),
    };
    Ok(respond(Status::Ok, content_type, body))
}

/// `set=run`, `set=hold`, `set=step`, or `set=slow&ms=` with the time between two iterations.
fn set_pace(query: Option<&[u8]>, hold: &mut Hold, now: Instant) -> Result<(), Reason> {
    match value(query, "set") {
        Some(b"run") => hold.set(Pace::Run, now),
        Some(b"hold") => hold.set(Pace::Hold { steps: 0 }, now),
        Some(b"step") => hold.step(now),
        Some(b"slow") => {
            let time = number(query, "ms").and_then(|time| u64::try_from(time).ok());
            let time = time.ok_or((Status::BadRequest, "slow motion needs ms="))?;
            hold.set(Pace::Slow(Duration::from_millis(time)), now);
        }
        _ => return Err((Status::BadRequest, "set= run, hold, step or slow")),
    }
    Ok(())
}

/// What follows `name=` in a query.
fn value<'q>(query: Option<&'q [u8]>, name: &str) -> Option<&'q [u8]> {
    let mut pairs = query?.split(|byte| *byte == b'&');
    pairs.find_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

/// The number after `name=` in a query.
fn number(query: Option<&[u8]>, name: &str) -> Option<u128> {
    str::from_utf8(value(query, name)?).ok()?.parse().ok()
}

fn respond(status: Status, content_type: &str, body: Vec<u8>) -> Response {
    respond_with(FieldLines::new(), status, content_type, body)
}

fn not_allowed(methods: &str) -> Response {
    let mut headers = FieldLines::new();
    headers.push("Allow", methods);
    let why = format!("only {methods}\n");
    respond_with(headers, Status::MethodNotAllowed, TEXT, why.into())
}

fn respond_with(
    mut headers: FieldLines,
    status: Status,
    content_type: &str,
    body: Vec<u8>,
) -> Response {
    headers.push("Content-Type", content_type);
    headers.push("Cache-Control", "no-store");
    headers.push("X-Content-Type-Options", "nosniff");
    headers.push("Cross-Origin-Resource-Policy", "same-origin");
    headers.push("Cross-Origin-Opener-Policy", "same-origin");
    headers.push(
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; \
         connect-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'; \
         form-action 'none'",
    );
    let payload = match body.len() <= AT_ONCE {
        true => Payload::Bytes(body.into(), None),
        false => Payload::Stream(Box::new(Slices { body, sent: 0 })),
    };
    Response::new(status, Arc::new(headers)).with(payload)
}

/// A body in memory that is sent in slices, so that the public connections run in between.
#[derive(Debug)]
struct Slices {
    body: Vec<u8>,
    sent: usize,
}

impl Produce for Slices {
    fn produce(&mut self, out: &mut Vec<u8>) -> io::Result<Progress> {
        let (_, unsent) = self.body.split_at(self.sent);
        let slice = unsent.get(..SLICE).unwrap_or(unsent);
        out.extend_from_slice(slice);
        self.sent += slice.len();
        Ok(match self.sent == self.body.len() {
            true => Progress::Done,
            false => Progress::More,
        })
    }
}

impl<H: Handler> Handler for ViewHandler<H> {
    type State = ViewState<H::State>;

    fn on_connect(&mut self, listener: ListenerInfo, peer: Option<IpAddr>) -> Self::State {
        match listener.role {
            Role::Public => ViewState::Public(self.inner.on_connect(listener, peer)),
            Role::Admin => ViewState::Admin,
        }
    }

    fn respond(
        &mut self,
        state: &mut Self::State,
        request: Result<Request<'_>, Refusal<'_>>,
        now: Now,
    ) -> Response {
        match state {
            ViewState::Public(state) => self.inner.respond(state, request, now),
            ViewState::Admin => self.answer(&request, now),
        }
    }

    fn log_request(
        &mut self,
        state: &mut Self::State,
        request: &Result<Request<'_>, Refusal<'_>>,
        response: &Response,
        now: Now,
    ) {
        if let ViewState::Public(state) = state {
            self.inner.log_request(state, request, response, now);
        }
    }

    fn on_body_taken(&mut self, state: &mut Self::State, body_bytes: u64, now: Now) {
        if let ViewState::Public(state) = state {
            self.inner.on_body_taken(state, body_bytes, now);
        }
    }

    fn on_close(&mut self, state: Self::State, reason: CloseReason, counts: Counts, now: Now) {
        if let ViewState::Public(state) = state {
            self.inner.on_close(state, reason, counts, now);
        }
    }

    fn end_iteration(&mut self, now: Now) -> Option<Instant> {
        let inner = self.inner.end_iteration(now);
        let hold = self.view.0.borrow_mut().end_iteration(now.instant);
        inner.into_iter().chain(hold).min()
    }

    fn holds_public(&self, now: Instant) -> bool {
        self.view.0.borrow().holds_public(now)
    }

    fn reopen_logs(&mut self) {
        self.inner.reopen_logs();
    }

    fn reload(&mut self) {
        self.inner.reload();
    }
}
