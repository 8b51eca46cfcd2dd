//! One value that expires, renewed by whoever asks first when it is about to.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
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
    fetched: Condvar,
}

struct State<T> {
    value: Option<T>,
    /// When to try to renew it, though it is valid.
    renew_from: SystemTime,
    is_fetching: bool,
    /// How many fetches have ended, and how the last one failed if it did.
    fetches: u64,
    failure: Option<Error>,
}

impl<T: Expires> Cache<T> {
    pub(crate) fn new(margin: Duration) -> Self {
        let state = State {
            value: None,
            renew_from: SystemTime::UNIX_EPOCH,
            is_fetching: false,
            fetches: 0,
            failure: None,
        };
        Self { margin, state: Mutex::new(state), fetched: Condvar::new() }
    }

    /// The value held, or else a new one. Those who wait for another caller's fetch share its
    /// outcome, and wait no longer than their patience.
    pub(crate) fn get(
        &self,
        now: impl Fn() -> SystemTime,
        patience: Duration,
        fetch: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut state = self.lock();
        match state.held(now()) {
            Held::Fresh(value) => return Ok(value),
            Held::Aging(value) if state.is_fetching => return Ok(value),
            Held::Nothing if state.is_fetching => return self.wait(state, patience),
            Held::Aging(_) | Held::Nothing => {}
        }
        state.is_fetching = true;
        state.failure = None;
        drop(state);
        // Says that it is over even if the fetch panics.
        let fetching = Fetching(self);
        let fetched = fetch();
        let outcome = self.lock().settle(fetched, now(), self.margin);
        drop(fetching);
        outcome
    }

    /// Drops the value if it is this one, so that the next caller fetches anew.
    pub(crate) fn forget(&self, is_it: impl FnOnce(&T) -> bool) {
        let mut state = self.lock();
        if state.value.as_ref().is_some_and(is_it) {
            state.value = None;
        }
    }

    fn wait(&self, state: MutexGuard<'_, State<T>>, patience: Duration) -> Result<T, Error> {
        let before = state.fetches;
        let (state, waited) = self
            .fetched
            .wait_timeout_while(state, patience, |state| state.fetches == before)
            .unwrap_or_else(PoisonError::into_inner);
        match (&state.value, &state.failure) {
            _ if waited.timed_out() => Err(Error::new(
                ErrorKind::Timeout,
                "another thread is fetching the token and took too long",
            )),
            (_, Some(failure)) => Err(failure.clone()),
            (Some(value), None) => Ok(value.clone()),
            (None, None) => Err(Error::new(
                ErrorKind::Credential,
                "another thread was fetching the token and panicked, or the token was given up at once",
            )),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
        self.failure = outcome.as_ref().err().cloned();
        outcome
    }
}

/// A fetch under way.
struct Fetching<'a, T: Expires>(&'a Cache<T>);

impl<T: Expires> Drop for Fetching<'_, T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.is_fetching = false;
        state.fetches += 1;
        self.0.fetched.notify_all();
    }
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
        assert!(matches!(cache.lock().held(at(89)), Held::Fresh(_)));
        assert!(matches!(cache.lock().held(at(90)), Held::Aging(_)));
        assert!(matches!(cache.lock().held(at(99)), Held::Aging(_)));
        assert!(matches!(cache.lock().held(at(100)), Held::Nothing));
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
