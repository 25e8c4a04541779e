//! The thread that checks passwords, its queue, and what it has found out.

use super::credentials::Credentials;
use super::memory::{Key, Memory};
use super::realm::Realm;
use crate::notifier::Notifier;
use blake2::Blake2sMac256;
use blake2::digest::{KeyInit, Mac};
use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

/// Most passwords that wait to be checked. With bcrypt at its usual cost, that is some seconds of
/// work.
const MAX_WAITING: usize = 64;

/// Most credentials that are known to be right.
const MAX_RIGHT: usize = 1024;

/// Most credentials that are known to be wrong: more than can wait, so that each result is still
/// there when it is asked for. They do not displace those that are right.
const MAX_WRONG: usize = 256;

/// A password that is to be checked.
pub struct Job {
    key: Key,
    realm: Arc<Realm>,
    credentials: Credentials,
    /// When it was asked for: from then on its result is remembered.
    asked: Instant,
}

/// How far the check of a password is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It is known whether it is right.
    Known,
    /// It is being checked, or waits for that.
    Pending,
    /// Too many others wait.
    Full,
}

/// The owner of the thread. The thread is started with the first password, and ends with the
/// owner.
pub struct Verifier {
    /// The key of the keys.
    secret: Key,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    work: Mutex<Work>,
    /// There is a job, or the owner is gone.
    changed: Condvar,
    notifier: Arc<Notifier>,
}

struct Work {
    queue: VecDeque<Job>,
    /// The key of the job that is being done.
    current: Option<Key>,
    right: Memory,
    wrong: Memory,
    /// The thread was started.
    is_started: bool,
    is_over: bool,
}

impl Default for Work {
    fn default() -> Self {
        Self {
            queue: VecDeque::new(),
            current: None,
            right: Memory::new(MAX_RIGHT),
            wrong: Memory::new(MAX_WRONG),
            is_started: false,
            is_over: false,
        }
    }
}

impl Job {
    /// The check of `credentials` in `realm`.
    pub fn new(key: Key, realm: Arc<Realm>, credentials: Credentials, asked: Instant) -> Self {
        Self {
            key,
            realm,
            credentials,
            asked,
        }
    }
}

impl Verifier {
    /// Knows nothing yet.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn new() -> io::Result<Self> {
        let mut secret = Key::default();
        getrandom::fill(&mut secret)?;
        Ok(Self {
            secret,
            shared: Arc::default(),
        })
    }

    /// See [`Passwords::notifier`](super::Passwords::notifier).
    pub fn notifier(&self) -> Arc<Notifier> {
        self.shared.notifier.clone()
    }

    /// Names credentials of the realm with this id.
    pub fn key(&self, realm: u64, credentials: &Credentials) -> Key {
        let mut mac = Blake2sMac256::new(&self.secret.into());
        mac.update(&realm.to_le_bytes());
        mac.update(&(credentials.user.len() as u64).to_le_bytes());
        mac.update(&credentials.user);
        mac.update(&credentials.password);
        mac.finalize().into_bytes().into()
    }

    /// Whether these credentials are right, if that is known.
    pub fn known(&self, key: &Key, now: Instant) -> Option<bool> {
        self.shared.lock().known(key, now)
    }

    /// How far the check of these credentials is. If it has not begun, `job` is added.
    pub fn ask(&self, key: Key, now: Instant, job: impl FnOnce() -> Job) -> Progress {
        let mut work = self.shared.lock();
        if work.known(&key, now).is_some() {
            return Progress::Known;
        }
        if work.current == Some(key) || work.queue.iter().any(|job| job.key == key) {
            return Progress::Pending;
        }
        if work.queue.len() == MAX_WAITING {
            return Progress::Full;
        }
        work.queue.push_back(job());
        if !work.is_started {
            if let Err(error) = self.start() {
                log::error!("cannot start the thread that checks passwords: {error}");
                work.queue.clear();
                return Progress::Full;
            }
            work.is_started = true;
        }
        drop(work);
        self.shared.changed.notify_one();
        Progress::Pending
    }

    /// Forgets what waits to be checked. Requests that wait for it ask again.
    pub fn cancel(&self) {
        self.shared.lock().queue.clear();
        self.shared.notifier.notify();
    }

    fn start(&self) -> io::Result<()> {
        let shared = self.shared.clone();
        let thread = thread::Builder::new().name("passwords".into());
        thread.spawn(move || shared.run())?;
        Ok(())
    }
}

impl Drop for Verifier {
    fn drop(&mut self) {
        self.shared.lock().is_over = true;
        self.shared.changed.notify_one();
    }
}

