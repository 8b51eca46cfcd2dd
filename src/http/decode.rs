//! Turns the body of a success into what the operation returns.
//!
//! Members are read one by one, so that those before a defect in the body are not lost.

use std::fmt;
use std::time::SystemTime;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use crate::http::reply::Reply;
use crate::timestamp::parse_rfc3339;
use crate::token::AccessToken;
use crate::user::{CommunicationUserDetails, CommunicationUserIdentifier};

/// Why the response of a success cannot be used.
pub(crate) struct Undecodable {
    pub(crate) problem: &'static str,
    pub(crate) cause: Option<JsonError>,
}

pub(crate) fn user(reply: &Reply) -> Result<CommunicationUserIdentifier, Undecodable> {
    members(reply)?.user()
}

pub(crate) fn user_and_token(
    reply: &Reply,
) -> Result<(CommunicationUserIdentifier, AccessToken), Undecodable> {
    let members = members(reply)?;
    Ok((members.user()?, members.token()?))
}

pub(crate) fn details(reply: &Reply) -> Result<CommunicationUserDetails, Undecodable> {
    members(reply)?.details()
}

pub(crate) fn details_and_token(
    reply: &Reply,
) -> Result<(CommunicationUserDetails, AccessToken), Undecodable> {
    let mut members = members(reply)?;
    Ok((members.details()?, members.token()?))
}

pub(crate) fn token(reply: &Reply) -> Result<AccessToken, Undecodable> {
    members(reply)?.token()
}

pub(crate) fn token_valid_at(reply: &Reply, now: SystemTime) -> Result<AccessToken, Undecodable> {
    let token = token(reply)?;
    if token.is_expired(now) {
        return Err(missing("its token has already expired: check this machine's clock"));
    }
    Ok(token)
}

/// The id of the user in a response, however broken the rest of it is.
pub(crate) fn created_user(reply: &Reply) -> Option<CommunicationUserIdentifier> {
    let mut members = Members::default();
    // A defect leaves the members that came before it.
    let _ = members.read(reply);
    members.user().ok()
}

fn members(reply: &Reply) -> Result<Members, Undecodable> {
    let mut members = Members::default();
    members.read(reply).map_err(|error| Undecodable {
        problem: "its body is not JSON",
        cause: Some(JsonError { line: error.line(), column: error.column() }),
    })?;
    Ok(members)
}

/// The members of all operations' responses: each in its own object, or else at the top.
#[derive(Default)]
struct Members {
    within: Within,
    id: Option<String>,
    custom_id: Option<String>,
    last_token_issued_at: Option<String>,
    token: Option<String>,
    expires_on: Option<String>,
}

/// Which object is being read.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Within {
    #[default]
    Top,
    Identity,
    AccessToken,
}

impl Members {
    fn read(&mut self, reply: &Reply) -> serde_json::Result<()> {
        // The end of the input is not checked: what follows the object does not matter.
        let mut json = serde_json::Deserializer::from_slice(reply.text());
        Value(Some(self)).deserialize(&mut json).map(drop)
    }

    fn user(&self) -> Result<CommunicationUserIdentifier, Undecodable> {
        let id = self.id.as_deref().ok_or(missing("its body has no identity"))?;
        // Not the parser's error, which reads as if it were about a caller's argument.
        id.parse().map_err(|_| missing("its identity has no proper id"))
    }

    fn details(&mut self) -> Result<CommunicationUserDetails, Undecodable> {
        let issued_at = self.last_token_issued_at.as_deref().map(|text| {
            parse_rfc3339(text)
                .ok_or(missing("lastTokenIssuedAt is not a valid RFC 3339 timestamp"))
        });
        Ok(CommunicationUserDetails {
            identifier: self.user()?,
            custom_id: self.custom_id.take(),
            last_token_issued_at: issued_at.transpose()?,
        })
    }

    fn token(self) -> Result<AccessToken, Undecodable> {
        let given = |text: &String| !text.is_empty();
        let token = self.token.filter(given).ok_or(missing("its body has no token"))?;
        // Without an early exit, since the compiler then looks at many bytes at once.
        if token.bytes().fold(false, |found, byte| found | !byte.is_ascii_graphic()) {
            return Err(missing("its token has characters that no token has"));
        }
        let text = self.expires_on.filter(given).ok_or(missing("its body has no expiresOn"))?;
        let expires_on =
            parse_rfc3339(&text).ok_or(missing("expiresOn is not a valid RFC 3339 timestamp"))?;
        Ok(AccessToken::new(token, expires_on, text))
    }
}

const fn missing(problem: &'static str) -> Undecodable {
    Undecodable { problem, cause: None }
}

/// Reads any value: returns a string, and reads the members of an object if they are wanted. A value of any
/// other type counts as missing.
struct Value<'a>(Option<&'a mut Members>);

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let Some(members) = self.0 else {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(None);
        };
        while let Some(name) = map.next_key::<Name>()? {
            let is_id = matches!(name, Name::Id);
            let (home, member) = match name {
                Name::Object(object) if members.within == Within::Top => {
                    members.within = object;
                    map.next_value_seed(Value(Some(&mut *members)))?;
                    members.within = Within::Top;
                    continue;
                }
                Name::Object(_) | Name::Other => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
                Name::Id => (Within::Identity, &mut members.id),
                Name::CustomId => (Within::Identity, &mut members.custom_id),
                Name::LastTokenIssuedAt => (Within::Identity, &mut members.last_token_issued_at),
                Name::Token => (Within::AccessToken, &mut members.token),
                Name::ExpiresOn => (Within::AccessToken, &mut members.expires_on),
            };
            let Some(text) = map.next_value_seed(Value(None))? else { continue };
            // At the top, other servers have ids of their own.
            let counts_at_top = member.is_none() && (!is_id || text.starts_with("8:"));
            if members.within == home || members.within == Within::Top && counts_at_top {
                *member = Some(text);
            }
        }
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// The name of a member, recognized without a copy of its text.
enum Name {
    Object(Within),
    Id,
    CustomId,
    LastTokenIssuedAt,
    Token,
    ExpiresOn,
    Other,
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;

        impl Visitor<'_> for NameVisitor {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a member's name")
            }

            fn visit_str<E>(self, name: &str) -> Result<Name, E> {
                Ok(match name {
                    "identity" => Name::Object(Within::Identity),
                    "accessToken" => Name::Object(Within::AccessToken),
                    "id" => Name::Id,
                    "customId" => Name::CustomId,
                    "lastTokenIssuedAt" => Name::LastTokenIssuedAt,
                    "token" => Name::Token,
                    "expiresOn" => Name::ExpiresOn,
                    _ => Name::Other,
                })
            }
        }

        deserializer.deserialize_identifier(NameVisitor)
    }
}

/// Where the JSON of a body breaks off. The parser's own error may quote the body, and with it a token.
#[derive(Debug)]
pub(crate) struct JsonError {
    line: usize,
    column: usize,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not JSON at line {} column {}", self.line, self.column)
    }
}

impl std::error::Error for JsonError {}
