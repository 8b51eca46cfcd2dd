//! The one error type of the crate, and the record of the call that it is about.

use std::error::Error as StdError;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::time::Duration;

pub(crate) mod advice;
pub(crate) mod excerpt;

type Source = Arc<dyn StdError + Send + Sync>;

/// The kind of an [`Error`], which decides what to do about it.
///
/// Kinds may be added: end a `match` with `_`. The [page on errors](crate::guide::errors) has a table of
/// what to do.
///
/// # Examples
///
/// ```
/// use acs_identity::ErrorKind;
///
/// assert_eq!(ErrorKind::Connection.to_string(), "connection");
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
    /// The connection failed once the request was on its way. The service may have processed it.
    Transport,
    /// The service, or something in front of it, responded with a status other than success.
    Service,
    /// The response cannot be used: it is not valid HTTP, or reports success without what the operation
    /// returns. The service may have processed the request.
    Response,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidInput => "invalid input",
            Self::Credential => "credential",
            Self::Connection => "connection",
            Self::Timeout => "timeout",
            Self::Transport => "transport",
            Self::Service => "service",
            Self::Response => "response",
        })
    }
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
/// None of them shows a key, a token or a connection string. The causes of a failed
/// [bearer token source](crate::TokenCredential) are that source's own.
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
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    problem: String,
    source: Option<Source>,
    call: Option<CallRecord>,
    service: ServiceError,
    retry_after: Option<Duration>,
    created_user_id: Option<String>,
    in_doubt: bool,
}

/// The facts of one call besides its result, shared by errors and reports.
#[derive(Clone, Debug)]
pub(crate) struct CallRecord {
    pub(crate) operation: &'static str,
    pub(crate) host: String,
    pub(crate) api_version: String,
    pub(crate) client_request_id: String,
    pub(crate) attempts: u32,
    pub(crate) elapsed: Duration,
    /// Of the last attempt, as are the two ids below, if it got a response.
    pub(crate) status: Option<u16>,
    pub(crate) ms_cv: Option<String>,
    pub(crate) azure_ref: Option<String>,
}

/// The service's error envelope, already cleaned of line breaks and of anything like a secret.
#[derive(Clone, Default)]
pub(crate) struct ServiceError {
    pub(crate) code: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) target: Option<String>,
    pub(crate) details: Vec<ErrorDetail>,
}

/// A cause that the service lists below its error; see [`Error::details`].
///
/// # Examples
///
/// ```
/// use acs_identity::CommunicationIdentityClient;
/// use acs_identity::emulator::{Emulator, Fault};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let emulator = Emulator::start()?;
/// emulator.inject(Fault::respond(400).body(
///     r#"{"error":{"code":"Outer","message":"m","innererror":{"code":"Inner"}}}"#,
/// ));
/// let text = emulator.connection_string();
/// let client = CommunicationIdentityClient::from_connection_string(&text)?;
///
/// let error = client.create_user().unwrap_err();
/// assert_eq!(error.details()[0].code(), Some("Inner"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorDetail {
    pub(crate) code: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) target: Option<String>,
}

impl ErrorDetail {
    /// Returns the service's code for this cause.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// Returns the service's message.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// Returns the part of the request that this cause is about.
    #[must_use]
    pub fn target(&self) -> Option<&str> {
        self.target.as_deref()
    }
}

