//! When to retry, and after how long: one pure function.

use std::time::Duration;

use crate::http::outcome::Outcome;

/// How often a call is attempted, the backoff between the attempts, and the deadline of the call.
///
/// What is retried depends on what may have happened. Creating a user without a custom id is the only
/// operation that is not idempotent:
///
/// | Failure of an attempt | Retried | Creating a user |
/// |---|---|---|
/// | nothing was sent: name resolution, connecting, TLS handshake | yes | yes |
/// | status 429; status 503 with the service's error or a `Retry-After` | yes | yes |
/// | status 408, 500, 502, 504; any other 503 | yes | [opt-in](Self::retry_create_in_doubt) |
/// | no response in time; the connection failed; the body of a success broke off | yes | [opt-in](Self::retry_create_in_doubt) |
/// | anything else, such as a certificate that is not trusted or a response that is not valid HTTP | no | no |
///
/// The backoff is 800 ms before the first retry and doubles each time, up to 30 s. Each is multiplied
/// by a random factor from 0.8 to 1.2. If the service asks for a longer delay (`retry-after-ms`,
/// `x-ms-retry-after-ms` or `Retry-After`), that delay is used. A call whose next attempt
/// would begin after the deadline fails at once;
/// [`Error::retry_after`](crate::Error::retry_after) returns the delay that the service asked for.
/// Creating a user is never retried with less than a quarter of the deadline left.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use acs_identity::{CommunicationIdentityClient, RetryPolicy};
///
/// # let text = "endpoint=https://contoso.communication.azure.com/;accesskey=c2VjcmV0";
/// let policy = RetryPolicy::default().max_retries(5).deadline(Duration::from_secs(20));
/// let client = CommunicationIdentityClient::builder_from_connection_string(text)?
///     .retry_policy(policy)
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
    /// Creates a policy without retries.
    ///
    /// The deadline still applies. So does the one additional attempt after a 401, with a
    /// [corrected clock](crate::CommunicationIdentityClientBuilder::clock_correction) or a new bearer
    /// token.
    #[must_use]
    pub const fn none() -> Self {
        Self::DEFAULT.max_retries(0)
    }

    /// Sets how many attempts may follow the first, besides the additional one after a 401. Defaults to 3.
    #[must_use]
    pub const fn max_retries(mut self, max_retries: u32) -> Self {
        self.max_retries = max_retries;
        self
    }

    /// Sets the backoff before the first retry; it doubles with each retry. Defaults to 800 ms.
    #[must_use]
    pub const fn base_delay(mut self, base_delay: Duration) -> Self {
        self.base_delay = base_delay;
        self
    }

    /// Sets the maximum backoff, before the random factor. The service may ask for a longer delay.
    /// Defaults to 30 s.
    #[must_use]
    pub const fn max_delay(mut self, max_delay: Duration) -> Self {
        self.max_delay = max_delay;
        self
    }

    /// Limits the whole call: all attempts and the backoff between them. Defaults to 100 s.
    ///
    /// The limit holds within 10 %, with three exceptions:
    ///
    /// - Your [source of bearer tokens](crate::TokenCredential) takes as long as it takes.
    /// - A proxy that sends its own response a byte at a time is not limited.
    /// - Name resolution by the system is not limited while there is time left for a whole attempt. It
    ///   commonly takes 5 s for each try at each name server (`timeout` and `attempts` in
    ///   `resolv.conf`).
    ///
    /// An attempt that has less time left than
    /// [`connect_timeout`](crate::CommunicationIdentityClientBuilder::connect_timeout) plus twice
    /// [`timeout`](crate::CommunicationIdentityClientBuilder::timeout) resolves the name on a helper
    /// thread, which costs some 70 µs. If the system gives no thread, ureq panics.
    #[must_use]
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Sets whether creating a user is retried like the other operations. Defaults to false.
    ///
    /// An attempt that failed in doubt may have created a user whose id nobody knows. Retrying it
    /// creates another, and users cannot be listed.
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

    /// The deadline of a call.
    pub(crate) fn limit(&self) -> Duration {
        self.deadline
    }

    /// The time left to begin another attempt. One that is not repeatable needs some for its response,
    /// or it is sure to end in doubt.
    pub(crate) fn time_to_begin(&self, elapsed: Duration, repeatable: bool) -> Duration {
        let needed = if repeatable { Duration::ZERO } else { self.deadline / 4 };
        self.deadline.saturating_sub(elapsed).saturating_sub(needed)
    }

    /// How long to wait before the next attempt, or `None` to give up.
    pub(crate) fn next_delay(&self, attempt: &FailedAttempt) -> Option<Duration> {
        let delay = if attempt.reauthenticated {
            Duration::ZERO
        } else {
            let Outcome { maybe_processed, transient } = attempt.outcome;
            let harmless = !maybe_processed || attempt.repeatable || self.retry_create_in_doubt;
            if !transient || !harmless || attempt.number > self.max_retries {
                return None;
            }
            let doublings = attempt.number.saturating_sub(1).min(31);
            let exponential = self.base_delay.saturating_mul(1 << doublings).min(self.max_delay);
            let jittered = (exponential / 1000).saturating_mul(800 + attempt.jitter);
            jittered.max(attempt.server_delay.unwrap_or_default())
        };
        (delay < self.time_to_begin(attempt.elapsed, attempt.repeatable)).then_some(delay)
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The facts that decide on a retry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FailedAttempt {
    /// 1 for the first; the additional attempt after a 401 does not count.
    pub(crate) number: u32,
    pub(crate) outcome: Outcome,
    /// Whether the next attempt would be authenticated differently: it needs no backoff, and does not
    /// count as a retry.
    pub(crate) reauthenticated: bool,
    /// Whether the operation is idempotent.
    pub(crate) repeatable: bool,
    /// The delay that the service asked for.
    pub(crate) server_delay: Option<Duration>,
    /// Since the start of the call.
    pub(crate) elapsed: Duration,
    /// From 0 to 400, at random.
    pub(crate) jitter: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: FailedAttempt = FailedAttempt {
        number: 1,
        outcome: Outcome::NOT_PROCESSED,
        reauthenticated: false,
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
        let outcome = |maybe_processed, transient| Outcome { maybe_processed, transient };
        for (outcome, repeatable, create, opted_in) in [
            (outcome(false, true), true, true, true),
            (outcome(true, true), true, false, true),
            (outcome(false, false), false, false, false),
            (outcome(true, false), false, false, false),
        ] {
            let attempt = FailedAttempt { outcome, ..FIRST };
            assert_eq!(delay(attempt).is_some(), repeatable, "{outcome:?}");
            let attempt = FailedAttempt { repeatable: false, ..attempt };
            assert_eq!(delay(attempt).is_some(), create, "create, {outcome:?}");
            let policy = RetryPolicy::default().retry_create_in_doubt(true);
            assert_eq!(policy.next_delay(&attempt).is_some(), opted_in, "opted in, {outcome:?}");
        }
    }

    #[test]
    fn another_authentication_is_no_retry_but_keeps_the_deadline() {
        let rejected = FailedAttempt {
            outcome: Outcome::SETTLED,
            reauthenticated: true,
            server_delay: Some(millis(60_000)),
            ..FIRST
        };
        assert_eq!(RetryPolicy::none().next_delay(&rejected), Some(Duration::ZERO));
        let late = |repeatable, elapsed| {
            delay(FailedAttempt { repeatable, elapsed: millis(elapsed), ..rejected })
        };
        assert_eq!(late(true, 99_999), Some(Duration::ZERO));
        assert_eq!(late(true, 100_000), None);
        assert_eq!(late(false, 74_999), Some(Duration::ZERO));
        assert_eq!(late(false, 75_000), None);
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
