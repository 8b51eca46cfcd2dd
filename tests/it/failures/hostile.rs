//! Answers that no service should give, and connections that end when they like.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use acs_identity::{ErrorKind, RetryPolicy};

use super::{Operation, client_of, hurried};
use crate::http::{CANARY_KEY, Server, answer, read_request};

const CREATED: &str = "{\"identity\":{\"id\":\"8:acs:resource_user\"}}";

fn created() -> String {
    answer("201 Created", "application/json", CREATED)
}

fn run(operation: Operation, answer: impl Into<Vec<u8>>) -> (String, usize) {
    let server = Server::answering(answer);
    let client = client_of(&server.endpoint().to_string(), CANARY_KEY).build().unwrap();
    let result = operation.run(&client, &"8:acs:resource_user".parse().unwrap());
    let outcome = match result {
        Ok(()) => "ok".to_owned(),
        Err(error) => {
            let doubt = if error.is_in_doubt() { " in doubt" } else { "" };
            format!("{:?} {}{doubt}", error.kind(), error.status().unwrap_or_default())
        }
    };
    (outcome, server.requests().len())
}

#[test]
fn odd_answers_to_a_create() {
    let interim = |status: &str| format!("HTTP/1.1 {status}\r\n\r\n");
    let head = |line: &str| format!("HTTP/1.1 201 Created\r\n{line}\r\n\r\n");
    let chunked = head("Transfer-Encoding: chunked");
    for (answer, expected) in [
        // Interim answers may come before the true one.
        (interim("100 Continue") + &created(), "ok"),
        (interim("103 Early Hints\r\nLink: </a>") + &created(), "ok"),
        (interim("100 Continue").repeat(2) + &created(), "ok"),
        // The end of the connection is the end of the body.
        (format!("HTTP/1.0 201 Created\r\n\r\n{CREATED}"), "ok"),
        (format!("HTTP/1.1 201 Created\r\nConnection: close\r\n\r\n{CREATED}"), "ok"),
        (format!("{chunked}{:x}\r\n{CREATED}\r\n0\r\n\r\n", CREATED.len()), "ok"),
        // A reason that is missing, long or not ASCII.
        (created().replace(" Created", ""), "ok"),
        (created().replace("Created", &"x".repeat(2_000)), "ok"),
        // The head fits: as large as ureq takes it.
        (created().replace("Content-Type", &format!("x-long: {}\r\na", "x".repeat(20_000))), "ok"),
        // The request went out and the answer tells nothing: a user may exist.
        ("garbage\r\n\r\n".to_owned(), "Response 0 in doubt"),
        ("\r\n\r\n\r\n".to_owned(), "Transport 0 in doubt"),
        ("HTTP/9.9 201 Created\r\n\r\n".to_owned(), "Response 0 in doubt"),
        ("HTTP/1.1 99999 Created\r\n\r\n".to_owned(), "Response 0 in doubt"),
        ("HTTP/1.1 abc Created\r\n\r\n".to_owned(), "Response 0 in doubt"),
        ("SSH-2.0-OpenSSH_9.6\r\n".to_owned(), "Response 0 in doubt"),
        ("\0\0\0\0".to_owned(), "Response 0 in doubt"),
        (String::new(), "Transport 0 in doubt"),
        (interim("100 Continue"), "Transport 0 in doubt"),
        (interim("100 Continue").repeat(10_000), "Response 0 in doubt"),
        (head("no colon"), "Response 0 in doubt"),
        (head(&format!("x-long: {}", "x".repeat(100 * 1024))), "Response 0 in doubt"),
        (head(&"x-many: 1\r\n".repeat(1_000)), "Response 0 in doubt"),
        (head("Content-Length: 5\r\nContent-Length: 6") + "12345", "Response 0 in doubt"),
        (head("Content-Length: many") + CREATED, "Response 0 in doubt"),
        (head("Content-Length: -1") + CREATED, "Response 0 in doubt"),
        // A success that cannot be read.
        (format!("{chunked}zz\r\n{CREATED}\r\n0\r\n\r\n"), "Response 201 in doubt"),
        (format!("{chunked}ffffffffffffffffff\r\n{CREATED}"), "Response 201 in doubt"),
        (format!("{chunked}5\r\n{CREATED}"), "Response 201 in doubt"),
        // Its beginning has the id.
        (format!("{chunked}{:x}\r\n{CREATED}", CREATED.len()), "Response 201"),
        (head("Content-Length: 999999999999") + CREATED, "Response 201"),
        (head("Content-Length: 0"), "Response 201 in doubt"),
        ("HTTP/1.1 204 No Content\r\n\r\n".to_owned(), "Response 204 in doubt"),
        ("HTTP/1.1 299 Fine\r\nContent-Length: 0\r\n\r\n".to_owned(), "Response 299 in doubt"),
        // Clear words that are odd.
        ("HTTP/1.1 304 Not Modified\r\n\r\n".to_owned(), "Service 304"),
        (
            "HTTP/1.1 303 See Other\r\nLocation: /\r\nContent-Length: 0\r\n\r\n".to_owned(),
            "Service 303 in doubt",
        ),
        ("HTTP/1.1 418 \r\nContent-Length: 0\r\n\r\n".to_owned(), "Service 418"),
        ("HTTP/1.1 599 \r\nContent-Length: 0\r\n\r\n".to_owned(), "Service 599 in doubt"),
    ] {
        let shown: String = answer.chars().take(80).collect();
        let started = Instant::now();
        assert_eq!(run(Operation::Create, answer), (expected.to_owned(), 1), "{shown:?}");
        assert!(started.elapsed() < Duration::from_secs(10), "{shown:?}");
    }
}

