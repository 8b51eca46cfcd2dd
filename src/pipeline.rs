//! A *call* is what the caller asked for; it makes *attempts*, each signed anew for the instant it is sent at.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use ureq::http::{HeaderMap, HeaderName, HeaderValue, Request};

use crate::clock::Clock;
use crate::credential::Credential;
use crate::endpoint::Endpoint;
use crate::error::{Error, ErrorKind, RequestContext};
use crate::operation::Operation;
use crate::response::{NOTABLE_CLOCK_DIFFERENCE, Reader, Reply, date};
use crate::retry::{FailedAttempt, Outcome, RetryPolicy};
use crate::signing::RequestToSign;
use crate::transport::{Failure, Limits, Transport};

pub(crate) struct Pipeline {
    pub(crate) endpoint: Endpoint,
    pub(crate) credential: Credential,
    pub(crate) api_version: String,
    pub(crate) user_agent: HeaderValue,
    pub(crate) connect_timeout: Duration,
    pub(crate) timeout: Duration,
    pub(crate) retry_policy: RetryPolicy,
    pub(crate) transport: Transport,
    pub(crate) clock: Box<dyn Clock>,
    pub(crate) clock_correction: bool,
    /// Seconds to add to our clock to have the service's, once ours was found to be wrong.
    pub(crate) clock_offset: AtomicI64,
}

impl Pipeline {
    pub(crate) fn call<T>(
        &self,
        operation: &Operation,
        read: impl Fn(&Reader, Reply) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let context = RequestContext {
            operation: operation.name,
            host: self.endpoint.host().to_owned(),
            api_version: self.api_version.clone(),
            client_request_id: random_uuid(),
        };
        let started = self.clock.instant();
        let elapsed = || self.clock.instant().saturating_duration_since(started);
        let time_left = || self.retry_policy.remaining(elapsed());
        let mut clock = SigningClock::new(self.clock_offset.load(Ordering::Relaxed));
        let mut attempts = 0;
        let mut in_doubt = false;
        loop {
            attempts += 1;
            let limits = Limits::new(self.connect_timeout, time_left().min(self.timeout));
            let result = self.attempt(operation, &context, limits, &mut clock, &read);
            let error = match result {
                Ok(value) => {
                    self.clock_offset.store(clock.offset, Ordering::Relaxed);
                    return Ok(value);
                }
                Err(error) => error.with_request(&context),
            };
            let retry_now = self.clock_correction
                && is_about_the_signature(&error)
                && clock.correct()
                && !time_left().is_zero();
            if retry_now {
                continue;
            }
            let outcome = Outcome::of(&error);
            in_doubt |= leaves_doubt(&error, outcome);
            let delay = self.retry_policy.next_delay(&FailedAttempt {
                number: attempts - u32::from(clock.corrected),
                outcome,
                repeatable: operation.repeatable,
                server_delay: error.retry_after(),
                elapsed: elapsed(),
                jitter: u32::try_from(random_u64() % 401).unwrap_or_default(),
            });
            if let Some(delay) = delay {
                self.clock.sleep(delay);
            }
            // Sleeping may take longer than was asked for.
            if delay.is_none() || time_left().is_zero() {
                return Err(summary(error, operation, attempts, elapsed(), in_doubt));
            }
        }
    }

    /// Signs the request for this instant, sends it once and reads the answer.
    fn attempt<T>(
        &self,
        operation: &Operation,
        context: &RequestContext,
        limits: Limits,
        clock: &mut SigningClock,
        read: impl Fn(&Reader, Reply) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let sent = self.clock.now();
        let request = self.request(operation, context, clock.signing_time(sent))?;
        let reply =
            self.transport.send(request, &operation.body, limits).map_err(Failure::into_error)?;
        let received = self.clock.now();
        clock.measure(sent, received, &reply.headers);
        let reader =
            Reader { request: context.clone(), now: received, clock_corrected: clock.corrected };
        read(&reader, reply)
    }

