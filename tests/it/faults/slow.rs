//! Fault 10: a documented duration is the observed one, whatever a server does to stretch it.

use std::thread;
use std::time::{Duration, Instant};

use acs_identity::{CommunicationIdentityClientBuilder, Error, ErrorKind, RetryPolicy};
use ureq::{Agent, Proxy};

use super::authority::{Authority, Flaw};
use super::{run, success};
use crate::failures::{Operation, client_of, hurried};
use crate::http::{CANARY_KEY, Connection, Server, Wire};

const TIMEOUT: Duration = Duration::from_millis(600);
/// When a server begins that takes its time.
const LATE: Duration = Duration::from_millis(300);
/// What a busy machine may add.
const SLACK: Duration = Duration::from_millis(200);

/// The beginning of what is read to its end: a success, or an error where a success has no body.
fn body(connection: &mut Connection) -> String {
    let request = connection.request().unwrap_or_default();
    let status = match request.split_once('?') {
        Some(("POST /identities", _)) => "201 Created",
        Some((line, _)) if line.starts_with("POST") => "200 OK",
        _ => "500 Oops",
    };
    format!("HTTP/1.1 {status}\r\nContent-Length: 100000\r\n\r\n")
}

const CHUNKED: &str = "HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n";

type Script = fn(&mut Connection);

/// What a server does with a request, and the kind of error that its timeout gives.
const RESPONSES: [(&str, Script, ErrorKind); 9] = [
    ("says nothing", |it| drop((it.request(), it.stall())), ErrorKind::Timeout),
    ("does not read", does_not_read, ErrorKind::Timeout),
    (
        "drips its head",
        |it| drop((it.request(), it.drip("HTTP/1.1 200 OK\r\nx-drip: ", "a"))),
        ErrorKind::Timeout,
    ),
    (
        "drips headers",
        |it| drop((it.request(), it.drip("HTTP/1.1 200 OK\r\n", "x: a\r\n"))),
        ErrorKind::Timeout,
    ),
    (
        "stalls in its head",
        |it| drop((it.request(), it.send("HTTP/1.1 200 OK\r\nx: "), it.stall())),
        ErrorKind::Timeout,
    ),
    (
        "stalls before its body",
        |it| {
            let head = body(it);
            it.send(head);
            it.stall();
        },
        ErrorKind::Response,
    ),
    (
        "drips its body",
        |it| {
            let head = body(it);
            it.drip(&head, " ");
        },
        ErrorKind::Response,
    ),
    (
        "drips the chunks of an error",
        |it| drop((it.request(), it.drip(CHUNKED, "1\r\n \r\n"))),
        ErrorKind::Service,
    ),
    (
        "drips its body late",
        |it| {
            let head = body(it);
            thread::sleep(LATE);
            it.drip(&head, " ");
        },
        ErrorKind::Response,
    ),
];

fn does_not_read(connection: &mut Connection) {
    if let Wire::Tls(tls) = &mut connection.wire {
        let _ = tls.conn.complete_io(&mut tls.sock);
    }
    thread::sleep(4 * TIMEOUT);
}

/// The whole time of a timeout over the head, and then once more over the body.
fn expected(name: &str) -> Duration {
    if name.ends_with("late") { LATE + TIMEOUT } else { TIMEOUT }
}

/// With a body, with the largest one, and without.
const OPERATIONS: [Operation; 3] = [Operation::Create, Operation::Exchange, Operation::Delete];

/// With the largest body that is sent, where one is.
fn run_large(operation: Operation, client: CommunicationIdentityClientBuilder) -> Timed {
    let client = client.build().unwrap();
    let started = Instant::now();
    let result = if operation == Operation::Exchange {
        client.exchange_teams_user_token(&"t".repeat(16_000), "app", "user").map(drop)
    } else {
        run(operation, &client)
    };
    Timed { took: started.elapsed(), result }
}

struct Timed {
    took: Duration,
    result: Result<(), Error>,
}

impl Timed {
    /// Within a tenth, and what the machine may add.
    fn assert(&self, what: &str, expected: Duration) -> &Error {
        let Self { took, result } = self;
        let error = result.as_ref().expect_err(what);
        assert!(*took >= expected * 9 / 10, "{what} took only {took:?} of {expected:?}: {error}");
        self.assert_at_most(what, expected);
        assert!(error.elapsed() <= *took && error.elapsed() + SLACK >= *took, "{what}: {error}");
        error
    }

    fn assert_at_most(&self, what: &str, expected: Duration) {
        let Self { took, result } = self;
        let most = expected * 11 / 10 + SLACK;
        assert!(*took <= most, "{what} took {took:?} of {expected:?}: {result:?}");
    }
}

