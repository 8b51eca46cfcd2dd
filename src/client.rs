//! The client: each operation is a *call*, and a call makes *attempts*, each signed anew.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ureq::http::{HeaderName, HeaderValue, Request};

use crate::connection_string::ConnectionString;
use crate::credential::Credential;
use crate::endpoint::Endpoint;
use crate::error::{Error, RequestContext};
use crate::operation::Operation;
use crate::response::{Reader, Reply};
use crate::signing::RequestToSign;
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
pub struct CommunicationIdentityClient(Arc<Inner>);

struct Inner {
    endpoint: Endpoint,
    credential: Credential,
    api_version: String,
    user_agent: HeaderValue,
    limits: Limits,
    transport: Transport,
    clock: fn() -> SystemTime,
}

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
            clock: SystemTime::now,
        }
    }

    /// The endpoint that this client talks to.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.0.endpoint
    }

    /// Creates a user (`POST /identities`).
    ///
    /// # Errors
    ///
    /// Any [kind](crate::ErrorKind) but `InvalidInput`. After `Timeout`, `Transport` or `Response` a user may exist whose id nobody knows.
    pub fn create_user(&self) -> Result<CommunicationUserIdentifier, Error> {
        self.call(&Operation::create_user(), Reader::user)
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
        self.call(&operation, Reader::user_and_token)
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
        self.call(&operation, Reader::token)
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
        self.call(&Operation::revoke_tokens(user), Reader::nothing)
    }

    /// Deletes a user and revokes its tokens (`DELETE /identities/{id}`).
    ///
    /// # Errors
    ///
    /// `Service` with the code `IdentityNotOwned` if the user is another resource's or was deleted. Otherwise any [kind](crate::ErrorKind) but `InvalidInput`.
    pub fn delete_user(&self, user: &CommunicationUserIdentifier) -> Result<(), Error> {
        self.call(&Operation::delete_user(user), Reader::nothing)
    }

    /// Makes one call: what all its attempts share is settled here.
    fn call<T>(
        &self,
        operation: &Operation,
        read: impl FnOnce(&Reader, Reply) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let context = RequestContext {
            operation: operation.name,
            host: self.0.endpoint.host().to_owned(),
            api_version: self.0.api_version.clone(),
            client_request_id: random_uuid(),
        };
        let reply = self.attempt(operation, &context)?;
        read(&Reader { request: context, now: (self.0.clock)() }, reply)
    }

    /// Signs the request for this instant and sends it once.
    fn attempt(&self, operation: &Operation, context: &RequestContext) -> Result<Reply, Error> {
        let inner = &*self.0;
        let target = format!("{}?api-version={}", operation.path, inner.api_version);
        let signed = inner.credential.access_key().sign(
            &RequestToSign {
                method: operation.method.as_str(),
                host: inner.endpoint.host(),
                path_and_query: &target,
                body: &operation.body,
            },
            (inner.clock)(),
        )?;
        let mut request = Request::builder()
            .method(&operation.method)
            .uri(format!("{}{target}", inner.endpoint))
            .header("host", inner.endpoint.host())
            .header("accept", "application/json")
            .header("user-agent", &inner.user_agent)
            .header("x-ms-client-request-id", &context.client_request_id);
        if !operation.body.is_empty() {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in signed.headers() {
            request = request.header(HeaderName::from_static(name), value);
        }
        let request = request.body(()).map_err(|error| {
            Error::invalid_input("the request cannot be written as HTTP: is the user id too long?")
                .with_source(error)
                .with_request(context)
        })?;
        let reply = inner.transport.send(request, &operation.body, inner.limits);
        reply.map_err(|failure| failure.into_error().with_request(context))
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
    clock: fn() -> SystemTime,
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
        if self.timeout.is_zero() || self.connect_timeout.is_zero() {
            return Err(Error::invalid_input("a timeout is zero: expected some time to work in"));
        }
        let user_agent = user_agent(self.application_id.as_deref())?;
        let limits = Limits::new(self.connect_timeout, self.timeout);
        let transport = match self.agent {
            Some(agent) => Transport::with_agent(agent),
            None => Transport::new(&self.endpoint, &user_agent, limits)?,
        };
        Ok(CommunicationIdentityClient(Arc::new(Inner {
            endpoint: self.endpoint,
            credential: self.credential,
            api_version: self.api_version,
            user_agent: HeaderValue::try_from(user_agent).map_err(|error| {
                Error::invalid_input("application_id is malformed").with_source(error)
            })?,
            limits,
            transport,
            clock: self.clock,
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

/// A version 4 UUID from the randomness that std seeds its hash maps with: it only has to be unlikely to repeat.
fn random_uuid() -> String {
    let [high, low] = [(); 2].map(|()| RandomState::new().hash_one(()));
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        (low >> 48) & 0x3fff | 0x8000,
        low & 0xffff_ffff_ffff,
    )
}
