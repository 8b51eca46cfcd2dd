//! What an emulator is told before it starts.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::clock::{CENTURY, Clock};
use super::connection::{Accept, Stream};
use super::listener::Listener;
use super::random::Random;
use super::service::{Service, Settings, SharedKey};
use super::state::{Observer, State};
use super::{Emulator, Fault, RecordedRequest};

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
    access_key: String,
    settings: Settings,
    tls: Option<Box<Accept>>,
    observer: Option<Box<Observer>>,
}

impl EmulatorBuilder {
    pub(super) fn new() -> Self {
        Self {
            address: (Ipv4Addr::LOCALHOST, 0).into(),
            access_key: BASE64_STANDARD
                .encode([(); 8].map(|()| Random::new(None).bytes::<1>()).concat()),
            settings: Settings::default(),
            tls: None,
            observer: None,
        }
    }

    /// Listens on this address. Port 0 is any free one.
    pub fn address(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// Uses this access key, in base64, instead of a random one.
    pub fn access_key(mut self, base64: impl Into<String>) -> Self {
        self.access_key = base64.into();
        self
    }

    /// Runs the emulator's clock ahead of the system's, by at most 100 years. Replaces [`clock_behind`](Self::clock_behind).
    pub fn clock_ahead(mut self, by: Duration) -> Self {
        self.settings.clock = Clock { ahead: by.min(CENTURY), ..Clock::default() };
        self
    }

    /// Runs the emulator's clock behind the system's, by at most 100 years. Replaces [`clock_ahead`](Self::clock_ahead).
    pub fn clock_behind(mut self, by: Duration) -> Self {
        self.settings.clock = Clock { behind: by.min(CENTURY), ..Clock::default() };
        self
    }

    /// Injects this fault from the start, and again after every [`reset`](Emulator::reset). May be called
    /// repeatedly.
    pub fn fault(mut self, fault: Fault) -> Self {
        self.settings.faults.push(fault);
        self
    }

    /// Issues all tokens for this time, at most 100 years, whatever lifetime a request asks for.
    ///
    /// With two seconds, a test sees a token expire and be renewed in real time.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::thread;
    /// use std::time::Duration;
    ///
    /// use acs_identity::CommunicationIdentityClient;
    /// use acs_identity::emulator::Emulator;
    ///
    /// let emulator = Emulator::builder().token_lifetime(Duration::from_millis(200)).start()?;
    /// let client = CommunicationIdentityClient::from_connection_string(&emulator.connection_string())?;
    /// let (_, token) = client.create_user_and_token(["chat"])?;
    /// assert!(emulator.is_token_valid(token.token()));
    /// thread::sleep(Duration::from_millis(200));
    /// assert!(!emulator.is_token_valid(token.token()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn token_lifetime(mut self, lifetime: Duration) -> Self {
        self.settings.token_lifetime = Some(lifetime.min(CENTURY));
        self
    }

    /// Responds with 429 beyond the published limits of the service: 1000 creates, creates with a
    /// token, or issues, and 500 deletes, revokes, or Teams exchanges in 30 seconds. Off by default.
    pub fn throttling(mut self, throttling: bool) -> Self {
        self.settings.throttling = throttling;
        self
    }

    /// Makes the ids of users the same in every run, for tests that compare with a snapshot. They
    /// depend on the order of creation alone, in which users that were [added](Emulator::add_user) count.
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
        self.settings.seed = Some(seed);
        self
    }

    /// Speaks https: `accept` makes a TLS stream of each connection, such as a
    /// `rustls::StreamOwned`.
    ///
    /// The emulator itself brings no TLS and no certificate. `examples/acs/src/emulator/tls.rs` in
    /// the repository makes both with the crates rustls and rcgen. A client that speaks plain http is
    /// told so with status 400.
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
        let key = SharedKey::parse(&self.access_key).ok_or_else(|| {
            // Without the text: it may be a real key with a typing error.
            let message = "the access key is empty or not base64";
            io::Error::new(io::ErrorKind::InvalidInput, message)
        })?;
        let state = State::new(Service::new(key, self.settings), self.observer);
        let listener = Listener::start(self.address, state, self.tls)?;
        Ok(Emulator { listener, access_key: self.access_key })
    }
}

impl fmt::Debug for EmulatorBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmulatorBuilder").field("address", &self.address).finish_non_exhaustive()
    }
}
