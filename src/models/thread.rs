//! A thread for each connection.
//!
//! What waits: each thread for its own connection, in read(2); the kernel's scheduler runs the
//! threads that can go on. So the code reads from top to bottom, as for one connection.
//! What a connection costs: a thread with its stack, the buffers that the reactor has once, and a
//! switch between threads for each request. An idle connection keeps all of it.
//! Where it loses: with many connections that are mostly idle. At the connection limit no
//! connection is accepted until one ends.

use super::acceptor::Acceptor;
use super::connection_runner::ConnectionRunner;
use super::control::Control;
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
    mut acceptor: Acceptor,
    handler: H,
    control: &Arc<Control>,
    limits: &Arc<Limits>,
    probe: &P,
) -> io::Result<()>
where
    H: Handler + Clone + Send + 'static,
    P: Probe + Clone + Send + 'static,
{
    loop {
        // Beyond the limit connections stay in the kernel's queue.
        control.wait_for_capacity(limits.max_connections);
        let Some(accepted) = acceptor.accept(|| control.is_draining())? else {
            break;
        };
        let registration = control.register(accepted.handle.clone());
        // The thread takes it out. If none can be started now, it stays here for the next try.
        let task = Arc::new(Mutex::new(Some((accepted, handler.clone(), registration))));
        loop {
            let (task, thread_control) = (task.clone(), control.clone());
            let (limits, probe) = (limits.clone(), probe.clone());
            let spawned = thread::Builder::new()
                .name("connection".into())
                .stack_size(STACK)
                .spawn(move || {
                    let taken = task.lock().unwrap_or_else(PoisonError::into_inner).take();
                    if let Some((accepted, mut handler, registration)) = taken {
                        let mut runner = ConnectionRunner::new(limits, probe);
                        runner.serve(accepted, &mut handler, &thread_control);
                        // The registration last: when no connection is registered, no thread
                        // holds the handler.
                        drop(handler);
                        drop(registration);
                    }
                });
            let Err(error) = spawned else {
                break;
            };
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
