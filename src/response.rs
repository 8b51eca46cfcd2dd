//! Status, headers and bytes → model or [`Error`], whatever the body is.

use std::time::{Duration, SystemTime};

use serde_json::Value;
use ureq::http::{HeaderMap, StatusCode};

use crate::error::{Answer, Error, ErrorKind, RequestContext};
use crate::timestamp::parse_rfc3339;
use crate::token::AccessToken;
use crate::user::{CommunicationUserDetails, CommunicationUserIdentifier};

/// A difference between our clock and the answer's `Date` that explains a 401. The service does not publish its tolerance.
pub(crate) const NOTABLE_CLOCK_DIFFERENCE: Duration = Duration::from_secs(4 * 60);

/// Longest piece of a foreign text that an error repeats, in characters.
const EXCERPT_CHARS: usize = 200;

/// An answer, as it came.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
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
    Cut(ureq::Error),
}

/// Reads the answers to one request.
pub(crate) struct Reader {
    pub(crate) request: RequestContext,
    /// When the answer arrived, by our clock.
    pub(crate) now: SystemTime,
    pub(crate) authenticated: Authenticated,
}

/// What a request proved with who it was from, and so what a 401 can be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Authenticated {
    Token,
    Signature,
    /// With the time of the service, which this machine's clock does not show.
    SignatureOfServiceTime,
}

impl Reader {
    /// The success of an operation that has nothing to tell.
    pub(crate) fn nothing(&self, reply: Reply) -> Result<(), Error> {
        if reply.status.is_success() { Ok(()) } else { Err(self.refusal(reply)) }
    }

    pub(crate) fn user(&self, reply: Reply) -> Result<CommunicationUserIdentifier, Error> {
        let (answer, json) = self.success(reply)?;
        user_in(&json).map_err(|problem| self.unreadable(answer, problem))
    }

    pub(crate) fn user_and_token(
        &self,
        reply: Reply,
    ) -> Result<(CommunicationUserIdentifier, AccessToken), Error> {
        let (answer, json) = self.success(reply)?;
        let user = match user_in(&json) {
            Ok(user) => user,
            Err(problem) => return Err(self.unreadable(answer, problem)),
        };
        match token_in(json.get("accessToken")) {
            Ok(token) => Ok((user, token)),
            Err(problem) => Err(self
                .unreadable(answer, &format!("{problem}, but the user {user} was created: issue a token for it or delete it"))
                .with_created_user(user.identifier())),
        }
    }

    pub(crate) fn user_details(&self, reply: Reply) -> Result<CommunicationUserDetails, Error> {
        let (answer, json) = self.success(reply)?;
        details_in(&json).map_err(|problem| self.unreadable(answer, problem))
    }

    pub(crate) fn token(&self, reply: Reply) -> Result<AccessToken, Error> {
        let (answer, json) = self.success(reply)?;
        token_in(Some(&json)).map_err(|problem| self.unreadable(answer, problem))
    }

    fn success(&self, reply: Reply) -> Result<(Answer, Value), Error> {
        if !reply.status.is_success() {
            return Err(self.refusal(reply));
        }
        let answer = self.answer(&reply);
        match reply.body.flaw {
            Some(Flaw::TooLong) => Err(self.unreadable(answer, "its body is longer than 1 MiB")),
            Some(Flaw::Cut(error)) => {
                Err(self.unreadable(answer, "its body broke off").with_source(error).transient())
            }
            // What does not parse may still hold a token: not even an excerpt is repeated.
            None => match serde_json::from_slice(&reply.body.bytes) {
                Ok(json) => Ok((answer, json)),
                Err(error) => Err(self
                    .unreadable(answer, "its body is not JSON")
                    .with_source(JsonError { line: error.line(), column: error.column() })),
            },
        }
    }

    fn unreadable(&self, answer: Answer, problem: &str) -> Error {
        let status = answer.status.unwrap_or_default();
        Error::new(
            ErrorKind::Response,
            format!("the service reported success ({status}), but {problem}"),
        )
        .with_answer(answer)
        .with_request(&self.request)
    }

