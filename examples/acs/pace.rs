//! Keeping within the service's limits.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The service counts in 30 seconds; the one on top is for requests that take longer to arrive than
/// others.
const WINDOW: Duration = Duration::from_secs(31);

/// Lets a number of requests begin at once, and then each one when the one that many before it is
/// out of the window.
///
/// So there never are more in any window, and a file that fits into one window is done without
/// waiting.
#[derive(Debug)]
pub(crate) struct Pace {
    limit: usize,
    /// When the last ones began, the oldest first: as many as the limit.
    begun: VecDeque<Instant>,
}

impl Pace {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), begun: VecDeque::new() }
    }

    /// How long from `now` the next request has to wait. It is taken to begin then.
    pub(crate) fn next_wait(&mut self, now: Instant) -> Duration {
        let free = match self.begun.front() {
            Some(oldest) if self.begun.len() >= self.limit => *oldest + WINDOW,
            _ => now,
        };
        if self.begun.len() >= self.limit {
            self.begun.pop_front();
        }
        let begin = free.max(now);
        self.begun.push_back(begin);
        begin - now
    }
}
