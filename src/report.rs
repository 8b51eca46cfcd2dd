//! What is known of a call besides its result.

use std::time::Duration;

use ureq::http::{HeaderMap, StatusCode};

use crate::headers::correlation_id;

/// How a call went: which request it was, and what Microsoft's support asks for.
///
/// Handed to the function given to
/// [`CommunicationIdentityClient::observed`](crate::CommunicationIdentityClient::observed).
#[derive(Clone, Debug)]
pub struct CallReport {
    operation: &'static str,
    succeeded: bool,
    status: Option<u16>,
    attempts: u32,
    elapsed: Duration,
    client_request_id: String,
    ms_cv: Option<String>,
    azure_ref: Option<String>,
}

impl CallReport {
    /// The name of the client's method, such as `issue_token`.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        self.operation
    }

    /// Whether the call succeeded. If not, its [`Error`](crate::Error) tells more.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.succeeded
    }

    /// The HTTP status of the last answer, if there was one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.status
    }

    /// How many attempts the call made.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// How long the call took, over all attempts and the waits between them.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// The `x-ms-client-request-id` that all attempts carried.
    #[must_use]
    pub fn client_request_id(&self) -> &str {
        &self.client_request_id
    }

    /// The `MS-CV` header of the last answer.
    #[must_use]
    pub fn ms_cv(&self) -> Option<&str> {
        self.ms_cv.as_deref()
    }

    /// The `X-Azure-Ref` header of the last answer.
    #[must_use]
    pub fn azure_ref(&self) -> Option<&str> {
        self.azure_ref.as_deref()
    }

    pub(crate) fn new(operation: &'static str, client_request_id: &str) -> Self {
        Self {
            operation,
            succeeded: false,
            status: None,
            attempts: 0,
            elapsed: Duration::ZERO,
            client_request_id: client_request_id.to_owned(),
            ms_cv: None,
            azure_ref: None,
        }
    }

    pub(crate) fn answered(&mut self, status: StatusCode, headers: &HeaderMap) {
        self.status = Some(status.as_u16());
        self.ms_cv = correlation_id(headers, "ms-cv");
        self.azure_ref = correlation_id(headers, "x-azure-ref");
    }

    pub(crate) fn finish(&mut self, succeeded: bool, attempts: u32, elapsed: Duration) {
        self.succeeded = succeeded;
        self.attempts = attempts;
        self.elapsed = elapsed;
    }
}
