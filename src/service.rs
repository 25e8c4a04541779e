//! Who answers: the site, with a line in the access log for each answer.
//!
//! Every driver serves its clients through this, so they all serve the same site and write the
//! same log, whatever way they wait.

mod tally;

pub use tally::Tally;

use crate::access_log::{AccessLog, Entry, Peer};
use crate::clock::Now;
use crate::http::payload::Payload;
use crate::http::request::{Refusal, Request};
use crate::http::response::Response;
use crate::http::scan::TLS;
use crate::pump::Service;
use crate::site::Site;
use crate::warnings::Limited;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// A site and its log.
pub struct Front {
    site: Site,
    log: Option<AccessLog>,
    tally: Option<Tally>,
}

/// The user of a client that speaks TLS sees an error of that client; this tells the operator.
static TLS_ARRIVED: Limited = Limited::new();

/// What is kept of a peer between its requests.
#[derive(Debug)]
pub struct Guest {
    /// `None` for a unix socket.
    peer: Option<IpAddr>,
    /// The answer whose body is still on its way.
    unlogged: Option<Box<Unlogged>>,
    /// Its bytes are not counted yet.
    is_uncounted: bool,
}

/// What the log will say of an answer when its body has been handed over. Owned: the request it
/// tells of is gone by then.
#[derive(Debug)]
struct Unlogged {
    line: Option<Vec<u8>>,
    host: Option<Vec<u8>>,
    referer: Option<Vec<u8>>,
    user_agent: Option<Vec<u8>>,
    status: u16,
    begun: Now,
}

impl Front {
    /// `site`, logged to `log` if there is one.
    pub fn new(site: Site, log: Option<AccessLog>) -> Self {
        let tally = None;
        Self { site, log, tally }
    }

    /// The same, counted into `tally`, if there is one.
    #[must_use]
    pub fn tallied(self, tally: Option<Tally>) -> Self {
        Self { tally, ..self }
    }

    /// Writes what is left of the log, waiting at most `wait` for its reader; and the tally.
    pub fn close(self, wait: Duration) {
        if let Some(Err(error)) = self.tally.map(Tally::write) {
            log::error!("the tally is lost: {error}");
        }
        self.log.map(|log| log.close(wait));
    }
}

impl Service for Front {
    type Guest = Guest;

    fn welcome(&mut self, peer: Option<IpAddr>) -> Guest {
        if let Some(tally) = &mut self.tally {
            tally.connections += 1;
        }
        Guest {
            peer,
            unlogged: None,
            is_uncounted: false,
        }
    }

    fn respond(
        &mut self,
        guest: &mut Guest,
        asked: Result<Request<'_>, Refusal<'_>>,
        now: Now,
    ) -> Response {
        let response = match &asked {
            Ok(request) => self.site.answer(request, now),
            Err(refusal) => {
                if refusal.why == TLS {
                    TLS_ARRIVED.warn(format_args!(
                        "TLS arrived at a port that speaks plain HTTP: use http:// instead of \
                         https://, or a proxy that ends TLS (the access log names the clients)"
                    ));
                }
                self.site.refuse(refusal)
            }
        };
        self.note(guest, &asked, &response, now);
        response
    }

    fn note(
        &mut self,
        guest: &mut Guest,
        asked: &Result<Request<'_>, Refusal<'_>>,
        response: &Response,
        now: Now,
    ) {
        if let Some(tally) = &mut self.tally {
            let body = body_at_once(asked, response);
            tally.responses += 1;
            tally.body_bytes += body.unwrap_or_default();
            guest.is_uncounted = body.is_none();
        }
        if let Some(log) = &mut self.log {
            let body = body_at_once(asked, response);
            let field = |name| {
                asked
                    .as_ref()
                    .ok()
                    .and_then(|asked| asked.fields.only(name))
            };
            let entry = Entry {
                peer: guest.peer.map_or(Peer::Unix, Peer::Ip),
                wall: now.wall,
                request_line: asked
                    .as_ref()
                    .map_or_else(|refusal| refusal.line, |a| Some(a.line)),
                host: asked.as_ref().ok().and_then(|asked| asked.host),
                status: response.status.code(),
                body_sent: body.unwrap_or_default(),
                referer: field("referer"),
                user_agent: field("user-agent"),
                duration: Some(Duration::ZERO),
            };
            match body {
                Some(_) => log.entry(&entry),
                None => guest.unlogged = Some(Box::new(Unlogged::of(&entry, now))),
            }
        }
    }

    fn delivered(&mut self, guest: &mut Guest, body_sent: u64, now: Now) {
        if let Some(tally) = &mut self.tally
            && std::mem::take(&mut guest.is_uncounted)
        {
            tally.body_bytes += body_sent;
        }
        if let (Some(log), Some(unlogged)) = (&mut self.log, guest.unlogged.take()) {
            log.entry(&Entry {
                peer: guest.peer.map_or(Peer::Unix, Peer::Ip),
                wall: unlogged.begun.wall,
                request_line: unlogged.line.as_deref(),
                host: unlogged.host.as_deref(),
                status: unlogged.status,
                body_sent,
                referer: unlogged.referer.as_deref(),
                user_agent: unlogged.user_agent.as_deref(),
                duration: Some(
                    now.instant
                        .saturating_duration_since(unlogged.begun.instant),
                ),
            });
        }
    }

    fn lost(&mut self, bytes: u64) {
        if let Some(tally) = &mut self.tally {
            tally.body_bytes = tally.body_bytes.saturating_sub(bytes);
        }
    }

    fn turn_ended(&mut self, now: Now) {
        self.site.turn_ended(now);
        if let Some(log) = &mut self.log {
            log.hand_over();
        }
    }

    fn next_due(&self) -> Option<Instant> {
        self.site.next_due()
    }

    fn reopen_logs(&mut self) {
        self.site.forget_files();
        if let Some(log) = &mut self.log {
            log.reopen();
        }
    }
}

impl Unlogged {
    fn of(entry: &Entry<'_>, begun: Now) -> Self {
        Self {
            line: entry.request_line.map(<[u8]>::to_vec),
            host: entry.host.map(<[u8]>::to_vec),
            referer: entry.referer.map(<[u8]>::to_vec),
            user_agent: entry.user_agent.map(<[u8]>::to_vec),
            status: entry.status,
            begun,
        }
    }
}

/// How many bytes of body leave together with the header, if all do.
fn body_at_once(asked: &Result<Request<'_>, Refusal<'_>>, response: &Response) -> Option<u64> {
    let is_head = match asked {
        Ok(request) => request.manners.bodiless,
        Err(refusal) => refusal.manners().bodiless,
    };
    match &response.payload {
        _ if is_head || response.status.is_bodiless() => Some(0),
        Payload::Empty | Payload::Bytes(..) => response.payload.length(),
        Payload::File(_) | Payload::Parts(_) | Payload::Stream(_) => None,
    }
}
