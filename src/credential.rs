//! Keys and credentials, redacted wherever they could be printed.

use std::fmt;
use std::hint::black_box;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _};
use sha2::Sha256;

use crate::error::Error;

/// An access key of an ACS resource, decoded once and never shown again.
///
/// Read it from the base64 text that the portal shows (standard alphabet, padded) with [`str::parse`]. What is kept is
/// not the key but the keyed HMAC-SHA256 state, which is wiped from memory on drop. Sign requests to other ACS
/// services with [`AccessKey::sign`].
///
/// ```
/// use acs_identity::AccessKey;
///
/// let key: AccessKey = "c2VjcmV0".parse()?;
/// assert_eq!(format!("{key:?}"), "AccessKey([redacted])");
/// # Ok::<(), acs_identity::Error>(())
/// ```
#[derive(Clone)]
#[doc(alias = "AzureKeyCredential")]
pub struct AccessKey(Hmac<Sha256>);

impl AccessKey {
    pub(crate) fn mac(&self) -> Hmac<Sha256> {
        self.0.clone()
    }
}

impl FromStr for AccessKey {
    type Err = Error;

    /// Decodes the base64 text of a key; white space around it is ignored.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if the text is empty or is not canonical, padded base64.
    fn from_str(base64: &str) -> Result<Self, Error> {
        let base64 = base64.trim();
        if base64.is_empty() {
            return Err(Error::invalid_input(
                "accesskey is empty: copy it from the portal's Keys page",
            ));
        }
        // The decoder's own message quotes bytes of the key: it is no source to pass on.
        let mut key = BASE64.decode(base64).map_err(|_| {
            Error::invalid_input(
                "accesskey is not valid base64: copy it again from the portal's Keys page",
            )
        })?;
        let mac = Hmac::new_from_slice(&key);
        key.fill(0);
        black_box(&key);
        mac.map(Self)
            .map_err(|_| Error::invalid_input("accesskey has a length that HMAC cannot take"))
    }
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessKey([redacted])")
    }
}

/// What a client authenticates with.
///
/// Made from an [`AccessKey`]; wherever a credential is asked for, the key itself can be given.
#[derive(Clone, Debug)]
pub struct Credential(AccessKey);

impl Credential {
    pub(crate) fn access_key(&self) -> &AccessKey {
        &self.0
    }
}

impl From<AccessKey> for Credential {
    fn from(key: AccessKey) -> Self {
        Self(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_refused_when_they_are_read() {
        for (text, error) in [
            ("", "accesskey is empty: copy it from the portal's Keys page"),
            (" \r\n", "accesskey is empty: copy it from the portal's Keys page"),
            ("c2VjcmV", "accesskey is not valid base64: copy it again from the portal's Keys page"),
            (
                "c2Vj cmV0",
                "accesskey is not valid base64: copy it again from the portal's Keys page",
            ),
            // The last character carries bits that no encoder sets: a damaged key.
            ("px==", "accesskey is not valid base64: copy it again from the portal's Keys page"),
        ] {
            assert_eq!(text.parse::<AccessKey>().unwrap_err().to_string(), error, "{text:?}");
        }
        assert!("\tpw== \n".parse::<AccessKey>().is_ok());
    }
}
