//! The published limits of the identity service.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

const WINDOW: Duration = Duration::from_secs(30);

/// What is counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Limit {
    Create,
    CreateWithToken,
    Issue,
    Revoke,
    Delete,
    Exchange,
}

/// How often each operation ran in the current window.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    windows: HashMap<Limit, (SystemTime, u32)>,
}

impl Limit {
    fn per_window(self) -> u32 {
        match self {
            Self::Create | Self::CreateWithToken | Self::Issue => 1000,
            Self::Revoke | Self::Delete | Self::Exchange => 500,
        }
    }
}

impl Throttle {
    // Ours: a window begins with its first request. How the real service counts is not published.
    /// Counts a request; `false` if it is one too many.
    pub(super) fn admit(&mut self, limit: Limit, now: SystemTime) -> bool {
        let (start, count) = self.windows.entry(limit).or_insert((now, 0));
        // A clock that was set back begins a new window, too.
        if now.duration_since(*start).map_or(true, |age| age >= WINDOW) {
            (*start, *count) = (now, 0);
        }
        *count = count.saturating_add(1);
        *count <= limit.per_window()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn admits_the_published_number_in_each_window() {
        let start = SystemTime::UNIX_EPOCH;
        for (limit, number) in [
            (Limit::Create, 1000),
            (Limit::CreateWithToken, 1000),
            (Limit::Issue, 1000),
            (Limit::Revoke, 500),
            (Limit::Delete, 500),
            (Limit::Exchange, 500),
        ] {
            let mut throttle = Throttle::default();
            let end = start + WINDOW - Duration::from_millis(1);
            assert!((0..number).all(|_| throttle.admit(limit, start)), "{limit:?}");
            assert!(!throttle.admit(limit, end), "{limit:?}");
            assert!(throttle.admit(limit, start + WINDOW), "{limit:?}");
        }
    }
}
