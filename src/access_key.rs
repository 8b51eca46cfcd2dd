//! The access key and request signing: content hash, string to sign, signature, headers. Pure: the
//! instant is an argument.
//!
//! The scheme is documented at
//! <https://learn.microsoft.com/rest/api/communication/authentication>. All ACS services share it.

use std::borrow::Cow;
use std::fmt;
use std::hint::black_box;
use std::str::FromStr;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::error::Error;
use crate::timestamp::http_date;

const CONTENT_HASH_OF_NOTHING: &str = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
const AUTHORIZATION: &str =
    "HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature=";
const BASE64_OF_32_BYTES: usize = 44;

/// An access key of an ACS resource, decoded once and never shown again.
///
/// Parse it from the base64 text that the portal shows (standard alphabet, padded). Only the keyed
/// HMAC-SHA256 state is kept, not the key itself. It is wiped from memory on drop.
///
/// # Examples
///
/// ```
/// use acs_identity::AccessKey;
///
/// let key: AccessKey = "c2VjcmV0".parse()?;
/// assert_eq!(format!("{key:?}"), "AccessKey([redacted])");
/// # Ok::<(), acs_identity::Error>(())
/// ```
#[derive(Clone)]
pub struct AccessKey(Hmac<Sha256>);

/// The parts of a request to an ACS service that its signature covers.
///
/// Pass [`AccessKey::sign`] exactly what you send: the signature covers every byte. `Debug` omits the
/// body, which may hold a token.
///
/// # Examples
///
/// ```
/// use acs_identity::RequestToSign;
///
/// let request = RequestToSign {
///     method: "POST",
///     host: "contoso.communication.azure.com",
///     path_and_query: "/emails:send?api-version=2023-03-31",
///     body: br#"{"senderAddress":"a@b.c"}"#,
/// };
/// assert!(!format!("{request:?}").contains("senderAddress"));
/// ```
#[derive(Clone, Copy)]
#[allow(clippy::exhaustive_structs, reason = "callers build it; the scheme signs nothing else")]
pub struct RequestToSign<'a> {
    /// The method in upper case, such as `POST`.
    pub method: &'a str,
    /// The `Host` header: in lower case, with the port unless it is the scheme's default. See
    /// [`Endpoint::host`](crate::Endpoint::host).
    pub host: &'a str,
    /// The request target: the path and the query, percent-encoded as they are sent, such as
    /// `/emails:send?api-version=2023-03-31`.
    pub path_and_query: &'a str,
    /// The body; empty if there is none.
    pub body: &'a [u8],
}

/// The headers that sign a request. Send them together with `Host`.
///
/// `Debug` omits the signature.
///
/// # Examples
///
/// ```
/// use std::time::SystemTime;
///
/// use acs_identity::{AccessKey, RequestToSign};
///
/// let key: AccessKey = "pw==".parse()?;
/// let request =
///     RequestToSign { method: "GET", host: "example.com", path_and_query: "/", body: b"" };
/// let signed = key.sign(&request, SystemTime::now())?;
/// for (name, value) in signed.headers() {
///     // Add each to the request, in any order.
///     assert!(!name.is_empty() && !value.is_empty());
/// }
/// # Ok::<(), acs_identity::Error>(())
/// ```
#[derive(Clone)]
pub struct SignedHeaders {
    date: String,
    content_hash: Cow<'static, str>,
    authorization: String,
}

impl AccessKey {
    /// Signs a request to any ACS service, to be sent at the given instant.
    ///
    /// Sign every attempt anew: the service rejects a date that is too old.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::{Duration, UNIX_EPOCH};
    ///
    /// use acs_identity::{AccessKey, RequestToSign};
    ///
    /// let key: AccessKey = "pw==".parse()?;
    /// let request = RequestToSign {
    ///     method: "GET",
    ///     host: "example.com",
    ///     path_and_query: "/testPath",
    ///     body: b"",
    /// };
    /// let signed = key.sign(&request, UNIX_EPOCH + Duration::from_secs(1_649_873_352))?;
    ///
    /// assert_eq!(signed.date(), "Wed, 13 Apr 2022 18:09:12 GMT");
    /// assert_eq!(
    ///     signed.authorization(),
    ///     "HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256\
    ///      &Signature=+6tWkg3lNKVjQHHmxkdGQcJjUgzclsWTMebnuCz1ngU="
    /// );
    /// # Ok::<(), acs_identity::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if the instant is outside the years 1970 to
    /// 9999, which an HTTP date cannot express.
    pub fn sign(
        &self,
        request: &RequestToSign<'_>,
        at: SystemTime,
    ) -> Result<SignedHeaders, Error> {
        let date = http_date(at).ok_or_else(|| {
            Error::invalid_input("the clock is outside the years 1970 to 9999: set it right")
        })?;
        let content_hash = content_hash(request.body);
        let signature = self.signature(&string_to_sign(request, &date, &content_hash));
        let mut authorization = String::with_capacity(AUTHORIZATION.len() + BASE64_OF_32_BYTES);
        authorization.push_str(AUTHORIZATION);
        BASE64.encode_string(signature, &mut authorization);
        Ok(SignedHeaders { date, content_hash, authorization })
    }

