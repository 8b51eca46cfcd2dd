//! The only file that does IO: the ureq agent and its invariant settings.

use std::io::{self, Read};
use std::time::Duration;

use ureq::http::{HeaderValue, Request, Uri, header};
use ureq::{Agent, Body, SendBody};

use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::http::failure::Failure;
use crate::http::keeping::Keeping;
use crate::http::outcome::Outcome;
use crate::http::proxy;
use crate::http::reply::{Flaw, Reply};
use crate::http::tls::Tls;

const MAX_BODY_BYTES: u64 = 1024 * 1024;

/// Well below the buffer size, so that an oversized head can be told from a connection that ended.
const MAX_HEAD_BYTES: usize = 24 * 1024;

/// Several times the size of requests and responses; larger buffers cost time at every new connection.
const BUFFER_BYTES: usize = 32 * 1024;

/// More than the threads that share one client; an idle connection costs only a socket.
const MAX_IDLE_CONNECTIONS: usize = 64;

/// A new TLS connection costs more than probing a kept one.
const MAX_IDLE_AGE: Duration = Duration::from_secs(60);

/// Caps a timeout of `Duration::MAX`: ureq adds timeouts to instants, and panics if there is no such
/// instant.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 60 * 60);

pub(crate) struct Transport {
    agent: Agent,
    /// Whether we built the agent, so that it has no middleware.
    is_ours: bool,
    /// Whether a proxy that the environment names stands in between.
    by_proxy: bool,
    /// Whether the agent itself has all the settings that the client depends on.
    is_configured: bool,
    limits: Limits,
    /// An attempt with at least this much time left needs no limit but the agent's own.
    longest_attempt: Duration,
    keeping: Keeping,
}

/// How long the phases of an attempt may take.
///
/// A limit on the whole attempt makes ureq resolve every name on a helper thread, and a changing read
/// limit costs a system call for each read. So the phases have constant limits, and the whole has one
/// only if the deadline is near.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    connect: Duration,
    response: Duration,
}

impl Limits {
    pub(crate) fn new(connect: Duration, response: Duration) -> Self {
        Self { connect: connect.min(LONGEST), response: response.min(LONGEST) }
    }

    /// Constant, so that it costs no system call. ureq applies it to connecting as well, so a limit that
    /// is shorter than that of connecting cannot be used.
    fn per_read(self) -> Option<Duration> {
        (self.response >= self.connect).then_some(self.response)
    }

    /// The limit on a response's whole head, and again on its whole body. If the server falls silent, the
    /// limit on each read, if there is one, ends the wait before this one comes near enough to shorten it.
    fn whole(self) -> Duration {
        self.per_read().map_or(self.response, |limit| limit + limit / 20)
    }

    /// Connecting gets a little less than the time left, so that an attempt that times out while
    /// connecting is known to have been in that phase.
    fn within(self, time_left: Duration) -> Self {
        Self { connect: self.connect.min(time_left.saturating_sub(time_left / 10)), ..self }
    }

    fn longest_attempt(self) -> Duration {
        self.connect + 2 * self.whole()
    }
}

/// The settings of every request, set on the agent or on the request: a macro, since ureq's builders
/// for the two are different types.
macro_rules! with_invariants {
    ($config:expr, $limits:expr) => {
        $config
            .http_status_as_error(false)
            .max_redirects(0)
            .max_response_header_size(MAX_HEAD_BYTES)
            .timeout_connect(Some($limits.connect))
            .timeout_per_read($limits.per_read())
            .timeout_per_write(Some($limits.response))
            .timeout_recv_response(Some($limits.whole()))
            .timeout_recv_body(Some($limits.whole()))
    };
}

