//! The client and its builder.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use ureq::http::HeaderValue;

use crate::clock::{Clock, SystemClock};
use crate::connection_string::ConnectionString;
use crate::credential::Credential;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::operation::Operation;
use crate::pipeline::Pipeline;
use crate::response::Reader;
use crate::retry::RetryPolicy;
use crate::token::{AccessToken, TokenRequest};
use crate::transport::{Limits, Transport};
use crate::user::CommunicationUserIdentifier;

const DEFAULT_API_VERSION: &str = "2023-10-01";
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
const USER_AGENT: &str = concat!("acs-identity/", env!("CARGO_PKG_VERSION"));

/// A blocking client for the identity service of one ACS resource.
///
/// Cheap to clone; one client can be shared by many threads, and keeps its connections. From async code, call it within
/// `spawn_blocking` or its like.
///
/// ```
/// use acs_identity::CommunicationIdentityClient;
/// use acs_identity::emulator::Emulator;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let emulator = Emulator::start()?;
/// let client = CommunicationIdentityClient::from_connection_string(&emulator.connection_string())?;
///
/// let user = client.create_user()?;
/// let token = client.issue_token(&user, ["voip"])?;
/// println!("{user} may call until {}", token.expires_on_text());
///
/// client.revoke_tokens(&user)?;
/// client.delete_user(&user)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct CommunicationIdentityClient(Arc<Pipeline>);

impl CommunicationIdentityClient {
    /// A client with the default settings, for the resource that a connection string names.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if the string is not a valid connection string.
    #[doc(alias = "with_connection_string")]
    pub fn from_connection_string(connection_string: &str) -> Result<Self, Error> {
        let (endpoint, access_key) = connection_string.parse::<ConnectionString>()?.into_parts();
        Self::builder(endpoint, access_key).build()
    }

    /// A client with the default settings, for an endpoint such as `https://contoso.communication.azure.com`.
    ///
    /// ```
    /// use acs_identity::{AccessKey, CommunicationIdentityClient};
    ///
    /// let key: AccessKey = "c2VjcmV0".parse()?;
    /// let client = CommunicationIdentityClient::new("https://contoso.communication.azure.com", key)?;
    /// # Ok::<(), acs_identity::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if the endpoint is not valid.
    pub fn new(endpoint: &str, credential: impl Into<Credential>) -> Result<Self, Error> {
        Self::builder(endpoint.parse()?, credential).build()
    }

    /// A builder, for settings other than the default ones.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use acs_identity::{CommunicationIdentityClient, ConnectionString};
    ///
    /// let settings: ConnectionString =
    ///     "endpoint=https://contoso.communication.azure.com/;accesskey=c2VjcmV0".parse()?;
    /// let (endpoint, access_key) = settings.into_parts();
    /// let client = CommunicationIdentityClient::builder(endpoint, access_key)
    ///     .timeout(Duration::from_secs(5))
    ///     .build()?;
    /// # Ok::<(), acs_identity::Error>(())
    /// ```
    pub fn builder(
        endpoint: Endpoint,
        credential: impl Into<Credential>,
    ) -> CommunicationIdentityClientBuilder {
        CommunicationIdentityClientBuilder {
            endpoint,
            credential: credential.into(),
            api_version: DEFAULT_API_VERSION.to_owned(),
            application_id: None,
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
            timeout: DEFAULT_TIMEOUT,
            agent: None,
            retry_policy: RetryPolicy::default(),
            clock: Box::new(SystemClock),
            clock_correction: true,
        }
    }

    /// The endpoint that this client talks to.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.0.endpoint
    }

    /// By how many seconds the service's clock was found to be ahead of this machine's; negative if behind, 0 if none was noticed.
    ///
    /// See [`CommunicationIdentityClientBuilder::clock_correction`].
    #[must_use]
    pub fn clock_offset_seconds(&self) -> i64 {
        self.0.clock_offset.load(Ordering::Relaxed)
    }

    /// Creates a user (`POST /identities`).
    ///
    /// # Errors
    ///
    /// Any [kind](crate::ErrorKind) but `InvalidInput`. After `Timeout`, `Transport` or `Response` a user may exist whose id nobody knows.
    pub fn create_user(&self) -> Result<CommunicationUserIdentifier, Error> {
        self.0.call(&Operation::create_user(), Reader::user)
    }

    /// Creates a user and issues a token for it, in one request.
    ///
    /// # Errors
    ///
    /// `InvalidInput`, and nothing is created, if the scopes are empty or the lifetime is not whole minutes; otherwise as [`create_user`](Self::create_user).
    /// If the user was created and the token is missing or unreadable, [`Error::created_user_id`] has the user's id.
    #[doc(alias = "create_user_with_token")]
    pub fn create_user_and_token(
        &self,
        request: impl Into<TokenRequest>,
    ) -> Result<(CommunicationUserIdentifier, AccessToken), Error> {
        let operation = Operation::create_user_and_token(&request.into())?;
        self.0.call(&operation, Reader::user_and_token)
    }

    /// Issues a token for a user (`POST /identities/{id}/:issueAccessToken`).
    ///
    /// Tokens issued earlier stay valid.
    ///
    /// # Errors
    ///
    /// `InvalidInput`, and nothing is sent, if the scopes are empty or the lifetime is not whole minutes. `Service` with the code `IdentityNotOwned` if
    /// the user is another resource's or was deleted. Otherwise any [kind](crate::ErrorKind).
    #[doc(alias = "get_token")]
    pub fn issue_token(
        &self,
        user: &CommunicationUserIdentifier,
        request: impl Into<TokenRequest>,
    ) -> Result<AccessToken, Error> {
        let operation = Operation::issue_token(user, &request.into())?;
        self.0.call(&operation, Reader::token)
    }

    /// Revokes all tokens of a user (`POST /identities/{id}/:revokeAccessTokens`).
    ///
    /// It can take up to 15 minutes until they are refused everywhere.
    ///
    /// # Errors
    ///
    /// `Service` with the code `IdentityNotOwned` if the user is another resource's or was deleted. Otherwise any [kind](crate::ErrorKind) but `InvalidInput`.
    #[doc(alias = "revoke_access_tokens")]
    pub fn revoke_tokens(&self, user: &CommunicationUserIdentifier) -> Result<(), Error> {
        self.0.call(&Operation::revoke_tokens(user), Reader::nothing)
    }

    /// Deletes a user and revokes its tokens (`DELETE /identities/{id}`).
    ///
    /// # Errors
    ///
    /// `Service` with the code `IdentityNotOwned` if the user is another resource's or was deleted. Otherwise any [kind](crate::ErrorKind) but `InvalidInput`.
    pub fn delete_user(&self, user: &CommunicationUserIdentifier) -> Result<(), Error> {
        match self.0.call(&Operation::delete_user(user), Reader::nothing) {
            Err(error) if was_gone_already(&error) => Ok(()),
            result => result,
        }
    }
}

