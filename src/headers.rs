//! What the headers of an answer tell.

use std::time::{Duration, SystemTime};

use ureq::http::HeaderMap;

/// What the service's clock showed when it answered.
pub(crate) fn date(headers: &HeaderMap) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get("date")?.to_str().ok()?).ok()
}

/// An id for Microsoft's support. It may be as long as a secret, so it is not cleaned as other
/// foreign texts are; but what is no id is not taken for one.
pub(crate) fn correlation_id(headers: &HeaderMap, name: &str) -> Option<String> {
    const LONGEST: usize = 256;
    let id = headers.get(name)?.to_str().ok()?;
    let plausible = id.len() <= LONGEST && !id.contains([' ', '\t']) && !id.contains("Signature=");
    plausible.then(|| id.to_owned())
}

/// The delay that the server asks for, in the order of precedence of the official clients.
pub(crate) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok().map(str::trim);
    let millis = |name| text(name).and_then(whole).map(Duration::from_millis);
    let seconds = || text("retry-after").and_then(whole).map(Duration::from_secs);
    let until = || {
        let at = httpdate::parse_http_date(text("retry-after")?).ok()?;
        // Against the answer's own clock: ours may be wrong. A date that is past asks for no delay.
        Some(at.duration_since(date(headers).unwrap_or(now)).unwrap_or_default())
    };
    millis("retry-after-ms")
        .or_else(|| millis("x-ms-retry-after-ms"))
        .or_else(seconds)
        .or_else(until)
}

/// A number that is not negative, its fraction rounded up; one that is too large counts as the
/// largest.
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
        let id = |value: &str| {
            let header = (HeaderName::from_static("ms-cv"), value.parse().unwrap());
            correlation_id(&HeaderMap::from_iter([header]), "ms-cv")
        };
        assert_eq!(id("NXIF6XUaPEWmh2eeu4VIOg.0").as_deref(), Some("NXIF6XUaPEWmh2eeu4VIOg.0"));
        assert_eq!(id("HMAC-SHA256 SignedHeaders=x&Signature=abc"), None);
        assert_eq!(id("Signature=abc"), None);
        assert_eq!(id(&"x".repeat(257)), None);
    }
}
