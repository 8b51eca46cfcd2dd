//! A token that renews itself.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::auth::cache::Cache;
use crate::client::CommunicationIdentityClient;
use crate::error::{Error, ErrorKind};
use crate::http::members;
use crate::operation::Operation;
use crate::token::AccessToken;

/// How long before its expiry a token is replaced: as in the official clients.
const MARGIN: Duration = Duration::from_secs(10 * 60);

/// A user's token that renews itself: returned from memory, and issued anew shortly before it expires.
///
/// Created by
/// [`CommunicationIdentityClient::token_source`](crate::CommunicationIdentityClient::token_source).
/// There is no background thread: the first caller within ten minutes of the expiry issues the next
/// token, while other threads still get the old one. If that fails, the old token is returned for as
/// long as it is valid, and the next refresh is tried once half of the remaining time has passed.
/// Clones share the token.
///
/// # Examples
///
/// ```
/// use acs_identity::CommunicationIdentityClient;
/// use acs_identity::emulator::Emulator; // needs the feature `emulator`
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let emulator = Emulator::start()?;
/// let text = emulator.connection_string();
/// let client = CommunicationIdentityClient::from_connection_string(&text)?;
/// let user = client.create_user()?;
///
/// let tokens = client.token_source(&user, ["chat"])?;
/// assert_eq!(tokens.token()?, tokens.token()?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct TokenSource(Arc<Inner>);

struct Inner {
    client: CommunicationIdentityClient,
    /// Issues a token.
    operation: Operation,
    cache: Cache<AccessToken>,
}

impl TokenSource {
    pub(crate) fn new(client: CommunicationIdentityClient, operation: Operation) -> Self {
        Self(Arc::new(Inner { client, operation, cache: Cache::new(MARGIN) }))
    }

    /// Returns a token that has not expired, by this machine's clock with the
    /// [correction](crate::CommunicationIdentityClient::clock_offset_seconds) that the client knows.
    ///
    /// The source does not learn of revocations: after
    /// [`revoke_tokens`](crate::CommunicationIdentityClient::revoke_tokens), create a new source.
    ///
    /// # Errors
    ///
    /// Fails only if there is no valid token to return, with the errors of
    /// [`issue_token`](crate::CommunicationIdentityClient::issue_token). In addition,
    /// [`Response`](ErrorKind::Response) if the new token has already expired, and
    /// [`Connection`](ErrorKind::Connection) if another thread is still issuing one after the client's
    /// [deadline](crate::RetryPolicy::deadline). A call that waited and then issues the token itself has the
    /// whole deadline for that.
    pub fn token(&self) -> Result<AccessToken, Error> {
        let Inner { client, operation, cache } = &*self.0;
        let now = || client.core.service_time();
        let issue = || {
            let token = client.call(operation, |response| {
                let token = members::token(response)?;
                if token.is_expired(now()) {
                    return Err("its token has already expired: check this machine's clock".into());
                }
                Ok(token)
            })?;
            Ok((token.clone(), token.expires_on()))
        };
        cache.get(now, client.core.retry_policy.deadline, issue).unwrap_or_else(|| {
            let problem =
                "another thread is still issuing the token, and nothing was sent by this one";
            let mut error = Error::new(ErrorKind::Connection, problem);
            error.inner.is_transient = true;
            Err(error)
        })
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSource").finish_non_exhaustive()
    }
}

#[cfg(all(test, feature = "emulator"))]
mod tests {
    use std::sync::{Mutex, mpsc};
    use std::time::{Instant, SystemTime};

    use super::*;
    use crate::RetryPolicy;
    use crate::client::clock::Clock;
    use crate::emulator::{Emulator, Fault};

    /// The system's clock, advanced by a number of seconds.
    #[derive(Clone, Default)]
    struct Ahead(Arc<Mutex<u64>>);

    impl Clock for Ahead {
        fn now(&self) -> SystemTime {
            SystemTime::now() + Duration::from_secs(*self.0.lock().unwrap())
        }

        fn instant(&self) -> Instant {
            Instant::now()
        }

        fn sleep(&self, _: Duration) {}
    }

