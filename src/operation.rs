//! The operations of the service, each as a value.
//!
//! They follow the REST reference, <https://learn.microsoft.com/rest/api/communication/identity>.

use std::fmt::Write as _;

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use ureq::http::Method;

use crate::error::Error;
use crate::token::{TokenRequest, TokenScope};
use crate::user::CommunicationUserIdentifier;

/// Far more than any token needs, and no more than a socket buffers, so that sending never stalls.
const MAX_BODY_BYTES: usize = 16 * 1024;

/// The request of an operation, except for the api-version and what each attempt adds (date, signature),
/// and the meaning of its responses.
#[derive(Clone)]
pub(crate) struct Operation {
    /// The name of the client's method, for errors.
    pub(crate) name: &'static str,
    pub(crate) method: Method,
    /// Percent-encoded, without the query.
    pub(crate) path: String,
    /// JSON, serialized once: the bytes hashed are the bytes sent. Empty if there is none.
    pub(crate) body: Vec<u8>,
    /// The status of a success.
    pub(crate) success: u16,
    /// Whether the operation is idempotent. Creating a user is not: nobody would know the first user's
    /// id.
    pub(crate) repeatable: bool,
    /// Whether a success contains the id of a user that may be new.
    pub(crate) creates_user: bool,
    /// Whether the work is done if the user no longer exists.
    pub(crate) missing_is_done: bool,
}

impl Operation {
    pub(crate) fn create_user() -> Self {
        // The service also accepts no body. With one, the transport can tell whether the request was
        // sent.
        Self::create("create_user", b"{}".to_vec())
    }

    pub(crate) fn create_user_and_token(request: &TokenRequest) -> Result<Self, Error> {
        let body = token_body(None, "createTokenWithScopes", request)?;
        Ok(Self::create("create_user_and_token", body))
    }

    /// The same custom id gives the same user, so it may be repeated.
    pub(crate) fn create_user_with_custom_id(custom_id: &str) -> Result<Self, Error> {
        check_custom_id(custom_id)?;
        let body = json_body(&Texts(&[("customId", custom_id)]))?;
        Ok(Self { repeatable: true, ..Self::create("create_user_with_custom_id", body) })
    }

    pub(crate) fn create_user_and_token_with_custom_id(
        custom_id: &str,
        request: &TokenRequest,
    ) -> Result<Self, Error> {
        check_custom_id(custom_id)?;
        let body = token_body(Some(custom_id), "createTokenWithScopes", request)?;
        Ok(Self { repeatable: true, ..Self::create("create_user_and_token_with_custom_id", body) })
    }

    pub(crate) fn get_user(user: &CommunicationUserIdentifier) -> Self {
        Self { method: Method::GET, ..Self::post("get_user", user_path(user, ""), Vec::new()) }
    }

    pub(crate) fn exchange_teams_user_token(
        teams_token: &str,
        client_id: &str,
        user_object_id: &str,
    ) -> Result<Self, Error> {
        let arguments = [
            ("teams_token", teams_token),
            ("client_id", client_id),
            ("user_object_id", user_object_id),
        ];
        if let Some((name, _)) = arguments.iter().find(|(_, value)| value.trim().is_empty()) {
            return Err(Error::invalid_input(format!(
                "{name} is empty: expected the Entra token of a Teams user, the application's id and the user's object id"
            )));
        }
        let members = [("token", teams_token), ("appId", client_id), ("userId", user_object_id)];
        let body = json_body(&Texts(&members))?;
        let path = "/teamsUser/:exchangeAccessToken".to_owned();
        Ok(Self::post("exchange_teams_user_token", path, body))
    }

    pub(crate) fn issue_token(
        user: &CommunicationUserIdentifier,
        request: &TokenRequest,
    ) -> Result<Self, Error> {
        let body = token_body(None, "scopes", request)?;
        Ok(Self::post("issue_token", user_path(user, "/:issueAccessToken"), body))
    }

    pub(crate) fn revoke_tokens(user: &CommunicationUserIdentifier) -> Self {
        let path = user_path(user, "/:revokeAccessTokens");
        Self { success: 204, ..Self::post("revoke_tokens", path, Vec::new()) }
    }

    pub(crate) fn delete_user(user: &CommunicationUserIdentifier) -> Self {
        Self {
            method: Method::DELETE,
            success: 204,
            missing_is_done: true,
            ..Self::post("delete_user", user_path(user, ""), Vec::new())
        }
    }

