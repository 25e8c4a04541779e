//! One service for many threads.
//!
//! A mutex around answering: what lies within is a look at a file and the writing of a header, and
//! no socket, so it is held for microseconds. A site for each thread would need no lock, and
//! remember each file once for each thread. The price is that only one thread answers at a time,
//! which a machine with many processors would feel, and that one slow disk is slow for all.

use crate::clock::Now;
use crate::http::request::{Refusal, Request};
use crate::http::response::Response;
use crate::pump::Service;
use std::net::IpAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

/// How often, and after which wait each time, the last share is asked for the service.
const SHARE_TRIES: u32 = 100;
const SHARE_WAIT: Duration = Duration::from_millis(1);

/// A share of the service.
pub struct Shared<S>(Arc<Mutex<Inner<S>>>);

struct Inner<S> {
    service: S,
    /// To the thread that calls the service when nobody else does.
    dues: Option<Sender<Instant>>,
    /// What was last sent there.
    due: Option<Instant>,
}

impl<S> Shared<S> {
    /// The first share.
    pub fn new(service: S) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            service,
            dues: None,
            due: None,
        })))
    }

    /// The service, unless a connection still holds a share.
    ///
    /// The thread that calls it when it is due and the one that reopens its logs hold a share for a
    /// moment: that moment is waited for.
    pub fn into_inner(mut self) -> Option<S> {
        for _ in 0..SHARE_TRIES {
            match Arc::try_unwrap(self.0) {
                Ok(mutex) => {
                    let inner = mutex.into_inner().unwrap_or_else(PoisonError::into_inner);
                    return Some(inner.service);
                }
                Err(shared) => self.0 = shared,
            }
            thread::sleep(SHARE_WAIT);
        }
        None
    }

    /// Starts a thread that calls the service when it is due ([`Service::next_due`]): those who
    /// share it sleep in their reads, and cannot. It sleeps while nothing is due. Without it the
    /// service is called only when a client is served.
    #[must_use]
    pub fn called_when_due(self) -> Self
    where
        S: Service + Send + 'static,
    {
        let (sender, receiver) = channel();
        let service = Arc::downgrade(&self.0);
        let started = thread::Builder::new()
            .name("due".into())
            .spawn(move || call(&service, &receiver));
        match started {
            Ok(_) => self.lock().dues = Some(sender),
            Err(error) => log::warn!(
                "cannot start the thread that closes files: {error}; without clients, they stay \
                 open until SIGUSR1"
            ),
        }
        self
    }

    /// What opens its logs anew, and keeps nobody from having it back.
    pub fn reopener(&self) -> impl Fn() + Send + use<S>
    where
        S: Service + Send + 'static,
    {
        let service = Arc::downgrade(&self.0);
        move || {
            if let Some(service) = service.upgrade() {
                Self(service).reopen_logs();
            }
        }
    }

    /// Whoever panicked with it lost his own connection, and the service was between two answers.
    fn lock(&self) -> MutexGuard<'_, Inner<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Calls the service at each time that is received, until it is gone.
fn call<S: Service>(service: &Weak<Mutex<Inner<S>>>, dues: &Receiver<Instant>) {
    for due in dues {
        thread::sleep(due.saturating_duration_since(Now::read().instant));
        let Some(service) = service.upgrade() else {
            return;
        };
        Shared(service).turn_ended(Now::read());
    }
}

impl<S> Clone for Shared<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: Service> Service for Shared<S> {
    type Guest = S::Guest;

    fn welcome(&mut self, peer: Option<IpAddr>) -> S::Guest {
        self.lock().service.welcome(peer)
    }

    fn respond(
        &mut self,
        guest: &mut S::Guest,
        asked: Result<Request<'_>, Refusal<'_>>,
        now: Now,
    ) -> Response {
        self.lock().service.respond(guest, asked, now)
    }

    fn delivered(&mut self, guest: &mut S::Guest, body_sent: u64, now: Now) {
        self.lock().service.delivered(guest, body_sent, now);
    }

    fn note(
        &mut self,
        guest: &mut S::Guest,
        asked: &Result<Request<'_>, Refusal<'_>>,
        response: &Response,
        now: Now,
    ) {
        self.lock().service.note(guest, asked, response, now);
    }

    fn lost(&mut self, bytes: u64) {
        self.lock().service.lost(bytes);
    }

    fn turn_ended(&mut self, now: Now) {
        let mut inner = self.lock();
        inner.service.turn_ended(now);
        let due = inner.service.next_due();
        if due == std::mem::replace(&mut inner.due, due) {
            return;
        }
        if let (Some(dues), Some(due)) = (&inner.dues, due) {
            // The thread ends only when the service does.
            let _ = dues.send(due);
        }
    }

    fn reopen_logs(&mut self) {
        self.lock().service.reopen_logs();
    }
}
