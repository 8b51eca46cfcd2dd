//! A *call* is one method call of the caller. It makes *attempts*, each signed anew for the instant at
//! which it is sent.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use ureq::http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, header};

use crate::api_version::ApiVersion;
use crate::auth::access_key::RequestToSign;
use crate::auth::attempt::{Authentication, service_time};
use crate::auth::bearer::Credential;
use crate::client::clock::Clock;
use crate::client::random::{random_u64, random_uuid};
use crate::client::retry::{FailedAttempt, RetryPolicy};
use crate::endpoint::Endpoint;
use crate::error::advice::Refusal;
use crate::error::excerpt::{excerpt, without_cut_word};
use crate::error::{CallRecord, Error, ErrorKind, ServiceError};
use crate::http::decode::{Undecodable, created_user};
use crate::http::failure::Failure;
use crate::http::outcome::Outcome;
use crate::http::reply::{Flaw, Reply};
use crate::http::transport::Transport;
use crate::operation::Operation;

const X_MS_CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-client-request-id");

/// What all clones of a client share.
pub(crate) struct Core {
    pub(crate) endpoint: Endpoint,
    pub(crate) host: HeaderValue,
    pub(crate) credential: RwLock<Credential>,
    pub(crate) api_version: ApiVersion,
    pub(crate) user_agent: HeaderValue,
    pub(crate) retry_policy: RetryPolicy,
    pub(crate) transport: Transport,
    pub(crate) clock: Box<dyn Clock>,
    pub(crate) clock_correction: bool,
    /// Seconds from our clock to the service's, or 0 until ours was found to be wrong.
    pub(crate) clock_offset: AtomicI64,
}

/// The state that all attempts of one call share.
pub(crate) struct Call<'a> {
    core: &'a Core,
    operation: &'a Operation,
    client_request_id: HeaderValue,
    started: Instant,
    authentication: Authentication,
    attempts: u32,
    /// Whether an attempt got a response.
    responded: bool,
    /// Whether a failed attempt may have been processed.
    in_doubt: bool,
}

impl Core {
    pub(crate) fn replace_credential(&self, credential: Credential) {
        *self.credential.write().unwrap_or_else(PoisonError::into_inner) = credential;
    }

    pub(crate) fn clock_offset(&self) -> i64 {
        self.clock_offset.load(Ordering::Relaxed)
    }

    /// The service's time, as far as it is known.
    pub(crate) fn service_time(&self) -> SystemTime {
        service_time(self.clock.now(), self.clock_offset())
    }
}

impl<'a> Call<'a> {
    pub(crate) fn new(core: &'a Core, operation: &'a Operation) -> Self {
        let credential = core.credential.read().unwrap_or_else(PoisonError::into_inner).clone();
        Self {
            core,
            operation,
            client_request_id: random_uuid(),
            started: core.clock.instant(),
            authentication: Authentication::new(credential, core.clock_offset()),
            attempts: 0,
            responded: false,
            in_doubt: false,
        }
    }

    /// Makes attempts until one succeeds or another makes no sense.
    ///
    /// Returns the response of the success. For a delete, that may be one that says that the user no
    /// longer exists.
    pub(crate) fn run(&mut self) -> Result<Reply, Error> {
        loop {
            let sent = self.core.clock.now();
            let (failure, reply) = match self.attempt() {
                Ok(reply) if self.is_success(&reply) => {
                    self.keep_offset();
                    return Ok(reply);
                }
                Ok(mut reply) => {
                    self.responded = true;
                    let service = reply.service_error();
                    if self.is_done_already(&reply, &service) {
                        self.keep_offset();
                        return Ok(reply);
                    }
                    if reply.status == 401 {
                        self.authentication.measure(sent, self.core.clock.now(), reply.date());
                    }
                    (self.failure(&mut reply, service), Some(reply))
                }
                Err(failure) => (failure, None),
            };
            let Failure { outcome, error } = failure;
            self.in_doubt |= outcome.maybe_processed;

            let is_unauthenticated = reply.as_ref().is_some_and(|reply| {
                reply.status == 401
                    && !matches!(error.code(), Some("IdentityNotOwned" | "InvalidAccessToken"))
            });
            if error.code().is_some() && !is_unauthenticated {
                // The error is the service's own, so it accepted the signature.
                self.keep_offset();
            }
            let delay = self.core.retry_policy.next_delay(&FailedAttempt {
                number: self.retries_counted(),
                outcome,
                reauthenticated: is_unauthenticated
                    && self.authentication.recover(self.core.clock_correction),
                repeatable: self.operation.repeatable,
                server_delay: error.retry_after(),
                elapsed: self.elapsed(),
                jitter: u32::try_from(random_u64() % 401).unwrap_or_default(),
            });
            match delay {
                Some(Duration::ZERO) => {}
                Some(delay) => self.core.clock.sleep(delay),
                None => return Err(self.failed(error, reply.as_ref())),
            }
            // Sleeping may take longer than requested.
            if self.time_to_begin().is_zero() {
                return Err(self.failed(error, reply.as_ref()));
            }
        }
    }

