//! The settings of a client.

use std::fmt;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use ureq::http::HeaderValue;

use crate::api_version::ApiVersion;
use crate::auth::credential::Credential;
use crate::client::CommunicationIdentityClient;
use crate::client::call::Core;
use crate::client::clock::{Clock, SystemClock};
use crate::client::retry::RetryPolicy;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::http::tls::Tls;
use crate::http::transport::{Timeouts, Transport};

const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
const USER_AGENT: &str = concat!("acs-identity/", env!("CARGO_PKG_VERSION"));

/// Settings of a [`CommunicationIdentityClient`](crate::CommunicationIdentityClient).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use acs_identity::{CommunicationIdentityClient, RetryPolicy};
///
/// # let text = "endpoint=https://contoso.communication.azure.com/;accesskey=c2VjcmV0";
/// let client = CommunicationIdentityClient::builder_from_connection_string(text)?
///     .connect_timeout(Duration::from_secs(3))
///     .timeout(Duration::from_secs(5))
///     .retry_policy(RetryPolicy::none())
///     .application_id("nightly-cleanup")
///     .build()?;
/// # Ok::<(), acs_identity::Error>(())
/// ```
#[must_use = "a builder does nothing until `build` is called"]
pub struct CommunicationIdentityClientBuilder {
    endpoint: Endpoint,
    credential: Credential,
    api_version: ApiVersion,
    application_id: Option<String>,
    connect_timeout: Duration,
    timeout: Duration,
    tls: Option<Tls>,
    root_certificates: Option<Vec<u8>>,
    agent: Option<ureq::Agent>,
    retry_policy: RetryPolicy,
    clock: Box<dyn Clock>,
    clock_correction: bool,
}

impl CommunicationIdentityClientBuilder {
    pub(crate) fn new(endpoint: Endpoint, credential: Credential) -> Self {
        Self {
            endpoint,
            credential,
            api_version: ApiVersion::default(),
            application_id: None,
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
            timeout: DEFAULT_TIMEOUT,
            tls: None,
            root_certificates: None,
            agent: None,
            retry_policy: RetryPolicy::default(),
            clock: Box::new(SystemClock),
            clock_correction: true,
        }
    }

    /// Sets the version of the service's REST API. Defaults to [`ApiVersion::V2023_10_01`].
    #[doc(alias = "service_version")]
    pub fn api_version(mut self, api_version: impl Into<ApiVersion>) -> Self {
        self.api_version = api_version.into();
        self
    }

    /// Puts the name of your application in front of the user agent, so that Microsoft's support can
    /// find its requests. Defaults to none: the user agent is `acs-identity/<version>`.
    ///
    /// The name has 1 to 24 characters: ASCII letters, digits, `!#$%&'*+-.^_|~` and backtick.
    pub fn application_id(mut self, application_id: impl Into<String>) -> Self {
        self.application_id = Some(application_id.into());
        self
    }

    /// Limits how long connecting may take, including the proxy and the TLS handshake. Defaults to
    /// 5 s.
    ///
    /// If the first address of a host does not respond, such as an IPv6 address in a network without IPv6,
    /// two thirds of this time pass before the next one is tried.
    ///
    /// The limit holds within 10 %, with exceptions: name resolution by the system is not limited, and
    /// neither is a proxy that sends its own response a byte at a time; a slow https proxy may take twice
    /// as long.
    pub fn connect_timeout(mut self, connect_timeout: Duration) -> Self {
        self.connect_timeout = connect_timeout;
        self
    }

