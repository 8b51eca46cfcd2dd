//! Caches one value that expires. The first caller shortly before its expiry renews it.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::error::Error;

/// Holds a value until shortly before it expires. It has no thread, and holds no lock during a fetch:
/// one caller fetches, and the others use the old value or wait for the new one.
pub(crate) struct Cache<T> {
    /// How long before its expiry a value is renewed.
    margin: Duration,
    state: Mutex<State<T>>,
    fetch_ended: Condvar,
}

struct State<T> {
    /// The value, and when it expires.
    value: Option<(T, SystemTime)>,
    /// When to try to renew the value, although it is still valid.
    renew_from: SystemTime,
    is_fetching: bool,
}

impl<T: Clone> Cache<T> {
    pub(crate) fn new(margin: Duration) -> Self {
        let state = State { value: None, renew_from: SystemTime::UNIX_EPOCH, is_fetching: false };
        Self { margin, state: Mutex::new(state), fetch_ended: Condvar::new() }
    }

    /// Returns the value, and fetches it together with its expiry if necessary. `None` if the fetches of
    /// other callers took longer than `max_wait`.
    pub(crate) fn get(
        &self,
        now: impl Fn() -> SystemTime,
        max_wait: Duration,
        fetch: impl FnOnce() -> Result<(T, SystemTime), Error>,
    ) -> Option<Result<T, Error>> {
        // `None` if the deadline overflows: wait without one.
        let deadline = Instant::now().checked_add(max_wait);
        let mut state = self.lock();
        loop {
            let at = now();
            let is_fresh = |state: &State<T>| state.is_fetching || at < state.renew_from;
            if let Some(value) = state.valid(at).filter(|_| is_fresh(&state)) {
                return Some(Ok(value));
            }
            if !state.is_fetching {
                break;
            }
            let left = deadline.map_or(max_wait, |at| at.saturating_duration_since(Instant::now()));
            let waited = self.fetch_ended.wait_timeout_while(state, left, |it| it.is_fetching);
            let (after, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            if timeout.timed_out() {
                return None;
            }
            state = after;
        }
        state.is_fetching = true;
        drop(state);
        let fetching = Fetching(self);
        let fetched = fetch();
        let result = self.lock().store(fetched, now(), self.margin);
        drop(fetching);
        Some(result)
    }

    /// Drops the value if it is the one meant, so that the next caller fetches another.
    pub(crate) fn invalidate_if(&self, predicate: impl FnOnce(&T) -> bool) {
        let mut state = self.lock();
        if state.value.as_ref().is_some_and(|(value, _)| predicate(value)) {
            state.value = None;
        }
    }
}

impl<T> Cache<T> {
    /// Ignores poisoning: every holder leaves complete values behind.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a fetch, even one that panics.
struct Fetching<'a, T>(&'a Cache<T>);

impl<T> Drop for Fetching<'_, T> {
    fn drop(&mut self) {
        self.0.lock().is_fetching = false;
        self.0.fetch_ended.notify_all();
    }
}

impl<T: Clone> State<T> {
    fn valid(&self, now: SystemTime) -> Option<T> {
        self.value.as_ref().filter(|(_, end)| now < *end).map(|(value, _)| value.clone())
    }

