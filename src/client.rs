//! The client: what can be asked for.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::builder::CommunicationIdentityClientBuilder;
use crate::connection_string::ConnectionString;
use crate::credential::Credential;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::operation::Operation;
use crate::pipeline::{Observer, Pipeline};
use crate::report::CallReport;
use crate::response::{Reader, Reply};
use crate::token::{AccessToken, TokenRequest};
use crate::token_source::TokenSource;
use crate::user::{CommunicationUserDetails, CommunicationUserIdentifier};

/// A blocking client for the identity service of one ACS resource.
///
/// Cheap to clone; one client can be shared by many threads, and keeps its connections. From async
/// code, call it within `spawn_blocking` or its like.
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
pub struct CommunicationIdentityClient {
    pipeline: Arc<Pipeline>,
    observer: Option<Arc<Observer>>,
}

impl CommunicationIdentityClient {
    /// A client with the default settings, for the resource that a connection string names.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if the string is not a valid connection
    /// string.
    #[doc(alias = "with_connection_string")]
    pub fn from_connection_string(connection_string: &str) -> Result<Self, Error> {
        let (endpoint, access_key) = connection_string.parse::<ConnectionString>()?.into_parts();
        Self::builder(endpoint, access_key).build()
    }

    /// A client with the default settings, for an endpoint such as
    /// `https://contoso.communication.azure.com`.
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
        CommunicationIdentityClientBuilder::new(endpoint, credential.into())
    }

    /// The endpoint that this client talks to.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.pipeline.endpoint
    }

    /// By how many seconds the service's clock was found to be ahead of this machine's; negative if
    /// behind, 0 if none was noticed.
    ///
    /// See [`CommunicationIdentityClientBuilder::clock_correction`].
    #[must_use]
    pub fn clock_offset_seconds(&self) -> i64 {
        self.pipeline.clock_offset()
    }

    /// Creates a user (`POST /identities`).
    ///
    /// # Errors
    ///
    /// Any [kind](crate::ErrorKind). After `Timeout`, `Transport` or `Response`
    /// a user may exist whose id nobody knows.
    pub fn create_user(&self) -> Result<CommunicationUserIdentifier, Error> {
        self.call(&Operation::create_user(), Reader::user)
    }

    /// Creates a user and issues a token for it, in one request.
    ///
    /// # Errors
    ///
    /// `InvalidInput`, and nothing is created, if the scopes are empty or the lifetime is not whole
    /// minutes; otherwise as [`create_user`](Self::create_user). If the user was created and the
    /// token is missing or unreadable, [`Error::created_user_id`] has the user's id.
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
    /// ```
    /// # use std::time::Duration;
    /// # use acs_identity::{CommunicationIdentityClient, TokenRequest, emulator::Emulator};
    /// # let emulator = Emulator::start()?;
    /// # let client = CommunicationIdentityClient::from_connection_string(&emulator.connection_string())?;
    /// let user = client.create_user()?;
    /// let token = client.issue_token(&user, ["chat", "voip"])?;
    ///
    /// let ninety_minutes = TokenRequest::new(["chat"]).expires_in(Duration::from_secs(90 * 60));
    /// let shorter = client.issue_token(&user, ninety_minutes)?;
    /// assert!(shorter.expires_on() < token.expires_on());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `InvalidInput`, and nothing is sent, if the scopes are empty or the lifetime is not whole
    /// minutes. `Service` with the code `IdentityNotOwned` if the user is another resource's or was
    /// deleted. Otherwise any [kind](crate::ErrorKind).
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
    /// `Service` with the code `IdentityNotOwned` if the user is another resource's or was deleted.
    /// Otherwise any [kind](crate::ErrorKind).
    #[doc(alias = "revoke_access_tokens")]
    pub fn revoke_tokens(&self, user: &CommunicationUserIdentifier) -> Result<(), Error> {
        self.call(&Operation::revoke_tokens(user), Reader::nothing)
    }

    /// Deletes a user and revokes its tokens (`DELETE /identities/{id}`).
    ///
    /// # Errors
    ///
    /// `Service` with the code `IdentityNotOwned` if the user is another resource's or was deleted.
    /// Otherwise any [kind](crate::ErrorKind).
    pub fn delete_user(&self, user: &CommunicationUserIdentifier) -> Result<(), Error> {
        self.call(&Operation::delete_user(user), Reader::nothing)
    }

    /// Exchanges a Teams user's Entra token (`POST /teamsUser/:exchangeAccessToken`).
    ///
    /// Takes the user's Entra token, the id of the Entra application that it was issued to, and the
    /// user's object id. The token that comes back expires with the one that was given.
    ///
    /// ```
    /// # use acs_identity::{CommunicationIdentityClient, emulator::Emulator};
    /// # let emulator = Emulator::start()?;
    /// # let client = CommunicationIdentityClient::from_connection_string(&emulator.connection_string())?;
    /// # let teams_token = "eyJ0eXAi.teams";
    /// let (client_id, user_object_id) =
    ///     ("11111111-2222-3333-4444-555555555555", "66666666-7777-8888-9999-000000000000");
    /// # emulator.accept_teams_token(teams_token, client_id, user_object_id);
    /// let token = client.exchange_teams_user_token(teams_token, client_id, user_object_id)?;
    /// println!("valid until {}", token.expires_on_text());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `InvalidInput`, and nothing is sent, if an argument is empty. `Service` with the code
    /// `InvalidAccessToken` if the Entra token has expired or is none; with the code
    /// `ValidationError` and the target `appId` or `userId` if it is another application's or
    /// user's. Otherwise any [kind](crate::ErrorKind).
    #[doc(alias = "get_token_for_teams_user")]
    pub fn exchange_teams_user_token(
        &self,
        teams_token: &str,
        client_id: &str,
        user_object_id: &str,
    ) -> Result<AccessToken, Error> {
        let operation =
            Operation::exchange_teams_user_token(teams_token, client_id, user_object_id)?;
        self.call(&operation, Reader::token)
    }

    /// Creates a user under an id of your own, or finds the one that has it (in preview).
    ///
    /// Only [`ApiVersion::V2025_03_02_PREVIEW`](crate::ApiVersion::V2025_03_02_PREVIEW) has it, see
    /// [`api_version`](CommunicationIdentityClientBuilder::api_version). Unlike
    /// [`create_user`](Self::create_user), it is repeated when it fails in doubt: the same custom
    /// id gives the same user.
    ///
    /// ```
    /// # use acs_identity::{ApiVersion, CommunicationIdentityClient, ConnectionString, emulator::Emulator};
    /// # let emulator = Emulator::start()?;
    /// # let (endpoint, key) = emulator.connection_string().parse::<ConnectionString>()?.into_parts();
    /// let client = CommunicationIdentityClient::builder(endpoint, key)
    ///     .api_version(ApiVersion::V2025_03_02_PREVIEW)
    ///     .build()?;
    /// let user = client.create_user_with_custom_id("alice@example.com")?;
    /// assert_eq!(client.create_user_with_custom_id("alice@example.com")?, user);
    ///
    /// let details = client.get_user(&user)?;
    /// assert_eq!(details.custom_id(), Some("alice@example.com"));
    /// assert_eq!(details.last_token_issued_at(), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `InvalidInput`, and nothing is sent, if the id is empty or the client's api-version is another
    /// one. Otherwise any [kind](crate::ErrorKind).
    pub fn create_user_with_custom_id(
        &self,
        custom_id: &str,
    ) -> Result<CommunicationUserIdentifier, Error> {
        self.pipeline.api_version.require_custom_ids()?;
        self.call(&Operation::create_user_with_custom_id(custom_id)?, Reader::user)
    }

    /// Reads what the service knows of a user (`GET /identities/{id}`, in preview).
    ///
    /// Only [`ApiVersion::V2025_03_02_PREVIEW`](crate::ApiVersion::V2025_03_02_PREVIEW) has it; see
    /// [`create_user_with_custom_id`](Self::create_user_with_custom_id) for an example.
    ///
    /// # Errors
    ///
    /// `InvalidInput`, and nothing is sent, if the client's api-version is another one.
    /// `Service` with the code `IdentityNotOwned` if the user is another resource's or was deleted.
    /// Otherwise any [kind](crate::ErrorKind).
    #[doc(alias = "get_user_detail")]
    pub fn get_user(
        &self,
        user: &CommunicationUserIdentifier,
    ) -> Result<CommunicationUserDetails, Error> {
        self.pipeline.api_version.require_custom_ids()?;
        self.call(&Operation::get_user(user), Reader::user_details)
    }

    /// A source of tokens for a user that issues a new one shortly before the last one expires.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the scopes are empty or the lifetime is not whole minutes. Nothing is
    /// sent.
    pub fn token_source(
        &self,
        user: &CommunicationUserIdentifier,
        request: impl Into<TokenRequest>,
    ) -> Result<TokenSource, Error> {
        let operation = Operation::issue_token(user, &request.into())?;
        let (client, pipeline) = (self.clone(), Arc::clone(&self.pipeline));
        Ok(TokenSource::new(
            move || client.call(&operation, Reader::token),
            move || pipeline.service_time(),
            self.pipeline.retry_policy.remaining(Duration::ZERO),
        ))
    }

    /// Replaces the credential, for this client and all its clones; calls under way finish with the
    /// old one.
    ///
    /// To rotate keys without a gap: replace the one in use by the resource's other key, then
    /// regenerate the first. **Regenerating a key in Azure revokes every token that was issued with
    /// it.**
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
        self.pipeline.replace_credential(credential.into());
    }

    /// A client that shares everything with this one and tells a function how each of its calls
    /// went.
    ///
    /// The function is called on the caller's thread after every call, failed ones included, but
    /// for those whose arguments were refused. It must not panic, which would lose the result, nor
    /// ask a [`TokenSource`] of this client for a token.
    ///
    /// ```
    /// # use acs_identity::{CommunicationIdentityClient, emulator::Emulator};
    /// # let emulator = Emulator::start()?;
    /// # let client = CommunicationIdentityClient::from_connection_string(&emulator.connection_string())?;
    /// let client = client.observed(|call| {
    ///     eprintln!("{} took {:?}, ms-cv {:?}", call.operation(), call.elapsed(), call.ms_cv());
    /// });
    /// client.create_user()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    #[doc(alias = "raw_response_hook")]
    #[doc(alias = "on_response")]
    pub fn observed(&self, observer: impl Fn(&CallReport) + Send + Sync + 'static) -> Self {
        Self { pipeline: Arc::clone(&self.pipeline), observer: Some(Arc::new(observer)) }
    }

    fn call<T>(
        &self,
        operation: &Operation,
        read: impl Fn(&Reader, Reply) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.pipeline.call(operation, read, self.observer.as_deref())
    }
}

impl fmt::Debug for CommunicationIdentityClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommunicationIdentityClient")
            .field("endpoint", &self.pipeline.endpoint)
            .field("api_version", &self.pipeline.api_version)
            .finish_non_exhaustive()
    }
}

impl CommunicationIdentityClientBuilder {
    /// Builds the client. Nothing is sent.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if the api-version or the application id
    /// has characters that cannot be sent, if a timeout is zero, or if the endpoint is https and
    /// the crate was built without a TLS feature.
    pub fn build(self) -> Result<CommunicationIdentityClient, Error> {
        let pipeline = Arc::new(self.pipeline()?);
        Ok(CommunicationIdentityClient { pipeline, observer: None })
    }
}
