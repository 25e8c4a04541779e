//! One connection at a time: the next one is accepted when the last one is closed.
//!
//! What waits: the process, in read(2) of one socket. All other connections wait in the kernel's
//! queue.
//! What a connection costs: a socket. There are no context switches and no locks.
//! Where it loses: with a second connection. A slow request or a slow reader holds up all others.
//! An idle connection would, too: a browser that opens several would wait until its own idle one is
//! closed. So while others wait, a response is the last of its connection, and a connection without
//! a request is closed after a second. To check whether others wait costs one more system call for
//! each request.

use super::acceptor::Acceptor;
use super::connection_runner::ConnectionRunner;
use super::control::Control;
use crate::handler::Handler;
use crate::limits::Limits;
use crate::probe::Probe;
use std::io;
use std::sync::Arc;

/// Serves until a signal stops the server.
///
/// # Errors
/// A listening socket is broken.
pub fn run<H: Handler, P: Probe>(
    mut acceptor: Acceptor,
    mut handler: H,
    control: &Arc<Control>,
    limits: Arc<Limits>,
    probe: P,
) -> io::Result<()> {
    let mut runner = ConnectionRunner::new(limits, probe);
    while let Some(accepted) = acceptor.accept(|| control.is_draining())? {
        let _registration = control.register(accepted.handle.clone());
        let others_wait = || acceptor.listeners.has_pending();
        runner.serve_in_turn(accepted, &mut handler, control, &others_wait);
    }
    Ok(())
}