impl Transport {
    /// Builds the client's own agent.
    pub(crate) fn new(
        endpoint: &Endpoint,
        user_agent: &str,
        tls: Option<Tls>,
        own_roots: Option<&[u8]>,
        limits: Limits,
        deadline: Duration,
    ) -> Result<Self, Error> {
        if endpoint.is_https() && tls.is_none() {
            return Err(Error::invalid_input(
                "https needs a TLS feature: build acs-identity with `rustls` or `native-tls`, or bring an agent",
            ));
        }
        let url = url(endpoint)?;
        // A proxy cannot reach this machine's loopback, and plain http must not leave it.
        let proxy = if endpoint.is_loopback() { None } else { proxy::from_env(&url)? };
        let by_proxy = proxy.as_ref().is_some_and(|proxy| !proxy.is_no_proxy(&url));
        let config = Agent::config_builder()
            // For proxies; the service sees the header of the request.
            .user_agent(user_agent)
            .input_buffer_size(BUFFER_BYTES)
            .output_buffer_size(BUFFER_BYTES)
            .max_idle_connections(MAX_IDLE_CONNECTIONS)
            .max_idle_connections_per_host(MAX_IDLE_CONNECTIONS)
            .max_idle_age(MAX_IDLE_AGE)
            .proxy(proxy);
        let config = with_invariants!(config, limits.within(deadline));
        #[cfg(any(feature = "rustls", feature = "native-tls"))]
        let config = match tls {
            Some(tls) => config.tls_config(tls.config(own_roots)?),
            None => config,
        };
        #[cfg(not(any(feature = "rustls", feature = "native-tls")))]
        let _ = own_roots;
        // A deadline that is shorter than all phases together becomes the agent's own limit, so that
        // first attempts need no settings of their own: with those, ureq builds the TLS configuration
        // again and resumes no session.
        let (config, longest_attempt) = if limits.longest_attempt() <= deadline {
            (config, limits.longest_attempt())
        } else {
            (config.timeout_global(Some(deadline)), deadline.saturating_sub(deadline / 20))
        };
        Ok(Self {
            agent: config.build().new_agent(),
            is_ours: true,
            by_proxy,
            is_configured: true,
            limits,
            longest_attempt,
            keeping: Keeping::default(),
        })
    }

    /// Takes the caller's agent, with its TLS settings, proxy and resolver. The invariant settings go on
    /// every request, unless the agent already has them.
    ///
    /// Fails if the agent has a timeout that cannot be added to an instant: ureq would panic.
    pub(crate) fn with_agent(agent: Agent, limits: Limits) -> Result<Self, Error> {
        let timeouts = agent.config().timeouts();
        let others = [timeouts.global, timeouts.per_call, timeouts.resolve, timeouts.await_100]
            .into_iter()
            .chain([timeouts.send_request, timeouts.send_body]);
        if others.flatten().any(|timeout| timeout > LONGEST) {
            return Err(Error::invalid_input("the agent's timeouts must be at most 7 days"));
        }
        let own_limits = Self::limits_of(&agent).filter(|[connect, head, body]| {
            *connect <= limits.connect && *head <= limits.whole() && *body <= limits.whole()
        });
        Ok(Self {
            is_ours: false,
            by_proxy: false,
            is_configured: own_limits.is_some(),
            limits,
            longest_attempt: own_limits
                .map_or(limits.longest_attempt(), |phases| phases.iter().sum()),
            keeping: Keeping::default(),
            agent,
        })
    }

    /// The agent's limits on connecting, the head and the body of a response. `None` unless it has all
    /// three, follows no redirects and does not turn statuses into errors.
    fn limits_of(agent: &Agent) -> Option<[Duration; 3]> {
        let config = agent.config();
        let timeouts = config.timeouts();
        let is_plain = !config.http_status_as_error() && config.max_redirects() == 0;
        let limits = [timeouts.connect?, timeouts.recv_response?, timeouts.recv_body?];
        is_plain.then_some(limits)
    }

    /// Sends one request and reads its response, whatever its status.
    ///
    /// A request that must not be repeated only uses a connection that is likely to be alive.
    pub(crate) fn send(
        &self,
        request: Request<()>,
        body: &[u8],
        time_left: Duration,
        repeatable: bool,
    ) -> Result<Reply, Failure> {
        let mut sent = Marked { rest: body, begun: false };
        let (mut parts, ()) = request.into_parts();
        let length =
            if body.is_empty() { HeaderValue::from_static("0") } else { body.len().into() };
        parts.headers.insert(header::CONTENT_LENGTH, length);
        let mut request = Request::from_parts(parts, SendBody::from_reader(&mut sent));

        let whole = (time_left < self.longest_attempt).then_some(time_left);
        let needs_new = self.keeping.is_doubtful() && !repeatable;
        if !self.is_configured {
            let config = self.agent.configure_request(request);
            request = with_invariants!(config, self.limits).build();
        }
        if let Some(limit) = whole {
            let config = self.agent.configure_request(request).timeout_global(Some(limit));
            request = config.timeout_connect(Some(self.limits.within(limit).connect)).build();
        }
        if needs_new {
            request = self.agent.configure_request(request).max_idle_age(Duration::ZERO).build();
        }
        let result = self.agent.run(request);
        match result {
            Ok(response) => {
                let (parts, body) = response.into_parts();
                // Before the body is read, since its end puts the connection where another thread
                // may take it.
                self.keeping.note(&parts.headers);
                let (body, flaw) = read(body);
                if matches!(flaw, Some(Flaw::Cut(_))) {
                    self.keeping.note_end();
                }
                Ok(Reply { status: parts.status, headers: parts.headers, body, flaw })
            }
            Err(error) => {
                // The mark is exact, but says nothing without a body, and proves nothing if it is
                // unset on the caller's agent: its middleware may have sent another body.
                let sending = match (sent.begun, self.is_ours && !body.is_empty()) {
                    (true, _) => Some(true),
                    (false, true) => Some(false),
                    (false, false) => None,
                };
                let outcome = Outcome::of_error(&error, sending);
                if outcome.maybe_processed && matches!(error, ureq::Error::Io(_)) {
                    self.keeping.note_end();
                }
                Err(Failure::without_response(error, outcome, self.by_proxy))
            }
        }
    }
}

