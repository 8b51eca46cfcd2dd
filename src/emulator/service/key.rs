//! The access key, and HMAC-SHA256 under it.

use std::fmt::Write;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The access key, as text for the connection string and as bytes for signing.
pub(crate) struct SharedKey {
    pub(crate) text: String,
    pub(super) bytes: Vec<u8>,
}

impl SharedKey {
    /// `None` for text that is not base64, or that decodes to nothing.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes = BASE64_STANDARD.decode(text).ok().filter(|bytes| !bytes.is_empty())?;
        Some(Self { text: text.to_owned(), bytes })
    }
}

pub(super) fn hmac_sha256(key: &[u8], message: &str) -> [u8; 32] {
    // HMAC takes keys of any length, so there is always a result.
    Hmac::<Sha256>::new_from_slice(key)
        .map(|mac| mac.chain_update(message).finalize().into_bytes().into())
        .unwrap_or_default()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
