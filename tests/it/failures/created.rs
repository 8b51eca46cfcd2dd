//! The id of a created user is the only way to reach it and must not be lost.

use std::time::Duration;

use acs_identity::ErrorKind;

use crate::support::server::{ENVELOPE, ID, NOT_OWNED, closing, response};
use crate::support::{Operation, Server, hurried, hurried_policy, on_both_agents};

/// Returns the ids that the caller gets from both creates, each on both agents.
fn ids(bytes: &[u8]) -> Vec<Option<String>> {
    let server = Server::answering(bytes);
    let mut ids = Vec::new();
    for client in on_both_agents(|| hurried(&server).timeout(Duration::from_secs(2))) {
        ids.push(match client.create_user() {
            Ok(user) => Some(user.identifier().to_owned()),
            Err(error) => error.created_user_id().map(str::to_owned),
        });
        ids.push(match client.create_user_and_token(["voip"]) {
            Ok((user, _)) => Some(user.identifier().to_owned()),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Response, "{error}");
                let id = error.created_user_id();
                // A caller that only logs the error can find the user as well.
                assert!(id.is_none_or(|id| error.to_string().contains(id)), "{error}");
                id.map(str::to_owned)
            }
        });
    }
    // Nothing may be created twice.
    assert_eq!(server.requests().len(), 4);
    ids
}

fn assert_id(expected: Option<&str>, bytes: impl AsRef<[u8]>) {
    let bytes = bytes.as_ref();
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(300)]).into_owned();
    for id in ids(bytes) {
        assert_eq!(id.as_deref(), expected, "{shown}");
    }
}

fn created(body: &str) -> String {
    closing(&response("201 Created", "", body))
}

/// A response with this beginning of a longer body.
fn cut(body: &str) -> String {
    format!("HTTP/1.1 201 Created\r\nContent-Length: 5000\r\nConnection: close\r\n\r\n{body}")
}