    /// Stores the result of a fetch. A failure counts only if there is no valid value left.
    fn store(
        &mut self,
        fetched: Result<(T, SystemTime), Error>,
        now: SystemTime,
        margin: Duration,
    ) -> Result<T, Error> {
        let left = |end: SystemTime| end.duration_since(now).unwrap_or_default();
        let (value, end, age) = match (fetched, self.value.take()) {
            (Ok((value, end)), _) => {
                // A value that lives little longer than the margin must not be renewed at every call.
                (value, end, left(end).saturating_sub(margin).max(left(end) / 2))
            }
            (Err(_), Some((value, end))) if now < end => (value, end, left(end) / 2),
            (Err(error), _) => return Err(error),
        };
        self.renew_from = now.checked_add(age).unwrap_or(now);
        self.value = Some((value.clone(), end));
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::thread;

    use super::*;
    use crate::error::ErrorKind;

    const MAX_WAIT: Duration = Duration::from_secs(10);

    #[derive(Clone, Debug, PartialEq)]
    struct Value(&'static str, u64);

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn get(cache: &Cache<Value>, now: u64, fetched: Result<Value, ()>) -> Result<&'static str, ()> {
        let failed = || Error::new(ErrorKind::Credential, "failed");
        let fetched = || fetched.map(|value| (value.clone(), at(value.1))).map_err(|()| failed());
        let value = cache.get(|| at(now), MAX_WAIT, fetched).unwrap();
        value.map(|value| value.0).map_err(|_| ())
    }

    #[test]
    fn cache_renews_a_value_shortly_before_its_end() {
        let cache = Cache::new(Duration::from_secs(10));
        assert_eq!(get(&cache, 0, Err(())), Err(()));
        assert_eq!(get(&cache, 0, Ok(Value("first", 100))), Ok("first"));
        assert_eq!(get(&cache, 89, Ok(Value("unused", 200))), Ok("first"));
        assert_eq!(get(&cache, 90, Ok(Value("second", 200))), Ok("second"));
    }

    #[test]
    fn cache_uses_half_of_a_short_life() {
        let cache = Cache::new(Duration::from_secs(10));
        assert_eq!(get(&cache, 0, Ok(Value("short", 8))), Ok("short"));
        assert_eq!(get(&cache, 3, Ok(Value("unused", 100))), Ok("short"));
        assert_eq!(get(&cache, 4, Ok(Value("second", 100))), Ok("second"));
    }

    #[test]
    fn cache_keeps_the_value_after_a_failed_renewal_until_it_ends() {
        let cache = Cache::new(Duration::from_secs(10));
        assert_eq!(get(&cache, 0, Ok(Value("first", 100))), Ok("first"));
        assert_eq!(get(&cache, 90, Err(())), Ok("first"));
        // The next try comes after half of the remaining time, not with every call.
        assert_eq!(get(&cache, 94, Ok(Value("too early", 200))), Ok("first"));
        assert_eq!(get(&cache, 95, Err(())), Ok("first"));
        assert_eq!(get(&cache, 100, Err(())), Err(()));
        assert_eq!(get(&cache, 100, Ok(Value("second", 200))), Ok("second"));
    }

    /// A valid value is returned at once; callers wait if it has expired.
    #[test]
    fn cache_returns_only_a_valid_value_while_another_is_fetched() {
        let cache = Cache::new(Duration::from_secs(10));
        assert_eq!(get(&cache, 0, Ok(Value("first", 100))), Ok("first"));
        cache.lock().is_fetching = true;
        let nothing = || panic!("another caller fetches");
        let used = |now| cache.get(|| at(now), Duration::ZERO, nothing).map(Result::unwrap);
        assert_eq!(used(90), Some(Value("first", 100)));
        assert_eq!(used(99), Some(Value("first", 100)));
        assert_eq!(used(100), None);
    }

    #[test]
    fn cache_fetches_again_after_an_invalidation() {
        let cache = Cache::new(Duration::ZERO);
        assert_eq!(get(&cache, 0, Ok(Value("first", 100))), Ok("first"));
        cache.invalidate_if(|value| value.0 == "another");
        assert_eq!(get(&cache, 0, Ok(Value("unused", 100))), Ok("first"));
        cache.invalidate_if(|value| value.0 == "first");
        assert_eq!(get(&cache, 0, Ok(Value("second", 100))), Ok("second"));
    }

    /// Runs sixteen callers at once, of which one fetches while the others wait. Returns their results.
    fn together(outcome: impl Fn() -> Result<Value, Error> + Sync) -> Vec<String> {
        let cache = Cache::<Value>::new(Duration::ZERO);
        let fetches = AtomicU32::new(0);
        let waiting = AtomicU32::new(0);
        let ask = || {
            waiting.fetch_add(1, Ordering::SeqCst);
            let value = cache.get(
                || at(0),
                MAX_WAIT,
                || {
                    fetches.fetch_add(1, Ordering::SeqCst);
                    while waiting.load(Ordering::SeqCst) < 16 {
                        thread::yield_now();
                    }
                    // Callers share a fetch only if they arrive before it ends: let the last one arrive.
                    thread::yield_now();
                    outcome().map(|value| (value.clone(), at(value.1)))
                },
            );
            value.unwrap().map_or_else(|error| error.to_string(), |value| value.0.to_owned())
        };
        let texts = thread::scope(|scope| {
            let callers: Vec<_> = (0..16).map(|_| scope.spawn(ask)).collect();
            callers.into_iter().map(|caller| caller.join().unwrap()).collect()
        });
        assert!(fetches.into_inner() <= 2, "the last caller may have come too late to share");
        texts
    }

    #[test]
    fn cache_fetches_once_for_many_callers() {
        assert_eq!(together(|| Ok(Value("one", 100))), ["one"; 16]);
    }

    /// One at a time, and each reports its own failure.
    #[test]
    fn cache_lets_waiting_callers_fetch_after_a_failure() {
        let cache = Cache::<Value>::new(Duration::ZERO);
        let (fetches, at_once) = (AtomicU32::new(0), AtomicU32::new(0));
        thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    let failed = || {
                        fetches.fetch_add(1, Ordering::SeqCst);
                        assert_eq!(at_once.fetch_add(1, Ordering::SeqCst), 0, "one at a time");
                        thread::yield_now();
                        at_once.fetch_sub(1, Ordering::SeqCst);
                        Err(Error::new(ErrorKind::Connection, "the real reason"))
                    };
                    let error = cache.get(|| at(0), MAX_WAIT, failed).unwrap().unwrap_err();
                    assert_eq!(error.to_string(), "the real reason");
                });
            }
        });
        assert_eq!(fetches.into_inner(), 16);
    }

    #[test]
    fn cache_bounds_the_wait_for_another_fetch() {
        let cache = Cache::<Value>::new(Duration::ZERO);
        // A fetch that asks its own cache would deadlock without the bound.
        let inner = || cache.get(|| at(0), Duration::from_millis(10), || panic!("one at a time"));
        let outer = || match inner() {
            None => Ok((Value("outer", 1), at(1))),
            Some(_) => panic!("it cannot have ended"),
        };
        assert_eq!(cache.get(|| at(0), MAX_WAIT, outer).unwrap().unwrap().0, "outer");
    }

    /// Even if an earlier fetch failed.
    #[test]
    fn cache_leaves_the_fetch_to_the_next_caller_after_a_panic() {
        let cache = Cache::<Value>::new(Duration::ZERO);
        assert_eq!(get(&cache, 0, Err(())), Err(()));
        let is_waiting = AtomicU32::new(0);
        thread::scope(|scope| {
            let panicking = scope.spawn(|| {
                cache.get(
                    || at(0),
                    MAX_WAIT,
                    || {
                        is_waiting.store(1, Ordering::SeqCst);
                        while is_waiting.load(Ordering::SeqCst) < 2 {
                            thread::yield_now();
                        }
                        panic!("the source's own")
                    },
                )
            });
            while is_waiting.load(Ordering::SeqCst) == 0 {
                thread::yield_now();
            }
            is_waiting.store(2, Ordering::SeqCst);
            assert_eq!(get(&cache, 0, Ok(Value("next", 100))), Ok("next"));
            assert!(panicking.join().is_err());
        });
    }

    #[test]
    fn cache_survives_a_fetch_that_panics() {
        let cache = Cache::new(Duration::ZERO);
        let fetch = || cache.get(|| at(0), MAX_WAIT, || panic!("the source's own"));
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(fetch));
        assert!(panicked.is_err());
        assert_eq!(get(&cache, 0, Ok(Value("next", 100))), Ok("next"));
    }
}
