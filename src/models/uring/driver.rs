//! What is in flight: the operations of all sockets and listeners, their buffers, and what their
//! completions mean.
//!
//! A connection asks ([`Driver::receive`], [`Driver::send`]) and gets the result of an operation
//! that is complete, or `WouldBlock`: then an operation is in flight, and [`Driver::take_ready`]
//! reports its completion.

use super::accept_queue::{AcceptQueue, Capacity, reset_on_close};
use super::buffers::{GROUP, ReceiveBuffers, ReceivedList, SEND_BUFFER, SendBuffers};
use super::ring::{Completion, Operation, Ring};
use crate::handler::Role;
use crate::limits::Limits;
use crate::listen::accept::{AcceptFailure, classify_accept_error};
use crate::probe::EventFlags;
use crate::transport::sendfile::by_copying;
use io_uring::opcode;
use io_uring::types::Fd;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{SendFlags, send};
use slab::Slab;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

/// How often the kernel is asked for completions at once. It reports some twenty in a call.
const MAX_ROUNDS: usize = 1024;

/// How often, and how long each time, the end of the driver waits for operations in flight. Only a
/// disk that hangs takes longer.
const STOP_ROUNDS: usize = 20;
const STOP_WAIT: Duration = Duration::from_millis(100);

/// The operations of one loop.
pub struct Driver {
    ring: Ring,
    receive_buffers: ReceiveBuffers,
    send_buffers: SendBuffers,
    sockets: Slab<Entry>,
    listeners: Vec<AcceptQueue>,
    limits: Arc<Limits>,
    /// What the completions were about that the loop has not seen.
    ready: Vec<Ready>,
    /// Sockets that hold provided buffers.
    holders: Vec<usize>,
    /// Sockets whose receive has found no provided buffer.
    starved: Vec<usize>,
    /// Sockets that wait for a buffer to send from.
    waiting: VecDeque<usize>,
    /// The kernel was asked for completions after the wait of this iteration.
    is_fresh: bool,
}

/// What a completion was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// The connection with this key.
    Connection(usize, EventFlags),
    /// The listener with this id.
    Listener(usize),
    /// The socket with this key is full and its peer has closed its direction: the poll must wait
    /// until it can send, and call [`Driver::on_writable`].
    Full(usize),
    /// The poll.
    Poll,
}

/// A socket, until its last operation is complete.
struct Entry {
    descriptor: OwnedFd,
    /// The key of its connection; `None` before it is registered and when it is closed.
    connection: Option<usize>,
    is_closed: bool,
    in_flight: u8,
    receiving: Receiving,
    sending: Sending,
    /// The number of [`Ring::enters`] when its latest send was submitted.
    sent_at: u32,
    /// The next send asks the kernel.
    must_try: bool,
}

/// The receives of a socket. A *multishot* receive is submitted once and has a completion for each
/// part that arrives.
#[derive(Default)]
struct Receiving {
    receive: Receive,
    /// The number of [`Ring::enters`] when it was submitted.
    submitted_at: u32,
    /// The connection waits for bytes.
    is_wanted: bool,
    /// The next receive asks the kernel.
    must_ask: bool,
    /// The latest completion has left nothing in the socket.
    is_socket_empty: bool,
    /// Bytes that were not read in the iteration in which they arrived.
    unread: VecDeque<u8>,
    /// What arrived behind them in this iteration.
    list: ReceivedList,
    /// What follows all bytes: the end of the stream, or an error.
    end: Option<Result<(), Errno>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Receive {
    #[default]
    None,
    InFlight,
    Cancelling,
}

/// The sends of a socket, one at a time.
#[derive(Default)]
enum Sending {
    #[default]
    None,
    /// All buffers are in use.
    WithoutBuffer,
    InFlight(InFlight),
    /// The socket was full, and a poll waits until it can send. No buffer is kept meanwhile.
    Full,
    /// Not reported to the connection yet.
    Complete(Result<usize, Errno>),
}

struct InFlight {
    buffer: Box<[u8]>,
    /// The file that is read into the buffer first. It stays open until then.
    file: Option<Arc<File>>,
    /// Bytes read from the file, or why none were.
    read: Option<Result<usize, Errno>>,
}

impl Driver {
    /// A driver without sockets, with listeners of these roles.
    ///
    /// # Errors
    /// Those of [`Ring::new`], and of registering the buffers.
    pub fn new(roles: impl Iterator<Item = Role>, limits: Arc<Limits>) -> io::Result<Self> {
        let ring = Ring::new()?;
        Ok(Self {
            receive_buffers: ReceiveBuffers::new(ring.io())?,
            ring,
            send_buffers: SendBuffers::default(),
            sockets: Slab::new(),
            listeners: (roles.enumerate())
                .map(|(id, role)| AcceptQueue::new(id, role))
                .collect(),
            limits,
            ready: Vec::new(),
            holders: Vec::new(),
            starved: Vec::new(),
            waiting: VecDeque::new(),
            is_fresh: false,
        })
    }

