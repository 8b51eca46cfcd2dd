//! The operations, as methods of the client.

use std::sync::Arc;

use crate::client::CommunicationIdentityClient;
use crate::client::token_source::TokenSource;
use crate::error::Error;
use crate::http::decode;
use crate::operation::Operation;
use crate::token::{AccessToken, TokenRequest};
use crate::user::{CommunicationUserDetails, CommunicationUserIdentifier};

impl CommunicationIdentityClient {
    /// Creates a user (`POST /identities`).
    ///
    /// # Examples
    ///
    /// ```
    /// # use acs_identity::{CommunicationIdentityClient, emulator::Emulator};
    /// # let emulator = Emulator::start()?;
    /// # let client = CommunicationIdentityClient::from_connection_string(&emulator.connection_string())?;
    /// match client.create_user() {
    ///     Ok(user) => println!("created {user}"),
    ///     Err(error) if error.is_in_doubt() => eprintln!("a user may exist: {error}"),
    ///     Err(error) => eprintln!("no user was created: {error}"),
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Any [kind](crate::ErrorKind). If [`Error::is_in_doubt`], an orphaned user may exist whose id
    /// nobody knows. If the response contained the id of a new user, [`Error::created_user_id`] returns
    /// it.
    pub fn create_user(&self) -> Result<CommunicationUserIdentifier, Error> {
        self.call(&Operation::create_user(), decode::user)
    }

    /// Creates a user and issues a token for it in one request (`POST /identities`).
    ///
    /// # Examples
    ///
    /// ```
    /// # use acs_identity::{CommunicationIdentityClient, emulator::Emulator};
    /// # let emulator = Emulator::start()?;
    /// # let client = CommunicationIdentityClient::from_connection_string(&emulator.connection_string())?;
    /// let (user, token) = client.create_user_and_token(["voip.join"])?;
    /// println!("{user} may join calls until {}", token.expires_on_text());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `InvalidInput`, before anything is sent, if the [token request](TokenRequest) is not valid.
    /// Otherwise as [`create_user`](Self::create_user): if the user was created but its token is missing
    /// or unreadable, [`Error::created_user_id`] returns the user's id.
    #[doc(alias = "create_user_with_token")]
    pub fn create_user_and_token(
        &self,
        request: impl Into<TokenRequest>,
    ) -> Result<(CommunicationUserIdentifier, AccessToken), Error> {
        let operation = Operation::create_user_and_token(&request.into())?;
        self.call(&operation, decode::user_and_token)
    }

    /// Issues a token for a user (`POST /identities/{id}/:issueAccessToken`).
    ///
    /// Tokens issued earlier stay valid.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use acs_identity::{CommunicationIdentityClient, TokenRequest, emulator::Emulator};
    /// # let emulator = Emulator::start()?;
    /// # let client = CommunicationIdentityClient::from_connection_string(&emulator.connection_string())?;
    /// let user = client.create_user()?;
    /// let token = client.issue_token(&user, ["chat", "voip"])?;
    ///
    /// let request = TokenRequest::new(["chat"]).expires_in(Duration::from_secs(90 * 60));
    /// let shorter = client.issue_token(&user, request)?;
    /// assert!(shorter.expires_on() < token.expires_on());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `InvalidInput`, before anything is sent, if the [token request](TokenRequest) is not valid.
    /// `Service` with the code `IdentityNotOwned` if the user belongs to another resource, was deleted or
    /// never existed. Otherwise any [kind](crate::ErrorKind).
    #[doc(alias = "get_token")]
    pub fn issue_token(
        &self,
        user: &CommunicationUserIdentifier,
        request: impl Into<TokenRequest>,
    ) -> Result<AccessToken, Error> {
        let operation = Operation::issue_token(user, &request.into())?;
        self.call(&operation, decode::token)
    }

