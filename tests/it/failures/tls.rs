//! TLS failures after a request was sent, certificates, proxies, and session resumption.

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

/// An encrypted record that cannot be decrypted.
fn bad_record() -> Vec<u8> {
    [b"\x17\x03\x03\x00\x30".as_slice(), &[0x5a; 48]].concat()
}

/// Feeds the server's own TLS session a bad record, so that it sends a correctly encrypted fatal alert.
fn fatal_alert(connection: &mut Connection) {
    let tls = connection.tls();
    tls.read_tls(&mut bad_record().as_slice()).unwrap();
    assert!(tls.process_new_packets().is_err());
    let mut alert = Vec::new();
    tls.write_tls(&mut alert).unwrap();
    connection.tcp().write_all(&alert).unwrap();
}

/// What a TLS server may do after it has read and processed the whole request.
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
fn tls_request_that_was_received_is_in_doubt() {
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
            // Without a body, data that is not TLS is reported as a failed handshake, in doubt.
            let has_body = !matches!(operation, Operation::Revoke | Operation::Delete);
            let is_reported_as_sent = matches!(kind, ErrorKind::Transport | ErrorKind::Response);
            assert!(is_reported_as_sent || !has_body, "{operation:?}, {name}: {kind:?} {error}");
            assert!(error.is_in_doubt(), "{operation:?}, {name}: {error}");
            assert!(!operation.is_create() || error.attempts() == 1, "{name}: {error}");
            let requests = server.requests().len();
            assert_eq!(requests, error.attempts() as usize, "{operation:?}, {name}: {error}");
        }
    }
}

/// With TLS 1.3, the alert arrives after the request was sent, which may have been processed.
#[test]
fn tls_server_that_requires_a_client_certificate_is_reported() {
    let authority = Authority::new();
    let server = Server::with_tls(authority.server_that_wants_certificates(), |connection| {
        assert!(connection.request().is_none());
        // Reads what the client has sent in the meantime.
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

/// Closing a connection with unread data resets it.
#[test]
fn request_that_was_received_before_a_reset_is_in_doubt() {
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

/// Nothing can be sent before the handshake is over. Without a body the client cannot be sure of that: the
/// text is the same, but the error is in doubt.
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
            // The client's hello, or the first part of it.
            let _ = connection.tcp().read(&mut [0; 4096]);
            connection.send(bytes);
        });
        let endpoint = format!("https://localhost:{}", server.port());
        let mut texts = std::collections::BTreeSet::new();
        for operation in [Operation::Create, Operation::Issue, Operation::Revoke, Operation::Delete]
        {
            let hurried = || hurried(&*endpoint);
            let clients = [
                hurried(),
                hurried().agent(ureq::agent()),
                #[cfg(feature = "native-tls")]
                hurried().tls(acs_identity::Tls::NativeTls),
            ];
            for client in clients {
                let error = operation.run(&client.build().unwrap()).expect_err(name);
                assert_eq!(error.kind(), ErrorKind::Connection, "{name}: {error}");
                let has_body = matches!(operation, Operation::Create | Operation::Issue);
                assert!(!error.is_in_doubt() || !has_body, "{name}: {error}");
                let text = problem(&error);
                let consequence = if error.is_in_doubt() {
                    "; the service may have processed the request; repeating it does no harm"
                } else {
                    "; nothing was sent"
                };
                assert!(text.contains(consequence), "{name}: {error}");
                let (_, text) = text.split_once(": ").unwrap();
                texts.insert((text.split_once(';').unwrap().0.to_owned(), error.attempts()));
            }
        }
        assert_eq!(texts.len(), 1, "{name}: {texts:?}");
    }
}

#[test]
fn tls_certificate_that_is_invalid_is_reported_and_not_retried() {
    let authority = Authority::new();
    for flaw in [Flaw::OtherHost, Flaw::Expired, Flaw::NotYetValid, Flaw::UnknownIssuer] {
        let server = Server::with_tls(authority.server(flaw), respond_well);
        // The client's own agent does not trust this test's authorities.
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
                // The remedy, if it is one of the client's settings.
                assert!(!unknown || text.contains("root"), "{flaw:?} {error}");
                assert!(!text.contains("check the endpoint, the network"), "{flaw:?} {error}");
                assert_eq!(server.connections() - before, 1, "{flaw:?} {error}");
            }
        }
        assert!(server.requests().is_empty(), "{flaw:?}");
    }
}

/// A client that reaches its resource through this proxy.
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
fn proxy_that_requires_a_login_is_reported_and_not_retried() {
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
fn proxy_rejection_leaves_nothing_in_doubt() {
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

/// The client may not know that the proxy is at fault, so it must assume that the request was sent.
#[test]
fn proxy_that_is_broken_never_causes_a_second_create() {
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

/// The server closes each connection after its response, so each create needs a handshake.
#[test]
fn tls_sessions_are_resumed() {
    const CALLS: usize = 10;
    let authority = Authority::new();
    for policy in [
        RetryPolicy::none(),
        // A deadline below the timeout.
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
