//! The Teams exchange: which Entra tokens are taken, and what the body has to say.

use std::collections::HashMap;
use std::time::SystemTime;

use super::body::{member, object, string};
use crate::emulator::request::Request;
use crate::emulator::response::Problem;

/// Whom an Entra token belongs to, and until when.
#[derive(Debug)]
pub(crate) struct TeamsUser {
    pub(crate) app_id: String,
    pub(crate) object_id: String,
    pub(crate) expires_on: SystemTime,
}

/// The Entra tokens that are taken.
#[derive(Default)]
pub(super) struct TeamsUsers {
    by_token: HashMap<String, TeamsUser>,
}

/// The body of the Teams exchange, without the token.
#[derive(Debug)]
pub(super) struct TeamsExchange {
    app_id: String,
    user_id: String,
}

impl TeamsUsers {
    pub(super) fn accept(&mut self, token: String, user: TeamsUser) {
        self.by_token.insert(token, user);
    }

    pub(super) fn of_token(&self, token: &str, now: SystemTime) -> Result<&TeamsUser, Problem> {
        let user = self.by_token.get(token).filter(|user| now < user.expires_on);
        user.ok_or_else(|| {
            Problem::new(401, "InvalidAccessToken", "Provided access token is not valid.", None)
        })
    }
}

impl TeamsExchange {
    /// The token, which may be empty but not absent.
    pub(super) fn token(request: &Request) -> Result<String, Problem> {
        let body = object(request)?;
        member(&body, "token", string)?.ok_or_else(|| {
            Problem::validation("The body is either missing or doesn't contain any token.", None)
        })
    }

    pub(super) fn parse(request: &Request) -> Result<Self, Problem> {
        let body = object(request)?;
        let required = |name, target: &'static str| {
            member(&body, name, string)?.filter(|text| !text.is_empty()).ok_or_else(|| {
                Problem::validation(format!("{target}: The {target} field is required."), target)
            })
        };
        // Ours: of two absent members the first is named.
        Ok(Self { app_id: required("appId", "AppId")?, user_id: required("userId", "UserId")? })
    }

    /// Formats first, then whether they are those of the token.
    pub(super) fn check(&self, user: &TeamsUser) -> Result<(), Problem> {
        let (message, target) = if !is_guid(&self.app_id) {
            ("Provided AppId has invalid format.", "appId")
        } else if !is_guid(&self.user_id) {
            ("Provided UserId has invalid format.", "userId")
        } else if !self.app_id.eq_ignore_ascii_case(&user.app_id) {
            ("AAD application is not the expected one.", "appId")
        } else if !self.user_id.eq_ignore_ascii_case(&user.object_id) {
            ("Provided AAD token issued for unexpected user.", "userId")
        } else {
            return Ok(());
        };
        Err(Problem::validation(message, target).advertising())
    }
}

// Ours: the usual form alone; .NET knows more of them.
fn is_guid(text: &str) -> bool {
    let groups = text
        .split('-')
        .map(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(group.len()));
    groups.eq([8, 4, 4, 4, 12].map(Some))
}
