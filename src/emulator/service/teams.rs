//! The Teams exchange: whom an Entra token belongs to, and what the body has to say.

use std::time::{Duration, SystemTime};

use super::body::{JSON, member, members, string};
use crate::emulator::request::Request;
use crate::emulator::response::Refusal;

/// Whom an Entra token belongs to, and until when.
#[derive(Clone, Debug)]
pub(crate) struct TeamsUser {
    pub(crate) app_id: String,
    pub(crate) object_id: String,
    pub(crate) expires_on: SystemTime,
}

impl TeamsUser {
    /// How long an Entra token is accepted.
    pub(crate) const TOKEN_LIFE: Duration = Duration::from_secs(60 * 60);
}

/// The token in the body, which may be empty but not absent.
pub(super) fn entra_token(request: &Request) -> Result<String, Refusal> {
    member(&members(request, JSON)?, "token", string)?.ok_or_else(|| {
        let message = "The body is either missing or doesn't contain any token.";
        Refusal::validation(message, None)
    })
}

/// Checks the ids in the body: presence first, then the forms, then whether they are those of the token.
pub(super) fn check_ids(request: &Request, user: &TeamsUser) -> Result<(), Refusal> {
    let body = members(request, JSON)?;
    let required = |name, target: &str| {
        member(&body, name, string)?.filter(|text| !text.is_empty()).ok_or_else(|| {
            let message = format!("{target}: The {target} field is required.");
            Refusal::validation(&message, Some(target))
        })
    };
    // Ours: of two absent members the first is named.
    let (app_id, user_id) = (required("appId", "AppId")?, required("userId", "UserId")?);
    let (message, target) = if !is_guid(&app_id) {
        ("Provided AppId has invalid format.", "appId")
    } else if !is_guid(&user_id) {
        ("Provided UserId has invalid format.", "userId")
    } else if !app_id.eq_ignore_ascii_case(&user.app_id) {
        ("AAD application is not the expected one.", "appId")
    } else if !user_id.eq_ignore_ascii_case(&user.object_id) {
        ("Provided AAD token issued for unexpected user.", "userId")
    } else {
        return Ok(());
    };
    Err(Refusal::validation(message, Some(target)).advertising())
}

// Ours: the usual form alone; .NET knows more of them.
fn is_guid(text: &str) -> bool {
    let groups = text
        .split('-')
        .map(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(group.len()));
    groups.eq([8, 4, 4, 4, 12].map(Some))
}
