//! A small blocking client for the identity service of Azure Communication Services (ACS).
//!
//! ```
//! use acs_identity::CommunicationIdentityClient;
//! use acs_identity::emulator::Emulator;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A local service; for a resource of yours: its connection string, from the portal's Keys page.
//! let emulator = Emulator::start()?;
//! let client = CommunicationIdentityClient::from_connection_string(&emulator.connection_string())?;
//!
//! let user = client.create_user()?;
//! let token = client.issue_token(&user, ["voip"])?;
//! println!("{} may call until {}", user.identifier(), token.expires_on_text());
//!
//! client.revoke_tokens(&user)?;
//! client.delete_user(&user)?;
//! # Ok(())
//! # }
//! ```
//!
//! # Operations
//!
//! | to | call |
//! |---|---|
//! | create a user | [`create_user`](CommunicationIdentityClient::create_user) |
//! | create a user with a token | [`create_user_and_token`](CommunicationIdentityClient::create_user_and_token) |
//! | issue a token | [`issue_token`](CommunicationIdentityClient::issue_token) |
//! | have a token that is always fresh | [`token_source`](CommunicationIdentityClient::token_source) |
//! | revoke all tokens of a user | [`revoke_tokens`](CommunicationIdentityClient::revoke_tokens) |
//! | delete a user | [`delete_user`](CommunicationIdentityClient::delete_user) |
//! | exchange a Teams user's token | [`exchange_teams_user_token`](CommunicationIdentityClient::exchange_teams_user_token) |
//! | create a user under an id of your own (preview) | [`create_user_with_custom_id`](CommunicationIdentityClient::create_user_with_custom_id) |
//! | read a user back (preview) | [`get_user`](CommunicationIdentityClient::get_user) |
//!
//! Coming from the Python SDK? [Each call side by side](guide::from_python).
//!
//! # Getting a client
//!
//! [`CommunicationIdentityClient::from_connection_string`] takes what the portal shows,
//! [`CommunicationIdentityClient::new`] an endpoint and an [`AccessKey`], or a [`Credential`] that
//! brings [tokens of Entra ID](guide::entra). Everything else is on the
//! [builder](CommunicationIdentityClient::builder): timeouts, retries, api-version, an agent with TLS
//! roots and a proxy of your own. One client serves all threads of a program and keeps its
//! connections: make one and clone it. The library reads no environment variables but those that
//! name a proxy.
//!
//! # Errors, retries, deadlines
//!
//! Every failure is an [`Error`]; [`Error::kind`] says what happened, and its text what to do about
//! it: see [the page on errors](guide::errors). What can be repeated without harm is repeated, up
//! to three times and for at most 100 seconds; a create is repeated only if it surely was not
//! processed: see
//! [the page on retries](guide::retries).
//!
//! # Secrets
//!
//! Keys, tokens and connection strings are in no error, no `Debug` output and no log line of this
//! crate: see [the page on secrets](guide::secrets).
//!
//! # Testing your code
//!
//! With the feature `emulator`, the [`emulator`] module is a local service that checks signatures,
//! answers like the real one and fails on order: see [the page on testing](guide::testing).
//!
//! # Features
//!
//! | feature | what it does |
//! |---|---|
//! | `rustls` (default) | TLS by rustls and ring, with Mozilla's root certificates compiled in |
//! | `platform-verifier` | rustls, with the certificates that the operating system trusts |
//! | `native-tls` | TLS by the system's library; used when `rustls` is off |
//! | `emulator` | the local service; adds no crate: ureq brings what it needs |
//!
//! Without any TLS feature the crate builds, and talks to loopback hosts only, unless an agent of
//! yours brings TLS. The minimum supported Rust version is 1.88; raising it is no breaking change.
//!
//! # What this crate does not do
//!
//! Chat, calling, SMS and e-mail are other services; [`AccessKey::sign`] signs requests to them.
//! The service cannot list its users, so neither can this crate: keep the ids. There is no async
//! interface: call it within `spawn_blocking` or its like.
//!
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "a test fails by panicking"
    )
)]

mod api_version;
mod auth;
mod client;
mod connection_string;
mod endpoint;
mod error;
mod http;
mod identifier;
mod operation;
mod timestamp;
mod token;
mod user;

#[cfg(feature = "emulator")]
pub mod emulator;
#[cfg(any(doc, doctest))]
pub mod guide;

/// The HTTP client that [`CommunicationIdentityClientBuilder::agent`] takes an agent of.
pub use ureq;

// The names of the official SDKs for types: rustdoc finds aliases of re-exports only here.
#[doc(alias = "CommunicationIdentityServiceVersion")]
#[doc(alias = "ServiceVersion")]
pub use api_version::ApiVersion;
#[doc(alias = "AzureKeyCredential")]
#[doc(alias = "KeyCredential")]
pub use auth::access_key::AccessKey;
pub use auth::access_key::{RequestToSign, SignedHeaders};
pub use auth::bearer::{BearerToken, Credential, TokenCredential};
pub use client::CommunicationIdentityClient;
pub use client::builder::CommunicationIdentityClientBuilder;
pub use client::report::CallReport;
#[doc(alias = "RetryOptions")]
pub use client::retry::RetryPolicy;
#[doc(alias = "AzureCommunicationTokenCredential")]
#[doc(alias = "CommunicationTokenCredential")]
pub use client::token_source::TokenSource;
pub use connection_string::ConnectionString;
pub use endpoint::Endpoint;
#[doc(alias = "CommunicationError")]
#[doc(alias = "HttpResponseError")]
#[doc(alias = "IdentityError")]
#[doc(alias = "RequestFailedException")]
#[doc(alias = "RestError")]
pub use error::Error;
pub use error::{ErrorDetail, ErrorKind};
pub use http::tls::Tls;
#[doc(alias = "CommunicationCloudEnvironment")]
pub use identifier::CommunicationCloud;
pub use identifier::CommunicationIdentifier;
#[doc(alias = "CommunicationAccessToken")]
#[doc(alias = "CommunicationUserToken")]
pub use token::AccessToken;
pub use token::TokenRequest;
#[doc(alias = "CommunicationTokenScope")]
pub use token::TokenScope;
#[doc(alias = "CommunicationUserDetail")]
pub use user::CommunicationUserDetails;
#[doc(alias = "CommunicationUser")]
pub use user::CommunicationUserIdentifier;
