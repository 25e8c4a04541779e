//! One connection at a time: the next client is let in when the last has left.
//!
//! What waits: everybody, for whoever is being served. The process sleeps in read(2) of that one
//! socket, and all others stand in the kernel's queue.
//! What a connection costs: a socket, and no more; nothing is switched and nothing is shared.
//! Where it loses: at the second client. A slow request or a slow reader holds up all the others.
//! A connection that is merely open would, too, and a browser that opens several would wait for
//! itself; so while others wait, a response is the last of its connection, and a connection without
//! a request ends after a second. To know that takes one more system call for each request.

use super::acceptor::Acceptor;
use super::connection_runner::ConnectionRunner;
use super::control::Control;
use crate::handler::Handler;
use crate::limits::Limits;
use std::io;
use std::sync::Arc;

/// Serves until the server is stopped.
///
/// # Errors
/// A listening socket failed in a way that cannot be mended.
pub fn run<H: Handler>(
    mut acceptor: Acceptor,
    mut handler: H,
    control: &Arc<Control>,
    limits: Arc<Limits>,
) -> io::Result<()> {
    let mut runner = ConnectionRunner::new(limits);
    while let Some(client) = acceptor.accept(|| control.is_draining())? {
        let _registration = control.register(client.handle.clone());
        let others_wait = || acceptor.has_pending();
        runner.serve_beside(client, &mut handler, control, Some(&others_wait));
    }
    Ok(())
}
