//! Caches the addresses of the endpoint's name, which ureq otherwise looks up for every call, even on
//! a kept connection.
//!
//! The price: for up to `MAX_AGE` after the service's addresses have changed, new connections still go
//! to the old ones and may fail, retries included. Kept connections stay with the address they were
//! made to, whatever the resolver.
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
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use acs_identity::CommunicationIdentityClient;
use acs_identity::emulator::Emulator;
use acs_identity::ureq;
use acs_identity::ureq::config::Config;
use acs_identity::ureq::http::Uri;
use acs_identity::ureq::http::uri::{Authority, Scheme};
use acs_identity::ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use acs_identity::ureq::unversioned::transport::{DefaultConnector, NextTimeout};

const VARIABLE: &str = "COMMUNICATION_SERVICES_CONNECTION_STRING";

/// About how long name servers allow an address of a cloud service to be cached.
const MAX_AGE: Duration = Duration::from_secs(30);

/// Asks the system's resolver at most once per `max_age` for each scheme, host and port.
#[derive(Debug)]
pub(crate) struct CachingResolver {
    system: DefaultResolver,
    max_age: Duration,
    // Never shrinks: an agent talks to one endpoint or one proxy.
    known: Mutex<HashMap<(Scheme, Authority), (Instant, ResolvedSocketAddrs)>>,
    lookups: Arc<AtomicUsize>,
}

impl CachingResolver {
    /// Counts the lookups by the system in `lookups`.
    pub(crate) fn new(max_age: Duration, lookups: Arc<AtomicUsize>) -> Self {
        Self { system: DefaultResolver::default(), max_age, known: Mutex::default(), lookups }
    }
}

impl Resolver for CachingResolver {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let name = uri.scheme().cloned().zip(uri.authority().cloned());
        let name = name.ok_or(ureq::Error::HostNotFound)?;
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((since, addresses)) = known().get(&name)
            && since.elapsed() < self.max_age
        {
            return Ok(addresses.clone());
        }
        // Without the lock: a slow name server only delays those who ask it.
        self.lookups.fetch_add(1, Ordering::Relaxed);
        let addresses = self.system.resolve(uri, config, timeout)?;
        known().insert(name, (Instant::now(), addresses.clone()));
        Ok(addresses)
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
    let lookups = Arc::new(AtomicUsize::new(0));
    let agent = ureq::Agent::with_parts(
        Config::default(),
        DefaultConnector::default(),
        CachingResolver::new(MAX_AGE, Arc::clone(&lookups)),
    );
    let client = CommunicationIdentityClient::builder_from_connection_string(&connection_string)?
        .agent(agent)
        .build()?;

    let user = client.create_user()?;
    for _ in 0..3 {
        client.issue_token(&user, ["voip"])?;
    }
    client.delete_user(&user)?;
    println!("5 calls, lookups of the name: {}", lookups.load(Ordering::Relaxed));
    Ok(())
}

/// Returns the connection string, if there is one. CI systems leave the variable empty if a secret is
/// missing.
fn connection_string() -> Result<Option<String>, String> {
    let Some(text) = env::var_os(VARIABLE).filter(|text| !text.is_empty()) else { return Ok(None) };
    text.into_string().map(Some).map_err(|_| format!("{VARIABLE} is not valid UTF-8"))
}