    /// Revokes all tokens of a user (`POST /identities/{id}/:revokeAccessTokens`).
    ///
    /// Other services may accept a revoked token for up to 15 minutes.
    ///
    /// # Examples
    ///
    /// ```
    /// # use acs_identity::{CommunicationIdentityClient, emulator::Emulator};
    /// # let emulator = Emulator::start()?;
    /// # let client = CommunicationIdentityClient::from_connection_string(&emulator.connection_string())?;
    /// let (user, token) = client.create_user_and_token(["chat"])?;
    /// client.revoke_tokens(&user)?;
    /// assert!(!emulator.is_token_valid(token.token()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `Service` with the code `IdentityNotOwned` if the user belongs to another resource, was deleted or
    /// never existed. Otherwise any [kind](crate::ErrorKind).
    #[doc(alias = "revoke_access_tokens")]
    pub fn revoke_tokens(&self, user: &CommunicationUserIdentifier) -> Result<(), Error> {
        self.call(&Operation::revoke_tokens(user), |_| Ok(()))
    }

    /// Deletes a user and revokes its tokens (`DELETE /identities/{id}`).
    ///
    /// Succeeds if a retry finds no such user and an earlier attempt of the same call may have deleted
    /// it. A user that was missing from the start is an error.
    ///
    /// # Examples
    ///
    /// ```
    /// # use acs_identity::{CommunicationIdentityClient, emulator::Emulator};
    /// # let emulator = Emulator::start()?;
    /// # let client = CommunicationIdentityClient::from_connection_string(&emulator.connection_string())?;
    /// let user = client.create_user()?;
    /// client.delete_user(&user)?;
    /// assert_eq!(client.delete_user(&user).unwrap_err().code(), Some("IdentityNotOwned"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `Service` with the code `IdentityNotOwned` if the user belongs to another resource, was deleted or
    /// never existed. Otherwise any [kind](crate::ErrorKind).
    pub fn delete_user(&self, user: &CommunicationUserIdentifier) -> Result<(), Error> {
        self.call(&Operation::delete_user(user), |_| Ok(()))
    }

    /// Exchanges a Teams user's Entra token for an access token
    /// (`POST /teamsUser/:exchangeAccessToken`).
    ///
    /// Takes the Entra token, the id of the Entra application that it was issued to, and the user's
    /// Entra object id. The access token expires when the Entra token does.
    ///
    /// # Examples
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
    /// `InvalidInput`, before anything is sent, if an argument is blank or the request's body would
    /// exceed 16 KiB. `Service` with the code `InvalidAccessToken` if the Entra token has expired or is
    /// malformed; with the code `ValidationError` and the target `appId` or `userId` if it was issued
    /// to another application or user. Otherwise any [kind](crate::ErrorKind).
    #[doc(alias = "get_token_for_teams_user")]
    pub fn exchange_teams_user_token(
        &self,
        teams_token: &str,
        client_id: &str,
        user_object_id: &str,
    ) -> Result<AccessToken, Error> {
        let operation =
            Operation::exchange_teams_user_token(teams_token, client_id, user_object_id)?;
        self.call(&operation, decode::token)
    }

    /// Creates a user with a custom id, or returns the user that already has it (preview).
    ///
    /// Requires [`ApiVersion::V2025_03_02_PREVIEW`](crate::ApiVersion::V2025_03_02_PREVIEW); see
    /// [`api_version`](crate::CommunicationIdentityClientBuilder::api_version). The service accepts ids
    /// of 1 to 256 characters. Since the same custom id gives the same user, an attempt that fails in
    /// doubt is repeated, unlike one of [`create_user`](Self::create_user).
    ///
    /// # Examples
    ///
    /// ```
    /// # use acs_identity::{ApiVersion, CommunicationIdentityClient, emulator::Emulator};
    /// # let emulator = Emulator::start()?;
    /// # let text = emulator.connection_string();
    /// let client = CommunicationIdentityClient::builder_from_connection_string(&text)?
    ///     .api_version(ApiVersion::V2025_03_02_PREVIEW)
    ///     .build()?;
    /// let alice = client.create_user_with_custom_id("alice@example.com")?;
    /// assert_eq!(alice.last_token_issued_at(), None);
    /// assert_eq!(client.create_user_with_custom_id("alice@example.com")?, alice);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `InvalidInput`, before anything is sent, if the id is blank, the request's body would exceed
    /// 16 KiB, or the client uses another api-version. Otherwise any [kind](crate::ErrorKind).
    pub fn create_user_with_custom_id(
        &self,
        custom_id: &str,
    ) -> Result<CommunicationUserDetails, Error> {
        self.core.api_version.require_custom_ids()?;
        self.call(&Operation::create_user_with_custom_id(custom_id)?, decode::details)
    }

