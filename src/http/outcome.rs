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
    /// Not processed this time.
    pub(crate) const NOT_PROCESSED: Self = Self { maybe_processed: false, transient: true };
    /// It is known what happened, and a retry would not change it.
    pub(crate) const SETTLED: Self = Self { maybe_processed: false, transient: false };
    const UNKNOWN: Self = Self { maybe_processed: true, transient: true };
    const UNKNOWN_FOR_GOOD: Self = Self { maybe_processed: true, transient: false };

    /// The outcome of an attempt whose response is not the operation's success. `is_service` is
    /// whether the service itself speaks in it: by its error, or by asking to wait.
    pub(crate) fn of_reply(reply: &Reply, is_service: bool) -> Self {
        match reply.status.as_u16() {
            200..=299 if matches!(reply.flaw, Some(Flaw::Cut(_))) => Self::UNKNOWN,
            429 => Self::NOT_PROCESSED,
            // Azure Front Door sends a 503 of its own if the origin was too slow or its response
            // unreadable, so only a 503 of the service itself counts.
            503 if is_service => Self::NOT_PROCESSED,
            408 | 500 | 502 | 503 | 504 => Self::UNKNOWN,
            // Redirected, rejected or not understood. The service itself never redirects.
            300..=499 | 501 | 505 => Self::SETTLED,
            _ => Self::UNKNOWN_FOR_GOOD,
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
            (false, false) => Self::NOT_PROCESSED,
            (false, true) => Self::SETTLED,
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
            // An unreachable host or network is not among them: on a connection that stands, the system
            // reports it once it has given up retransmitting.
            matches!(error.kind(), Io::ConnectionRefused | Io::AddrNotAvailable)
                || is_unknown_host(error)
                || is_end_of_handshake(error)
                || rejects_certificate(error)
        }
        ureq::Error::Timeout(phase) => matches!(phase, Timeout::Resolve | Timeout::Connect),
        ureq::Error::HostNotFound
        | ureq::Error::ConnectionFailed
        | ureq::Error::ConnectProxyFailed(_) => true,
        _ => comes_from_settings(error),
    }
}

/// Whether the settings or the handshake make every attempt end before it sends.
fn comes_from_settings(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::InvalidProxyUrl
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

/// The end of a connection within the TLS handshake, as rustls puts it; later, and by ureq, it is
/// told with a text.
fn is_end_of_handshake(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof && error.get_ref().is_none()
}

/// Whether another attempt would end the same way.
fn is_permanent(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::Http(_) | ureq::Error::Protocol(_) | ureq::Error::LargeResponseHeader(..) => {
            true
        }
        ureq::Error::ConnectProxyFailed(reason) => refuses_for_good(reason),
        // The server does not speak TLS or HTTP, or its certificate is not trusted.
        ureq::Error::Io(error) => error.kind() == io::ErrorKind::InvalidData,
        _ => comes_from_settings(error),
    }
}

/// Whether the proxy refused, in contrast to one that failed, is busy or did not respond.
fn refuses_for_good(reason: &str) -> bool {
    let status = reason.strip_prefix("proxy server responded ").unwrap_or_default();
    status.starts_with(['3', '4']) && !status.starts_with("408") && !status.starts_with("429")
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
    use ureq::http::{HeaderMap, StatusCode};

    use super::*;

    fn reply(status: u16) -> Reply {
        let status = StatusCode::from_u16(status).unwrap();
        Reply { status, headers: HeaderMap::new(), body: Vec::new(), flaw: None }
    }

    #[test]
    fn statuses_say_what_may_have_happened() {
        let outcome = |maybe_processed, transient| Outcome { maybe_processed, transient };
        for (statuses, expected) in [
            (&[429][..], outcome(false, true)),
            (&[408, 500, 502, 503, 504], outcome(true, true)),
            (&[101, 200, 202, 204, 506, 520, 524, 599, 600, 999], outcome(true, false)),
            (&[303, 304, 307, 400, 401, 403, 404, 409, 499, 501, 505], outcome(false, false)),
        ] {
            for status in statuses {
                assert_eq!(Outcome::of_reply(&reply(*status), false), expected, "{status}");
            }
        }
    }

    #[test]
    fn only_the_services_own_503_was_not_processed() {
        assert_eq!(Outcome::of_reply(&reply(503), true), Outcome::NOT_PROCESSED);
        assert_eq!(Outcome::of_reply(&reply(503), false), Outcome::UNKNOWN);
        assert_eq!(Outcome::of_reply(&reply(500), true), Outcome::UNKNOWN);
    }

    #[test]
    fn a_success_that_broke_off_may_be_tried_again() {
        let cut = Reply { flaw: Some(Flaw::Cut("cut".into())), ..reply(200) };
        assert_eq!(Outcome::of_reply(&cut, false), Outcome::UNKNOWN);
        let long = Reply { flaw: Some(Flaw::TooLong), ..reply(200) };
        assert_eq!(Outcome::of_reply(&long, false), Outcome::UNKNOWN_FOR_GOOD);
    }

    /// Only an error that is known to come before the first byte counts as not sent.
    #[test]
    fn errors_that_could_come_later_leave_doubt_where_nothing_else_is_known() {
        let io =
            |kind: io::ErrorKind, text: &'static str| ureq::Error::Io(io::Error::new(kind, text));
        for (error, expected) in [
            (ureq::Error::HostNotFound, Outcome::NOT_PROCESSED),
            (io(io::ErrorKind::ConnectionRefused, ""), Outcome::NOT_PROCESSED),
            (
                io(io::ErrorKind::Other, "failed to lookup address information: x"),
                Outcome::NOT_PROCESSED,
            ),
            (ureq::Error::Timeout(Timeout::Connect), Outcome::NOT_PROCESSED),
            (
                ureq::Error::ConnectProxyFailed("proxy server responded 502/502".to_owned()),
                Outcome::NOT_PROCESSED,
            ),
            (
                ureq::Error::ConnectProxyFailed("proxy server responded 429/429".to_owned()),
                Outcome::NOT_PROCESSED,
            ),
            (
                ureq::Error::ConnectProxyFailed("proxy server responded 407/407".to_owned()),
                Outcome::SETTLED,
            ),
            (
                io(io::ErrorKind::InvalidData, "invalid peer certificate: UnknownIssuer"),
                Outcome::SETTLED,
            ),
            (
                io(io::ErrorKind::InvalidData, "received fatal alert: CertificateRequired"),
                Outcome::UNKNOWN_FOR_GOOD,
            ),
            (ureq::Error::Io(io::ErrorKind::UnexpectedEof.into()), Outcome::NOT_PROCESSED),
            (io(io::ErrorKind::UnexpectedEof, "Peer disconnected"), Outcome::UNKNOWN),
            (io(io::ErrorKind::BrokenPipe, ""), Outcome::UNKNOWN),
            (io(io::ErrorKind::HostUnreachable, ""), Outcome::UNKNOWN),
            (io(io::ErrorKind::AddrNotAvailable, ""), Outcome::NOT_PROCESSED),
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

    /// No server causes them: ureq reports what goes wrong in a handshake as IO errors.
    #[cfg(feature = "rustls")]
    #[test]
    fn tls_settings_that_cannot_be_used_end_the_call() {
        let pem = rustls::pki_types::pem::Error::NoItemsFound;
        for error in [ureq::Error::Rustls(rustls::Error::DecryptError), ureq::Error::Pem(pem)] {
            assert_eq!(Outcome::of_error(&error, None), Outcome::SETTLED, "{error}");
        }
    }
}
