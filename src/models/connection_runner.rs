//! Serves one connection on a blocking socket, for a thread or a process: pump, and when the pump
//! would block, sleep.

use super::acceptor::Accepted;
use super::control::Control;
use crate::clock::Now;
use crate::connection::{CloseReason, Connection, StateName};
use crate::deadline_clock::{DeadlineClock, PollOutcome};
use crate::handler::Handler;
use crate::http::date::DateCache;
use crate::limits::Limits;
use crate::probe::{Cause, Origin, Probe, StepResult, timed};
use crate::pump::{PumpContext, PumpOutcome, Session, SharedBuffers, pump_guarded};
use crate::tls::{OverSocket, PlainOrTls};
use crate::transport::blocking::{BlockingSocket, READ_BUFFER, ReadResult, SEND_TIMEOUT, Timeouts};
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

/// How long a thread waits for the handler before it looks whether the server stops.
const HANDLER_WAIT: Duration = Duration::from_secs(1);

/// What a thread serves connections with: buffers, the date, the clock of the deadlines, and a
/// probe.
pub struct ConnectionRunner<P = ()> {
    /// Allocated when the first byte arrives, so a thread with a silent connection has none.
    buffers: Option<SharedBuffers>,
    date: DateCache,
    deadline_clock: DeadlineClock,
    limits: Arc<Limits>,
    probe: P,
}

impl<P: Probe> ConnectionRunner<P> {
    /// A runner without a connection. Its connections are observed by `probe`.
    pub fn new(limits: Arc<Limits>, probe: P) -> Self {
        Self {
            buffers: None,
            date: DateCache::default(),
            deadline_clock: new_clock(&limits),
            limits,
            probe,
        }
    }

    /// Serves a connection until it ends.
    pub fn serve<H: Handler>(&mut self, accepted: Accepted, handler: &mut H, control: &Control) {
        self.run(accepted, handler, control, None);
    }

    /// Serves a connection until it ends, while the server serves no other one. `others_wait` tells
    /// whether another waits to be accepted. While one does, the next response is the connection's
    /// last, and a connection without a request ends after [`Limits::min_idle_time`].
    pub fn serve_in_turn<H: Handler>(
        &mut self,
        accepted: Accepted,
        handler: &mut H,
        control: &Control,
        others_wait: &dyn Fn() -> bool,
    ) {
        self.run(accepted, handler, control, Some(others_wait));
    }

    fn run<H: Handler>(
        &mut self,
        accepted: Accepted,
        handler: &mut H,
        control: &Control,
        others_wait: Option<&dyn Fn() -> bool>,
    ) {
        let Accepted {
            id,
            handle,
            listener,
            peer,
            layers,
        } = accepted;
        let wanted = Timeouts::new(self.limits.idle_timeout, self.limits.send_timeout);
        let socket = BlockingSocket::new(handle, wanted);
        let transport = match socket.and_then(|socket| PlainOrTls::over(socket, layers)) {
            Ok(transport) => transport,
            Err(error) => return log::debug!("a connection was lost: {error}"),
        };
        self.deadline_clock = new_clock(&self.limits);
        let handler_state = handler.on_connect(listener, peer.map(|peer| peer.ip()));
        let now = Now::read().instant;
        let mut session = Session::new(id, transport, handler_state, self.limits.clone(), now);
        let origin = Origin { listener, peer };
        (self.probe).on_accept(id, origin, session.connection.state_name());
        let reason = loop {
            if let Some(reason) =
                self.run_until_blocked(&mut session, handler, control, others_wait)
            {
                break reason;
            }
            let now = Now::read().instant;
            let deadline = self.deadline_clock.real_time(session.connection.deadline());
            let mut timeout = deadline.saturating_duration_since(now);
            if others_wait.is_some() {
                // Another connection may arrive meanwhile.
                timeout = timeout.min(self.limits.min_idle_time);
            }
            let (read, time) = timed(&mut self.probe, || {
                session.transport.socket_mut().wait(timeout)
            });
            self.report_wait(id, read, time);
            let now = Now::read().instant;
            (self.deadline_clock).on_poll_end(now, Some(timeout), outcome_of(read));
        };
        let now = Now::read();
        let transport = session.close(reason, handler, &mut self.probe, now);
        handler.end_iteration(now);
        drop(transport);
    }

