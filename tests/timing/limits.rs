//! Documented timeouts hold, however a server tries to extend them.

use std::thread;
use std::time::{Duration, Instant};

use acs_identity::{
    CommunicationIdentityClient, CommunicationIdentityClientBuilder, Error, ErrorKind, RetryPolicy,
};
use ureq::Agent;

use crate::measured;
use crate::support::authority::{Authority, Flaw};
use crate::support::server::{Wire, success};
use crate::support::{Connection, Operation, Server, hurried, hurried_policy};

pub const TIMEOUT: Duration = Duration::from_millis(600);
/// The delay before a slow server begins.
pub const LATE: Duration = Duration::from_millis(300);
/// What a busy machine may add.
const SLACK: Duration = Duration::from_millis(200);

/// The head of a response with a body: a success, or an error if a success has no body.
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

pub type Script = fn(&mut Connection);

/// What a server does with a request, and the kind of error after the timeout.
const RESPONSES: [(&str, Script, ErrorKind); 10] = [
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
        "continues forever",
        |it| drop((it.request(), it.drip("", "HTTP/1.1 100 Continue\r\n\r\n"))),
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

/// The timeout applies to the head and then again to the body.
fn expected(name: &str) -> Duration {
    if name.ends_with("late") { LATE + TIMEOUT } else { TIMEOUT }
}

/// Operations with a body, with the largest body, and without a body.
pub const OPERATIONS: [Operation; 3] = [Operation::Create, Operation::Exchange, Operation::Delete];

/// Runs an operation; an exchange gets a body of nearly the maximum size.
pub fn run_large(operation: Operation, client: &CommunicationIdentityClient) -> Timed {
    let started = Instant::now();
    let result = if operation == Operation::Exchange {
        client.exchange_teams_user_token(&"t".repeat(16_000), "app", "user").map(drop)
    } else {
        operation.run(client)
    };
    Timed { took: started.elapsed(), result }
}

pub struct Timed {
    took: Duration,
    result: Result<(), Error>,
}

impl Timed {
    /// Asserts a failure within 10 % of the expected time, plus the slack.
    pub fn assert(&self, what: &str, expected: Duration) -> &Error {
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

pub fn build(server: &Server, agent: Option<&Agent>) -> CommunicationIdentityClientBuilder {
    let builder = hurried(server);
    match agent {
        Some(agent) => builder.agent(agent.clone()),
        None => builder,
    }
}

/// Runs each response over http with both agents and over TLS with a caller's agent, in parallel, because
/// each waits for its timeout.
fn each(
    settings: impl Fn(CommunicationIdentityClientBuilder) -> CommunicationIdentityClientBuilder,
    check: impl Fn(&str, ErrorKind, &Timed) + Sync,
) {
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
                // Handshakes take CPU time from the other measurements, so there are few.
                let with_tls = operation == Operation::Exchange;
                let tls = with_tls.then(|| ("TLS", build(tls, Some(&tls_agent))));
                let own = ("own agent", build(plain, None));
                let callers = ("caller's agent", build(plain, Some(&plain_agent)));
                for (how, client) in [own, callers].into_iter().chain(tls) {
                    let (client, check) = (settings(client).build().unwrap(), &check);
                    let what = format!("{name}: {operation:?}, {how}");
                    scope.spawn(move || {
                        measured(|| check(&what, kind, &run_large(operation, &client)));
                    });
                }
            }
        }
    });
}

#[test]
fn timeout_is_the_observed_time() {
    let settings = |client: CommunicationIdentityClientBuilder| {
        client.timeout(TIMEOUT).retry_policy(RetryPolicy::none())
    };
    each(settings, |what, kind, timed| {
        let (name, _) = what.split_once(':').unwrap();
        let error = timed.assert(what, expected(name));
        assert_eq!((error.kind(), error.is_in_doubt()), (kind, true), "{what}: {error}");
    });
}

#[test]
fn deadline_is_the_observed_time() {
    // With the default timeouts, and time for a single attempt.
    let policy = RetryPolicy::none().deadline(TIMEOUT);
    each(
        |client| client.retry_policy(policy),
        |what, kind, timed| {
            let error = timed.assert(what, TIMEOUT);
            // A busy machine may not have got as far as the head.
            assert!([kind, ErrorKind::Timeout].contains(&error.kind()), "{what}: {error}");
            assert!(error.is_in_doubt(), "{what}: {error}");
        },
    );
}

#[test]
fn deadline_holds_over_all_attempts() {
    let policy = hurried_policy().max_retries(100).deadline(TIMEOUT);
    each(
        |client| client.timeout(TIMEOUT * 2 / 5).retry_policy(policy),
        |what, _, timed| {
            timed.assert_at_most(what, TIMEOUT);
            assert!(timed.result.as_ref().expect_err(what).is_in_doubt(), "{what}");
        },
    );
}

/// The time for connecting, which a reused connection does not need, is not added.
#[test]
fn timeout_of_a_reused_connection_is_the_observed_time() {
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
                let check = move || {
                    Operation::Issue.run(&client).unwrap();
                    let timed = run_large(Operation::Issue, &client);
                    let error = timed.assert("a kept connection", TIMEOUT);
                    let told = (error.kind(), error.is_in_doubt());
                    assert_eq!(told, (ErrorKind::Timeout, true), "{error}");
                };
                scope.spawn(move || measured(check));
            }
        }
    });
}

/// The service is slow with both, but within each timeout.
#[test]
fn timeout_applies_to_head_and_body_separately() {
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
                let client = client.retry_policy(RetryPolicy::none()).build().unwrap();
                let check = move || {
                    let result = operation.run(&client);
                    result.unwrap_or_else(|error| panic!("{operation:?} {error}"));
                };
                scope.spawn(move || measured(check));
            }
        }
    });
}
