//! The clock that a client holds.

use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// Time as a client sees it; tests bring their own.
pub(crate) trait Clock: Send + Sync {
    /// What the machine believes the time to be: may be wrong, may jump.
    fn now(&self) -> SystemTime;
    /// A time that only runs forward, for deadlines.
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
