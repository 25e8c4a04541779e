//! The server's own service over the real directory, watched: when it answers, and what it streams.

use super::SharedPlace;
use super::ask::SiteAsk;
use crate::asks::Ask;
use crate::sockets::id_of;
use crate::world::Shared;
use oneloop::clock::Now;
use oneloop::http::fields::FieldLines;
use oneloop::http::payload::{Payload, Produce, Progress};
use oneloop::http::request::{Refusal, Request};
use oneloop::http::response::Response;
use oneloop::http::status::Status;
use oneloop::limits::Limits;
use oneloop::pump::Service;
use oneloop::service::{Front, Guest};
use oneloop::site::{Options, Site};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Instant, UNIX_EPOCH};

/// What the front desk would be, if the files were real.
pub struct Watched {
    front: Front,
    world: Shared,
    place: SharedPlace,
}

impl Watched {
    pub fn new(world: Shared, place: SharedPlace, limits: Arc<Limits>) -> Self {
        let options = Options {
            index: vec![b"index.html".to_vec()],
            listing: true,
            hidden: false,
            follow_symlinks: place.borrow().files.follows,
            spa: false,
            only: None,
            cors: None,
            types: Default::default(),
            lines: FieldLines::new(),
        };
        let root = place.borrow().tree.root();
        let site = Site::new(&root, options, limits).expect("the root can be opened");
        Self {
            front: Front::new(site, None),
            world,
            place,
        }
    }
}

impl Service for Watched {
    type Guest = (usize, Guest);

    fn welcome(&mut self, peer: Option<IpAddr>) -> Self::Guest {
        (id_of(peer), self.front.welcome(peer))
    }

    fn respond(
        &mut self,
        (id, guest): &mut Self::Guest,
        asked: Result<Request<'_>, Refusal<'_>>,
        now: Now,
    ) -> Response {
        let wall = now.wall.duration_since(UNIX_EPOCH).expect("after 1970");
        self.place.borrow_mut().answers(*id, wall);
        let is_late = matches!(&asked, Err(refusal) if refusal.status == Status::REQUEST_TIMEOUT);
        let mut response = self.front.respond(guest, asked, now);
        let mut world = self.world.borrow_mut();
        if is_late {
            world.judge_timeout(*id);
        }
        world.say(|| format!("line {id}: respond {}", response.status.code()));
        let seen = &mut world.lines[*id].seen;
        seen.responds();
        if let Payload::Stream(source) = response.payload {
            let lines = [response.about.as_bytes(), response.fields.as_bytes()].concat();
            let is_packed = lines.windows(5).any(|window| window == b" gzip");
            response.payload = Payload::Stream(Box::new(Slices {
                source,
                made: seen.slices.clone(),
                _place: is_packed.then(|| self.place.borrow().listings.clone()),
            }));
        }
        response
    }

    fn delivered(&mut self, (_, guest): &mut Self::Guest, body_sent: u64, now: Now) {
        self.front.delivered(guest, body_sent, now);
    }

    fn turn_ended(&mut self, now: Now) {
        self.front.turn_ended(now);
    }

    fn next_due(&self) -> Option<Instant> {
        self.front.next_due()
    }
}

/// Counts the slices of a listing, and for how long it lives if it is compressed.
#[derive(Debug)]
struct Slices {
    source: Box<dyn Produce>,
    made: Arc<AtomicUsize>,
    _place: Option<Arc<()>>,
}

impl Produce for Slices {
    fn produce(&mut self, out: &mut Vec<u8>) -> io::Result<Progress> {
        self.made.fetch_add(1, Ordering::Relaxed);
        self.source.produce(out)
    }
}

impl SiteAsk {
    /// Of a request that is one for the site.
    pub fn of(ask: &Ask) -> Option<&Self> {
        match ask {
            Ask::Site(ask) => Some(ask),
            _ => None,
        }
    }
}
