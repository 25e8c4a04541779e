//! The handler of the server: its sites, and a line in the access log for each response.

mod https;
mod protected;
mod tally;

use https::HttpsAction;
pub use https::HttpsPolicy;
pub use tally::Tally;

use crate::access_log::{AccessLog, LogEntry, Peer};
use crate::clock::Now;
use crate::connection::{CloseReason, Counts};
use crate::handler::{Handler, ListenerInfo};
use crate::http::payload::Payload;
use crate::http::request::{Refusal, Request, Target};
use crate::http::response::Response;
use crate::notifier::Notifier;
use crate::passwords::Passwords;
use crate::proxy::TrustedProxies;
use crate::site::Sites;
use crate::site::path::SitePath;
use crate::site::rules::Pattern;
use crate::warnings::RateLimited;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The sites and their log.
pub struct SiteHandler {
    sites: Sites,
    https_policy: HttpsPolicy,
    proxies: TrustedProxies,
    log: Option<AccessLog>,
    /// Successful requests for these paths are not logged.
    log_skip: Vec<Pattern>,
    tally: Option<Tally>,
    passwords: Users,
    /// The user of the request that is answered, for the log.
    user: Option<Vec<u8>>,
    /// Reads the configuration again and opens its sites.
    load_sites: Option<LoadSites>,
}

/// The passwords of all sites, which number the realms in their order. `None`: nothing is
/// protected.
pub type Users = Option<Passwords>;

/// What a configuration names, opened.
pub struct Loaded {
    /// The sites.
    pub sites: Sites,
    /// The users of what they protect.
    pub users: Users,
}

/// Opens what a configuration names that is read again. The error is a sentence for the operator.
pub type LoadSites = Box<dyn Fn() -> Result<Loaded, String> + Send>;

/// A client that speaks TLS shows an error of its own; this warning is for the operator.
static TLS_ARRIVED: RateLimited = RateLimited::new();

/// What is kept of a connection between its requests.
#[derive(Debug)]
pub struct PeerState {
    /// The other end, or the client that a header of the PROXY protocol names. `None` for a unix
    /// socket.
    peer: Option<IpAddr>,
    /// It is a proxy whose requests name their client.
    is_trusted: bool,
    /// What is done for HTTPS on this connection.
    https_action: HttpsAction,
    /// The response whose body is still being sent.
    unlogged: Option<Box<Unlogged>>,
}

/// What the log says of a response when its body is sent. Owned, as the request is gone by then.
#[derive(Debug)]
struct Unlogged {
    peer: Peer,
    line: Vec<u8>,
    host: Option<Vec<u8>>,
    referer: Option<Vec<u8>>,
    user_agent: Option<Vec<u8>>,
    user: Option<Vec<u8>>,
    status: u16,
    begun: Now,
}

impl SiteHandler {
    /// Answers from `sites`; writes to `log` and `tally`, where given.
    pub fn new(sites: impl Into<Sites>, log: Option<AccessLog>, tally: Option<Tally>) -> Self {
        Self {
            sites: sites.into(),
            https_policy: HttpsPolicy::default(),
            proxies: TrustedProxies::default(),
            log,
            log_skip: Vec::new(),
            tally,
            passwords: None,
            user: None,
            load_sites: None,
        }
    }

    /// The handler, which writes to `log`.
    #[must_use]
    pub fn with_log(mut self, log: Option<AccessLog>) -> Self {
        self.log = log;
        self
    }

    /// The handler, with `policy` for plain and encrypted connections.
    #[must_use]
    pub fn with_https(mut self, policy: HttpsPolicy) -> Self {
        self.https_policy = policy;
        self
    }

    /// The handler, which lets `proxies` name their clients.
    #[must_use]
    pub fn with_proxies(mut self, proxies: TrustedProxies) -> Self {
        self.proxies = proxies;
        self
    }

    /// The handler, which does not log successful requests for the paths of `patterns`.
    #[must_use]
    pub fn with_log_skip(mut self, patterns: Vec<Pattern>) -> Self {
        self.log_skip = patterns;
        self
    }

    /// The handler, with `load` for [`Handler::reload`].
    #[must_use]
    pub fn with_reload(mut self, load: LoadSites) -> Self {
        self.load_sites = Some(load);
        self
    }

