//! Request signing: content hash, string to sign, signature, headers. Pure: the instant is an
//! argument.
//!
//! The scheme is that of <https://learn.microsoft.com/rest/api/communication/authentication>; all
//! services of ACS share it.

use std::fmt;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::Mac as _;
use sha2::{Digest as _, Sha256};

use crate::credential::AccessKey;
use crate::error::Error;
use crate::timestamp::http_date;

const CONTENT_HASH_OF_NOTHING: &str = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

/// A request to any ACS service, as far as its signature covers it.
///
/// Give [`AccessKey::sign`] exactly what is sent: the signature covers every byte.
#[derive(Clone, Copy)]
#[allow(clippy::exhaustive_structs, reason = "callers build it; the scheme signs nothing else")]
pub struct RequestToSign<'a> {
    /// The method in upper case, such as `POST`.
    pub method: &'a str,
    /// The `Host` header: in lower case, with the port unless it is the scheme's default. See
    /// [`Endpoint::host`](crate::Endpoint::host).
    pub host: &'a str,
    /// The request target: path and query, percent-encoded as they are sent, such as
    /// `/emails:send?api-version=2023-03-31`.
    pub path_and_query: &'a str,
    /// The body; empty if there is none.
    pub body: &'a [u8],
}

/// Without the body, which may hold a token.
impl fmt::Debug for RequestToSign<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestToSign")
            .field("method", &self.method)
            .field("host", &self.host)
            .field("path_and_query", &self.path_and_query)
            .finish_non_exhaustive()
    }
}

impl AccessKey {
    /// Signs a request to any ACS service, for sending at the given instant.
    ///
    /// The service refuses a date that is too old: sign anew for every attempt.
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
    /// for (name, value) in signed.headers() {
    ///     // Add them to the request, in any order.
    ///     assert!(!name.is_empty() && !value.is_empty());
    /// }
    /// # Ok::<(), acs_identity::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if the instant is outside the years 1970 to
    /// 9999, which HTTP cannot write.
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
        let authorization = format!(
            "HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature={signature}"
        );
        Ok(SignedHeaders { date, content_hash, authorization })
    }

    fn signature(&self, string_to_sign: &str) -> String {
        let mut mac = self.mac();
        mac.update(string_to_sign.as_bytes());
        BASE64.encode(mac.finalize().into_bytes())
    }
}

/// The headers that make a request a signed one, to be sent next to `Host`.
#[derive(Clone)]
pub struct SignedHeaders {
    date: String,
    content_hash: String,
    authorization: String,
}

impl SignedHeaders {
    /// The value of `x-ms-date`, such as `Wed, 13 Apr 2022 18:09:12 GMT`.
    #[must_use]
    pub fn date(&self) -> &str {
        &self.date
    }

    /// The value of `x-ms-content-sha256`: the base64 of the body's SHA-256.
    #[must_use]
    pub fn content_hash(&self) -> &str {
        &self.content_hash
    }

    /// The value of `authorization`. Whoever sees it can send this one request, as long as its date
    /// is fresh.
    #[must_use]
    pub fn authorization(&self) -> &str {
        &self.authorization
    }

    /// Names, in lower case, and values.
    #[must_use]
    pub fn headers(&self) -> [(&'static str, &str); 3] {
        [
            ("x-ms-date", &self.date),
            ("x-ms-content-sha256", &self.content_hash),
            ("authorization", &self.authorization),
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

fn content_hash(body: &[u8]) -> String {
    if body.is_empty() {
        return CONTENT_HASH_OF_NOTHING.to_owned();
    }
    BASE64.encode(Sha256::digest(body))
}

fn string_to_sign(request: &RequestToSign<'_>, date: &str, content_hash: &str) -> String {
    let RequestToSign { method, host, path_and_query, .. } = request;
    format!("{method}\n{path_and_query}\n{date};{host};{content_hash}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each step has its own known answer; the whole is tested against the official clients'
    /// vectors in `tests/`.
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
        assert_eq!(string_to_sign(&request, "DATE", "HASH"), "GET\n/p?q=1\nDATE;h:1;HASH");
    }

    #[test]
    fn signatures_are_those_of_the_official_clients() {
        let key: AccessKey = "pw==".parse().unwrap();
        assert_eq!(key.signature("banana"), "88EC05aAS9iXnaimtNO78JLjiPtfWryQB/5QYEzEsu8=");
        assert_eq!(key.signature("😀"), "1rudJKjn2Zi+3hRrBG29wIF6pD6YyAeQR1ZcFtXoKAU=");
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
