//! Who answers: the site, with a line in the access log for each answer.
//!
//! Every driver serves its clients through this, so they all serve the same site and write the
//! same log, whatever way they wait.

use crate::access_log::{AccessLog, Entry, Peer};
use crate::burn::Burn;
use crate::clock::Now;
use crate::http::payload::Payload;
use crate::http::request::{Refusal, Request};
use crate::http::response::Response;
use crate::pump::Service;
use crate::site::Site;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A site and its log.
pub struct Front {
    site: Site,
    log: Option<AccessLog>,
    burn: Option<Burn>,
    tally: Tally,
    /// Where the tally goes.
    tally_file: Option<PathBuf>,
}

/// What was done, in all.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    connections: u64,
    responses: u64,
    /// Handed over to be sent.
    body_bytes: u64,
}

/// What is kept of a peer between its requests.
#[derive(Debug)]
pub struct Guest {
    /// `None` for a unix socket.
    peer: Option<IpAddr>,
    /// The answer whose body is still on its way.
    unlogged: Option<Box<Unlogged>>,
    /// A body is on its way.
    uncounted: bool,
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
        Self {
            site,
            log,
            burn: None,
            tally: Tally::default(),
            tally_file: None,
        }
    }

    /// The same, with what an experiment wants of it: a handler that computes, and a file to which
    /// the counts are appended at the end.
    pub fn with(mut self, burn: Option<Burn>, tally_file: Option<PathBuf>) -> Self {
        (self.burn, self.tally_file) = (burn, tally_file);
        self
    }

    /// Writes what is left of the log, waiting at most `wait` for its reader; and the tally.
    pub fn close(self, wait: Duration) {
        if let Some(path) = &self.tally_file
            && let Err(error) = self.tally.append(path)
        {
            log::error!("cannot write the tally to {}: {error}", path.display());
        }
        if let Some(log) = self.log
            && !log.close(wait)
        {
            log::warn!("the access log's reader is stuck; its last lines are lost");
        }
    }
}

impl Service for Front {
    type Guest = Guest;

    fn welcome(&mut self, peer: Option<IpAddr>) -> Guest {
        self.tally.connections += 1;
        Guest {
            peer,
            unlogged: None,
            uncounted: false,
        }
    }

    fn respond(
        &mut self,
        guest: &mut Guest,
        asked: Result<Request<'_>, Refusal<'_>>,
        now: Now,
    ) -> Response {
        let response = match &asked {
            Ok(request) => match self.burn.as_ref().and_then(|burn| burn.answer(request)) {
                Some(response) => response,
                None => self.site.answer(request, now),
            },
            Err(refusal) => self.site.refuse(refusal),
        };
        let body = body_at_once(&asked, &response);
        self.tally.responses += 1;
        self.tally.body_bytes += body.unwrap_or_default();
        guest.uncounted = body.is_none();
        if let Some(log) = &mut self.log {
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
        response
    }

    fn delivered(&mut self, guest: &mut Guest, body_sent: u64, now: Now) {
        if std::mem::take(&mut guest.uncounted) {
            self.tally.body_bytes += body_sent;
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

    fn turn_ended(&mut self) {
        self.site.turn_ended();
        if let Some(log) = &mut self.log {
            log.hand_over();
        }
    }

    fn reopen_logs(&mut self) {
        if let Some(log) = &self.log {
            log.reopen();
        }
    }
}

impl Tally {
    /// One line, in one write, so that processes may share the file.
    fn append(&self, path: &Path) -> io::Result<()> {
        let Self {
            connections,
            responses,
            body_bytes,
        } = self;
        let line = format!(
            "{{\"connections\":{connections},\"responses\":{responses},\
             \"body_bytes\":{body_bytes}}}\n"
        );
        let mut file = OpenOptions::new().append(true).create(true).open(path)?;
        file.write_all(line.as_bytes())
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
