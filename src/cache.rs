//! One value that expires, renewed by whoever asks first when it is about to.

use std::sync::{Mutex, PoisonError, TryLockError};
use std::time::{Duration, SystemTime};

pub(crate) trait Expires: Clone {
    fn expires_on(&self) -> SystemTime;
}

/// Holds a value until shortly before it expires. No thread of its own, and no lock held while a
/// new one is fetched but the one that keeps others from fetching too.
pub(crate) struct Cache<T> {
    /// How long before its end a value is renewed.
    margin: Duration,
    state: Mutex<State<T>>,
    fetching: Mutex<()>,
}

struct State<T> {
    value: Option<T>,
    /// When to try to renew it, though it is valid.
    renew_from: SystemTime,
}

impl<T: Expires> Cache<T> {
    pub(crate) fn new(margin: Duration) -> Self {
        Self {
            margin,
            state: Mutex::new(State { value: None, renew_from: SystemTime::UNIX_EPOCH }),
            fetching: Mutex::new(()),
        }
    }

    /// The value held, or else a new one. While one caller fetches, those who can still use the old
    /// value do, and the others wait.
    pub(crate) fn get<E>(
        &self,
        now: impl Fn() -> SystemTime,
        fetch: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let _fetching = match self.held(now()) {
            Held::Fresh(value) => return Ok(value),
            Held::Aging(value) => match self.fetching.try_lock() {
                Ok(guard) => guard,
                Err(TryLockError::Poisoned(guard)) => guard.into_inner(),
                Err(TryLockError::WouldBlock) => return Ok(value),
            },
            Held::Nothing => self.fetching.lock().unwrap_or_else(PoisonError::into_inner),
        };
        // Somebody else may have fetched it while this caller waited.
        if let Held::Fresh(value) = self.held(now()) {
            return Ok(value);
        }
        let fetched = fetch();
        let now = now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let left = |value: &T| value.expires_on().duration_since(now).unwrap_or_default();
        match (fetched, &state.value) {
            (Ok(value), _) => {
                // One that does not live much longer than the margin is not renewed at every call.
                let age = left(&value).saturating_sub(self.margin).max(left(&value) / 2);
                *state = State { value: Some(value.clone()), renew_from: later(now, age) };
                Ok(value)
            }
            (Err(_), Some(value)) if value.expires_on() > now => {
                let value = value.clone();
                state.renew_from = later(now, left(&value) / 2);
                Ok(value)
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Drops the value if it is this one, so that the next caller fetches anew.
    pub(crate) fn forget(&self, is_it: impl FnOnce(&T) -> bool) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.value.as_ref().is_some_and(is_it) {
            *state = State { value: None, renew_from: SystemTime::UNIX_EPOCH };
        }
    }

    fn held(&self, now: SystemTime) -> Held<T> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(value) = &state.value else { return Held::Nothing };
        if value.expires_on() <= now {
            Held::Nothing
        } else if state.renew_from <= now {
            Held::Aging(value.clone())
        } else {
            Held::Fresh(value.clone())
        }
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
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::thread;

    use super::*;

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
        cache.get(|| at(now), || fetched).map(|value| value.0)
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
        assert!(matches!(cache.held(at(89)), Held::Fresh(_)));
        assert!(matches!(cache.held(at(90)), Held::Aging(_)));
        assert!(matches!(cache.held(at(99)), Held::Aging(_)));
        assert!(matches!(cache.held(at(100)), Held::Nothing));
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

    #[test]
    fn many_callers_fetch_once() {
        let cache = Cache::new(Duration::ZERO);
        let fetches = AtomicU32::new(0);
        let start = Barrier::new(16);
        thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    start.wait();
                    let value = cache.get(
                        || at(0),
                        || {
                            fetches.fetch_add(1, Ordering::SeqCst);
                            Ok::<_, ()>(Value("one", 100))
                        },
                    );
                    assert_eq!(value, Ok(Value("one", 100)));
                });
            }
        });
        assert_eq!(fetches.into_inner(), 1);
    }
}
