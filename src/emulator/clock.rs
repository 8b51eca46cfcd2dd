//! The emulator's clock: the system's, moved.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

#[derive(Debug, Default)]
pub(super) struct Clock {
    ahead_by_millis: AtomicI64,
}

impl Clock {
    pub(super) fn ahead(by: Duration) -> Self {
        Self { ahead_by_millis: millis(by).into() }
    }

    pub(super) fn behind(by: Duration) -> Self {
        Self { ahead_by_millis: (-millis(by)).into() }
    }

    pub(super) fn now(&self) -> SystemTime {
        let now = SystemTime::now();
        let millis = self.ahead_by_millis.load(Ordering::Relaxed);
        let distance = Duration::from_millis(millis.unsigned_abs());
        let moved = if millis.is_negative() {
            now.checked_sub(distance)
        } else {
            now.checked_add(distance)
        };
        moved.unwrap_or(now)
    }

    pub(super) fn advance(&self, by: Duration) {
        let mut ahead = self.ahead_by_millis.load(Ordering::Relaxed);
        // A sum that saturates, which no single atomic operation offers.
        while let Err(seen) = self.ahead_by_millis.compare_exchange_weak(
            ahead,
            ahead.saturating_add(millis(by)),
            Ordering::Relaxed,
            Ordering::Relaxed,
        ) {
            ahead = seen;
        }
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