    /// Limits how long the service may take to respond to one attempt. Defaults to 30 s.
    ///
    /// The head of the response may take this long, and its body this long again. The limit holds
    /// within 10 %: if the service sends nothing, the attempt fails after `timeout`; if it sends a head
    /// and then stalls, it fails after `timeout` from there. Connecting has its
    /// [own limit](Self::connect_timeout), and [`RetryPolicy::deadline`] limits the whole call.
    #[doc(alias = "response_timeout")]
    #[doc(alias = "read_timeout")]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the TLS library and the root certificates it trusts. Defaults to rustls with Mozilla's
    /// roots; see [`Tls`] for the others and the cargo features they need.
    ///
    /// # Examples
    ///
    /// ```
    /// use acs_identity::{CommunicationIdentityClient, Tls};
    ///
    /// # let text = "endpoint=https://contoso.communication.azure.com/;accesskey=c2VjcmV0";
    /// let client = CommunicationIdentityClient::builder_from_connection_string(text)?
    ///     .tls(Tls::Rustls)
    ///     .build()?;
    /// # Ok::<(), acs_identity::Error>(())
    /// ```
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Trusts these root certificates, and no others: one or several, in PEM.
    ///
    /// Use it for a private certificate authority, such as that of a TLS-inspecting proxy.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use acs_identity::CommunicationIdentityClient;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let text = "endpoint=https://contoso.communication.azure.com/;accesskey=c2VjcmV0";
    /// let client = CommunicationIdentityClient::builder_from_connection_string(text)?
    ///     .root_certificates(std::fs::read("/etc/ssl/corporate.pem")?)
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "ca_certificates")]
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.root_certificates = Some(pem.into());
        self
    }

    /// Uses your own [`ureq::Agent`], with its TLS settings, proxy, resolver and connection pool.
    ///
    /// The client sets what it depends on with every request: timeouts, statuses as responses, no
    /// redirects, and at most 24 KiB of response head. Settings on a request make ureq build the TLS
    /// configuration again for each new connection, and resume no TLS session.
    ///
    /// Unless its proxy is set, an agent reads the proxy variables by ureq's own rules. One that is given a
    /// SOCKS proxy panics without ureq's feature `socks-proxy`, which you have to enable.
    ///
    /// Middleware must not change the request or fail by itself: its bytes are signed, and whether they were
    /// sent decides on retries. Use the agent for this client only.
    ///
    /// # Examples
    ///
    /// ```
    /// use acs_identity::CommunicationIdentityClient;
    /// use acs_identity::ureq::{Agent, Proxy};
    ///
    /// # let text = "endpoint=https://contoso.communication.azure.com/;accesskey=c2VjcmV0";
    /// let agent = Agent::config_builder()
    ///     .proxy(Some(Proxy::new("http://proxy.example.com:3128").unwrap()))
    ///     .build()
    ///     .new_agent();
    /// let client = CommunicationIdentityClient::builder_from_connection_string(text)?
    ///     .agent(agent)
    ///     .build()?;
    /// # Ok::<(), acs_identity::Error>(())
    /// ```
    #[doc(alias = "transport")]
    #[doc(alias = "http_client")]
    #[doc(alias = "proxy")]
    pub fn agent(mut self, agent: ureq::Agent) -> Self {
        self.agent = Some(agent);
        self
    }

    /// Sets what is retried, and how long a call may take. Defaults to [`RetryPolicy::default`].
    #[doc(alias = "retry_options")]
    pub fn retry_policy(mut self, retry_policy: RetryPolicy) -> Self {
        self.retry_policy = retry_policy;
        self
    }

    /// Sets whether the client corrects clock skew. Defaults to true.
    ///
    /// The service rejects requests with a date too far from its own time. If it responds with 401,
    /// and its `Date` differs from this machine's clock by more than four minutes and at most one day,
    /// the client signs the request once more with the service's time. If that is accepted, the client
    /// and its clones keep the correction, which
    /// [`clock_offset_seconds`](crate::CommunicationIdentityClient::clock_offset_seconds) returns.
    /// Requests that carry bearer tokens have no date, so nothing is corrected for them.
    pub fn clock_correction(mut self, clock_correction: bool) -> Self {
        self.clock_correction = clock_correction;
        self
    }

    #[cfg(all(test, feature = "emulator"))]
    pub(crate) fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// Builds the client. Nothing is sent.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if
    ///
    /// - the api-version or the application id is empty, too long, or has characters that cannot be
    ///   sent;
    /// - a timeout or the deadline is zero, or a timeout of an [`agent`](Self::agent) longer than
    ///   7 days;
    /// - [`root_certificates`](Self::root_certificates) is not valid PEM, or has no certificate;
    /// - [`tls`](Self::tls) or root certificates are set together with an [`agent`](Self::agent);
    /// - the endpoint is https, and the crate was built without a TLS feature;
    /// - the [proxy variable](crate#environment) in effect does not name an http or https proxy, but
    ///   SOCKS, for example, or has characters that must be percent-encoded. The text names the variable
    ///   and never its value.
    ///
    /// The last two do not apply if you bring an [`agent`](Self::agent).
    pub fn build(self) -> Result<CommunicationIdentityClient, Error> {
        let core = Arc::new(self.core()?);
        Ok(CommunicationIdentityClient { core, observer: None, on_retry: None })
    }

    /// Checks the settings and assembles what all clones share.
    fn core(self) -> Result<Core, Error> {
        let api_version = self.api_version.checked()?;
        let deadline = self.retry_policy.deadline;
        if self.timeout.is_zero() || self.connect_timeout.is_zero() || deadline.is_zero() {
            return Err(Error::invalid_input("timeouts must be greater than zero"));
        }
        let user_agent = user_agent(self.application_id.as_deref())?;
        let timeouts = Timeouts::new(self.connect_timeout, self.timeout);
        let roots = self.root_certificates.as_deref();
        let transport = match self.agent {
            Some(_) if self.tls.is_some() || roots.is_some() => {
                return Err(Error::invalid_input(
                    "an agent brings its own TLS: set tls and root_certificates there",
                ));
            }
            Some(agent) => Transport::with_agent(&self.endpoint, agent, timeouts)?,
            None => {
                let tls = self.tls.or(Tls::DEFAULT);
                Transport::new(&self.endpoint, &user_agent, tls, roots, timeouts, deadline)?
            }
        };
        let header = |text: &str| {
            HeaderValue::try_from(text).map_err(|error| {
                Error::invalid_input("the endpoint or the application_id is malformed")
                    .with_source(error)
            })
        };
        Ok(Core {
            host: header(self.endpoint.host())?,
            user_agent: header(&user_agent)?,
            endpoint: self.endpoint,
            credential: RwLock::new(self.credential),
            api_version,
            retry_policy: self.retry_policy,
            transport,
            clock: self.clock,
            clock_correction: self.clock_correction,
            clock_offset: AtomicI64::new(0),
            create_lost: Mutex::new(None),
        })
    }
}

