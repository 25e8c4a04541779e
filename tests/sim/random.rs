//! The random source of a run: everything that is random follows from the seed.

/// A pseudo-random generator (SplitMix64).
#[derive(Clone, Debug)]
pub struct Random(u64);

/// One seed from several numbers. Each object gets its own, so its numbers do not depend on how
/// many others were drawn.
pub fn mix(parts: &[u64]) -> u64 {
    let fold = |sum: u64, part: &u64| Random(sum ^ part.wrapping_mul(0x9e37_79b9_7f4a_7c15)).next();
    parts.iter().fold(0x6a09_e667_f3bc_c908, fold)
}

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(mix(&[seed]))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub fn between(&mut self, first: usize, last: usize) -> usize {
        first + self.below(last - first + 1)
    }

    /// True in one of `count` cases.
    pub fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    pub fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }
}
