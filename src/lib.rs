//! A small blocking client for the identity service of Azure Communication Services (ACS).
//!
//! ```
//! use acs_identity::CommunicationIdentityClient;
//! use acs_identity::emulator::Emulator;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A local service; with a resource of your own, take its connection string from the portal's Keys page.
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
//! | revoke all tokens of a user | [`revoke_tokens`](CommunicationIdentityClient::revoke_tokens) |
//! | delete a user | [`delete_user`](CommunicationIdentityClient::delete_user) |
//!
//! # Getting a client
//!
//! [`CommunicationIdentityClient::from_connection_string`] takes what the portal shows, [`CommunicationIdentityClient::new`] an endpoint and an
//! [`AccessKey`]; everything else is on the [builder](CommunicationIdentityClient::builder). One client serves all threads of a program and keeps its
//! connections: make one and clone it. The library reads no environment variables but those that name a proxy.
//!
//! # Errors
//!
//! Every failure is an [`Error`], and [`Error::kind`] says what to do:
//!
//! - [`InvalidInput`](ErrorKind::InvalidInput): correct the input; nothing was sent.
//! - [`Connection`](ErrorKind::Connection): check endpoint, network and proxy; nothing was sent.
//! - [`Timeout`](ErrorKind::Timeout), [`Transport`](ErrorKind::Transport): the service may or may not have done what was asked. Issuing, revoking and
//!   deleting can be repeated; creating again may leave a user behind whose id nobody knows.
//! - [`Service`](ErrorKind::Service): the service refused, see [`Error::status`] and [`Error::code`]. A 401 `IdentityNotOwned` is about the user's id, not about the key.
//! - [`Response`](ErrorKind::Response): the service did it, but its answer was unreadable. If a user was created, [`Error::created_user_id`] has its id.
//!
//! # Secrets
//!
//! Keys, tokens and connection strings are in no error, no `Debug` output and no log line of this crate. A key is decoded once and kept only as keyed
//! HMAC state, which is wiped on drop. Redirects are not followed, so a signature never leaves for another host.
//!
//! # Testing your code
//!
//! With the feature `emulator`, the [`emulator`] module is a local service that checks signatures, answers like the real one and fails on order.
//!
//! # Features
//!
//! - `rustls` (default): TLS by rustls and ring, with Mozilla's roots compiled in.
//! - `platform-verifier`: rustls, with the certificates that the operating system trusts.
//! - `native-tls`: TLS by the system's library; used when `rustls` is off.
//! - `emulator`: the local service; adds no dependency.
//!
//! Without any TLS feature the crate builds, and talks to loopback hosts only.

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
mod authentication;
mod builder;
mod cache;
mod client;
mod clock;
mod connection_string;
mod credential;
mod endpoint;
mod error;
mod identifier;
mod operation;
mod pipeline;
mod report;
mod response;
mod retry;
mod signing;
mod timestamp;
mod token;
mod token_source;
mod transport;
mod user;

#[cfg(feature = "emulator")]
pub mod emulator;

pub use api_version::ApiVersion;
pub use builder::CommunicationIdentityClientBuilder;
pub use client::CommunicationIdentityClient;
pub use connection_string::ConnectionString;
pub use credential::{AccessKey, BearerToken, Credential, TokenCredential};
pub use endpoint::Endpoint;
pub use error::{Error, ErrorKind};
pub use identifier::{CommunicationCloud, CommunicationIdentifier};
pub use report::CallReport;
pub use retry::RetryPolicy;
pub use signing::{RequestToSign, SignedHeaders};
pub use token::{AccessToken, TokenRequest, TokenScope};
pub use token_source::TokenSource;
pub use user::{CommunicationUserDetails, CommunicationUserIdentifier};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
