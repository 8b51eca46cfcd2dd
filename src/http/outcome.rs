//! Decides what a failed attempt may have done. Nothing else does.

use std::io;

use ureq::Timeout;

use crate::http::reply::{Flaw, Reply};

/// What a failed attempt may have done, and whether another makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Whether the service may have processed the request.
    pub(crate) maybe_processed: bool,
    /// Whether another attempt may succeed.
    pub(crate) transient: bool,
}

impl Outcome {
    pub(crate) const NOT_SENT: Self = Self { maybe_processed: false, transient: true };
    /// Rejected for good, here or by the service.
    pub(crate) const REJECTED: Self = Self { maybe_processed: false, transient: false };
    /// Not processed this time, by the service's word.
    const TURNED_AWAY: Self = Self { maybe_processed: false, transient: true };
    const UNKNOWN: Self = Self { maybe_processed: true, transient: true };
    pub(crate) const UNKNOWN_FOR_GOOD: Self = Self { maybe_processed: true, transient: false };

    /// The outcome of an attempt whose response is not the operation's success.
    pub(crate) fn of_reply(reply: &Reply) -> Self {
        match reply.status.as_u16() {
            200..=299 if matches!(reply.flaw, Some(Flaw::Cut(_))) => Self::UNKNOWN,
            429 => Self::TURNED_AWAY,
            // Azure Front Door sends a 503 of its own if the origin was too slow or its response
            // unreadable, so only a 503 of the service itself counts.
            503 if reply.has_envelope() || reply.asks_to_wait() => Self::TURNED_AWAY,
            408 | 500 | 502 | 503 | 504 => Self::UNKNOWN,
            // The service did not understand the request.
            501 | 505 => Self::REJECTED,
            200..=299 | 500..=599 => Self::UNKNOWN_FOR_GOOD,
            _ => Self::REJECTED,
        }
    }

    /// The outcome of an attempt without a response. `sending` tells whether the request had begun to
    /// leave; `None` if that is unknown.
    pub(crate) fn of_error(error: &ureq::Error, sending: Option<bool>) -> Self {
        let sent = match sending {
            Some(false) => false,
            Some(true) => true,
            None => !surely_before_sending(error),
        };
        match (sent, is_permanent(error)) {
            (false, false) => Self::NOT_SENT,
            (false, true) => Self::REJECTED,
            (true, false) => Self::UNKNOWN,
            (true, true) => Self::UNKNOWN_FOR_GOOD,
        }
    }
}

/// Whether the error only occurs before the first byte of a request leaves. Any other may have come
/// later.
fn surely_before_sending(error: &ureq::Error) -> bool {
    use io::ErrorKind as Io;

    match error {
        ureq::Error::Io(error) => {
            matches!(
                error.kind(),
                Io::ConnectionRefused
                    | Io::HostUnreachable
                    | Io::NetworkUnreachable
                    | Io::NetworkDown
                    | Io::AddrNotAvailable
            ) || is_unknown_host(error)
                || rejects_certificate(error)
        }
        ureq::Error::Timeout(phase) => matches!(phase, Timeout::Resolve | Timeout::Connect),
        ureq::Error::HostNotFound
        | ureq::Error::ConnectionFailed
        | ureq::Error::ConnectProxyFailed(_)
        | ureq::Error::InvalidProxyUrl
        | ureq::Error::BadUri(_)
        | ureq::Error::RequireHttpsOnly(_)
        | ureq::Error::Tls(_)
        | ureq::Error::TlsRequired => true,
        #[cfg(feature = "rustls")]
        ureq::Error::Rustls(_) => true,
        #[cfg(any(feature = "rustls", feature = "native-tls"))]
        ureq::Error::Pem(_) => true,
        // Comes from the handshake: reading and writing fail with IO errors.
        #[cfg(feature = "native-tls")]
        ureq::Error::NativeTls(_) => true,
        _ => false,
    }
}

/// Whether name resolution failed. Its `ErrorKind` cannot be named, so the text of std decides.
fn is_unknown_host(error: &io::Error) -> bool {
    const WSAHOST_NOT_FOUND: i32 = 11001;
    const WSANO_DATA: i32 = 11004;

    matches!(error.raw_os_error(), Some(WSAHOST_NOT_FOUND..=WSANO_DATA) if cfg!(windows))
        || error.to_string().starts_with("failed to lookup address information")
}

/// Whether another attempt would end the same way.
fn is_permanent(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::BadUri(_)
        | ureq::Error::Http(_)
        | ureq::Error::InvalidProxyUrl
        | ureq::Error::RequireHttpsOnly(_)
        | ureq::Error::Tls(_)
        | ureq::Error::TlsRequired => true,
        ureq::Error::ConnectProxyFailed(reason) => refuses_for_good(reason),
        // The server does not speak TLS or HTTP, or its certificate is not trusted.
        ureq::Error::Io(error) => error.kind() == io::ErrorKind::InvalidData,
        ureq::Error::Protocol(_) | ureq::Error::LargeResponseHeader(..) => true,
        #[cfg(feature = "rustls")]
        ureq::Error::Rustls(_) => true,
        #[cfg(any(feature = "rustls", feature = "native-tls"))]
        ureq::Error::Pem(_) => true,
        #[cfg(feature = "native-tls")]
        ureq::Error::NativeTls(_) => true,
        _ => false,
    }
}

