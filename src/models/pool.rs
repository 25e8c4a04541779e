//! A fixed pool of threads, as many servers have it.
//!
//! What waits: each worker for its own connection, in read(2), or for a connection to accept. One
//! worker accepts at a time, and serves what it has accepted.
//! What a connection costs: a worker, as long as it is open. Memory is bounded, because the workers
//! are started once.
//! Where it loses: N silent connections keep N workers, and no other connection is accepted until
//! their idle timeout. So servers of this kind have short timeouts, or a proxy with an event loop
//! that keeps the idle connections.

use super::acceptor::Acceptor;
use super::connection_runner::ConnectionRunner;
use super::control::Control;
use crate::handler::Handler;
use crate::limits::Limits;
use crate::probe::Probe;
use std::io;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Serves until a signal stops the server.
///
/// # Errors
/// A listening socket is broken, or a thread cannot be created.
pub fn run<H: Handler + Clone + Send, P: Probe + Clone + Send>(
    acceptor: Acceptor,
    handler: H,
    control: &Arc<Control>,
    limits: &Arc<Limits>,
    probe: &P,
) -> io::Result<()> {
    let acceptor = Mutex::new(acceptor);
    let work = |mut handler: H, probe: P| {
        let mut runner = ConnectionRunner::new(limits.clone(), probe);
        loop {
            let next = {
                let mut acceptor = acceptor.lock().unwrap_or_else(PoisonError::into_inner);
                acceptor.accept(|| control.is_draining())?
            };
            let Some(accepted) = next else {
                return Ok(());
            };
            let _registration = control.register(accepted.handle.clone());
            runner.serve(accepted, &mut handler, control);
        }
    };
    thread::scope(|scope| {
        let thread_count = limits.workers.min(limits.max_connections);
        let mut workers = Vec::new();
        for _ in 0..thread_count {
            let (handler, probe) = (handler.clone(), probe.clone());
            let worker = thread::Builder::new().name("worker".into());
            match worker.spawn_scoped(scope, || work(handler, probe)) {
                Ok(worker) => workers.push(worker),
                Err(error) if workers.is_empty() => return Err(error),
                Err(error) => {
                    let count = workers.len();
                    log::warn!(
                        "started only {count} of {thread_count} threads: {error} (raise: ulimit -u)"
                    );
                    break;
                }
            }
        }
        let mut ended = workers.into_iter().map(thread::ScopedJoinHandle::join);
        // A panic of a worker is one of the server's.
        ended.try_for_each(|ended| ended.unwrap_or_else(|panic| resume_unwind(panic)))
    })
}
