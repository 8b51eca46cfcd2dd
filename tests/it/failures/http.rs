//! Responses that are unusual HTTP, and responses that are not HTTP at all.

use std::thread;

use acs_identity::ErrorKind;

use crate::support::server::answer;
use crate::support::{Operation, Server, hurried, on_both_agents};

const CREATED: &str = r#"{"identity":{"id":"8:acs:resource_user"}}"#;

fn created() -> String {
    answer("201 Created", "application/json", CREATED)
}

fn interim(status: &str) -> String {
    format!("HTTP/1.1 {status}\r\n\r\n")
}

/// Runs a call; returns how it ended and the number of requests.
fn outcome(operation: Operation, response: impl Into<Vec<u8>>) -> (String, usize) {
    let server = Server::answering(response);
    let outcome = match operation.run(&hurried(&server).build().unwrap()) {
        Ok(()) => "ok".to_owned(),
        Err(error) => {
            let doubt = if error.is_in_doubt() { " in doubt" } else { "" };
            format!("{:?} {}{doubt}", error.kind(), error.status().unwrap_or_default())
        }
    };
    (outcome, server.requests().len())
}

#[test]
fn http_responses_that_are_unusual_are_read_or_classified() {
    let head = |line: &str| format!("HTTP/1.1 201 Created\r\n{line}\r\n\r\n");
    let chunked = head("Transfer-Encoding: chunked");
    for (response, expected) in [
        // Interim responses may precede the final one.
        (interim("100 Continue") + &created(), "ok"),
        (interim("103 Early Hints\r\nLink: </a>") + &created(), "ok"),
        (interim("100 Continue").repeat(2) + &created(), "ok"),
        // The body ends where the connection does.
        (format!("HTTP/1.0 201 Created\r\n\r\n{CREATED}"), "ok"),
        (format!("HTTP/1.1 201 Created\r\nConnection: close\r\n\r\n{CREATED}"), "ok"),
        // Chunks with an extension and a trailer.
        (format!("{chunked}{:x};x=y\r\n{CREATED}\r\n0\r\nx: y\r\n\r\n", CREATED.len()), "ok"),
        // A reason that is missing, empty, long or not ASCII.
        (created().replace(" Created", ""), "ok"),
        (created().replace("Created", ""), "ok"),
        (created().replace("Created", &"x".repeat(2_000)), "ok"),
        (created().replace("Created", "Créé"), "ok"),
        (created().replace("Content-Length: ", "content-length:"), "ok"),
        // A head that is just within ureq's limit.
        (created().replace("Content-Type", &format!("x-long: {}\r\na", "x".repeat(20_000))), "ok"),
        // A success that cannot be read.
        (format!("{chunked}zz\r\n{CREATED}\r\n0\r\n\r\n"), "Response 201 in doubt"),
        (format!("{chunked}ffffffffffffffffff\r\n{CREATED}"), "Response 201 in doubt"),
        (format!("{chunked}5\r\n{CREATED}"), "Response 201 in doubt"),
        // The part that arrived has the id.
        (format!("{chunked}{:x}\r\n{CREATED}", CREATED.len()), "Response 201"),
        (head("Content-Length: 999999999999") + CREATED, "Response 201"),
        (head("Content-Length: 0"), "Response 201 in doubt"),
        (interim("204 No Content"), "Response 204 in doubt"),
        (interim("299 Fine\r\nContent-Length: 0"), "Response 299 in doubt"),
        // Unusual statuses that are unambiguous.
        (interim("304 Not Modified"), "Service 304"),
        (interim("303 See Other\r\nLocation: /\r\nContent-Length: 0"), "Service 303"),
        (interim("418 \r\nContent-Length: 0"), "Service 418"),
        (interim("599 \r\nContent-Length: 0"), "Service 599 in doubt"),
    ] {
        let shown: String = response.chars().take(80).collect();
        assert_eq!(outcome(Operation::Create, response), (expected.to_owned(), 1), "{shown:?}");
    }
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n";
    assert_eq!(outcome(Operation::Issue, chunked), ("Response 200 in doubt".to_owned(), 4));
}

fn malformed() -> Vec<(&'static str, String)> {
    let head = |headers: &str| format!("HTTP/1.1 200 OK\r\n{headers}\r\n");
    vec![
        ("many headers", head(&"x-many: 1\r\n".repeat(200))),
        ("a flood of headers", head(&"x-many: 1\r\n".repeat(20_000))),
        ("a flood of interim responses", interim("100 Continue").repeat(10_000)),
        ("an oversized head", head(&format!("x: {}\r\n", "x".repeat(100_000)))),
        ("conflicting lengths", head("Content-Length: 5\r\nContent-Length: 7\r\n") + "1234567"),
        ("a length that is not a number", head("Content-Length: many\r\n")),
        ("a negative length", head("Content-Length: -1\r\n")),
        ("garbage", "what is this\r\n\r\n".to_owned()),
        ("binary garbage", "\u{0}\u{1}\u{7f}\u{15}\u{3}\u{1}\r\n\r\n".repeat(20)),
        ("nothing but NULs", "\0\0\0\0".to_owned()),
        ("HTTP/0.9", "<html>It works!</html>\r\n".to_owned()),
        ("another protocol", "SSH-2.0-OpenSSH_9.6\r\n".to_owned()),
        ("a status that is not a number", "HTTP/1.1 abc OK\r\n\r\n".to_owned()),
        ("a status of two digits", "HTTP/1.1 20 OK\r\n\r\n".to_owned()),
        ("a status of five digits", "HTTP/1.1 99999 OK\r\n\r\n".to_owned()),
        ("another version", "HTTP/3.7 200 OK\r\n\r\n".to_owned()),
        ("a header without a colon", head("no colon here\r\n")),
        ("a header without a name", head(": value\r\n")),
        ("a header name with a blank", head("two words: value\r\n")),
        ("a control character in a header", head("x: a\u{0}b\r\n")),
    ]
}

#[test]
fn http_response_that_is_malformed_is_reported_and_not_retried() {
    thread::scope(|scope| {
        for (name, bytes) in malformed() {
            scope.spawn(move || {
                let server = Server::answering(bytes);
                let mut requests = 0;
                for client in on_both_agents(|| hurried(&server)) {
                    for operation in Operation::ALL {
                        let error = operation.run(&client).expect_err(name);
                        requests += 1;
                        let told = (error.kind(), error.status(), error.attempts());
                        assert_eq!(told, (ErrorKind::Response, None, 1), "{name} {error}");
                        assert!(error.is_in_doubt(), "{name} {error}");
                        assert!(error.to_string().contains("valid HTTP"), "{name} {error}");
                        assert_eq!(server.requests().len(), requests, "{name} {error}");
                    }
                }
            });
        }
    });
}

/// A truncated head is not malformed: the request is repeated if that is safe.
#[test]
fn http_head_that_is_truncated_is_a_transport_error() {
    let interim = interim("100 Continue");
    for bytes in ["", "H", "\r\n\r\n\r\n", "HTTP/1.1 20", "HTTP/1.1 200 OK\r\nContent-Le", &interim]
    {
        for operation in Operation::ALL {
            let attempts = if operation.is_create() { 1 } else { 4 };
            let expected = ("Transport 0 in doubt".to_owned(), attempts);
            assert_eq!(outcome(operation, bytes), expected, "{operation:?} {bytes:?}");
        }
    }
}
