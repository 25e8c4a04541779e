//! The server's real handler over the real directory. It records responses and counts slices of
//! streams.

use super::SharedSite;
use super::request::SiteRequest;
use crate::kernel::SharedKernel;
use crate::requests::SimRequest;
use crate::sockets::id_of;
use oneloop::clock::Now;
use oneloop::connection::{CloseReason, Counts};
use oneloop::handler::{Handler, ListenerInfo};
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

/// The server's handler with recording.
pub struct RecordingHandler {
    handler: SiteHandler,
    kernel: SharedKernel,
    model: SharedSite,
}

impl RecordingHandler {
    pub fn new(kernel: SharedKernel, model: SharedSite, limits: Arc<Limits>) -> Self {
        let options = SiteOptions {
            index: vec![b"index.html".to_vec()],
            listing: true,
            follow_symlinks: model.borrow().files.follows,
            ..SiteOptions::default()
        };
        let root = model.borrow().tree.root();
        let site = Site::new(&root, options, limits).expect("the root can be opened");
        Self {
            handler: SiteHandler::new(site, None, None),
            kernel,
            model,
        }
    }
}

impl Handler for RecordingHandler {
    type State = (usize, PeerState);

    fn on_connect(&mut self, listener: ListenerInfo, peer: Option<IpAddr>) -> Self::State {
        let id = id_of(peer);
        self.kernel.borrow_mut().check_listener(id, listener.id);
        (id, self.handler.on_connect(listener, peer))
    }

    fn respond(
        &mut self,
        (id, state): &mut Self::State,
        request: Result<Request<'_>, Refusal<'_>>,
        now: Now,
    ) -> Response {
        let wall = now.wall.duration_since(UNIX_EPOCH).expect("after 1970");
        self.model.borrow_mut().begin_response(*id, wall);
        let is_late = matches!(&request, Err(refusal) if refusal.status == Status::RequestTimeout);
        let mut response = self.handler.respond(state, request, now);
        let mut kernel = self.kernel.borrow_mut();
        if is_late {
            kernel.check_timeout(*id);
        }
        kernel.log(|| format!("connection {id}: respond {}", response.status.code()));
        let observed = &mut kernel.connections[*id].observed;
        observed.responds();
        if let Payload::Stream(source) = response.payload {
            let lines = [
                response.shared_fields.as_bytes(),
                response.headers.as_bytes(),
            ]
            .concat();
            let is_packed = lines.windows(5).any(|window| window == b" gzip");
            response.payload = Payload::Stream(Box::new(SimBody {
                source,
                made: observed.slices.clone(),
                _place: is_packed.then(|| self.model.borrow().listings.clone()),
            }));
        }
        response
    }

    fn on_body_taken(&mut self, (_, state): &mut Self::State, body_bytes: u64, now: Now) {
        self.handler.on_body_taken(state, body_bytes, now);
    }

    fn on_close(&mut self, (_, state): Self::State, reason: CloseReason, counts: Counts, now: Now) {
        self.handler.on_close(state, reason, counts, now);
    }

    fn end_iteration(&mut self, now: Now) -> Option<Instant> {
        self.handler.end_iteration(now)
    }
}

/// Counts the slices of a listing, and how many compressed listings exist.
#[derive(Debug)]
struct SimBody {
    source: Box<dyn Produce>,
    made: Arc<AtomicUsize>,
    _place: Option<Arc<()>>,
}

impl Produce for SimBody {
    fn produce(&mut self, out: &mut Vec<u8>) -> io::Result<Progress> {
        self.made.fetch_add(1, Ordering::Relaxed);
        self.source.produce(out)
    }
}

impl SiteRequest {
    /// The request, if it is one to the site.
    pub fn of(request: &SimRequest) -> Option<&Self> {
        match request {
            SimRequest::Site(request) => Some(request),
            _ => None,
        }
    }
}
