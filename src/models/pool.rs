//! A fixed pool of threads: what people run.
//!
//! What waits: each worker for its own client, in read(2), or for its turn at the door. Only one
//! stands at the door at a time, and whoever is let in is his.
//! What a connection costs: a worker, for as long as it is open. Memory is bounded, as the workers
//! are made once.
//! Where it loses: with N workers, N clients that say nothing keep everybody else out until their
//! idle timeout. So servers of this kind are given short timeouts, or a proxy that holds the idle
//! connections for them: an event loop.

use super::acceptor::Acceptor;
use super::connection_runner::ConnectionRunner;
use super::control::Control;
use crate::handler::Handler;
use crate::limits::Limits;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Serves until the server is stopped.
///
/// # Errors
/// A listening socket failed in a way that cannot be mended, or the system gives no threads.
pub fn run<H: Handler + Clone + Send>(
    acceptor: Acceptor,
    handler: H,
    control: &Arc<Control>,
    limits: &Arc<Limits>,
) -> io::Result<()> {
    let acceptor = Mutex::new(acceptor);
    let work = |mut handler: H| {
        let mut runner = ConnectionRunner::new(limits.clone());
        loop {
            let next = {
                let mut acceptor = acceptor.lock().unwrap_or_else(PoisonError::into_inner);
                acceptor.accept(|| control.is_draining())?
            };
            let Some(client) = next else {
                return Ok(());
            };
            let _registration = control.register(client.handle.clone());
            runner.serve(client, &mut handler, control);
        }
    };
    thread::scope(|scope| {
        let most = limits.workers.min(limits.connections);
        let mut workers = Vec::new();
        for _ in 0..most {
            let handler = handler.clone();
            let worker = thread::Builder::new().name("worker".into());
            match worker.spawn_scoped(scope, || work(handler)) {
                Ok(worker) => workers.push(worker),
                Err(error) if workers.is_empty() => return Err(error),
                Err(error) => {
                    let count = workers.len();
                    log::warn!(
                        "{count} threads instead of {most}: no more: {error} (raise: ulimit -u)"
                    );
                    break;
                }
            }
        }
        let mut ended = workers.into_iter().map(thread::ScopedJoinHandle::join);
        ended.try_for_each(|ended| ended.unwrap_or(Ok(())))
    })
}
