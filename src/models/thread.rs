//! A thread for each client.
//!
//! What waits: each thread for its own client, in read(2); the kernel's scheduler knows who can go
//! on. So the code reads from top to bottom, as if there were only one client.
//! What a connection costs: a thread with its stack, the buffers that the reactor has once, and a
//! switch between threads for each request; an idle connection keeps all of it.
//! Where it loses: with many connections that are mostly idle. Beyond the cap nobody is let in
//! until somebody leaves.

use super::control::Control;
use super::doors::Doors;
use super::visit::Desk;
use crate::limits::Limits;
use crate::pump::Service;
use std::io;
use std::sync::Arc;
use std::thread;

/// Bytes of stack, of which pages are taken when they are used. The deepest call here needs a
/// tenth; the default of 2 MiB would run out of addresses first on small systems.
const STACK: usize = 256 * 1024;

/// Serves until the server is stopped.
///
/// # Errors
/// A listening socket failed in a way that cannot be mended.
pub fn run<S: Service + Clone + Send + 'static>(
    mut doors: Doors,
    service: S,
    control: &Arc<Control>,
    limits: &Arc<Limits>,
) -> io::Result<()> {
    loop {
        // First the place, then the guest: who finds none stays in the kernel's queue.
        control.wait_for_room(limits.connections);
        let Some(client) = doors.next(|| control.is_draining())? else {
            break;
        };
        let seat = control.seat(client.handle.clone());
        let (mut service, control, limits) = (service.clone(), control.clone(), limits.clone());
        let spawned = thread::Builder::new()
            .name("client".into())
            .stack_size(STACK)
            .spawn(move || {
                Desk::new(limits).serve(client, &mut service, &control);
                // The seat last: when all are empty, nobody has the service any more.
                drop(service);
                drop(seat);
            });
        if let Err(error) = spawned {
            // The client is lost, the others are not.
            log::warn!("no thread for a client: {error}");
        }
    }
    drop(doors);
    control.wait_for_all();
    Ok(())
}
