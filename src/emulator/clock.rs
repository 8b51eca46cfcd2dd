//! The emulator's clock: the system's, moved.

use std::time::{Duration, SystemTime};

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clock {
    pub(super) ahead: Duration,
    pub(super) behind: Duration,
}

impl Clock {
    pub(super) fn now(self) -> SystemTime {
        let now = SystemTime::now();
        let moved = now.checked_add(self.ahead).and_then(|moved| moved.checked_sub(self.behind));
        moved.unwrap_or(now)
    }

    pub(super) fn advance(&mut self, by: Duration) {
        self.ahead = self.ahead.saturating_add(by);
    }
}
