//! When a call is tried again, and after how long: one pure function.

use std::time::Duration;

use crate::error::{Error, ErrorKind};

/// How often a call is tried, how long it waits in between, and when it ends for good.
///
/// What is repeated depends on what may have happened:
///
/// | after | issue, revoke, delete | create |
/// |---|---|---|
/// | nothing was sent (name resolution, connecting, TLS) | repeated | repeated |
/// | status 429 or 503 | repeated | repeated |
/// | status 408, 500, 502 or 504 | repeated | not, unless [`retry_create_in_doubt`](Self::retry_create_in_doubt) |
/// | no answer, or one that broke off | repeated | not, unless [`retry_create_in_doubt`](Self::retry_create_in_doubt) |
/// | anything else | not | not |
///
/// Between attempts the client waits 800 ms, then twice as long each time, up to 30 s; each wait is
/// multiplied by a random factor from 0.8 to 1.2. If the service asks for a longer wait
/// (`retry-after-ms`, `x-ms-retry-after-ms`, `Retry-After`), it gets it. A wait that would end
/// after the call's deadline is not begun: the call ends with the error at hand, whose
/// [`retry_after`](Error::retry_after) tells the delay. A create is not begun again with less than a
/// quarter of the deadline left.
///
/// ```
/// use std::time::Duration;
///
/// use acs_identity::{CommunicationIdentityClient, ConnectionString, RetryPolicy};
///
/// # let settings: ConnectionString =
/// #     "endpoint=https://contoso.communication.azure.com/;accesskey=c2VjcmV0".parse()?;
/// let (endpoint, access_key) = settings.into_parts();
/// let client = CommunicationIdentityClient::builder(endpoint, access_key)
///     .retry_policy(RetryPolicy::default().max_retries(5).deadline(Duration::from_secs(20)))
///     .build()?;
/// # Ok::<(), acs_identity::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    max_retries: u32,
    base_delay: Duration,
    max_delay: Duration,
    deadline: Duration,
    retry_create_in_doubt: bool,
}

impl RetryPolicy {
    /// No retries. The deadline holds all the same, and a 401 is still answered once with a
    /// [corrected clock](crate::CommunicationIdentityClientBuilder::clock_correction) or another
    /// bearer token.
    #[must_use]
    pub const fn none() -> Self {
        Self::DEFAULT.max_retries(0)
    }

    /// Sets how many attempts may follow the first. Defaults to 3.
    #[must_use]
    pub const fn max_retries(mut self, max_retries: u32) -> Self {
        self.max_retries = max_retries;
        self
    }

    /// Sets the wait before the first retry, doubled for each one after. Defaults to 800 ms.
    #[must_use]
    pub const fn base_delay(mut self, base_delay: Duration) -> Self {
        self.base_delay = base_delay;
        self
    }

    /// Sets the longest wait of ours; the service may ask for a longer one. Defaults to 30 s.
    #[must_use]
    pub const fn max_delay(mut self, max_delay: Duration) -> Self {
        self.max_delay = max_delay;
        self
    }

    /// Sets when a call ends for good, counted from its start over all attempts and waits. Defaults
    /// to 100 s.
    ///
    /// Three things are outside it: a source of bearer tokens, a proxy that sends its own answer a
    /// byte at a time, and the system's name resolution, which cannot be interrupted. Its usual
    /// bound is 5 s for each try at each name server, 30 s with common settings
    /// (`resolv.conf`, `timeout` and `attempts`).
    #[must_use]
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Lets creating a user be repeated as the other operations are. Defaults to false.
    ///
    /// A create that failed in doubt may have left a user behind; repeating it may leave another,
    /// and users cannot be listed.
    #[must_use]
    pub const fn retry_create_in_doubt(mut self, retry: bool) -> Self {
        self.retry_create_in_doubt = retry;
        self
    }

    const DEFAULT: Self = Self {
        max_retries: 3,
        base_delay: Duration::from_millis(800),
        max_delay: Duration::from_secs(30),
        deadline: Duration::from_secs(100),
        retry_create_in_doubt: false,
    };

