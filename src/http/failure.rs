//! What an attempt without a response may have done: one table of ureq's errors.

use std::borrow::Cow;
use std::io;

use ureq::Timeout;

use crate::error::{Error, ErrorKind};
use crate::http::proxy::ProxyInEffect;

/// What an error of ureq says about the attempt that it ended: a row of the table.
struct Cause {
    phase: Phase,
    /// Whether another attempt would end the same way.
    is_permanent: bool,
    /// The text if the request was not sent. The kind is [`ErrorKind::Connection`].
    unsent: Cow<'static, str>,
    /// The kind and the text if it was, at least in part.
    sent: (ErrorKind, &'static str),
}

/// When an error occurs, as far as the error alone can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Only before the first byte of the request is sent.
    Connecting,
    /// Usually before.
    UsuallyConnecting,
    /// Usually after.
    UsuallySent,
}

/// Returns the error of an attempt that got no response.
///
/// `sent` is whether the request was sent, at least in part. Where that is unknown, the attempt is in doubt
/// unless it surely failed before, and the text is that of the more usual case.
pub(super) fn without_response(
    cause: ureq::Error,
    sent: Option<bool>,
    proxy: Option<&ProxyInEffect>,
) -> Error {
    let Cause { phase, is_permanent, unsent, sent: (kind, problem) } = look_up(&cause, proxy);
    let mut error = if sent.unwrap_or(phase == Phase::UsuallySent) {
        Error::new(kind, problem)
    } else {
        Error::new(ErrorKind::Connection, unsent)
    };
    error.inner.is_in_doubt = sent.unwrap_or(phase != Phase::Connecting);
    error.inner.is_transient = !is_permanent;
    error.with_source(cause)
}

fn look_up(error: &ureq::Error, proxy: Option<&ProxyInEffect>) -> Cause {
    let unreachable = || match proxy {
        None => {
            "the service could not be reached: check the endpoint, the network and the proxy".into()
        }
        Some(proxy) => proxy.unreachable().into(),
    };
    let timed_out = || match proxy {
        None => "connecting timed out: check the endpoint, the network and the proxy".into(),
        Some(proxy) => proxy.timed_out().into(),
    };
    match error {
        ureq::Error::Io(error) => look_up_io(error, unreachable()),
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => {
            connecting(false, unreachable())
        }
        ureq::Error::Timeout(Timeout::Resolve) => connecting(
            false,
            "name resolution timed out: check the endpoint and this machine's DNS",
        ),
        ureq::Error::Timeout(Timeout::Connect) => connecting(false, timed_out()),
        ureq::Error::Timeout(_) => Cause {
            phase: Phase::UsuallySent,
            is_permanent: false,
            unsent: timed_out(),
            sent: (ErrorKind::Timeout, "no response arrived in time"),
        },
        ureq::Error::ConnectProxyFailed(reason) => {
            let status = reason.strip_prefix("proxy server responded ").unwrap_or_default();
            let status = status.get(..3).unwrap_or_default();
            // A proxy that refuses, unlike one that failed, is busy or did not respond.
            let refuses = status.starts_with(['3', '4']) && !matches!(status, "408" | "429");
            connecting(refuses, proxy.map_or_else(unreachable, |it| it.refused(status).into()))
        }
        ureq::Error::Protocol(_) | ureq::Error::LargeResponseHeader(..) => Cause {
            // Without a proxy, only the service responds.
            phase: if proxy.is_some() { Phase::UsuallyConnecting } else { Phase::UsuallySent },
            is_permanent: true,
            unsent: proxy.map_or(SETTINGS, |_| PROXY_RESPONSE).into(),
            sent: (ErrorKind::Response, NOT_HTTP),
        },
        ureq::Error::InvalidProxyUrl
        | ureq::Error::BadUri(_)
        | ureq::Error::RequireHttpsOnly(_)
        | ureq::Error::Tls(_) => connecting(true, SETTINGS),
        ureq::Error::TlsRequired => connecting(
            true,
            "https needs a TLS feature: build acs-identity with `rustls` or `native-tls`",
        ),
        #[cfg(feature = "rustls")]
        ureq::Error::Rustls(_) => connecting(true, SETTINGS),
        #[cfg(any(feature = "rustls", feature = "native-tls"))]
        ureq::Error::Pem(_) => connecting(true, SETTINGS),
        // Comes from the handshake: reading and writing fail with IO errors.
        #[cfg(feature = "native-tls")]
        ureq::Error::NativeTls(error) => {
            let text = error.to_string().to_ascii_lowercase();
            match (text.contains("certificate"), text.contains("alert")) {
                _ if text.contains("unexpected eof") => connecting(false, unreachable()),
                (true, false) => connecting(true, CERTIFICATE),
                (true, true) => connecting(true, CLIENT_CERTIFICATE),
                (false, _) => connecting(true, HANDSHAKE),
            }
        }
        error => Cause {
            phase: Phase::UsuallySent,
            is_permanent: matches!(error, ureq::Error::Http(_)),
            unsent: unreachable(),
            sent: FAILED,
        },
    }
}