fn build(server: &Server, agent: Option<&Agent>) -> CommunicationIdentityClientBuilder {
    let builder = client_of(&server.endpoint().to_string(), CANARY_KEY);
    match agent {
        Some(agent) => builder.agent(agent.clone()),
        None => builder,
    }
}

/// Each response, over http on both agents, and over TLS on one of the caller's, side by side,
/// because each waits for its end.
fn each(check: impl Fn(&str, ErrorKind, Operation, CommunicationIdentityClientBuilder) + Sync) {
    let authority = Authority::new();
    let (plain_agent, tls_agent) = (ureq::agent(), authority.agent());
    let mut servers = Vec::new();
    for (name, script, kind) in RESPONSES {
        let tls = Server::with_tls(authority.server(Flaw::None), script);
        servers.push((name, kind, Server::scripted(script), tls));
    }
    thread::scope(|scope| {
        for (name, kind, plain, tls) in &servers {
            for operation in OPERATIONS {
                let kind = match (kind, operation) {
                    (ErrorKind::Response, Operation::Delete) => ErrorKind::Service,
                    _ => *kind,
                };
                // Handshakes cost what the others are measured by, so there are few.
                let with_tls = operation == Operation::Exchange;
                let tls = with_tls.then(|| ("TLS", build(tls, Some(&tls_agent))));
                let own = ("own agent", build(plain, None));
                let callers = ("caller's agent", build(plain, Some(&plain_agent)));
                for (how, client) in [own, callers].into_iter().chain(tls) {
                    let check = &check;
                    let what = format!("{name}: {operation:?}, {how}");
                    scope.spawn(move || check(&what, kind, operation, client));
                }
            }
        }
    });
}

#[test]
fn the_timeout_is_the_observed_one() {
    each(|what, kind, operation, client| {
        let client = client.timeout(TIMEOUT).retry_policy(RetryPolicy::none());
        let (name, _) = what.split_once(':').unwrap();
        let timed = run_large(operation, client);
        let error = timed.assert(what, expected(name));
        assert_eq!((error.kind(), error.is_in_doubt()), (kind, true), "{what}: {error}");
    });
}

#[test]
fn the_deadline_is_the_observed_one() {
    each(|what, kind, operation, client| {
        // With the default timeouts, and time for a single attempt.
        let timed =
            run_large(operation, client.retry_policy(RetryPolicy::none().deadline(TIMEOUT)));
        let error = timed.assert(what, TIMEOUT);
        // A busy machine may not have got as far as the head.
        assert!([kind, ErrorKind::Timeout].contains(&error.kind()), "{what}: {error}");
        assert!(error.is_in_doubt(), "{what}: {error}");
    });
}

#[test]
fn the_deadline_holds_over_all_attempts() {
    each(|what, _, operation, client| {
        let policy = hurried().max_retries(100).deadline(TIMEOUT);
        let timed = run_large(operation, client.timeout(TIMEOUT * 2 / 5).retry_policy(policy));
        timed.assert_at_most(what, TIMEOUT);
        assert!(timed.result.as_ref().expect_err(what).is_in_doubt(), "{what}");
    });
}

/// Connecting and waiting for the response each have their time, and the deadline is that of both.
#[test]
fn a_handshake_that_takes_its_time() {
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
                scope.spawn(move || {
                    let timed = run_large(operation, client);
                    let error = timed.assert(&format!("{operation:?}"), expected);
                    let told = (error.kind(), error.is_in_doubt());
                    assert_eq!(told, (ErrorKind::Timeout, true), "{error}");
                });
            }
        }
    });
}

/// What a connection that stands already does not need for connecting is not taken off either.
#[test]
fn a_kept_connection_that_falls_silent() {
    let server = Server::scripted(|connection| {
        let Some(request) = connection.request() else { return };
        connection.send(success(&request, "Connection: keep-alive\r\n"));
        connection.stall();
    });
    let agent = ureq::agent();
    thread::scope(|scope| {
        for agent in [None, Some(&agent)] {
            let none = RetryPolicy::none();
            for (policy, timeout) in
                [(none, TIMEOUT), (none.deadline(TIMEOUT), Duration::from_secs(20))]
            {
                let client = build(&server, agent).retry_policy(policy).timeout(timeout);
                let client = client.build().unwrap();
                scope.spawn(move || {
                    run(Operation::Issue, &client).unwrap();
                    let started = Instant::now();
                    let result = run(Operation::Issue, &client);
                    let timed = Timed { took: started.elapsed(), result };
                    let error = timed.assert("a kept connection", TIMEOUT);
                    let told = (error.kind(), error.is_in_doubt());
                    assert_eq!(told, (ErrorKind::Timeout, true), "{error}");
                });
            }
        }
    });
}

