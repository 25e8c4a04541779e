//! Lost wake-ups: before the loop waits, each connection must be blocked, and an event or a timer
//! must be able to wake it.

use crate::faults::Call;
use crate::kernel::{AcceptResult, Kernel};
use oneloop::limits::Limits;
use std::time::Duration;

impl Kernel {
    /// Called before the loop waits for `timeout`.
    pub fn check_sleep(&mut self, timeout: Option<Duration>, limits: &Limits) {
        let mut violations = self.forgotten_connections();
        violations.extend(self.forgotten_pending(timeout, limits));
        violations
            .into_iter()
            .for_each(|what| self.report_violation(what));
    }

    fn forgotten_connections(&self) -> Vec<String> {
        let open = self.connections.iter().enumerate();
        let open = open.filter(|(_, connection)| connection.is_open());
        let forgotten = open.filter_map(|(id, connection)| match connection.last_call {
            // Earlier responses are sent before it waits for the handler.
            Some((Call::Send, true)) if !connection.is_wake_up_lost() => None,
            _ if connection.ready_at.is_some() && self.will_notify() => None,
            _ if connection.ready_at.is_some() => Some(format!(
                "connection {id}: waits for the handler, which is ready"
            )),
            Some((call, false)) => Some(format!(
                "connection {id}: waits, but {call:?} did not block"
            )),
            Some((call, true)) if connection.is_wake_up_lost() => Some(format!(
                "connection {id}: {call:?} is possible, and no event will say so"
            )),
            _ => None,
        });
        forgotten.collect()
    }

    fn forgotten_pending(&self, timeout: Option<Duration>, limits: &Limits) -> Option<String> {
        let will_try_again = timeout.is_some_and(|timeout| timeout <= limits.accept_pause);
        if self
            .connections
            .iter()
            .any(|connection| connection.is_held())
        {
            let open = self
                .connections
                .iter()
                .filter(|connection| connection.is_open())
                .count();
            let has_free_slot = open < limits.max_connections;
            return (has_free_slot || !will_try_again)
                .then(|| "a slot is free, but the accepted connection does not get it".into());
        }
        if !self.has_unannounced_pending() {
            return None;
        }
        match self.last_accept {
            Some(AcceptResult::NoDescriptor) if self.descriptors > 0 => {
                Some("a slot is free, but no connection is accepted".into())
            }
            Some(AcceptResult::NoDescriptor | AcceptResult::Error(_)) if will_try_again => None,
            _ => Some("connections wait at a listener, and no event will say so".into()),
        }
    }
}
