//! The access key, and HMAC-SHA256 under it.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The access key, as text for the connection string and as bytes for signing.
pub(crate) struct SharedKey {
    pub(super) text: String,
    pub(super) bytes: Vec<u8>,
}

impl SharedKey {
    /// `None` for text that is not base64, or that decodes to nothing.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes = BASE64_STANDARD.decode(text).ok().filter(|bytes| !bytes.is_empty())?;
        Some(Self { text: text.to_owned(), bytes })
    }

    pub(crate) fn from_bytes(bytes: Vec<u8>) -> Self {
        Self { text: BASE64_STANDARD.encode(&bytes), bytes }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn sign(&self, message: &str) -> [u8; 32] {
        hmac_sha256(&self.bytes, message)
    }
}

pub(super) fn hmac_sha256(key: &[u8], message: &str) -> [u8; 32] {
    // HMAC takes keys of any length, so there is always a result.
    Hmac::<Sha256>::new_from_slice(key)
        .map(|mac| mac.chain_update(message).finalize().into_bytes().into())
        .unwrap_or_default()
}
