//! The only file that does IO: the ureq agent and its invariant settings.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ureq::http::uri::Scheme;
use ureq::http::{HeaderValue, Request, header};
use ureq::{Agent, Body, SendBody};

use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::http::failure::without_response;
use crate::http::proxy::{self, ProxyInEffect};
use crate::http::response::Response;
use crate::http::tls::Tls;

const MAX_BODY_BYTES: u64 = 1024 * 1024;

/// Well below the buffer size, so that an oversized head is distinguishable from a closed connection.
const MAX_HEAD_BYTES: usize = 24 * 1024;

/// Several times the size of requests and responses; larger buffers cost time at every new connection.
const BUFFER_BYTES: usize = 32 * 1024;

/// More than the threads that share one client; an idle connection costs only a socket.
const MAX_IDLE_CONNECTIONS: usize = 64;

/// A new TLS connection costs more than probing a kept one.
const MAX_IDLE_AGE: Duration = Duration::from_secs(60);

/// Caps a timeout of `Duration::MAX`: ureq adds timeouts to instants, and panics if there is no such
/// instant.
const MAX_TIMEOUT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

pub(crate) struct Transport {
    agent: Agent,
    /// Whether the agent is the caller's, so that every request needs the invariant settings.
    is_callers: bool,
    proxy: Option<ProxyInEffect>,
    timeouts: Timeouts,
    /// An attempt with at least this much time left needs no limit but those that the agent has.
    longest_attempt: Duration,
    /// Whether the idle connections may be dead: an attempt got no complete response, and none that closed
    /// them has got one since.
    is_pool_suspect: AtomicBool,
}

/// How long the phases of an attempt may take.
///
/// A limit on the whole attempt makes ureq resolve every name on a helper thread, so there is one only if
/// the deadline is near.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    connect: Duration,
    response: Duration,
}

/// The settings of every request, set on the agent or on the request: a macro, since ureq's builders
/// for the two are different types.
macro_rules! with_invariants {
    ($config:expr, $timeouts:expr) => {
        $config
            .http_status_as_error(false)
            .max_redirects(0)
            // If another crate enables compression in ureq.
            .accept_encoding("")
            .max_response_header_size(MAX_HEAD_BYTES)
            .timeout_connect(Some($timeouts.connect))
            .timeout_per_write(Some($timeouts.response))
            .timeout_recv_response(Some($timeouts.response))
            .timeout_recv_body(Some($timeouts.response))
    };
}

/// The settings of an attempt that has only so much time left. Name resolution and connecting get a little
/// less, so that an attempt that times out in one of them is known to have been there.
macro_rules! with_deadline {
    ($config:expr, $timeouts:expr, $time_left:expr) => {{
        let nine_tenths = $time_left.saturating_sub($time_left / 10);
        $config
            .timeout_global(Some($time_left))
            .timeout_resolve(Some(nine_tenths))
            .timeout_connect(Some($timeouts.connect.min(nine_tenths)))
    }};
}

