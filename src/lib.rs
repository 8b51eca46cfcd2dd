//! A small blocking client for the identity service of Azure Communication Services (ACS).
//!
//! It creates users, issues access tokens for calling and chat, revokes tokens and deletes users.
//!
//! ```no_run
//! use acs_identity::CommunicationIdentityClient;
//!
//! fn main() -> Result<(), acs_identity::Error> {
//!     // Reads COMMUNICATION_SERVICES_CONNECTION_STRING; see the portal's Keys page.
//!     let client = CommunicationIdentityClient::from_env()?;
//!
//!     let user = client.create_user()?;
//!     let token = client.issue_token(&user, ["voip"])?;
//!     println!("{user} may call until {}", token.expires_on_text());
//!
//!     client.revoke_tokens(&user)?;
//!     client.delete_user(&user)
//! }
//! ```
//!
//! # Operations
//!
//! - [`create_user`](CommunicationIdentityClient::create_user) creates a user.
//! - [`create_user_and_token`](CommunicationIdentityClient::create_user_and_token) creates a user with a token.
//! - [`issue_token`](CommunicationIdentityClient::issue_token) issues a token.
//! - [`token_source`](CommunicationIdentityClient::token_source) returns a token that renews itself.
//! - [`revoke_tokens`](CommunicationIdentityClient::revoke_tokens) revokes all tokens of a user.
//! - [`delete_user`](CommunicationIdentityClient::delete_user) deletes a user.
//! - [`exchange_teams_user_token`](CommunicationIdentityClient::exchange_teams_user_token) exchanges a Teams user's
//!   token.
//!
//! The [recipes](guide::recipes) combine them: a token per user in a table, deletion by file, key
//! rotation, async code. If you know an official SDK, read
//! [what is different](guide::recipes#coming-from-an-official-sdk).
//!
//! # Creating a client
//!
//! - [`from_env`](CommunicationIdentityClient::from_env) reads the connection string from the variable
//!   that Microsoft's quickstarts use.
//! - [`from_connection_string`](CommunicationIdentityClient::from_connection_string) takes the text that
//!   the portal shows.
//! - [`new`](CommunicationIdentityClient::new) takes an endpoint and an [`AccessKey`], or a
//!   [`Credential`] with bearer tokens from [Entra ID](guide::entra).
//! - The [builder](CommunicationIdentityClient::builder) sets everything else: timeouts, retries, TLS,
//!   api-version, your own agent.
//!
//! One client serves all threads of a program and keeps its connections: create one and clone it.
//!
//! # Environment
//!
//! A client for an https endpoint reads the proxy when it is built, much as curl does: from `https_proxy`
//! or `HTTPS_PROXY`, otherwise `all_proxy` or `ALL_PROXY`. An empty variable counts as unset. The hosts in
//! `no_proxy` or `NO_PROXY` are exempt: a list separated by commas or spaces, in which each name matches
//! itself and every name below it, with an optional port, and `*` matches all. A proxy without a port is at
//! 80, or at 443 if its scheme is https. Loopback hosts never use a proxy.
//!
//! With `Tls::PlatformVerifier` and `Tls::NativeTls`, `SSL_CERT_FILE` and `SSL_CERT_DIR` are honored on
//! Linux. The crate reads no other environment variables.
//!
//! # Errors, retries and deadlines
//!
//! Every failure is an [`Error`]: its [`kind`](Error::kind) is what to branch on, and its text says what
//! to do. See [errors](guide::errors) and, by symptom, [troubleshooting](guide::troubleshooting).
//!
//! Failed attempts are retried up to three times, for at most 100 seconds, when repeating is safe; every
//! attempt gets a fresh signature. Creating a user is retried only if it is known, or the response says,
//! that none was created: see [retries](guide::errors#retries).
//!
//! # Secrets
//!
//! Keys, tokens, signatures and connection strings appear in no error, no `Debug` output, no panic and no
//! log line of this crate.
//!
//! - An [`AccessKey`] is decoded when it is parsed. Only keyed HMAC state is kept, and wiped from memory on
//!   drop. Wiping the string you parsed is up to you.
//! - Untrusted text is sanitized before it goes into an error: control characters are removed, and anything
//!   with the form of a key or a token (40 characters or more of base64 or an escape, other than a user id
//!   or a plain URL) is redacted.
//!   If a server echoes a secret split into short pieces, or one shorter than that, it is not recognized and
//!   does appear in the error. The causes of errors are not sanitized: what your own closure for
//!   [bearer tokens](Credential::bearer) says, and the names in an untrusted certificate.
//! - Redirects are not followed, so neither a signature nor a token reaches another host. Plain http is for
//!   loopback hosts only.
//! - TLS keeps others from forging responses. Where it is inspected, a forged response cannot obtain the
//!   key, but a forged success is accepted, with a token or id chosen by the attacker, and a forged `Date`
//!   makes the client sign for a time up to one day away
//!   ([unless you rule that out](CommunicationIdentityClientBuilder::clock_correction)). What it can use up is
//!   limited: 24 KiB of head, 1 MiB of body, and the timeouts.
//!
//! # Testing your code
//!
//! With the feature `emulator`, the [`emulator`] module provides a local service that checks signatures,
//! responds like the real one, and fails on demand: see [testing](guide::testing).
//!
//! # Features
//!
//! Enabling a TLS feature only makes it available: select it with
//! [`tls`](CommunicationIdentityClientBuilder::tls).
//!
//! | Feature | Adds |
//! |---|---|
//! | `rustls` (default) | TLS by rustls and ring, with Mozilla's root certificates compiled in |
//! | `platform-verifier` | rustls with the certificates that the operating system trusts |
//! | `native-tls` | TLS by the system's library; the default if `rustls` is off |
//! | `emulator` | the local service, without any further crate |
//!
//! Without a TLS feature, a client talks to loopback hosts only, unless you bring an agent with TLS. The
//! minimum supported Rust version (MSRV) is 1.88. Raising it is not a breaking change.
//!
//! # Out of scope
//!
//! Chat, calling, SMS and e-mail are other services; [`AccessKey::sign`] signs requests to them. There is
//! no async interface: use `spawn_blocking` or an equivalent. The service cannot list its users, so
//! neither can this crate: store their ids.
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

