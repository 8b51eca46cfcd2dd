//! A *call* is what the caller asked for; it makes *attempts*, each signed anew for the instant it
//! is sent at.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use ureq::http::{HeaderValue, Method, Request};

use crate::api_version::ApiVersion;
use crate::authentication::{Authentication, shifted};
use crate::clock::Clock;
use crate::credential::Credential;
use crate::endpoint::Endpoint;
use crate::error::{Error, ErrorKind, RequestContext};
use crate::operation::Operation;
use crate::report::CallReport;
use crate::response::{Reader, Reply};
use crate::retry::{FailedAttempt, Outcome, RetryPolicy};
use crate::signing::RequestToSign;
use crate::transport::{Limits, Transport};

/// What web servers take in the first line of a request. Much longer ones do not fit the
/// transport's buffer, and would fail as if the network had.
const MAX_TARGET_BYTES: usize = 8 * 1024;

/// Far more than any token needs, and what a socket takes without waiting: sending never stalls.
const MAX_BODY_BYTES: usize = 64 * 1024;

const ID_TOO_LONG: &str = "the user id is too long to be sent: expected 8:acs:<resource>_<user>";
const BODY_TOO_LONG: &str =
    "the request's body is longer than 64 KiB: are the scopes or the token what they should be?";

pub(crate) struct Pipeline {
    pub(crate) endpoint: Endpoint,
    pub(crate) credential: RwLock<Credential>,
    pub(crate) api_version: ApiVersion,
    pub(crate) user_agent: HeaderValue,
    pub(crate) connect_timeout: Duration,
    pub(crate) timeout: Duration,
    pub(crate) retry_policy: RetryPolicy,
    pub(crate) transport: Transport,
    pub(crate) clock: Box<dyn Clock>,
    pub(crate) clock_correction: bool,
    /// Seconds from our clock to the service's, once ours was found to be wrong.
    pub(crate) clock_offset: AtomicI64,
}

/// Hears how each call went.
pub(crate) type Observer = dyn Fn(&CallReport) + Send + Sync;

/// What the attempts of one call share.
struct Call<'a> {
    operation: &'a Operation,
    context: RequestContext,
    started: Instant,
    authentication: Authentication,
    attempts: u32,
    /// Whether an attempt that failed may have done its work all the same.
    in_doubt: bool,
    /// Kept only if somebody wants to hear it.
    report: Option<CallReport>,
}

impl Pipeline {
    pub(crate) fn call<T>(
        &self,
        operation: &Operation,
        read: impl Fn(&Reader, Reply) -> Result<T, Error>,
        observer: Option<&Observer>,
    ) -> Result<T, Error> {
        let client_request_id = random_uuid();
        let mut call = Call {
            operation,
            started: self.clock.instant(),
            authentication: Authentication::new(self.credential(), self.clock_offset()),
            attempts: 0,
            in_doubt: false,
            report: observer.map(|_| CallReport::new(operation.name, &client_request_id)),
            context: RequestContext {
                operation: operation.name,
                host: self.endpoint.host().to_owned(),
                api_version: self.api_version.to_string(),
                client_request_id,
            },
        };
        let result = self.repeat(&mut call, read);
        if let (Some(observer), Some(mut report)) = (observer, call.report.take()) {
            report.finish(result.is_ok(), call.attempts, self.elapsed(&call));
            observer(&report);
        }
        result
    }

