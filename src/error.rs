//! The one error type of the crate.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

type Source = Arc<dyn StdError + Send + Sync>;

/// What kind of failure an [`Error`] is, and so what to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The caller's input was refused; nothing was sent.
    InvalidInput,
    /// The source of bearer tokens failed, so the request was not sent.
    Credential,
    /// The request never reached the service (name resolution, connecting, TLS); sending it again
    /// is safe.
    Connection,
    /// The answer did not come in time; the service may have processed the request.
    Timeout,
    /// The connection failed after the request was on its way; the service may have processed it.
    Transport,
    /// The service answered, and the answer was not a success.
    Service,
    /// The service reported success, but its answer could not be read.
    Response,
}

/// Any failure of this crate: one line that says what happened, to which request, and what to do.
///
/// Branch on [`kind`](Self::kind) first, then on [`status`](Self::status) and [`code`](Self::code).
/// The cause, where there is one (an IO or TLS error), is behind [`source`](StdError::source) and
/// not repeated in the text. No key, token or connection string is ever part of it.
///
/// ```
/// use acs_identity::{AccessKey, ErrorKind};
///
/// let error = "not base64!".parse::<AccessKey>().unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::InvalidInput);
/// assert_eq!(error.to_string(), "accesskey is not valid base64: copy it again from the portal's Keys page");
/// ```
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    problem: String,
    source: Option<Source>,
    request: Option<RequestContext>,
    answer: Answer,
    created_user_id: Option<String>,
    /// Whether another attempt might end otherwise.
    transient: bool,
    attempts: u32,
    /// Without those that were repeated only for their authentication.
    tries: u32,
    elapsed: Duration,
    in_doubt: bool,
}

/// One of the causes that the service names below its error; see [`Error::details`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorDetail {
    pub(crate) code: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) target: Option<String>,
}

impl ErrorDetail {
    /// The service's code for it.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// The service's message.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// The part of the request that it is about.
    #[must_use]
    pub fn target(&self) -> Option<&str> {
        self.target.as_deref()
    }
}

/// Which request an error is about.
#[derive(Clone)]
pub(crate) struct RequestContext {
    pub(crate) operation: &'static str,
    pub(crate) host: String,
    pub(crate) api_version: String,
    pub(crate) client_request_id: String,
}

/// What the service's answer told, already cleaned of line breaks and anything like a secret.
#[derive(Clone, Default)]
pub(crate) struct Answer {
    pub(crate) status: Option<u16>,
    pub(crate) code: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) target: Option<String>,
    pub(crate) details: Vec<ErrorDetail>,
    pub(crate) ms_cv: Option<String>,
    pub(crate) azure_ref: Option<String>,
    pub(crate) retry_after: Option<Duration>,
}

impl Error {
    /// What kind of failure this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The HTTP status, if the service (or something in between) answered.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.0.answer.status
    }

    /// The service's error code, such as `IdentityNotOwned` or `ValidationError`.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.0.answer.code.as_deref()
    }

    /// The service's own message, shortened to 200 characters and without anything as long as a key.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.0.answer.message.as_deref()
    }

    /// The part of the request that the service complains about, such as `ExpiresInMinutes`.
    #[must_use]
    pub fn target(&self) -> Option<&str> {
        self.0.answer.target.as_deref()
    }

    /// What the service names below its error (`details` and `innererror`), from the outside in.
    /// Usually nothing.
    #[must_use]
    pub fn details(&self) -> &[ErrorDetail] {
        &self.0.answer.details
    }

    /// The `MS-CV` header of the answer, which Microsoft's support asks for.
    #[must_use]
    pub fn ms_cv(&self) -> Option<&str> {
        self.0.answer.ms_cv.as_deref()
    }

    /// The `X-Azure-Ref` header of the answer, set by the front door.
    #[must_use]
    pub fn azure_ref(&self) -> Option<&str> {
        self.0.answer.azure_ref.as_deref()
    }

    /// The `x-ms-client-request-id` that the request carried.
    #[must_use]
    pub fn client_request_id(&self) -> Option<&str> {
        self.0.request.as_ref().map(|request| request.client_request_id.as_str())
    }

    /// How long the service asked to wait before the next try.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.answer.retry_after
    }

    /// The id of a user that was created although the call failed, so that it can be used or
    /// deleted.
    ///
    /// Identities cannot be listed: this is the only place where the id is told.
    #[must_use]
    pub fn created_user_id(&self) -> Option<&str> {
        self.0.created_user_id.as_deref()
    }

    /// Whether the service may have done what was asked, in this or an earlier attempt, although
    /// the call failed.
    ///
    /// If the call was to create a user, one may exist whose id nobody knows.
    #[must_use]
    pub fn is_in_doubt(&self) -> bool {
        self.0.in_doubt
    }

    /// How many attempts the call made; 0 if nothing was sent.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.0.attempts
    }

    /// How long the call took, over all attempts and the waits between them.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed
    }

    pub(crate) fn new(kind: ErrorKind, problem: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            problem: problem.into(),
            source: None,
            request: None,
            answer: Answer::default(),
            created_user_id: None,
            transient: false,
            attempts: 0,
            tries: 0,
            elapsed: Duration::ZERO,
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

    pub(crate) fn with_request(mut self, request: &RequestContext) -> Self {
        self.0.request = Some(request.clone());
        self
    }

    pub(crate) fn with_answer(mut self, answer: Answer) -> Self {
        self.0.answer = answer;
        self
    }

    pub(crate) fn with_created_user(mut self, id: &str) -> Self {
        self.0.created_user_id = Some(id.to_owned());
        self
    }

    pub(crate) fn transient(mut self) -> Self {
        self.0.transient = true;
        self
    }

    pub(crate) fn is_transient(&self) -> bool {
        self.0.transient
    }

    pub(crate) fn with_attempts(mut self, attempts: u32, tries: u32, elapsed: Duration) -> Self {
        self.0.attempts = attempts;
        self.0.tries = tries;
        self.0.elapsed = elapsed;
        self
    }

    /// Whether the request was refused or lost before, for other reasons than its authentication.
    pub(crate) fn is_repeated(&self) -> bool {
        self.0.tries > 1
    }

    /// Marks the error as in doubt, and says what that means if it is not obvious.
    pub(crate) fn in_doubt(mut self, consequence: Option<&str>) -> Self {
        self.0.in_doubt = true;
        self.0.problem.extend(consequence.into_iter().flat_map(|consequence| ["; ", consequence]));
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { problem, request, answer, attempts, elapsed, .. } = &*self.0;
        let Some(request) = request else { return f.write_str(problem) };
        write!(f, "{}: {problem}", request.operation)?;
        if *attempts > 1 {
            write!(f, " ({attempts} attempts in {:.1} s)", elapsed.as_secs_f64())?;
        }
        write!(f, " [host {}, api-version {}", request.host, request.api_version)?;
        write!(f, ", client-request-id {}", request.client_request_id)?;
        let correlation = [("ms-cv", &answer.ms_cv), ("x-azure-ref", &answer.azure_ref)];
        for (name, value) in correlation {
            if let Some(value) = value {
                write!(f, ", {name} {value}")?;
            }
        }
        f.write_str("]")
    }
}

/// What `fn main() -> Result<(), Error>` prints: the text and the cause.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("text", &self.to_string())
            .field("source", &self.0.source)
            .finish_non_exhaustive()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}
