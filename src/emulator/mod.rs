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
//! - Access tokens have the claims of real ones, but are signed with HS256 under the emulator's
//!   access key.
//! - Where the service's behavior is not public, the emulator's is a choice. The source marks each
//!   with a comment that begins with `Ours:`.
//! - Teams extension and Entra calls are not emulated, nor are the api-versions
//!   2020-07-20-preview1, 2021-03-31-preview1 and 2025-04-01-preview. 2025-03-31-preview only issues
//!   tokens: the service advertises it nowhere else.
//! - The host may be signed with or without its port, as Java's client signs it. Dates in lower case
//!   are refused.
//! - All state is in memory and ends with the [`Emulator`].
//!
//! # Requests to the emulator itself
//!
//! Tests in other languages reach it by two requests, which need no signature and are neither
//! counted nor struck by faults. `POST /emulator/reset` does what [`Emulator::reset`] does.
//! `GET /emulator/state` returns the number of requests by operation and all users with their valid
//! tokens:
//! `{"requests":{"create":1,…},"users":[{"id":"8:acs:…","tokens":[{"scopes":["chat"],"expiresOn":"…"}]}]}`.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

mod clock;
mod connection;
mod fault;
mod journal;
mod json;
mod listener;
mod random;
mod redaction;
mod request;
mod response;
mod service;
mod state;

use clock::Clock;
use connection::{Accept, Stream};
use listener::Listener;
use random::Random;
use service::{Service, SharedKey, TeamsUser};
use state::{Observer, State, lock};

pub use fault::Fault;
pub use journal::RecordedRequest;
pub use request::Operation;
pub use service::IssuedToken;

const ENTRA_TOKEN_LIFE: Duration = Duration::from_secs(60 * 60);

/// A running identity service. Dropping it closes all connections and waits for its threads.
///
/// See the [module](self) for an example.
pub struct Emulator {
    listener: Listener,
    access_key: String,
}

/// Configures an [`Emulator`].
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use acs_identity::emulator::Emulator;
///
/// let emulator = Emulator::builder()
///     .access_key("c2VjcmV0")
///     .clock_ahead(Duration::from_secs(20 * 60))
///     .start()?;
/// assert!(emulator.connection_string().ends_with("/;accesskey=c2VjcmV0"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use = "an emulator runs once start is called"]
pub struct EmulatorBuilder {
    address: SocketAddr,
    access_key: Option<String>,
    clock: Clock,
    throttling: bool,
    seed: Option<u64>,
    tls: Option<Box<Accept>>,
    observer: Option<Box<Observer>>,
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
        EmulatorBuilder {
            address: (Ipv4Addr::LOCALHOST, 0).into(),
            access_key: None,
            clock: Clock::default(),
            throttling: false,
            seed: None,
            tls: None,
            observer: None,
        }
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
        lock(&self.state().faults).push(fault);
    }

    /// Returns the requests that arrived, oldest first. The last 10,000 are kept, or fewer if their
    /// targets, headers, bodies and refusals exceed 64 MiB.
    ///
    /// A request is here before its client sees the response.
    #[must_use]
    pub fn requests(&self) -> Vec<RecordedRequest> {
        lock(&self.state().journal).records()
    }

    /// Returns the number of all requests that arrived.
    #[must_use]
    pub fn request_count(&self) -> u64 {
        lock(&self.state().journal).total()
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
        lock(&self.state().journal).count(operation)
    }

    /// Returns the ids of the users that exist now, in the order of their creation.
    #[must_use]
    pub fn users(&self) -> Vec<String> {
        lock(&self.state().service).users()
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
        lock(&self.state().service).tokens_of(user, self.state().clock.now())
    }

    /// Checks that a token was issued here, has not expired, was not revoked, and its user still
    /// exists.
    #[must_use]
    pub fn is_token_valid(&self, token: &str) -> bool {
        let now = self.state().clock.now();
        lock(&self.state().service).is_token_valid(token, now)
    }

    /// Forgets all users, tokens, faults, recorded requests and their numbers.
    ///
    /// The access key, the tokens that the emulator was told to accept, the clock and open
    /// connections stay. After [`seed`](EmulatorBuilder::seed), the ids begin anew.
    pub fn reset(&self) {
        self.state().reset();
    }

    /// Makes the Teams exchange accept this Entra token for one hour, for this application and user
    /// (both GUIDs).
    pub fn accept_teams_token(
        &self,
        token: impl Into<String>,
        app_id: impl Into<String>,
        user_object_id: impl Into<String>,
    ) {
        // Ours: the real access token ends with the Entra token. What a test registers need not be
        // one, so there is nothing to read.
        let now = self.state().clock.now();
        let expires_on = now.checked_add(ENTRA_TOKEN_LIFE).unwrap_or(now);
        let (app_id, object_id) = (app_id.into(), user_object_id.into());
        let user = TeamsUser { app_id, object_id, expires_on };
        lock(&self.state().service).accept_teams_token(token.into(), user);
    }

    /// Makes all operations accept `Authorization: Bearer` with this token in place of a signature.
    pub fn accept_bearer_token(&self, token: impl Into<String>) {
        lock(&self.state().service).accept_bearer_token(token.into());
    }

    /// Moves the emulator's clock forward: tokens expire, dates of requests become stale.
    pub fn advance_clock(&self, by: Duration) {
        self.state().clock.advance(by);
    }

    /// Returns the number of open connections. A client that has just closed one may still be counted
    /// for a moment.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        self.listener.open_connections()
    }

    fn state(&self) -> &State {
        &self.listener.shared.state
    }
}

