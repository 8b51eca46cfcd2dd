//! Random numbers for jitter and for ids of requests.

use std::hash::{BuildHasher as _, RandomState};

use ureq::http::HeaderValue;

pub(super) fn random_u64() -> u64 {
    // std seeds its hash maps with randomness from the system, which is enough here.
    RandomState::new().hash_one(())
}

/// A version 4 UUID. It only has to be unlikely to repeat.
pub(super) fn random_uuid() -> HeaderValue {
    let mut bits = u128::from(random_u64()) << 64 | u128::from(random_u64());
    let mut text = *b"xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx";
    for byte in &mut text {
        let random = u8::try_from(bits & 15).unwrap_or_default();
        let digit = match byte {
            b'x' => random,
            b'y' => random & 3 | 8,
            _ => continue,
        };
        *byte = if digit < 10 { b'0' + digit } else { b'a' + digit - 10 };
        bits >>= 4;
    }
    HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Each digit is random, but for the version and the variant.
    #[test]
    fn ids_of_requests_are_random_uuids() {
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
