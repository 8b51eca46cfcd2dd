//! The published limits of the identity service.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use crate::emulator::request::Operation;
use crate::emulator::response::Refusal;

const WINDOW: Duration = Duration::from_secs(30);

/// How often each operation ran in its current window. Creates with a token are counted apart.
#[derive(Debug)]
pub(super) struct Throttle {
    is_on: bool,
    windows: HashMap<(Operation, bool), (SystemTime, u32)>,
}

impl Throttle {
    pub(super) fn new(is_on: bool) -> Self {
        Self { is_on, windows: HashMap::new() }
    }

    // Ours: a window begins with its first request. How the real service counts is not published.
    /// Counts a request, and refuses it if it is one too many. The flag is whether it creates a token
    /// besides.
    pub(super) fn admit(
        &mut self,
        kind: (Operation, bool),
        now: SystemTime,
    ) -> Result<(), Refusal> {
        let limit = match kind.0 {
            _ if !self.is_on => return Ok(()),
            Operation::Create | Operation::Issue => 1000,
            Operation::Revoke | Operation::Delete | Operation::Exchange => 500,
        };
        let (start, count) = self.windows.entry(kind).or_insert((now, 0));
        // A clock that was set back begins a new window, too.
        if now.duration_since(*start).map_or(true, |age| age >= WINDOW) {
            (*start, *count) = (now, 0);
        }
        *count = count.saturating_add(1);
        if *count <= limit {
            return Ok(());
        }
        // Ours: code and message; the status is documented, the body is not, and there is no
        // Retry-After.
        Err(Refusal::new(429, "TooManyRequests", "Too many requests.", None).advertising())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttle_admits_the_published_number_in_each_window() {
        let start = SystemTime::UNIX_EPOCH;
        let mut throttle = Throttle::new(true);
        for (operation, creates_token, number) in [
            (Operation::Create, false, 1000),
            (Operation::Create, true, 1000),
            (Operation::Issue, false, 1000),
            (Operation::Revoke, false, 500),
            (Operation::Delete, false, 500),
            (Operation::Exchange, false, 500),
        ] {
            let mut admit = |at| throttle.admit((operation, creates_token), at).is_ok();
            let end = start + WINDOW - Duration::from_millis(1);
            assert!((0..number).all(|_| admit(start)), "{operation:?}");
            assert!(!admit(end), "{operation:?}");
            assert!(admit(start + WINDOW), "{operation:?}");
        }
    }
}
