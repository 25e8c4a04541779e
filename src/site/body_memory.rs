//! Bounds the memory of all bodies of one kind that are being produced, in bytes.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The memory of all listings, or of all compressed files that are produced or sent. Clones share
/// one count.
#[derive(Clone, Debug)]
pub struct BodyMemory {
    held: Arc<AtomicUsize>,
    limit: usize,
}

/// The bytes that one body holds. Dropping it releases them.
#[derive(Debug)]
pub(super) struct Reservation {
    memory: BodyMemory,
    held: usize,
}

impl BodyMemory {
    /// Admits new bodies while all of them together hold less than `limit` bytes. Those that were
    /// admitted may grow until they hold twice as much.
    pub fn new(limit: usize) -> Self {
        Self {
            held: Arc::default(),
            limit,
        }
    }

    /// Admits a body that holds nothing yet.
    ///
    /// # Errors
    /// `ResourceBusy`: the bodies hold the limit already.
    pub(super) fn admit(&self) -> io::Result<Reservation> {
        if self.held() >= self.limit {
            let full = "other listings hold all the memory that listings may use";
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, full));
        }
        Ok(self.hold(0))
    }

    /// Counts `bytes` that are held already, even beyond the limit.
    pub(super) fn hold(&self, bytes: usize) -> Reservation {
        let mut reservation = Reservation {
            memory: self.clone(),
            held: 0,
        };
        reservation.replace(bytes);
        reservation
    }

    /// Whether all bodies together hold at least half of the limit.
    pub(super) fn is_half_full(&self) -> bool {
        self.held() >= self.limit / 2
    }

    /// The bytes that all bodies hold.
    pub(super) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

impl Reservation {
    /// Records that the body holds `bytes` now.
    ///
    /// # Errors
    /// `OutOfMemory`: all bodies together hold more than twice the limit.
    pub(super) fn set(&mut self, bytes: usize) -> io::Result<()> {
        if self.replace(bytes) > self.memory.limit.saturating_mul(2) {
            let full = "the listings together need more memory than listings may use";
            return Err(io::Error::new(io::ErrorKind::OutOfMemory, full));
        }
        Ok(())
    }

    /// Records that the body holds `bytes` now. Returns the sum over all bodies.
    fn replace(&mut self, bytes: usize) -> usize {
        // The difference may be negative: addition wraps, and the sum is right.
        let change = bytes.wrapping_sub(self.held);
        self.held = bytes;
        let before = self.memory.held.fetch_add(change, Ordering::Relaxed);
        before.wrapping_add(change)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.replace(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_follows_each_body_and_dropping_a_permit_releases_its_bytes() {
        let memory = BodyMemory::new(usize::MAX);
        let (mut one, mut two) = (memory.admit().unwrap(), memory.admit().unwrap());
        assert_eq!((one.replace(100), two.replace(30)), (100, 130));
        assert_eq!(one.replace(20), 50);
        drop(one);
        assert_eq!(memory.held(), 30);
        drop(two);
        assert_eq!(memory.held(), 0);
    }

    #[test]
    fn bodies_are_admitted_below_the_limit_and_may_grow_to_twice_as_much() {
        let memory = BodyMemory::new(100);
        let mut one = memory.admit().unwrap();
        one.set(99).unwrap();
        let mut two = memory.admit().unwrap();
        two.set(101).unwrap();
        assert_eq!(
            memory.admit().unwrap_err().kind(),
            io::ErrorKind::ResourceBusy
        );
        assert_eq!(two.set(102).unwrap_err().kind(), io::ErrorKind::OutOfMemory);
    }
}