    /// The time that is left of the deadline.
    pub(crate) fn remaining(&self, elapsed: Duration) -> Duration {
        self.deadline.saturating_sub(elapsed)
    }

    /// How long to wait before the next attempt, or `None` to give up.
    pub(crate) fn next_delay(&self, attempt: &FailedAttempt) -> Option<Duration> {
        let may_repeat = match attempt.outcome {
            Outcome::NeverSent | Outcome::Answered(429 | 503) => true,
            Outcome::MaybeProcessed | Outcome::Answered(408 | 500 | 502 | 504) => {
                attempt.repeatable || self.retry_create_in_doubt
            }
            Outcome::Answered(_) | Outcome::Final => false,
        };
        if !may_repeat || attempt.number > self.max_retries {
            return None;
        }
        let doublings = attempt.number.saturating_sub(1).min(31);
        let exponential = self.base_delay.saturating_mul(1 << doublings).min(self.max_delay);
        let jittered = (exponential / 1000).saturating_mul(800 + attempt.jitter);
        let delay = jittered.max(attempt.server_delay.unwrap_or_default());
        // One that cannot be repeated needs time for its answer, or it ends in doubt for sure.
        let needed = if attempt.repeatable { Duration::ZERO } else { self.deadline / 4 };
        let time_left = self.remaining(attempt.elapsed).saturating_sub(needed);
        (delay < time_left).then_some(delay)
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What the decision rests on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FailedAttempt {
    /// 1 for the first.
    pub(crate) number: u32,
    pub(crate) outcome: Outcome,
    /// Whether doing it twice is the same as doing it once.
    pub(crate) repeatable: bool,
    /// What the service asked for.
    pub(crate) server_delay: Option<Duration>,
    /// Since the start of the call.
    pub(crate) elapsed: Duration,
    /// From 0 to 400, at random.
    pub(crate) jitter: u32,
}

/// What is known of an attempt that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The service cannot have processed it.
    NeverSent,
    /// The service may have processed it, and nothing it said is known.
    MaybeProcessed,
    /// The service answered with this status.
    Answered(u16),
    /// Trying again would end the same way.
    Final,
}

impl Outcome {
    /// Whether the service may have done what was asked.
    pub(crate) fn may_have_been_processed(self) -> bool {
        match self {
            Self::MaybeProcessed => true,
            // 501 and 505 say that it was not understood, 503 that nobody took it.
            Self::Answered(status) => {
                status == 408 || matches!(status, 500..=599) && !matches!(status, 501 | 503 | 505)
            }
            Self::NeverSent | Self::Final => false,
        }
    }