    /// A source of tokens that live an hour, and the function that advances its clock.
    fn setup() -> (Emulator, TokenSource, impl Fn(u64)) {
        let emulator = Emulator::start().unwrap();
        let clock = Ahead::default();
        let text = emulator.connection_string();
        let client = CommunicationIdentityClient::builder_from_connection_string(&text)
            .unwrap()
            .clock(clock.clone())
            .retry_policy(RetryPolicy::none())
            .build()
            .unwrap();
        let user = client.create_user().unwrap();
        let hour = crate::TokenRequest::new(["chat"]).expires_in(Duration::from_secs(3_600));
        let source = client.token_source(&user, hour).unwrap();
        (emulator, source, move |minutes| *clock.0.lock().unwrap() += minutes * 60)
    }

    fn advance(emulator: &Emulator, client: &impl Fn(u64), minutes: u64) {
        client(minutes);
        emulator.advance_clock(Duration::from_secs(minutes * 60));
    }

    #[test]
    fn token_source_renews_a_token_within_ten_minutes_of_its_end() {
        let (emulator, source, client) = setup();
        let first = source.token().unwrap();
        advance(&emulator, &client, 49);
        assert_eq!(source.token().unwrap(), first);
        assert_eq!(emulator.request_count(), 2);
        advance(&emulator, &client, 1);
        let second = source.token().unwrap();
        assert_ne!(second, first);
        assert_eq!(emulator.request_count(), 3);
        // The old token is not revoked: callers that still hold it can use it.
        assert!(emulator.is_token_valid(first.token()) && emulator.is_token_valid(second.token()));
        assert_eq!(source.token().unwrap(), second);
        assert_eq!(emulator.request_count(), 3);
    }

    #[test]
    fn token_source_keeps_the_old_token_after_a_failed_renewal_until_it_ends() {
        let (emulator, source, client) = setup();
        let first = source.token().unwrap();
        advance(&emulator, &client, 51);
        emulator.inject(Fault::respond(500).times(2));
        assert_eq!(source.token().unwrap(), first);
        assert_eq!(emulator.request_count(), 3);
        // The next try is made after half of the nine minutes that were left.
        assert_eq!(source.token().unwrap(), first);
        assert_eq!(emulator.request_count(), 3);
        advance(&emulator, &client, 5);
        assert_eq!(source.token().unwrap(), first);
        assert_eq!(emulator.request_count(), 4);

        advance(&emulator, &client, 4);
        emulator.inject(Fault::respond(503));
        let error = source.token().unwrap_err();
        assert_eq!(error.status(), Some(503), "{error}");
        let second = source.token().unwrap();
        assert!(emulator.is_token_valid(second.token()));
        assert_eq!(emulator.request_count(), 6);
    }

    /// The service's time decides when a token expires.
    #[test]
    fn token_source_uses_the_corrected_clock() {
        let (emulator, source, client) = setup();
        // By our clock, 65 minutes ahead of the service's, the token has expired when it arrives.
        client(65);
        let first = source.token().unwrap();
        assert_eq!(source.token().unwrap(), first);
        // The user; a rejected date; the same request with the service's date.
        assert_eq!(emulator.request_count(), 3);
    }

    #[test]
    fn token_source_stops_waiting_for_another_thread_at_the_deadline() {
        let emulator = Emulator::start().unwrap();
        let text = emulator.connection_string();
        let deadline = RetryPolicy::none().deadline(Duration::from_secs(1));
        let client = CommunicationIdentityClient::builder_from_connection_string(&text)
            .unwrap()
            .retry_policy(deadline)
            .build()
            .unwrap();
        let user = client.create_user().unwrap();
        // The observer runs within the call, which is still another thread's fetch.
        let (begun, has_begun) = mpsc::channel();
        let (done, is_done) = mpsc::channel();
        let is_done = Mutex::new(is_done);
        let slow = client.observed(move |_| {
            begun.send(()).unwrap();
            let _ = is_done.lock().unwrap().recv_timeout(Duration::from_secs(10));
        });
        let source = slow.token_source(&user, ["chat"]).unwrap();
        std::thread::scope(|scope| {
            let first = scope.spawn(|| source.token());
            has_begun.recv().unwrap();
            let error = source.token().unwrap_err();
            done.send(()).unwrap();
            let expected =
                "another thread is still issuing the token, and nothing was sent by this one";
            assert_eq!((error.kind(), &*error.to_string()), (ErrorKind::Connection, expected));
            assert!(error.is_transient());
            first.join().unwrap().unwrap();
        });
    }
}
