//! Where does everything that is left to chance come from? One number: the seed.

/// A stream of numbers that a seed decides (SplitMix64).
#[derive(Clone, Debug)]
pub struct Chance(u64);

/// One number from several, so that what is drawn for one thing does not depend on how many were
/// drawn for others.
pub fn mix(parts: &[u64]) -> u64 {
    let fold = |sum: u64, part: &u64| Chance(sum ^ part.wrapping_mul(0x9e37_79b9_7f4a_7c15)).next();
    parts.iter().fold(0x6a09_e667_f3bc_c908, fold)
}

impl Chance {
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

    /// True once in `count` times.
    pub fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    pub fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }
}