    fn refusal(&self, reply: Reply) -> Error {
        let mut answer = self.answer(&reply);
        let json: Value = serde_json::from_slice(&reply.body.bytes).unwrap_or_default();
        let envelope = json.get("error");
        let text = |field| envelope?.get(field)?.as_str().filter(|text| !text.is_empty());
        answer.code = text("code").map(excerpt);
        answer.message = text("message").map(excerpt);
        answer.target = text("target").map(excerpt);

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
        if let Some(advice) = self.advice(&reply, &answer) {
            problem.extend(["; ", &advice]);
        }
        let error =
            Error::new(ErrorKind::Service, problem).with_answer(answer).with_request(&self.request);
        match reply.body.flaw {
            Some(Flaw::Cut(cause)) => error.with_source(cause),
            _ => error,
        }
    }

    fn advice(&self, reply: &Reply, answer: &Answer) -> Option<String> {
        let is_token = self.authenticated == Authenticated::Token;
        let credential = if is_token { "bearer token" } else { "key" };
        let advice = match (reply.status.as_u16(), answer.code.as_deref()) {
            (401, Some("IdentityNotOwned")) => {
                return Some(format!(
                    "the id is another resource's or was deleted; the {credential} is not at fault"
                ));
            }
            (401, Some("InvalidAccessToken")) => {
                return Some(format!(
                    "the Teams user's Entra token is expired, malformed or for another audience; the {credential} is not at fault"
                ));
            }
            (401, Some("Denied")) if blames_the_body(answer) => {
                "something on the way, such as a proxy, changed the body"
            }
            (401, _) if is_token => {
                "check that the bearer token is for https://communication.azure.com and of the resource's tenant, and that its owner has a role on the resource"
            }
            (401, _) => {
                return Some(self.clock_difference(reply).unwrap_or_else(|| {
                    "check that the endpoint and the access key are of the same resource and that the key was not regenerated".to_owned()
                }));
            }
            (403, _) => "check that the resource lets this credential and this network in",
            (400, Some("UnsupportedApiVersion")) => {
                "choose another with api_version on the builder"
            }
            // The service's names of these are not those of the arguments.
            (400, _) if targets(answer, "appId") => {
                "client_id has to be the id of the Entra application that the Teams user's token was issued to"
            }
            (400, _) if targets(answer, "userId") => {
                "user_object_id has to be the Entra object id of the Teams user whose token it is"
            }
            (404, None) => {
                "check the endpoint: identities live at https://<resource>.communication.azure.com"
            }
            (429, _) => {
                let delay = answer.retry_after.filter(|delay| !delay.is_zero());
                return Some(delay.map_or_else(
                    || {
                        "the resource is throttled: wait half a minute before the next try"
                            .to_owned()
                    },
                    |delay| {
                        format!("the resource is throttled: wait {delay:?} before the next try")
                    },
                ));
            }
            (300..=399, _) => {
                let place = reply.headers.get("location").and_then(|value| value.to_str().ok());
                let host = place.and_then(|place| place.split_once("://")).map(|(_, rest)| {
                    rest.split(['/', '?', '#'])
                        .next()
                        .and_then(|host| host.rsplit('@').next())
                        .unwrap_or_default()
                });
                return Some(host.map_or_else(
                    || "redirects are not followed: check the endpoint".to_owned(),
                    |host| {
                        format!(
                            "redirects are not followed (this one leads to {}): check the endpoint",
                            excerpt(host)
                        )
                    },
                ));
            }
            (500..=599, _) => "try again later; Microsoft's support asks for the ms-cv",
            _ => return None,
        };
        Some(advice.to_owned())
    }

    fn clock_difference(&self, reply: &Reply) -> Option<String> {
        let theirs = date(&reply.headers)?;
        let (difference, direction) = match self.now.duration_since(theirs) {
            Ok(ahead) => (ahead, "ahead of"),
            Err(behind) => (behind.duration(), "behind"),
        };
        (difference > NOTABLE_CLOCK_DIFFERENCE).then(|| {
            let consequence = if self.authenticated == Authenticated::SignatureOfServiceTime {
                "signing with the service's time did not help, so check the access key as well"
            } else {
                "set it right"
            };
            format!(
                "this machine's clock is {} s {direction} the service's: {consequence}",
                difference.as_secs()
            )
        })
    }

