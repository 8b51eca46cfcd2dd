//! The only file that does IO: the ureq agent, what always holds on it, and its errors sorted.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use ureq::http::{HeaderValue, Request};
use ureq::{Agent, SendBody, Timeout};

use crate::endpoint::Endpoint;
use crate::error::{Error, ErrorKind};
use crate::response::{Body, Flaw, Reply};

const MAX_BODY_BYTES: usize = 1024 * 1024;

/// More threads than share one client; idle connections cost nothing but a socket.
const MAX_IDLE_CONNECTIONS: usize = 64;

/// A new TLS connection costs more than a probe of a kept one.
const MAX_IDLE_AGE: Duration = Duration::from_secs(60);

/// For those who set a timeout of `Duration::MAX`: ureq adds timeouts to instants, and panics where
/// there is no such instant.
const LONGEST_ATTEMPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Requests and answers fit several times; larger buffers are paid for at every new connection.
const BUFFER_BYTES: usize = 32 * 1024;

pub(crate) struct Transport {
    agent: Agent,
    /// The limits that the agent itself was configured with, if it is ours.
    configured: Option<Limits>,
}

/// How long one attempt may take, by phase.
///
/// ureq's own limit over all phases would resolve every name on a helper thread, so the whole is
/// shared out instead: the parts add up to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    connect: Duration,
    head: Duration,
    body: Duration,
}

impl Limits {
    /// At most a third of an attempt is for connecting (TLS included), a tenth of the rest for the
    /// answer's body.
    pub(crate) fn new(connect: Duration, attempt: Duration) -> Self {
        let attempt = attempt.min(LONGEST_ATTEMPT);
        let connect = connect.min(attempt / 3);
        let answer = attempt.saturating_sub(connect);
        let body = answer / 10;
        Self { connect, head: answer.saturating_sub(body), body }
    }
}

impl Transport {
    /// An agent of our own.
    pub(crate) fn new(
        endpoint: &Endpoint,
        user_agent: &str,
        limits: Limits,
    ) -> Result<Self, Error> {
        if endpoint.is_https() && !cfg!(any(feature = "rustls", feature = "native-tls")) {
            return Err(Error::invalid_input(
                "https needs a TLS feature: build acs-identity with `rustls` or `native-tls`, or bring an agent",
            ));
        }
        let config = Agent::config_builder()
            // Seen by proxies; the service sees the header of the request.
            .user_agent(user_agent)
            .input_buffer_size(BUFFER_BYTES)
            .output_buffer_size(BUFFER_BYTES)
            .max_idle_connections(MAX_IDLE_CONNECTIONS)
            .max_idle_connections_per_host(MAX_IDLE_CONNECTIONS)
            .max_idle_age(MAX_IDLE_AGE);
        let config = with_tls(with_invariants!(config, limits));
        let config = if endpoint.is_loopback() {
            // No proxy can reach this machine's loopback, and plain http must not leave it.
            config.proxy(None)
        } else {
            config
        };
        Ok(Self { agent: config.build().new_agent(), configured: Some(limits) })
    }

    /// The caller's agent, with its TLS roots, proxy, resolver; what must hold is set on every
    /// request.
    pub(crate) fn with_agent(agent: Agent) -> Self {
        Self { agent, configured: None }
    }

    /// Sends one request and reads its answer, whatever its status.
    pub(crate) fn send(
        &self,
        request: Request<()>,
        body: &[u8],
        limits: Limits,
    ) -> Result<Reply, Error> {
        let mut body = Marked { rest: body, has_body: !body.is_empty(), begun: false };
        let (mut parts, ()) = request.into_parts();
        parts.headers.insert("content-length", HeaderValue::from(body.rest.len()));
        let request = Request::from_parts(parts, SendBody::from_reader(&mut body));
        let request = if self.configured == Some(limits) {
            request
        } else {
            with_invariants!(self.agent.configure_request(request), limits).build()
        };
        let response = self.agent.run(request).map_err(|error| {
            let maybe_processed = body.maybe_processed(&error, self.configured.is_some());
            no_answer(error, maybe_processed)
        })?;
        let (parts, body) = response.into_parts();
        let body = read(body, limits.body);
        Ok(Reply { status: parts.status, headers: parts.headers, body })
    }
}

/// An attempt that got no answer, as an error.
fn no_answer(error: ureq::Error, maybe_processed: bool) -> Error {
    let (kind, problem) = match (&error, maybe_processed) {
        (ureq::Error::TlsRequired, _) => (
            ErrorKind::Connection,
            "https needs a TLS feature: build acs-identity with `rustls` or `native-tls`",
        ),
        (error, _) if is_permanent(error) => (
            ErrorKind::Connection,
            "the agent does not take the request and nothing was sent: check its configuration",
        ),
        (ureq::Error::Timeout(_), false) => (
            ErrorKind::Connection,
            "connecting took too long and nothing was sent: check the endpoint, the network and the proxy",
        ),
        (_, false) => (
            ErrorKind::Connection,
            "the service could not be reached and nothing was sent: check the endpoint, the network and the proxy",
        ),
        (ureq::Error::Timeout(_), true) => (ErrorKind::Timeout, "no answer came in time"),
        (_, true) => (ErrorKind::Transport, "the connection failed before the answer came"),
    };
    let permanent = is_permanent(&error);
    let error = Error::new(kind, problem).with_source(error);
    if permanent { error } else { error.transient() }
}

/// What another attempt cannot change.
fn is_permanent(error: &ureq::Error) -> bool {
    matches!(
        error,
        ureq::Error::BadUri(_)
            | ureq::Error::Http(_)
            | ureq::Error::InvalidProxyUrl
            | ureq::Error::RequireHttpsOnly(_)
            | ureq::Error::TlsRequired
    )
}

