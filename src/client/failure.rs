//! What a response means that is not the operation's success: the error, and what to do about it.
//!
//! The one place that builds such an error. Attempts without a response are in `http::failure`.

use std::time::SystemTime;

use crate::auth::attempt::Authentication;
use crate::error::{Error, ErrorKind};
use crate::http::members::{Members, created_user};
use crate::http::response::Response;
use crate::operation::Operation;
use crate::sanitize::sanitize;

/// Returns the error for a response with another status than the operation's success, or without the
/// whole of its body.
pub(super) fn unexpected(
    response: &Response,
    operation: &Operation,
    authentication: &Authentication,
    now: SystemTime,
) -> Error {
    let mut error = if response.status.is_success() {
        let problem = match response.body_error.as_deref() {
            Some(ureq::Error::BodyExceedsLimit(_)) => "its body is longer than 1 MiB",
            Some(ureq::Error::Timeout(_)) => "its body did not arrive in time",
            Some(_) => "its body broke off",
            None => &format!("{} was expected", operation.success),
        };
        unusable(response, operation, problem)
    } else {
        unsuccessful(response, operation, authentication, now)
    };
    if response.is_cut() {
        error.inner.source = response.body_error.clone().map(|cause| cause as _);
    }
    error
}

/// Returns the error for a success that lacks what the operation returns.
pub(super) fn unusable(response: &Response, operation: &Operation, problem: &str) -> Error {
    let status = response.status.as_str();
    let problem = format!("the service reported success ({status}), but {problem}");
    let mut error = Error::new(ErrorKind::Response, problem);
    let user = created_user(response).filter(|_| operation.creates_user());
    if let Some(user) = user {
        // The id is known: nothing is in doubt, and there is nothing to retry.
        let id = sanitize(user.identifier());
        let advice = " was created: issue a token for it or delete it";
        error.inner.problem.extend(["; the user ", &id, advice]);
        error.inner.created_user_id = Some(user.to_string());
    } else {
        error.inner.is_in_doubt = true;
        error.inner.is_transient = response.is_cut();
    }
    error
}

fn unsuccessful(
    response: &Response,
    operation: &Operation,
    authentication: &Authentication,
    now: SystemTime,
) -> Error {
    let mut error = Error::new(ErrorKind::Service, "");
    let members = Members::of(response).unwrap_or_default();
    let given = |text: Option<&str>| text.map(sanitize).filter(|text| !text.is_empty());
    error.inner.code =
        given(members.error_code.as_deref()).or_else(|| given(response.header("x-ms-error-code")));
    error.inner.message = given(members.error_message.as_deref());
    error.inner.target = given(members.error_target.as_deref());
    error.inner.retry_after = response.retry_after(now);

    (error.inner.is_in_doubt, error.inner.is_transient) = match response.status.as_u16() {
        429 => (false, true),
        // Azure Front Door sends a 503 of its own if the origin was too slow or its response unreadable,
        // so only a 503 of the service itself counts, or one that asks to wait.
        503 if error.code().is_some() || error.retry_after().is_some() => (false, true),
        408 | 500 | 502 | 503 | 504 => (true, true),
        // Redirected, rejected or not understood. The service itself never redirects.
        300..=499 | 501 | 505 => (false, false),
        _ => (true, false),
    };

    error.inner.problem = describe(response, &error);
    if let Some(advice) = advice(response, operation, &error, authentication) {
        error.inner.problem.extend(["; ", &advice]);
    }
    error
}

/// Describes the response of the service, or of something in front of it.
fn describe(response: &Response, error: &Error) -> String {
    let mut problem = format!("the service responded with {}", response.status.as_str());
    if let Some(word) = error.code().or(response.status.canonical_reason()) {
        problem.extend([" ", word]);
    }
    if let Some(message) = error.message() {
        problem.extend([": ", message.trim_end_matches('.')]);
    } else if error.code().is_none() && response.is_complete() {
        // An incomplete body may end within a secret, with a part too short to be recognized.
        let text = sanitize(&String::from_utf8_lossy(&response.body));
        if !text.is_empty() {
            problem.extend([": ", &text]);
        }
    }
    if let Some(target) = error.target() {
        problem.extend([" (target ", target, ")"]);
    }
    problem
}

