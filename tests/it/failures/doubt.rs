//! Whether a call may have taken effect: deletes that did nothing, creates that are repeated, successes
//! that cannot be trusted.

use acs_identity::{ErrorKind, RetryPolicy};

use crate::support::server::{ENVELOPE, NOT_OWNED, closing, first_then, first_then_well, response};
use crate::support::{
    Nobody, Operation, Server, agent_that_goes_to, hurried, hurried_policy, on_both_agents,
};

/// These rejections say that the earlier attempt deleted nothing.
#[test]
fn delete_that_finds_nothing_fails_if_earlier_attempts_were_rejected() {
    let refusals = [
        response("429 Too Many Requests", "", ""),
        response("429 Too Many Requests", "", ENVELOPE),
        response("503 Service Unavailable", "", ENVELOPE),
        response("503 Service Unavailable", "Retry-After: 0\r\n", ENVELOPE),
    ];
    let missing = [
        (404, response("404 Not Found", "", "")),
        (404, response("404 Not Found", "", "<html>no such page</html>")),
        (404, response("404 Not Found", "", ENVELOPE)),
        (401, response("401 Unauthorized", "", NOT_OWNED)),
    ];
    for refusal in &refusals {
        for (status, missing) in &missing {
            for agent in 0..2 {
                let server = first_then(refusal, missing);
                let client = &on_both_agents(|| hurried(&server))[agent];
                let result = Operation::Delete.run(client);
                let error = result.expect_err(&format!("{refusal} {missing}"));
                assert_eq!((error.status(), error.attempts()), (Some(*status), 2), "{error}");
                assert!(!error.is_in_doubt(), "{error}");
            }
        }
    }
}

/// The first attempt finds a port without a listener, or a host name that is unknown.
#[test]
fn delete_that_finds_nothing_fails_if_earlier_attempts_were_not_sent() {
    for first in [Some(Nobody::ADDRESS), None] {
        for (status, missing) in [
            (404, response("404 Not Found", "", "")),
            (404, response("404 Not Found", "", ENVELOPE)),
            (401, response("401 Unauthorized", "", NOT_OWNED)),
        ] {
            let server = Server::answering(closing(&missing));
            let agent = agent_that_goes_to([first, Some(server.address())]);
            let client = hurried(&server).agent(agent).build().unwrap();
            let error = Operation::Delete.run(&client).expect_err(&missing);
            assert_eq!((error.status(), error.attempts()), (Some(status), 2), "{error}");
            assert!(!error.is_in_doubt(), "{error}");
        }
    }
}

/// A 404 that does not come from the service proves nothing, whatever happened before.
#[test]
fn delete_is_not_completed_by_a_404_from_something_else() {
    for body in ["", "<html>", "null", "[]", r#"{"message":"no"}"#, r#"{"error":"no"}"#] {
        let server = first_then(
            &response("500 Internal Server Error", "", ""),
            &response("404 Not Found", "", body),
        );
        let client = hurried(&server).build().unwrap();
        let error = Operation::Delete.run(&client).expect_err(body);
        assert_eq!((error.status(), error.attempts()), (Some(404), 2), "{error}");
        assert!(error.is_in_doubt(), "{error}");
    }
}

#[test]
fn delete_that_finds_nothing_succeeds_if_an_earlier_attempt_may_have_run() {
    for missing in
        [response("404 Not Found", "", ENVELOPE), response("401 Unauthorized", "", NOT_OWNED)]
    {
        for first in [response("500 Internal Server Error", "", ""), String::new()] {
            let server = first_then(&first, &missing);
            Operation::Delete.run(&hurried(&server).build().unwrap()).expect(&missing);
            assert_eq!(server.requests().len(), 2);
        }
    }
    // Only for a delete: a revocation cannot have deleted the user.
    let server =
        first_then(&response("500 Oops", "", ""), &response("404 Not Found", "", ENVELOPE));
    let error = Operation::Revoke.run(&hurried(&server).build().unwrap()).unwrap_err();
    assert_eq!(error.status(), Some(404), "{error}");
}