    /// Submits what is new, and waits for completions, for at most `timeout`: one system call.
    /// Returns the number of completions, and of those that arrived earlier and the loop has not
    /// seen.
    ///
    /// # Errors
    /// Those of io_uring_enter(2), but not EINTR.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        self.is_fresh = false;
        self.free_receive_buffers();
        self.feed_starved();
        let timeout = match self.ready.is_empty() {
            true => timeout,
            false => Some(Duration::ZERO),
        };
        let seen = self.ready.len();
        self.ring.enter(timeout)?;
        Ok(seen + self.take_completions())
    }

    /// What the completions were about since the last call.
    pub fn take_ready(&mut self) -> Vec<Ready> {
        std::mem::take(&mut self.ready)
    }

    /// Takes `ready` back to be used again.
    pub fn reuse(&mut self, mut ready: Vec<Ready>) {
        ready.clear();
        if self.ready.is_empty() {
            self.ready = ready;
        }
    }

    /// Copies the bytes that connections have not read, so that all provided buffers are free, and
    /// receives nothing more for these connections.
    fn free_receive_buffers(&mut self) {
        while let Some(key) = self.holders.pop() {
            let Some(entry) = self.sockets.get_mut(key) else {
                continue;
            };
            let receiving = &mut entry.receiving;
            if receiving.list.is_empty() {
                continue;
            }
            (self.receive_buffers).read_all(&mut receiving.list, &mut receiving.unread);
            if receiving.receive == Receive::InFlight {
                receiving.receive = Receive::Cancelling;
                self.ring.cancel(Operation::Receive(key));
            }
        }
    }

    /// Submits the receives that have found no buffer.
    fn feed_starved(&mut self) {
        while let Some(key) = self.starved.pop() {
            self.receive_if_wanted(key);
        }
    }

    /// Asks the kernel for all completions, without waiting.
    fn refresh(&mut self) -> io::Result<()> {
        for _ in 0..MAX_ROUNDS {
            self.ring.enter(Some(Duration::ZERO))?;
            let count = self.take_completions();
            if !self.starved.is_empty() {
                self.free_receive_buffers();
                self.feed_starved();
            } else if count == 0 {
                break;
            }
        }
        self.is_fresh = true;
        Ok(())
    }

    fn take_completions(&mut self) -> usize {
        let mut count = 0;
        while let Some(completion) = self.ring.next_completion() {
            count += 1;
            match completion.operation {
                Operation::Accept(id) => self.on_accepted(id, completion),
                Operation::Waiting(id) => {
                    if let Some(queue) = self.listeners.get_mut(id) {
                        queue.on_polled();
                    }
                    self.ready.push(Ready::Listener(id));
                }
                Operation::Receive(key) => self.on_received(key, &completion),
                Operation::Read(key) => self.on_read(key, &completion),
                Operation::Send(key) => self.on_sent(key, &completion),
                Operation::Writable(key) => self.on_polled(key, completion.result),
                Operation::Poll => self.ready.push(Ready::Poll),
                Operation::Silent => {}
            }
        }
        count
    }

    // The poll.

    /// Reports [`Ready::Poll`] when the descriptor of a poll is readable. Once.
    pub fn watch(&mut self, poll: RawFd) {
        let entry = opcode::PollAdd::new(Fd(poll), libc::POLLIN as u32).build();
        self.ring.push(Operation::Poll, entry);
    }

    // Listeners.

    fn capacity(&self) -> Capacity {
        let queued: usize = self.listeners.iter().map(AcceptQueue::len).sum();
        let used = self.sockets.len() + queued;
        Capacity {
            free: self.limits.max_connections.saturating_sub(used),
            burst: self.limits.backlog.unsigned_abs() as usize,
            most: self.limits.accepts_per_iteration,
        }
    }