mod access_key;
mod api_version;
mod auth;
mod client;
mod connection_string;
mod endpoint;
mod error;
mod http;
mod identifier;
mod operation;
mod report;
mod sanitize;
mod timestamp;
mod token;
mod user;

// In the published package nothing else enables it.
#[cfg(all(doctest, not(feature = "emulator")))]
compile_error!("the documentation's examples need the emulator: cargo test --features emulator");

#[cfg(feature = "emulator")]
pub mod emulator;
#[cfg(any(doc, doctest))]
pub mod guide;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

/// The HTTP client whose agent [`CommunicationIdentityClientBuilder::agent`] takes.
pub use ureq;

// The official SDKs' names for these types: rustdoc finds the aliases of re-exports only here.
#[doc(alias = "AzureKeyCredential")]
#[doc(alias = "KeyCredential")]
pub use access_key::AccessKey;
pub use access_key::{RequestToSign, SignedHeaders};
#[doc(alias = "CommunicationIdentityServiceVersion")]
#[doc(alias = "ServiceVersion")]
pub use api_version::ApiVersion;
pub use auth::credential::{BearerToken, Credential};
pub use client::CommunicationIdentityClient;
pub use client::builder::CommunicationIdentityClientBuilder;
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
pub use error::ErrorKind;
pub use http::tls::Tls;
#[doc(alias = "CommunicationCloudEnvironment")]
pub use identifier::CommunicationCloud;
pub use identifier::CommunicationIdentifier;
pub use report::CallReport;
#[doc(alias = "CommunicationAccessToken")]
#[doc(alias = "CommunicationUserToken")]
pub use token::AccessToken;
pub use token::TokenRequest;
#[doc(alias = "CommunicationTokenScope")]
pub use token::TokenScope;
#[doc(alias = "CommunicationUser")]
pub use user::CommunicationUserIdentifier;
