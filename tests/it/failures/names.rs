//! Name servers that fail, are slow, or never answer.

use std::thread;
use std::time::{Duration, Instant};

use acs_identity::{ErrorKind, RetryPolicy};
use ureq::Agent;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

use crate::support::server::respond_well;
use crate::support::{Operation, Server, UNKNOWN_HOST, hurried, problem};

/// Never answers: gives up when its time is over, as ureq's own resolver does.
#[derive(Debug)]
struct NeverAnswers;

impl Resolver for NeverAnswers {
    fn resolve(
        &self,
        _: &Uri,
        _: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        // The time that a name server takes, not a wait for anything.
        thread::sleep(*timeout.after);
        Err(ureq::Error::Timeout(timeout.reason))
    }
}

/// Takes its time, and then finds a server.
#[derive(Debug)]
struct Slow(Duration, std::net::SocketAddr);

impl Resolver for Slow {
    fn resolve(
        &self,
        _: &Uri,
        _: &Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        thread::sleep(self.0);
        let mut addresses = self.empty();
        addresses.push(self.1);
        Ok(addresses)
    }
}

fn agent(resolver: impl Resolver) -> Agent {
    Agent::with_parts(Config::default(), DefaultConnector::default(), resolver)
}

#[test]
fn name_lookup_that_outlasts_the_deadline_leaves_nothing_in_doubt() {
    let deadline = Duration::from_millis(300);
    thread::scope(|scope| {
        for operation in Operation::ALL {
            scope.spawn(move || {
                let client = hurried("https://contoso.invalid")
                    .agent(agent(NeverAnswers))
                    .retry_policy(RetryPolicy::none().deadline(deadline))
                    .build()
                    .unwrap();
                let started = Instant::now();
                let error = operation.run(&client).unwrap_err();
                assert!(started.elapsed() <= deadline * 2, "{error}");
                let told = (error.kind(), error.attempts(), error.is_in_doubt());
                assert_eq!(told, (ErrorKind::Connection, 1, false), "{operation:?} {error}");
                assert!(error.is_transient(), "{error}");
                let text = ": name resolution timed out: check the endpoint and this machine's DNS; nothing was sent";
                assert!(problem(&error).ends_with(text), "{error}");
            });
        }
    });
}

#[test]
fn name_lookup_that_is_slow_takes_nothing_off_the_timeouts() {
    let server = Server::scripted(respond_well);
    let slow = Slow(Duration::from_millis(300), server.address());
    let client = hurried(&server)
        .agent(agent(slow))
        .connect_timeout(Duration::from_millis(200))
        .timeout(Duration::from_millis(200))
        .build()
        .unwrap();
    client.create_user().unwrap();
    assert_eq!(server.connections(), 1);
}

#[test]
fn name_that_is_unknown_is_told_with_its_cause() {
    let endpoint = format!("https://{UNKNOWN_HOST}");
    let client = hurried(&*endpoint).build().unwrap();
    for operation in [Operation::Create, Operation::Delete] {
        let error = operation.run(&client).unwrap_err();
        let told = (error.kind(), error.attempts(), error.is_in_doubt());
        assert_eq!(told, (ErrorKind::Connection, 4, false), "{error}");
        let text = ": the service could not be reached: check the endpoint, the network and the proxy; nothing was sent";
        assert!(problem(&error).contains(text), "{error}");
        assert!(std::error::Error::source(&error).is_some(), "{error}");
    }
}
