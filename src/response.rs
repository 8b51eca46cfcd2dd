//! Status, headers and bytes → model or [`Error`], whatever the body is.

use std::error::Error as StdError;
use std::iter;
use std::time::SystemTime;

use serde_json::Value;
use ureq::http::{HeaderMap, StatusCode};

use crate::advice::{Authenticated, Refusal};
use crate::error::{Answer, Error, ErrorDetail, ErrorKind};
use crate::excerpt::excerpt;
use crate::headers::{correlation_id, retry_after};
use crate::timestamp::parse_rfc3339;
use crate::token::AccessToken;
use crate::user::{CommunicationUserDetails, CommunicationUserIdentifier};

/// Several times what an id has: 79 bytes.
const MAX_ID_BYTES: usize = 1024;

/// An answer, as it came.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
}

impl Reply {
    /// The success of a request that had its effect before.
    pub(crate) fn no_content() -> Self {
        let body = Body { bytes: Vec::new(), flaw: None };
        Self { status: StatusCode::NO_CONTENT, headers: HeaderMap::new(), body }
    }
}

/// The bytes of an answer, and what kept us from having all of them.
pub(crate) struct Body {
    pub(crate) bytes: Vec<u8>,
    pub(crate) flaw: Option<Flaw>,
}

pub(crate) enum Flaw {
    /// Longer than we are willing to read.
    TooLong,
    /// The connection failed before the end.
    Cut(Box<dyn StdError + Send + Sync>),
}

/// Reads the answer to a request; which request it was is added by who sent it.
pub(crate) struct Reader {
    /// When the answer arrived, by our clock.
    pub(crate) now: SystemTime,
    pub(crate) authenticated: Authenticated,
}

impl Reader {
    /// The success of an operation that has nothing to tell.
    pub(crate) fn nothing(&self, reply: Reply) -> Result<(), Error> {
        if !reply.status.is_success() {
            return Err(self.refusal(reply));
        }
        // A page that somebody in between put in its place is no success.
        if !reply.body.bytes.trim_ascii().is_empty() {
            return Err(self.unreadable(&reply, "its body is not empty"));
        }
        Ok(())
    }

    pub(crate) fn user(&self, reply: Reply) -> Result<CommunicationUserIdentifier, Error> {
        let (reply, json) = self.success(reply)?;
        user_in(&json).map_err(|problem| self.unreadable(&reply, problem))
    }

    pub(crate) fn user_and_token(
        &self,
        reply: Reply,
    ) -> Result<(CommunicationUserIdentifier, AccessToken), Error> {
        let (reply, json) = self.success(reply)?;
        let user = user_in(&json).map_err(|problem| self.unreadable(&reply, problem))?;
        match token_in(json.get("accessToken")) {
            Ok(token) => Ok((user, token)),
            Err(problem) => Err(self
                .unreadable(&reply, &format!("{problem}, but the user {user} was created: issue a token for it or delete it"))
                .with_created_user(user.identifier())),
        }
    }

    pub(crate) fn user_details(&self, reply: Reply) -> Result<CommunicationUserDetails, Error> {
        let (reply, json) = self.success(reply)?;
        details_in(&json).map_err(|problem| self.unreadable(&reply, problem))
    }

    pub(crate) fn token(&self, reply: Reply) -> Result<AccessToken, Error> {
        let (reply, json) = self.success(reply)?;
        token_in(Some(&json)).map_err(|problem| self.unreadable(&reply, problem))
    }

    fn success(&self, mut reply: Reply) -> Result<(Reply, Value), Error> {
        if !reply.status.is_success() {
            return Err(self.refusal(reply));
        }
        match reply.body.flaw.take() {
            Some(Flaw::TooLong) => Err(self.unreadable(&reply, "its body is longer than 1 MiB")),
            Some(Flaw::Cut(error)) => {
                Err(self.unreadable(&reply, "its body broke off").with_source(error).transient())
            }
            // What does not parse may still hold a token: not even an excerpt is repeated.
            None => match serde_json::from_slice(&reply.body.bytes) {
                Ok(json) => Ok((reply, json)),
                Err(error) => Err(self
                    .unreadable(&reply, "its body is not JSON")
                    .with_source(JsonError { line: error.line(), column: error.column() })),
            },
        }
    }

    fn unreadable(&self, reply: &Reply, problem: &str) -> Error {
        let status = reply.status.as_str();
        let problem = format!("the service reported success ({status}), but {problem}");
        Error::new(ErrorKind::Response, problem).with_answer(self.answer(reply))
    }

