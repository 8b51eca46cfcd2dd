//! What may have happened: deletes that did nothing, creates that are made twice, successes that
//! are none.

use acs_identity::{ErrorKind, RetryPolicy};

use crate::support::server::{ENVELOPE, NOT_OWNED, closing, first_then, first_then_well, response};
use crate::support::{
    Nobody, Operation, Server, agent_that_goes_to, hurried, hurried_policy, on_both_agents,
};

/// Whoever responds so does not say that the user was deleted, and nobody has deleted it.
#[test]
fn a_delete_that_was_only_refused_before_is_not_done_because_nothing_is_found() {
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

/// Fault 1, with nothing listening and with a name that is not known at the first attempt.
#[test]
fn a_delete_that_was_never_sent_before_is_not_done_because_nothing_is_found() {
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

/// A 404 that is not the service's tells nothing, whatever was before.
#[test]
fn a_page_of_somebody_else_does_not_finish_a_delete() {
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

/// The other side of.
#[test]
fn a_delete_that_may_have_been_processed_is_done_when_the_service_finds_nothing() {
    for missing in
        [response("404 Not Found", "", ENVELOPE), response("401 Unauthorized", "", NOT_OWNED)]
    {
        for first in [response("500 Internal Server Error", "", ""), String::new()] {
            let server = first_then(&first, &missing);
            Operation::Delete.run(&hurried(&server).build().unwrap()).expect(&missing);
            assert_eq!(server.requests().len(), 2);
        }
    }
    // Only a delete: a revocation did not delete the user.
    let server =
        first_then(&response("500 Oops", "", ""), &response("404 Not Found", "", ENVELOPE));
    let error = Operation::Revoke.run(&hurried(&server).build().unwrap()).unwrap_err();
    assert_eq!(error.status(), Some(404), "{error}");
}

/// The doubt of one attempt is not one of the next call.
#[test]
fn doubt_belongs_to_one_call() {
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

/// Nothing but 204 is the success of an operation that returns nothing.
#[test]
fn a_page_that_broke_off_or_is_blank_does_not_revoke_or_delete() {
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
        let whole = !page.contains("Content-Length: 100") && !page.contains("chunked");
        let server = Server::answering(closing(&page));
        for operation in [Operation::Revoke, Operation::Delete] {
            for client in on_both_agents(|| hurried(&server)) {
                let error = operation.run(&client).expect_err(&page);
                assert_eq!(error.kind(), ErrorKind::Response, "{page} {error}");
                assert!(error.is_in_doubt(), "{page} {error}");
                assert!(!whole || error.attempts() == 1, "{page} {error}");
            }
        }
    }
}

/// A success is the status of the operation, of the others as well.
#[test]
fn another_2xx_is_not_the_success_of_an_operation() {
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

/// The front door's 503 says nothing of what the origin did.
#[test]
fn a_create_is_not_repeated_after_a_503_of_the_front_door() {
    for page in [
        response("503 Service Unavailable", "", ""),
        response("503 Service Unavailable", "X-Azure-Ref: 0abc\r\n", "<html>Our services…</html>"),
        response("503 Service Unavailable", "", r#"{"message":"oops"}"#),
        response("503 Service Unavailable", "", r#"{"error":"OriginTimeout"}"#),
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
        // What may be done twice still is.
        for operation in [Operation::Issue, Operation::Revoke, Operation::Delete] {
            let server = first_then_well(&page);
            operation.run(&hurried(&server).build().unwrap()).unwrap();
            assert_eq!(server.requests().len(), 2);
        }
        // And for those who prefer two users to none.
        let server = first_then_well(&page);
        let policy = hurried_policy().retry_create_in_doubt(true);
        let client = hurried(&server).retry_policy(policy).build().unwrap();
        Operation::Create.run(&client).unwrap();
        assert_eq!(server.requests().len(), 2);
    }
}

/// The other side of.
#[test]
fn a_create_is_repeated_after_what_says_that_nothing_was_done() {
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

/// A refusal that comes after a doubt does not end it.
#[test]
fn a_doubt_outlives_a_refusal() {
    let server = first_then(
        &response("503 Service Unavailable", "", ""),
        &response("429 Too Many Requests", "", ENVELOPE),
    );
    let policy = hurried_policy().retry_create_in_doubt(true);
    let client = hurried(&server).retry_policy(policy).build().unwrap();
    let error = Operation::Create.run(&client).unwrap_err();
    assert_eq!((error.status(), error.is_in_doubt()), (Some(429), true), "{error}");
}

/// Nor does an attempt that was never sent: its kind is that of the last attempt, the doubt that of
/// all.
#[test]
fn a_doubt_outlives_a_connection_that_fails() {
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
    // And where nothing was ever sent, there is none, however often it is tried.
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
