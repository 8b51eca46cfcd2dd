//! The clock of a client.

use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// Time as a client sees it; tests supply their own.
pub(crate) trait Clock: Send + Sync {
    /// The time of day by this machine: it may be wrong, and may jump.
    fn now(&self) -> SystemTime;
    /// A time that never goes back, for deadlines.
    fn instant(&self) -> Instant;
    fn sleep(&self, duration: Duration);
}

pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn instant(&self) -> Instant {
        Instant::now()
    }

    fn sleep(&self, duration: Duration) {
        thread::sleep(duration);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_clock_sleeps() {
        let (now, instant) = (SystemClock.now(), SystemClock.instant());
        SystemClock.sleep(Duration::from_millis(20));
        assert!(SystemClock.instant() >= instant + Duration::from_millis(20));
        assert!(SystemClock.now() != now);
    }
}