impl fmt::Debug for CommunicationIdentityClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommunicationIdentityClientBuilder")
            .field("endpoint", &self.endpoint)
            .field("api_version", &self.api_version)
            .finish_non_exhaustive()
    }
}

fn user_agent(application_id: Option<&str>) -> Result<String, Error> {
    let Some(id) = application_id else { return Ok(USER_AGENT.to_owned()) };
    let token_char = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if id.is_empty() || id.len() > 24 || !id.chars().all(token_char) {
        return Err(Error::invalid_input(
            "application_id is malformed: expected 1 to 24 letters, digits or any of !#$%&'*+-.^_`|~",
        ));
    }
    Ok(format!("{id} {USER_AGENT}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access_key::AccessKey;

    fn builder() -> CommunicationIdentityClientBuilder {
        let endpoint = "http://localhost".parse().unwrap();
        let key: AccessKey = "c2VjcmV0".parse().unwrap();
        CommunicationIdentityClientBuilder::new(endpoint, key.into())
    }

    #[test]
    fn application_id_is_a_short_token() {
        let longest = "a".repeat(24);
        for id in ["a", "my-app", "!#$%&'*+-.^_`|~9Z", &longest] {
            assert_eq!(user_agent(Some(id)).unwrap(), format!("{id} {USER_AGENT}"));
        }
        for id in ["", "my app", "a/b", "é", "a\n", &(longest + "a")] {
            assert!(user_agent(Some(id)).is_err(), "{id:?}");
        }
    }

    #[test]
    fn builder_has_the_documented_defaults() {
        let builder = builder();
        assert_eq!(builder.connect_timeout, Duration::from_secs(5));
        assert_eq!(builder.timeout, Duration::from_secs(30));
        let core = builder.core().unwrap();
        assert_eq!(core.api_version.as_str(), "2023-10-01");
        assert_eq!(core.user_agent, concat!("acs-identity/", env!("CARGO_PKG_VERSION")));
        assert_eq!(core.retry_policy, RetryPolicy::default());
        assert!(core.clock_correction);
    }

    #[test]
    fn timeouts_of_zero_are_rejected() {
        let no_deadline = RetryPolicy::default().deadline(Duration::ZERO);
        for builder in [
            builder().timeout(Duration::ZERO),
            builder().connect_timeout(Duration::ZERO),
            builder().retry_policy(no_deadline),
        ] {
            let error = builder.build().unwrap_err();
            assert_eq!(error.to_string(), "timeouts must be greater than zero");
        }
    }

    #[test]
    #[cfg(feature = "rustls")]
    fn agent_cannot_be_combined_with_tls_settings() {
        for builder in [builder().tls(Tls::Rustls), builder().root_certificates("")] {
            let error = builder.agent(ureq::agent()).build().unwrap_err();
            assert_eq!(
                error.to_string(),
                "an agent brings its own TLS: set tls and root_certificates there"
            );
        }
    }
}
