//! Random numbers for jitter and for ids of requests.

use std::fmt::Write as _;
use std::hash::{BuildHasher as _, RandomState};

use ureq::http::HeaderValue;

pub(super) fn random_u64() -> u64 {
    // std seeds its hash maps with randomness from the system, which is enough here.
    RandomState::new().hash_one(())
}

/// Returns a version 4 UUID. It only has to be unlikely to repeat.
pub(super) fn random_uuid() -> HeaderValue {
    let (high, low) = (random_u64(), random_u64());
    let mut text = String::with_capacity(36);
    // Writing to a `String` does not fail.
    let _ = write!(
        text,
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        low >> 48 & 0x3fff | 0x8000,
        low & 0xffff_ffff_ffff,
    );
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Each digit is random, except the version and the variant.
    #[test]
    fn request_id_is_a_random_uuid() {
        let ids: Vec<String> =
            (0..64).map(|_| random_uuid().to_str().unwrap().to_owned()).collect();
        let distinct = |digits: &mut dyn Iterator<Item = char>| -> String {
            digits.collect::<BTreeSet<_>>().into_iter().collect()
        };
        for (place, pattern) in "xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx".chars().enumerate() {
            let seen = distinct(&mut ids.iter().map(|id| id.chars().nth(place).unwrap()));
            match pattern {
                'x' => assert!(seen.len() > 8 && !seen.contains('-'), "{place}: {seen}"),
                'y' => assert_eq!(seen, "89ab"),
                _ => assert_eq!(seen, pattern.to_string()),
            }
        }
        assert!(ids.iter().all(|id| id.len() == 36));
        let digits = distinct(&mut ids.concat().chars().filter(|it| *it != '-'));
        assert_eq!(digits, "0123456789abcdef");
    }
}
