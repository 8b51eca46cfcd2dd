//! The one error type of the crate. Nothing else prints one.

use std::error::Error as StdError;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::time::Duration;

use crate::report::CallReport;

type Source = Arc<dyn StdError + Send + Sync>;

/// The kind of an [`Error`], which decides what to do about it.
///
/// Kinds may be added: end a `match` with `_`. The [page on errors](crate::guide::errors) has a table of
/// what to do.
///
/// # Examples
///
/// ```
/// use acs_identity::{AccessKey, ErrorKind};
///
/// let error = "".parse::<AccessKey>().unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::InvalidInput);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Your input was rejected before anything was sent.
    InvalidInput,
    /// No bearer token could be obtained, so the attempt was not sent.
    Credential,
    /// The last attempt did not reach the service: name resolution, connecting, the proxy, TLS or the
    /// certificate failed, or the deadline passed first. Unless [`Error::is_in_doubt`], the service has
    /// processed nothing, and calling again is safe.
    Connection,
    /// No response arrived in time. The service may have processed the request.
    Timeout,
    /// The connection failed after the request may have been sent. The service may have processed it.
    Transport,
    /// The service, or something in front of it, responded with a status other than success.
    Service,
    /// The response cannot be used: it is not valid HTTP, or reports success without what the operation
    /// returns. The service may have processed the request.
    Response,
}

/// The error of every function in this crate.
///
/// Branch on [`kind`](Self::kind) first, then on [`status`](Self::status) and [`code`](Self::code).
///
/// - `{error}` prints one line: the operation, what happened, what to do, and the ids that Microsoft's
///   support asks for.
/// - `{error:#}` appends the causes, such as an IO or TLS error, to that line.
/// - `{error:?}` prints the causes below it, one per line. This is what you see if `main` returns the
///   error.
///
/// None of them shows a key, a token or a connection string, except in causes that are not the client's: see
/// [secrets](crate#secrets).
///
/// # Examples
///
/// ```
/// use acs_identity::{AccessKey, ErrorKind};
///
/// let error = "not base64!".parse::<AccessKey>().unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::InvalidInput);
/// assert!(error.to_string().starts_with("accesskey is not valid base64: copy it again"));
/// ```
#[derive(Clone)]
pub struct Error {
    pub(crate) inner: Box<Inner>,
}

/// What an error holds. Who makes an error sets what it knows besides the problem.
#[derive(Clone)]
pub(crate) struct Inner {
    kind: ErrorKind,
    pub(crate) problem: String,
    pub(crate) source: Option<Source>,
    /// The service's own words, already sanitized, as are the next two.
    pub(crate) code: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) target: Option<String>,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) created_user_id: Option<String>,
    pub(crate) is_in_doubt: bool,
    pub(crate) is_transient: bool,
    pub(crate) call: Option<CallReport>,
}

