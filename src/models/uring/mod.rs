//! Completion instead of readiness: io_uring(7), one thread, one ring, all connections. Linux only.
//!
//! The reactor asks which sockets are *ready*, and then calls accept, recv and send, which do the
//! work. Here the work is *submitted*, the kernel does it, and the loop learns that it is
//! *complete*, with the result. All that is new goes to the kernel in the same system call that
//! waits for what is complete (io_uring_enter(2)), so with many connections a request costs a
//! fraction of a call. The iteration, the scheduler and the stop are those of the reactor: a
//! completion marks its connection as an event does.
//!
//! What waits: the kernel's requests. One multishot accept for each listener, one multishot receive
//! for each connection, the poll for signals.
//! What a connection costs: its slot and its timer entry, as in the reactor, an entry in a table of
//! operations, and a request in the kernel. An idle one has no buffer (`buffers`).
//! Where it loses: memory that the kernel reads or writes must stay where it is until the
//! completion, whatever happens to the connection meanwhile, so what is sent is copied first.
//! Closing takes a cancellation. There is no sendfile: a file is read into a buffer and sent from
//! it. But a disk that is slow does not stop the loop: the kernel's threads wait for it.
//!
//! - `ring`: the two queues
//! - `buffers`: the memory of operations
//! - `accept_queue`: the accepts of a listener
//! - `driver`: the operations of all sockets
//! - `socket`, `listener`: how the loop sees them
//! - `peer`: the addresses of clients

mod accept_queue;
mod buffers;
mod driver;
mod listener;
mod peer;
mod ring;
mod socket;

use crate::clock::Now;
use crate::deadline_clock::PollOutcome;
use crate::event_loop::engine::{Engine, Flow, Sockets};
use crate::event_loop::lifecycle::warn_unregistered;
use crate::event_loop::poller::{EventTarget, Poller};
use crate::handler::{Handler, ListenerInfo};
use crate::limits::Limits;
use crate::listen::accept::Accept;
use crate::listen::open::BoundListener;
use crate::notifier::Notifier;
use crate::probe::Probe;
use crate::signals::SignalPolicy;
use crate::tls::{OverSocket, PlainOrTls};
use driver::{Driver, Ready};
use listener::{UringListener, UringStream};
use socket::UringSocket;
use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

type Connected = PlainOrTls<UringSocket>;

/// One loop with its sockets.
pub struct Uring<H: Handler, P = ()> {
    engine: Engine<UringListener, Connected, H, P>,
    sockets: UringSockets,
}

/// What the loop does to its sockets.
struct UringSockets {
    driver: Rc<RefCell<Driver>>,
    /// Signals, and the notifications of the handler. The ring polls it.
    poller: Poller,
}

impl<H: Handler, P: Probe> Uring<H, P> {
    /// Makes a loop that accepts from `listeners` and is observed by `probe`. It handles the
    /// signals of `policy`.
    ///
    /// # Errors
    /// With a sentence for the user: the kernel has no io_uring that suffices. Those of
    /// epoll_create(2) and fcntl(2).
    pub fn new(
        listeners: Vec<BoundListener>,
        handler: H,
        limits: Arc<Limits>,
        policy: SignalPolicy,
        probe: P,
    ) -> io::Result<Self> {
        let roles = listeners.iter().map(|listener| listener.socket.role());
        let driver = Rc::new(RefCell::new(Driver::new(roles, limits.clone())?));
        let (poller, _) = Poller::new(Vec::new(), &limits, policy)?;
        driver.borrow_mut().watch(poller.descriptor());
        let listeners = listeners.into_iter().enumerate();
        let listeners = listeners
            .map(|(id, listener)| UringListener::new(driver.clone(), id, listener))
            .collect::<io::Result<Vec<_>>>()?;
        Ok(Self {
            engine: Engine::new(listeners, handler, limits, probe),
            sockets: UringSockets { driver, poller },
        })
    }

