//! What an observer hears of a call.

use std::time::Duration;

use crate::error::{CallRecord, Error};

/// How a call went: which request it was, and what Microsoft's support asks for.
///
/// Passed to the function given to
/// [`CommunicationIdentityClient::observed`](crate::CommunicationIdentityClient::observed).
///
/// # Examples
///
/// ```
/// use acs_identity::{CallReport, CommunicationIdentityClient};
/// use acs_identity::emulator::Emulator;
///
/// fn log(call: &CallReport) {
///     match call.error() {
///         None => eprintln!("{} succeeded, ms-cv {:?}", call.operation(), call.ms_cv()),
///         Some(error) => eprintln!("{error:#}"),
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let emulator = Emulator::start()?;
/// let client = CommunicationIdentityClient::from_connection_string(&emulator.connection_string())?;
/// client.observed(log).create_user()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct CallReport {
    record: CallRecord,
    error: Option<Error>,
}

impl CallReport {
    /// Returns the name of the client's method, such as `issue_token`.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        self.record.operation
    }

    /// Returns whether the call succeeded.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.error.is_none()
    }

    /// Returns the error that the caller gets, if the call failed.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }

    /// Returns the HTTP status of the last attempt, if it got a response.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.record.status
    }

    /// Returns how many attempts the call made.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.record.attempts
    }

    /// Returns how long the call took, over all attempts and the backoff between them.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.record.elapsed
    }

    /// Returns the `x-ms-client-request-id` that all attempts carried.
    #[must_use]
    pub fn client_request_id(&self) -> &str {
        &self.record.client_request_id
    }

    /// Returns the `MS-CV` header of the last response.
    #[must_use]
    pub fn ms_cv(&self) -> Option<&str> {
        self.record.ms_cv.as_deref()
    }

    /// Returns the `X-Azure-Ref` header of the last response.
    #[must_use]
    pub fn azure_ref(&self) -> Option<&str> {
        self.record.azure_ref.as_deref()
    }

    pub(crate) fn new(record: CallRecord, error: Option<Error>) -> Self {
        Self { record, error }
    }
}
