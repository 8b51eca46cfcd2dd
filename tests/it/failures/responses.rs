//! The client with servers that misbehave, over a real socket.

use std::error::Error as _;
use std::time::Duration;

use acs_identity::ErrorKind;

use crate::support::server::{answer, closing, response};
use crate::support::{
    Connection, Operation, Server, builder, client, hurried, on_both_agents, text, user,
};

const REQUEST_PLACEHOLDER: &str = "[host HOST, api-version 2023-10-01, client-request-id ID]";

#[test]
fn response_missing_after_a_close_is_a_transport_error() {
    let server = Server::start(|_| {});
    let error = client(&server).create_user().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transport);
    assert_eq!(
        text(&error),
        format!(
            "create_user: the connection failed before the response arrived; a user may have been created; its id is unknown, and calling again creates another {REQUEST_PLACEHOLDER}"
        ),
    );
    assert!(error.source().is_some());
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn response_head_that_is_truncated_is_a_transport_error() {
    let server = Server::answering("HTTP/1.1 201 Created\r\nContent-Le");
    let error = client(&server).create_user().unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::Transport, None));
}

#[test]
fn response_body_of_a_success_that_is_truncated_is_in_doubt() {
    let server =
        Server::answering("HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n{\"identity\":");
    let error = client(&server).create_user().unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::Response, Some(201)));
    assert_eq!(
        text(&error),
        format!(
            "create_user: the service reported success (201), but its body broke off; a user may have been created; its id is unknown, and calling again creates another {REQUEST_PLACEHOLDER}"
        ),
    );
}

#[test]
fn response_body_of_an_error_that_is_truncated_keeps_the_status() {
    let server = Server::answering(
        "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 100\r\n\r\n<html>oops, all is br",
    );
    let error = client(&server).create_user().unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::Service, Some(502)));
    assert_eq!(
        text(&error),
        format!(
            "create_user: the service responded with 502 Bad Gateway; a user may have been created; its id is unknown, and calling again creates another {REQUEST_PLACEHOLDER}"
        ),
    );
}

#[test]
fn response_body_above_1_mib_is_rejected() {
    let body = "x".repeat(2 * 1024 * 1024);
    let server = Server::answering(answer("200 OK", "application/json", &body));
    let error = client(&server).issue_token(&user(), ["voip"]).unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::Response, Some(200)));
    assert!(error.to_string().contains("but its body is longer than 1 MiB"), "{error}");

    let server = Server::answering(answer("500 Oops", "text/plain", &"y ".repeat(1_500_000)));
    let error = client(&server).issue_token(&user(), ["voip"]).unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::Service, Some(500)));
    assert!(error.to_string().len() < 700, "{error}");
}

#[test]
fn response_that_never_arrives_is_a_timeout() {
    let server = Server::scripted(Connection::stall);
    let timeout = Duration::from_millis(200);
    let error = builder(&server).timeout(timeout).build().unwrap().create_user().unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::Timeout, None));
    assert_eq!(
        text(&error),
        format!(
            "create_user: no response arrived in time; a user may have been created; its id is unknown, and calling again creates another {REQUEST_PLACEHOLDER}"
        ),
    );
}

#[test]
fn redirects_are_not_followed() {
    let other = Server::answering("HTTP/1.1 204 No Content\r\n\r\n");
    let host = other.endpoint().host().to_owned();
    for (status, reason) in [
        (300, "Multiple Choices"),
        (301, "Moved Permanently"),
        (302, "Found"),
        (303, "See Other"),
        (304, "Not Modified"),
        (305, "Use Proxy"),
        (307, "Temporary Redirect"),
        (308, "Permanent Redirect"),
    ] {
        let location = format!("Location: http://u:p@{host}/elsewhere?secret\r\n");
        let redirect = response(&format!("{status} {reason}"), &location, "");
        let server = Server::answering(closing(&redirect));
        // Including an agent that would follow them by default.
        for client in on_both_agents(|| hurried(&server)) {
            for operation in Operation::ALL {
                let error = operation.run(&client).unwrap_err();
                let told = (error.kind(), error.status(), error.attempts(), error.is_in_doubt());
                assert_eq!(told, (ErrorKind::Service, Some(status), 1, false), "{error}");
                let problem = format!(
                    ": the service responded with {status} {reason}; redirects are not followed (this one leads to {host}): check the endpoint ["
                );
                assert!(error.to_string().contains(&problem), "{error}");
            }
        }
    }
    assert_eq!(other.connections(), 0);
}

