//! Room `models`: what the coroutines of one thread have in common, and what they wait for.

use crate::clock::Now;
use crate::connection::Connection;
use crate::http::date::DateLine;
use crate::limits::Limits;
use crate::pump::{Client, Loan, Pause, Service, Visit, pump_guarded};
use crate::timers::Timers;
use crate::transport::{Announced, Socket, Stream};
use mio::{Registry, Token};
use slab::Slab;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};

/// One thread, so cells and no locks. Nothing is borrowed across an `.await`.
pub struct World<S> {
    pub service: RefCell<S>,
    pub seats: RefCell<Slab<Seat>>,
    pub timers: RefCell<Timers>,
    pub now: Cell<Now>,
    pub draining: Cell<bool>,
    pub cut: Cell<bool>,
    pub registry: Registry,
    pub loan: RefCell<(Loan, DateLine)>,
    pub limits: Arc<Limits>,
}

/// A connection as the poll sees it: its token, what was announced, whom to wake.
#[derive(Default)]
pub struct Seat {
    announced: Option<Announced>,
    waker: Option<Waker>,
}

/// Empties the seat however the coroutine ends.
struct Place<S>(Rc<World<S>>, usize);

impl<S> Drop for Place<S> {
    fn drop(&mut self) {
        self.0.seats.borrow_mut().try_remove(self.1);
        self.0.timers.borrow_mut().remove(self.1);
    }
}

impl<S: Service> World<S> {
    /// An event came for a seat.
    pub fn note(&self, key: usize, announced: Announced) {
        if let Some(seat) = self.seats.borrow_mut().get_mut(key) {
            let known = seat.announced.unwrap_or_default();
            seat.announced = Some(known.and(announced));
            seat.waker.take().into_iter().for_each(Waker::wake);
        }
    }

    /// Wakes whoever has reached his deadline, a bounded number.
    pub fn expire(&self) {
        for _ in 0..self.limits.expiries_per_turn {
            let expired = self.timers.borrow_mut().expired(self.now.get().instant);
            let Some(key) = expired else { break };
            self.wake(key);
        }
    }

    /// Wakes everybody: the server is stopping.
    pub fn wake_all(&self) {
        let keys: Vec<_> = self.seats.borrow().iter().map(|(key, _)| key).collect();
        keys.into_iter().for_each(|key| self.wake(key));
    }

    fn wake(&self, key: usize) {
        if let Some(seat) = self.seats.borrow_mut().get_mut(key) {
            seat.waker.take().into_iter().for_each(Waker::wake);
        }
    }

    /// Waits for an event, the deadline, or a signal. What was announced meanwhile comes back.
    async fn ready(&self, key: usize, connection: &Connection) -> Announced {
        let mut has_waited = false;
        poll_fn(|context| {
            let mut seats = self.seats.borrow_mut();
            let Some(seat) = seats.get_mut(key) else {
                return Poll::Ready(Announced::default());
            };
            if let Some(announced) = seat.announced.take() {
                return Poll::Ready(announced);
            }
            // Woken without an event: by the deadline or a signal.
            if std::mem::replace(&mut has_waited, true) {
                return Poll::Ready(Announced::default());
            }
            seat.waker = Some(context.waker().clone());
            self.timers
                .borrow_mut()
                .schedule(key, connection.deadline());
            Poll::Pending
        })
        .await
    }

    fn pump(&self, client: &mut Client<Socket, S::Guest>) -> Pause {
        let now = self.now.get();
        let (loan, date) = &mut *self.loan.borrow_mut();
        let mut visit = Visit {
            now,
            date: date.at(now.wall),
            draining: self.draining.get(),
            limits: &self.limits,
            loan,
        };
        let service = &mut *self.service.borrow_mut();
        pump_guarded(client, service, &mut visit)
    }
}

/// Lets the others run first.
async fn yield_now() {
    let mut has_yielded = false;
    poll_fn(|context| match std::mem::replace(&mut has_yielded, true) {
        true => Poll::Ready(()),
        false => {
            context.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await;
}

/// One client from the first byte to the last. It reads like the thread's, with `.await` where the
/// thread sleeps.
pub async fn serve<S: Service>(
    world: Rc<World<S>>,
    key: usize,
    stream: Stream,
    peer: Option<IpAddr>,
) {
    let place = Place(world.clone(), key);
    let mut client = Client {
        connection: Connection::new(world.limits.clone(), world.now.get().instant),
        transport: Socket::new(stream),
        guest: world.service.borrow_mut().welcome(peer),
    };
    let mut is_registered = false;
    loop {
        let now = world.now.get().instant;
        client.connection.expired(now);
        if world.cut.get() {
            client.connection.cut();
        }
        match world.pump(&mut client) {
            Pause::Ended(_) => break,
            Pause::Yielded => yield_now().await,
            Pause::Blocked => {
                if world.draining.get() && client.connection.drain(now) {
                    continue;
                }
                if client.connection.ending().is_some() {
                    break;
                }
                // Only who has to wait is registered, once and for both directions.
                if !is_registered {
                    let source = client.transport.source();
                    let token = Token(key);
                    if let Err(error) = world.registry.register(source, token, Socket::INTEREST) {
                        log::warn!("cannot register a connection: {error}");
                        break;
                    }
                    is_registered = true;
                }
                let announced = world.ready(key, &client.connection).await;
                client.transport.note_announced(announced);
            }
        }
    }
    client.dismiss(&mut *world.service.borrow_mut(), world.now.get());
    client.transport.close(&world.registry);
    drop(place);
}