/// The rows of IO errors, which include those of rustls. Their texts decide where no type can be named
/// without another dependency.
fn look_up_io(error: &io::Error, unreachable: Cow<'static, str>) -> Cause {
    use io::ErrorKind as Io;

    let text = error.to_string();
    let usually_connecting = |unsent: &'static str, sent| Cause {
        phase: Phase::UsuallyConnecting,
        is_permanent: true,
        unsent: unsent.into(),
        sent,
    };
    match error.kind() {
        // The word alone is not enough: alerts can be about the client's certificate.
        Io::InvalidData if text.starts_with("invalid peer certificate") => {
            connecting(true, CERTIFICATE)
        }
        // With TLS 1.3, this alert comes after the request.
        Io::InvalidData if text.contains("CertificateRequired") => {
            usually_connecting(CLIENT_CERTIFICATE, (ErrorKind::Connection, CLIENT_CERTIFICATE))
        }
        Io::InvalidData => usually_connecting(HANDSHAKE, (ErrorKind::Response, NOT_TLS)),
        // An unreachable host or network is not among them: on an established connection, the system
        // reports it once it has given up retransmitting.
        Io::ConnectionRefused | Io::AddrNotAvailable => connecting(false, unreachable),
        // The end of the connection within the TLS handshake; later, the error carries a message.
        Io::UnexpectedEof if error.get_ref().is_none() => connecting(false, unreachable),
        _ if is_unknown_host(error, &text) => connecting(false, unreachable),
        _ => Cause {
            phase: Phase::UsuallySent,
            is_permanent: false,
            unsent: unreachable,
            sent: FAILED,
        },
    }
}

/// The row of an error that only occurs before the request is sent.
fn connecting(is_permanent: bool, unsent: impl Into<Cow<'static, str>>) -> Cause {
    Cause { phase: Phase::Connecting, is_permanent, unsent: unsent.into(), sent: FAILED }
}

const CERTIFICATE: &str = "the server's certificate is not accepted: check the endpoint and this machine's clock; trust a private authority with root_certificates or Tls::PlatformVerifier (acs: --ca-file)";
const CLIENT_CERTIFICATE: &str = "the server requires a client certificate: check the endpoint, or pass an agent that has a certificate";
const HANDSHAKE: &str = "the TLS handshake failed: if the other side speaks plain http, check the endpoint's scheme and port; otherwise look for a proxy in between";
const NOT_HTTP: &str =
    "the response is not valid HTTP: look for a proxy or another server behind the endpoint";
const NOT_TLS: &str = "the response is not valid TLS: if the other side speaks plain http, check the endpoint's scheme and port; otherwise look for a proxy in between";
const PROXY_RESPONSE: &str =
    "the proxy's response cannot be read: check the proxy, and its user name and password";
const SETTINGS: &str = "the agent rejects the request: check its configuration";
const FAILED: (ErrorKind, &str) =
    (ErrorKind::Transport, "the connection failed before the response arrived");

/// Whether name resolution failed. Its `ErrorKind` cannot be named, so the text of std decides.
fn is_unknown_host(error: &io::Error, text: &str) -> bool {
    const WSAHOST_NOT_FOUND: i32 = 11001;
    const WSANO_DATA: i32 = 11004;

    matches!(error.raw_os_error(), Some(WSAHOST_NOT_FOUND..=WSANO_DATA) if cfg!(windows))
        || text.starts_with("failed to lookup address information")
}