#[test]
fn response_body_without_the_expected_members_is_an_error() {
    for (body, problem) in [
        ("{}", "its body has no token"),
        ("null", "its body has no token"),
        ("[]", "its body has no token"),
        ("\"token\"", "its body has no token"),
        ("", "its body is not JSON (line 1 column 0)"),
        ("{\"token\":\"t\"", "its body is not JSON (line 1 column 12)"),
        ("{\"token\":1,\"expiresOn\":\"2023-06-28T07:30:12+00:00\"}", "its body has no token"),
        ("{\"token\":\"\",\"expiresOn\":\"2023-06-28T07:30:12+00:00\"}", "its body has no token"),
        ("{\"token\":\"t\"}", "its body has no expiresOn"),
        (
            "{\"token\":\"t\",\"expiresOn\":\"tomorrow\"}",
            "expiresOn is not a valid RFC 3339 timestamp",
        ),
    ] {
        let server = Server::answering(answer("200 OK", "application/json", body));
        let error = client(&server).issue_token(&user(), ["voip"]).unwrap_err();
        assert_eq!((error.kind(), error.status()), (ErrorKind::Response, Some(200)), "{body}");
        assert_eq!(
            text(&error),
            format!(
                "issue_token: the service reported success (200), but {problem} {REQUEST_PLACEHOLDER}"
            ),
        );
    }
    for body in [
        "{}",
        "[7]",
        "{\"identity\":{}}",
        "{\"identity\":{\"id\":7}}",
        "{\"identity.id\":\"8:acs:a_b\"}",
    ] {
        let server = Server::answering(answer("201 Created", "application/json", body));
        let error = client(&server).create_user().unwrap_err();
        assert_eq!(
            text(&error),
            format!(
                "create_user: the service reported success (201), but its body has no identity; a user may have been created; its id is unknown, and calling again creates another {REQUEST_PLACEHOLDER}"
            ),
        );
    }
}

/// The error states the line and column and does not quote the body.
#[test]
fn response_body_that_is_not_json_is_located() {
    for (body, place) in [
        ("{\"token\":\"t\"", "its body is not JSON (line 1 column 12)"),
        ("{\n \"token\": CANARY", "its body is not JSON (line 2 column 11)"),
    ] {
        let server = Server::answering(answer("200 OK", "application/json", body));
        let error = client(&server).issue_token(&user(), ["voip"]).unwrap_err();
        assert!(error.to_string().contains(place), "{error}");
        assert!(!format!("{error:?}").contains("CANARY"), "{error:?}");
    }
}

#[test]
fn created_user_id_is_in_the_error_if_the_token_is_missing() {
    let server = Server::answering(answer(
        "201 Created",
        "application/json",
        "{\"identity\":{\"id\":\"8:acs:a_b\"}}",
    ));
    let error = client(&server).create_user_and_token(["voip"]).unwrap_err();
    assert_eq!(error.created_user_id(), Some("8:acs:a_b"));
    assert_eq!(error.kind(), ErrorKind::Response);
    assert_eq!(
        text(&error),
        format!(
            "create_user_and_token: the service reported success (201), but its body has no token; the user 8:acs:a_b was created: issue a token for it or delete it {REQUEST_PLACEHOLDER}"
        ),
    );
}

#[test]
fn error_body_that_is_malformed_keeps_the_status() {
    let advice = "; try again later";
    for (body, shown) in [
        ("<html>\r\n<h1>Bad Gateway</h1>\r\n</html>", ": <html> <h1>Bad Gateway</h1> </html>"),
        ("{\"message\":\"oops\"}", ": {\"message\":\"oops\"}"),
        ("{\"error\":\"notanobject\"}", ": {\"error\":\"notanobject\"}"),
        (
            "{\"error\":{\"code\":123,\"message\":null}}",
            ": {\"error\":{\"code\":123,\"message\":null}}",
        ),
        ("{\"error\":{\"code\":\"", ": {\"error\":{\"code\":\""),
        ("null", ": null"),
        ("[1]", ": [1]"),
        ("\u{1b}[31mred\u{7}", ": [31mred"),
        ("", ""),
    ] {
        let server = Server::answering(answer("502 Bad Gateway", "text/html", body));
        let error = client(&server).issue_token(&user(), ["voip"]).unwrap_err();
        assert_eq!((error.kind(), error.status()), (ErrorKind::Service, Some(502)), "{body}");
        assert_eq!(
            text(&error),
            format!(
                "issue_token: the service responded with 502 Bad Gateway{shown}{advice} {REQUEST_PLACEHOLDER}"
            ),
        );
    }
    let code = r#"{"error":{"code":"Oops"}}"#;
    let server = Server::answering(answer("400 Bad Request", "application/json", code));
    let error = client(&server).issue_token(&user(), ["voip"]).unwrap_err();
    let expected =
        format!("issue_token: the service responded with 400 Oops {REQUEST_PLACEHOLDER}");
    assert_eq!(text(&error), expected);
    let server = Server::answering(
        [b"HTTP/1.1 500 Oops\r\nContent-Length: 3\r\n\r\n\xff\xfe\0".as_slice()].concat(),
    );
    assert_eq!(client(&server).create_user().unwrap_err().status(), Some(500));
}

/// Such a token would break the header or the line that a caller puts it into.
#[test]
fn access_token_with_invalid_characters_is_rejected() {
    for odd in [" ", "  ", "é", r"\n", r"\r\n", r"\u0000"] {
        let body = format!(r#"{{"token":"a{odd}b","expiresOn":"2030-01-01T00:00:00+00:00"}}"#);
        let server = Server::answering(answer("200 OK", "application/json", &body));
        let error = client(&server).issue_token(&user(), ["chat"]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Response);
        let problem = "issue_token: the service reported success (200), but its token has characters that are not allowed in a token [";
        assert!(error.to_string().starts_with(problem), "{odd:?} {error}");
    }
}