impl Transport {
    /// Builds the client's own agent.
    pub(crate) fn new(
        endpoint: &Endpoint,
        user_agent: &str,
        tls: Option<Tls>,
        own_roots: Option<&[u8]>,
        timeouts: Timeouts,
        deadline: Duration,
    ) -> Result<Self, Error> {
        if endpoint.is_https() && tls.is_none() {
            return Err(Error::invalid_input(
                "https needs a TLS feature: build acs-identity with `rustls` or `native-tls`, or bring an agent",
            ));
        }
        let (proxy, variable) = proxy::from_env(endpoint)?.unzip();
        let config = Agent::config_builder()
            // For proxies; the service sees the header of the request.
            .user_agent(user_agent)
            .input_buffer_size(BUFFER_BYTES)
            .output_buffer_size(BUFFER_BYTES)
            .max_idle_connections(MAX_IDLE_CONNECTIONS)
            .max_idle_connections_per_host(MAX_IDLE_CONNECTIONS)
            .max_idle_age(MAX_IDLE_AGE)
            .proxy(proxy);
        let config = with_invariants!(config, timeouts);
        #[cfg(any(feature = "rustls", feature = "native-tls"))]
        let config = match tls {
            Some(tls) => config.tls_config(tls.config(own_roots)?),
            None => config,
        };
        #[cfg(not(any(feature = "rustls", feature = "native-tls")))]
        let _ = own_roots;
        // A deadline that is shorter than all phases together becomes the agent's own, so that first
        // attempts need no settings of their own: with those, ureq builds the TLS configuration again and
        // resumes no session.
        let all_phases = timeouts.longest_attempt();
        let (config, longest_attempt) = if all_phases <= deadline {
            (config, all_phases)
        } else {
            let config = with_deadline!(config, timeouts, deadline);
            (config, deadline.saturating_sub(deadline / 20))
        };
        let agent = config.build().new_agent();
        let proxy = ProxyInEffect::of(&agent, endpoint, variable);
        Ok(Self {
            agent,
            is_callers: false,
            proxy,
            timeouts,
            longest_attempt,
            is_pool_suspect: AtomicBool::new(false),
        })
    }

    /// Takes the caller's agent, with its TLS settings, proxy and resolver.
    ///
    /// Fails if the agent has a timeout that cannot be added to an instant: ureq would panic.
    pub(crate) fn with_agent(
        endpoint: &Endpoint,
        agent: Agent,
        timeouts: Timeouts,
    ) -> Result<Self, Error> {
        let others = agent.config().timeouts();
        let others = [others.global, others.per_call, others.resolve, others.await_100]
            .into_iter()
            .chain([others.send_request, others.send_body]);
        if others.flatten().any(|timeout| timeout > MAX_TIMEOUT) {
            return Err(Error::invalid_input("the agent's timeouts must be at most 7 days"));
        }
        let proxy = ProxyInEffect::of(&agent, endpoint, None);
        let longest_attempt = timeouts.longest_attempt();
        Ok(Self {
            agent,
            is_callers: true,
            proxy,
            timeouts,
            longest_attempt,
            is_pool_suspect: AtomicBool::new(false),
        })
    }

    pub(crate) fn proxy_variable(&self) -> Option<&'static str> {
        self.proxy.as_ref()?.variable()
    }

    /// Sends one request and reads its response, whatever its status.
    ///
    /// With `new_connection`, and after an attempt without a complete response, no kept connection is used,
    /// and the idle ones are closed.
    pub(crate) fn send(
        &self,
        request: Request<()>,
        body: &[u8],
        time_left: Duration,
        new_connection: bool,
    ) -> Result<Response, Error> {
        let mut tracked = TrackedBody { rest: body, begun: false };
        let (mut parts, ()) = request.into_parts();
        let length =
            if body.is_empty() { HeaderValue::from_static("0") } else { body.len().into() };
        parts.headers.insert(header::CONTENT_LENGTH, length);
        let mut request = Request::from_parts(parts, SendBody::from_reader(&mut tracked));
        if self.is_callers {
            let is_plain = request.uri().scheme() == Some(&Scheme::HTTP);
            let config = self.agent.configure_request(request);
            let config = with_invariants!(config, self.timeouts);
            // Plain http is for loopback hosts, and must not leave this machine.
            request = if is_plain { config.proxy(None).build() } else { config.build() };
        }
        if time_left < self.longest_attempt {
            let config = self.agent.configure_request(request);
            request = with_deadline!(config, self.timeouts, time_left).build();
        }
        let new_connection = new_connection || self.is_pool_suspect.load(Ordering::Relaxed);
        if new_connection {
            request = self.agent.configure_request(request).max_idle_age(Duration::ZERO).build();
        }
        let result = match self.agent.run(request) {
            Ok(response) => {
                let (parts, body) = response.into_parts();
                let (body, body_error) = read(body);
                Ok(Response { status: parts.status, headers: parts.headers, body, body_error })
            }
            Err(cause) => {
                // Without a body, nothing tells whether the head was sent.
                let sent = (!body.is_empty()).then_some(tracked.begun);
                Err(without_response(cause, sent, self.proxy.as_ref()))
            }
        };
        let is_incomplete = result.as_ref().map_or(true, Response::is_cut);
        if is_incomplete || new_connection {
            self.is_pool_suspect.store(is_incomplete, Ordering::Relaxed);
        }
        result
    }
}