    fn create(name: &'static str, body: Vec<u8>) -> Self {
        Self {
            success: 201,
            repeatable: false,
            creates_user: true,
            ..Self::post(name, "/identities".to_owned(), body)
        }
    }

    fn post(name: &'static str, path: String, body: Vec<u8>) -> Self {
        Self {
            name,
            method: Method::POST,
            path,
            body,
            success: 200,
            repeatable: true,
            creates_user: false,
            missing_is_done: false,
        }
    }
}

fn check_custom_id(custom_id: &str) -> Result<(), Error> {
    if custom_id.trim().is_empty() {
        return Err(Error::invalid_input("custom id is empty: expected 1 to 256 characters"));
    }
    Ok(())
}

fn token_body(
    custom_id: Option<&str>,
    scopes_field: &'static str,
    request: &TokenRequest,
) -> Result<Vec<u8>, Error> {
    json_body(&TokenBody {
        custom_id,
        scopes_field,
        scopes: request.scopes()?,
        expires_in_minutes: request.expires_in_minutes()?,
    })
}

fn json_body(body: &impl Serialize) -> Result<Vec<u8>, Error> {
    let body = serde_json::to_vec(body).map_err(|error| {
        Error::invalid_input("the request cannot be written as JSON").with_source(error)
    })?;
    if body.len() > MAX_BODY_BYTES {
        return Err(Error::invalid_input(
            "the request's body is longer than 16 KiB: check the scopes, the custom id or the token",
        ));
    }
    Ok(body)
}

/// A JSON object whose values are strings.
struct Texts<'a>(&'a [(&'static str, &'a str)]);

impl Serialize for Texts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

/// Keeps the order of the wire, which `serde_json::Value` would sort.
struct TokenBody<'a> {
    custom_id: Option<&'a str>,
    scopes_field: &'static str,
    scopes: &'a [TokenScope],
    expires_in_minutes: Option<u64>,
}

impl Serialize for TokenBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(custom_id) = self.custom_id {
            map.serialize_entry("customId", custom_id)?;
        }
        map.serialize_entry(self.scopes_field, self.scopes)?;
        if let Some(minutes) = self.expires_in_minutes {
            map.serialize_entry("expiresInMinutes", &minutes)?;
        }
        map.end()
    }
}

fn user_path(user: &CommunicationUserIdentifier, verb: &str) -> String {
    // Enough for a usual id, whose two colons become `%3A`.
    let length = "/identities/".len() + user.identifier().len() + 2 * 2 + verb.len();
    let mut path = String::with_capacity(length);
    path.push_str("/identities/");
    push_path_segment(&mut path, user.identifier());
    path.push_str(verb);
    path
}

/// Percent-encodes all but the unreserved characters of RFC 3986, so that the text stays one segment:
/// `8:acs:…` becomes `8%3Aacs%3A…`.
fn push_path_segment(path: &mut String, segment: &str) {
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            path.push(char::from(byte));
        } else {
            // Writing to a `String` does not fail.
            let _ = write!(path, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn body(operation: &Operation) -> &str {
        std::str::from_utf8(&operation.body).unwrap()
    }

    #[test]
    fn bodies_have_the_order_of_the_wire() {
        let user = "8:acs:a_b".parse().unwrap();
        let request = TokenRequest::new(["chat", "voip"]).expires_in(Duration::from_secs(3_600));
        let create = Operation::create_user_and_token(&request).unwrap();
        assert_eq!(
            body(&create),
            r#"{"createTokenWithScopes":["chat","voip"],"expiresInMinutes":60}"#
        );
        let issue = Operation::issue_token(&user, &["chat"].into()).unwrap();
        assert_eq!(body(&issue), r#"{"scopes":["chat"]}"#);
        let both = Operation::create_user_and_token_with_custom_id("alice", &["chat"].into());
        assert_eq!(
            body(&both.unwrap()),
            r#"{"customId":"alice","createTokenWithScopes":["chat"]}"#
        );
        assert_eq!(body(&Operation::create_user()), "{}");
        assert_eq!(body(&Operation::revoke_tokens(&user)), "");
        assert_eq!(body(&Operation::delete_user(&user)), "");
    }

    #[test]
    fn an_id_is_one_encoded_segment() {
        let user = "8:acs:a/b?c#d%e é..".parse().unwrap();
        assert_eq!(
            Operation::revoke_tokens(&user).path,
            "/identities/8%3Aacs%3Aa%2Fb%3Fc%23d%25e%20%C3%A9../:revokeAccessTokens"
        );
    }
}