impl Work {
    fn known(&self, key: &Key, now: Instant) -> Option<bool> {
        match self.right.has(key, now) {
            true => Some(true),
            false => self.wrong.has(key, now).then_some(false),
        }
    }
}

impl Shared {
    /// No panic can leave the work in a wrong state.
    fn lock(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does one job after the other until the owner is gone.
    fn run(&self) {
        while let Some(job) = self.next() {
            let check = || job.realm.accepts(&job.credentials);
            // A panic would be a bug of ours or of a library. It must not end the thread.
            let is_right = catch_unwind(AssertUnwindSafe(check)).unwrap_or(false);
            let mut work = self.lock();
            match is_right {
                true => work.right.add(job.key, job.asked),
                false => work.wrong.add(job.key, job.asked),
            }
            work.current = None;
            drop(work);
            self.notifier.notify();
        }
    }

    fn next(&self) -> Option<Job> {
        let mut work = self.lock();
        loop {
            if work.is_over {
                return None;
            }
            if let Some(job) = work.queue.pop_front() {
                work.current = Some(job.key);
                return Some(job);
            }
            let woken = self.changed.wait(work);
            work = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Now;
    use std::time::Duration;

    const HASH: &str = "$2y$04$NjSIBBmD9Y1RcWW.MSWCtOMuB.QNmeyZYcPC4hywr09h8dN2jlW96";

    fn realm() -> Arc<Realm> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("users");
        std::fs::write(&path, format!("alice:{HASH}")).unwrap();
        Arc::new(Realm::read(&path, "a").unwrap())
    }

    fn credentials(password: &str) -> Credentials {
        Credentials {
            user: b"alice".to_vec(),
            password: password.into(),
        }
    }

    /// Asks until the check is done.
    fn check(verifier: &Verifier, realm: &Arc<Realm>, password: &str) -> Option<bool> {
        let now = Now::read().instant;
        let key = verifier.key(realm.id(), &credentials(password));
        let mut seen = verifier.notifier().count();
        loop {
            let job = || Job::new(key, realm.clone(), credentials(password), now);
            match verifier.ask(key, now, job) {
                Progress::Known => return verifier.known(&key, now),
                Progress::Full => return None,
                Progress::Pending => {
                    verifier
                        .notifier()
                        .wait_beyond(seen, Duration::from_secs(60));
                    seen += 1;
                }
            }
        }
    }

    #[test]
    fn a_result_is_remembered_for_its_realm_alone() {
        let verifier = Verifier::new().unwrap();
        let realm = realm();
        assert_eq!(check(&verifier, &realm, "password"), Some(true));
        assert_eq!(check(&verifier, &realm, "wrong"), Some(false));
        let count = verifier.notifier().count();
        assert_eq!(count, 2);
        assert_eq!(check(&verifier, &realm, "password"), Some(true));
        assert_eq!(verifier.notifier().count(), count);
        // The same file, read again.
        assert_eq!(check(&verifier, &self::realm(), "password"), Some(true));
        assert_eq!(verifier.notifier().count(), count + 1);
    }

    #[test]
    fn a_key_has_the_realm_the_user_and_the_password_apart() {
        let verifier = Verifier::new().unwrap();
        let key = |realm, user: &str, password: &str| {
            verifier.key(
                realm,
                &Credentials {
                    user: user.into(),
                    password: password.into(),
                },
            )
        };
        let keys = [
            key(1, "a", "bc"),
            key(1, "ab", "c"),
            key(1, "a", "b"),
            key(2, "a", "bc"),
            Verifier::new().unwrap().key(1, &credentials("")),
        ];
        let distinct: std::collections::HashSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len());
        assert_eq!(key(1, "a", "bc"), keys[0]);
    }

    /// The thread is not started: nothing is taken from the queue.
    #[test]
    fn beyond_the_limit_a_password_is_not_queued_and_one_that_waits_is_queued_once() {
        let verifier = Verifier::new().unwrap();
        verifier.shared.lock().is_started = true;
        let (realm, now) = (realm(), Now::read().instant);
        let ask = |password: &str| {
            let key = verifier.key(realm.id(), &credentials(password));
            let job = || Job::new(key, realm.clone(), credentials(password), now);
            verifier.ask(key, now, job)
        };
        for number in 0..MAX_WAITING {
            assert_eq!(ask(&number.to_string()), Progress::Pending);
            assert_eq!(ask("0"), Progress::Pending);
        }
        assert_eq!(ask("one more"), Progress::Full);
        assert_eq!(ask("0"), Progress::Pending);
        let seen = verifier.notifier().count();
        verifier.cancel();
        assert!(verifier.shared.lock().queue.is_empty());
        assert_eq!(verifier.notifier().count(), seen + 1);
    }
}
