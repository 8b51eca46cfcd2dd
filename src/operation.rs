//! The operations of the service, each as a value.
//!
//! Facts are those of the REST reference,
//! <https://learn.microsoft.com/rest/api/communication/identity>.

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::json;
use ureq::http::Method;

use crate::error::Error;
use crate::token::{TokenRequest, TokenScope};
use crate::user::CommunicationUserIdentifier;

/// What is sent for one operation, but for the api-version and what each attempt adds (date,
/// signature).
#[derive(Clone)]
pub(crate) struct Operation {
    /// The name of the client's method, for errors.
    pub(crate) name: &'static str,
    pub(crate) method: Method,
    /// Percent-encoded, without the query.
    pub(crate) path: String,
    /// JSON, serialised once: the bytes hashed are the bytes sent. Empty if there is none.
    pub(crate) body: Vec<u8>,
    /// Whether doing it twice is as good as doing it once. Creating a user is not: nobody would
    /// know the first one's id.
    pub(crate) repeatable: bool,
}

impl Operation {
    pub(crate) fn create_user() -> Self {
        // The service takes no body at all as well. With one, the transport can tell whether the
        // request went out.
        Self::create("create_user", b"{}".to_vec())
    }

    pub(crate) fn create_user_and_token(request: &TokenRequest) -> Result<Self, Error> {
        let body = token_body("createTokenWithScopes", request)?;
        Ok(Self::create("create_user_and_token", body))
    }

    /// The same custom id gives the same user: it may be repeated.
    pub(crate) fn create_user_with_custom_id(custom_id: &str) -> Result<Self, Error> {
        if custom_id.trim().is_empty() {
            return Err(Error::invalid_input("custom id is empty: expected 1 to 256 characters"));
        }
        let body = json!({ "customId": custom_id }).to_string().into_bytes();
        Ok(Self::post("create_user_with_custom_id", "/identities".to_owned(), body))
    }

    pub(crate) fn get_user(user: &CommunicationUserIdentifier) -> Self {
        Self::on_user("get_user", Method::GET, user)
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
        let body = json!({ "token": teams_token, "appId": client_id, "userId": user_object_id });
        let path = "/teamsUser/:exchangeAccessToken".to_owned();
        Ok(Self::post("exchange_teams_user_token", path, body.to_string().into_bytes()))
    }

    pub(crate) fn issue_token(
        user: &CommunicationUserIdentifier,
        request: &TokenRequest,
    ) -> Result<Self, Error> {
        let body = token_body("scopes", request)?;
        Ok(Self::post("issue_token", format!("{}/:issueAccessToken", user_path(user)), body))
    }

    pub(crate) fn revoke_tokens(user: &CommunicationUserIdentifier) -> Self {
        let path = format!("{}/:revokeAccessTokens", user_path(user));
        Self::post("revoke_tokens", path, Vec::new())
    }

    pub(crate) fn delete_user(user: &CommunicationUserIdentifier) -> Self {
        Self::on_user("delete_user", Method::DELETE, user)
    }

    fn on_user(name: &'static str, method: Method, user: &CommunicationUserIdentifier) -> Self {
        Self { name, method, path: user_path(user), body: Vec::new(), repeatable: true }
    }

    fn create(name: &'static str, body: Vec<u8>) -> Self {
        Self { repeatable: false, ..Self::post(name, "/identities".to_owned(), body) }
    }

    fn post(name: &'static str, path: String, body: Vec<u8>) -> Self {
        Self { name, method: Method::POST, path, body, repeatable: true }
    }
}

fn token_body(scopes_field: &'static str, request: &TokenRequest) -> Result<Vec<u8>, Error> {
    let body = TokenBody {
        scopes_field,
        scopes: request.scopes()?.iter().map(TokenScope::as_str).collect(),
        expires_in_minutes: request.expires_in_minutes()?,
    };
    serde_json::to_vec(&body).map_err(|error| {
        Error::invalid_input("the request cannot be written as JSON").with_source(error)
    })
}

/// In the order of the wire, which `serde_json::Value` would sort.
struct TokenBody<'a> {
    scopes_field: &'static str,
    scopes: Vec<&'a str>,
    expires_in_minutes: Option<u64>,
}

impl Serialize for TokenBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(self.scopes_field, &self.scopes)?;
        if let Some(minutes) = self.expires_in_minutes {
            map.serialize_entry("expiresInMinutes", &minutes)?;
        }
        map.end()
    }
}

fn user_path(user: &CommunicationUserIdentifier) -> String {
    let mut path = String::from("/identities/");
    push_path_segment(&mut path, user.identifier());
    path
}

/// Percent-encodes all but the unreserved characters of RFC 3986, so that the text stays one
/// segment: `8:acs:…` becomes `8%3Aacs%3A…`.
fn push_path_segment(path: &mut String, segment: &str) {
    const HEX: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    let hex = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or_default();
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            path.push(char::from(byte));
        } else {
            path.extend(['%', hex(byte >> 4), hex(byte & 15)]);
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
