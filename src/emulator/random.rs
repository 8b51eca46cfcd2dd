//! Unpredictable bytes without a crate for them: SHA-256 over a seed and a counter.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hasher};

use sha2::{Digest, Sha256};

/// A stream of bytes. The same seed gives the same stream, so the service stays a pure function of
/// its state.
pub(super) struct Random {
    seed: [u8; 32],
    counter: u64,
    is_fixed: bool,
}

impl Random {
    /// The standard library's hash keys carry 128 bits from the operating system.
    pub(super) fn from_system() -> Self {
        let mut seed = Sha256::new();
        for word in 0..4_u64 {
            let mut hasher = RandomState::new().build_hasher();
            hasher.write_u64(word);
            seed.update(hasher.finish().to_le_bytes());
        }
        Self { seed: seed.finalize().into(), counter: 0, is_fixed: false }
    }

    pub(super) fn from_seed(seed: u64) -> Self {
        Self { seed: Sha256::digest(seed.to_le_bytes()).into(), counter: 0, is_fixed: true }
    }

    /// Another stream, as unpredictable or as fixed as this one.
    pub(super) fn fork(&mut self) -> Self {
        Self { seed: self.block(), counter: 0, is_fixed: self.is_fixed }
    }

    /// Begins anew if the seed was given.
    pub(super) fn rewind(&mut self) {
        if self.is_fixed {
            self.counter = 0;
        }
    }

    pub(super) fn block(&mut self) -> [u8; 32] {
        self.counter += 1;
        Sha256::new()
            .chain_update(self.seed)
            .chain_update(self.counter.to_le_bytes())
            .finalize()
            .into()
    }

    /// `digits` lower-case hexadecimal digits, 64 at most.
    pub(super) fn hex(&mut self, digits: usize) -> String {
        hex(&self.block()).chars().take(digits).collect()
    }

    pub(super) fn guid(&mut self) -> String {
        let groups = [8, 4, 4, 4, 12].map(|digits| self.hex(digits));
        groups.join("-")
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use fmt::Write;

    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