/// What must hold for every request, on the agent or on the request: one text for two types of
/// ureq's builder.
macro_rules! with_invariants {
    ($config:expr, $limits:expr) => {
        $config
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_connect(Some($limits.connect))
            // A request fits the socket's buffer: sending it does not wait.
            .timeout_send_request(Some($limits.head))
            .timeout_send_body(Some($limits.head))
            .timeout_recv_response(Some($limits.head))
            .timeout_recv_body(Some($limits.body))
    };
}
use with_invariants;

/// A request body that notes when the transport begins to read it, which is after the connection
/// stands.
struct Marked<'a> {
    rest: &'a [u8],
    has_body: bool,
    begun: bool,
}

impl Read for Marked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.begun = true;
        self.rest.read(buffer)
    }
}

impl Marked<'_> {
    /// Whether the service may have processed a request that failed so, by our own agent or one of
    /// the caller's.
    fn maybe_processed(&self, error: &ureq::Error, is_ours: bool) -> bool {
        // Only writing fails so: the request did not arrive whole.
        if matches!(error, ureq::Error::Io(error) if error.kind() == io::ErrorKind::BrokenPipe) {
            return false;
        }
        // The mark is exact where it can be trusted: middleware of the caller's may send another
        // body, and without a body there is none. Requests without a body may all be repeated, so a
        // wrong guess about them does no harm.
        match (self.has_body, is_ours) {
            (true, true) => self.begun,
            (true, false) => self.begun || can_come_after_sending(error),
            (false, _) => can_come_after_sending(error),
        }
    }
}

fn can_come_after_sending(error: &ureq::Error) -> bool {
    use io::ErrorKind as Io;

    match error {
        ureq::Error::Io(error) => matches!(
            error.kind(),
            Io::UnexpectedEof
                | Io::ConnectionReset
                | Io::ConnectionAborted
                | Io::TimedOut
                | Io::Other
        ),
        ureq::Error::Timeout(phase) => !matches!(phase, Timeout::Resolve | Timeout::Connect),
        ureq::Error::Protocol(_) | ureq::Error::LargeResponseHeader(..) => true,
        _ => false,
    }
}

fn read(mut body: ureq::Body, limit: Duration) -> Body {
    let started = Instant::now();
    let mut reader = body.as_reader();
    let mut bytes = Vec::new();
    let mut buffer = [0; 8 * 1024];
    let flaw = loop {
        match reader.read(&mut buffer) {
            Ok(0) => break None,
            Ok(count) => bytes.extend(buffer.iter().take(count)),
            Err(error) => break Some(Flaw::Cut(Box::new(ureq::Error::from(error)))),
        }
        if bytes.len() > MAX_BODY_BYTES {
            break Some(Flaw::TooLong);
        }
        if started.elapsed() > limit {
            break Some(Flaw::Cut(Box::new(ureq::Error::Timeout(Timeout::RecvBody))));
        }
    };
    Body { bytes, flaw }
}

type AgentConfig = ureq::config::ConfigBuilder<ureq::typestate::AgentScope>;

#[cfg(not(any(feature = "rustls", feature = "native-tls")))]
fn with_tls(config: AgentConfig) -> AgentConfig {
    config
}

#[cfg(any(feature = "rustls", feature = "native-tls"))]
fn with_tls(config: AgentConfig) -> AgentConfig {
    use ureq::tls::{RootCerts, TlsConfig, TlsProvider};

    let tls = TlsConfig::builder();
    let tls = if cfg!(feature = "rustls") {
        tls.provider(TlsProvider::Rustls)
    } else {
        tls.provider(TlsProvider::NativeTls)
    };
    // The system's library brings the system's roots.
    let tls = if cfg!(any(feature = "platform-verifier", not(feature = "rustls"))) {
        tls.root_certs(RootCerts::PlatformVerifier)
    } else {
        tls
    };
    config.tls_config(tls.build())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_agent_is_as_documented() {
        let endpoint = "http://127.0.0.1:1".parse().unwrap();
        let limits = Limits::new(10 * SECOND, 30 * SECOND);
        let transport = Transport::new(&endpoint, "me/1", limits).unwrap();
        let config = transport.agent.config();
        assert!(!config.http_status_as_error());
        assert_eq!(config.max_redirects(), 0);
        assert_eq!(config.max_idle_connections(), 64);
        assert_eq!(config.max_idle_connections_per_host(), 64);
        assert_eq!(config.max_idle_age(), 60 * SECOND);
        assert_eq!((config.input_buffer_size(), config.output_buffer_size()), (32_768, 32_768));
        assert!(config.proxy().is_none());

        let timeouts = config.timeouts();
        // Each of these would cost a thread for every call.
        assert_eq!((timeouts.global, timeouts.per_call, timeouts.resolve), (None, None, None));
        assert_eq!(timeouts.connect, Some(10 * SECOND));
        assert_eq!(timeouts.recv_response, Some(18 * SECOND));
        assert_eq!(timeouts.recv_body, Some(2 * SECOND));
    }

    #[test]
    fn the_parts_of_an_attempt_add_up_to_it() {
        for (connect, attempt) in [(10_000, 30_000), (10_000, 600), (1, 100_000), (0, 0), (7, 1)] {
            let [connect, attempt] = [connect, attempt].map(Duration::from_millis);
            let limits = Limits::new(connect, attempt);
            assert_eq!(limits.connect + limits.head + limits.body, attempt);
            assert!(limits.connect <= connect && limits.connect <= attempt / 3, "{limits:?}");
        }
        let limits = Limits::new(Duration::MAX, Duration::MAX);
        assert_eq!(limits.connect + limits.head + limits.body, LONGEST_ATTEMPT);
    }
}