    pub(crate) fn of(error: &Error) -> Self {
        match (error.kind(), error.status()) {
            (ErrorKind::Service, Some(status)) => Self::Answered(status),
            _ if !error.is_transient() => Self::Final,
            (ErrorKind::Connection, _) => Self::NeverSent,
            _ => Self::MaybeProcessed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: FailedAttempt = FailedAttempt {
        number: 1,
        outcome: Outcome::Answered(503),
        repeatable: true,
        server_delay: None,
        elapsed: Duration::ZERO,
        jitter: 200,
    };

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn delay(attempt: FailedAttempt) -> Option<Duration> {
        RetryPolicy::default().next_delay(&attempt)
    }

    #[test]
    fn what_is_repeated() {
        for (outcome, repeatable, create) in [
            (Outcome::NeverSent, true, true),
            (Outcome::Answered(429), true, true),
            (Outcome::Answered(503), true, true),
            (Outcome::MaybeProcessed, true, false),
            (Outcome::Answered(408), true, false),
            (Outcome::Answered(500), true, false),
            (Outcome::Answered(502), true, false),
            (Outcome::Answered(504), true, false),
            (Outcome::Answered(307), false, false),
            (Outcome::Answered(400), false, false),
            (Outcome::Answered(401), false, false),
            (Outcome::Answered(403), false, false),
            (Outcome::Answered(404), false, false),
            (Outcome::Answered(409), false, false),
            (Outcome::Answered(501), false, false),
            (Outcome::Answered(505), false, false),
            (Outcome::Final, false, false),
        ] {
            let attempt = FailedAttempt { outcome, ..FIRST };
            assert_eq!(delay(attempt).is_some(), repeatable, "{outcome:?}");
            let attempt = FailedAttempt { repeatable: false, ..attempt };
            assert_eq!(delay(attempt).is_some(), create, "create, {outcome:?}");
            let opted_in = RetryPolicy::default().retry_create_in_doubt(true);
            assert_eq!(
                opted_in.next_delay(&attempt).is_some(),
                repeatable,
                "opted in, {outcome:?}"
            );
        }
    }

    #[test]
    fn delays_double_up_to_the_cap_and_the_retries_end() {
        let policy = RetryPolicy::default().max_retries(40).deadline(Duration::MAX);
        let delays: Vec<_> = (1..=8)
            .map(|number| policy.next_delay(&FailedAttempt { number, ..FIRST }).unwrap())
            .collect();
        let expected = [800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000].map(millis);
        assert_eq!(delays, expected);
        assert_eq!(policy.next_delay(&FailedAttempt { number: 40, ..FIRST }), Some(millis(30_000)));
        assert_eq!(policy.next_delay(&FailedAttempt { number: 41, ..FIRST }), None);
        // Nothing overflows.
        let wild = RetryPolicy::default()
            .max_retries(u32::MAX)
            .base_delay(Duration::MAX)
            .max_delay(Duration::MAX / 2)
            .deadline(Duration::MAX);
        assert!(wild.next_delay(&FailedAttempt { number: u32::MAX - 1, ..FIRST }).is_some());
    }

    #[test]
    fn jitter_has_the_documented_range() {
        for (jitter, expected) in [(0, 640), (200, 800), (400, 960)] {
            assert_eq!(
                delay(FailedAttempt { jitter, ..FIRST }),
                Some(millis(expected)),
                "{jitter}"
            );
        }
    }

    #[test]
    fn the_servers_delay_is_a_minimum() {
        for (server_delay, expected) in [(0, 800), (799, 800), (801, 801), (60_000, 60_000)] {
            let attempt = FailedAttempt { server_delay: Some(millis(server_delay)), ..FIRST };
            assert_eq!(delay(attempt), Some(millis(expected)), "{server_delay}");
        }
    }

    #[test]
    fn a_delay_that_does_not_fit_the_deadline_ends_the_call() {
        let at = |elapsed, server_delay| {
            delay(FailedAttempt {
                elapsed: millis(elapsed),
                server_delay: Some(millis(server_delay)),
                ..FIRST
            })
        };
        assert_eq!(at(0, 99_999), Some(millis(99_999)));
        assert_eq!(at(0, 100_000), None);
        assert_eq!(at(99_199, 0), Some(millis(800)));
        assert_eq!(at(99_200, 0), None);
        assert_eq!(at(200_000, 0), None);
    }

    #[test]
    fn a_create_is_begun_again_only_with_time_for_its_answer() {
        let at =
            |elapsed| delay(FailedAttempt { repeatable: false, elapsed: millis(elapsed), ..FIRST });
        assert_eq!(at(74_199), Some(millis(800)));
        assert_eq!(at(74_200), None);
    }

    #[test]
    fn what_leaves_doubt() {
        for status in [408, 500, 502, 504, 506, 520, 524, 599] {
            assert!(Outcome::Answered(status).may_have_been_processed(), "{status}");
        }
        for status in [307, 400, 401, 404, 429, 499, 501, 503, 505] {
            assert!(!Outcome::Answered(status).may_have_been_processed(), "{status}");
        }
    }

    #[test]
    fn the_defaults_are_those_of_the_documentation() {
        let spelled_out = RetryPolicy::none()
            .max_retries(3)
            .base_delay(millis(800))
            .max_delay(millis(30_000))
            .deadline(millis(100_000))
            .retry_create_in_doubt(false);
        assert_eq!(RetryPolicy::default(), spelled_out);
        assert_eq!(RetryPolicy::none().next_delay(&FIRST), None);
    }
}