    /// The facts of the call, for its error or an observer.
    pub(crate) fn record(&self, reply: Option<&Reply>) -> CallRecord {
        CallRecord {
            operation: self.operation.name,
            host: self.core.endpoint.host().to_owned(),
            api_version: self.core.api_version.to_string(),
            client_request_id: self.client_request_id.to_str().unwrap_or_default().to_owned(),
            attempts: self.attempts,
            elapsed: self.elapsed(),
            status: reply.map(|reply| reply.status.as_u16()),
            ms_cv: self.correlation_id(reply, "ms-cv"),
            azure_ref: self.correlation_id(reply, "x-azure-ref"),
        }
    }

    fn correlation_id(&self, reply: Option<&Reply>, name: &str) -> Option<String> {
        let id = reply?.correlation_id(name)?;
        (!self.authentication.has_sent(id)).then(|| id.to_owned())
    }

    /// The error for a success that cannot be used.
    pub(crate) fn undecodable(&mut self, reply: &Reply, why: Undecodable) -> Error {
        let Failure { outcome, mut error } = self.unusable(reply, why.problem);
        if let Some(cause) = why.cause {
            error = error.with_source(cause);
        }
        self.in_doubt |= outcome.maybe_processed;
        self.failed(error, Some(reply))
    }

    /// Authenticates the request for this instant and sends it once.
    fn attempt(&mut self) -> Result<Reply, Failure> {
        let unsent = |error| Failure { outcome: Outcome::SETTLED, error };
        let request = self.request().map_err(unsent)?;
        if self.time_to_begin().is_zero() {
            // A source of bearer tokens may take as long as it likes.
            let problem =
                "too little of the call's deadline was left when the request could be sent";
            return Err(unsent(Error::new(ErrorKind::Connection, problem)));
        }
        self.attempts += 1;
        let Operation { body, repeatable, .. } = self.operation;
        self.core.transport.send(request, body, self.time_left(), *repeatable)
    }

    fn request(&mut self) -> Result<Request<()>, Error> {
        let Core { endpoint, api_version, clock, .. } = self.core;
        let Operation { method, path, body, .. } = self.operation;
        // The signed target is a slice of the URL that is sent.
        let url = [endpoint.as_str(), path, "?api-version=", api_version.as_str()].concat();
        let to_sign = RequestToSign {
            method: method.as_str(),
            host: endpoint.host(),
            path_and_query: url.strip_prefix(endpoint.as_str()).unwrap_or_default(),
            body,
        };
        // At most nine.
        let mut headers = HeaderMap::with_capacity(12);
        headers.insert(header::HOST, self.core.host.clone());
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(header::USER_AGENT, self.core.user_agent.clone());
        headers.insert(X_MS_CLIENT_REQUEST_ID, self.client_request_id.clone());
        if !body.is_empty() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let patience = self.core.retry_policy.limit().saturating_sub(self.elapsed());
        self.authentication.authenticate(&mut headers, &to_sign, || clock.now(), patience)?;

        let mut request = Request::new(());
        *request.method_mut() = method.clone();
        *request.headers_mut() = headers;
        *request.uri_mut() = Uri::try_from(url).map_err(|error| {
            Error::invalid_input("the request cannot be written as HTTP").with_source(error)
        })?;
        Ok(request)
    }

    /// Whether it is the operation's success, with its whole body.
    fn is_success(&self, reply: &Reply) -> bool {
        reply.status == self.operation.success && reply.flaw.is_none()
    }

    /// Whether an earlier attempt did the work, so that this one found nothing left to do.
    fn is_done_already(&self, reply: &Reply, service: &ServiceError) -> bool {
        // The service responds to an unknown id as to one of another resource. It counts only if an
        // earlier attempt may have deleted the user, and only in the service's own envelope.
        let is_missing = match reply.status.as_u16() {
            401 => service.code.as_deref() == Some("IdentityNotOwned"),
            404 => service.code.is_some(),
            _ => false,
        };
        is_missing && self.operation.missing_is_done && self.in_doubt
    }

    /// The failure that a response other than the operation's success means.
    fn failure(&self, reply: &mut Reply, service: ServiceError) -> Failure {
        let mut failure = if reply.status.is_success() {
            let problem = match reply.flaw {
                Some(Flaw::TooLong) => "its body is longer than 1 MiB".to_owned(),
                Some(Flaw::Cut(_)) => "its body broke off".to_owned(),
                None => format!("{} was expected", self.operation.success),
            };
            self.unusable(reply, &problem)
        } else {
            self.refusal(reply, service)
        };
        if let Some(Flaw::Cut(cause)) = reply.flaw.take() {
            failure.error = failure.error.with_source(cause);
        }
        failure
    }

