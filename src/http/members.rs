//! Finds what an operation returns in the body of a response.
//!
//! Members are collected one by one, so that those before a defect of the body are not lost: the id of a
//! user that was created is found nowhere else. An error is the reason, for the text of an
//! [`Error`](crate::Error).

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::http::response::Response;
use crate::timestamp::parse_rfc3339;
use crate::token::AccessToken;
use crate::user::CommunicationUserIdentifier;

pub(crate) fn user(response: &Response) -> Result<CommunicationUserIdentifier, String> {
    Members::of(response)?.user()
}

pub(crate) fn token(response: &Response) -> Result<AccessToken, String> {
    Members::of(response)?.token()
}

pub(crate) fn user_and_token(
    response: &Response,
) -> Result<(CommunicationUserIdentifier, AccessToken), String> {
    let members = Members::of(response)?;
    Ok((members.user()?, members.token()?))
}

/// Returns the id of the user in a response, however broken the rest of it is.
pub(crate) fn created_user(response: &Response) -> Option<CommunicationUserIdentifier> {
    let mut members = Members::default();
    let _ = members.collect(response);
    members.user().ok()
}

/// The members of all responses, by path. The 2020 service has the id at the top, the response to
/// `:issueAccessToken` the token.
#[derive(Default)]
pub(crate) struct Members {
    /// `identity.id`
    identity_id: Option<String>,
    /// `id`
    id: Option<String>,
    /// `accessToken.token`, `token`
    token: Option<String>,
    /// `accessToken.expiresOn`, `expiresOn`
    expires_on: Option<String>,
    pub(crate) error_code: Option<String>,
    pub(crate) error_message: Option<String>,
    pub(crate) error_target: Option<String>,
}

impl Members {
    pub(crate) fn of(response: &Response) -> Result<Self, String> {
        let mut members = Self::default();
        // Without the parser's own error, which may quote the body, and with it a token.
        members.collect(response).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            format!("its body is not JSON (line {line} column {column})")
        })?;
        Ok(members)
    }

    fn collect(&mut self, response: &Response) -> serde_json::Result<()> {
        // The end of the input is not checked: what follows the object does not matter.
        let mut json = serde_json::Deserializer::from_slice(response.text());
        Walk { path: "", members: self }.deserialize(&mut json)
    }

    fn user(&self) -> Result<CommunicationUserIdentifier, String> {
        // At the top, other servers have ids of their own.
        let at_top = || self.id.as_deref().filter(|id| id.starts_with("8:"));
        let id = self.identity_id.as_deref().or_else(at_top);
        let id = id.ok_or("its body has no identity")?;
        // Not the parser's error, which reads as if it were about a caller's argument.
        id.parse().map_err(|_| "its identity has an invalid id".to_owned())
    }

    fn token(self) -> Result<AccessToken, String> {
        let given = |text: &String| !text.is_empty();
        let token = self.token.filter(given).ok_or("its body has no token")?;
        // Without an early exit, since the compiler then looks at many bytes at once.
        if token.bytes().fold(false, |found, byte| found | !byte.is_ascii_graphic()) {
            return Err("its token has characters that are not allowed in a token".to_owned());
        }
        let text = self.expires_on.filter(given).ok_or("its body has no expiresOn")?;
        let expires_on =
            parse_rfc3339(&text).ok_or("expiresOn is not a valid RFC 3339 timestamp")?;
        Ok(AccessToken::new(token, expires_on, text))
    }

    /// Returns where the text at a path is kept.
    fn at(&mut self, path: &str) -> Option<&mut Option<String>> {
        match path {
            "identity.id" => Some(&mut self.identity_id),
            "id" => Some(&mut self.id),
            "accessToken.token" | "token" => Some(&mut self.token),
            "accessToken.expiresOn" | "expiresOn" => Some(&mut self.expires_on),
            "error.code" => Some(&mut self.error_code),
            "error.message" => Some(&mut self.error_message),
            "error.target" => Some(&mut self.error_target),
            _ => None,
        }
    }
}

/// Walks through JSON and keeps the texts at the paths of [`Members`]. A value of any other type counts as
/// missing.
struct Walk<'a> {
    /// Where the value is: names joined by dots.
    path: &'a str,
    members: &'a mut Members,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        if let Some(member) = self.members.at(self.path) {
            *member = Some(text.to_owned());
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            // A name with a dot looks like a path.
            let is_ambiguous = name.contains('.');
            let path = match self.path {
                "" => name,
                parent => [parent, ".", &name].concat(),
            };
            // Nothing else is walked into, so paths stay short.
            let is_walked = matches!(&*path, "identity" | "accessToken" | "error");
            if is_ambiguous || !is_walked && self.members.at(&path).is_none() {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            map.next_value_seed(Walk { path: &path, members: self.members })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
}
