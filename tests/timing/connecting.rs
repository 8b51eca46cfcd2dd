//! How long connecting takes, including handshakes and proxies.

use std::thread;
use std::time::Duration;

use acs_identity::{ErrorKind, RetryPolicy};
use ureq::{Agent, Proxy};

use crate::limits::{LATE, OPERATIONS, Script, TIMEOUT, build, run_large};
use crate::measured;
use crate::support::authority::{Authority, Flaw};
use crate::support::{Operation, Server, hurried, hurried_policy};

/// Connecting and waiting for the response each have a timeout; the deadline covers both.
#[test]
fn timeout_excludes_a_slow_handshake_and_the_deadline_includes_it() {
    let authority = Authority::new();
    let agent = authority.agent();
    let server = Server::with_tls(authority.server(Flaw::None), |connection| {
        thread::sleep(LATE);
        connection.request();
        connection.stall();
    });
    let none = RetryPolicy::none();
    thread::scope(|scope| {
        for (policy, timeout, expected) in [
            (none, TIMEOUT, LATE + TIMEOUT),
            (none.deadline(TIMEOUT), Duration::from_secs(20), TIMEOUT),
        ] {
            for operation in OPERATIONS {
                let client = build(&server, Some(&agent)).retry_policy(policy).timeout(timeout);
                let client = client.build().unwrap();
                let check = move || {
                    let timed = run_large(operation, &client);
                    let error = timed.assert(&format!("{operation:?}"), expected);
                    let told = (error.kind(), error.is_in_doubt());
                    assert_eq!(told, (ErrorKind::Timeout, true), "{error}");
                };
                scope.spawn(move || measured(check));
            }
        }
    });
}

/// What a server may do instead of a handshake.
const HANDSHAKES: [(&str, Script); 3] = [
    ("says nothing", |it| it.stall()),
    // A record of 16 KiB that is never complete.
    ("drips a record", |it| it.drip("\u{16}\u{3}\u{3}\u{40}\u{0}", "\u{2}")),
    // One-byte records of a message that is never complete.
    ("drips records", |it| {
        it.drip(
            "\u{16}\u{3}\u{3}\u{0}\u{4}\u{2}\u{0}\u{7f}\u{7f}",
            "\u{16}\u{3}\u{3}\u{0}\u{1}\u{0}",
        );
    }),
];

/// Settings with which a client tries to connect for `TIMEOUT`, and the number of its attempts.
fn limits() -> [(RetryPolicy, Duration, Duration, u32); 4] {
    let (none, long) = (RetryPolicy::none(), Duration::from_secs(20));
    [
        (none, TIMEOUT, long, 1),
        // The timeout of the response does not limit connecting.
        (none, TIMEOUT, TIMEOUT / 4, 1),
        (none.deadline(TIMEOUT), long, long, 1),
        // Nothing was sent: a create is repeated as well.
        (hurried_policy().max_retries(1), TIMEOUT / 2, long, 2),
    ]
}

#[test]
fn connect_timeout_is_the_observed_time() {
    let agent = ureq::agent();
    let servers = HANDSHAKES.map(|(name, script)| (name, Server::scripted(script)));
    thread::scope(|scope| {
        for (name, server) in &servers {
            let endpoint = format!("https://localhost:{}", server.port());
            for (policy, connect, timeout, attempts) in limits() {
                for operation in OPERATIONS {
                    for agent in [None, Some(&agent)] {
                        let client = hurried(&*endpoint).retry_policy(policy);
                        let client = client.connect_timeout(connect).timeout(timeout);
                        let client = match agent {
                            Some(agent) => client.agent(agent.clone()),
                            None => client,
                        };
                        let client = client.build().unwrap();
                        let check = move || {
                            let timed = run_large(operation, &client);
                            let error = timed.assert(&format!("{name}: {operation:?}"), TIMEOUT);
                            let told = (error.kind(), error.is_in_doubt());
                            // If the deadline comes first, on a busy machine, it is unknown how far
                            // the attempt got.
                            let late = told == (ErrorKind::Timeout, true) && connect > TIMEOUT;
                            let never = told == (ErrorKind::Connection, false);
                            assert!(never || late, "{name}: {error}");
                            assert_eq!(error.attempts(), attempts, "{name}: {error}");
                            let problem = ": connecting timed out: check the endpoint, the network and the proxy; nothing was sent";
                            assert!(late || error.to_string().contains(problem), "{error}");
                        };
                        scope.spawn(move || measured(check));
                    }
                }
            }
        }
    });
}

/// Connecting includes the request to the proxy.
#[test]
fn connect_timeout_holds_for_proxies() {
    // A proxy that drips its response is not limited, as documented.
    let scripts: [(&str, Script); 2] = [
        ("says nothing", |it| it.stall()),
        ("connects to nothing", |it| {
            drop((it.request(), it.send("HTTP/1.1 200 OK\r\n\r\n"), it.stall()));
        }),
    ];
    let proxies = scripts.map(|(name, script)| (name, Server::scripted(script)));
    thread::scope(|scope| {
        for (name, proxy) in &proxies {
            for (policy, connect, timeout, attempts) in limits() {
                let proxy = Proxy::new(&format!("http://{}", proxy.address())).unwrap();
                let agent = Agent::config_builder().proxy(Some(proxy)).build().new_agent();
                let client = hurried("https://contoso.invalid").retry_policy(policy);
                let client = client.connect_timeout(connect).timeout(timeout).agent(agent);
                let client = client.build().unwrap();
                let check = move || {
                    let timed = run_large(Operation::Create, &client);
                    let error = timed.assert(&format!("a proxy {name}"), TIMEOUT);
                    let told = (error.kind(), error.is_in_doubt(), error.attempts());
                    assert_eq!(told, (ErrorKind::Connection, false, attempts), "{name}: {error}");
                };
                scope.spawn(move || measured(check));
            }
        }
    });
}
