//! What the headers of an answer tell.

use std::time::{Duration, SystemTime};

use ureq::http::HeaderMap;

/// What the service's clock showed when it answered.
pub(crate) fn date(headers: &HeaderMap) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get("date")?.to_str().ok()?).ok()
}

/// Not cut or cleaned as foreign texts are: these ids are as long as secrets.
pub(crate) fn correlation_id(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// The delay that the server asks for, in the order of precedence of the official clients.
pub(crate) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok().map(str::trim);
    let number = |name| text(name)?.parse().ok();
    let millis = |name| number(name).map(Duration::from_millis);
    let seconds = || number("retry-after").map(Duration::from_secs);
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
