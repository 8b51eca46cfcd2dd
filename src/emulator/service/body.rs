//! Request bodies, judged as the service judges them.

use std::ops::RangeInclusive;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};

use super::version::ApiVersion;
use crate::emulator::request::Request;
use crate::emulator::response::Refusal;
use crate::timestamp;

pub(super) const JSON: &str = "application/json";

/// What a caller may ask for; the longest is the default.
const LIFETIME_MINUTES: RangeInclusive<i32> = 60..=1440;

/// The scopes and the lifetime that the body of a create asks for. Without scopes, no token is wanted.
pub(super) fn of_create(
    request: &Request,
    version: ApiVersion,
) -> Result<(Vec<String>, Duration), Refusal> {
    let body = members(request, JSON)?;
    // Ours: an empty list is taken as no list; no recording shows what the real service does.
    let scopes = member(&body, "createTokenWithScopes", string_list)?.unwrap_or_default();
    let lifetime = lifetime(&body, version)?;
    check_scopes(&scopes, version)?;
    Ok((scopes, lifetime))
}

/// The scopes and the lifetime that the body of an issue asks for.
pub(super) fn of_issue(
    request: &Request,
    version: ApiVersion,
) -> Result<(Vec<String>, Duration), Refusal> {
    let body = members(request, JSON)?;
    // Absent and empty differ in message, target and headers: the absent list is missed where the
    // request is bound, before the handler judges any value.
    let scopes = member(&body, "scopes", string_list)?.ok_or_else(|| {
        Refusal::validation("Scopes: The Scopes field is required.", Some("Scopes"))
    })?;
    let lifetime = lifetime(&body, version)?;
    // Ours: an empty list is judged after the lifetime; no recording shows both wrong.
    if scopes.is_empty() {
        let message = "Invalid scopes - Scopes field is required.";
        return Err(Refusal::validation(message, Some("scopes")).advertising());
    }
    check_scopes(&scopes, version)?;
    Ok((scopes, lifetime))
}

/// A version that does not know the member ignores it.
fn lifetime(body: &Map<String, Value>, version: ApiVersion) -> Result<Duration, Refusal> {
    let mut minutes = None;
    if version.has_lifetimes() {
        minutes = member(body, "expiresInMinutes", |value| value.as_i64()?.try_into().ok())?;
    }
    let minutes = minutes.unwrap_or(*LIFETIME_MINUTES.end());
    if !LIFETIME_MINUTES.contains(&minutes) {
        let message = format!(
            "ExpiresInMinutes value {minutes} is invalid. Value must be within the [60, 1440] interval."
        );
        return Err(Refusal::validation(&message, Some("ExpiresInMinutes")).advertising());
    }
    Ok(Duration::from_secs(60) * minutes.unsigned_abs())
}

// Ours: the message and the target; no recording shows a scope that the service does not know.
fn check_scopes(scopes: &[String], version: ApiVersion) -> Result<(), Refusal> {
    let Some(unknown) = scopes.iter().find(|scope| !version.knows_scope(scope)) else {
        return Ok(());
    };
    let message = format!("Invalid scopes - Scope {unknown} is not supported.");
    Err(Refusal::validation(&message, Some("scopes")).advertising())
}

/// Since when tokens are valid, as the revocation of 2020 says. All are revoked without it.
pub(super) fn tokens_valid_from(request: &Request) -> Result<Option<SystemTime>, Refusal> {
    let body = members(request, "application/merge-patch+json")?;
    member(&body, "tokensValidFrom", |value| timestamp::parse_rfc3339(value.as_str()?))
}

/// The members of a body. An empty one and `null` have none.
pub(super) fn members(request: &Request, expected: &str) -> Result<Map<String, Value>, Refusal> {
    if request.body.is_empty() {
        return Ok(Map::new());
    }
    let content_type = request.header("content-type").unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case(expected) {
        // Ours: ASP.NET's status; nothing public shows the service's response.
        let message = format!("The Content-Type has to be {expected}.");
        let reason =
            format!("the Content-Type header is {content_type:?}, but a body has to be {expected}");
        return Err(Refusal::new(415, "UnsupportedMediaType", &message, None).because(reason));
    }
    match serde_json::from_slice(&request.body) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(Value::Null) => Ok(Map::new()),
        // Ours: nothing public shows the response to a body that is not the expected JSON.
        Ok(_) | Err(_) => Err(Refusal::validation("The body is not a JSON object.", None)),
    }
}

/// A member that may be absent or null. As in ASP.NET, the case of its name does not matter.
pub(super) fn member<T>(
    body: &Map<String, Value>,
    name: &'static str,
    read: impl Fn(&Value) -> Option<T>,
) -> Result<Option<T>, Refusal> {
    let found = body.iter().find(|(sent, _)| sent.eq_ignore_ascii_case(name));
    match found.map(|(_, value)| value) {
        None | Some(Value::Null) => Ok(None),
        // Ours: nothing public shows the response to a member of another type.
        Some(value) => read(value).map(Some).ok_or_else(|| {
            Refusal::validation(&format!("{name}: The value is not valid."), Some(name))
        }),
    }
}

pub(super) fn string(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn string_list(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(string).collect()
}
