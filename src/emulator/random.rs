//! Random numbers without a crate for them.

use std::hash::{BuildHasher, RandomState};

/// A stream of numbers (`SplitMix64`). The same seed gives the same stream with every version of Rust, which
/// the standard library's hasher does not promise.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: Option<u64>) -> Self {
        // The standard library seeds its hash maps with randomness from the system.
        Self(seed.unwrap_or_else(|| RandomState::new().hash_one(())))
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn bytes<const WORDS: usize>(&mut self) -> Vec<u8> {
        [(); WORDS].map(|()| self.next().to_le_bytes()).concat()
    }

    pub(super) fn guid(&mut self) -> String {
        let (high, low) = (self.next(), self.next());
        let [second, third, fourth] = [high >> 16, high, low >> 48].map(|word| word & 0xffff);
        let (first, last) = (high >> 32, low & 0xffff_ffff_ffff);
        format!("{first:08x}-{second:04x}-{third:04x}-{fourth:04x}-{last:012x}")
    }
}
