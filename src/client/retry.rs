//! When to retry, and after how long.

use std::time::Duration;

use crate::error::Error;

/// How often a call is attempted, the backoff between the attempts, and the deadline of the call.
///
/// What is retried depends on what may have happened. Creating a user is the only operation that is not
/// idempotent:
///
/// | Failure of an attempt | Retried | Creating a user |
/// |---|---|---|
/// | nothing was sent: name resolution, connecting, a connection that ends within the TLS handshake | yes | yes |
/// | status 429; status 503 with the service's error or a `Retry-After` | yes | yes |
/// | status 408, 500, 502, 504; any other 503 | yes | [opt-in](Self::retry_create_in_doubt) |
/// | no response in time; the connection failed; the body of a success ended before its announced length | yes | [opt-in](Self::retry_create_in_doubt) |
/// | anything else, such as an untrusted certificate, a TLS alert or a response that is not valid HTTP | no | no |
///
/// A retry after an attempt without a complete response opens a new connection. With
/// `Tls::NativeTls`, a TLS error after the handshake counts as a failed connection.
///
/// The backoff is 800 ms before the first retry and doubles each time, up to 30 s. Each is multiplied
/// by a random factor from 0.8 to 1.2. If the service asks for a longer delay (`retry-after-ms`,
/// `x-ms-retry-after-ms` or `Retry-After`), that delay is used. A call whose next attempt
/// would begin after the deadline fails at once;
/// [`Error::retry_after`](crate::Error::retry_after) returns the delay that the service asked for.
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
    pub(crate) deadline: Duration,
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
    /// The limit holds within 10 %, with these exceptions:
    ///
    /// - [Fetching a bearer token](crate::Credential::bearer) is not limited by the deadline.
    /// - A proxy that sends its own response a byte at a time is not limited, and connecting through a
    ///   slow https proxy may take twice the limit.
    /// - Name resolution by the system is not limited while there is time left for a whole attempt. It
    ///   commonly takes 5 s for each try at each name server (`timeout` and `attempts` in
    ///   `resolv.conf`).
    ///
    /// An attempt that has less time left than
    /// [`connect_timeout`](crate::CommunicationIdentityClientBuilder::connect_timeout) plus twice
    /// [`timeout`](crate::CommunicationIdentityClientBuilder::timeout) resolves the name on a helper
    /// thread, which costs some 70 µs. If the OS cannot start that thread, ureq panics.
    #[must_use]
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Sets whether creating a user is retried like the other operations. Defaults to false.
    ///
    /// An attempt that failed in doubt may have created a user, and its id is unknown. Retrying it
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

    /// Whether another attempt may follow one that failed, the first being number 1.
    pub(crate) fn allows_retry(&self, number: u32, error: &Error, is_idempotent: bool) -> bool {
        let is_safe = !error.is_in_doubt() || is_idempotent || self.retry_create_in_doubt;
        error.is_transient() && is_safe && number <= self.max_retries
    }

    /// Returns the delay before the next attempt; the jitter is a random number from 0 to 400.
    pub(crate) fn delay(&self, number: u32, asked_for: Option<Duration>, jitter: u32) -> Duration {
        let doublings = number.saturating_sub(1).min(31);
        let backoff = self.base_delay.saturating_mul(1 << doublings).min(self.max_delay);
        let jittered = (backoff / 1000).saturating_mul(800 + jitter);
        jittered.max(asked_for.unwrap_or_default())
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn failure(is_in_doubt: bool, is_transient: bool) -> Error {
        let mut error = Error::new(ErrorKind::Service, "");
        (error.inner.is_in_doubt, error.inner.is_transient) = (is_in_doubt, is_transient);
        error
    }

    #[test]
    fn retry_policy_repeats_what_is_transient_and_safe() {
        for (is_in_doubt, is_transient, idempotent, create, opted_in) in [
            (false, true, true, true, true),
            (true, true, true, false, true),
            (false, false, false, false, false),
            (true, false, false, false, false),
        ] {
            let error = failure(is_in_doubt, is_transient);
            let policy = RetryPolicy::default();
            assert_eq!(policy.allows_retry(1, &error, true), idempotent, "{error:?}");
            assert_eq!(policy.allows_retry(1, &error, false), create, "create, {error:?}");
            let policy = policy.retry_create_in_doubt(true);
            assert_eq!(policy.allows_retry(1, &error, false), opted_in, "opted in, {error:?}");
        }
    }

    #[test]
    fn retry_policy_ends_after_the_last_retry() {
        let allows =
            |policy: RetryPolicy, number| policy.allows_retry(number, &failure(false, true), true);
        assert!(allows(RetryPolicy::default(), 3) && !allows(RetryPolicy::default(), 4));
        assert!(!allows(RetryPolicy::none(), 1));
    }

    #[test]
    fn retry_policy_doubles_delays_up_to_the_cap() {
        let delay = |number| RetryPolicy::default().delay(number, None, 200);
        let expected = [800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000].map(millis);
        assert_eq!([1, 2, 3, 4, 5, 6, 7, 8].map(delay), expected);
        // Nothing overflows.
        let wild = RetryPolicy::default().base_delay(Duration::MAX).max_delay(Duration::MAX / 2);
        assert!(wild.delay(u32::MAX, Some(Duration::MAX), 400) == Duration::MAX);
    }

    #[test]
    fn retry_policy_jitters_within_the_documented_range() {
        for (jitter, expected) in [(0, 640), (200, 800), (400, 960)] {
            assert_eq!(RetryPolicy::default().delay(1, None, jitter), millis(expected), "{jitter}");
        }
    }

    #[test]
    fn retry_policy_takes_the_servers_delay_as_a_minimum() {
        for (asked_for, expected) in [(0, 800), (799, 800), (801, 801), (60_000, 60_000)] {
            let delay = RetryPolicy::default().delay(1, Some(millis(asked_for)), 200);
            assert_eq!(delay, millis(expected), "{asked_for}");
        }
    }

    #[test]
    fn retry_policy_has_the_documented_defaults() {
        let spelled_out = RetryPolicy::none()
            .max_retries(3)
            .base_delay(millis(800))
            .max_delay(millis(30_000))
            .deadline(millis(100_000))
            .retry_create_in_doubt(false);
        assert_eq!(RetryPolicy::default(), spelled_out);
    }
}