    fn refusal(&self, reply: Reply) -> Error {
        let mut answer = self.answer(&reply);
        let json: Value = serde_json::from_slice(&reply.body.bytes).unwrap_or_default();
        let envelope = json.get("error");
        let text = |name| text_in(envelope?, name).filter(|text| !text.is_empty());
        answer.code = text("code").map(excerpt);
        answer.message = text("message").map(excerpt);
        answer.target = text("target").map(excerpt);
        answer.details = envelope.map(details_of).unwrap_or_default();

        let mut problem = format!("the service answered {}", reply.status.as_str());
        match (&answer.code, reply.status.canonical_reason()) {
            (Some(code), _) => problem.extend([" ", code]),
            (None, Some(reason)) => problem.extend([" ", reason]),
            (None, None) => {}
        }
        match &answer.message {
            Some(message) => problem.extend([": ", message.trim_end_matches('.')]),
            None if answer.code.is_none() && !reply.body.bytes.is_empty() => {
                problem.extend([": ", &excerpt(&String::from_utf8_lossy(&reply.body.bytes))]);
            }
            None => {}
        }
        if let Some(target) = &answer.target {
            problem.extend([" (target ", target, ")"]);
        }
        let refusal = Refusal {
            status: reply.status,
            headers: &reply.headers,
            answer: &answer,
            authenticated: self.authenticated,
            now: self.now,
        };
        if let Some(advice) = refusal.advice() {
            problem.extend(["; ", &advice]);
        }
        let error = Error::new(ErrorKind::Service, problem).with_answer(answer);
        match reply.body.flaw {
            Some(Flaw::Cut(cause)) => error.with_source(cause),
            _ => error,
        }
    }

    fn answer(&self, reply: &Reply) -> Answer {
        Answer {
            status: Some(reply.status.as_u16()),
            ms_cv: correlation_id(&reply.headers, "ms-cv"),
            azure_ref: correlation_id(&reply.headers, "x-azure-ref"),
            retry_after: retry_after(&reply.headers, self.now),
            ..Answer::default()
        }
    }
}

/// The causes that the service names below an error: its `details`, and the chain of its
/// `innererror`s.
fn details_of(envelope: &Value) -> Vec<ErrorDetail> {
    // The interface's definition has both; no answer was ever seen to have them, so there is no
    // telling how deep.
    const MOST: usize = 16;
    let details = envelope.get("details").and_then(Value::as_array).into_iter().flatten();
    let inner = iter::successors(envelope.get("innererror"), |error| error.get("innererror"));
    let detail = |error: &Value| ErrorDetail {
        code: text_in(error, "code").map(excerpt),
        message: text_in(error, "message").map(excerpt),
        target: text_in(error, "target").map(excerpt),
    };
    details.chain(inner).filter(|error| error.is_object()).take(MOST).map(detail).collect()
}

fn text_in<'a>(json: &'a Value, name: &str) -> Option<&'a str> {
    json.get(name)?.as_str()
}

fn user_in(json: &Value) -> Result<CommunicationUserIdentifier, &'static str> {
    identifier_in(json.get("identity").unwrap_or(&Value::Null))
}

fn identifier_in(identity: &Value) -> Result<CommunicationUserIdentifier, &'static str> {
    let id = text_in(identity, "id").ok_or("its body has no identity")?;
    // The service's word on what is a user of its own; only what cannot be
    // read back or would break lines is refused.
    let is_path = matches!(id, "" | "." | "..");
    if is_path || id.trim() != id || id.len() > MAX_ID_BYTES || id.chars().any(char::is_control) {
        return Err("its identity has no proper id");
    }
    Ok(CommunicationUserIdentifier::from_checked(id))
}

fn details_in(json: &Value) -> Result<CommunicationUserDetails, &'static str> {
    Ok(CommunicationUserDetails {
        identifier: identifier_in(json)?,
        custom_id: text_in(json, "customId").map(str::to_owned),
        last_token_issued_at: text_in(json, "lastTokenIssuedAt")
            .map(|text| parse_rfc3339(text).ok_or("its lastTokenIssuedAt is no RFC 3339 timestamp"))
            .transpose()?,
    })
}

fn token_in(json: Option<&Value>) -> Result<AccessToken, &'static str> {
    let field = |name| text_in(json?, name).filter(|text| !text.is_empty());
    let token = field("token").ok_or("its body has no token")?;
    let text = field("expiresOn").ok_or("its body has no expiresOn")?;
    let expires_on = parse_rfc3339(text).ok_or("its expiresOn is no RFC 3339 timestamp")?;
    Ok(AccessToken::new(token.to_owned(), expires_on, text.to_owned()))
}

/// Where a body stopped being JSON. The parser's own error may quote the body.
#[derive(Debug)]
struct JsonError {
    line: usize,
    column: usize,
}

impl std::fmt::Display for JsonError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "not JSON at line {} column {}", self.line, self.column)
    }
}

impl std::error::Error for JsonError {}
