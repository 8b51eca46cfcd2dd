//! What comes after a request was sent, certificates and proxies, and sessions
//! that are resumed.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use acs_identity::{CommunicationIdentityClient, ErrorKind, RetryPolicy};
use rustls::HandshakeKind;
use ureq::{Agent, Proxy};

use crate::support::authority::{Authority, Flaw};
use crate::support::server::respond_well;
use crate::support::{Connection, Operation, Server, hurried, hurried_policy, problem, until};

type Script = fn(&mut Connection);

/// An encrypted record that nobody can decrypt.
fn bad_record() -> Vec<u8> {
    [b"\x17\x03\x03\x00\x30".as_slice(), &[0x5a; 48]].concat()
}

/// Has our own TLS take in what makes it send a fatal alert, encrypted as it has to be.
fn fatal_alert(connection: &mut Connection) {
    let tls = connection.tls();
    tls.read_tls(&mut bad_record().as_slice()).unwrap();
    assert!(tls.process_new_packets().is_err());
    let mut alert = Vec::new();
    tls.write_tls(&mut alert).unwrap();
    connection.tcp().write_all(&alert).unwrap();
}

/// What a TLS server may do after it has read the whole request and has done what it asks for.
const AFTERWARDS: [(&str, Script); 8] = [
    ("closes", |_| {}),
    ("closes politely", |connection| {
        connection.tls().send_close_notify();
        connection.send("");
    }),
    ("junk", |connection| drop(connection.tcp().write_all(&[b'x'; 100]))),
    ("plain http", |connection| {
        drop(connection.tcp().write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
    }),
    ("a bad record", |connection| drop(connection.tcp().write_all(&bad_record()))),
    ("a record that is too long", |connection| {
        drop(
            connection
                .tcp()
                .write_all(&[b"\x17\x03\x03\xff\xff".as_slice(), &[0; 70_000]].concat()),
        );
    }),
    ("a fatal alert", fatal_alert),
    ("half a response", |connection| {
        connection.send("HTTP/1.1 204 No Con");
    }),
];

#[test]
fn what_a_tls_server_received_is_in_doubt() {
    let authority = Authority::new();
    let config = authority.server(Flaw::None);
    for (name, afterwards) in AFTERWARDS {
        for operation in [
            Operation::Create,
            Operation::CreateWithToken,
            Operation::Issue,
            Operation::Revoke,
            Operation::Delete,
        ] {
            let server = Server::with_tls(Arc::clone(&config), move |connection| {
                if connection.request().is_some() {
                    afterwards(connection);
                }
            });
            let policy = hurried_policy().max_retries(1);
            let client = hurried(&server).agent(authority.agent()).retry_policy(policy);
            let error = operation.run(&client.build().unwrap()).expect_err(name);
            let kind = error.kind();
            // Without a body, what is not TLS is told as the end of a handshake, and is in doubt.
            let has_body = !matches!(operation, Operation::Revoke | Operation::Delete);
            let is_told_as_sent = matches!(kind, ErrorKind::Transport | ErrorKind::Response);
            assert!(is_told_as_sent || !has_body, "{operation:?}, {name}: {kind:?} {error}");
            assert!(error.is_in_doubt(), "{operation:?}, {name}: {error}");
            assert!(!operation.is_create() || error.attempts() == 1, "{name}: {error}");
            let requests = server.requests().len();
            assert_eq!(requests, error.attempts() as usize, "{operation:?}, {name}: {error}");
        }
    }
}

/// With TLS 1.3, the alert comes once the request was sent: it may have been processed.
#[test]
fn tls_server_that_requires_a_client_certificate_is_named() {
    let authority = Authority::new();
    let server = Server::with_tls(authority.server_that_wants_certificates(), |connection| {
        assert!(connection.request().is_none());
        // Takes in what the client has sent in the meantime.
        connection.stall();
    });
    let client = hurried(&server).agent(authority.agent()).build().unwrap();
    for operation in Operation::ALL {
        let error = operation.run(&client).unwrap_err();
        let told = (error.kind(), error.attempts(), error.is_in_doubt());
        assert_eq!(told, (ErrorKind::Connection, 1, true), "{operation:?} {error}");
        let text = ": the server requires a client certificate: check the endpoint, or pass an agent that has a certificate; ";
        assert!(error.to_string().contains(text), "{error}");
    }
}

/// Resets the connection: closing it with bytes unread does that.
#[test]
fn what_a_server_received_and_reset_is_in_doubt() {
    for operation in Operation::ALL {
        let server = Server::scripted(|connection| drop(connection.leave_unread()));
        for agent in [None, Some(ureq::agent())] {
            let builder = hurried(&server);
            let builder = match agent {
                Some(agent) => builder.agent(agent),
                None => builder,
            };
            let error = operation.run(&builder.build().unwrap()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Transport, "{operation:?} {error}");
            assert!(error.is_in_doubt(), "{operation:?} {error}");
            assert!(!operation.is_create() || error.attempts() == 1, "{operation:?} {error}");
        }
    }
}

/// Before the handshake is over nothing can have been sent. Without a body that cannot be known for sure: the
/// text is the same, and the doubt is told.
#[test]
fn tls_handshake_that_fails_sends_nothing() {
    let failures: [(&str, &'static [u8]); 4] = [
        ("closes", b""),
        ("refuses", b"\x15\x03\x03\x00\x02\x02\x28"),
        ("plain http", b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        ("junk", &[0; 100]),
    ];
    for (name, bytes) in failures {
        let server = Server::scripted(move |connection| {
            // The client's hello, or its beginning.
            let _ = connection.tcp().read(&mut [0; 4096]);
            connection.send(bytes);
        });
        let endpoint = format!("https://localhost:{}", server.port());
        let mut texts = std::collections::BTreeSet::new();
        for operation in [Operation::Create, Operation::Issue, Operation::Revoke, Operation::Delete]
        {
            for is_callers in [false, true] {
                let client = hurried(&*endpoint);
                let client = if is_callers { client.agent(ureq::agent()) } else { client };
                let error = operation.run(&client.build().unwrap()).expect_err(name);
                assert_eq!(error.kind(), ErrorKind::Connection, "{name}: {error}");
                let has_body = matches!(operation, Operation::Create | Operation::Issue);
                assert!(!error.is_in_doubt() || !has_body, "{name}: {error}");
                let text = problem(&error);
                let (_, text) = text.split_once(": ").unwrap();
                texts.insert(text.split_once(';').unwrap().0.to_owned());
            }
        }
        assert_eq!(texts.len(), 1, "{name}: {texts:?}");
    }
}

#[test]
fn a_certificate_that_is_wrong_is_named_once() {
    let authority = Authority::new();
    for flaw in [Flaw::OtherHost, Flaw::Expired, Flaw::NotYetValid, Flaw::UnknownIssuer] {
        let server = Server::with_tls(authority.server(flaw), respond_well);
        // The client's own agent knows none of the authorities made here.
        let unknown = flaw == Flaw::UnknownIssuer;
        let agents = [Some(authority.agent()), None];
        for agent in agents.into_iter().take(if unknown { 2 } else { 1 }) {
            let builder = hurried(&server);
            let builder = match agent {
                Some(agent) => builder.agent(agent),
                None => builder,
            };
            let client = builder.build().unwrap();
            for operation in Operation::ALL {
                let before = server.connections();
                let error = operation.run(&client).expect_err("a bad certificate");
                let told = (error.kind(), error.attempts(), error.is_in_doubt());
                assert_eq!(told, (ErrorKind::Connection, 1, false), "{flaw:?} {error}");
                let text = problem(&error);
                assert!(text.contains("certificate"), "{flaw:?} {error}");
                // The remedy, where it is one of the client's settings.
                assert!(!unknown || text.contains("root"), "{flaw:?} {error}");
                assert!(!text.contains("check the endpoint, the network"), "{flaw:?} {error}");
                assert_eq!(server.connections() - before, 1, "{flaw:?} {error}");
            }
        }
        assert!(server.requests().is_empty(), "{flaw:?}");
    }
}

/// A client of a resource that is reached through this proxy.
fn through(proxy: &Server, timeout: Duration) -> CommunicationIdentityClient {
    let proxy = Proxy::new(&format!("http://user:pw@127.0.0.1:{}", proxy.port())).unwrap();
    let agent = Agent::config_builder().proxy(Some(proxy)).build().new_agent();
    hurried("https://contoso.invalid")
        .agent(agent)
        .connect_timeout(timeout)
        .retry_policy(hurried_policy().max_retries(1))
        .build()
        .unwrap()
}

#[test]
fn a_proxy_that_wants_credentials_is_named_once() {
    for response in [
        "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"\r\nConnection: close\r\n\r\n<html>",
    ] {
        let proxy = Server::answering(response);
        let client = through(&proxy, Duration::from_secs(5));
        for (number, operation) in Operation::ALL.into_iter().enumerate() {
            let error = operation.run(&client).expect_err(response);
            let told = (error.kind(), error.attempts(), error.is_in_doubt());
            assert_eq!(told, (ErrorKind::Connection, 1, false), "{operation:?} {error}");
            assert!(problem(&error).contains("407"), "{error}");
            assert!(!format!("{error} {error:?}").contains("user:pw"), "{error}");
            assert_eq!(proxy.requests().len(), number + 1, "{error}");
        }
        assert!(proxy.requests().iter().all(|request| request.starts_with("CONNECT ")));
    }
}

#[test]
fn what_a_proxy_refuses_was_not_sent() {
    for response in [
        "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 6\r\n\r\n<html>",
        "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 302 Found\r\nLocation: http://login.invalid/\r\nContent-Length: 0\r\n\r\n",
    ] {
        let proxy = Server::answering(response);
        let client = through(&proxy, Duration::from_secs(5));
        for operation in Operation::ALL {
            let error = operation.run(&client).expect_err(response);
            let told = (error.kind(), error.is_in_doubt());
            assert_eq!(told, (ErrorKind::Connection, false), "{operation:?} {response:?} {error}");
        }
    }
}

/// Whether it comes from the proxy may not be known: it is enough to be careful.
#[test]
fn a_proxy_that_is_broken_makes_nothing_twice() {
    for response in ["HTTP/1.1 20", "garbage\r\n\r\n", ""] {
        let proxy = Server::answering(response);
        let client = through(&proxy, Duration::from_secs(5));
        for operation in Operation::CREATES {
            let error = operation.run(&client).expect_err(response);
            let never_sent = error.kind() == ErrorKind::Connection && !error.is_in_doubt();
            assert!(never_sent || error.is_in_doubt() && error.attempts() == 1, "{error}");
        }
    }
}

/// Each response ends its connection, so each create makes a handshake.
#[test]
fn sessions_are_resumed() {
    const CALLS: usize = 10;
    let authority = Authority::new();
    for policy in [
        RetryPolicy::none(),
        // Below the timeout.
        RetryPolicy::none().deadline(Duration::from_secs(20)),
    ] {
        {
            let full = Arc::new(AtomicUsize::new(0));
            let resumed = Arc::new(AtomicUsize::new(0));
            let (full_count, resumed_count) = (Arc::clone(&full), Arc::clone(&resumed));
            let server = Server::with_tls(authority.server(Flaw::None), move |connection| {
                respond_well(connection);
                match connection.tls().handshake_kind() {
                    Some(HandshakeKind::Resumed) => resumed_count.fetch_add(1, Ordering::SeqCst),
                    Some(_) => full_count.fetch_add(1, Ordering::SeqCst),
                    None => 0,
                };
            });
            let builder = hurried(&server).timeout(Duration::from_secs(30)).retry_policy(policy);
            let client = builder.root_certificates(authority.pem()).build().unwrap();
            for _ in 0..CALLS {
                client.create_user().unwrap();
            }
            until(|| full.load(Ordering::SeqCst) + resumed.load(Ordering::SeqCst) == CALLS);
            assert_eq!(full.load(Ordering::SeqCst), 1, "full handshakes of {CALLS}");
        }
    }
}
