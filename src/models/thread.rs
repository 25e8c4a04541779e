//! A thread for each connection.
//!
//! What waits: each thread for its own connection, in read(2); the kernel's scheduler runs the
//! threads that can go on. So the code reads from top to bottom, as for one connection.
//! What a connection costs: a thread with its stack, the buffers that the reactor has once, and a
//! switch between threads for each request. An idle connection keeps all of it.
//! Where it loses: with many connections that are mostly idle. At the connection limit no
//! connection is accepted until one ends.

use super::acceptor::{Accepted, Acceptor};
use super::connection_runner::ConnectionRunner;
use super::control::{Control, Registration};
use crate::handler::Handler;
use crate::limits::Limits;
use crate::probe::Probe;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Bytes of stack. Pages are allocated when they are used. The deepest call is that of gzip: it
/// needs 96 KiB, and 320 KiB in a build without optimization. With the default of 2 MiB small
/// systems would run out of addresses.
const STACK: usize = 512 * 1024;

/// Serves until a signal stops the server.
///
/// # Errors
/// A listening socket is broken.
pub fn run<H, P>(
    acceptor: Acceptor,
    handler: H,
    control: &Arc<Control>,
    limits: &Arc<Limits>,
    probe: &P,
) -> io::Result<()>
where
    H: Handler + Clone + Send + 'static,
    P: Probe + Clone + Send + 'static,
{
    accept_all(acceptor, &handler, control, limits, |task| {
        let (control, limits, probe) = (control.clone(), limits.clone(), probe.clone());
        spawn(task, move |task| {
            let mut runner = ConnectionRunner::new(limits, probe);
            drop(task.serve(&mut runner, &control));
        })
    })
}

/// A connection, and what a thread needs to serve it.
pub(super) struct Task<H> {
    accepted: Accepted,
    handler: H,
    registration: Registration,
}

/// Where a task lies until a thread takes it. If none can be started now, it stays here.
pub(super) type Slot<H> = Arc<Mutex<Option<Task<H>>>>;

impl<H: Handler> Task<H> {
    /// Serves the connection until it ends. Returns its registration, to be dropped last: when no
    /// connection is registered, no thread holds the handler.
    pub(super) fn serve<P: Probe>(
        self,
        runner: &mut ConnectionRunner<P>,
        control: &Control,
    ) -> Registration {
        let mut handler = self.handler;
        runner.serve(self.accepted, &mut handler, control);
        self.registration
    }
}

/// Takes the task out of its slot.
pub(super) fn take<H>(slot: &Slot<H>) -> Option<Task<H>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Starts a thread that takes the task.
///
/// # Errors
/// Those of pthread_create(3). The task is still in its slot.
pub(super) fn spawn<H: Send + 'static>(
    slot: &Slot<H>,
    work: impl FnOnce(Task<H>) + Send + 'static,
) -> io::Result<()> {
    let slot = slot.clone();
    let thread = thread::Builder::new()
        .name("connection".into())
        .stack_size(STACK);
    thread.spawn(move || take(&slot).map(work))?;
    Ok(())
}

/// Accepts connections until a signal stops the server, and gives each a thread with `start`, which
/// is called again after a pause if there is none. Then waits until all connections have ended.
///
/// # Errors
/// A listening socket is broken.
pub(super) fn accept_all<H: Clone>(
    mut acceptor: Acceptor,
    handler: &H,
    control: &Arc<Control>,
    limits: &Limits,
    start: impl Fn(&Slot<H>) -> io::Result<()>,
) -> io::Result<()> {
    loop {
        // Beyond the limit connections stay in the kernel's queue.
        control.wait_for_capacity(limits.max_connections);
        let Some(accepted) = acceptor.accept(|| control.is_draining())? else {
            break;
        };
        let registration = control.register(accepted.handle.clone());
        let slot = Arc::new(Mutex::new(Some(Task {
            accepted,
            handler: handler.clone(),
            registration,
        })));
        while let Err(error) = start(&slot) {
            acceptor.listeners.pause_after(&format!(
                "no thread for a connection: {error} (raise: ulimit -u)"
            ));
            if control.is_aborting() {
                break;
            }
        }
    }
    drop(acceptor);
    control.wait_for_all();
    Ok(())
}
