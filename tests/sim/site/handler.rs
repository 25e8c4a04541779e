//! The handler of the product over the real directory; records when it answers, and what it streams.

use super::SharedPlace;
use super::ask::SiteAsk;
use crate::asks::Ask;
use crate::sockets::id_of;
use crate::world::Shared;
use oneloop::clock::Now;
use oneloop::connection::{CloseReason, Counts};
use oneloop::handler::Handler;
use oneloop::http::fields::FieldLines;
use oneloop::http::payload::{Payload, Produce, Progress};
use oneloop::http::request::{Refusal, Request};
use oneloop::http::response::Response;
use oneloop::http::status::Status;
use oneloop::limits::Limits;
use oneloop::site::{Site, SiteOptions};
use oneloop::site_handler::{PeerState, SiteHandler};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Instant, UNIX_EPOCH};

/// The handler of the product, watched.
pub struct Watched {
    handler: SiteHandler,
    world: Shared,
    place: SharedPlace,
}

impl Watched {
    pub fn new(world: Shared, place: SharedPlace, limits: Arc<Limits>) -> Self {
        let options = SiteOptions {
            index: vec![b"index.html".to_vec()],
            listing: true,
            hidden: false,
            follow_symlinks: place.borrow().files.follows,
            spa: false,
            only: None,
            cors: None,
            types: Default::default(),
            headers: FieldLines::new(),
        };
        let root = place.borrow().tree.root();
        let site = Site::new(&root, options, limits).expect("the root can be opened");
        Self {
            handler: SiteHandler::new(site, None, None),
            world,
            place,
        }
    }
}

impl Handler for Watched {
    type State = (usize, PeerState);

    fn on_connect(&mut self, peer: Option<IpAddr>) -> Self::State {
        (id_of(peer), self.handler.on_connect(peer))
    }

    fn respond(
        &mut self,
        (id, state): &mut Self::State,
        request: Result<Request<'_>, Refusal<'_>>,
        now: Now,
    ) -> Response {
        let wall = now.wall.duration_since(UNIX_EPOCH).expect("after 1970");
        self.place.borrow_mut().answers(*id, wall);
        let is_late = matches!(&request, Err(refusal) if refusal.status == Status::REQUEST_TIMEOUT);
        let mut response = self.handler.respond(state, request, now);
        let mut world = self.world.borrow_mut();
        if is_late {
            world.judge_timeout(*id);
        }
        world.say(|| format!("line {id}: respond {}", response.status.code()));
        let seen = &mut world.lines[*id].seen;
        seen.responds();
        if let Payload::Stream(source) = response.payload {
            let lines = [
                response.shared_headers.as_bytes(),
                response.headers.as_bytes(),
            ]
            .concat();
            let is_packed = lines.windows(5).any(|window| window == b" gzip");
            response.payload = Payload::Stream(Box::new(Slices {
                source,
                made: seen.slices.clone(),
                _place: is_packed.then(|| self.place.borrow().listings.clone()),
            }));
        }
        response
    }

    fn on_response_sent(&mut self, (_, state): &mut Self::State, body_bytes: u64, now: Now) {
        self.handler.on_response_sent(state, body_bytes, now);
    }

    fn on_close(&mut self, (_, state): Self::State, reason: CloseReason, counts: Counts, now: Now) {
        self.handler.on_close(state, reason, counts, now);
    }

    fn end_iteration(&mut self, now: Now) -> Option<Instant> {
        self.handler.end_iteration(now)
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
