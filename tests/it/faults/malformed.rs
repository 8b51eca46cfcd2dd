//! Fault 6: a response that is not HTTP is called that, and not asked for again.

use acs_identity::ErrorKind;

use super::{builder, clients, run};
use crate::failures::Operation;
use crate::http::Server;

fn malformed() -> Vec<(&'static str, String)> {
    let many = "x-many: 1\r\n".repeat(200);
    let head = |headers: &str| format!("HTTP/1.1 200 OK\r\n{headers}\r\n");
    vec![
        ("too many headers", head(&format!("{many}Content-Length: 0\r\n"))),
        ("an oversized head", head(&format!("x: {}\r\n", "x".repeat(100_000)))),
        ("conflicting lengths", head("Content-Length: 5\r\nContent-Length: 7\r\n") + "1234567"),
        ("no number as the length", head("Content-Length: many\r\n")),
        ("a negative length", head("Content-Length: -1\r\n")),
        ("garbage", "what is this\r\n\r\n".to_owned()),
        ("binary garbage", "\u{0}\u{1}\u{7f}\u{15}\u{3}\u{1}\r\n\r\n".repeat(20)),
        ("HTTP/0.9", "<html>It works!</html>\r\n".to_owned()),
        ("another protocol", "SSH-2.0-OpenSSH_9.6\r\n\r\n".to_owned()),
        ("a status that is no number", "HTTP/1.1 abc OK\r\n\r\n".to_owned()),
        ("a status of two digits", "HTTP/1.1 20 OK\r\n\r\n".to_owned()),
        ("another version", "HTTP/3.7 200 OK\r\n\r\n".to_owned()),
        ("a header without a colon", head("no colon here\r\n")),
        ("a header without a name", head(": value\r\n")),
        ("a header name with a blank", head("two words: value\r\n")),
        ("a control character in a header", head("x: a\u{0}b\r\n")),
    ]
}

#[test]
fn a_malformed_response_is_named_and_not_asked_for_again() {
    std::thread::scope(|scope| {
        for (name, bytes) in malformed() {
            scope.spawn(move || {
                let server = Server::answering(bytes);
                let mut requests = 0;
                for client in clients(&server, |builder| builder) {
                    for operation in Operation::ALL {
                        let error = run(operation, &client).expect_err(name);
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

/// What broke off is not malformed: it is repeated where that does no harm.
#[test]
fn a_head_that_breaks_off_is_a_broken_connection() {
    for bytes in ["", "H", "HTTP/1.1 20", "HTTP/1.1 200 OK\r\nContent-Le"] {
        let server = Server::answering(bytes);
        for operation in Operation::ALL {
            let error = run(operation, &builder(&server).build().unwrap()).expect_err(bytes);
            assert_eq!(error.kind(), ErrorKind::Transport, "{bytes} {error}");
            assert!(error.is_in_doubt(), "{bytes} {error}");
            let once = matches!(operation, Operation::Create | Operation::CreateWithToken);
            assert_eq!(error.attempts(), if once { 1 } else { 4 }, "{bytes} {error}");
        }
    }
}

/// Odd, and valid.
#[test]
fn what_is_valid_is_read() {
    let body = r#"{"identity":{"id":"8:acs:a_b"}}"#;
    for bytes in [
        format!("HTTP/1.0 201 Created\r\n\r\n{body}"),
        format!("HTTP/1.1 201\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
        format!("HTTP/1.1 201 \r\ncontent-length:{}\r\n\r\n{body}", body.len()),
        format!(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nConnection: close\r\n\r\n{body}"
        ),
        format!(
            "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n1f;x=y\r\n{body}\r\n0\r\nx: y\r\n\r\n"
        ),
    ] {
        let server = Server::answering(bytes.clone());
        for client in clients(&server, |builder| builder) {
            let user = client.create_user().unwrap_or_else(|error| panic!("{bytes} {error:?}"));
            assert_eq!(user.identifier(), "8:acs:a_b");
        }
    }
}