#[test]
fn created_user_id_is_read_from_a_truncated_body() {
    for rest in [
        "",
        "}",
        "},",
        r#"},"accessToken":{"token":"eyJ"#,
        r#"},"accessToken":{"token":"a\"#,
        r#"},"accessToken":{"token":"t","expiresOn":"2099-"#,
        r#","other":[1,2"#,
    ] {
        assert_id(Some(ID), cut(&format!(r#"{{"identity":{{"id":"{ID}"{rest}"#)));
        // The same without a `Content-Length` that shows the truncation.
        assert_id(
            Some(ID),
            format!(
                "HTTP/1.1 201 Created\r\nConnection: close\r\n\r\n{{\"identity\":{{\"id\":\"{ID}\"{rest}"
            ),
        );
    }
    assert_id(
        Some(ID),
        cut(&format!(r#"{{"accessToken":{{"token":"t"}},"identity":{{"id":"{ID}""#)),
    );
    assert_id(Some(ID), cut(&format!("\n{{ \"identity\" :\t{{ \"id\" : \"{ID}\" , ")));
    assert_id(Some(ID), cut(r#"{"identity":{"id":"8:acs:resource\u005fcreated","#));
    let chunk = format!(r#"{{"identity":{{"id":"{ID}"}},"acc"#);
    let chunked = format!(
        "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{chunk}\r\n",
        chunk.len()
    );
    assert_id(Some(ID), &chunked);
}

/// A truncated id belongs to no user and is worse than none.
#[test]
fn created_user_id_that_is_truncated_is_not_returned() {
    for body in [
        r#"{"identity":{"id":"8:acs:resource_cre"#,
        r#"{"identity":{"id":"8:acs:resource_cre\"#,
        r#"{"identity":{"id":"8:acs:resource_cre\u00"#,
        r#"{"identity":{"id":""#,
        r#"{"identity":{"id":"#,
        r#"{"identity":{"#,
        r#"{"accessToken":{"token":"eyJ"#,
    ] {
        assert_id(None, cut(body));
    }
}

/// Other members and strings in the body may look the same.
#[test]
fn created_user_id_is_taken_from_its_own_place_only() {
    let inner = r#"{\"identity\":{\"id\":\"8:acs:resource_other\"}}"#;
    for body in [
        format!(r#"{{"accessToken":{{"token":"{inner}"}},"identity":{{"id":"{ID}"}},"#),
        format!(r#"{{"a":{{"identity":{{"id":"8:acs:o_o"}}}},"identity":{{"id":"{ID}"}},"#),
        format!(r#"{{"identity":{{"of":{{"id":"8:acs:o_o"}},"id":"{ID}"}},"#),
        format!(
            r#"{{"identity":{{"id":"{ID}"}},"accessToken":{{"identity":{{"id":"8:acs:o_o"}}}},"#
        ),
        format!(
            r#"{{"accessToken":{{"identity":{{"id":"8:acs:o_o"}}}},"identity":{{"id":"{ID}"}},"#
        ),
        format!(r#"{{"identity":{{"owner":["id","8:acs:o_o"],"id":"{ID}"}},"#),
    ] {
        assert_id(Some(ID), cut(&body));
    }
    assert_id(None, cut(&format!(r#"{{"accessToken":{{"token":"{inner}"}},"#)));
}

#[test]
fn created_user_id_is_read_although_the_rest_of_the_body_is_malformed() {
    let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
    let whole = format!(r#"{{"identity":{{"id":"{ID}"}}}}"#);
    for body in [
        format!("\u{feff}{whole}"),
        format!("{whole}\0"),
        format!("{whole}\0\0\0"),
        format!("{whole}{whole}"),
        format!("{whole} trailing"),
        format!(r#"{{"identity":{{"id":"{ID}"}},"number":1e999}}"#),
        format!(r#"{{"number":-1e999,"identity":{{"id":"{ID}"}}}}"#),
        format!(r#"{{"identity":{{"id":"{ID}"}},"number":NaN}}"#),
        format!(r#"{{"identity":{{"id":"{ID}"}},"deep":{deep}}}"#),
        format!(r#"{{"deep":{deep},"identity":{{"id":"{ID}"}}}}"#),
        format!(r#"{{"identity":{{"id":"{ID}"}},"control":"a{}b"}}"#, '\u{1}'),
        format!(r#"{{"identity":{{"id":"{ID}"}},"half":"\ud800"}}"#),
        format!(r#"{{"identity":{{"id":"{ID}"}},"accessToken":{{"token":7,"expiresOn":null}}}}"#),
        format!(r#"{{"identity":{{"id":"{ID}"}},"accessToken":{{"token":"t","expiresOn":"x"}}}}"#),
        format!(r#"{{"identity":{{"id":"{ID}"}},"accessToken":[]}}"#),
        format!(r#"{{"identity":{{"id":"{ID}"}},}}"#),
        // The 2020 preview's form.
        format!(r#"{{"id":"{ID}"}}"#),
    ] {
        assert_id(Some(ID), created(&body));
    }
    // Bytes of another encoding.
    let mut bytes = cut(&format!(r#"{{"identity":{{"id":"{ID}"}},"name":""#)).into_bytes();
    bytes.extend(b"M\xfcller\"}");
    assert_id(Some(ID), bytes);
    // The body is longer than the client reads.
    assert_id(Some(ID), created(&format!("{whole}{}", " ".repeat(2 * 1024 * 1024))));
}

#[test]
fn created_user_id_is_returned_with_an_unexpected_2xx() {
    let whole = format!(r#"{{"identity":{{"id":"{ID}"}}}}"#);
    for status in ["200 OK", "202 Accepted", "203 Non-Authoritative Information"] {
        let server = Server::answering(closing(&response(status, "", &whole)));
        for operation in Operation::CREATES {
            let error = operation.run(&hurried(&server).build().unwrap()).expect_err(status);
            assert_eq!(error.kind(), ErrorKind::Response, "{error}");
            assert_eq!(error.created_user_id(), Some(ID), "{error}");
        }
    }
    // The body of an error does not count, whatever it contains.
    let server = Server::answering(closing(&response("500 Oops", "", &whole)));
    let error = Operation::Create.run(&hurried(&server).build().unwrap()).unwrap_err();
    assert_eq!(error.created_user_id(), None, "{error}");
}

/// The 2020 preview has the id at the top level, where other servers have ids of their own.
#[test]
fn created_user_id_is_not_the_id_of_something_else() {
    assert_id(Some(ID), created(&format!(r#"{{"id":"{ID}"}}"#)));
    assert_id(None, created(r#"{"id":"job-17","status":"queued"}"#));
    assert_id(Some(ID), created(&format!(r#"{{"id":"job-17","identity":{{"id":"{ID}"}}}}"#)));
}

/// Not even with `retry_create_in_doubt`: the user exists.
#[test]
fn create_is_not_repeated_if_the_user_id_is_known() {
    let server = Server::answering(cut(&format!(r#"{{"identity":{{"id":"{ID}"}},"acc"#)));
    let policy = hurried_policy().retry_create_in_doubt(true);
    let client = hurried(&server).retry_policy(policy).build().unwrap();
    let error = client.create_user_and_token(["voip"]).unwrap_err();
    assert_eq!((error.created_user_id(), error.attempts()), (Some(ID), 1), "{error}");
    assert_eq!(server.requests().len(), 1);
}

/// A proxy may prepend one.
#[test]
fn error_body_is_read_despite_a_byte_order_mark() {
    let response = |status, body| closing(&response(status, "", &format!("\u{feff}{body}")));
    let server = Server::answering(response("401 Unauthorized", NOT_OWNED));
    let client = hurried(&server).build().unwrap();
    for operation in [Operation::Issue, Operation::Revoke, Operation::Delete] {
        let error = operation.run(&client).unwrap_err();
        assert_eq!((error.code(), error.attempts()), (Some("IdentityNotOwned"), 1), "{error}");
        assert!(!error.to_string().contains("regenerated"), "{error}");
    }
    let server = Server::answering(response("400 Bad Request", ENVELOPE));
    let error = Operation::Create.run(&hurried(&server).build().unwrap()).unwrap_err();
    assert_eq!((error.code(), error.message()), (Some("SomeCode"), Some("Some message.")));
}