/// Whether the proxy refused, in contrast to one that failed or did not respond.
fn refuses_for_good(reason: &str) -> bool {
    reason.starts_with("proxy server responded 3") || reason.starts_with("proxy server responded 4")
}

/// Whether an error is about the server's certificate.
pub(crate) fn blames_certificate(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::Io(error) => rejects_certificate(error),
        #[cfg(feature = "native-tls")]
        ureq::Error::NativeTls(error) => {
            error.to_string().to_ascii_lowercase().contains("certificate")
        }
        _ => false,
    }
}

/// Decides by the text, since naming the type of rustls's error takes a dependency on it. The word
/// alone is not enough: a server may send an alert about the *client's* certificate after the request.
fn rejects_certificate(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidData
        && error.to_string().starts_with("invalid peer certificate")
}

#[cfg(test)]
mod tests {
    use ureq::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

    use super::*;

    fn reply(status: u16, header: Option<(&'static str, &'static str)>, body: &str) -> Reply {
        let header = header
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        Reply {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::from_iter(header),
            body: body.into(),
            flaw: None,
        }
    }

    #[test]
    fn statuses_say_what_may_have_happened() {
        let outcome = |maybe_processed, transient| Outcome { maybe_processed, transient };
        for (statuses, expected) in [
            (&[429][..], outcome(false, true)),
            (&[408, 500, 502, 503, 504], outcome(true, true)),
            (&[200, 202, 204, 506, 520, 524, 599], outcome(true, false)),
            (&[304, 307, 400, 401, 403, 404, 409, 499, 501, 505], outcome(false, false)),
        ] {
            for status in statuses {
                assert_eq!(Outcome::of_reply(&reply(*status, None, "")), expected, "{status}");
            }
        }
    }

    #[test]
    fn only_the_services_own_503_was_not_processed() {
        let envelope = r#"{"error":{"code":"ServiceUnavailable"}}"#;
        let is_sure = |header, body| !Outcome::of_reply(&reply(503, header, body)).maybe_processed;
        assert!(is_sure(None, envelope));
        assert!(is_sure(Some(("retry-after", "5")), ""));
        assert!(is_sure(Some(("retry-after-ms", "0")), ""));
        assert!(is_sure(Some(("retry-after", "Wed, 13 Apr 2022 18:09:12 GMT")), ""));
        assert!(!is_sure(Some(("retry-after", "soon")), ""));
        assert!(!is_sure(None, "<html>Our services aren't available right now</html>"));
        assert!(!is_sure(None, r#"{"error":"busy"}"#));
    }

    #[test]
    fn a_success_that_broke_off_may_be_tried_again() {
        let cut = Reply { flaw: Some(Flaw::Cut("cut".into())), ..reply(200, None, "") };
        assert_eq!(Outcome::of_reply(&cut), Outcome::UNKNOWN);
        let long = Reply { flaw: Some(Flaw::TooLong), ..reply(200, None, "") };
        assert_eq!(Outcome::of_reply(&long), Outcome::UNKNOWN_FOR_GOOD);
    }

    /// Only an error that is known to come before the first byte counts as not sent.
    #[test]
    fn errors_that_could_come_later_leave_doubt_where_nothing_else_is_known() {
        let io =
            |kind: io::ErrorKind, text: &'static str| ureq::Error::Io(io::Error::new(kind, text));
        for (error, expected) in [
            (ureq::Error::HostNotFound, Outcome::NOT_SENT),
            (io(io::ErrorKind::ConnectionRefused, ""), Outcome::NOT_SENT),
            (
                io(io::ErrorKind::Other, "failed to lookup address information: x"),
                Outcome::NOT_SENT,
            ),
            (ureq::Error::Timeout(Timeout::Connect), Outcome::NOT_SENT),
            (
                ureq::Error::ConnectProxyFailed("proxy server responded 502/502".to_owned()),
                Outcome::NOT_SENT,
            ),
            (
                ureq::Error::ConnectProxyFailed("proxy server responded 407/407".to_owned()),
                Outcome::REJECTED,
            ),
            (
                io(io::ErrorKind::InvalidData, "invalid peer certificate: UnknownIssuer"),
                Outcome::REJECTED,
            ),
            (
                io(io::ErrorKind::InvalidData, "received fatal alert: CertificateRequired"),
                Outcome::UNKNOWN_FOR_GOOD,
            ),
            (io(io::ErrorKind::UnexpectedEof, ""), Outcome::UNKNOWN),
            (io(io::ErrorKind::BrokenPipe, ""), Outcome::UNKNOWN),
            (io(io::ErrorKind::PermissionDenied, ""), Outcome::UNKNOWN),
            (ureq::Error::Timeout(Timeout::Global), Outcome::UNKNOWN),
            (ureq::Error::LargeResponseHeader(2, 1), Outcome::UNKNOWN_FOR_GOOD),
        ] {
            assert_eq!(Outcome::of_error(&error, None), expected, "{error}");
            // Where the phase is known, the phase decides.
            assert!(!Outcome::of_error(&error, Some(false)).maybe_processed, "{error}");
            assert!(Outcome::of_error(&error, Some(true)).maybe_processed, "{error}");
        }
    }
}
