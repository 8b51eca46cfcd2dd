//! The text of an access token.
//!
//! The real service signs with RS256 and a key of its own. The emulator signs with HS256 under its
//! access key: the shape and the claims are those of a real token, the signature is not.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::key::{SharedKey, hex, hmac_sha256};

/// A token that was issued to a user, from [`Emulator::tokens_of`](crate::emulator::Emulator::tokens_of).
#[derive(Clone, Debug)]
pub struct IssuedToken {
    /// Distinguishes two tokens of one second.
    pub(super) number: u64,
    pub(super) scopes: Vec<String>,
    pub(super) issued_at: SystemTime,
    pub(super) expires_on: SystemTime,
}

impl IssuedToken {
    /// The scopes, in the order of the request.
    #[must_use]
    pub fn scopes(&self) -> &[String] {
        &self.scopes
    }

    /// When the token expires, by the emulator's clock.
    #[must_use]
    pub fn expires_on(&self) -> SystemTime {
        self.expires_on
    }

    /// Header, claims in the order of today's real tokens, signature. The identity is the whole one, `8:…`.
    pub(super) fn text(&self, identity: &str, resource: &str, key: &SharedKey) -> String {
        let digest = Sha256::digest(resource);
        let thumbprint = digest.split_at_checked(20).map_or(&[][..], |(head, _)| head);
        let (kid, x5t) =
            (hex(thumbprint).to_uppercase(), BASE64_URL_SAFE_NO_PAD.encode(thumbprint));
        let header = format!(r#"{{"alg":"HS256","kid":"{kid}","x5t":"{x5t}","typ":"JWT"}}"#);
        let claims = format!(
            r#"{{"skypeid":{skypeid},"scp":1792,"csi":"{iat}","exp":{exp},"rgn":"amer","acsScope":"{scopes}","resourceId":"{resource}","resourceLocation":"unitedstates","jti":"{number}","iat":{iat}}}"#,
            skypeid = json!(identity.strip_prefix("8:").unwrap_or(identity)),
            iat = seconds(self.issued_at),
            exp = seconds(self.expires_on),
            scopes = self.scopes.join(","),
            number = self.number,
        );
        let signed = [header, claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part)).join(".");
        let signature = BASE64_URL_SAFE_NO_PAD.encode(hmac_sha256(&key.bytes, &signed));
        format!("{signed}.{signature}")
    }
}

/// The identity, without `8:` in front, and the number that a token of the emulator's names, unchecked.
pub(super) fn identity_and_number(token: &str) -> Option<(String, u64)> {
    let claims = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    let number = claims.get("jti")?.as_str()?.parse().ok()?;
    Some((claims.get("skypeid")?.as_str()?.to_owned(), number))
}

fn seconds(instant: SystemTime) -> u64 {
    instant.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn token_has_the_claims_of_a_real_one_in_their_order() {
        let issued_at = UNIX_EPOCH + Duration::from_millis(1_657_788_332_500);
        let token = IssuedToken {
            number: 7,
            scopes: vec!["voip".to_owned(), "chat".to_owned()],
            issued_at,
            expires_on: issued_at + Duration::from_secs(86_400),
        }
        .text("8:acs:r_\"u", "r", &SharedKey::parse("pw==").unwrap());

        let parts: Vec<String> = token
            .split('.')
            .take(2)
            .map(|part| String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap())
            .collect();
        assert_eq!(
            parts[1],
            r#"{"skypeid":"acs:r_\"u","scp":1792,"csi":"1657788332","exp":1657874732,"rgn":"amer","acsScope":"voip,chat","resourceId":"r","resourceLocation":"unitedstates","jti":"7","iat":1657788332}"#
        );
        assert!(parts[0].starts_with(r#"{"alg":"HS256","kid":""#), "{}", parts[0]);
        assert!(parts[0].ends_with(r#","typ":"JWT"}"#), "{}", parts[0]);
        assert_eq!(identity_and_number(&token), Some(("acs:r_\"u".to_owned(), 7)));
    }

    #[test]
    fn token_that_is_not_the_emulators_names_nobody() {
        for text in ["", ".", "a.b", "..", "a.e30.c", "a.bnVsbA.c"] {
            assert_eq!(identity_and_number(text), None, "{text}");
        }
    }
}