impl Timeouts {
    pub(crate) fn new(connect: Duration, response: Duration) -> Self {
        Self { connect: connect.min(MAX_TIMEOUT), response: response.min(MAX_TIMEOUT) }
    }

    /// Connecting, the head of the response, and its body.
    fn longest_attempt(self) -> Duration {
        self.connect + 2 * self.response
    }
}

/// A request body that records whether the transport began to read it, which happens once the
/// connection is established and the head is sent.
struct TrackedBody<'a> {
    rest: &'a [u8],
    begun: bool,
}

impl Read for TrackedBody<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.begun = true;
        self.rest.read(buffer)
    }
}

/// Reads as much of a body as there is, up to the limit.
fn read(body: Body) -> (Vec<u8>, Option<Arc<ureq::Error>>) {
    // The announced length may be wrong or huge: it is only a hint.
    let length = body.content_length().unwrap_or_default().min(64 * 1024);
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    let mut body = body.into_with_config().limit(MAX_BODY_BYTES).reader();
    let error = body.read_to_end(&mut bytes).err().map(|error| Arc::new(error.into()));
    (bytes, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn transport(deadline: Duration) -> Transport {
        let endpoint = "http://127.0.0.1:1".parse().unwrap();
        let timeouts = Timeouts::new(5 * SECOND, 30 * SECOND);
        Transport::new(&endpoint, "me/1", Tls::DEFAULT, None, timeouts, deadline).unwrap()
    }

    #[test]
    fn transport_agent_has_the_documented_settings() {
        let transport = transport(100 * SECOND);
        let config = transport.agent.config();
        assert!(!config.http_status_as_error());
        assert_eq!(config.max_redirects(), 0);
        assert_eq!(config.max_response_header_size(), 24 * 1024);
        assert_eq!(config.max_idle_connections(), 64);
        assert_eq!(config.max_idle_connections_per_host(), 64);
        assert_eq!(config.max_idle_age(), 60 * SECOND);
        assert_eq!((config.input_buffer_size(), config.output_buffer_size()), (32_768, 32_768));
        assert!(config.proxy().is_none());

        let timeouts = config.timeouts();
        // With any of these, ureq would start a thread for every call.
        assert_eq!((timeouts.global, timeouts.per_call, timeouts.resolve), (None, None, None));
        assert_eq!(timeouts.connect, Some(5 * SECOND));
        assert_eq!(config.timeout_per_write(), Some(30 * SECOND));
        assert_eq!(timeouts.recv_response, Some(30 * SECOND));
        assert_eq!(timeouts.recv_body, Some(30 * SECOND));
        assert_eq!(transport.longest_attempt, 65 * SECOND);
    }

    #[test]
    fn transport_with_a_deadline_shorter_than_the_phases_limits_the_whole() {
        let transport = transport(20 * SECOND);
        let timeouts = transport.agent.config().timeouts();
        assert_eq!(timeouts.global, Some(20 * SECOND));
        assert_eq!(timeouts.resolve, Some(18 * SECOND));
        assert_eq!(timeouts.connect, Some(5 * SECOND));
        assert_eq!(transport.longest_attempt, 19 * SECOND);
    }

    #[test]
    fn transport_caps_endless_timeouts() {
        let endless = Timeouts::new(Duration::MAX, Duration::MAX);
        let week = 604_800 * SECOND;
        assert_eq!(endless.longest_attempt(), 3 * week);
        let with = |global| {
            let agent = Agent::config_builder().timeout_global(Some(global)).build().new_agent();
            Transport::with_agent(&"http://127.0.0.1:1".parse().unwrap(), agent, endless)
        };
        assert!(with(week).is_ok());
        assert!(with(week + Duration::from_nanos(1)).is_err());
    }
}
