//! The pages of the view, and its data.

use super::View;
use super::hold::{Hold, Pace};
use crate::admin::{Pages, not_allowed, respond};
use crate::http::request::{Method, Request, Target};
use crate::http::response::Response;
use crate::http::status::{RequestError, Status};
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

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const JSON_LINES: &str = "application/x-ndjson";
const BINARY: &str = "application/octet-stream";

const UNKNOWN: RequestError = (Status::NotFound, "this path is not in the view");

impl Pages for View {
    fn answer(&mut self, request: &Request<'_>, now: Instant) -> Result<Response, RequestError> {
        route(request, self, now)
    }

    fn is_page(&self, path: &[u8]) -> bool {
        matches!(path, b"/" | b"/request")
    }

    fn end_iteration(&mut self, now: Instant) -> Option<Instant> {
        self.0.borrow_mut().end_iteration(now)
    }

    fn holds_public(&self, now: Instant) -> bool {
        self.0.borrow().holds_public(now)
    }
}

fn route(request: &Request<'_>, view: &View, now: Instant) -> Result<Response, RequestError> {
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
fn set_pace(query: Option<&[u8]>, hold: &mut Hold, now: Instant) -> Result<(), RequestError> {
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
