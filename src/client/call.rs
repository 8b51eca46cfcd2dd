//! A *call* is one method call of the caller. It makes *attempts*, each signed for the instant at which it
//! is sent.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use ureq::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header};

use crate::access_key::RequestToSign;
use crate::api_version::ApiVersion;
use crate::auth::attempt::{Authentication, service_time};
use crate::auth::credential::Credential;
use crate::client::clock::Clock;
use crate::client::failure;
use crate::client::random::{random_u64, random_uuid};
use crate::client::retry::RetryPolicy;
use crate::endpoint::Endpoint;
use crate::error::{Error, ErrorKind};
use crate::http::response::Response;
use crate::http::transport::Transport;
use crate::operation::Operation;
use crate::report::CallReport;

const X_MS_CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-client-request-id");

/// How long creates avoid kept connections after one was lost.
const DISTRUST: Duration = Duration::from_secs(10 * 60);

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
    /// When a create ended in doubt without a complete response, as one does on a kept connection that the
    /// server closes at that moment.
    pub(crate) create_lost: Mutex<Option<Instant>>,
}

/// Receives the error of an attempt and the delay until the next.
pub(crate) type OnRetry = dyn Fn(&Error, Duration) + Send + Sync;

/// The state that all attempts of one call share.
pub(crate) struct Call<'a> {
    core: &'a Core,
    operation: &'a Operation,
    on_retry: Option<&'a OnRetry>,
    client_request_id: HeaderValue,
    started: Instant,
    authentication: Authentication,
    attempts: u32,
    /// Of the last attempt.
    response: Option<Response>,
    /// Whether any attempt got a response.
    has_responded: bool,
    /// Whether a failed attempt may have been processed.
    is_in_doubt: bool,
}

impl Core {
    pub(crate) fn replace_credential(&self, credential: Credential) {
        *self.credential.write().unwrap_or_else(PoisonError::into_inner) = credential;
    }

    pub(crate) fn clock_offset(&self) -> i64 {
        self.clock_offset.load(Ordering::Relaxed)
    }

    /// Returns the service's time, as far as it is known.
    pub(crate) fn service_time(&self) -> SystemTime {
        service_time(self.clock.now(), self.clock_offset())
    }

    fn has_lost_create(&self) -> bool {
        let lost = *self.create_lost.lock().unwrap_or_else(PoisonError::into_inner);
        lost.is_some_and(|at| self.clock.instant().saturating_duration_since(at) < DISTRUST)
    }

    fn note_lost_create(&self) {
        let mut lost = self.create_lost.lock().unwrap_or_else(PoisonError::into_inner);
        *lost = Some(self.clock.instant());
    }
}

impl<'a> Call<'a> {
    pub(crate) fn new(
        core: &'a Core,
        operation: &'a Operation,
        on_retry: Option<&'a OnRetry>,
    ) -> Self {
        let credential = core.credential.read().unwrap_or_else(PoisonError::into_inner).clone();
        Self {
            core,
            operation,
            on_retry,
            client_request_id: random_uuid(),
            started: core.clock.instant(),
            authentication: Authentication::new(credential, core.clock_offset()),
            attempts: 0,
            response: None,
            has_responded: false,
            is_in_doubt: false,
        }
    }

