//! A blocking socket whose calls are reported to a probe, for the model `fixed`, which does not use
//! the pump.

use super::acceptor::Accepted;
use crate::connection::{CloseReason, Counts, StateName, StepName};
use crate::probe::{Cause, Origin, Probe, StepResult, timed};
use crate::transport::blocking::Handle;
use std::io;
use std::time::Duration;

/// An accepted socket, and the state of its connection as the probe knows it.
pub struct ObservedSocket<'s, P> {
    /// The socket.
    pub handle: &'s Handle,
    id: u64,
    probe: &'s mut P,
    state: StateName,
    sent: usize,
}

impl<'s, P: Probe> ObservedSocket<'s, P> {
    /// A connection that begins in the state `Reading`.
    pub fn new(accepted: &'s Accepted, probe: &'s mut P) -> Self {
        let (id, state) = (accepted.id, StateName::Reading);
        let origin = Origin {
            listener: accepted.listener,
            peer: accepted.peer,
        };
        probe.on_accept(id, origin, state);
        Self {
            handle: &accepted.handle,
            id,
            probe,
            state,
            sent: 0,
        }
    }

    /// The connection enters `state`, because of a step.
    pub fn enter(&mut self, state: StateName, step: StepName) {
        let cause = Cause::Step(step);
        self.probe.on_transition(self.id, self.state, state, cause);
        self.state = state;
    }

    /// See [`Handle::read`].
    pub fn read(&mut self, buf: &mut [u8], timeout: Duration) -> io::Result<usize> {
        let (read, time) = timed(self.probe, || self.handle.read(buf, timeout));
        self.probe.on_wait(self.id, result_of(&read), time);
        read
    }

    /// See [`Handle::write`].
    pub fn write(&mut self, bytes: &[u8], timeout: Duration) -> io::Result<usize> {
        let (sent, time) = timed(self.probe, || self.handle.write(bytes, timeout));
        (self.probe).on_step(self.id, StepName::Send, result_of(&sent), time);
        self.sent += sent.as_ref().unwrap_or(&0);
        sent
    }

    /// See [`Handle::finish_sending`].
    pub fn finish_sending(&mut self) -> io::Result<()> {
        let (done, time) = timed(self.probe, || self.handle.finish_sending());
        let result = match &done {
            Ok(()) => StepResult::Done,
            Err(error) => StepResult::Failed(error.kind()),
        };
        (self.probe).on_step(self.id, StepName::Shutdown, result, time);
        done
    }

    /// The connection has ended, and its socket is closed next. `head` is the length of the head
    /// that was sent.
    pub fn on_close(mut self, reason: CloseReason, head: usize) {
        let body_bytes = self.sent.saturating_sub(head) as u64;
        let counts = Counts {
            body_bytes,
            latest_body: body_bytes,
        };
        let step = match self.state {
            StateName::WritingHeader => StepName::Send,
            _ => StepName::Receive,
        };
        self.enter(StateName::Closed(reason), step);
        self.probe.on_close(self.id, reason, counts);
    }
}

fn result_of(done: &io::Result<usize>) -> StepResult {
    StepResult::of(done.as_ref().copied().map_err(io::Error::kind))
}
