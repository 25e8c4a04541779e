//! Room `models`: one client, served from the first byte to the last by a driver that may block.
//!
//! It is the same for one thread, many or a process: pump, and when the pump says that it would
//! block, block.

use super::control::Control;
use super::doors::Accepted;
use crate::clock::Now;
use crate::connection::Connection;
use crate::http::date::DateLine;
use crate::limits::Limits;
use crate::pump::{Client, Loan, Pause, Service, Visit, pump_guarded};
use crate::transport::blocking::Blocking;
use std::sync::Arc;

/// What a thread has to serve with: its buffers, and the date.
pub struct Desk {
    loan: Loan,
    date: DateLine,
    limits: Arc<Limits>,
}

impl Desk {
    /// Buffers of the sizes that `limits` name.
    pub fn new(limits: Arc<Limits>) -> Self {
        Self {
            loan: Loan::new(&limits),
            date: DateLine::default(),
            limits,
        }
    }

    /// Serves a client until the connection is over.
    pub fn serve<S: Service>(&mut self, accepted: Accepted, service: &mut S, control: &Control) {
        let Accepted { handle, peer } = accepted;
        let now = Now::read();
        let transport = match Blocking::new(handle, self.limits.send_timeout) {
            Ok(transport) => transport,
            Err(error) => return log::debug!("a connection was lost: {error}"),
        };
        let mut client = Client {
            connection: Connection::new(self.limits.clone(), now.instant),
            transport,
            guest: service.welcome(peer),
        };
        while self.visit(&mut client, service, control) {
            let deadline = client.connection.deadline();
            let most = deadline.saturating_duration_since(Now::read().instant);
            client.transport.wait(most);
        }
        client.dismiss(service, Now::read());
        service.turn_ended();
    }

    /// Does all that can be done without waiting. Returns whether there is more to come.
    fn visit<S: Service>(
        &mut self,
        client: &mut Client<Blocking, S::Guest>,
        service: &mut S,
        control: &Control,
    ) -> bool {
        loop {
            let now = Now::read();
            client.connection.expired(now.instant);
            if control.is_cut() {
                client.connection.cut();
            }
            let pause = self.pump(client, service, control.is_draining(), now);
            // What was remembered of a file is good for one visit, as for one turn of the reactor.
            service.turn_ended();
            match pause {
                Pause::Yielded => continue,
                Pause::Ended(_) => return false,
                Pause::Blocked => {}
            }
            let connection = &mut client.connection;
            client.transport.handle().set_idle(connection.is_idle());
            if !control.is_draining() {
                return true;
            }
            // Who has asked already is answered, as late as it is.
            let has_asked = connection.is_idle() && client.transport.look();
            if !has_asked && !connection.drain(now.instant) {
                return connection.ending().is_none();
            }
        }
    }

    fn pump<S: Service>(
        &mut self,
        client: &mut Client<Blocking, S::Guest>,
        service: &mut S,
        draining: bool,
        now: Now,
    ) -> Pause {
        let Self { loan, date, limits } = self;
        let mut visit = Visit {
            now,
            date: date.at(now.wall),
            draining,
            limits,
            loan,
        };
        pump_guarded(client, service, &mut visit)
    }
}