    /// The next connection of the listener `id`, whose socket is `socket`.
    ///
    /// # Errors
    /// Those of accept(2). `WouldBlock`: none is accepted yet; accepts are in flight.
    pub fn accept(&mut self, id: usize, socket: BorrowedFd<'_>) -> io::Result<OwnedFd> {
        let capacity = self.capacity();
        let queue = self.listeners.get_mut(id).ok_or(Errno::BADF)?;
        if queue.is_empty() {
            queue.accept(&mut self.ring, socket, capacity);
            if queue.is_stopping {
                self.refresh()?;
            }
        }
        let queue = self.listeners.get_mut(id).ok_or(Errno::BADF)?;
        match queue.take() {
            Some(Ok(connection)) => Ok(connection),
            Some(Err(errno)) => {
                let error = io::Error::from(errno);
                // The kernel looks for a descriptor first, and fails also if no connection waits.
                let is_exhausted = classify_accept_error(&error) == AcceptFailure::NoResources;
                if is_exhausted && !polls(socket, PollFlags::IN) {
                    queue.poll(&mut self.ring, socket);
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                Err(error)
            }
            None => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn on_accepted(&mut self, id: usize, completion: Completion) {
        if let Some(queue) = self.listeners.get_mut(id) {
            queue.on_accepted(completion);
        }
        let capacity = self.capacity();
        if let Some(queue) = self.listeners.get_mut(id) {
            queue.check(&mut self.ring, capacity);
        }
        self.ready.push(Ready::Listener(id));
    }

    /// The server is stopping: from now on [`accept`](Self::accept) asks the kernel.
    pub fn stop_accepting(&mut self, id: usize) {
        if let Some(queue) = self.listeners.get_mut(id) {
            queue.is_stopping = true;
        }
    }

    /// Cancels the accepts of the listener `id`, which is about to be closed.
    pub fn close_listener(&mut self, id: usize) {
        if let Some(queue) = self.listeners.get_mut(id) {
            queue.close(&mut self.ring);
        }
        if let Err(error) = self.refresh() {
            log::debug!("cancelling the accepts failed: {error}");
        }
    }

    // Sockets.

    /// Adds a socket. Returns its key.
    pub fn add(&mut self, descriptor: OwnedFd) -> usize {
        self.sockets.insert(Entry {
            descriptor,
            connection: None,
            is_closed: false,
            in_flight: 0,
            receiving: Receiving::default(),
            sending: Sending::None,
            sent_at: 0,
            must_try: false,
        })
    }

    /// The completions of the socket `key` are about this connection from now on.
    pub fn register(&mut self, key: usize, connection: usize) {
        let Some(entry) = self.sockets.get_mut(key) else {
            return;
        };
        entry.connection = Some(connection);
        let receiving = &entry.receiving;
        let flags = EventFlags {
            is_readable: !receiving.is_empty() || receiving.end.is_some(),
            is_writable: matches!(entry.sending, Sending::Complete(_)),
            ..EventFlags::default()
        };
        if flags.is_readable || flags.is_writable {
            self.ready.push(Ready::Connection(connection, flags));
        }
    }

    /// The descriptor of the socket `key`, for calls that do not wait.
    pub fn descriptor(&self, key: usize) -> Result<BorrowedFd<'_>, Errno> {
        let entry = self.sockets.get(key).ok_or(Errno::BADF)?;
        Ok(entry.descriptor.as_fd())
    }

    /// Cancels what is in flight for the socket `key`, and closes it after the last completion, so
    /// that the last bytes (a close_notify) are sent before.
    ///
    /// The kernel resets a connection that is closed with bytes unread (RFC 1122 4.2.2.13). Those
    /// that are here are no longer in the socket, so the reset is asked for. A unix socket has
    /// none: there, the peer reads an end of stream.
    pub fn close(&mut self, key: usize) {
        let Some(entry) = self.sockets.get_mut(key) else {
            return;
        };
        entry.connection = None;
        entry.is_closed = true;
        if !entry.receiving.is_empty() {
            reset_on_close(&entry.descriptor);
        }
        (self.receive_buffers).discard(&mut entry.receiving.list);
        entry.receiving.unread = VecDeque::new();
        if entry.receiving.receive != Receive::None {
            self.ring.cancel(Operation::Receive(key));
        }
        match &entry.sending {
            Sending::InFlight(in_flight) if in_flight.file.is_some() => {
                self.ring.cancel(Operation::Read(key));
            }
            Sending::Full => self.ring.cancel(Operation::Writable(key)),
            _ => {}
        }
        if entry.in_flight == 0 {
            self.remove(key);
        }
    }

    /// An operation of the socket `key` is complete, or has a completion of several. Returns
    /// whether the socket is open. One that is closed is gone after its last completion.
    fn on_completion(&mut self, key: usize, has_more: bool) -> bool {
        let Some(entry) = self.sockets.get_mut(key) else {
            return false;
        };
        entry.in_flight -= u8::from(!has_more);
        let (is_closed, is_last) = (entry.is_closed, entry.in_flight == 0);
        if is_closed && is_last {
            self.remove(key);
        }
        !is_closed
    }

    /// Closes a socket that has nothing in flight: at once, without an operation, so that its
    /// descriptor is free for what the iteration opens.
    fn remove(&mut self, key: usize) {
        let entry = self.sockets.remove(key);
        drop(entry.descriptor);
        if let Sending::InFlight(in_flight) = entry.sending {
            self.give_back(in_flight.buffer);
        }
    }

    fn report(&mut self, key: usize, flags: EventFlags) {
        let entry = self.sockets.get(key);
        if let Some(connection) = entry.and_then(|entry| entry.connection) {
            self.ready.push(Ready::Connection(connection, flags));
        }
    }

    // Receiving.

    /// Receives from the socket `key`.
    ///
    /// # Errors
    /// Those of recv(2). `WouldBlock`: a receive is in flight.
    pub fn receive(&mut self, key: usize, buf: &mut [u8]) -> io::Result<usize> {
        if let Some(received) = self.take_received(key, buf) {
            return received;
        }
        self.submit_receive(key);
        let entry = self.sockets.get_mut(key).ok_or(Errno::BADF)?;
        let is_submitted = entry.receiving.submitted_at != self.ring.enters();
        let must_ask = std::mem::take(&mut entry.receiving.must_ask);
        entry.receiving.is_wanted = true;
        if must_ask && !(self.is_fresh && is_submitted) {
            self.refresh()?;
            if let Some(received) = self.take_received(key, buf) {
                return received;
            }
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// What has arrived, or its end.
    fn take_received(&mut self, key: usize, buf: &mut [u8]) -> Option<io::Result<usize>> {
        let receiving = &mut self.sockets.get_mut(key)?.receiving;
        if !receiving.unread.is_empty() {
            let length = receiving.unread.read(buf);
            if receiving.unread.is_empty() {
                receiving.unread = VecDeque::new();
            }
            return Some(length);
        }
        if !receiving.list.is_empty() {
            return Some(Ok(self.receive_buffers.read(&mut receiving.list, buf)));
        }
        let end = receiving.end?;
        Some(end.map(|()| 0).map_err(io::Error::from))
    }

    /// Whether the latest completion has left nothing in the socket, and all of it was read.
    pub fn is_known_empty(&self, key: usize) -> bool {
        let receiving = self.sockets.get(key).map(|entry| &entry.receiving);
        receiving.is_some_and(|receiving| receiving.is_empty() && receiving.is_socket_empty)
    }

    /// Whether the connection is gone: a receive has failed, or has found the end of the stream and
    /// a poll finds a reset. No receive is in flight then, which would report it.
    pub fn is_gone(&self, key: usize) -> bool {
        let end = self.sockets.get(key).and_then(|entry| entry.receiving.end);
        let is_reset = || {
            let socket = self.descriptor(key).ok();
            socket.is_some_and(|socket| polls(socket, PollFlags::HUP | PollFlags::ERR))
        };
        end.is_some_and(|end| end.is_err() || is_reset())
    }

    /// The next receive of the socket `key` asks the kernel for completions, if it finds nothing.
    /// So does the send that the connection waits for, and it tries what can be sent.
    pub fn ask(&mut self, key: usize) {
        if let Some(entry) = self.sockets.get_mut(key) {
            entry.receiving.must_ask = true;
            entry.must_try = !matches!(entry.sending, Sending::None);
        }
    }

    /// Submits a receive, unless one is in flight.
    fn submit_receive(&mut self, key: usize) {
        let Some(entry) = self.sockets.get_mut(key) else {
            return;
        };
        let receiving = &mut entry.receiving;
        if receiving.receive == Receive::None && receiving.end.is_none() {
            receiving.receive = Receive::InFlight;
            receiving.submitted_at = self.ring.enters();
            entry.in_flight += 1;
            let receive = opcode::RecvMulti::new(Fd(entry.descriptor.as_raw_fd()), GROUP);
            self.ring.push(Operation::Receive(key), receive.build());
        }
    }

    fn receive_if_wanted(&mut self, key: usize) {
        let entry = self.sockets.get(key).filter(|entry| !entry.is_closed);
        if entry.is_some_and(|entry| entry.receiving.is_wanted) {
            self.submit_receive(key);
        }
    }

    fn on_received(&mut self, key: usize, completion: &Completion) {
        if let Some(entry) = self.sockets.get(key).filter(|entry| entry.is_closed)
            && completion.result.is_ok_and(|length| length > 0)
        {
            // Bytes from before the close.
            reset_on_close(&entry.descriptor);
        }
        let is_open = self.on_completion(key, completion.has_more);
        let Some(entry) = self.sockets.get_mut(key).filter(|_| is_open) else {
            if let Some(id) = completion.buffer {
                self.receive_buffers.give_back(id);
            }
            return;
        };
        let receiving = &mut entry.receiving;
        if !completion.has_more {
            receiving.receive = Receive::None;
        }
        receiving.is_socket_empty = !completion.is_socket_nonempty;
        let mut flags = EventFlags::default();
        match (completion.result, completion.buffer) {
            (Ok(length), Some(id)) if length > 0 => {
                flags.is_readable = true;
                receiving.is_wanted = false;
                if receiving.list.is_empty() {
                    self.holders.push(key);
                }
                // The length of a buffer fits.
                (self.receive_buffers).append(&mut receiving.list, id, length as u32);
            }
            (Ok(_), buffer) => {
                (flags.is_readable, flags.is_read_closed) = (true, true);
                receiving.end = Some(Ok(()));
                if let Some(id) = buffer {
                    self.receive_buffers.give_back(id);
                }
            }
            (Err(Errno::NOBUFS), _) => {
                receiving.is_socket_empty = false;
                self.starved.push(key);
            }
            // It was cancelled, and the connection may want to receive by now.
            (Err(Errno::CANCELED | Errno::INTR | Errno::AGAIN), _) => {
                receiving.is_socket_empty = false;
                self.receive_if_wanted(key);
            }
            (Err(errno), _) => {
                flags.is_error = true;
                receiving.end = Some(Err(errno));
            }
        }
        if flags != EventFlags::default() {
            self.report(key, flags);
        }
    }

    // Sending.

    /// Sends from `bytes`. They are copied, so that they may move.
    ///
    /// # Errors
    /// Those of send(2). `WouldBlock`: a send is in flight, and the call after its completion
    /// returns its result.
    pub fn send(&mut self, key: usize, bytes: &[u8], more: bool) -> io::Result<usize> {
        if let Some(sent) = self.try_to_send(key, |socket| send_now(socket, bytes, more)) {
            return sent;
        }
        let mut buffer = match self.begin_send(key) {
            Ok(buffer) => buffer,
            Err(result) => return result,
        };
        let length = bytes.len().min(SEND_BUFFER);
        let (to, from) = (buffer.split_at_mut(length).0, bytes.split_at(length).0);
        to.copy_from_slice(from);
        self.submit_send(key, InFlight::of_bytes(buffer), length, more);
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// Reads up to `length` bytes of `file` from `offset`, and sends them: two operations, of which
    /// the second begins when the first is complete. If it sends without them, `copy` is the
    /// buffer.
    ///
    /// # Errors
    /// Those of [`send`](Self::send), and of read(2).
    pub fn send_file(
        &mut self,
        key: usize,
        file: &Arc<File>,
        offset: u64,
        length: u64,
        copy: &mut [u8],
    ) -> io::Result<usize> {
        let tried = self.try_to_send(key, |socket| {
            by_copying(file, offset, length, copy, |bytes| {
                send_now(socket, bytes, false)
            })
        });
        if let Some(sent) = tried {
            return sent;
        }
        let mut buffer = match self.begin_send(key) {
            Ok(buffer) => buffer,
            Err(result) => return result,
        };
        let length = usize::try_from(length)
            .unwrap_or(usize::MAX)
            .min(SEND_BUFFER);
        let read = opcode::Read::new(Fd(file.as_raw_fd()), buffer.as_mut_ptr(), length as u32);
        if let Some(entry) = self.sockets.get_mut(key) {
            entry.in_flight += 1;
        }
        self.ring
            .push_linked(Operation::Read(key), read.offset(offset).build());
        let in_flight = InFlight {
            buffer,
            file: Some(file.clone()),
            read: None,
        };
        self.submit_send(key, in_flight, length, false);
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// A poll reports a socket that was full when a part of its buffer is free, on Linux a third of
    /// it, and a slow peer takes long for that; a send succeeds before. So before a deadline is
    /// judged, bytes are sent without an operation until the socket is full. `None`: none are.
    fn try_to_send(
        &mut self,
        key: usize,
        send: impl FnOnce(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> Option<io::Result<usize>> {
        let entry = self.sockets.get(key).filter(|entry| entry.must_try)?;
        let is_known = self.is_fresh && entry.sent_at != self.ring.enters();
        if matches!(entry.sending, Sending::InFlight(_)) && !is_known {
            match self.refresh() {
                Ok(()) => {}
                Err(error) => return Some(Err(error)),
            }
        }
        let entry = self.sockets.get_mut(key)?;
        if matches!(entry.sending, Sending::InFlight(_) | Sending::Complete(_)) {
            return None;
        }
        let sent = send(entry.descriptor.as_fd());
        entry.must_try = sent.is_ok();
        // An operation finds out that the socket is full, and waits.
        let waits = !matches!(entry.sending, Sending::None);
        (waits || sent.is_ok()).then_some(sent)
    }

    /// A buffer for the next send, or what the call returns instead.
    fn begin_send(&mut self, key: usize) -> Result<Box<[u8]>, io::Result<usize>> {
        let would_block = || Err(io::ErrorKind::WouldBlock.into());
        let entry = self.sockets.get_mut(key).ok_or(Err(Errno::BADF.into()))?;
        match std::mem::take(&mut entry.sending) {
            Sending::None => {}
            Sending::Complete(result) => return Err(result.map_err(io::Error::from)),
            other => {
                entry.sending = other;
                return Err(would_block());
            }
        }
        self.send_buffers.take().ok_or_else(|| {
            entry.sending = Sending::WithoutBuffer;
            self.waiting.push_back(key);
            would_block()
        })
    }

    fn submit_send(&mut self, key: usize, in_flight: InFlight, length: usize, more: bool) {
        let Some(entry) = self.sockets.get_mut(key) else {
            return;
        };
        let descriptor = Fd(entry.descriptor.as_raw_fd());
        let send = opcode::Send::new(descriptor, in_flight.buffer.as_ptr(), length as u32)
            .flags(send_flags(more).bits().cast_signed());
        entry.sending = Sending::InFlight(in_flight);
        entry.sent_at = self.ring.enters();
        entry.in_flight += 1;
        self.ring.push(Operation::Send(key), send.build());
    }

    /// The read before a send is complete. If it has read less than it should, the kernel cancels
    /// the send.
    fn on_read(&mut self, key: usize, completion: &Completion) {
        if self.on_completion(key, false)
            && let Some(entry) = self.sockets.get_mut(key)
            && let Sending::InFlight(in_flight) = &mut entry.sending
        {
            in_flight.read = Some(completion.result);
        }
    }

    fn on_sent(&mut self, key: usize, completion: &Completion) {
        let is_open = self.on_completion(key, false);
        let Some(entry) = self.sockets.get_mut(key).filter(|_| is_open) else {
            return;
        };
        let Sending::InFlight(in_flight) = std::mem::take(&mut entry.sending) else {
            return;
        };
        let result = match (completion.result, in_flight.read) {
            (Err(Errno::CANCELED), Some(Ok(length))) if length > 0 => {
                // The file ends here.
                self.submit_send(key, InFlight::of_bytes(in_flight.buffer), length, false);
                return;
            }
            (Err(Errno::CANCELED), Some(read)) => read,
            (sent, _) => sent,
        };
        if result == Err(Errno::AGAIN) {
            self.wait_until_writable(key);
        } else {
            entry.sending = Sending::Complete(result);
            let flags = EventFlags {
                is_writable: true,
                is_error: result.is_err(),
                ..EventFlags::default()
            };
            self.report(key, flags);
        }
        self.give_back(in_flight.buffer);
    }

    fn wait_until_writable(&mut self, key: usize) {
        if let Some(entry) = self.sockets.get_mut(key) {
            entry.sending = Sending::Full;
            entry.in_flight += 1;
            let descriptor = Fd(entry.descriptor.as_raw_fd());
            let poll = opcode::PollAdd::new(descriptor, libc::POLLOUT as u32);
            self.ring.push(Operation::Writable(key), poll.build());
        }
    }

    /// A poll of the ring is complete also when the peer has closed its direction (POLLRDHUP),
    /// whatever it waits for.
    fn on_polled(&mut self, key: usize, events: Result<usize, Errno>) {
        if !self.on_completion(key, false) {
            return;
        }
        match events {
            Ok(events) if events == libc::POLLRDHUP as usize => self.ready.push(Ready::Full(key)),
            _ => self.on_writable(key),
        }
    }

    /// A socket that was full may send.
    pub fn on_writable(&mut self, key: usize) {
        let entry = self.sockets.get(key);
        if entry.is_some_and(|entry| matches!(entry.sending, Sending::Full)) {
            self.try_send_again(key);
        }
    }

    /// A socket that is full cannot be waited for.
    pub fn on_lost(&mut self, key: usize, error: &io::Error) {
        if let Some(entry) = self.sockets.get_mut(key) {
            let errno = Errno::from_io_error(error).unwrap_or(Errno::IO);
            entry.sending = Sending::Complete(Err(errno));
            let flags = EventFlags {
                is_error: true,
                ..EventFlags::default()
            };
            self.report(key, flags);
        }
    }

    /// The connection sends again.
    fn try_send_again(&mut self, key: usize) {
        if let Some(entry) = self.sockets.get_mut(key) {
            entry.sending = Sending::None;
        }
        let flags = EventFlags {
            is_writable: true,
            ..EventFlags::default()
        };
        self.report(key, flags);
    }

    /// Takes the buffer of a send back. A socket that waits for one sends again.
    fn give_back(&mut self, buffer: Box<[u8]>) {
        self.send_buffers.give_back(buffer);
        while let Some(key) = self.waiting.pop_front() {
            let entry = self.sockets.get(key).filter(|entry| !entry.is_closed);
            if entry.is_some_and(|entry| matches!(entry.sending, Sending::WithoutBuffer)) {
                self.try_send_again(key);
                break;
            }
        }
    }

    // The end.

    /// Cancels everything, and waits until nothing is in flight.
    pub fn stop(&mut self) {
        self.ring.cancel_all();
        for _ in 0..STOP_ROUNDS {
            let wait = match self.ring.in_flight() {
                0 => Duration::ZERO,
                _ => STOP_WAIT,
            };
            if self.ring.enter(Some(wait)).is_err() {
                break;
            }
            self.take_completions();
            if self.ring.in_flight() == 0 {
                break;
            }
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.stop();
        if self.ring.in_flight() > 0 {
            // The kernel may still write to their buffers.
            std::mem::forget(std::mem::take(&mut self.sockets));
        }
    }
}

impl Receiving {
    fn is_empty(&self) -> bool {
        self.unread.is_empty() && self.list.is_empty()
    }
}

impl InFlight {
    fn of_bytes(buffer: Box<[u8]>) -> Self {
        Self {
            buffer,
            file: None,
            read: None,
        }
    }
}

/// A full socket is an error, so that a buffer does not wait for a slow peer.
fn send_flags(more: bool) -> SendFlags {
    let more = if more {
        SendFlags::MORE
    } else {
        SendFlags::empty()
    };
    SendFlags::NOSIGNAL | SendFlags::DONTWAIT | more
}

fn send_now(socket: BorrowedFd<'_>, bytes: &[u8], more: bool) -> io::Result<usize> {
    Ok(send(socket, bytes, send_flags(more))?)
}

/// Whether poll(2) reports one of `events` now.
fn polls(socket: BorrowedFd<'_>, events: PollFlags) -> bool {
    let mut polled = [PollFd::new(&socket, events)];
    let ready = poll(&mut polled, Some(&Timespec::default()));
    ready.is_ok() && polled.iter().any(|one| one.revents().intersects(events))
}