    /// Serves until a signal stops it. Returns the handler: it may have something to close.
    ///
    /// # Errors
    /// The ring or a listening socket is broken.
    pub fn run(mut self) -> io::Result<H> {
        let driver = self.sockets.driver.clone();
        loop {
            let before = Now::read();
            let timeout = self.engine.begin_poll(before);
            let completions = driver.borrow_mut().wait(timeout)?;
            let now = Now::read();
            let waited = now.instant.saturating_duration_since(before.instant);
            let outcome = outcome_of(completions, timeout, waited);
            self.engine.end_poll(now, timeout, outcome, completions);
            if self.mark()? && self.handle_signals(now).is_break() {
                break;
            }
            if (self.engine.run_phases(now, &mut self.sockets)?).is_break() {
                break;
            }
        }
        driver.borrow_mut().stop();
        Ok(self.engine.into_handler())
    }

    /// Marks what the completions are about. Returns whether signals have arrived.
    fn mark(&mut self) -> io::Result<bool> {
        let mut has_signals = false;
        let ready = self.sockets.driver.borrow_mut().take_ready();
        for ready in &ready {
            match *ready {
                Ready::Connection(key, flags) => drop(self.engine.mark_ready(key, || flags)),
                Ready::Listener(id) => self.engine.mark_listener_ready(id),
                Ready::Full(key) => self.sockets.wait_until_writable(key),
                Ready::Poll => has_signals |= self.mark_polled()?,
            }
        }
        self.sockets.driver.borrow_mut().reuse(ready);
        Ok(has_signals)
    }

    /// Marks what the poll reports. Returns whether signals have arrived.
    fn mark_polled(&mut self) -> io::Result<bool> {
        let UringSockets { driver, poller } = &mut self.sockets;
        poller.poll(Some(Duration::ZERO))?;
        let mut has_signals = false;
        for (target, _) in poller.events() {
            match target {
                EventTarget::Signals => has_signals = true,
                EventTarget::Handler => self.engine.mark_handler_ready(),
                // The key of a socket.
                EventTarget::Connection(key) => {
                    let mut driver = driver.borrow_mut();
                    if let Ok(descriptor) = driver.descriptor(key) {
                        poller.forget_writable(descriptor.as_raw_fd());
                    }
                    driver.on_writable(key);
                }
                EventTarget::Listener(_) => {}
            }
        }
        driver.borrow_mut().watch(poller.descriptor());
        Ok(has_signals)
    }

    fn handle_signals(&mut self, now: Now) -> Flow {
        for action in self.sockets.poller.take_signals() {
            (self.engine).handle_signal(action, now, &mut self.sockets)?;
        }
        Flow::Continue(())
    }
}

impl UringSockets {
    /// The poll waits until the socket `key`, which is full, can send.
    fn wait_until_writable(&mut self, key: usize) {
        let mut driver = self.driver.borrow_mut();
        let Ok(descriptor) = driver.descriptor(key) else {
            return;
        };
        let watched = (self.poller).watch_writable(descriptor.as_raw_fd(), key);
        if let Err(error) = watched {
            warn_unregistered(&error);
            driver.on_lost(key, &error);
        }
    }
}

/// The result of a wait. Without completions it ends early only for a signal.
fn outcome_of(completions: usize, timeout: Option<Duration>, waited: Duration) -> PollOutcome {
    match completions {
        0 if timeout.is_none_or(|timeout| waited < timeout) => PollOutcome::Interrupted,
        0 => PollOutcome::Nothing,
        _ => PollOutcome::Events,
    }
}

impl Sockets<UringListener, Connected> for UringSockets {
    fn make_transport(
        &mut self,
        _: ListenerInfo,
        accepted: UringStream,
    ) -> io::Result<(Connected, Option<SocketAddr>)> {
        let UringStream {
            descriptor,
            peer,
            is_tcp,
            layers,
        } = accepted;
        let key = self.driver.borrow_mut().add(descriptor);
        let socket = UringSocket::new(self.driver.clone(), key, is_tcp);
        match Connected::over(socket, layers) {
            Ok(transport) => Ok((transport, peer)),
            Err(error) => {
                self.driver.borrow_mut().close(key);
                Err(error)
            }
        }
    }

    fn register(&mut self, transport: &mut Connected, key: usize) -> io::Result<()> {
        transport.socket_mut().register(key);
        Ok(())
    }

    fn close_connection(&mut self, transport: Connected) {
        transport.into_socket().close();
    }

    fn watch(&mut self, notifier: &Notifier) -> io::Result<()> {
        self.poller.watch(notifier)
    }

    fn close_listeners(&mut self, listeners: Vec<UringListener>) {
        listeners.into_iter().for_each(UringListener::close);
    }
}