    /// Returns a function that returns how many lines of the log were dropped since the start.
    pub fn dropped_log_lines(&self) -> impl Fn() -> u64 + use<> {
        let dropped = self.log.as_ref().map(AccessLog::dropped);
        move || dropped.as_ref().map_or(0, |dropped| dropped())
    }

    /// Writes the rest of the log, waiting at most `wait` for its reader, and the tally. What is
    /// answered afterwards is not logged.
    pub fn close(&mut self, wait: Duration) {
        if let Some(Err(error)) = self.tally.take().map(Tally::write) {
            log::error!("the tally is lost: {error}");
        }
        self.log.take().map(|log| log.close(wait));
    }

    /// Whether it is known how to answer, where something is protected.
    #[inline(never)]
    fn has_answer(
        &mut self,
        state: &PeerState,
        request: &Result<Request<'_>, Refusal<'_>>,
        now: Now,
    ) -> bool {
        let Ok(request) = request else {
            return true;
        };
        self.redirects(state, request) || self.knows_user(request, now)
    }

    /// Whether a request is answered with a redirect to HTTPS.
    fn redirects(&mut self, state: &PeerState, request: &Request<'_>) -> bool {
        state.https_action == HttpsAction::Redirect
            && https::names_host(request)
            && self.sites.answers_for(request.host)
    }

    /// Logs a response whose body has been sent, or will be no longer.
    fn log_sent(&mut self, state: &mut PeerState, body_sent: u64, now: Now) {
        if let (Some(log), Some(unlogged)) = (&mut self.log, state.unlogged.take()) {
            log.log_request(&LogEntry {
                peer: unlogged.peer,
                wall: unlogged.begun.wall,
                request_line: &unlogged.line,
                host: unlogged.host.as_deref(),
                status: unlogged.status,
                body_sent,
                referer: unlogged.referer.as_deref(),
                user_agent: unlogged.user_agent.as_deref(),
                user: unlogged.user.as_deref(),
                duration: (now.instant).saturating_duration_since(unlogged.begun.instant),
            });
        }
    }
}

impl Handler for SiteHandler {
    type State = PeerState;

    fn on_connect(&mut self, listener: ListenerInfo, peer: Option<IpAddr>) -> PeerState {
        PeerState {
            peer,
            is_trusted: self.proxies.trusts(peer),
            https_action: self.https_policy.action(listener.is_tls),
            unlogged: None,
        }
    }

    fn on_client(&mut self, state: &mut PeerState, client: IpAddr) {
        state.peer = Some(client);
        state.is_trusted = self.proxies.trusts(state.peer);
    }

    #[inline]
    fn is_ready(
        &mut self,
        state: &mut PeerState,
        request: &Result<Request<'_>, Refusal<'_>>,
        now: Now,
    ) -> bool {
        self.passwords.is_none() || self.has_answer(state, request, now)
    }

    fn notifier(&mut self) -> Option<Arc<Notifier>> {
        self.passwords.as_ref().map(Passwords::notifier)
    }

    fn respond(
        &mut self,
        state: &mut PeerState,
        request: Result<Request<'_>, Refusal<'_>>,
        now: Now,
    ) -> Response {
        let mut response = match &request {
            Ok(request) if self.redirects(state, request) => self.https_policy.redirect(request),
            Ok(request) if self.passwords.is_some() => self.respond_to_user(request, now),
            Ok(request) => self.sites.respond(request, now),
            Err(refusal) => {
                if refusal.is_tls() {
                    TLS_ARRIVED.warn(format_args!(
                        "TLS arrived at a port that speaks plain HTTP: use http:// instead of \
                         https://, or --tls-cert (the access log names the clients)"
                    ));
                }
                self.sites.refuse(refusal)
            }
        };
        if state.https_action == HttpsAction::AddHsts {
            self.https_policy.add_to(&mut response);
        }
        if self.log.is_some() || self.tally.is_some() {
            self.log_request(state, &request, &response, now);
        }
        response
    }

