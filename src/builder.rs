//! The settings of a client.

use std::fmt;
use std::sync::RwLock;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use ureq::http::HeaderValue;

use crate::api_version::ApiVersion;
use crate::clock::{Clock, SystemClock};
use crate::credential::Credential;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::pipeline::Pipeline;
use crate::retry::RetryPolicy;
use crate::transport::{Limits, Transport};

const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
const USER_AGENT: &str = concat!("acs-identity/", env!("CARGO_PKG_VERSION"));

/// Settings of a [`CommunicationIdentityClient`](crate::CommunicationIdentityClient); see
/// [`CommunicationIdentityClient::builder`](crate::CommunicationIdentityClient::builder).
#[must_use = "a builder does nothing until `build` is called"]
pub struct CommunicationIdentityClientBuilder {
    endpoint: Endpoint,
    credential: Credential,
    api_version: ApiVersion,
    application_id: Option<String>,
    connect_timeout: Duration,
    timeout: Duration,
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
            agent: None,
            retry_policy: RetryPolicy::default(),
            clock: Box::new(SystemClock),
            clock_correction: true,
        }
    }

    /// Sets the version of the service's interface. Defaults to [`ApiVersion::V2023_10_01`], as in
    /// the official SDKs.
    #[doc(alias = "service_version")]
    pub fn api_version(mut self, api_version: impl Into<ApiVersion>) -> Self {
        self.api_version = api_version.into();
        self
    }

    /// Puts the name of your application in front of the user agent, for Microsoft's support: up to
    /// 24 letters, digits, or any of `!#$%&'*+-.^_|~` and backtick.
    ///
    /// Defaults to none: the user agent is `acs-identity/<version>`.
    pub fn application_id(mut self, application_id: impl Into<String>) -> Self {
        self.application_id = Some(application_id.into());
        self
    }

    /// Limits how long connecting may take, TLS included. Defaults to 10 s, and never is more than
    /// a third of [`timeout`](Self::timeout).
    ///
    /// How long the system may take to resolve the host's name is not covered by any of the
    /// timeouts.
    pub fn connect_timeout(mut self, connect_timeout: Duration) -> Self {
        self.connect_timeout = connect_timeout;
        self
    }

    /// Limits how long one attempt may take, from connecting to the last byte of the answer.
    /// Defaults to 30 s.
    ///
    /// The time is shared out to the parts of an attempt: what connecting may take at most is kept
    /// for it even if the connection stands already, and a tenth of the rest is kept for the
    /// answer's body. So with the defaults, a service that says nothing is given up after 18 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Uses an agent of yours, with its TLS roots, proxy and connection pool.
    ///
    /// What this client depends on is set on every request anew: timeouts, statuses as answers, no
    /// redirects. Middleware must leave the request as it is: its bytes are signed.
    ///
    /// ```
    /// use acs_identity::{CommunicationIdentityClient, ConnectionString};
    ///
    /// # let settings: ConnectionString =
    /// #     "endpoint=https://contoso.communication.azure.com/;accesskey=c2VjcmV0".parse()?;
    /// let proxy = ureq::Proxy::new("http://proxy.example.com:3128").unwrap();
    /// let agent = ureq::Agent::config_builder().proxy(Some(proxy)).build().new_agent();
    /// let (endpoint, access_key) = settings.into_parts();
    /// let client =
    ///     CommunicationIdentityClient::builder(endpoint, access_key).agent(agent).build()?;
    /// # Ok::<(), acs_identity::Error>(())
    /// ```
    #[doc(alias = "transport")]
    #[doc(alias = "http_client")]
    #[doc(alias = "proxy")]
    #[doc(alias = "tls")]
    pub fn agent(mut self, agent: ureq::Agent) -> Self {
        self.agent = Some(agent);
        self
    }

    /// Sets what is tried again, and when a call ends. Defaults to [`RetryPolicy::default`].
    #[doc(alias = "retry_options")]
    pub fn retry_policy(mut self, retry_policy: RetryPolicy) -> Self {
        self.retry_policy = retry_policy;
        self
    }

    /// Sets whether a wrong clock is made up for. Defaults to true.
    ///
    /// The service refuses requests whose date is too far from its own time. When it answers 401
    /// and its `Date` differs from this machine's clock by more than four minutes, the client signs
    /// once more with the service's time and, if that is accepted, stays with it: see
    /// [`CommunicationIdentityClient::clock_offset_seconds`](crate::CommunicationIdentityClient::clock_offset_seconds).
    pub fn clock_correction(mut self, clock_correction: bool) -> Self {
        self.clock_correction = clock_correction;
        self
    }

    #[cfg(all(test, feature = "emulator"))]
    pub(crate) fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// Checks the settings and makes them work together.
    pub(crate) fn pipeline(self) -> Result<Pipeline, Error> {
        let api_version = self.api_version.checked()?;
        let deadline = self.retry_policy.remaining(Duration::ZERO);
        if self.timeout.is_zero() || self.connect_timeout.is_zero() || deadline.is_zero() {
            return Err(Error::invalid_input("a timeout is zero: expected some time to work in"));
        }
        let user_agent = user_agent(self.application_id.as_deref())?;
        let limits = Limits::new(self.connect_timeout, self.timeout);
        let transport = match self.agent {
            Some(agent) => Transport::with_agent(agent),
            None => Transport::new(&self.endpoint, &user_agent, limits)?,
        };
        let user_agent = HeaderValue::try_from(user_agent).map_err(|error| {
            Error::invalid_input("application_id is malformed").with_source(error)
        })?;
        Ok(Pipeline {
            endpoint: self.endpoint,
            credential: RwLock::new(self.credential),
            api_version,
            user_agent,
            connect_timeout: self.connect_timeout,
            timeout: self.timeout,
            retry_policy: self.retry_policy,
            transport,
            clock: self.clock,
            clock_correction: self.clock_correction,
            clock_offset: AtomicI64::new(0),
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
    use crate::credential::AccessKey;

    fn builder() -> CommunicationIdentityClientBuilder {
        let endpoint = "https://contoso.communication.azure.com".parse().unwrap();
        let key: AccessKey = "c2VjcmV0".parse().unwrap();
        CommunicationIdentityClientBuilder::new(endpoint, key.into())
    }

    #[test]
    fn the_defaults_are_those_of_the_documentation() {
        let pipeline = builder().pipeline().unwrap();
        assert_eq!(pipeline.connect_timeout, Duration::from_secs(10));
        assert_eq!(pipeline.timeout, Duration::from_secs(30));
        assert_eq!(pipeline.api_version.as_str(), "2023-10-01");
        assert_eq!(pipeline.user_agent, concat!("acs-identity/", env!("CARGO_PKG_VERSION")));
        assert_eq!(pipeline.retry_policy, RetryPolicy::default());
        assert!(pipeline.clock_correction);
    }

    #[test]
    fn no_time_at_all_is_refused() {
        let no_deadline = RetryPolicy::default().deadline(Duration::ZERO);
        for builder in [
            builder().timeout(Duration::ZERO),
            builder().connect_timeout(Duration::ZERO),
            builder().retry_policy(no_deadline),
        ] {
            let error = builder.pipeline().err().unwrap();
            assert_eq!(error.to_string(), "a timeout is zero: expected some time to work in");
        }
    }
}