    fn answer(&self, reply: &Reply) -> Answer {
        Answer {
            status: Some(reply.status.as_u16()),
            ms_cv: correlation_id(&reply.headers, "ms-cv"),
            azure_ref: correlation_id(&reply.headers, "x-azure-ref"),
            retry_after: self.retry_after(&reply.headers),
            ..Answer::default()
        }
    }

    /// The delay that the server asks for, in the order of precedence of the official clients.
    fn retry_after(&self, headers: &HeaderMap) -> Option<Duration> {
        let text = |name| headers.get(name)?.to_str().ok().map(str::trim);
        let number = |name| text(name)?.parse().ok();
        let millis = |name| number(name).map(Duration::from_millis);
        let seconds = || number("retry-after").map(Duration::from_secs);
        let until = || {
            let at = httpdate::parse_http_date(text("retry-after")?).ok()?;
            // Against the answer's own clock: ours may be wrong. A date that is past asks for no delay.
            Some(at.duration_since(date(headers).unwrap_or(self.now)).unwrap_or_default())
        };
        millis("retry-after-ms")
            .or_else(|| millis("x-ms-retry-after-ms"))
            .or_else(seconds)
            .or_else(until)
    }
}

fn blames_the_body(answer: &Answer) -> bool {
    answer.message.as_ref().is_some_and(|message| message.contains("x-ms-content-sha256"))
}

/// In any case: a member that is missing is spelled differently from one that is wrong.
fn targets(answer: &Answer, member: &str) -> bool {
    answer.target.as_ref().is_some_and(|target| target.eq_ignore_ascii_case(member))
}

/// Not cut or cleaned as foreign texts are: these ids are as long as secrets.
pub(crate) fn correlation_id(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// What the service's clock showed when it answered.
pub(crate) fn date(headers: &HeaderMap) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get("date")?.to_str().ok()?).ok()
}

fn user_in(json: &Value) -> Result<CommunicationUserIdentifier, &'static str> {
    identifier_in(json.get("identity").unwrap_or(&Value::Null))
}

fn identifier_in(identity: &Value) -> Result<CommunicationUserIdentifier, &'static str> {
    let id = identity.get("id").and_then(Value::as_str).ok_or("its body has no identity")?;
    id.parse().map_err(|_| "the identity's id is none of a communication user")
}

fn details_in(json: &Value) -> Result<CommunicationUserDetails, &'static str> {
    let text = |name| json.get(name).and_then(Value::as_str);
    Ok(CommunicationUserDetails {
        identifier: identifier_in(json)?,
        custom_id: text("customId").map(str::to_owned),
        last_token_issued_at: text("lastTokenIssuedAt")
            .map(|text| parse_rfc3339(text).ok_or("its lastTokenIssuedAt is no RFC 3339 timestamp"))
            .transpose()?,
    })
}

fn token_in(json: Option<&Value>) -> Result<AccessToken, &'static str> {
    let field = |name| json?.get(name)?.as_str().filter(|text| !text.is_empty());
    let token = field("token").ok_or("its body has no token")?;
    let text = field("expiresOn").ok_or("its body has no expiresOn")?;
    let expires_on = parse_rfc3339(text).ok_or("its expiresOn is no RFC 3339 timestamp")?;
    Ok(AccessToken::new(token.to_owned(), expires_on, text.to_owned()))
}

/// A foreign text, fit for one line of an error: no control characters, nothing as long as a key, a signature or a token, not too long.
fn excerpt(text: &str) -> String {
    const LONGEST_HARMLESS_RUN: usize = 39;
    let is_secret_char =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=' | '-' | '_' | '.');
    let mut line = String::new();
    for word in text.split_whitespace() {
        if line.chars().count() >= EXCERPT_CHARS {
            break;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        for run in word.split_inclusive(|c| !is_secret_char(c)) {
            let body = run.trim_end_matches(|c| !is_secret_char(c));
            if body.len() > LONGEST_HARMLESS_RUN {
                line.push_str("[redacted]");
                line.push_str(run.get(body.len()..).unwrap_or_default());
            } else {
                line.push_str(run);
            }
        }
    }
    let mut excerpt: String =
        line.chars().filter(|c| !c.is_control()).take(EXCERPT_CHARS).collect();
    if line.chars().nth(EXCERPT_CHARS).is_some() {
        excerpt.push('…');
    }
    excerpt
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
