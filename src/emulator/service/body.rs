//! Request bodies, judged as the service judges them.

use std::ops::RangeInclusive;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};

use super::version::ApiVersion;
use crate::emulator::request::Request;
use crate::emulator::response::Problem;
use crate::timestamp;

/// What a caller may ask for; the longest is the default.
const LIFE_MINUTES: RangeInclusive<i32> = 60..=1440;

/// What the bodies of create and issue ask for.
#[derive(Debug)]
pub(super) struct TokenOrder {
    /// Empty only where the operation does not require any.
    pub(super) scopes: Vec<String>,
    pub(super) life: Duration,
    pub(super) custom_id: Option<String>,
}

impl TokenOrder {
    pub(super) fn of_create(request: &Request, version: ApiVersion) -> Result<Self, Problem> {
        Self::parse(request, version, "createTokenWithScopes", false)
    }

    pub(super) fn of_issue(request: &Request, version: ApiVersion) -> Result<Self, Problem> {
        Self::parse(request, version, "scopes", true)
    }

    /// `scopes_name` is what the operation calls its list of scopes.
    fn parse(
        request: &Request,
        version: ApiVersion,
        scopes_name: &'static str,
        is_required: bool,
    ) -> Result<Self, Problem> {
        let body = object(request)?;
        let scopes = member(&body, scopes_name, string_list)?;
        // Absent and empty differ in message, target and headers: the absent list is missed where
        // the request is bound, before the handler judges any value.
        if is_required && scopes.is_none() {
            return Err(Problem::validation("Scopes: The Scopes field is required.", "Scopes"));
        }
        // Ours: on create an empty list is taken as no list; no recording shows what the real
        // service does.
        let scopes = scopes.unwrap_or_default();
        // A version that does not know a member ignores it.
        let mut minutes = None;
        if version.has_lifetimes() {
            minutes = member(&body, "expiresInMinutes", int32)?;
        }
        let mut custom_id = None;
        if version.has_custom_ids() {
            custom_id = member(&body, "customId", string)?;
        }
        // Ours: the message; the schema asks for one character at least.
        if custom_id.as_ref().is_some_and(String::is_empty) {
            return Err(Problem::validation("CustomId: The value is not valid.", "CustomId"));
        }
        if let Some(minutes) = minutes.filter(|minutes| !LIFE_MINUTES.contains(minutes)) {
            let message = format!(
                "ExpiresInMinutes value {minutes} is invalid. Value must be within the [60, 1440] interval."
            );
            return Err(Problem::validation(message, "ExpiresInMinutes").advertising());
        }
        let minutes = minutes.unwrap_or(*LIFE_MINUTES.end()).unsigned_abs();
        // Ours: an empty list is judged after the lifetime; no recording shows both wrong.
        if is_required && scopes.is_empty() {
            let message = "Invalid scopes - Scopes field is required.";
            return Err(Problem::validation(message, "scopes").advertising());
        }
        // Ours: the message and the target; no recording shows a scope that the service does not
        // know.
        let unknown = scopes.iter().find(|scope| !version.knows_scope(scope));
        if let Some(scope) = unknown {
            let message = format!("Invalid scopes - Scope {scope} is not supported.");
            return Err(Problem::validation(message, "scopes").advertising());
        }
        Ok(Self { scopes, life: Duration::from_secs(u64::from(minutes) * 60), custom_id })
    }
}

/// Since when tokens are valid, as the revocation of 2020 says. All are revoked without it.
pub(super) fn tokens_valid_from(request: &Request) -> Result<Option<SystemTime>, Problem> {
    let body = members(request, "application/merge-patch+json")?;
    member(&body, "tokensValidFrom", |value| timestamp::parse_rfc3339(value.as_str()?))
}

/// The members of a JSON body.
pub(super) fn object(request: &Request) -> Result<Map<String, Value>, Problem> {
    members(request, "application/json")
}

/// An empty body and `null` have no members.
fn members(request: &Request, expected: &str) -> Result<Map<String, Value>, Problem> {
    if request.body.is_empty() {
        return Ok(Map::new());
    }
    let content_type = request.header("content-type").unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case(expected) {
        // Ours: ASP.NET's status; nothing public shows the service's response.
        let message = format!("The Content-Type has to be {expected}.");
        return Err(Problem::new(415, "UnsupportedMediaType", message, None));
    }
    match serde_json::from_slice(&request.body) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(Value::Null) => Ok(Map::new()),
        // Ours: nothing public shows the response to a body that is not the expected JSON.
        Ok(_) | Err(_) => Err(Problem::validation("The body is not a JSON object.", None)),
    }
}

/// A member that may be absent or null.
pub(super) fn member<T>(
    body: &Map<String, Value>,
    name: &'static str,
    read: impl Fn(&Value) -> Option<T>,
) -> Result<Option<T>, Problem> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        // Ours: nothing public shows the response to a member of another type.
        Some(value) => read(value)
            .map(Some)
            .ok_or_else(|| Problem::validation(format!("{name}: The value is not valid."), name)),
    }
}

pub(super) fn string(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn string_list(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(string).collect()
}

fn int32(value: &Value) -> Option<i32> {
    value.as_i64().and_then(|number| number.try_into().ok())
}
