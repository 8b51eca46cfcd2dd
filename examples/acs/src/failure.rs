//! What a command fails with: one line and an exit code.

use std::process::ExitCode;

use acs_identity::{Error, ErrorKind};

/// What went wrong, the worst last: the exit code of a run with several failures is that of the worst.
///
/// A rejected credential concerns everything, an unknown id concerns that id alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    NotFound,
    Usage,
    Throttled,
    Service,
    Authentication,
    /// By a signal, with the exit code of a process that it ended.
    Interrupted(u8),
}

#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        // The text of a cause may have several lines.
        let message = format!("{error:#}").replace(['\r', '\n'], " ");
        Self::new(Exit::of(&error), message)
    }
}

/// The advice about a new user whose id would be lost otherwise.
pub(crate) fn created(user: &str) -> String {
    format!("; the user {user} was created: use it or delete it")
}

/// Whether a response is the service's own. A gateway's page has neither the service's error code nor
/// its `MS-CV`; the service has sent a 401 without a body.
pub(crate) fn is_from_service(error: &Error) -> bool {
    error.code().is_some() || error.ms_cv().is_some_and(|id| !id.is_empty())
}

impl Exit {
    fn of(error: &Error) -> Self {
        match (error.kind(), error.status()) {
            (ErrorKind::InvalidInput, _) => Self::Usage,
            // A value of the command line that only the service can reject, such as an id.
            (ErrorKind::Service, Some(400))
                if matches!(error.code(), Some("ValidationError" | "UnsupportedApiVersion")) =>
            {
                Self::Usage
            }
            // A 401 that is not about the credential, or a 404 of the service itself.
            _ if error.code() == Some("IdentityNotOwned") => Self::NotFound,
            (_, Some(404)) if error.code().is_some() => Self::NotFound,
            (ErrorKind::Credential, _) => Self::Authentication,
            (ErrorKind::Service, Some(401 | 403)) if is_from_service(error) => Self::Authentication,
            // Throttling by a gateway is waited for just the same.
            (ErrorKind::Service, Some(429)) => Self::Throttled,
            _ => Self::Service,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Service => 1,
            Exit::Usage => 2,
            Exit::Authentication => 3,
            Exit::Throttled => 4,
            Exit::NotFound => 5,
            Exit::Interrupted(code) => code,
        })
    }
}