/// A request body that records whether the transport began to read it, which happens once the
/// connection is established and the head is written.
struct Marked<'a> {
    rest: &'a [u8],
    begun: bool,
}

impl Read for Marked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.begun = true;
        self.rest.read(buffer)
    }
}

fn read(mut body: Body) -> (Vec<u8>, Option<Flaw>) {
    // The announced length may be wrong or huge: it is only a hint.
    let length = body.content_length().unwrap_or_default().min(64 * 1024);
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    let flaw = match body.as_reader().take(MAX_BODY_BYTES + 1).read_to_end(&mut bytes) {
        Ok(length) if length as u64 > MAX_BODY_BYTES => Some(Flaw::TooLong),
        Ok(_) => None,
        Err(error) => Some(Flaw::Cut(Box::new(ureq::Error::from(error)))),
    };
    (bytes, flaw)
}

fn url(endpoint: &Endpoint) -> Result<Uri, Error> {
    endpoint.to_string().parse().map_err(|error| {
        Error::invalid_input("the endpoint cannot be written as a URL").with_source(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn transport(response: Duration, deadline: Duration) -> Transport {
        let endpoint = "http://127.0.0.1:1".parse().unwrap();
        let limits = Limits::new(10 * SECOND, response);
        Transport::new(&endpoint, "me/1", Tls::DEFAULT, None, limits, deadline).unwrap()
    }

    #[test]
    fn the_agent_is_as_documented() {
        let transport = transport(30 * SECOND, 100 * SECOND);
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
        // Each of these would cost a thread in every call.
        assert_eq!((timeouts.global, timeouts.per_call, timeouts.resolve), (None, None, None));
        assert_eq!(timeouts.connect, Some(10 * SECOND));
        assert_eq!(config.timeout_per_read(), Some(30 * SECOND));
        assert_eq!(config.timeout_per_write(), Some(30 * SECOND));
        let whole = Duration::from_millis(31_500);
        assert_eq!((timeouts.recv_response, timeouts.recv_body), (Some(whole), Some(whole)));
    }

    #[test]
    fn a_deadline_shorter_than_the_phases_limits_the_whole() {
        let transport = transport(30 * SECOND, 20 * SECOND);
        assert_eq!(transport.agent.config().timeouts().global, Some(20 * SECOND));
        assert_eq!(transport.longest_attempt, 19 * SECOND);
    }

    #[test]
    fn endless_timeouts_are_limited() {
        let limits = Limits::new(Duration::MAX, Duration::MAX);
        let week = 604_800 * SECOND;
        assert_eq!((limits.connect, limits.response), (week, week));
        let with = |global| {
            let agent = Agent::config_builder().timeout_global(Some(global)).build().new_agent();
            Transport::with_agent(agent, limits)
        };
        assert!(with(week).is_ok());
        assert!(with(week + Duration::from_nanos(1)).is_err());
    }

    #[test]
    fn an_agent_with_all_settings_is_used_as_it_is() {
        let limits = Limits::new(10 * SECOND, 30 * SECOND);
        let config = || {
            Agent::config_builder()
                .http_status_as_error(false)
                .max_redirects(0)
                .timeout_connect(Some(5 * SECOND))
                .timeout_recv_response(Some(30 * SECOND))
                .timeout_recv_body(Some(30 * SECOND))
        };
        let is_configured = |agent| Transport::with_agent(agent, limits).unwrap().is_configured;
        assert!(is_configured(config().build().new_agent()));
        assert!(!is_configured(config().http_status_as_error(true).build().new_agent()));
        assert!(!is_configured(config().max_redirects(1).build().new_agent()));
        assert!(!is_configured(config().timeout_connect(None).build().new_agent()));
        assert!(!is_configured(config().timeout_recv_response(None).build().new_agent()));
        assert!(!is_configured(config().timeout_recv_body(Some(60 * SECOND)).build().new_agent()));
    }

    #[test]
    fn the_limit_on_a_read_does_not_shorten_connecting() {
        let limits = |connect, response| Limits::new(connect * SECOND, response * SECOND);
        assert_eq!(limits(10, 30).per_read(), Some(30 * SECOND));
        assert_eq!(limits(10, 9).per_read(), None);
        assert_eq!(limits(10, 9).whole(), 9 * SECOND);
        assert_eq!(limits(10, 30).within(4 * SECOND).connect, Duration::from_millis(3_600));
    }
}