impl fmt::Debug for CommunicationIdentityClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommunicationIdentityClient")
            .field("endpoint", &self.0.endpoint)
            .field("api_version", &self.0.api_version)
            .finish_non_exhaustive()
    }
}

/// Settings of a [`CommunicationIdentityClient`]; see [`CommunicationIdentityClient::builder`].
#[must_use = "a builder does nothing until `build` is called"]
pub struct CommunicationIdentityClientBuilder {
    endpoint: Endpoint,
    credential: Credential,
    api_version: String,
    application_id: Option<String>,
    connect_timeout: Duration,
    timeout: Duration,
    agent: Option<ureq::Agent>,
    retry_policy: RetryPolicy,
    clock: Box<dyn Clock>,
    clock_correction: bool,
}

impl CommunicationIdentityClientBuilder {
    /// Sets the version of the service's interface. Defaults to `2023-10-01`.
    #[doc(alias = "service_version")]
    pub fn api_version(mut self, api_version: impl Into<String>) -> Self {
        self.api_version = api_version.into();
        self
    }

    /// Puts the name of your application in front of the user agent, for Microsoft's support: up to 24 letters, digits, or any of `!#$%&'*+-.^_|~` and backtick.
    ///
    /// Defaults to none: the user agent is `acs-identity/<version>`.
    pub fn application_id(mut self, application_id: impl Into<String>) -> Self {
        self.application_id = Some(application_id.into());
        self
    }

    /// Limits how long connecting may take, TLS included. Defaults to 10 s, and never is more than a third of [`timeout`](Self::timeout).
    ///
    /// How long the system may take to resolve the host's name is not covered by any of the timeouts.
    pub fn connect_timeout(mut self, connect_timeout: Duration) -> Self {
        self.connect_timeout = connect_timeout;
        self
    }

    /// Limits how long one attempt may take, from connecting to the last byte of the answer. Defaults to 30 s.
    ///
    /// The time is shared out to the parts of an attempt: what connecting may take at most is kept for it even if the connection
    /// stands already, and a tenth of the rest is kept for the answer's body. So with the defaults, a service that
    /// says nothing is given up after 18 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Uses an agent of yours, with its TLS roots, proxy and connection pool.
    ///
    /// What this client depends on is set on every request anew: timeouts, statuses as answers, no redirects.
    #[doc(alias = "transport")]
    #[doc(alias = "http_client")]
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
    /// The service refuses requests whose date is too far from its own time. When it answers 401 and its `Date` differs from this machine's clock by more than
    /// four minutes, the client signs once more with the service's time and, if that is accepted, stays with it:
    /// see [`CommunicationIdentityClient::clock_offset_seconds`].
    pub fn clock_correction(mut self, clock_correction: bool) -> Self {
        self.clock_correction = clock_correction;
        self
    }

    #[cfg(test)]
    pub(crate) fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// Builds the client. Nothing is sent.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if the api-version or the application id has characters that cannot be sent, if a timeout is zero, or if the endpoint
    /// is https and the crate was built without a TLS feature.
    pub fn build(self) -> Result<CommunicationIdentityClient, Error> {
        let version_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
        if self.api_version.is_empty() || !self.api_version.chars().all(version_char) {
            return Err(Error::invalid_input(
                "api_version is malformed: expected a date such as 2023-10-01",
            ));
        }
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
        Ok(CommunicationIdentityClient(Arc::new(Pipeline {
            endpoint: self.endpoint,
            credential: self.credential,
            api_version: self.api_version,
            user_agent,
            connect_timeout: self.connect_timeout,
            timeout: self.timeout,
            retry_policy: self.retry_policy,
            transport,
            clock: self.clock,
            clock_correction: self.clock_correction,
            clock_offset: AtomicI64::new(0),
        })))
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

/// Whether an earlier attempt of a delete did it, so that the last one found nothing to delete.
fn was_gone_already(error: &Error) -> bool {
    let repeated = error.attempts() > 1;
    // An unknown id is answered as one of another resource: believed only if an earlier attempt may have deleted it.
    repeated && error.status() == Some(404)
        || error.is_in_doubt() && error.code() == Some("IdentityNotOwned")
}
