//! Settings that cannot be honoured are refused, and
//! texts say what they mean.

use std::time::{Duration, SystemTime};

use acs_identity::{ErrorKind, RetryPolicy};

use crate::support::server::{ENVELOPE, closing, respond_well, response};
use crate::support::{CANARY_KEY, Operation, Server, hurried, problem, user};

/// The longest body is 16 KiB, to the byte.
#[test]
fn a_body_above_16_kib_is_refused() {
    let server = Server::scripted(respond_well);
    let client = hurried(&server).build().unwrap();
    let around = serde_json::json!({ "token": "", "appId": "app", "userId": "user" });
    let most = 16 * 1024 - around.to_string().len();
    client.exchange_teams_user_token(&"t".repeat(most), "app", "user").unwrap();
    let error = client.exchange_teams_user_token(&"t".repeat(most + 1), "app", "user").unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::InvalidInput, 0), "{error}");
    assert!(!error.to_string().contains("ttt"), "{error}");
    let scopes = (0..2_000).map(|number| format!("scope{number}"));
    let error = client.issue_token(&user(), scopes.collect::<Vec<_>>()).unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::InvalidInput, 0), "{error}");
    // What counts is what is sent: a character may become six.
    let error =
        client.exchange_teams_user_token(&"\u{1}".repeat(3_000), "app", "user").unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::InvalidInput, 0), "{error}");
    assert_eq!(server.requests().len(), 1);
}

/// A delay is told in a way that a person would.
#[test]
fn delays_are_told_as_people_tell_them() {
    let later = SystemTime::now() + Duration::from_secs(99_990);
    for header in [
        format!("Retry-After: {}\r\n", httpdate::fmt_http_date(later)),
        "retry-after-ms: 99989397\r\n".to_owned(),
    ] {
        for status in ["429 Too Many Requests", "503 Service Unavailable"] {
            let server = Server::answering(closing(&response(status, &header, ENVELOPE)));
            for operation in Operation::ALL {
                let error = operation.run(&hurried(&server).build().unwrap()).unwrap_err();
                let text = problem(&error);
                let decimals = text
                    .split('.')
                    .skip(1)
                    .map(|rest| rest.bytes().take_while(u8::is_ascii_digit).count());
                assert!(decimals.max().unwrap_or(0) <= 1, "{text}");
            }
        }
    }
}

/// Whoever has to wait is told how long.
#[test]
fn a_503_tells_the_delay() {
    for status in ["429 Too Many Requests", "503 Service Unavailable"] {
        let response = closing(&response(status, "Retry-After: 77\r\n", ENVELOPE));
        let server = Server::answering(response);
        let client = hurried(&server).retry_policy(RetryPolicy::none()).build().unwrap();
        for operation in Operation::ALL {
            let error = operation.run(&client).unwrap_err();
            assert_eq!(error.retry_after(), Some(Duration::from_secs(77)));
            assert!(problem(&error).contains("77"), "{error}");
        }
    }
}

/// An id is no secret, and what looks like a key still is.
#[test]
fn an_id_in_a_message_comes_through() {
    let id = "8:acs:bbbcbc1e-9f06-482a-b5d8-20e3f26ef0cd_45ab2481-1c1c-4005-be24-0ffb879b1130";
    let message = format!("Identity '{id}' was not found.");
    let body = serde_json::json!({ "error": { "code": "NotFound", "message": message } });
    let server = Server::answering(closing(&response("404 Not Found", "", &body.to_string())));
    let client = hurried(&server).build().unwrap();
    for operation in Operation::ALL {
        let error = operation.run(&client).unwrap_err();
        assert_eq!(error.message(), Some(&*message), "{error}");
        assert!(problem(&error).contains(id), "{error}");
    }
    for secret in
        [CANARY_KEY.to_owned(), format!("{id}{CANARY_KEY}"), format!("8:acs:{CANARY_KEY}")]
    {
        let message = format!("Not '{secret}'.");
        let body = serde_json::json!({ "error": { "code": "Denied", "message": message } });
        let server = Server::answering(closing(&response("403 Forbidden", "", &body.to_string())));
        let error = Operation::Issue.run(&hurried(&server).build().unwrap()).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(&CANARY_KEY[..20]), "{error}");
    }
}
