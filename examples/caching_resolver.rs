//! Remembers the addresses of a name, which ureq otherwise looks up for every call, kept connection
//! or not.
//!
//! What it costs: for up to `MAX_AGE` after the service's addresses have changed, a new connection
//! still goes to the old ones and may fail, retries included. Connections that are kept go on to
//! the address they were made to, with any resolver.
//!
//! `ureq::unversioned` may change with any minor version of ureq: pin yours.
//!
//! With `COMMUNICATION_SERVICES_CONNECTION_STRING` set, it talks to that resource; without it, to a
//! local service that the example starts itself.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what it is for")]

use std::collections::HashMap;
use std::env;
use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use acs_identity::emulator::Emulator;
use acs_identity::{CommunicationIdentityClient, ConnectionString};
use ureq::config::Config;
use ureq::http::Uri;
use ureq::http::uri::{Authority, Scheme};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

const VARIABLE: &str = "COMMUNICATION_SERVICES_CONNECTION_STRING";

/// About what name servers tell others to remember an address of a cloud service for.
const MAX_AGE: Duration = Duration::from_secs(30);

/// Asks the system's resolver at most once in `max_age` for each host and port, which the scheme may
/// imply.
#[derive(Debug)]
pub(crate) struct CachingResolver {
    system: DefaultResolver,
    max_age: Duration,
    // Never shrinks: an agent talks to one endpoint, or to one proxy.
    known: Mutex<HashMap<(Scheme, Authority), (Instant, ResolvedSocketAddrs)>>,
    lookups: Arc<AtomicUsize>,
}

impl CachingResolver {
    /// Counts in `lookups` how often the system is asked.
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
        // Without the lock: a slow name server holds up only those who ask it.
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
    let (endpoint, key) = connection_string.parse::<ConnectionString>()?.into_parts();
    let client = CommunicationIdentityClient::builder(endpoint, key).agent(agent).build()?;

    let user = client.create_user()?;
    for _ in 0..3 {
        client.issue_token(&user, ["voip"])?;
    }
    client.delete_user(&user)?;
    println!("5 calls, lookups of the name: {}", lookups.load(Ordering::Relaxed));
    Ok(())
}

/// One that is empty counts as not set, as CI systems leave it for a secret that is missing.
fn connection_string() -> Result<Option<String>, String> {
    let Some(text) = env::var_os(VARIABLE).filter(|text| !text.is_empty()) else { return Ok(None) };
    text.into_string().map(Some).map_err(|_| format!("{VARIABLE} is not UTF-8"))
}