    /// Takes the string to sign in parts, which need not be joined.
    fn signature(&self, string_to_sign: &[&str]) -> [u8; 32] {
        let mut mac = self.0.clone();
        for part in string_to_sign {
            mac.update(part.as_bytes());
        }
        mac.finalize().into_bytes().into()
    }
}

impl FromStr for AccessKey {
    type Err = Error;

    /// Decodes the base64 text of a key. White space around it is ignored.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if the text is empty or is not canonical,
    /// padded base64.
    fn from_str(base64: &str) -> Result<Self, Error> {
        let base64 = base64.trim();
        if base64.is_empty() {
            return Err(Error::invalid_input(
                "accesskey is empty: copy it from the portal's Keys page",
            ));
        }
        // Not kept as a source: the decoder's message quotes bytes of the key.
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

impl SignedHeaders {
    /// Returns the value of `x-ms-date`, such as `Wed, 13 Apr 2022 18:09:12 GMT`.
    pub fn date(&self) -> &str {
        &self.date
    }

    /// Returns the value of `x-ms-content-sha256`: the base64 of the body's SHA-256.
    pub fn content_hash(&self) -> &str {
        &self.content_hash
    }

    /// Returns the value of `authorization`. Anyone who sees it can send this one request while its date
    /// is fresh.
    pub fn authorization(&self) -> &str {
        &self.authorization
    }

    /// Returns the names, in lower case, and values of all three headers.
    pub fn headers(&self) -> [(&'static str, &str); 3] {
        [
            ("x-ms-date", &self.date),
            ("x-ms-content-sha256", &self.content_hash),
            ("authorization", &self.authorization),
        ]
    }

    /// The same as [`headers`](Self::headers), without copies.
    pub(crate) fn into_headers(self) -> [(&'static str, String); 3] {
        [
            ("x-ms-date", self.date),
            ("x-ms-content-sha256", self.content_hash.into_owned()),
            ("authorization", self.authorization),
        ]
    }
}

impl fmt::Debug for SignedHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedHeaders")
            .field("date", &self.date)
            .field("content_hash", &self.content_hash)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RequestToSign<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestToSign")
            .field("method", &self.method)
            .field("host", &self.host)
            .field("path_and_query", &self.path_and_query)
            .finish_non_exhaustive()
    }
}

fn content_hash(body: &[u8]) -> Cow<'static, str> {
    if body.is_empty() {
        return Cow::Borrowed(CONTENT_HASH_OF_NOTHING);
    }
    Cow::Owned(BASE64.encode(Sha256::digest(body)))
}

fn string_to_sign<'a>(
    request: &RequestToSign<'a>,
    date: &'a str,
    content_hash: &'a str,
) -> [&'a str; 9] {
    let RequestToSign { method, host, path_and_query, .. } = request;
    [method, "\n", path_and_query, "\n", date, ";", host, ";", content_hash]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each step has a known result of its own. The whole is tested against vectors of the official
    /// clients in `tests/`.
    #[test]
    fn content_hashes_are_those_of_real_requests() {
        for (body, hash) in [
            ("", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="),
            ("banana", "tJPUg2Sv5E0RwBZc9HCkFk0eJgmRHvmYvoaNRq3j3k4="),
            ("😀", "8EQ6NCxe9UeDoRG1G6Vsk45HTDIyTZDDpgycjjo34tk="),
            (r#"{"scopes":["chat","voip"]}"#, "EqW/vFkRi/EMVlRLG6+kt0X27SowO7NytIh/miHOZlY="),
        ] {
            assert_eq!(content_hash(body.as_bytes()), hash, "{body}");
        }
    }

    #[test]
    fn the_string_to_sign_has_three_lines_and_no_end_of_line() {
        let request =
            RequestToSign { method: "GET", host: "h:1", path_and_query: "/p?q=1", body: b"" };
        assert_eq!(string_to_sign(&request, "DATE", "HASH").concat(), "GET\n/p?q=1\nDATE;h:1;HASH");
    }

    #[test]
    fn signatures_are_those_of_the_official_clients() {
        let key: AccessKey = "pw==".parse().unwrap();
        let signature = |text| BASE64.encode(key.signature(&[text]));
        assert_eq!(signature("banana"), "88EC05aAS9iXnaimtNO78JLjiPtfWryQB/5QYEzEsu8=");
        assert_eq!(signature("😀"), "1rudJKjn2Zi+3hRrBG29wIF6pD6YyAeQR1ZcFtXoKAU=");
    }

    #[test]
    fn keys_are_rejected_when_they_are_read() {
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

    #[test]
    fn an_instant_that_http_cannot_write_is_an_error() {
        let key: AccessKey = "pw==".parse().unwrap();
        let request = RequestToSign { method: "GET", host: "h", path_and_query: "/", body: b"" };
        let before_1970 = SystemTime::UNIX_EPOCH - std::time::Duration::from_secs(1);
        let error = key.sign(&request, before_1970).unwrap_err();
        assert_eq!(error.to_string(), "the clock is outside the years 1970 to 9999: set it right");
    }
}