    #[inline(never)]
    fn log_request(
        &mut self,
        state: &mut PeerState,
        request: &Result<Request<'_>, Refusal<'_>>,
        response: &Response,
        now: Now,
    ) {
        if let Some(tally) = &mut self.tally {
            tally.responses += 1;
        }
        let Some(log) = &mut self.log else {
            return;
        };
        let user = self.user.take();
        if !self.log_skip.is_empty() && is_skipped(&self.log_skip, request, response) {
            return;
        }
        let body = body_at_once(request, response);
        let field = |name| {
            request
                .as_ref()
                .ok()
                .and_then(|request| request.fields.only(name))
        };
        let client = match request {
            Ok(request) if state.is_trusted => self.proxies.client(state.peer, request.fields),
            _ => state.peer,
        };
        let entry = LogEntry {
            peer: client.map_or(Peer::Unix, Peer::Ip),
            wall: now.wall,
            request_line: match request {
                Ok(request) => request.line,
                Err(refusal) => refusal.line,
            },
            host: request.as_ref().ok().and_then(|request| request.host),
            status: response.status.code(),
            body_sent: 0,
            referer: field("referer"),
            user_agent: field("user-agent"),
            user: user.as_deref(),
            duration: Duration::ZERO,
        };
        match body {
            Some(body_sent) => log.log_request(&LogEntry { body_sent, ..entry }),
            None => state.unlogged = Some(Box::new(Unlogged::of(&entry, now))),
        }
    }

    fn on_body_taken(&mut self, state: &mut PeerState, body_bytes: u64, now: Now) {
        self.log_sent(state, body_bytes, now);
    }

    fn on_close(&mut self, mut state: PeerState, _: CloseReason, counts: Counts, now: Now) {
        self.log_sent(&mut state, counts.latest_body, now);
        if let Some(tally) = &mut self.tally {
            tally.connections += 1;
            tally.body_bytes += counts.body_bytes;
        }
    }

    fn end_iteration(&mut self, now: Now) -> Option<Instant> {
        self.sites.end_iteration(now);
        if let Some(log) = &mut self.log {
            log.flush_to_queue();
        }
        self.sites.next_due()
    }

    fn reopen_files(&mut self) {
        self.sites.forget_files();
        if let Some(log) = &mut self.log {
            log.reopen();
        }
    }

    /// Responses that are being sent go on: each has its file open.
    fn reload(&mut self) {
        match self.load_sites.as_ref().map(|load| load()) {
            Some(Ok(loaded)) => {
                self.sites = loaded.sites;
                self.set_users(loaded.users);
            }
            Some(Err(error)) => log::error!("the configuration stays as it was: {error}"),
            None => {}
        }
        self.reopen_files();
    }
}

impl Unlogged {
    fn of(entry: &LogEntry<'_>, begun: Now) -> Self {
        Self {
            peer: entry.peer,
            line: entry.request_line.to_vec(),
            host: entry.host.map(<[u8]>::to_vec),
            referer: entry.referer.map(<[u8]>::to_vec),
            user_agent: entry.user_agent.map(<[u8]>::to_vec),
            user: entry.user.map(<[u8]>::to_vec),
            status: entry.status,
            begun,
        }
    }
}

/// Whether a request succeeded, and its path is one of `patterns`. The path is the one that the
/// site looks up: `/health/../x` is `/x`.
fn is_skipped(
    patterns: &[Pattern],
    request: &Result<Request<'_>, Refusal<'_>>,
    response: &Response,
) -> bool {
    let Ok(Request {
        target: Target::Path { path, .. },
        ..
    }) = request
    else {
        return false;
    };
    let mut name = Vec::new();
    let Ok(found) = SitePath::decode(path, &mut name) else {
        return false;
    };
    let mut path = [b"/", found.name()].concat();
    if found.has_slash() && path.len() > 1 {
        path.push(b'/');
    }
    response.status.code() < 400 && patterns.iter().any(|pattern| pattern.matches(&path))
}

/// The length of the body, if all of it is written together with the head: `Connection::respond`
/// renders those bodies into the write buffer.
fn body_at_once(request: &Result<Request<'_>, Refusal<'_>>, response: &Response) -> Option<u64> {
    let is_head = match request {
        Ok(request) => request.delivery.is_head,
        Err(refusal) => refusal.delivery().is_head,
    };
    match &response.payload {
        _ if is_head || response.status.is_bodiless() => Some(0),
        Payload::Empty | Payload::Bytes(..) => response.payload.length(),
        Payload::File(_) | Payload::Parts(_) | Payload::Stream(_) => None,
    }
}
