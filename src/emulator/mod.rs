//! A local identity service for tests.
//!
//! [`Emulator`] listens on a port of this machine and answers as the identity service of Azure
//! Communication Services does: the same statuses, bodies, headers and number formats. It checks
//! signatures, content hashes and dates, and when it refuses one, it says why in
//! [`RecordedRequest::refusal`]. Any client in any language can talk to it; those that are no part
//! of this program use the example, in a checkout: `cargo run --example emulator`.
//!
//! ```
//! use acs_identity::emulator::Emulator;
//!
//! let emulator = Emulator::start()?;
//! // A client is given emulator.connection_string() here; this one forgets to sign.
//! let url = format!("{}/identities?api-version=2023-10-01", emulator.endpoint());
//! let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
//! let response = agent.post(&url).send_empty()?;
//!
//! assert_eq!(response.status(), 401);
//! assert_eq!(emulator.requests()[0].refusal(), Some("the Authorization header is missing"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What differs from the real service
//!
//! - Access tokens have the claims of real ones, but are signed with HS256 under the access key of
//!   the emulator.
//! - Where the real answer is not public, the emulator's is a choice. Each is marked in the source
//!   by a comment that begins with `Ours:`.
//! - Teams extension and Entra calls are not emulated, nor are the previews of 2020,
//!   2021-03-31-preview1 and 2025-04-01-preview. 2025-03-31-preview only issues tokens, where alone
//!   the service advertises it.
//! - Everything is kept in memory and ends with the [`Emulator`].

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

mod authentication;
mod body;
mod connection;
mod directory;
mod fault;
mod journal;
mod json;
mod random;
mod request;
mod response;
mod server;
mod service;
mod string_to_sign;
mod teams;
mod throttle;
mod token;
mod version;

use authentication::SharedKey;
use random::Random;
use server::{Clock, Observer, Server, Shared, lock};
use service::Service;
use teams::TeamsUser;

pub use fault::Fault;
pub use journal::RecordedRequest;
pub use request::Operation;

const ENTRA_TOKEN_LIFE: Duration = Duration::from_secs(60 * 60);

/// A running identity service; dropping it closes all its connections and waits for its threads.
///
/// See the [module](self) for an example.
pub struct Emulator {
    server: Server,
    access_key: String,
}

/// Configures an [`Emulator`].
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
    observer: Option<Box<Observer>>,
}

impl Emulator {
    /// Starts on a free port of 127.0.0.1 with a random access key.
    ///
    /// # Errors
    ///
    /// Those of the operating system, where it gives no port or no thread.
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
            observer: None,
        }
    }

    /// The connection string for clients, access key included:
    /// `endpoint=http://127.0.0.1:PORT/;accesskey=BASE64`.
    #[must_use]
    pub fn connection_string(&self) -> String {
        format!("endpoint={}/;accesskey={}", self.endpoint(), self.access_key())
    }

    /// Where clients on this machine reach it: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.server.reachable_address())
    }

    /// The access key in base64.
    #[must_use]
    pub fn access_key(&self) -> &str {
        &self.access_key
    }

    /// Adds a fault behind those that are still to come.
    pub fn inject(&self, fault: Fault) {
        lock(&self.server.shared.faults).push(fault);
    }

    /// The requests that arrived, oldest first, of which the last 10,000 are kept (fewer if their
    /// targets, headers and bodies, and what is said of them, pass 64 MiB).
    ///
    /// A request is here before its client sees the answer.
    #[must_use]
    pub fn requests(&self) -> Vec<RecordedRequest> {
        lock(&self.server.shared.journal).records()
    }

    /// How many requests arrived in all.
    #[must_use]
    pub fn request_count(&self) -> u64 {
        lock(&self.server.shared.journal).total()
    }

    /// The identities that exist now, in the order of their creation.
    #[must_use]
    pub fn users(&self) -> Vec<String> {
        lock(&self.server.shared.service).users()
    }

    /// Whether a token was issued here, has not expired, was not revoked, and its user still
    /// exists.
    #[must_use]
    pub fn is_token_valid(&self, token: &str) -> bool {
        let now = self.server.shared.clock.now();
        lock(&self.server.shared.service).is_token_valid(token, now)
    }

    /// Makes the Teams exchange accept this Entra token for one hour, for this application and user
    /// (both GUIDs).
    pub fn accept_teams_token(
        &self,
        token: impl Into<String>,
        app_id: impl Into<String>,
        user_object_id: impl Into<String>,
    ) {
        // Ours: the real answer ends with the Entra token. What a test registers need not be one,
        // so there is nothing to read.
        let now = self.server.shared.clock.now();
        let expires_on = now.checked_add(ENTRA_TOKEN_LIFE).unwrap_or(now);
        let (app_id, object_id) = (app_id.into(), user_object_id.into());
        let user = TeamsUser { app_id, object_id, expires_on };
        lock(&self.server.shared.service).accept_teams_token(token.into(), user);
    }

    /// Makes all operations accept `Authorization: Bearer` with this token in place of a signature.
    pub fn accept_bearer_token(&self, token: impl Into<String>) {
        lock(&self.server.shared.service).accept_bearer_token(token.into());
    }

    /// Moves the clock of the emulator forward: tokens expire, dates of requests become stale.
    pub fn advance_clock(&self, by: Duration) {
        self.server.shared.clock.advance(by);
    }

    /// How many connections are open. A client that has just closed one may still be counted for a
    /// moment.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        self.server.shared.open_connections()
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

    /// Runs the clock of the emulator ahead of the system's.
    pub fn clock_ahead(mut self, by: Duration) -> Self {
        self.clock = Clock::default();
        self.clock.advance(by);
        self
    }

    /// Runs the clock of the emulator behind the system's.
    pub fn clock_behind(mut self, by: Duration) -> Self {
        self.clock = Clock::default();
        self.clock.set_back(by);
        self
    }

    /// Answers 429 beyond the published limits of the service: 1000 creates, creates with a token,
    /// or issues, and 500 deletes, revokes, or Teams exchanges in 30 seconds. Off by default.
    pub fn throttling(mut self, throttling: bool) -> Self {
        self.throttling = throttling;
        self
    }

    /// Calls this with each request once its answer is decided, before the answer is sent.
    ///
    /// It runs on the thread of the connection and may use the emulator, but not drop it. If it
    /// panics the request is answered all the same, and the first panic goes on where the emulator
    /// is dropped, unless that thread is panicking already: an `assert!` in it fails the test.
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
    /// [`io::ErrorKind::InvalidInput`] for an access key that is empty or not base64; otherwise
    /// those of the operating system, such as [`io::ErrorKind::AddrInUse`].
    pub fn start(self) -> io::Result<Emulator> {
        let mut random = Random::from_system();
        let key = match self.access_key {
            Some(base64) => SharedKey::parse(&base64).ok_or_else(|| {
                // Without the text: it may be a real key with a typing error.
                let message = "the access key is empty or not base64";
                io::Error::new(io::ErrorKind::InvalidInput, message)
            })?,
            None => SharedKey::from_bytes([random.block(), random.block()].concat()),
        };
        let access_key = key.as_str().to_owned();
        let service = Service::new(key, self.throttling, random);
        let shared = Shared::new(service, self.clock, self.observer);
        Ok(Emulator { server: Server::start(self.address, shared)?, access_key })
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
