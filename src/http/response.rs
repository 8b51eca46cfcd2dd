//! A response as received, and the meaning of its headers.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ureq::http::{HeaderMap, StatusCode, header};

/// A response as received.
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// Why the body is incomplete: it is too long, the connection failed, or time ran out.
    pub(crate) body_error: Option<Arc<ureq::Error>>,
}

impl Response {
    /// Returns the body without the byte order mark that some servers and proxies put in front of it.
    pub(crate) fn text(&self) -> &[u8] {
        self.body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&self.body)
    }

    /// Whether the body is known to be complete. A body that ends with its connection is not.
    pub(crate) fn is_complete(&self) -> bool {
        let is_framed = self.headers.contains_key(header::CONTENT_LENGTH)
            || self.headers.contains_key(header::TRANSFER_ENCODING);
        self.body_error.is_none() && is_framed
    }

    /// Whether the body broke off before its end.
    pub(crate) fn is_cut(&self) -> bool {
        let is_too_long = |error: &ureq::Error| matches!(error, ureq::Error::BodyExceedsLimit(_));
        self.body_error.as_ref().is_some_and(|error| !is_too_long(error))
    }

    /// Returns the service's time when it responded.
    pub(crate) fn date(&self) -> Option<SystemTime> {
        httpdate::parse_http_date(self.header("date")?).ok()
    }

    /// Returns the delay that the server asks for, with the precedence of the official clients.
    pub(crate) fn retry_after(&self, now: SystemTime) -> Option<Duration> {
        let number = |name| parse_u64(self.header(name)?.trim());
        let until = || {
            let at = httpdate::parse_http_date(self.header("retry-after")?.trim()).ok()?;
            // Relative to the response's own `Date`, since our clock may be wrong. A past date asks for
            // no delay.
            Some(at.duration_since(self.date().unwrap_or(now)).unwrap_or_default())
        };
        number("retry-after-ms")
            .or_else(|| number("x-ms-retry-after-ms"))
            .map(Duration::from_millis)
            .or_else(|| number("retry-after").map(Duration::from_secs))
            .or_else(until)
    }

    /// Returns an id for Microsoft's support. It may be as long as a secret, so it is not sanitized like
    /// other untrusted text; a value that looks like a signature or a token is dropped.
    pub(crate) fn correlation_id(&self, name: &str) -> Option<&str> {
        const MAX_LENGTH: usize = 256;
        // HMAC-SHA256 in base64 has 43 characters and a padding.
        let is_separator = |c: char| !(c.is_ascii_alphanumeric() || c == '+' || c == '/');
        let has_signature = |id: &str| id.split(is_separator).any(|run| run.len() == 43);
        self.header(name).filter(|id| {
            id.len() <= MAX_LENGTH
                && !has_signature(id)
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

/// Parses digits and nothing else. A number that is too large counts as the largest.
fn parse_u64(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use ureq::http::HeaderName;

    use super::*;

    #[test]
    fn retry_after_takes_digits_only() {
        for (text, expected) in [
            ("0", Some(0)),
            ("120", Some(120)),
            ("99999999999999999999999999", Some(u64::MAX)),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("1e9", None),
            ("soon", None),
        ] {
            assert_eq!(parse_u64(text), expected, "{text}");
        }
    }

    #[test]
    fn correlation_id_drops_what_may_be_a_secret() {
        let is_kept = |value: &str| {
            let header = (HeaderName::from_static("ms-cv"), value.parse().unwrap());
            let headers = HeaderMap::from_iter([header]);
            let response =
                Response { status: StatusCode::OK, headers, body: Vec::new(), body_error: None };
            response.correlation_id("ms-cv").is_some()
        };
        assert!(is_kept("NXIF6XUaPEWmh2eeu4VIOg.0"));
        assert!(is_kept("NXIF6eyJPEWmh2eeu4VIOg.2.0"));
        assert!(is_kept("0nLQ1YwAAAAALU1NTsHjdTJT5NhSnlRaZUFJHMDFFREdFMDkwOABm"));
        for secret in [
            "HMAC-SHA256 SignedHeaders=x",
            "Signature=abc",
            "hZqiuKzgy0xfn7y05RNyN7Uft5Jvm4PbYfUTGyUpVsw=",
            "sig=hZqiuKzgy0xfn7y05RNyN7Uft5Jvm4PbYfUTGyUpVsw=,v1",
            "hZqiuKzgy0xfn7y05RNyN7Uft5Jvm4PbYfUTGyUpVsw.0",
            "eyJhbGciOiJIUzI1NiJ9.e30.c2ln",
            "t:eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjF9.c2ln",
            &"x".repeat(257),
        ] {
            assert!(!is_kept(secret), "{secret}");
        }
    }
}
