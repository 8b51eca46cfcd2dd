//! One value that expires, renewed by whoever asks first when it is about to.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::error::{Error, ErrorKind};

pub(crate) trait Expires: Clone {
    fn expires_on(&self) -> SystemTime;
}

/// Holds a value until shortly before it expires. No thread of its own, and no lock held while a
/// new one is fetched: one caller fetches, and the others use the old value or wait for the new.
pub(crate) struct Cache<T> {
    /// How long before its end a value is renewed.
    margin: Duration,
    state: Mutex<State<T>>,
}

struct State<T> {
    value: Option<T>,
    /// When to try to renew it, though it is valid.
    renew_from: SystemTime,
    /// The fetch under way.
    fetch: Option<Arc<Fetch<T>>>,
}

/// A fetch and, once it has ended, its outcome: those who waited for it get that and no other's.
struct Fetch<T> {
    outcome: Mutex<Option<Result<T, Error>>>,
    ended: Condvar,
}

impl<T: Expires> Cache<T> {
    pub(crate) fn new(margin: Duration) -> Self {
        let state = State { value: None, renew_from: SystemTime::UNIX_EPOCH, fetch: None };
        Self { margin, state: Mutex::new(state) }
    }

    /// The value held, or else a new one. Those who wait for another caller's fetch share its
    /// outcome, and wait no longer than their patience.
    pub(crate) fn get(
        &self,
        now: impl Fn() -> SystemTime,
        patience: Duration,
        fetch: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut state = lock(&self.state);
        match (state.held(now()), &state.fetch) {
            (Held::Fresh(value), _) | (Held::Aging(value), Some(_)) => return Ok(value),
            (Held::Nothing, Some(other)) => {
                let other = Arc::clone(other);
                drop(state);
                return other.wait(patience);
            }
            (Held::Aging(_) | Held::Nothing, None) => {}
        }
        let ours = Fetching { cache: self, fetch: Arc::default() };
        state.fetch = Some(Arc::clone(&ours.fetch));
        drop(state);
        let fetched = fetch();
        let mut state = lock(&self.state);
        let outcome = state.settle(fetched, now(), self.margin);
        state.fetch = None;
        drop(state);
        ours.fetch.end(outcome.clone());
        outcome
    }

    /// Drops the value if it is this one, so that the next caller fetches anew.
    pub(crate) fn forget(&self, is_it: impl FnOnce(&T) -> bool) {
        let mut state = lock(&self.state);
        if state.value.as_ref().is_some_and(is_it) {
            state.value = None;
        }
    }
}

impl<T: Expires> State<T> {
    fn held(&self, now: SystemTime) -> Held<T> {
        match &self.value {
            Some(value) if value.expires_on() <= now => Held::Nothing,
            Some(value) if self.renew_from <= now => Held::Aging(value.clone()),
            Some(value) => Held::Fresh(value.clone()),
            None => Held::Nothing,
        }
    }

    /// Takes in what was fetched; a failure counts only if there is no valid value to go on with.
    fn settle(
        &mut self,
        fetched: Result<T, Error>,
        now: SystemTime,
        margin: Duration,
    ) -> Result<T, Error> {
        let left = |value: &T| value.expires_on().duration_since(now).unwrap_or_default();
        let outcome = match (fetched, &self.value) {
            (Ok(value), _) => {
                // One that does not live much longer than the margin is not renewed at every call.
                let age = left(&value).saturating_sub(margin).max(left(&value) / 2);
                self.renew_from = later(now, age);
                Ok(value)
            }
            (Err(_), Some(value)) if value.expires_on() > now => {
                self.renew_from = later(now, left(value) / 2);
                Ok(value.clone())
            }
            (Err(error), _) => Err(error),
        };
        self.value = outcome.as_ref().ok().cloned();
        outcome
    }
}

