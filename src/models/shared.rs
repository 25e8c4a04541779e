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
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A share of the service.
pub struct Shared<S>(Arc<Mutex<S>>);

impl<S> Shared<S> {
    /// The first share.
    pub fn new(service: S) -> Self {
        Self(Arc::new(Mutex::new(service)))
    }

    /// The service, if this is the last share.
    pub fn into_inner(self) -> Option<S> {
        let mutex = Arc::into_inner(self.0)?;
        Some(mutex.into_inner().unwrap_or_else(PoisonError::into_inner))
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
    fn lock(&self) -> MutexGuard<'_, S> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        self.lock().welcome(peer)
    }

    fn respond(
        &mut self,
        guest: &mut S::Guest,
        asked: Result<Request<'_>, Refusal<'_>>,
        now: Now,
    ) -> Response {
        self.lock().respond(guest, asked, now)
    }

    fn delivered(&mut self, guest: &mut S::Guest, body_sent: u64, now: Now) {
        self.lock().delivered(guest, body_sent, now);
    }

    fn note(
        &mut self,
        guest: &mut S::Guest,
        asked: &Result<Request<'_>, Refusal<'_>>,
        response: &Response,
        now: Now,
    ) {
        self.lock().note(guest, asked, response, now);
    }

    fn lost(&mut self, bytes: u64) {
        self.lock().lost(bytes);
    }

    fn turn_ended(&mut self) {
        self.lock().turn_ended();
    }

    fn reopen_logs(&mut self) {
        self.lock().reopen_logs();
    }
}