    /// Runs the pump until the connection must wait for the client to send. A send may sleep
    /// meanwhile, for a second at most. Returns why the connection has ended, if it has.
    ///
    /// A connection is timed out only after a pump that began when its deadline had passed: what
    /// the peer had sent or taken by then comes first.
    fn run_until_blocked<H: Handler>(
        &mut self,
        session: &mut Session<PlainOrTls<BlockingSocket>, H::State>,
        handler: &mut H,
        control: &Control,
        others_wait: Option<&dyn Fn() -> bool>,
    ) -> Option<CloseReason> {
        let mut seen = None;
        loop {
            let now = Now::read();
            self.deadline_clock.on_poll_begin(now.instant);
            let deadline_now = self.deadline_clock.at(now.instant);
            let (is_draining, is_aborting) = (control.is_draining(), control.is_aborting());
            let is_reading = session.connection.state_name() == StateName::Reading;
            if is_aborting && !is_reading {
                // Before the pump, which may sleep in another send.
                session.abort(&mut self.probe, Cause::Abort);
            }
            let is_late = session.connection.deadline() <= deadline_now;
            let is_last = is_draining || others_wait.is_some_and(|others_wait| others_wait());
            if is_late || is_draining {
                let read = || session.transport.socket_mut().read_available();
                let (read, time) = timed(&mut self.probe, read);
                self.report_wait(session.id, read, time);
            }
            let outcome = self.pump(session, handler, is_last, now);
            if control.take_reopen() {
                handler.reopen_files();
            }
            // For the handler a pump is an iteration.
            handler.end_iteration(now);
            match outcome {
                PumpOutcome::Ended(reason) => return Some(reason),
                // A request that had arrived is answered.
                _ if is_aborting => {
                    session.abort(&mut self.probe, Cause::Abort);
                    continue;
                }
                PumpOutcome::Yielded => continue,
                PumpOutcome::Waiting => {
                    if is_late {
                        session.on_deadline(&mut self.probe, deadline_now, is_draining);
                    } else {
                        self.wait_for(handler, &session.connection, &mut seen);
                    }
                    continue;
                }
                PumpOutcome::Blocked => {}
            }
            let connection = &mut session.connection;
            let is_handshaking = connection.state_name() == StateName::Handshaking;
            let is_idle = connection.is_idle() || is_handshaking;
            session.transport.socket_mut().handle().set_idle(is_idle);
            if is_last {
                connection.drain(deadline_now);
            }
            if connection.deadline() > deadline_now {
                // If the stop came after the check above, this socket was not idle yet, and was not
                // woken.
                if is_draining || !control.is_draining() {
                    return None;
                }
            } else if is_late || is_last {
                session.on_deadline(&mut self.probe, deadline_now, is_draining);
            }
        }
    }

    /// Waits until the handler may be ready, for a second at most: then the driver looks at the
    /// server's state again. `seen` is the number of notifications when the handler was asked
    /// last; `None` before that is known: returns at once, to ask again.
    fn wait_for<H: Handler>(
        &mut self,
        handler: &mut H,
        connection: &Connection,
        seen: &mut Option<u64>,
    ) {
        let Some(notifier) = handler.notifier() else {
            return;
        };
        if let Some(seen) = *seen {
            let now = Now::read().instant;
            let deadline = self.deadline_clock.real_time(connection.deadline());
            let left = deadline.saturating_duration_since(now);
            notifier.wait_beyond(seen, left.min(HANDLER_WAIT));
            let now = Now::read().instant;
            (self.deadline_clock).on_poll_end(now, Some(HANDLER_WAIT), PollOutcome::Events);
        }
        *seen = Some(notifier.count());
    }

    fn report_wait(&mut self, id: u64, read: Option<ReadResult>, time: Option<Duration>) {
        if let Some(read) = read {
            self.probe.on_wait(id, StepResult::of(read), time);
        }
    }

