//! What a command fails with: one line and an exit code.

use std::process::ExitCode;

use acs_identity::{Error, ErrorKind};

/// What went wrong, the worst last: the exit code of a run with several failures is that of the
/// worst.
///
/// What is wrong with the credential is wrong with everything, and what is wrong with one id
/// concerns that id alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    NotFound,
    Usage,
    Throttled,
    Service,
    Authentication,
    Interrupted,
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
        let mut message = format!("{error:#}");
        if let Some(user) = error.created_user_id() {
            message.push_str(&created(user));
        }
        // A cause is somebody else's text: whoever reads line by line gets one line.
        Self::new(Exit::of(&error), message.replace(['\r', '\n'], " "))
    }
}

/// What to say of a new user whom nobody else would know of.
pub(crate) fn created(user: &str) -> String {
    format!("; the user {user} was created: use it or delete it")
}

impl Exit {
    fn of(error: &Error) -> Self {
        match (error.kind(), error.status()) {
            (ErrorKind::InvalidInput, _) => Self::Usage,
            // A value of the command line that only the service knows to be wrong, such as a scope.
            (ErrorKind::Service, Some(400))
                if matches!(error.code(), Some("ValidationError" | "UnsupportedApiVersion")) =>
            {
                Self::Usage
            }
            // Answered with 401, and yet not about the credential.
            (ErrorKind::Service, _) if error.code() == Some("IdentityNotOwned") => Self::NotFound,
            (ErrorKind::Credential, _) | (ErrorKind::Service, Some(401 | 403)) => {
                Self::Authentication
            }
            (ErrorKind::Service, Some(404)) => Self::NotFound,
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
            // As a shell reports a program that Ctrl-C ended.
            Exit::Interrupted => 130,
        })
    }
}