#[test]
fn doubt_does_not_carry_over_to_the_next_call() {
    let server = first_then(
        &response("500 Internal Server Error", "", ""),
        &response("404 Not Found", "", ENVELOPE),
    );
    let policy = RetryPolicy::none();
    let client = hurried(&server).retry_policy(policy).build().unwrap();
    assert!(Operation::Delete.run(&client).unwrap_err().is_in_doubt());
    let error = Operation::Delete.run(&client).unwrap_err();
    assert_eq!((error.status(), error.is_in_doubt()), (Some(404), false), "{error}");
}

/// Any other 2xx may come from a captive portal or a gateway.
#[test]
fn revoke_and_delete_accept_204_only() {
    let html = "Content-Type: text/html\r\n";
    for page in [
        format!("HTTP/1.1 200 OK\r\n{html}Content-Length: 100\r\n\r\n"),
        format!("HTTP/1.1 200 OK\r\n{html}Content-Length: 100\r\n\r\n   \r\n  "),
        format!("HTTP/1.1 200 OK\r\n{html}Transfer-Encoding: chunked\r\n\r\n2\r\n  \r\n"),
        response("200 OK", html, ""),
        response("200 OK", html, "  \r\n"),
        response("200 OK", html, "<html>Sign in to the network</html>"),
        response("200 OK", "", "{}"),
        response("201 Created", "", ""),
        response("202 Accepted", "", ""),
        "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n".to_owned(),
        response("206 Partial Content", "", ""),
        response("226 IM Used", "", ""),
    ] {
        let is_complete = !page.contains("Content-Length: 100") && !page.contains("chunked");
        let server = Server::answering(closing(&page));
        for operation in [Operation::Revoke, Operation::Delete] {
            for client in on_both_agents(|| hurried(&server)) {
                let error = operation.run(&client).expect_err(&page);
                assert_eq!(error.kind(), ErrorKind::Response, "{page} {error}");
                assert!(error.is_in_doubt(), "{page} {error}");
                assert!(!is_complete || error.attempts() == 1, "{page} {error}");
            }
        }
    }
}

#[test]
fn operations_accept_their_own_success_status_only() {
    let token = r#"{"token":"t","expiresOn":"2099-01-01T00:00:00+00:00"}"#;
    for status in ["201 Created", "202 Accepted", "203 Non-Authoritative Information"] {
        let server = Server::answering(closing(&response(status, "", token)));
        for operation in [Operation::Issue, Operation::Exchange] {
            for client in on_both_agents(|| hurried(&server)) {
                let error = operation.run(&client).expect_err(status);
                assert_eq!((error.kind(), error.attempts()), (ErrorKind::Response, 1), "{error}");
                assert!(error.is_in_doubt(), "{error}");
            }
        }
    }
    for status in ["202 Accepted", "203 Non-Authoritative Information", "206 Partial Content"] {
        let server = Server::answering(closing(&response(status, "", "{}")));
        for operation in Operation::CREATES {
            let error = operation.run(&hurried(&server).build().unwrap()).expect_err(status);
            assert_eq!((error.kind(), error.attempts()), (ErrorKind::Response, 1), "{error}");
            assert!(error.is_in_doubt(), "{error}");
        }
    }
}