impl Error {
    /// Returns the kind of failure.
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// Returns the name of the client's method that failed, such as `create_user`.
    pub fn operation(&self) -> Option<&'static str> {
        self.call().map(CallReport::operation)
    }

    /// Returns the HTTP status of the last attempt, if it got a response.
    pub fn status(&self) -> Option<u16> {
        self.call()?.status()
    }

    /// Returns the service's error code, such as `IdentityNotOwned` or `ValidationError`.
    pub fn code(&self) -> Option<&str> {
        self.inner.code.as_deref()
    }

    /// Returns the service's message, shortened to 200 characters. Anything with the form of a key or a
    /// token (40 characters or more of base64) is redacted; user ids are not.
    pub fn message(&self) -> Option<&str> {
        self.inner.message.as_deref()
    }

    /// Returns the part of the request that the service rejected, such as `ExpiresInMinutes`.
    pub fn target(&self) -> Option<&str> {
        self.inner.target.as_deref()
    }

    /// Returns the `MS-CV` header of the last response, which Microsoft's support asks for.
    pub fn ms_cv(&self) -> Option<&str> {
        self.call()?.ms_cv()
    }

    /// Returns the `X-Azure-Ref` header of the last response, which Azure Front Door adds.
    pub fn azure_ref(&self) -> Option<&str> {
        self.call()?.azure_ref()
    }

    /// Returns the `x-ms-client-request-id` header that all attempts of the call carried.
    pub fn client_request_id(&self) -> Option<&str> {
        self.call().map(CallReport::client_request_id)
    }

    /// Returns the delay that the service asked for before the next attempt.
    pub fn retry_after(&self) -> Option<Duration> {
        self.inner.retry_after
    }

    /// Returns the id of a user that was created although the call failed.
    ///
    /// Use or delete that user: users cannot be listed, so the id is nowhere else.
    pub fn created_user_id(&self) -> Option<&str> {
        self.inner.created_user_id.as_deref()
    }

    /// Returns whether the service may have processed an attempt although the call failed.
    ///
    /// If the call was to create a user, an orphaned user may exist, with an id that is unknown. Every
    /// other call can be repeated without harm.
    pub fn is_in_doubt(&self) -> bool {
        self.inner.is_in_doubt
    }

    /// Returns whether the same call may succeed later without any change.
    ///
    /// True for the failures that the client itself [retries](crate::RetryPolicy): a service that is
    /// throttled, busy or cannot be reached. False for those that need a change first, such as a
    /// rejected key, an untrusted certificate or a proxy that requires a login.
    pub fn is_transient(&self) -> bool {
        self.inner.is_transient
    }

    /// Returns how many attempts the call made; 0 if it failed before the first.
    pub fn attempts(&self) -> u32 {
        self.call().map_or(0, CallReport::attempts)
    }

    /// Returns how long the call took, including the backoff between attempts.
    pub fn elapsed(&self) -> Duration {
        self.call().map_or(Duration::ZERO, CallReport::elapsed)
    }

    pub(crate) fn new(kind: ErrorKind, problem: impl Into<String>) -> Self {
        Self {
            inner: Box::new(Inner {
                kind,
                problem: problem.into(),
                source: None,
                code: None,
                message: None,
                target: None,
                retry_after: None,
                created_user_id: None,
                is_in_doubt: false,
                is_transient: false,
                call: None,
            }),
        }
    }

    pub(crate) fn invalid_input(problem: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidInput, problem)
    }

    pub(crate) fn with_source(
        mut self,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        self.inner.source = Some(Arc::from(source.into()));
        self
    }

    fn call(&self) -> Option<&CallReport> {
        self.inner.call.as_ref()
    }

    fn causes(&self) -> impl Iterator<Item = &(dyn StdError + 'static)> {
        std::iter::successors(self.source(), |cause| (*cause).source())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problem = &self.inner.problem;
        match self.call() {
            Some(call) => write_with_call(f, problem, call)?,
            None => f.write_str(problem)?,
        }
        if f.alternate() {
            for cause in self.causes() {
                write!(f, ": {cause}")?;
            }
        }
        Ok(())
    }
}

/// Writes the problem between the operation and the ids for Microsoft's support.
fn write_with_call(f: &mut fmt::Formatter<'_>, problem: &str, call: &CallReport) -> fmt::Result {
    write!(f, "{}: {problem}", call.operation())?;
    if call.attempts() > 1 {
        // Not as a float, whose formatting would be linked into every program.
        let elapsed = call.elapsed();
        let tenths = elapsed.as_secs() * 10 + u64::from(elapsed.subsec_millis() + 50) / 100;
        write!(f, " ({} attempts in {}.{} s)", call.attempts(), tenths / 10, tenths % 10)?;
    }
    write!(f, " [host {}, api-version {}", call.host, call.api_version)?;
    write!(f, ", client-request-id {}", call.client_request_id())?;
    for (name, value) in [("ms-cv", call.ms_cv()), ("x-azure-ref", call.azure_ref())] {
        if let Some(value) = value {
            write!(f, ", {name} {value}")?;
        }
    }
    f.write_str("]")
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        for cause in self.causes() {
            write!(f, "\ncaused by: {cause}")?;
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.inner.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

// The boxed cause does not declare it; nothing in an error changes once it is made.
impl UnwindSafe for Error {}
impl RefUnwindSafe for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_text_rounds_the_elapsed_time_to_tenths_of_seconds() {
        for (millis, told) in [(12_349, "12.3"), (12_350, "12.4"), (59_999, "60.0"), (49, "0.0")] {
            let mut error = Error::new(ErrorKind::Timeout, "no response");
            error.inner.call = Some(CallReport {
                operation: "create_user",
                host: "h".to_owned(),
                api_version: "v".to_owned(),
                client_request_id: "id".to_owned(),
                attempts: 2,
                elapsed: Duration::from_millis(millis),
                status: None,
                ms_cv: None,
                azure_ref: None,
                error: None,
            });
            assert!(error.to_string().contains(&format!(" (2 attempts in {told} s) ")), "{error}");
        }
    }
}