    fn pump<H: Handler>(
        &mut self,
        session: &mut Session<PlainOrTls<BlockingSocket>, H::State>,
        handler: &mut H,
        is_last: bool,
        now: Now,
    ) -> PumpOutcome {
        let state = session.connection.state_name();
        let is_beginning = matches!(state, StateName::Reading | StateName::Handshaking);
        if is_beginning && self.buffers.is_none() && !session.transport.socket_mut().has_arrived() {
            return PumpOutcome::Blocked;
        }
        let deadline_now = self.deadline_clock.at(now.instant);
        let Self {
            buffers,
            date,
            limits,
            probe,
            ..
        } = self;
        let mut context = PumpContext {
            now,
            deadline_now,
            date: date.at(now.wall),
            draining: is_last,
            limits,
            buffers: buffers.get_or_insert_with(|| SharedBuffers::receiving(READ_BUFFER, limits)),
            probe,
        };
        pump_guarded(session, handler, &mut context)
    }
}

/// A pump may sleep in two sends. That time counts against the peer: it is no stall.
fn new_clock(limits: &Limits) -> DeadlineClock {
    let threshold = limits.stall_threshold();
    DeadlineClock::new(threshold + 2 * SEND_TIMEOUT, threshold)
}

/// What a wait in the read was for the clock of the deadlines: a poll of one socket.
fn outcome_of(read: Option<ReadResult>) -> PollOutcome {
    match read {
        None | Some(Err(ErrorKind::WouldBlock)) => PollOutcome::Nothing,
        Some(Err(ErrorKind::Interrupted)) => PollOutcome::Interrupted,
        Some(_) => PollOutcome::Events,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler::ListenerInfo;
    use crate::models::panics_on_request::PanicsOnRequest;
    use crate::models::shared::SharedHandler;
    use crate::tls::Layers;
    use crate::transport::blocking::{BlockingStream, Handle};
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    /// Sends `requests` on a connection, and returns the responses.
    fn serve(
        runner: &mut ConnectionRunner,
        handler: &mut SharedHandler<PanicsOnRequest>,
        control: &Control,
        requests: &str,
    ) -> String {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(requests.as_bytes()).unwrap();
        theirs.shutdown(std::net::Shutdown::Write).unwrap();
        let handle = Handle::new(BlockingStream::Unix(ours), Timeouts::default());
        let accepted = Accepted {
            id: 0,
            handle,
            listener: ListenerInfo::public(0),
            peer: None,
            layers: Layers::default(),
        };
        runner.serve(accepted, handler, control);
        let mut responses = String::new();
        // Unread bytes make the end of a unix socket a reset.
        let _ = theirs.read_to_string(&mut responses);
        responses
    }

    /// Also under the lock of `SharedHandler`, and with the same runner. Fails if `pump` is called
    /// instead of `pump_guarded`, and if the lock stays poisoned.
    #[test]
    fn a_panic_ends_one_connection_and_the_next_is_served_by_the_same_runner() {
        let mut runner = ConnectionRunner::new(Arc::new(Limits::default()), ());
        let mut handler = SharedHandler::new(PanicsOnRequest, vec![]);
        let good = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let bad = "GET /defect HTTP/1.1\r\nHost: a\r\n\r\n";
        let count = |responses: &str| responses.matches("HTTP/1.1 200 OK\r\n").count();
        let mut serve =
            |requests: &str| serve(&mut runner, &mut handler, &Control::default(), requests);
        assert_eq!(count(&serve(good)), 1);
        assert_eq!(serve(bad), "");
        assert_eq!(count(&serve(&good.repeat(3))), 3);
    }

    /// Fails if `abort` comes before the pump, and if the connection goes on after it.
    #[test]
    fn a_request_that_arrived_before_the_abort_is_answered_and_is_the_last() {
        let control = Arc::new(Control::default());
        control.drain(Duration::ZERO);
        while !control.is_aborting() {
            std::thread::yield_now();
        }
        let mut runner = ConnectionRunner::new(Arc::new(Limits::default()), ());
        let requests = "GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(3);
        let responses = serve(
            &mut runner,
            &mut SharedHandler::new(PanicsOnRequest, vec![]),
            &control,
            &requests,
        );
        assert_eq!(responses.matches("HTTP/1.1 200 OK\r\n").count(), 1);
    }
}
