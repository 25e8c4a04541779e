//! The handler of the simulation: makes the pages of `requests` with the server's own types.

use crate::kernel::SharedKernel;
use crate::requests::{FILES, PARTS, Page, is_empty_slice, memory};
use crate::sockets::id_of;
use oneloop::clock::Now;
use oneloop::handler::{Handler, ListenerInfo};
use oneloop::http::fields::FieldLines;
use oneloop::http::payload::{FileRange, Multipart, Parts, Payload, Produce, Progress};
use oneloop::http::range::ByteRange;
use oneloop::http::request::{Refusal, Request, Target};
use oneloop::http::response::Response;
use oneloop::http::status::Status;
use oneloop::notifier::Notifier;
use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

pub struct SimHandler {
    kernel: SharedKernel,
    pub files: Vec<Arc<File>>,
    plain: Arc<FieldLines>,
}

thread_local! {
    /// The files are opened once for all runs and never read: the simulated socket computes their
    /// content. The descriptors only identify them.
    static FILES_OF_A_THREAD: Vec<Arc<File>> = {
        let open = |_| Arc::new(File::open("/dev/null").expect("/dev/null can be opened"));
        (0..FILES).map(open).collect()
    };
}

impl SimHandler {
    /// A handler for the peers of this kernel.
    pub fn new(kernel: SharedKernel) -> Self {
        let files = FILES_OF_A_THREAD.with(Clone::clone);
        kernel.borrow_mut().file_descriptors = files.iter().map(|file| file.as_raw_fd()).collect();
        Self {
            kernel,
            files,
            plain: Arc::new(FieldLines::new()),
        }
    }

    fn payload(&self, page: Page, slices: &Arc<AtomicUsize>) -> Payload {
        let stream = |slices_left, size, breaks| {
            Payload::Stream(Box::new(SimBody {
                at: 0,
                slices: slices_left,
                size,
                breaks,
                made: slices.clone(),
            }))
        };
        match page {
            Page::Bytes(length) => Payload::Bytes(memory(length).into(), None),
            Page::File {
                file,
                offset,
                length,
            } => Payload::File(FileRange::new(self.files[file].clone(), offset, length)),
            Page::Parts { file } => {
                let parts = PARTS.map(|(offset, length)| {
                    let last = offset + length - 1;
                    ByteRange::new(offset, last, u64::MAX).expect("a range")
                });
                let multipart = Multipart::new("b", "t", u64::MAX);
                let file = self.files[file].clone();
                Payload::Parts(Box::new(Parts::new(file, parts.into(), multipart)))
            }
            Page::Stream { slices, size } => stream(slices, size, false),
            Page::Broken { slices, size } => stream(slices, size, true),
        }
    }
}

impl Handler for SimHandler {
    type State = usize;

    fn on_connect(&mut self, listener: ListenerInfo, peer: Option<IpAddr>) -> usize {
        let id = id_of(peer);
        self.kernel.borrow_mut().check_listener(id, listener.id);
        id
    }

    fn is_ready(
        &mut self,
        &mut id: &mut usize,
        request: &Result<Request<'_>, Refusal<'_>>,
        _: Now,
    ) -> bool {
        request.is_err() || self.kernel.borrow_mut().is_handler_ready(id)
    }

    fn notifier(&mut self) -> Option<Arc<Notifier>> {
        Some(Arc::default())
    }

    fn respond(
        &mut self,
        &mut id: &mut usize,
        request: Result<Request<'_>, Refusal<'_>>,
        _: Now,
    ) -> Response {
        let mut kernel = self.kernel.borrow_mut();
        let is_stopping = kernel.stopped_at.is_some();
        let connection = &mut kernel.connections[id];
        if is_stopping {
            connection
                .checker
                .expect_last(connection.observed.responses_made());
        }
        connection.observed.responds();
        let slices = kernel.connections[id].observed.slices.clone();
        let (status, payload) = match &request {
            Err(refusal) => {
                if refusal.status == Status::RequestTimeout {
                    kernel.check_timeout(id);
                }
                (refusal.status, Payload::Empty)
            }
            Ok(request) => match request.target {
                Target::Path { path, .. } => {
                    let page = str::from_utf8(path).ok().and_then(Page::of);
                    match page {
                        Some(page) => (Status::Ok, self.payload(page, &slices)),
                        None => (Status::NotFound, Payload::Empty),
                    }
                }
                _ => (Status::BadRequest, Payload::Empty),
            },
        };
        kernel.log(|| format!("connection {id}: respond {}", status.code()));
        Response::new(status, self.plain.clone()).with(payload)
    }
}

#[derive(Debug)]
struct SimBody {
    at: usize,
    slices: usize,
    size: usize,
    breaks: bool,
    made: Arc<AtomicUsize>,
}

impl Produce for SimBody {
    fn produce(&mut self, out: &mut Vec<u8>) -> io::Result<Progress> {
        self.made.fetch_add(1, Ordering::Relaxed);
        if self.breaks && self.at == self.slices {
            return Err(io::ErrorKind::Other.into());
        }
        if !is_empty_slice(self.at) {
            out.extend_from_slice(&memory(self.size));
        }
        self.at += 1;
        match self.at == self.slices && !self.breaks {
            true => Ok(Progress::Done),
            false => Ok(Progress::More),
        }
    }
}