    /// Creates a user with a custom id, or finds the user that already has it, and issues a token for
    /// it in one request (preview).
    ///
    /// See [`create_user_with_custom_id`](Self::create_user_with_custom_id).
    ///
    /// # Examples
    ///
    /// ```
    /// # use acs_identity::{ApiVersion, CommunicationIdentityClient, emulator::Emulator};
    /// # let emulator = Emulator::start()?;
    /// # let text = emulator.connection_string();
    /// let client = CommunicationIdentityClient::builder_from_connection_string(&text)?
    ///     .api_version(ApiVersion::V2025_03_02_PREVIEW)
    ///     .build()?;
    /// let (alice, token) =
    ///     client.create_user_and_token_with_custom_id("alice@example.com", ["chat"])?;
    /// assert!(alice.last_token_issued_at().is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `InvalidInput`, before anything is sent, if the id is blank, the [token request](TokenRequest)
    /// is not valid, or the client uses another api-version. Otherwise any [kind](crate::ErrorKind).
    pub fn create_user_and_token_with_custom_id(
        &self,
        custom_id: &str,
        request: impl Into<TokenRequest>,
    ) -> Result<(CommunicationUserDetails, AccessToken), Error> {
        self.core.api_version.require_custom_ids()?;
        let operation =
            Operation::create_user_and_token_with_custom_id(custom_id, &request.into())?;
        self.call(&operation, decode::details_and_token)
    }

    /// Reads a user's custom id and when its last token was issued (`GET /identities/{id}`, preview).
    ///
    /// Requires [`ApiVersion::V2025_03_02_PREVIEW`](crate::ApiVersion::V2025_03_02_PREVIEW).
    ///
    /// # Examples
    ///
    /// ```
    /// # use acs_identity::{ApiVersion, CommunicationIdentityClient, emulator::Emulator};
    /// # let emulator = Emulator::start()?;
    /// # let text = emulator.connection_string();
    /// let client = CommunicationIdentityClient::builder_from_connection_string(&text)?
    ///     .api_version(ApiVersion::V2025_03_02_PREVIEW)
    ///     .build()?;
    /// let user = client.create_user()?;
    /// assert_eq!(client.get_user(&user)?.custom_id(), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `InvalidInput`, before anything is sent, if the client uses another api-version. `Service` with
    /// the code `IdentityNotOwned` if the user belongs to another resource, was deleted or
    /// never existed. Otherwise
    /// any [kind](crate::ErrorKind).
    #[doc(alias = "get_user_detail")]
    pub fn get_user(
        &self,
        user: &CommunicationUserIdentifier,
    ) -> Result<CommunicationUserDetails, Error> {
        self.core.api_version.require_custom_ids()?;
        self.call(&Operation::get_user(user), decode::details)
    }

    /// Creates a token source for a user: it issues a token when first asked, and a new one shortly
    /// before that one expires.
    ///
    /// # Examples
    ///
    /// ```
    /// # use acs_identity::{CommunicationIdentityClient, emulator::Emulator};
    /// # let emulator = Emulator::start()?;
    /// # let client = CommunicationIdentityClient::from_connection_string(&emulator.connection_string())?;
    /// let user = client.create_user()?;
    /// let tokens = client.token_source(&user, ["chat"])?;
    /// println!("valid until {}", tokens.token()?.expires_on_text());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the [token request](TokenRequest) is not valid. Nothing is sent.
    pub fn token_source(
        &self,
        user: &CommunicationUserIdentifier,
        request: impl Into<TokenRequest>,
    ) -> Result<TokenSource, Error> {
        let operation = Operation::issue_token(user, &request.into())?;
        let (client, core) = (self.clone(), Arc::clone(&self.core));
        Ok(TokenSource::new(
            move || {
                let decode = |reply: &_| decode::token_valid_at(reply, client.core.service_time());
                client.call(&operation, decode)
            },
            move || core.service_time(),
            self.core.retry_policy.limit(),
        ))
    }
}
