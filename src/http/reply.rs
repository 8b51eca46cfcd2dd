//! A response as received, and the meaning of its parts.

use std::error::Error as StdError;
use std::iter;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use ureq::http::{HeaderMap, StatusCode, header};

use crate::error::excerpt::excerpt;
use crate::error::{ErrorDetail, ServiceError};

/// A response as received.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// Why the body is incomplete.
    pub(crate) flaw: Option<Flaw>,
}

pub(crate) enum Flaw {
    /// Longer than the client reads.
    TooLong,
    /// The connection failed, or time ran out, before the end of the body.
    Cut(Box<dyn StdError + Send + Sync>),
}

impl Reply {
    /// The body without the byte order mark and NULs that some servers and proxies put around it.
    pub(crate) fn text(&self) -> &[u8] {
        let text = self.body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&self.body);
        let end = text.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        text.get(..end).unwrap_or_default()
    }

    /// Whether the body is known to be complete. A body that ends with its connection is not.
    pub(crate) fn is_whole(&self) -> bool {
        let is_framed = self.headers.contains_key(header::CONTENT_LENGTH)
            || self.headers.contains_key(header::TRANSFER_ENCODING);
        self.flaw.is_none() && is_framed
    }

    /// The service's error envelope, `{"error":{"code":…}}`.
    pub(crate) fn service_error(&self) -> ServiceError {
        let json: Value = serde_json::from_slice(self.text()).unwrap_or_default();
        let Some(envelope) = json.get("error") else { return ServiceError::default() };
        let text = |name| text_in(envelope, name).filter(|text| !text.is_empty());
        ServiceError {
            code: text("code").map(excerpt),
            message: text("message").map(excerpt),
            target: text("target").map(excerpt),
            details: details_of(envelope),
        }
    }

    /// The service's time when it responded.
    pub(crate) fn date(&self) -> Option<SystemTime> {
        httpdate::parse_http_date(self.header("date")?).ok()
    }

    /// The delay that the server asks for, with the precedence of the official clients.
    pub(crate) fn retry_after(&self, now: SystemTime) -> Option<Duration> {
        let text = |name| self.header(name).map(str::trim);
        let millis = |name| text(name).and_then(whole).map(Duration::from_millis);
        let seconds = || text("retry-after").and_then(whole).map(Duration::from_secs);
        let until = || {
            let at = httpdate::parse_http_date(text("retry-after")?).ok()?;
            // Relative to the response's own `Date`: our clock may be wrong. A past date asks for no
            // delay.
            Some(at.duration_since(self.date().unwrap_or(now)).unwrap_or_default())
        };
        millis("retry-after-ms")
            .or_else(|| millis("x-ms-retry-after-ms"))
            .or_else(seconds)
            .or_else(until)
    }

    /// An id for Microsoft's support. It may be as long as a secret, so it is not cleaned like other text
    /// from elsewhere; a value that looks like a signature or a token is dropped.
    pub(crate) fn correlation_id(&self, name: &str) -> Option<&str> {
        const LONGEST: usize = 256;
        self.header(name).filter(|id| {
            id.len() <= LONGEST
                && !id.contains([' ', '\t'])
                && !id.contains("Signature=")
                && !id.starts_with("eyJ")
                && !id.contains(".eyJ")
        })
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// The causes that the service lists below an error: its `details`, and the chain of its
/// `innererror`s.
fn details_of(envelope: &Value) -> Vec<ErrorDetail> {
    // The API's definition has both, but no recorded response does, so their depth is unknown.
    const MOST: usize = 16;
    let details = envelope.get("details").and_then(Value::as_array).into_iter().flatten();
    let inner = iter::successors(envelope.get("innererror"), |error| error.get("innererror"));
    let detail = |error: &Value| ErrorDetail {
        code: text_in(error, "code").map(excerpt),
        message: text_in(error, "message").map(excerpt),
        target: text_in(error, "target").map(excerpt),
    };
    details.chain(inner).filter(|error| error.is_object()).take(MOST).map(detail).collect()
}

fn text_in<'a>(json: &'a Value, name: &str) -> Option<&'a str> {
    json.get(name)?.as_str()
}

/// Reads a number that is not negative, and rounds a fraction up. A number that is too large counts as
/// the largest.
fn whole(text: &str) -> Option<u64> {
    let (integer, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(integer) || !digits(fraction) {
        return None;
    }
    let rounding = u64::from(fraction.bytes().any(|byte| byte != b'0'));
    Some(integer.parse().unwrap_or(u64::MAX).saturating_add(rounding))
}

#[cfg(test)]
mod tests {
    use ureq::http::HeaderName;

    use super::*;

    fn reply(header: (&'static str, &str), body: &[u8]) -> Reply {
        let header = (HeaderName::from_static(header.0), header.1.parse().unwrap());
        Reply {
            status: StatusCode::OK,
            headers: HeaderMap::from_iter([header]),
            body: body.to_owned(),
            flaw: None,
        }
    }

    #[test]
    fn numbers_of_seconds_are_read_forgivingly() {
        for (text, expected) in [
            ("0", Some(0)),
            ("120", Some(120)),
            ("1.5", Some(2)),
            ("3.0", Some(3)),
            ("99999999999999999999999999", Some(u64::MAX)),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1.", None),
            ("1e9", None),
            ("soon", None),
        ] {
            assert_eq!(whole(text), expected, "{text}");
        }
    }

    #[test]
    fn only_an_id_is_taken_for_one() {
        let is_taken = |value: &str| reply(("ms-cv", value), b"").correlation_id("ms-cv").is_some();
        assert!(is_taken("NXIF6XUaPEWmh2eeu4VIOg.0"));
        assert!(is_taken("NXIF6eyJPEWmh2eeu4VIOg.2.0"));
        assert!(is_taken("0nLQ1YwAAAAALU1NTsHjdTJT5NhSnlRaZUFJHMDFFREdFMDkwOABm"));
        for no_id in [
            "HMAC-SHA256 SignedHeaders=x",
            "Signature=abc",
            "eyJhbGciOiJIUzI1NiJ9.e30.c2ln",
            "t:eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjF9.c2ln",
            &"x".repeat(257),
        ] {
            assert!(!is_taken(no_id), "{no_id}");
        }
    }

    #[test]
    fn marks_around_a_body_do_not_hide_its_envelope() {
        let envelope = "{\"error\":{\"code\":\"IdentityNotOwned\"}}";
        for body in [
            envelope.to_owned(),
            format!("\u{feff}{envelope}"),
            format!("{envelope}\0\0"),
            format!("\u{feff} {envelope}\r\n\0"),
        ] {
            let code = reply(("date", "x"), body.as_bytes()).service_error().code;
            assert_eq!(code.as_deref(), Some("IdentityNotOwned"), "{body:?}");
        }
        assert_eq!(reply(("date", "x"), b"\0").service_error().code, None);
    }
}
