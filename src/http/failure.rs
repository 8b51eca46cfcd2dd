//! An attempt that failed: what it may have done, and the error that says so.

use std::io;

use crate::error::{Error, ErrorKind};
use crate::http::outcome::{Outcome, blames_certificate};

/// An attempt that failed.
pub(crate) struct Failure {
    pub(crate) outcome: Outcome,
    pub(crate) error: Error,
}

impl Failure {
    /// An attempt that got no response.
    pub(super) fn without_response(cause: ureq::Error, outcome: Outcome, by_proxy: bool) -> Self {
        let (kind, problem) = describe(&cause, outcome, by_proxy);
        Self { outcome, error: Error::new(kind, problem).with_source(cause) }
    }
}

fn describe(cause: &ureq::Error, outcome: Outcome, by_proxy: bool) -> (ErrorKind, &'static str) {
    if outcome.maybe_processed {
        return match cause {
            ureq::Error::Timeout(_) => (ErrorKind::Timeout, "no response arrived in time"),
            ureq::Error::Protocol(_) | ureq::Error::LargeResponseHeader(..) => (
                ErrorKind::Response,
                "the response is not valid HTTP: look for a proxy or another server behind the endpoint",
            ),
            ureq::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => (
                ErrorKind::Response,
                "the response is not valid TLS: if the other side speaks plain http, check the endpoint's scheme and port; else look for a proxy",
            ),
            _ => (ErrorKind::Transport, "the connection failed before the response arrived"),
        };
    }
    let problem = match cause {
        ureq::Error::TlsRequired => {
            "https needs a TLS feature: build acs-identity with `rustls` or `native-tls`"
        }
        ureq::Error::ConnectProxyFailed(reason) if reason.contains(" 407") => {
            "the proxy requires a login (407): put its user name and password into the proxy's URL"
        }
        ureq::Error::ConnectProxyFailed(_) => {
            "the proxy did not connect to the service: check the proxy and the endpoint"
        }
        ureq::Error::Protocol(_) | ureq::Error::LargeResponseHeader(..) => {
            "the proxy's response cannot be read: check the proxy, and its user name and password"
        }
        ureq::Error::Timeout(_) => {
            "connecting timed out: check the endpoint, the network and the proxy"
        }
        cause if blames_certificate(cause) => {
            "the server's certificate is not accepted: check the endpoint and this machine's clock; for a private authority set root_certificates on the builder, or Tls::PlatformVerifier (feature `platform-verifier`)"
        }
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
            "the TLS handshake failed: if the other side speaks plain http, check the endpoint's scheme and port; else look for a proxy"
        }
        _ if !outcome.transient => "the agent rejects the request: check its configuration",
        _ if by_proxy => {
            "the proxy, or the service through it, could not be reached: check the first set of ALL_PROXY, HTTPS_PROXY and HTTP_PROXY, and the network"
        }
        _ => "the service could not be reached: check the endpoint, the network and the proxy",
    };
    (ErrorKind::Connection, problem)
}

#[cfg(test)]
mod tests {
    use ureq::Timeout;

    use super::*;

    #[test]
    fn each_cause_has_its_kind_and_its_text() {
        let io = |kind: io::ErrorKind| ureq::Error::Io(kind.into());
        let proxy = |reason: &str| ureq::Error::ConnectProxyFailed(reason.to_owned());
        let sent = Outcome { maybe_processed: true, transient: true };
        let unsent = Outcome::NOT_PROCESSED;
        for (cause, outcome, by_proxy, kind, text) in [
            (
                ureq::Error::TlsRequired,
                Outcome::SETTLED,
                false,
                ErrorKind::Connection,
                "https needs a TLS feature",
            ),
            (
                ureq::Error::Timeout(Timeout::RecvBody),
                sent,
                false,
                ErrorKind::Timeout,
                "no response",
            ),
            (
                io(io::ErrorKind::InvalidData),
                sent,
                false,
                ErrorKind::Response,
                "the response is not valid TLS",
            ),
            (
                ureq::Error::LargeResponseHeader(2, 1),
                sent,
                false,
                ErrorKind::Response,
                "the response is not valid HTTP",
            ),
            (
                io(io::ErrorKind::ConnectionReset),
                sent,
                true,
                ErrorKind::Transport,
                "the connection failed",
            ),
            (
                ureq::Error::Timeout(Timeout::Connect),
                unsent,
                true,
                ErrorKind::Connection,
                "connecting timed out",
            ),
            (
                io(io::ErrorKind::InvalidData),
                unsent,
                true,
                ErrorKind::Connection,
                "the TLS handshake failed",
            ),
            (
                ureq::Error::LargeResponseHeader(2, 1),
                unsent,
                true,
                ErrorKind::Connection,
                "the proxy's response",
            ),
            (
                proxy("proxy server responded 407"),
                unsent,
                true,
                ErrorKind::Connection,
                "the proxy requires a login",
            ),
            (
                proxy("proxy server responded 503"),
                unsent,
                true,
                ErrorKind::Connection,
                "the proxy did not connect",
            ),
            (
                io(io::ErrorKind::ConnectionRefused),
                unsent,
                true,
                ErrorKind::Connection,
                "the proxy, or the service through it, could not be reached",
            ),
            (
                io(io::ErrorKind::ConnectionRefused),
                unsent,
                false,
                ErrorKind::Connection,
                "the service could not be reached",
            ),
            (
                ureq::Error::BadUri(String::new()),
                Outcome::SETTLED,
                false,
                ErrorKind::Connection,
                "the agent rejects",
            ),
        ] {
            let told = describe(&cause, outcome, by_proxy);
            assert!(told.0 == kind && told.1.starts_with(text), "{cause:?}: {told:?}");
        }
    }
}
