//! The client: how it is created, and how it makes a call. Its operations are in `operations`.

use std::env::VarError;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::time::Duration;

use crate::auth::credential::Credential;
use crate::client::builder::CommunicationIdentityClientBuilder;
use crate::client::call::{Call, Core, OnRetry};
use crate::connection_string::ConnectionString;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::http::response::Response;
use crate::operation::Operation;
use crate::report::CallReport;

pub(crate) mod builder;
pub(crate) mod call;
pub(crate) mod clock;
mod failure;
mod operations;
mod random;
pub(crate) mod retry;
pub(crate) mod token_source;

/// The name that Microsoft's quickstarts use.
const CONNECTION_STRING: &str = "COMMUNICATION_SERVICES_CONNECTION_STRING";

type Observer = dyn Fn(&CallReport) + Send + Sync;

/// A blocking client for the identity service of one ACS resource.
///
/// Create one client per resource and clone it: clones are cheap, and share the connections, the
/// credential and the clock correction. Any number of threads can use a client at the same time. From
/// async code, call it inside `spawn_blocking` or an equivalent.
///
/// Each call resolves the host's name, also on a kept connection. With a name server that takes 20 ms and a
/// round trip of 10 ms, a token takes 36 ms; with the
/// [caching resolver](crate::guide::recipes#performance) 11 ms.
///
/// # Examples
///
/// ```
/// use acs_identity::CommunicationIdentityClient;
/// use acs_identity::emulator::Emulator; // needs the feature `emulator`
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let emulator = Emulator::start()?;
/// let text = emulator.connection_string();
/// let client = CommunicationIdentityClient::from_connection_string(&text)?;
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
pub struct CommunicationIdentityClient {
    core: Arc<Core>,
    observer: Option<Arc<Observer>>,
    on_retry: Option<Arc<OnRetry>>,
}

impl CommunicationIdentityClient {
    /// Creates a client with the default settings from the connection string in the environment
    /// variable `COMMUNICATION_SERVICES_CONNECTION_STRING`, the name that Microsoft's quickstarts use.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use acs_identity::CommunicationIdentityClient;
    ///
    /// let client = CommunicationIdentityClient::from_env()?;
    /// println!("{}", client.create_user()?);
    /// # Ok::<(), acs_identity::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if the variable is not set, is empty, is
    /// not UTF-8 or is not a valid connection string; see also
    /// [`build`](CommunicationIdentityClientBuilder::build).
    pub fn from_env() -> Result<Self, Error> {
        const SET_IT: &str =
            "set it to the connection string on the portal's Keys page, or to an emulator's";

        let problem = match std::env::var(CONNECTION_STRING) {
            Ok(text) if !text.is_empty() => {
                let named = |why| Error::invalid_input(format!("{CONNECTION_STRING}: {why}"));
                return Self::builder_from_connection_string(&text).map_err(named)?.build();
            }
            Ok(_) => format!("is empty: {SET_IT}"),
            Err(VarError::NotPresent) => format!("is not set: {SET_IT}"),
            Err(VarError::NotUnicode(_)) => format!("is not valid UTF-8: {SET_IT}"),
        };
        Err(Error::invalid_input(format!("{CONNECTION_STRING} {problem}")))
    }

    /// Creates a client with the default settings from a connection string.
    ///
    /// # Examples
    ///
    /// ```
    /// use acs_identity::CommunicationIdentityClient;
    ///
    /// # let text = "endpoint=https://contoso.communication.azure.com/;accesskey=c2VjcmV0";
    /// let client = CommunicationIdentityClient::from_connection_string(text)?;
    /// assert_eq!(client.endpoint().host(), "contoso.communication.azure.com");
    /// # Ok::<(), acs_identity::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if the string is not a valid connection
    /// string; see also [`build`](CommunicationIdentityClientBuilder::build).
    #[doc(alias = "with_connection_string")]
    pub fn from_connection_string(connection_string: &str) -> Result<Self, Error> {
        Self::builder_from_connection_string(connection_string)?.build()
    }

    /// Creates a client with the default settings for an endpoint, such as
    /// `https://contoso.communication.azure.com`, and a credential.
    ///
    /// # Examples
    ///
    /// ```
    /// use acs_identity::{AccessKey, CommunicationIdentityClient};
    ///
    /// let key: AccessKey = "c2VjcmV0".parse()?;
    /// let endpoint = "https://contoso.communication.azure.com";
    /// let client = CommunicationIdentityClient::new(endpoint, key)?;
    /// # Ok::<(), acs_identity::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if the endpoint is not valid; see also
    /// [`build`](CommunicationIdentityClientBuilder::build).
    pub fn new(endpoint: &str, credential: impl Into<Credential>) -> Result<Self, Error> {
        Self::builder(endpoint.parse()?, credential).build()
    }

    /// Creates a builder, to change the default settings.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use acs_identity::{AccessKey, CommunicationIdentityClient};
    ///
    /// let key: AccessKey = "c2VjcmV0".parse()?;
    /// let endpoint = "https://contoso.communication.azure.com".parse()?;
    /// let client = CommunicationIdentityClient::builder(endpoint, key)
    ///     .timeout(Duration::from_secs(5))
    ///     .build()?;
    /// # Ok::<(), acs_identity::Error>(())
    /// ```
    pub fn builder(
        endpoint: Endpoint,
        credential: impl Into<Credential>,
    ) -> CommunicationIdentityClientBuilder {
        CommunicationIdentityClientBuilder::new(endpoint, credential.into())
    }

