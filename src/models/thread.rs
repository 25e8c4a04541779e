//! A thread for each client.
//!
//! What waits: each thread for its own client, in read(2); the kernel's scheduler knows who can go
//! on. So the code reads from top to bottom, as if there were only one client.
//! What a connection costs: a thread with its stack, the buffers that the reactor has once, and a
//! switch between threads for each request; an idle connection keeps all of it.
//! Where it loses: with many connections that are mostly idle. Beyond the cap nobody is let in
//! until somebody leaves.

use super::acceptor::Acceptor;
use super::connection_runner::ConnectionRunner;
use super::control::Control;
use crate::handler::Handler;
use crate::limits::Limits;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Bytes of stack, of which pages are taken when they are used. The deepest call here needs a
/// tenth; the default of 2 MiB would run out of addresses first on small systems.
const STACK: usize = 256 * 1024;

/// Serves until the server is stopped.
///
/// # Errors
/// A listening socket failed in a way that cannot be mended.
pub fn run<H: Handler + Clone + Send + 'static>(
    mut acceptor: Acceptor,
    handler: H,
    control: &Arc<Control>,
    limits: &Arc<Limits>,
) -> io::Result<()> {
    loop {
        // First the place, then the state: who finds none stays in the kernel's queue.
        control.wait_for_capacity(limits.connections);
        let Some(client) = acceptor.accept(|| control.is_draining())? else {
            break;
        };
        let registration = control.register(client.handle.clone());
        // Taken by the thread, if there is one: where none can be had now, the client waits.
        let task = Arc::new(Mutex::new(Some((client, handler.clone(), registration))));
        loop {
            let (task, own, limits) = (task.clone(), control.clone(), limits.clone());
            let spawned = thread::Builder::new()
                .name("client".into())
                .stack_size(STACK)
                .spawn(move || {
                    let taken = task.lock().unwrap_or_else(PoisonError::into_inner).take();
                    if let Some((client, mut handler, registration)) = taken {
                        ConnectionRunner::new(limits).serve(client, &mut handler, &own);
                        // The registration last: when all are empty, nobody has the handler any
                        // more.
                        drop(handler);
                        drop(registration);
                    }
                });
            let Err(error) = spawned else {
                break;
            };
            acceptor.pause_after(&format!(
                "no thread for a client: {error} (raise: ulimit -u)"
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