/// Such a 503 does not say whether the origin processed the request.
#[test]
fn create_is_not_repeated_after_a_503_from_the_front_door() {
    for page in [
        response("503 Service Unavailable", "", ""),
        response("503 Service Unavailable", "X-Azure-Ref: 0abc\r\n", "<html>Our services…</html>"),
        response("503 Service Unavailable", "", r#"{"message":"oops"}"#),
        response("503 Service Unavailable", "", r#"{"error":"OriginTimeout"}"#),
        response("503 Service Unavailable", "", r#"{"error":{"code":" \u200b"}}"#),
        response("503 Service Unavailable", "x-ms-error-code:\r\n", ""),
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 100\r\n\r\n{\"error\":".to_owned(),
    ] {
        for operation in Operation::CREATES {
            let server = Server::answering(closing(&page));
            for (calls, client) in on_both_agents(|| hurried(&server)).iter().enumerate() {
                let error = operation.run(client).expect_err(&page);
                assert_eq!((error.status(), error.attempts()), (Some(503), 1), "{page} {error}");
                assert!(error.is_in_doubt(), "{error}");
                assert_eq!(server.requests().len(), calls + 1);
            }
        }
        // Idempotent operations are still repeated.
        for operation in [Operation::Issue, Operation::Revoke, Operation::Delete] {
            let server = first_then_well(&page);
            operation.run(&hurried(&server).build().unwrap()).unwrap();
            assert_eq!(server.requests().len(), 2);
        }
        // A create is repeated too if the caller opted in.
        let server = first_then_well(&page);
        let policy = hurried_policy().retry_create_in_doubt(true);
        let client = hurried(&server).retry_policy(policy).build().unwrap();
        Operation::Create.run(&client).unwrap();
        assert_eq!(server.requests().len(), 2);
    }
}

#[test]
fn create_is_repeated_if_the_response_says_nothing_was_done() {
    for refusal in [
        response("503 Service Unavailable", "", ENVELOPE),
        response("503 Service Unavailable", "Retry-After: 0\r\n", ""),
        response("503 Service Unavailable", "Retry-After: Wed, 21 Oct 2015 07:28:00 GMT\r\n", ""),
        response("503 Service Unavailable", "retry-after-ms: 1\r\n", "<html>"),
        response("503 Service Unavailable", "x-ms-retry-after-ms: 1\r\n", ""),
        response("429 Too Many Requests", "", ""),
        response("429 Too Many Requests", "", ENVELOPE),
    ] {
        for operation in Operation::CREATES {
            let server = first_then_well(&refusal);
            operation.run(&hurried(&server).build().unwrap()).expect(&refusal);
            assert_eq!(server.requests().len(), 2);

            let server = Server::answering(closing(&refusal));
            let error = operation.run(&hurried(&server).build().unwrap()).unwrap_err();
            assert_eq!((error.attempts(), error.is_in_doubt()), (4, false), "{error}");
        }
    }
}

#[test]
fn doubt_persists_after_a_later_rejection() {
    let server = first_then(
        &response("503 Service Unavailable", "", ""),
        &response("429 Too Many Requests", "", ENVELOPE),
    );
    let policy = hurried_policy().retry_create_in_doubt(true);
    let client = hurried(&server).retry_policy(policy).build().unwrap();
    let error = Operation::Create.run(&client).unwrap_err();
    assert_eq!((error.status(), error.is_in_doubt()), (Some(429), true), "{error}");
}

/// The error's kind is that of the last attempt; the doubt covers all attempts.
#[test]
fn doubt_persists_after_a_later_attempt_cannot_connect() {
    for last in [Some(Nobody::ADDRESS), None] {
        for operation in [Operation::Issue, Operation::Revoke, Operation::Delete] {
            let server = Server::answering(closing(&response("500 Oops", "", "")));
            let agent = agent_that_goes_to([Some(server.address()), last]);
            let client = hurried(&server).agent(agent).build().unwrap();
            let error = operation.run(&client).unwrap_err();
            assert_eq!((error.kind(), error.attempts()), (ErrorKind::Connection, 4), "{error}");
            assert!(error.is_in_doubt(), "{error}");
            assert!(!error.to_string().contains("nothing was sent"), "{error}");
        }
    }
    // If no attempt was ever sent, nothing is in doubt.
    for never in [Some(Nobody::ADDRESS), None] {
        for operation in Operation::ALL {
            let server = Server::answering("");
            let agent = agent_that_goes_to([never]);
            let client = hurried(&server).agent(agent).build().unwrap();
            let error = operation.run(&client).unwrap_err();
            assert_eq!((error.kind(), error.attempts()), (ErrorKind::Connection, 4), "{error}");
            assert!(!error.is_in_doubt(), "{error}");
            assert_eq!(server.connections(), 0);
        }
    }
}