    /// Creates a builder from a connection string, to change the default settings.
    ///
    /// # Examples
    ///
    /// ```
    /// use acs_identity::{CommunicationIdentityClient, RetryPolicy};
    ///
    /// # let text = "endpoint=https://contoso.communication.azure.com/;accesskey=c2VjcmV0";
    /// let client = CommunicationIdentityClient::builder_from_connection_string(text)?
    ///     .retry_policy(RetryPolicy::none())
    ///     .build()?;
    /// # Ok::<(), acs_identity::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if the string is not a valid connection
    /// string.
    pub fn builder_from_connection_string(
        connection_string: &str,
    ) -> Result<CommunicationIdentityClientBuilder, Error> {
        let (endpoint, access_key) = connection_string.parse::<ConnectionString>()?.into_parts();
        Ok(Self::builder(endpoint, access_key))
    }

    /// Returns the endpoint of the resource.
    pub fn endpoint(&self) -> &Endpoint {
        &self.core.endpoint
    }

    /// Returns the clock skew that this client corrects, in seconds: positive if the service is ahead
    /// of this machine, 0 if no correction was needed so far.
    ///
    /// See [`CommunicationIdentityClientBuilder::clock_correction`].
    pub fn clock_offset_seconds(&self) -> i64 {
        self.core.clock_offset()
    }

    /// Replaces the credential of this client and all its clones. Calls in progress finish with the
    /// old one.
    ///
    /// To rotate keys without an outage, switch to the resource's other key, then regenerate the first.
    /// **Regenerating a key in Azure revokes the tokens that were issued with it.**
    ///
    /// # Examples
    ///
    /// ```
    /// # use acs_identity::{AccessKey, CommunicationIdentityClient, emulator::Emulator};
    /// # let emulator = Emulator::start()?;
    /// # let other_key: AccessKey = emulator.access_key().parse()?;
    /// let outdated: AccessKey = "b3V0ZGF0ZWQ=".parse()?;
    /// let client = CommunicationIdentityClient::new(&emulator.endpoint(), outdated)?;
    /// let clone = client.clone();
    /// assert_eq!(clone.create_user().unwrap_err().status(), Some(401));
    ///
    /// client.replace_credential(other_key);
    /// assert!(clone.create_user().is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "update_key")]
    pub fn replace_credential(&self, credential: impl Into<Credential>) {
        self.core.replace_credential(credential.into());
    }

    /// Returns a client that reports each of its calls to a function, and shares everything else with
    /// this one.
    ///
    /// The function runs on the caller's thread after every call, including failed calls, except those
    /// rejected for invalid arguments. It replaces an earlier observer. It must not panic: the call's
    /// result would be lost. It must not ask a [`TokenSource`](crate::TokenSource) of this client for a
    /// token: it would deadlock until the client's deadline.
    ///
    /// # Examples
    ///
    /// ```
    /// # use acs_identity::{CommunicationIdentityClient, emulator::Emulator};
    /// # let emulator = Emulator::start()?;
    /// # let client = CommunicationIdentityClient::from_connection_string(&emulator.connection_string())?;
    /// let client = client.observed(|call| {
    ///     eprintln!("{}: {} attempts in {:?}", call.operation(), call.attempts(), call.elapsed());
    /// });
    /// client.create_user()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    #[doc(alias = "raw_response_hook")]
    #[doc(alias = "on_response")]
    pub fn observed(&self, observer: impl Fn(&CallReport) + Send + Sync + 'static) -> Self {
        Self { observer: Some(Arc::new(observer)), ..self.clone() }
    }

    /// Returns a client that reports each retry to a function before the backoff, and shares everything
    /// else with this one.
    ///
    /// The function receives the error of the failed attempt and the delay until the next attempt, on the
    /// caller's thread. If the deadline passes meanwhile, the call fails instead. What holds for the
    /// function of [`observed`](Self::observed) holds for this one.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # use acs_identity::CommunicationIdentityClient;
    /// # use acs_identity::emulator::{Emulator, Fault};
    /// # let emulator = Emulator::start()?;
    /// # emulator.inject(Fault::respond(429));
    /// # let client = CommunicationIdentityClient::from_connection_string(&emulator.connection_string())?;
    /// let client = client.on_retry(|error, delay| eprintln!("{error}; next attempt in {delay:?}"));
    /// client.create_user()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn on_retry(&self, observer: impl Fn(&Error, Duration) + Send + Sync + 'static) -> Self {
        Self { on_retry: Some(Arc::new(observer)), ..self.clone() }
    }

    /// Returns the environment variable that names the proxy in effect, such as `HTTPS_PROXY`.
    ///
    /// `None` without a proxy, or if it comes from your own [agent](CommunicationIdentityClientBuilder::agent).
    pub fn proxy_variable(&self) -> Option<&'static str> {
        self.core.transport.proxy_variable()
    }

    fn call<T>(
        &self,
        operation: &Operation,
        decode: impl Fn(&Response) -> Result<T, String>,
    ) -> Result<T, Error> {
        let mut call = Call::new(&self.core, operation, self.on_retry.as_deref());
        let result = call.run(decode);
        if let Some(observer) = &self.observer {
            observer(&CallReport { error: result.as_ref().err().cloned(), ..call.report() });
        }
        result
    }
}

impl fmt::Debug for CommunicationIdentityClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommunicationIdentityClient")
            .field("endpoint", &self.core.endpoint)
            .field("api_version", &self.core.api_version)
            .finish_non_exhaustive()
    }
}

// Agents, clocks and observers do not declare it. A lock that a panic poisoned is taken all the same:
// every holder leaves complete values behind.
impl UnwindSafe for CommunicationIdentityClient {}
impl RefUnwindSafe for CommunicationIdentityClient {}
