//! The realms of a server, and the access that requests have to them.

use super::Access;
use super::credentials::Credentials;
use super::realm::Realm;
use super::verifier::{Job, Progress, Verifier};
use crate::notifier::Notifier;
use std::io;
use std::sync::Arc;
use std::time::Instant;

/// The realms of a server, and what is known of the passwords that clients have sent. Clones share
/// what is known, the queue and the thread.
#[derive(Clone)]
pub struct Passwords {
    realms: Vec<Arc<Realm>>,
    verifier: Arc<Verifier>,
}

impl Passwords {
    /// Checks the passwords of `realms`, which requests name by their numbers.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn new(realms: Vec<Arc<Realm>>) -> io::Result<Self> {
        Ok(Self {
            realms,
            verifier: Arc::new(Verifier::new()?),
        })
    }

    /// Replaces the realms by those of `new`: by none if there are none. What is known of the
    /// earlier ones does not count for the new ones.
    pub fn set_realms(&mut self, new: Option<Self>) {
        self.realms = new.map_or(Vec::new(), |new| new.realms);
        self.verifier.cancel();
    }

    /// What tells that a password has been checked.
    pub fn notifier(&self) -> Arc<Notifier> {
        self.verifier.notifier()
    }

    /// Whether [`access`](Self::access) is known now: `authorization` is the field of that name.
    /// If not, the password is being checked, or waits for that.
    pub fn is_ready(&self, realm: usize, authorization: Option<&[u8]>, now: Instant) -> bool {
        let (Some(realm), Some(credentials)) = (
            self.realms.get(realm),
            authorization.and_then(Credentials::parse),
        ) else {
            return true;
        };
        let key = self.verifier.key(realm.id(), &credentials);
        let job = || Job::new(key, realm.clone(), credentials, now);
        self.verifier.ask(key, now, job) != Progress::Pending
    }

    /// Whether the request may be answered.
    pub fn access(&self, realm: usize, authorization: Option<&[u8]>, now: Instant) -> Access {
        let (Some(realm), Some(credentials)) = (
            self.realms.get(realm),
            authorization.and_then(Credentials::parse),
        ) else {
            return Access::Denied;
        };
        let key = self.verifier.key(realm.id(), &credentials);
        match self.verifier.known(&key, now) {
            Some(true) => Access::Granted,
            Some(false) => Access::Denied,
            None => Access::Busy,
        }
    }

    /// The value of WWW-Authenticate for a realm.
    pub fn challenge(&self, realm: usize) -> &str {
        self.realms
            .get(realm)
            .map_or("Basic", |realm| realm.challenge())
    }
}

/// The user that the field Authorization names.
pub fn user_of(authorization: &[u8]) -> Option<Vec<u8>> {
    Credentials::parse(authorization).map(|credentials| credentials.user)
}