    fn credential(&self) -> Credential {
        self.credential.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn replace_credential(&self, credential: Credential) {
        *self.credential.write().unwrap_or_else(PoisonError::into_inner) = credential;
    }

    pub(crate) fn clock_offset(&self) -> i64 {
        self.clock_offset.load(Ordering::Relaxed)
    }

    /// The service's time, as far as we know it.
    pub(crate) fn service_time(&self) -> SystemTime {
        shifted(self.clock.now(), self.clock_offset())
    }

    fn repeat<T>(
        &self,
        call: &mut Call<'_>,
        read: impl Fn(&Reader, Reply) -> Result<T, Error>,
    ) -> Result<T, Error> {
        loop {
            let error = match self.attempt(call, &read) {
                Ok(value) => {
                    self.keep_offset(call);
                    return Ok(value);
                }
                Err(error) => error.with_request(&call.context),
            };
            // An answer of the service itself: it took the signature.
            if error.code().is_some() && !is_about_the_credential(&error) {
                self.keep_offset(call);
            }
            let outcome = Outcome::of(&error);
            call.in_doubt |= leaves_doubt(&error, outcome);
            if is_about_the_credential(&error)
                && call.authentication.recover(self.clock_correction)
                && !self.time_left(call).is_zero()
            {
                continue;
            }
            let delay = self.retry_policy.next_delay(&FailedAttempt {
                number: call.tries(),
                outcome,
                repeatable: call.operation.repeatable,
                server_delay: error.retry_after(),
                elapsed: self.elapsed(call),
                jitter: u32::try_from(random_u64() % 401).unwrap_or_default(),
            });
            if let Some(delay) = delay {
                self.clock.sleep(delay);
            }
            // Sleeping may take longer than was asked for.
            if delay.is_none() || self.time_left(call).is_zero() {
                let error = call.failed(error, self.elapsed(call));
                if call.operation.method == Method::DELETE && was_gone_already(&error) {
                    return read(&self.reader(call), Reply::no_content());
                }
                return Err(error);
            }
        }
    }

    /// Authenticates the request for this instant, sends it once and reads the answer.
    fn attempt<T>(
        &self,
        call: &mut Call<'_>,
        read: impl Fn(&Reader, Reply) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let request = self.request(call)?;
        let time_left = self.time_left(call);
        if time_left.is_zero() {
            // A source of bearer tokens takes the time that it takes.
            return Err(Error::new(
                ErrorKind::Connection,
                "the call's deadline passed before the request could be sent",
            ));
        }
        let limits = Limits::new(self.connect_timeout, self.timeout.min(time_left));
        call.attempts += 1;
        let sent = self.clock.now();
        let reply = self.transport.send(request, &call.operation.body, limits)?;
        let received = self.clock.now();
        call.authentication.measure(sent, received, &reply.headers);
        if let Some(report) = &mut call.report {
            report.answered(reply.status, &reply.headers);
        }
        read(&self.reader(call), reply)
    }

    /// Reads what arrives now.
    fn reader(&self, call: &Call<'_>) -> Reader {
        Reader { now: self.clock.now(), authenticated: call.authentication.means() }
    }

    fn request(&self, call: &mut Call<'_>) -> Result<Request<()>, Error> {
        let Operation { method, path, body, .. } = call.operation;
        let host = self.endpoint.host();
        let target = format!("{path}?api-version={}", self.api_version);
        if target.len() > MAX_TARGET_BYTES {
            return Err(Error::invalid_input(ID_TOO_LONG));
        }
        if body.len() > MAX_BODY_BYTES {
            return Err(Error::invalid_input(BODY_TOO_LONG));
        }
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{target}", self.endpoint))
            .header("host", host)
            .header("accept", "application/json")
            .header("user-agent", &self.user_agent)
            .header("x-ms-client-request-id", &call.context.client_request_id);
        if !body.is_empty() {
            request = request.header("content-type", "application/json");
        }
        let to_sign =
            RequestToSign { method: method.as_str(), host, path_and_query: &target, body };
        let request = call.authentication.authenticate(
            request,
            &to_sign,
            || self.clock.now(),
            self.time_left(call),
        )?;
        request.body(()).map_err(|error| {
            Error::invalid_input("the request cannot be written as HTTP").with_source(error)
        })
    }

    /// Remembers what a call found out about the clock, and only that: the call may be older than
    /// what others found out since.
    fn keep_offset(&self, call: &Call<'_>) {
        if let Some(offset) = call.authentication.offset_found() {
            self.clock_offset.store(offset, Ordering::Relaxed);
        }
    }

    fn elapsed(&self, call: &Call<'_>) -> Duration {
        self.clock.instant().saturating_duration_since(call.started)
    }

    fn time_left(&self, call: &Call<'_>) -> Duration {
        self.retry_policy.remaining(self.elapsed(call))
    }
}

impl Call<'_> {
    /// The attempts, without the one that another credential or time has replaced.
    fn tries(&self) -> u32 {
        self.attempts - u32::from(self.authentication.has_recovered())
    }

    /// The error of the last attempt, with what is known of all of them.
    fn failed(&self, error: Error, elapsed: Duration) -> Error {
        let error = error.with_attempts(self.attempts, self.tries(), elapsed);
        if !self.in_doubt {
            return error;
        }
        let consequence = match error.kind() {
            _ if !self.operation.repeatable => {
                Some("a user may have been created whose id nobody knows")
            }
            ErrorKind::Timeout | ErrorKind::Transport => {
                Some("the service may have done it all the same; repeating it does no harm")
            }
            _ => None,
        };
        error.in_doubt(consequence)
    }
}

/// A 401 that a wrong clock or an old bearer token can cause, unlike one about an id or an
/// exchanged token.
fn is_about_the_credential(error: &Error) -> bool {
    error.status() == Some(401)
        && !matches!(error.code(), Some("IdentityNotOwned" | "InvalidAccessToken"))
}

/// Whether the service may have done its work although the attempt failed.
fn leaves_doubt(error: &Error, outcome: Outcome) -> bool {
    // A success that cannot be read did its work; nothing is in doubt if the id is known.
    outcome.may_have_been_processed()
        || error.kind() == ErrorKind::Response && error.created_user_id().is_none()
}

/// Whether an earlier attempt of a delete did it, so that the last one found nothing to delete.
fn was_gone_already(error: &Error) -> bool {
    // An unknown id is answered as one of another resource: believed only if an earlier attempt may
    // have deleted it.
    error.is_repeated() && error.status() == Some(404)
        || error.is_in_doubt() && error.code() == Some("IdentityNotOwned")
}

fn random_u64() -> u64 {
    // std seeds its hash maps with randomness from the system; that is all that is needed here.
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

#[cfg(all(test, feature = "emulator"))]
mod tests;