impl EmulatorBuilder {
    /// Listens on this address. Port 0 is any free one.
    pub fn address(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// Uses this access key, in base64, in place of a random one.
    pub fn access_key(mut self, base64: impl Into<String>) -> Self {
        self.access_key = Some(base64.into());
        self
    }

    /// Runs the emulator's clock ahead of the system's. Replaces [`clock_behind`](Self::clock_behind).
    pub fn clock_ahead(mut self, by: Duration) -> Self {
        self.clock = Clock::ahead(by);
        self
    }

    /// Runs the emulator's clock behind the system's. Replaces [`clock_ahead`](Self::clock_ahead).
    pub fn clock_behind(mut self, by: Duration) -> Self {
        self.clock = Clock::behind(by);
        self
    }

    /// Responds with 429 beyond the published limits of the service: 1000 creates, creates with a
    /// token, or issues, and 500 deletes, revokes, or Teams exchanges in 30 seconds. Off by default.
    pub fn throttling(mut self, throttling: bool) -> Self {
        self.throttling = throttling;
        self
    }

    /// Makes the ids of users the same in every run, for tests that compare with a snapshot. They
    /// depend on the order of creation alone.
    ///
    /// # Examples
    ///
    /// ```
    /// use acs_identity::CommunicationIdentityClient;
    /// use acs_identity::emulator::Emulator;
    ///
    /// let emulator = Emulator::builder().seed(7).start()?;
    /// let client = CommunicationIdentityClient::from_connection_string(&emulator.connection_string())?;
    /// let first = client.create_user()?;
    /// emulator.reset();
    /// assert_eq!(client.create_user()?, first);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Speaks https: `accept` makes a TLS stream of each connection, such as a
    /// `rustls::StreamOwned`.
    ///
    /// The emulator itself brings no TLS and no certificate. `examples/acs/src/emulator/tls.rs` in
    /// the repository makes both with the crates rustls and rcgen. A client that speaks plain http is told so with status 400.
    pub fn tls<S: Read + Write + 'static>(
        mut self,
        accept: impl Fn(TcpStream) -> io::Result<S> + Send + Sync + 'static,
    ) -> Self {
        self.tls = Some(Box::new(move |socket| {
            accept(socket).map(|stream| Box::new(stream) as Box<dyn Stream>)
        }));
        self
    }

    /// Calls this with each request once the response is decided, before it is sent.
    ///
    /// It runs on the thread of the connection and may use the emulator, but not drop it. If it
    /// panics, the request gets its response all the same, and the first panic resumes where the
    /// emulator is dropped, unless that thread is panicking already: an `assert!` in it fails the
    /// test.
    pub fn on_request(
        mut self,
        observer: impl Fn(&RecordedRequest) + Send + Sync + 'static,
    ) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// Starts the emulator.
    ///
    /// # Errors
    ///
    /// Returns [`io::ErrorKind::InvalidInput`] for an access key that is empty or not base64, or the
    /// error of the operating system, such as [`io::ErrorKind::AddrInUse`].
    pub fn start(self) -> io::Result<Emulator> {
        let mut system = Random::from_system();
        let key = match self.access_key {
            Some(base64) => SharedKey::parse(&base64).ok_or_else(|| {
                // Without the text: it may be a real key with a typing error.
                let message = "the access key is empty or not base64";
                io::Error::new(io::ErrorKind::InvalidInput, message)
            })?,
            None => SharedKey::from_bytes([system.block(), system.block()].concat()),
        };
        let access_key = key.as_str().to_owned();
        let random = self.seed.map_or(system, Random::from_seed);
        let service = Service::new(key, self.throttling, random);
        let state = State::new(service, self.clock, self.observer);
        Ok(Emulator { listener: Listener::start(self.address, state, self.tls)?, access_key })
    }
}

impl fmt::Debug for Emulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emulator").field("endpoint", &self.endpoint()).finish_non_exhaustive()
    }
}

impl fmt::Debug for EmulatorBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmulatorBuilder").field("address", &self.address).finish_non_exhaustive()
    }
}
