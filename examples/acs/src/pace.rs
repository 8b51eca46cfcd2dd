//! Keeping within the service's limits.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The service counts in 30 seconds; the tenth on top is for clocks that differ.
pub(crate) const WINDOW: Duration = Duration::from_millis(30_100);

/// Lets a number of requests begin at once, and each further one a window after the end of the one
/// that many before it.
///
/// A request arrives at the service between its beginning and its end. So no window of the
/// service's has more of them than the limit, however long each is on its way.
#[derive(Debug)]
pub(crate) struct Pace {
    limit: usize,
    under_way: usize,
    /// When those of the last window ended, the oldest first.
    ended: VecDeque<Instant>,
}

impl Pace {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), under_way: 0, ended: VecDeque::new() }
    }

    /// When the next request may begin; `None` if one has to end first.
    pub(crate) fn free_at(&mut self, now: Instant) -> Option<Instant> {
        while self.ended.front().is_some_and(|ended| *ended + WINDOW <= now) {
            self.ended.pop_front();
        }
        if self.under_way + self.ended.len() < self.limit {
            return Some(now);
        }
        self.ended.front().map(|ended| *ended + WINDOW)
    }

    pub(crate) fn begin(&mut self) {
        self.under_way += 1;
    }

    pub(crate) fn end(&mut self, now: Instant) {
        self.under_way -= 1;
        self.ended.push_back(now);
    }

    pub(crate) fn under_way(&self) -> usize {
        self.under_way
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_thirty_seconds_have_more_requests_than_the_limit() {
        let start = Instant::now();
        let mut pace = Pace::new(500);
        let mut now = start;
        // One after the other; each arrives at some time between its beginning and its end.
        let mut arrived = Vec::new();
        for number in 0..2500 {
            now = pace.free_at(now).unwrap();
            pace.begin();
            let took = Duration::from_millis(number * 7 % 40);
            arrived.push(now + if number % 2 == 0 { took } else { Duration::ZERO });
            now += took;
            pace.end(now);
        }
        for window in arrived.windows(501) {
            assert!(window[500] - window[0] > Duration::from_secs(30));
        }
        // The first ones do not wait, and none waits longer than it has to.
        assert!(arrived[499] - start < Duration::from_secs(11));
        assert!(arrived[2499] - start < 4 * WINDOW + Duration::from_secs(11));
    }

    #[test]
    fn what_is_under_way_counts() {
        let start = Instant::now();
        let mut pace = Pace::new(2);
        pace.begin();
        pace.begin();
        assert_eq!((pace.free_at(start), pace.under_way()), (None, 2));
        pace.end(start + Duration::from_secs(1));
        let free = start + Duration::from_secs(1) + WINDOW;
        assert_eq!(pace.free_at(start + Duration::from_secs(2)), Some(free));
        assert_eq!(pace.free_at(free), Some(free));
    }
}