#[test]
fn odd_answers_to_what_may_be_repeated() {
    for operation in [Operation::Issue, Operation::Delete] {
        for (answer, expected, attempts) in [
            ("garbage\r\n\r\n", "Response 0 in doubt", 1),
            ("HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "Response 0 in doubt", 1),
            ("HTTP/1.1 100 Continue\r\n\r\n", "Transport 0 in doubt", 4),
        ] {
            assert_eq!(run(operation, answer), (expected.to_owned(), attempts), "{answer:?}");
        }
    }
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n";
    assert_eq!(run(Operation::Issue, chunked), ("Response 200 in doubt".to_owned(), 4));
}

/// Answers each request on its connection and closes it after some; tells when it has closed one.
struct Closing {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
    closed: mpsc::Receiver<()>,
}

impl Closing {
    fn start(requests_per_connection: usize, answer: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let (log, count) = (Arc::clone(&requests), Arc::clone(&connections));
        let (sender, closed) = mpsc::channel();
        // Ends with the test program.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                for _ in 0..requests_per_connection {
                    let Some(request) = read_request(&mut stream) else { break };
                    log.lock().unwrap().push(request);
                    stream.write_all(answer.as_bytes()).unwrap();
                }
                close(stream);
                let _ = sender.send(());
            }
        });
        Self { address, requests, connections, closed }
    }
}

/// In good order: the peer has seen the end when this returns, or will at its next look.
fn close(stream: TcpStream) {
    stream.shutdown(std::net::Shutdown::Both).unwrap();
    drop(stream);
}

#[test]
fn a_kept_connection_that_the_server_closed_costs_nothing() {
    let server = Closing::start(1, created());
    for agent in [None, Some(ureq::agent())] {
        let builder = client_of(&format!("http://{}", server.address), CANARY_KEY)
            .retry_policy(RetryPolicy::none());
        let builder = match agent {
            Some(agent) => builder.agent(agent),
            None => builder,
        };
        let client = builder.build().unwrap();
        server.requests.lock().unwrap().clear();
        for made in 1..=5 {
            client.create_user().unwrap();
            server.closed.recv_timeout(Duration::from_secs(10)).unwrap();
            assert_eq!(server.requests.lock().unwrap().len(), made, "no create was sent twice");
        }
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 10);
}

#[test]
fn a_connection_that_is_said_to_close_is_not_used_again() {
    let answer = created().replace("Content-Type", "Connection: close\r\nContent-Type");
    let server = Closing::start(1, answer);
    let client = client_of(&format!("http://{}", server.address), CANARY_KEY).build().unwrap();
    for _ in 0..5 {
        client.create_user().unwrap();
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 5);
    assert_eq!(server.requests.lock().unwrap().len(), 5);
}

/// The server read the request from a kept connection and went away: it may have been done.
#[test]
fn a_kept_connection_that_dies_under_a_create_leaves_it_in_doubt() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        read_request(&mut stream).unwrap();
        // A create uses a kept connection only on the server's word.
        let kept = created().replace("Content-Type", "Connection: keep-alive\r\nContent-Type");
        stream.write_all(kept.as_bytes()).unwrap();
        read_request(&mut stream).unwrap();
        close(stream);
        // Nobody may come again.
        listener.set_nonblocking(true).unwrap();
        listener
    });
    let client = client_of(&format!("http://{address}"), CANARY_KEY)
        .timeout(Duration::from_secs(3))
        .build()
        .unwrap();
    client.create_user().unwrap();
    let error = client.create_user().unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Transport, 1), "{error}");
    assert!(error.is_in_doubt());
    let listener = server.join().unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

/// A reset, not an end: the peer has bytes that it never read.
#[test]
fn a_reset_before_the_request_was_read_leaves_a_create_in_doubt() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            // One byte is there, so the request is; the rest of it makes the system answer with a
            // reset.
            let mut stream = stream.unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            let _ = stream.read_exact(&mut [0; 1]);
        }
    });
    let client = client_of(&format!("http://{address}"), CANARY_KEY)
        .retry_policy(hurried())
        .build()
        .unwrap();
    let user = "8:acs:resource_user".parse().unwrap();
    for operation in Operation::ALL {
        let error = operation.run(&client, &user).unwrap_err();
        let create = matches!(operation, Operation::Create | Operation::CreateWithToken);
        // Where the reset came before the last byte was written, nothing was sent and a create is
        // repeated.
        if create && error.attempts() == 1 {
            assert!(error.is_in_doubt(), "{error}");
            assert_eq!(error.kind(), ErrorKind::Transport, "{error}");
        } else {
            assert_eq!(error.attempts(), 4, "{operation:?} {error}");
        }
    }
}

/// An answer that comes before the body was asked for, and answers that nobody asked for.
#[test]
fn bytes_after_an_answer_are_not_taken_for_the_next() {
    let server = Closing::start(1, created() + &answer("201 Created", "application/json", "{}"));
    let client = client_of(&format!("http://{}", server.address), CANARY_KEY).build().unwrap();
    for made in 1..=3 {
        assert_eq!(client.create_user().unwrap().identifier(), "8:acs:resource_user");
        server.closed.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(server.requests.lock().unwrap().len(), made);
    }
}