fn advice(
    response: &Response,
    operation: &Operation,
    error: &Error,
    authentication: &Authentication,
) -> Option<String> {
    let is_bearer = authentication.is_bearer();
    let credential = if is_bearer { "bearer token" } else { "key" };
    // The service spells the target of a missing member differently from a wrong one, and its names differ
    // from those of the arguments.
    let targets =
        |member: &str| error.target().is_some_and(|target| target.eq_ignore_ascii_case(member));
    let advice = match (response.status.as_u16(), error.code()) {
        (300..=399, _) => return Some(redirect(response.header("location"))),
        (400, Some("UnsupportedApiVersion")) => "choose another api_version",
        (400, _) if targets("scopes") => {
            "the scopes are chat, chat.join, chat.join.limited, voip and voip.join"
        }
        (400, _) if targets("expiresInMinutes") => "expires_in takes 60 minutes to 24 hours",
        (400, _) if targets("appId") => {
            "client_id must be the id of the Entra application that the Teams user's token was issued to"
        }
        (400, _) if targets("userId") => {
            "user_object_id must be the Entra object id of the Teams user whose token it is"
        }
        (401, Some("IdentityNotOwned")) => {
            return Some(format!(
                "the id belongs to another resource, was deleted or never existed; the {credential} is not at fault"
            ));
        }
        (401, Some("InvalidAccessToken")) => {
            return Some(format!(
                "the Teams user's Entra token has expired, is malformed or is for another audience; the {credential} is not at fault"
            ));
        }
        (401, Some("Denied"))
            if error.message().is_some_and(|it| it.contains("x-ms-content-sha256")) =>
        {
            "something in between, such as a proxy, changed the body"
        }
        (401, _) if is_bearer => {
            "check that the bearer token is for https://communication.azure.com and from the resource's tenant, and that its principal has a role on the resource"
        }
        (401, _) => match authentication.clock_skew() {
            Some(skew) => return Some(clock(skew, authentication.is_clock_corrected())),
            None => {
                "check that the endpoint and the access key belong to the same resource and that the key was not regenerated"
            }
        },
        (403, Some(_)) => "check the resource's role assignments and network rules",
        (403, None) => {
            "check the resource's role assignments and network rules, and any gateway or proxy in between"
        }
        (404, None) => {
            "check the endpoint: the identity API is at https://<resource>.communication.azure.com"
        }
        (429, _) => return Some(format!("the resource is throttled: {}", wait(error))),
        (500..=599, _) => return try_again(response, operation, error),
        _ => return None,
    };
    Some(advice.to_owned())
}

fn try_again(response: &Response, operation: &Operation, error: &Error) -> Option<String> {
    let may_repeat = !error.is_in_doubt() || !operation.creates_user();
    let when = match error.retry_after() {
        Some(delay) if !delay.is_zero() => Some(wait(error)),
        _ => (error.is_transient() && may_repeat).then(|| "try again later".to_owned()),
    };
    // Pages of Azure Front Door have only its own id.
    let id = ["ms-cv", "x-azure-ref"].into_iter().find(|it| response.correlation_id(it).is_some());
    let support = id.map(|id| format!("Microsoft's support asks for the {id}"));
    let advice: Vec<String> = when.into_iter().chain(support).collect();
    (!advice.is_empty()).then(|| advice.join("; "))
}

fn redirect(location: Option<&str>) -> String {
    let authority = location
        .and_then(|url| url.split_once("://"))
        .and_then(|(_, rest)| rest.split(['/', '?', '#']).next());
    // A part of a secret may stand before a slash, but has no dot.
    let host = authority.and_then(|authority| authority.rsplit('@').next());
    match host.filter(|host| host.contains('.')) {
        Some(host) => format!(
            "redirects are not followed (this one leads to {}): check the endpoint",
            sanitize(host)
        ),
        None => "redirects are not followed: check the endpoint".to_owned(),
    }
}

fn clock(skew: i64, is_corrected: bool) -> String {
    let direction = if skew.is_positive() { "behind" } else { "ahead of" };
    let difference = match skew.unsigned_abs() {
        seconds @ ..3_500 => format!("{seconds} s"),
        // A wrong time zone is easier to recognize in hours.
        seconds => format!("{seconds} s ({} h)", (seconds + 1_800) / 3_600),
    };
    let consequence = if is_corrected {
        "signing with the service's time did not help, so check the access key as well"
    } else {
        "set it right"
    };
    format!("this machine's clock is {difference} {direction} the service's: {consequence}")
}

/// Rounds up to whole seconds.
fn wait(error: &Error) -> String {
    let seconds = match error.retry_after().filter(|delay| !delay.is_zero()) {
        Some(delay) => delay.as_secs().saturating_add(u64::from(delay.subsec_nanos() > 0)),
        None => 30,
    };
    format!("wait {seconds} s before the next attempt")
}
