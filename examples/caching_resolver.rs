//! Caches the addresses of the endpoint's name, which ureq otherwise looks up for every call, even on
//! a kept connection.
//!
//! An address is used for up to `MAX_AGE`. If connecting fails, it is looked up again. Kept connections stay
//! with the address they were made to, whatever the resolver.
//!
//! `ureq::unversioned` may change with any minor version of ureq: test before you update it in your
//! `Cargo.lock`.
//!
//! Uses the resource whose connection string is in `COMMUNICATION_SERVICES_CONNECTION_STRING`. If the
//! variable is not set, it starts a local service and uses that.
//!
//! Copied into a package of your own, it needs:
//!
//! ```console
//! $ cargo add acs-identity --features emulator
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program prints")]

use std::collections::HashMap;
use std::env;
use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use acs_identity::CommunicationIdentityClient;
use acs_identity::emulator::Emulator;
use acs_identity::ureq::config::Config;
use acs_identity::ureq::http::Uri;
use acs_identity::ureq::http::uri::Authority;
use acs_identity::ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use acs_identity::ureq::unversioned::transport::{
    ConnectionDetails, Connector, DefaultConnector, NextTimeout, Transport,
};
use acs_identity::ureq::{self, Agent};

const VARIABLE: &str = "COMMUNICATION_SERVICES_CONNECTION_STRING";

/// About how long name servers allow an address of a cloud service to be cached.
const MAX_AGE: Duration = Duration::from_secs(30);

/// The addresses of names, shared by the two parts of an agent below.
#[derive(Debug)]
pub(crate) struct Addresses {
    max_age: Duration,
    // Never shrinks: an agent talks to one endpoint or one proxy.
    known: Mutex<HashMap<Authority, (Instant, ResolvedSocketAddrs)>>,
    lookups: AtomicUsize,
}

impl Addresses {
    pub(crate) fn new(max_age: Duration) -> Arc<Self> {
        Arc::new(Self { max_age, known: Mutex::default(), lookups: AtomicUsize::new(0) })
    }

    /// Creates an agent that looks names up here.
    pub(crate) fn agent(self: &Arc<Self>, config: Config) -> Agent {
        let (connector, resolver) = (DefaultConnector::default(), DefaultResolver::default());
        let connector = Forgetting { system: connector, addresses: Arc::clone(self) };
        let resolver = Caching { system: resolver, addresses: Arc::clone(self) };
        Agent::with_parts(config, connector, resolver)
    }

    /// Returns how often the system was asked.
    pub(crate) fn lookups(&self) -> usize {
        self.lookups.load(Ordering::Relaxed)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Authority, (Instant, ResolvedSocketAddrs)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks the system's resolver for names that are not known, or no longer.
#[derive(Debug)]
struct Caching {
    system: DefaultResolver,
    addresses: Arc<Addresses>,
}

impl Resolver for Caching {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let name = uri.authority().ok_or(ureq::Error::HostNotFound)?;
        let known = self.addresses.known().get(name).cloned();
        if let Some((since, found)) = known
            && since.elapsed() < self.addresses.max_age
        {
            return Ok(found);
        }
        // Without the lock: a slow name server only delays those who ask it.
        self.addresses.lookups.fetch_add(1, Ordering::Relaxed);
        let found = self.system.resolve(uri, config, timeout)?;
        self.addresses.known().insert(name.clone(), (Instant::now(), found.clone()));
        Ok(found)
    }
}

/// Connects as usual, and forgets the addresses of a name that cannot be connected to.
#[derive(Debug)]
struct Forgetting {
    system: DefaultConnector,
    addresses: Arc<Addresses>,
}

impl Connector for Forgetting {
    type Out = Box<dyn Transport>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<()>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        let connected = self.system.connect(details, chained);
        if let (Err(_), Some(name)) = (&connected, details.uri.authority()) {
            self.addresses.known().remove(name);
        }
        connected
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let emulator;
    let connection_string = if let Some(connection_string) = connection_string()? {
        connection_string
    } else {
        emulator = Emulator::start()?;
        eprintln!("{VARIABLE} is not set: using a local service on {}", emulator.endpoint());
        // By name, so that there is something to look up.
        emulator.connection_string().replace("127.0.0.1", "localhost")
    };
    let addresses = Addresses::new(MAX_AGE);
    let client = CommunicationIdentityClient::builder_from_connection_string(&connection_string)?
        .agent(addresses.agent(Config::default()))
        .build()?;

    let user = client.create_user()?;
    for _ in 0..3 {
        client.issue_token(&user, ["voip"])?;
    }
    client.delete_user(&user)?;
    println!("5 calls, lookups of the name: {}", addresses.lookups());
    Ok(())
}

/// Returns the connection string, if there is one. CI systems leave the variable empty if a secret is
/// missing.
fn connection_string() -> Result<Option<String>, String> {
    let Some(text) = env::var_os(VARIABLE).filter(|text| !text.is_empty()) else { return Ok(None) };
    text.into_string().map(Some).map_err(|_| format!("{VARIABLE} is not valid UTF-8"))
}