    fn request(
        &self,
        operation: &Operation,
        context: &RequestContext,
        at: SystemTime,
    ) -> Result<Request<()>, Error> {
        let host = self.endpoint.host();
        let target = format!("{}?api-version={}", operation.path, self.api_version);
        let to_sign = RequestToSign {
            method: operation.method.as_str(),
            host,
            path_and_query: &target,
            body: &operation.body,
        };
        let signed = self.credential.access_key().sign(&to_sign, at)?;
        let mut request = Request::builder()
            .method(&operation.method)
            .uri(format!("{}{target}", self.endpoint))
            .header("host", host)
            .header("accept", "application/json")
            .header("user-agent", &self.user_agent)
            .header("x-ms-client-request-id", &context.client_request_id);
        if !operation.body.is_empty() {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in signed.headers() {
            request = request.header(HeaderName::from_static(name), value);
        }
        request.body(()).map_err(|error| {
            Error::invalid_input("the request cannot be written as HTTP: is the user id too long?")
                .with_source(error)
        })
    }
}

/// The clock that a call signs by: ours, moved by what is known of the service's.
struct SigningClock {
    offset: i64,
    corrected: bool,
    /// What the last answer's `Date` says the offset should be.
    measured: Option<i64>,
}

impl SigningClock {
    fn new(offset: i64) -> Self {
        Self { offset, corrected: false, measured: None }
    }

    fn signing_time(&self, now: SystemTime) -> SystemTime {
        let distance = Duration::from_secs(self.offset.unsigned_abs());
        let moved =
            if self.offset < 0 { now.checked_sub(distance) } else { now.checked_add(distance) };
        moved.unwrap_or(now)
    }

    /// Compares the answer's `Date` with the middle of the round trip.
    fn measure(&mut self, sent: SystemTime, received: SystemTime, headers: &HeaderMap) {
        let round_trip = received.duration_since(sent).unwrap_or_default();
        let middle = sent + round_trip / 2;
        self.measured = date(headers).map(|theirs| match theirs.duration_since(middle) {
            Ok(ahead) => seconds(ahead),
            Err(behind) => -seconds(behind.duration()),
        });
    }

    /// Takes over the measured offset, once for each call and only if it makes a difference.
    fn correct(&mut self) -> bool {
        let Some(measured) = self.measured else { return false };
        let notable = measured.abs_diff(self.offset) > NOTABLE_CLOCK_DIFFERENCE.as_secs();
        if self.corrected || !notable {
            return false;
        }
        self.offset = measured;
        self.corrected = true;
        true
    }
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

/// A 401 that a wrong clock can cause, unlike one about an id or an exchanged token.
fn is_about_the_signature(error: &Error) -> bool {
    error.status() == Some(401)
        && !matches!(error.code(), Some("IdentityNotOwned" | "InvalidAccessToken"))
}

/// Whether the service may have done its work although the attempt failed.
fn leaves_doubt(error: &Error, outcome: Outcome) -> bool {
    match outcome {
        Outcome::MaybeProcessed | Outcome::Answered(408 | 500 | 502 | 504) => true,
        // A success that cannot be read did its work; nothing is in doubt if the id is known.
        _ => error.kind() == ErrorKind::Response && error.created_user_id().is_none(),
    }
}

fn summary(
    error: Error,
    operation: &Operation,
    attempts: u32,
    elapsed: Duration,
    in_doubt: bool,
) -> Error {
    // Nothing was sent if the input was at fault.
    let attempts = if error.kind() == ErrorKind::InvalidInput { attempts - 1 } else { attempts };
    let error = error.with_attempts(attempts, elapsed);
    if !in_doubt {
        return error;
    }
    let consequence = match error.kind() {
        _ if !operation.repeatable => Some("a user may have been created whose id nobody knows"),
        ErrorKind::Timeout | ErrorKind::Transport => {
            Some("the service may have done it all the same; repeating it does no harm")
        }
        _ => None,
    };
    error.in_doubt(consequence)
}

fn random_u64() -> u64 {
    // std seeds its hash maps with randomness from the system; it is all that is needed here.
    RandomState::new().hash_one(())
}

/// A version 4 UUID: it only has to be unlikely to repeat.
fn random_uuid() -> String {
    let (high, low) = (random_u64(), random_u64());
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        (low >> 48) & 0x3fff | 0x8000,
        low & 0xffff_ffff_ffff,
    )
}
