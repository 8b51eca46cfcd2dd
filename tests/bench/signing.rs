//! Signing by the library, and the hashing in it alone.

use std::hint::black_box;
use std::time::SystemTime;

use acs_identity::{AccessKey, RequestToSign};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::sides::{KEY, USER_PATH};

const HOST: &str = "contoso.communication.azure.com";
/// 60 bytes.
const BODY: &[u8] = br#"{"scopes":["chat.join.limited","voip"],"expiresInMinutes":60}"#;

pub(crate) struct Signing {
    key: AccessKey,
    target: String,
    keyed: Hmac<Sha256>,
    /// As long as the one that the library signs.
    string_to_sign: String,
}

impl Signing {
    pub(crate) fn new() -> Self {
        let target = format!("{USER_PATH}/:issueAccessToken?api-version=2023-10-01");
        let date = "Wed, 13 Apr 2022 18:09:12 GMT";
        Self {
            key: KEY.parse().unwrap(),
            keyed: Hmac::new_from_slice(&BASE64_STANDARD.decode(KEY).unwrap()).unwrap(),
            string_to_sign: format!("POST\n{target}\n{date};{HOST};{}", "x".repeat(44)),
            target,
        }
    }

    pub(crate) fn ours(&self, now: SystemTime) {
        let request = RequestToSign {
            method: "POST",
            host: HOST,
            path_and_query: black_box(&self.target),
            body: black_box(BODY),
        };
        black_box(self.key.sign(&request, now).unwrap());
    }

    /// The SHA-256 of the body, and the HMAC of a text by the keyed state, cloned.
    pub(crate) fn hashing(&self) -> [[u8; 32]; 2] {
        let hash = Sha256::digest(black_box(BODY));
        let mac = self.keyed.clone().chain_update(black_box(&self.string_to_sign));
        black_box([hash.into(), mac.finalize().into_bytes().into()])
    }

    /// The same, and both as base64.
    pub(crate) fn hashing_and_base64(&self) {
        black_box(self.hashing().map(|bytes| BASE64_STANDARD.encode(bytes)));
    }
}
