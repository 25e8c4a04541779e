//! Random numbers from a seed, and content whose bytes identify the file and the offset.

/// A source of random numbers (SplitMix64).
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// The source number `index` of a seed.
    pub fn new(seed: u64, index: u64) -> Self {
        Self(mixed(seed) ^ mixed(!index))
    }

    /// Any number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mixed(self.0)
    }

    /// A number from 0 to `end`, which it never is.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// True once in `times` calls on average.
    pub fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// A random element.
    pub fn pick<'a, T>(&mut self, some: &'a [T]) -> &'a T {
        &some[self.below(some.len())]
    }
}

/// The content of a version of a file: its number, and then bytes that occur in no other version
/// and at no other offset.
pub fn content(name: &str, version: u64, length: usize) -> Vec<u8> {
    let letters = name.bytes().map(u64::from);
    let name = letters.fold(0, |hash, letter| mixed(hash ^ letter));
    let base = mixed(name ^ mixed(version));
    let mut bytes = vec![0; length.next_multiple_of(8)];
    for (place, word) in bytes.chunks_exact_mut(8).enumerate() {
        let number = match place {
            0 => version,
            place => mixed(base ^ place as u64),
        };
        word.copy_from_slice(&number.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(STEP);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