impl Error {
    /// Returns the kind of failure.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns the HTTP status of the last attempt, if it got a response.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.0.call.as_ref()?.status
    }

    /// Returns the service's error code, such as `IdentityNotOwned` or `ValidationError`.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.0.service.code.as_deref()
    }

    /// Returns the service's message, shortened to 200 characters. Anything that may be a key or a token
    /// (40 characters or more without a space) is redacted; user ids are not.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.0.service.message.as_deref()
    }

    /// Returns the part of the request that the service rejected, such as `ExpiresInMinutes`.
    #[must_use]
    pub fn target(&self) -> Option<&str> {
        self.0.service.target.as_deref()
    }

    /// Returns the causes that the service lists below its error (`details` and `innererror`), from
    /// the outside in; at most 16, usually none.
    #[must_use]
    pub fn details(&self) -> &[ErrorDetail] {
        &self.0.service.details
    }

    /// Returns the `MS-CV` header of the last response, which Microsoft's support asks for.
    #[must_use]
    pub fn ms_cv(&self) -> Option<&str> {
        self.0.call.as_ref()?.ms_cv.as_deref()
    }

    /// Returns the `X-Azure-Ref` header of the last response, which Azure Front Door adds.
    #[must_use]
    pub fn azure_ref(&self) -> Option<&str> {
        self.0.call.as_ref()?.azure_ref.as_deref()
    }

    /// Returns the `x-ms-client-request-id` header that all attempts of the call carried.
    #[must_use]
    pub fn client_request_id(&self) -> Option<&str> {
        self.0.call.as_ref().map(|call| call.client_request_id.as_str())
    }

    /// Returns the delay that the service asked for before the next attempt.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Returns the id of a user that was created although the call failed.
    ///
    /// Use or delete that user: users cannot be listed, so the id is nowhere else. With a custom id, the
    /// user may have existed before.
    #[must_use]
    pub fn created_user_id(&self) -> Option<&str> {
        self.0.created_user_id.as_deref()
    }

    /// Returns whether the service may have processed an attempt although the call failed.
    ///
    /// If the call was to create a user, an orphaned user may exist whose id nobody knows. Every other
    /// call can be repeated without harm.
    #[must_use]
    pub fn is_in_doubt(&self) -> bool {
        self.0.in_doubt
    }

    /// Returns how many attempts the call made; 0 if it failed before the first.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.0.call.as_ref().map_or(0, |call| call.attempts)
    }

    /// Returns how long the call took, including the backoff between attempts.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.call.as_ref().map_or(Duration::ZERO, |call| call.elapsed)
    }

    pub(crate) fn new(kind: ErrorKind, problem: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            problem: problem.into(),
            source: None,
            call: None,
            service: ServiceError::default(),
            retry_after: None,
            created_user_id: None,
            in_doubt: false,
        }))
    }

    pub(crate) fn invalid_input(problem: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidInput, problem)
    }

    pub(crate) fn with_source(
        mut self,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        self.0.source = Some(Arc::from(source.into()));
        self
    }

    pub(crate) fn with_service(mut self, service: ServiceError) -> Self {
        self.0.service = service;
        self
    }

    pub(crate) fn with_retry_after(mut self, delay: Option<Duration>) -> Self {
        self.0.retry_after = delay;
        self
    }

    pub(crate) fn with_created_user(mut self, id: &str) -> Self {
        self.0.created_user_id = Some(id.to_owned());
        self
    }

    pub(crate) fn with_call(mut self, call: CallRecord) -> Self {
        self.0.call = Some(call);
        self
    }

    /// Marks the call as one that may have been processed.
    pub(crate) fn mark_in_doubt(mut self) -> Self {
        self.0.in_doubt = true;
        self
    }

    pub(crate) fn with_consequence(mut self, consequence: &str) -> Self {
        self.0.problem.extend(["; ", consequence]);
        self
    }

    pub(crate) fn call(&self) -> Option<&CallRecord> {
        self.0.call.as_ref()
    }

    fn causes(&self) -> impl Iterator<Item = &(dyn StdError + 'static)> {
        std::iter::successors(self.source(), |cause| (*cause).source())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problem = &self.0.problem;
        match &self.0.call {
            Some(call) => call.frame(f, problem)?,
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

impl CallRecord {
    /// Writes the problem between the operation and the ids for Microsoft's support.
    fn frame(&self, f: &mut fmt::Formatter<'_>, problem: &str) -> fmt::Result {
        write!(f, "{}: {problem}", self.operation)?;
        if self.attempts > 1 {
            // Not as a float, whose formatting would be linked into every program.
            let tenths =
                self.elapsed.as_secs() * 10 + u64::from(self.elapsed.subsec_millis() + 50) / 100;
            write!(f, " ({} attempts in {}.{} s)", self.attempts, tenths / 10, tenths % 10)?;
        }
        write!(f, " [host {}, api-version {}", self.host, self.api_version)?;
        write!(f, ", client-request-id {}", self.client_request_id)?;
        for (name, value) in [("ms-cv", &self.ms_cv), ("x-azure-ref", &self.azure_ref)] {
            if let Some(value) = value {
                write!(f, ", {name} {value}")?;
            }
        }
        f.write_str("]")
    }
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
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

// The boxed cause does not declare it; nothing in an error changes once it is made.
impl UnwindSafe for Error {}
impl RefUnwindSafe for Error {}

#[cfg(test)]
mod tests;
