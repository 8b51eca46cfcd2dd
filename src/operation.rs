//! An operation of the service, as a value.

use std::fmt::Write as _;

use serde::Serialize;
use ureq::http::Method;

use crate::error::Error;
use crate::user::CommunicationUserIdentifier;

/// Far more than any token needs, and no more than a socket buffers, so that sending never stalls.
const MAX_BODY_BYTES: usize = 16 * 1024;

/// The request of an operation, except for the api-version and what each attempt adds (date, signature),
/// and its success.
pub(crate) struct Operation {
    /// The name of the client's method.
    pub(crate) name: &'static str,
    pub(crate) method: Method,
    /// Percent-encoded, without the query.
    pub(crate) path: String,
    /// JSON, serialized once: the bytes hashed are the bytes sent. Empty if there is none.
    pub(crate) body: Vec<u8>,
    /// The status of a success.
    pub(crate) success: u16,
}

impl Operation {
    /// Whether a success creates a user. Such an operation is the only one that is not idempotent.
    pub(crate) fn creates_user(&self) -> bool {
        self.success == 201
    }
}

/// Serializes the body of a request.
pub(crate) fn json_body(body: &impl Serialize) -> Result<Vec<u8>, Error> {
    let body = serde_json::to_vec(body).map_err(|error| {
        Error::invalid_input("the request cannot be written as JSON").with_source(error)
    })?;
    if body.len() > MAX_BODY_BYTES {
        return Err(Error::invalid_input(
            "the request's body is longer than 16 KiB: check the scopes or the token",
        ));
    }
    Ok(body)
}

/// Returns the path of a user, followed by a verb such as `/:issueAccessToken`.
pub(crate) fn user_path(user: &CommunicationUserIdentifier, verb: &str) -> String {
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
    use super::*;

    #[test]
    fn user_path_encodes_an_id_as_one_segment() {
        let user = "8:acs:a/b?c#d%e é..".parse().unwrap();
        assert_eq!(
            user_path(&user, "/:revokeAccessTokens"),
            "/identities/8%3Aacs%3Aa%2Fb%3Fc%23d%25e%20%C3%A9../:revokeAccessTokens"
        );
    }
}
