//! The facts of a call, for its error and for an observer.

use std::time::Duration;

use crate::error::Error;

/// A summary of one call: its operation, outcome, attempts and duration, and the ids that Microsoft's
/// support asks for.
///
/// Passed to the function given to
/// [`CommunicationIdentityClient::observed`](crate::CommunicationIdentityClient::observed).
///
/// # Examples
///
/// ```
/// use acs_identity::{CallReport, CommunicationIdentityClient};
/// use acs_identity::emulator::Emulator; // needs the feature `emulator`
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
/// let text = emulator.connection_string();
/// let client = CommunicationIdentityClient::from_connection_string(&text)?;
/// client.observed(log).create_user()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct CallReport {
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
    /// Only for an observer: an error holds the report of its call, not the other way round.
    pub(crate) error: Option<Error>,
}

impl CallReport {
    /// Returns the name of the client's method, such as `issue_token`.
    pub fn operation(&self) -> &'static str {
        self.operation
    }

    /// Returns whether the call succeeded.
    pub fn succeeded(&self) -> bool {
        self.error.is_none()
    }

    /// Returns the error that the caller receives, if the call failed.
    pub fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }

    /// Returns the HTTP status of the last attempt, if it got a response.
    pub fn status(&self) -> Option<u16> {
        self.status
    }

    /// Returns how many attempts the call made; 0 if it failed before the first.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Returns how long the call took, including the backoff between attempts.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// Returns the `x-ms-client-request-id` that all attempts carried.
    pub fn client_request_id(&self) -> &str {
        &self.client_request_id
    }

    /// Returns the `MS-CV` header of the last response.
    pub fn ms_cv(&self) -> Option<&str> {
        self.ms_cv.as_deref()
    }

    /// Returns the `X-Azure-Ref` header of the last response.
    pub fn azure_ref(&self) -> Option<&str> {
        self.azure_ref.as_deref()
    }
}
