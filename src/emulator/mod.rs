//! A local identity service for tests.
//!
//! [`Emulator`] listens on a port of this machine and responds as the identity service of Azure
//! Communication Services does: the same statuses, bodies, headers and number formats. It checks
//! signatures, content hashes and dates. When it refuses one, [`RecordedRequest::refusal`] says why.
//! Any client in any language can talk to it; outside of a Rust test, run it as a program, `acs
//! emulator` of the package acs-identity-cli. The guide has [a page](crate::guide::testing) on both.
//!
//! # Examples
//!
//! ```
//! use acs_identity::emulator::Emulator;
//!
//! let emulator = Emulator::start()?;
//! // Give emulator.connection_string() to your client. This one forgets to sign.
//! let url = format!("{}/identities?api-version=2023-10-01", emulator.endpoint());
//! let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
//! let response = agent.post(&url).send_empty()?;
//!
//! assert_eq!(response.status(), 401);
//! assert_eq!(emulator.requests()[0].refusal(), Some("the Authorization header is missing"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Differences from the real service
//!
//! - Access tokens have the claims of real ones, and `jti` besides, so that no two are the same text. They
//!   are signed with HS256 under the emulator's access key.
//! - Where the service's behavior is not public, the emulator's is a choice. The source marks each
//!   with a comment that begins with `Ours:`. One that clients meet: a body whose `Content-Type` is not
//!   `application/json`, such as the `text/plain` of a tutorial, is refused with status 415.
//! - Teams extension and Entra calls are not emulated, nor are custom ids and the api-versions
//!   2020-07-20-preview1, 2021-03-31-preview1, 2025-03-02-preview and 2025-04-01-preview. 2025-03-31-preview
//!   only issues tokens: the service advertises it nowhere else.
//! - The host may be signed with or without its port, as Java's client signs it. Dates in lower case, and
//!   `SignedHeaders` in another letter case than the documented one, are refused.
//! - Revoking takes effect at once. Members of JSON objects may come in another order.
//! - All state is in memory and ends with the [`Emulator`].
//!
//! # Requests to the emulator itself
//!
//! Tests in other languages have most methods of [`Emulator`] as requests under `/emulator/`; the guide has
//! [a table](crate::guide::testing#control). They need no signature, and are neither counted nor struck by
//! faults.

use std::fmt;
use std::io;
use std::sync::MutexGuard;
use std::time::Duration;

mod builder;
mod clock;
mod connection;
mod control;
mod fault;
mod journal;
mod listener;
mod random;
mod redaction;
mod request;
mod response;
mod service;
mod state;

use listener::Listener;
use service::TeamsUser;
use state::{Live, lock};

pub use builder::EmulatorBuilder;
pub use fault::Fault;
pub use journal::RecordedRequest;
pub use request::Operation;
pub use service::IssuedToken;

/// A running identity service. Dropping it closes all connections and waits for its threads.
///
/// See the [module](self) for an example.
pub struct Emulator {
    listener: Listener,
    access_key: String,
}

impl Emulator {
    /// Starts on a free port of 127.0.0.1 with a random access key.
    ///
    /// # Errors
    ///
    /// Returns the error of the operating system if it gives no port or no thread.
    pub fn start() -> io::Result<Self> {
        Self::builder().start()
    }

    /// Begins with the settings of [`start`](Self::start).
    pub fn builder() -> EmulatorBuilder {
        EmulatorBuilder::new()
    }

    /// Returns the connection string for clients, access key included:
    /// `endpoint=http://127.0.0.1:PORT/;accesskey=BASE64`.
    #[must_use]
    pub fn connection_string(&self) -> String {
        format!("endpoint={}/;accesskey={}", self.endpoint(), self.access_key())
    }