/// A service that is slow, and within what was granted.
#[test]
fn a_response_that_uses_its_time_is_read() {
    let server = Server::scripted(|connection| {
        let Some(request) = connection.request() else { return };
        let response = success(&request, "Connection: close\r\n");
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        thread::sleep(TIMEOUT * 7 / 10);
        connection.send(format!("{head}\r\n\r\n"));
        thread::sleep(TIMEOUT * 7 / 10);
        connection.send(body);
    });
    thread::scope(|scope| {
        for agent in [None, Some(ureq::agent())] {
            for operation in [Operation::Create, Operation::Issue] {
                let client = build(&server, agent.as_ref()).timeout(TIMEOUT);
                scope.spawn(move || {
                    let timed = run_large(operation, client.retry_policy(RetryPolicy::none()));
                    timed.result.unwrap_or_else(|error| panic!("{operation:?} {error}"));
                });
            }
        }
    });
}

/// What a server may do instead of a handshake.
const HANDSHAKES: [(&str, Script); 3] = [
    ("says nothing", |it| it.stall()),
    // A record of 16 KiB that never becomes whole.
    ("drips a record", |it| it.drip("\u{16}\u{3}\u{3}\u{40}\u{0}", "\u{2}")),
    // Records of a byte each, of a message that never becomes whole.
    ("drips records", |it| {
        it.drip(
            "\u{16}\u{3}\u{3}\u{0}\u{4}\u{2}\u{0}\u{7f}\u{7f}",
            "\u{16}\u{3}\u{3}\u{0}\u{1}\u{0}",
        );
    }),
];

/// The settings of a client, and how long it should take to connect in vain.
fn limits() -> [(RetryPolicy, Duration, Duration); 3] {
    let long = Duration::from_secs(20);
    [
        (RetryPolicy::none(), TIMEOUT, long),
        // Each limits its own part.
        (RetryPolicy::none(), TIMEOUT, TIMEOUT / 4),
        (RetryPolicy::none().deadline(TIMEOUT), long, long),
    ]
}

#[test]
fn the_connect_timeout_is_the_observed_one() {
    let agent = ureq::agent();
    let servers = HANDSHAKES.map(|(name, script)| (name, Server::scripted(script)));
    thread::scope(|scope| {
        for (name, server) in &servers {
            let endpoint = format!("https://localhost:{}", server.port());
            for (policy, connect, timeout) in limits() {
                for operation in OPERATIONS {
                    for agent in [None, Some(&agent)] {
                        let client = client_of(&endpoint, CANARY_KEY)
                            .retry_policy(policy)
                            .connect_timeout(connect)
                            .timeout(timeout);
                        let client = match agent {
                            Some(agent) => client.agent(agent.clone()),
                            None => client,
                        };
                        scope.spawn(move || {
                            let timed = run_large(operation, client);
                            let error = timed.assert(&format!("{name}: {operation:?}"), TIMEOUT);
                            let told = (error.kind(), error.is_in_doubt());
                            // Where the deadline came first, on a busy machine, nobody knows how far
                            // the attempt got.
                            let late = told == (ErrorKind::Timeout, true) && connect > TIMEOUT;
                            let never = told == (ErrorKind::Connection, false);
                            assert!(never || late, "{name}: {error}");
                        });
                    }
                }
            }
        }
    });
}

/// Asking a proxy for a connection is a part of connecting.
#[test]
fn the_connect_timeout_holds_for_proxies() {
    // One that drips its response is not limited, as the documentation says.
    let scripts: [(&str, Script); 2] = [
        ("says nothing", |it| it.stall()),
        ("connects to nothing", |it| {
            drop((it.request(), it.send("HTTP/1.1 200 OK\r\n\r\n"), it.stall()));
        }),
    ];
    let proxies = scripts.map(|(name, script)| (name, Server::scripted(script)));
    thread::scope(|scope| {
        for (name, proxy) in &proxies {
            for (policy, connect, timeout) in limits() {
                scope.spawn(move || {
                    let address = format!("http://127.0.0.1:{}", proxy.port());
                    let proxy = Proxy::new(&address).unwrap();
                    let agent = Agent::config_builder().proxy(Some(proxy)).build().new_agent();
                    let client = client_of("https://contoso.invalid", CANARY_KEY)
                        .retry_policy(policy)
                        .connect_timeout(connect)
                        .timeout(timeout)
                        .agent(agent);
                    let timed = run_large(Operation::Create, client);
                    let error = timed.assert(&format!("a proxy {name}"), TIMEOUT);
                    let told = (error.kind(), error.is_in_doubt());
                    assert_eq!(told, (ErrorKind::Connection, false), "{name}: {error}");
                });
            }
        }
    });
}