    /// Makes attempts until one succeeds or no retry is allowed.
    pub(crate) fn run<T>(
        &mut self,
        decode: impl Fn(&Response) -> Result<T, String>,
    ) -> Result<T, Error> {
        let mut new_connection = self.operation.creates_user() && self.core.has_lost_create();
        // Without the additional attempt after a 401.
        let mut number = 1;
        loop {
            let error = match self.attempt(new_connection, &decode) {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            self.is_in_doubt |= error.is_in_doubt();
            let is_incomplete = self.response.as_ref().is_none_or(Response::is_cut);
            new_connection |= is_incomplete;
            if is_incomplete && error.is_in_doubt() && self.operation.creates_user() {
                self.core.note_lost_create();
            }

            let is_unauthenticated = error.kind() == ErrorKind::Service
                && self.response.as_ref().is_some_and(|it| it.status == 401)
                && !matches!(error.code(), Some("IdentityNotOwned" | "InvalidAccessToken"));
            if error.code().is_some() && !is_unauthenticated {
                // The error is the service's own, so it accepted the signature.
                self.keep_offset();
            }
            let policy = &self.core.retry_policy;
            let delay =
                if is_unauthenticated && self.authentication.recover(self.core.clock_correction) {
                    Duration::ZERO
                } else if policy.allows_retry(number, &error, !self.operation.creates_user()) {
                    let jitter = u32::try_from(random_u64() % 401).unwrap_or_default();
                    let delay = policy.delay(number, error.retry_after(), jitter);
                    number += 1;
                    delay
                } else {
                    return Err(self.conclude(error));
                };
            if delay >= self.time_left() {
                return Err(self.conclude(error));
            }
            if let Some(on_retry) = self.on_retry {
                on_retry(&self.conclude(error.clone()), delay);
            }
            if !delay.is_zero() {
                // Unless reporting took long.
                self.core.clock.sleep(delay.min(self.time_left()));
            }
            // Sleeping may take longer than requested.
            if self.time_left().is_zero() {
                return Err(self.conclude(error));
            }
        }
    }

    /// Returns the facts of the call, for its error or an observer.
    pub(crate) fn report(&self) -> CallReport {
        let response = self.response.as_ref();
        let id = |name| response.and_then(|it| it.correlation_id(name)).map(str::to_owned);
        CallReport {
            operation: self.operation.name,
            host: self.core.endpoint.host().to_owned(),
            api_version: self.core.api_version.to_string(),
            client_request_id: self.client_request_id.to_str().unwrap_or_default().to_owned(),
            attempts: self.attempts,
            elapsed: self.elapsed(),
            status: response.map(|it| it.status.as_u16()),
            ms_cv: id("ms-cv"),
            azure_ref: id("x-azure-ref"),
            error: None,
        }
    }

    /// Authenticates the request for this instant, sends it once, and interprets the response.
    fn attempt<T>(
        &mut self,
        new_connection: bool,
        decode: impl Fn(&Response) -> Result<T, String>,
    ) -> Result<T, Error> {
        let sent = self.core.clock.now();
        let request = self.request()?;
        let time_left = self.time_left();
        if time_left.is_zero() {
            // Fetching a bearer token is not bounded by the deadline.
            let problem = "the call's deadline passed before the request could be sent";
            let mut error = Error::new(ErrorKind::Connection, problem);
            error.inner.is_transient = true;
            return Err(error);
        }
        self.attempts += 1;
        self.response = None;
        let body = &self.operation.body;
        let response = self.core.transport.send(request, body, time_left, new_connection)?;
        self.has_responded = true;
        if response.status == 401 {
            self.authentication.measure(sent, self.core.clock.now(), response.date());
        }
        let result = self.interpret(&response, decode);
        self.response = Some(response);
        result
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
        let max_wait = self.time_left();
        self.authentication.authenticate(&mut headers, &to_sign, || clock.now(), max_wait)?;

        let mut request = Request::new(());
        *request.method_mut() = method.clone();
        *request.headers_mut() = headers;
        *request.uri_mut() = Uri::try_from(url).map_err(|error| {
            Error::invalid_input("the request cannot be written as HTTP").with_source(error)
        })?;
        Ok(request)
    }

    /// Decodes the operation's success; anything else is an error.
    fn interpret<T>(
        &self,
        response: &Response,
        decode: impl Fn(&Response) -> Result<T, String>,
    ) -> Result<T, Error> {
        if response.status != self.operation.success || response.body_error.is_some() {
            let now = self.core.service_time();
            let error = failure::unexpected(response, self.operation, &self.authentication, now);
            if !self.is_already_deleted(response, &error) {
                return Err(error);
            }
        }
        // Before decoding, which may need the service's time.
        self.keep_offset();
        decode(response).map_err(|why| failure::unusable(response, self.operation, &why))
    }

    /// Whether an earlier attempt deleted the user, so that this one found nothing left to delete.
    ///
    /// The service responds to an unknown id as to one of another resource. It counts only if an earlier
    /// attempt may have deleted the user, and only with the service's own error code.
    fn is_already_deleted(&self, response: &Response, error: &Error) -> bool {
        let is_missing = match response.status.as_u16() {
            401 => error.code() == Some("IdentityNotOwned"),
            404 => error.code().is_some(),
            _ => false,
        };
        is_missing && self.is_in_doubt && self.operation.method == Method::DELETE
    }

    /// Completes the error of the last attempt with the facts of all of them.
    fn conclude(&self, mut error: Error) -> Error {
        let consequence = match (self.is_in_doubt, error.kind()) {
            (false, ErrorKind::Connection | ErrorKind::Credential) if !self.has_responded => {
                "; nothing was sent"
            }
            (true, _) if self.operation.creates_user() => {
                "; a user may have been created; its id is unknown, and calling again creates another"
            }
            (true, ErrorKind::Connection | ErrorKind::Credential) if !error.is_in_doubt() => {
                "; an earlier attempt may have been processed; repeating it does no harm"
            }
            (true, ErrorKind::Connection | ErrorKind::Timeout | ErrorKind::Transport) => {
                "; the service may have processed the request; repeating it does no harm"
            }
            _ => "",
        };
        error.inner.problem.push_str(consequence);
        error.inner.is_in_doubt = self.is_in_doubt;
        error.inner.call = Some(self.report());
        error
    }

    /// Stores the clock skew if this call measured it. If not, its own offset may be older than what
    /// other calls have measured since.
    fn keep_offset(&self) {
        if let Some(offset) = self.authentication.measured_offset() {
            self.core.clock_offset.store(offset, Ordering::Relaxed);
        }
    }

    fn elapsed(&self) -> Duration {
        self.core.clock.instant().saturating_duration_since(self.started)
    }

    fn time_left(&self) -> Duration {
        self.core.retry_policy.deadline.saturating_sub(self.elapsed())
    }
}

#[cfg(all(test, feature = "emulator"))]
mod tests;
