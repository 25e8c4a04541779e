//! Part of `site::listing`: how many bytes the large listings hold together. A leaf: std only.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The sum over all large listings of a site.
#[derive(Clone, Debug, Default)]
pub struct Held(Arc<AtomicUsize>);

/// What one listing holds; subtracted from the sum when it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    all: Held,
    bytes: usize,
}

impl Held {
    /// Bytes that all listings hold.
    pub fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// The share of a listing that holds nothing yet.
    pub(super) fn share(&self) -> Share {
        Share {
            all: self.clone(),
            bytes: 0,
        }
    }
}

impl Share {
    /// The listing holds `bytes` now. Returns what all of them hold.
    pub(super) fn set(&mut self, bytes: usize) -> usize {
        // Not by a difference with a sign: addition wraps, and the sum is right again.
        let change = bytes.wrapping_sub(self.bytes);
        self.bytes = bytes;
        let before = self.all.0.fetch_add(change, Ordering::Relaxed);
        before.wrapping_add(change)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_follows_each_listing_and_forgets_those_that_are_over() {
        let held = Held::default();
        let (mut one, mut two) = (held.share(), held.share());
        assert_eq!((one.set(100), two.set(30)), (100, 130));
        assert_eq!(one.set(20), 50);
        drop(one);
        assert_eq!(held.bytes(), 30);
        drop(two);
        assert_eq!(held.bytes(), 0);
    }
}
