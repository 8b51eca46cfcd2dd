//! The operations, each one method of the client.
//!
//! They follow the REST reference, <https://learn.microsoft.com/rest/api/communication/identity>.

use std::collections::BTreeMap;

use ureq::http::Method;

use crate::client::CommunicationIdentityClient;
use crate::client::token_source::TokenSource;
use crate::error::Error;
use crate::http::members;
use crate::operation::{Operation, json_body, user_path};
use crate::token::{AccessToken, TokenRequest};
use crate::user::CommunicationUserIdentifier;

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
    /// Any [kind](crate::ErrorKind). If [`Error::is_in_doubt`], a user may have been created, and its id
    /// is unknown. If the id of a new user could be read from the response, [`Error::created_user_id`] returns
    /// it.
    pub fn create_user(&self) -> Result<CommunicationUserIdentifier, Error> {
        let operation = Operation {
            name: "create_user",
            method: Method::POST,
            path: "/identities".to_owned(),
            // The service also accepts no body. With one, the transport can tell whether the request was
            // sent.
            body: b"{}".to_vec(),
            success: 201,
        };
        self.call(&operation, members::user)
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
        let operation = Operation {
            name: "create_user_and_token",
            method: Method::POST,
            path: "/identities".to_owned(),
            body: json_body(&request.into().to_body("createTokenWithScopes")?)?,
            success: 201,
        };
        self.call(&operation, members::user_and_token)
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
        self.call(&issue_token(user, &request.into())?, members::token)
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
        let operation = Operation {
            name: "revoke_tokens",
            method: Method::POST,
            path: user_path(user, "/:revokeAccessTokens"),
            body: Vec::new(),
            success: 204,
        };
        self.call(&operation, |_| Ok(()))
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
        let operation = Operation {
            name: "delete_user",
            method: Method::DELETE,
            path: user_path(user, ""),
            body: Vec::new(),
            success: 204,
        };
        self.call(&operation, |_| Ok(()))
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
        let arguments = [
            ("teams_token", teams_token),
            ("client_id", client_id),
            ("user_object_id", user_object_id),
        ];
        if let Some((name, _)) = arguments.iter().find(|(_, value)| value.trim().is_empty()) {
            return Err(Error::invalid_input(format!(
                "{name} is empty: expected the Entra token of a Teams user, the application's id and the user's object id"
            )));
        }
        let body = BTreeMap::from([
            ("token", teams_token),
            ("appId", client_id),
            ("userId", user_object_id),
        ]);
        let operation = Operation {
            name: "exchange_teams_user_token",
            method: Method::POST,
            path: "/teamsUser/:exchangeAccessToken".to_owned(),
            body: json_body(&body)?,
            success: 200,
        };
        self.call(&operation, members::token)
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
        Ok(TokenSource::new(self.clone(), issue_token(user, &request.into())?))
    }
}

fn issue_token(
    user: &CommunicationUserIdentifier,
    request: &TokenRequest,
) -> Result<Operation, Error> {
    Ok(Operation {
        name: "issue_token",
        method: Method::POST,
        path: user_path(user, "/:issueAccessToken"),
        body: json_body(&request.to_body("scopes")?)?,
        success: 200,
    })
}