    fn refusal(&self, reply: &Reply, service: ServiceError) -> Failure {
        let refusal = Refusal {
            status: reply.status.as_u16(),
            service: &service,
            retry_after: reply.retry_after(self.core.clock.now()),
            location: reply.header("location"),
            authenticated: self.authentication.means(),
            clock_skew: self.authentication.notable_skew(),
        };
        let mut problem = describe(reply, &service);
        if let Some(advice) = refusal.advice() {
            problem.extend(["; ", &advice]);
        }
        let retry_after = refusal.retry_after;
        let is_service = service.code.is_some() || retry_after.is_some();
        let error = Error::new(ErrorKind::Service, problem)
            .with_service(service)
            .with_retry_after(retry_after);
        Failure { outcome: Outcome::of_reply(reply, is_service), error }
    }

    /// The failure of a success that lacks what the operation returns.
    fn unusable(&self, reply: &Reply, problem: &str) -> Failure {
        let status = reply.status.as_str();
        let mut problem = format!("the service reported success ({status}), but {problem}");
        let user = created_user(reply).filter(|_| self.operation.creates_user);
        let Some(user) = user else {
            let error = Error::new(ErrorKind::Response, problem);
            return Failure { outcome: Outcome::of_reply(reply, true), error };
        };
        let id = user.identifier();
        let shown = excerpt(id);
        if self.operation.repeatable {
            // With a custom id, it may have existed before.
            problem.extend(["; the user is ", &shown]);
        } else {
            problem.extend([
                "; the user ",
                &shown,
                " was created: issue a token for it or delete it",
            ]);
        }
        let error = Error::new(ErrorKind::Response, problem).with_created_user(id);
        // The id is known: nothing is in doubt, and there is nothing to retry.
        Failure { outcome: Outcome::SETTLED, error }
    }

    /// The error of the last attempt, with the facts of all of them.
    fn failed(&self, error: Error, reply: Option<&Reply>) -> Error {
        // Whatever the attempts did, they did it to the one user that has the custom id.
        let is_known = self.operation.repeatable && error.created_user_id().is_some();
        let in_doubt = self.in_doubt && !is_known;
        let consequence = match (in_doubt, error.kind()) {
            (false, ErrorKind::Connection) if !self.responded => Some("nothing was sent"),
            (true, _) if !self.operation.repeatable => Some(
                "an orphaned user may exist whose id nobody knows, and calling again creates another",
            ),
            (true, ErrorKind::Timeout | ErrorKind::Transport) => {
                Some("the service may have processed the request; repeating it does no harm")
            }
            (true, ErrorKind::Connection | ErrorKind::Credential) => {
                Some("an earlier attempt may have been processed; repeating it does no harm")
            }
            _ => None,
        };
        let error = match consequence {
            Some(consequence) => error.with_consequence(consequence),
            None => error,
        };
        let error = if in_doubt { error.mark_in_doubt() } else { error };
        error.with_call(self.record(reply))
    }

    /// Stores the clock skew if this call measured it. If not, its own offset may be older than what
    /// other calls have measured since.
    fn keep_offset(&self) {
        if let Some(offset) = self.authentication.offset_found() {
            self.core.clock_offset.store(offset, Ordering::Relaxed);
        }
    }

    /// The attempts, without the additional one after a 401.
    fn retries_counted(&self) -> u32 {
        self.attempts - u32::from(self.authentication.has_recovered())
    }

    fn elapsed(&self) -> Duration {
        self.core.clock.instant().saturating_duration_since(self.started)
    }

    fn time_left(&self) -> Duration {
        self.core.retry_policy.time_to_begin(self.elapsed(), true)
    }

    fn time_to_begin(&self) -> Duration {
        self.core.retry_policy.time_to_begin(self.elapsed(), self.operation.repeatable)
    }
}

/// Describes the response of the service, or of something in front of it.
fn describe(reply: &Reply, service: &ServiceError) -> String {
    let mut problem = format!("the service responded with {}", reply.status.as_str());
    match (&service.code, reply.status.canonical_reason()) {
        (Some(code), _) => problem.extend([" ", code]),
        (None, Some(reason)) => problem.extend([" ", reason]),
        (None, None) => {}
    }
    match &service.message {
        Some(message) => problem.extend([": ", message.trim_end_matches('.')]),
        None if service.code.is_none() => {
            let body = String::from_utf8_lossy(&reply.body);
            let text = excerpt(if reply.is_whole() { &body } else { without_cut_word(&body) });
            if !text.is_empty() {
                problem.extend([": ", &text]);
            }
        }
        None => {}
    }
    if let Some(target) = &service.target {
        problem.extend([" (target ", target, ")"]);
    }
    problem
}

#[cfg(all(test, feature = "emulator"))]
mod tests;