impl<T: Clone> Fetch<T> {
    fn wait(&self, patience: Duration) -> Result<T, Error> {
        let outcome = lock(&self.outcome);
        let (outcome, _) = self
            .ended
            .wait_timeout_while(outcome, patience, |outcome| outcome.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        outcome.clone().unwrap_or_else(|| {
            let problem = "another thread is fetching the token and took too long";
            Err(Error::new(ErrorKind::Timeout, problem))
        })
    }

    fn end(&self, outcome: Result<T, Error>) {
        *lock(&self.outcome) = Some(outcome);
        self.ended.notify_all();
    }
}

impl<T> Default for Fetch<T> {
    fn default() -> Self {
        Self { outcome: Mutex::new(None), ended: Condvar::new() }
    }
}

/// Ends a fetch that panics, which would keep others waiting and from fetching.
struct Fetching<'a, T: Expires> {
    cache: &'a Cache<T>,
    fetch: Arc<Fetch<T>>,
}

impl<T: Expires> Drop for Fetching<'_, T> {
    fn drop(&mut self) {
        if lock(&self.fetch.outcome).is_none() {
            lock(&self.cache.state).fetch = None;
            let problem = "another thread was fetching the token and panicked";
            self.fetch.end(Err(Error::new(ErrorKind::Credential, problem)));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn later(now: SystemTime, duration: Duration) -> SystemTime {
    now.checked_add(duration).unwrap_or(now)
}

enum Held<T> {
    Fresh(T),
    /// Valid, and time to renew it.
    Aging(T),
    Nothing,
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::thread;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    #[derive(Clone, Debug, PartialEq)]
    struct Value(&'static str, u64);

    impl Expires for Value {
        fn expires_on(&self) -> SystemTime {
            at(self.1)
        }
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn get(cache: &Cache<Value>, now: u64, fetched: Result<Value, ()>) -> Result<&'static str, ()> {
        let failed = || Error::new(ErrorKind::Credential, "failed");
        let fetched = cache.get(|| at(now), PATIENCE, || fetched.map_err(|()| failed()));
        fetched.map(|value| value.0).map_err(|_| ())
    }

    #[test]
    fn a_value_is_renewed_shortly_before_its_end() {
        let cache = Cache::new(Duration::from_secs(10));
        assert_eq!(get(&cache, 0, Err(())), Err(()));
        assert_eq!(get(&cache, 0, Ok(Value("first", 100))), Ok("first"));
        assert_eq!(get(&cache, 89, Ok(Value("unused", 200))), Ok("first"));
        assert_eq!(get(&cache, 90, Ok(Value("second", 200))), Ok("second"));
    }

    #[test]
    fn a_short_life_is_used_by_half() {
        let cache = Cache::new(Duration::from_secs(10));
        assert_eq!(get(&cache, 0, Ok(Value("short", 8))), Ok("short"));
        assert_eq!(get(&cache, 3, Ok(Value("unused", 100))), Ok("short"));
        assert_eq!(get(&cache, 4, Ok(Value("second", 100))), Ok("second"));
    }

    #[test]
    fn a_failed_renewal_leaves_the_value_until_it_ends() {
        let cache = Cache::new(Duration::from_secs(10));
        assert_eq!(get(&cache, 0, Ok(Value("first", 100))), Ok("first"));
        assert_eq!(get(&cache, 90, Err(())), Ok("first"));
        // The next try comes after half of what is left, not with every call.
        assert_eq!(get(&cache, 94, Ok(Value("too early", 200))), Ok("first"));
        assert_eq!(get(&cache, 95, Err(())), Ok("first"));
        assert_eq!(get(&cache, 100, Err(())), Err(()));
        assert_eq!(get(&cache, 100, Ok(Value("second", 200))), Ok("second"));
    }

    /// While another caller fetches, what is held decides between using it and waiting.
    #[test]
    fn only_a_valid_value_is_used_while_another_is_fetched() {
        let cache = Cache::new(Duration::from_secs(10));
        assert_eq!(get(&cache, 0, Ok(Value("first", 100))), Ok("first"));
        assert!(matches!(lock(&cache.state).held(at(89)), Held::Fresh(_)));
        assert!(matches!(lock(&cache.state).held(at(90)), Held::Aging(_)));
        assert!(matches!(lock(&cache.state).held(at(99)), Held::Aging(_)));
        assert!(matches!(lock(&cache.state).held(at(100)), Held::Nothing));
    }

    #[test]
    fn a_value_that_is_forgotten_is_fetched_anew() {
        let cache = Cache::new(Duration::ZERO);
        assert_eq!(get(&cache, 0, Ok(Value("first", 100))), Ok("first"));
        cache.forget(|value| value.0 == "another");
        assert_eq!(get(&cache, 0, Ok(Value("unused", 100))), Ok("first"));
        cache.forget(|value| value.0 == "first");
        assert_eq!(get(&cache, 0, Ok(Value("second", 100))), Ok("second"));
    }

    /// Sixteen callers at once, of whom one fetches when all others wait; the texts they get.
    fn together(outcome: impl Fn() -> Result<Value, Error> + Sync) -> Vec<String> {
        let cache = Cache::new(Duration::ZERO);
        let fetches = AtomicU32::new(0);
        let waiting = AtomicU32::new(0);
        let ask = || {
            waiting.fetch_add(1, Ordering::SeqCst);
            let value = cache.get(
                || at(0),
                PATIENCE,
                || {
                    fetches.fetch_add(1, Ordering::SeqCst);
                    while waiting.load(Ordering::SeqCst) < 16 {
                        thread::yield_now();
                    }
                    // Only those who came before the end share it, so let the last one get there.
                    thread::yield_now();
                    outcome()
                },
            );
            value.map_or_else(|error| error.to_string(), |value| value.0.to_owned())
        };
        let texts = thread::scope(|scope| {
            let callers: Vec<_> = (0..16).map(|_| scope.spawn(ask)).collect();
            callers.into_iter().map(|caller| caller.join().unwrap()).collect()
        });
        assert!(fetches.into_inner() <= 2, "the last caller may have come too late to share");
        texts
    }

    #[test]
    fn many_callers_fetch_once() {
        assert_eq!(together(|| Ok(Value("one", 100))), ["one"; 16]);
    }

    #[test]
    fn a_failure_is_shared_by_those_who_waited() {
        let failed = || Err(Error::new(ErrorKind::Credential, "no luck"));
        assert_eq!(together(failed), ["no luck"; 16]);
    }

    /// However many fetches follow each other, everybody is told why his own failed.
    #[test]
    fn no_outcome_is_taken_for_another() {
        let cache = Cache::<Value>::new(Duration::ZERO);
        thread::scope(|scope| {
            for _ in 0..32 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let failed = || Err(Error::new(ErrorKind::Connection, "the real reason"));
                        let error = cache.get(|| at(0), PATIENCE, failed).unwrap_err();
                        assert_eq!(error.to_string(), "the real reason");
                    }
                });
            }
        });
    }

    #[test]
    fn nobody_waits_for_ever() {
        let cache = Cache::<Value>::new(Duration::ZERO);
        // A fetch that asks the cache itself waits for its own end.
        let error = cache
            .get(
                || at(0),
                PATIENCE,
                || cache.get(|| at(0), Duration::from_millis(10), || Ok(Value("inner", 1))),
            )
            .unwrap_err();
        assert_eq!(error.to_string(), "another thread is fetching the token and took too long");
    }

    #[test]
    fn a_fetch_that_panics_does_not_stand_in_the_way() {
        let cache = Cache::new(Duration::ZERO);
        let fetch = || cache.get(|| at(0), PATIENCE, || panic!("the source's own"));
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(fetch));
        assert!(panicked.is_err());
        assert_eq!(get(&cache, 0, Ok(Value("next", 100))), Ok("next"));
    }
}