    /// Returns the address for clients on this machine, `http://127.0.0.1:PORT`, or with `https`
    /// after [`tls`](EmulatorBuilder::tls).
    #[must_use]
    pub fn endpoint(&self) -> String {
        let scheme = if self.listener.shared.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.listener.reachable_address())
    }

    /// Returns the access key in base64.
    #[must_use]
    pub fn access_key(&self) -> &str {
        &self.access_key
    }

    /// Adds a fault behind those that are still to come.
    pub fn inject(&self, fault: Fault) {
        self.live().faults.extend([fault]);
    }

    /// Returns the faults that have not struck as often as they were asked to. One that was asked to
    /// strike forever is among them until it strikes for the first time.
    ///
    /// At the end of a test, this shows a fault that was meant for a request that never came.
    ///
    /// # Examples
    ///
    /// ```
    /// use acs_identity::emulator::{Emulator, Fault, Operation};
    ///
    /// let emulator = Emulator::start()?;
    /// emulator.inject(Fault::respond(503).on(Operation::Delete));
    /// // Nothing is deleted here.
    /// assert_eq!(emulator.pending_faults()[0].to_string(), "delete:503");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn pending_faults(&self) -> Vec<Fault> {
        self.live().faults.pending().cloned().collect()
    }

    /// Returns the requests that arrived, oldest first. The last 10,000 are kept, or fewer if their
    /// targets, headers, bodies and refusals exceed 64 MiB.
    ///
    /// A request is here before its client sees the response.
    #[must_use]
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.live().journal.records.iter().cloned().collect()
    }

    /// Returns the number of all requests that arrived.
    #[must_use]
    pub fn request_count(&self) -> u64 {
        self.live().journal.counts.values().sum()
    }

    /// Returns the number of requests for one operation that arrived, whatever the response.
    ///
    /// # Examples
    ///
    /// ```
    /// use acs_identity::CommunicationIdentityClient;
    /// use acs_identity::emulator::{Emulator, Operation};
    ///
    /// let emulator = Emulator::start()?;
    /// let client = CommunicationIdentityClient::from_connection_string(&emulator.connection_string())?;
    /// client.create_user()?;
    /// assert_eq!(emulator.operation_count(Operation::Create), 1);
    /// assert_eq!(emulator.operation_count(Operation::Issue), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn operation_count(&self, operation: Operation) -> u64 {
        self.live().journal.count(operation)
    }

    /// Returns the ids of the users that exist now, in the order of their creation.
    #[must_use]
    pub fn users(&self) -> Vec<String> {
        self.live().service.users.ids()
    }

    /// Returns the valid tokens of a user, oldest first, or `None` if there is no such user.
    ///
    /// # Examples
    ///
    /// ```
    /// use acs_identity::CommunicationIdentityClient;
    /// use acs_identity::emulator::Emulator;
    ///
    /// let emulator = Emulator::start()?;
    /// let client = CommunicationIdentityClient::from_connection_string(&emulator.connection_string())?;
    /// let (user, token) = client.create_user_and_token(["chat", "voip"])?;
    ///
    /// let tokens = emulator.tokens_of(user.identifier()).unwrap();
    /// assert_eq!(tokens.len(), 1);
    /// assert_eq!(tokens[0].scopes(), ["chat", "voip"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn tokens_of(&self, user: &str) -> Option<Vec<IssuedToken>> {
        let live = self.live();
        live.service.users.valid_tokens(user, live.now())
    }

    /// Checks that a token was issued here, has not expired, was not revoked, and its user still
    /// exists.
    #[must_use]
    pub fn is_token_valid(&self, token: &str) -> bool {
        let live = self.live();
        live.service.is_token_valid(token, live.now())
    }

    /// Adds a user with this id, such as one from a fixture. Nothing changes if there is one.
    ///
    /// # Examples
    ///
    /// ```
    /// use acs_identity::CommunicationIdentityClient;
    /// use acs_identity::emulator::Emulator;
    ///
    /// let emulator = Emulator::start()?;
    /// let client = CommunicationIdentityClient::from_connection_string(&emulator.connection_string())?;
    /// emulator.add_user("8:acs:alice");
    /// client.issue_token(&"8:acs:alice".parse()?, ["chat"])?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn add_user(&self, id: &str) {
        self.live().service.users.add(id);
    }

    /// Makes all tokens of a user invalid. Returns whether there is such a user.
    ///
    /// The program that holds one does not learn of it: its [`TokenSource`](crate::TokenSource), for example, returns
    /// the same token as before.
    #[must_use = "`false` means that there is no such user"]
    pub fn expire_tokens(&self, user: &str) -> bool {
        self.live().service.users.revoke(user, None)
    }

    /// Forgets all users, tokens, recorded requests and their numbers, and restores the clock and the
    /// faults as the [builder](EmulatorBuilder) set them.
    ///
    /// The access key, the tokens that the emulator was told to accept, and open connections stay. After
    /// [`seed`](EmulatorBuilder::seed), the ids begin anew.
    pub fn reset(&self) {
        self.live().reset();
    }

    /// Makes the Teams exchange accept this Entra token for one hour, for this application and user
    /// (both GUIDs). [`reset`](Self::reset) begins another hour.
    pub fn accept_teams_token(
        &self,
        token: impl Into<String>,
        app_id: impl Into<String>,
        user_object_id: impl Into<String>,
    ) {
        // Ours: the real access token ends with the Entra token. What a test registers need not be
        // one, so there is nothing to read.
        let (token, app_id, object_id) = (token.into(), app_id.into(), user_object_id.into());
        let mut live = self.live();
        let expires_on = live.now() + TeamsUser::TOKEN_LIFE;
        live.service.entra_tokens.insert(token, TeamsUser { app_id, object_id, expires_on });
    }

    /// Makes all operations accept `Authorization: Bearer` with this token instead of a signature.
    pub fn accept_bearer_token(&self, token: impl Into<String>) {
        self.live().service.bearer_tokens.insert(token.into());
    }

    /// Moves the emulator's clock forward: tokens expire, dates of requests become stale.
    ///
    /// The clock of the program under test stays where it is, so the two disagree from now on, and a
    /// client does not renew its token: for a test of that, use
    /// [`token_lifetime`](EmulatorBuilder::token_lifetime). [`reset`](Self::reset) moves the clock back.
    /// The clock is never more than 100 years ahead.
    pub fn advance_clock(&self, by: Duration) {
        self.live().advance_clock(by);
    }

    /// Returns the number of open connections. A client that has just closed one may still be counted
    /// for a moment.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        lock(&self.listener.shared.connections).len()
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.listener.shared.state.live()
    }
}

impl fmt::Debug for Emulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emulator").field("endpoint", &self.endpoint()).finish_non_exhaustive()
    }
}
