//! The id of a user that was created is the only way to it, and must not get lost.

use std::time::Duration;

use acs_identity::ErrorKind;

use crate::support::server::{ENVELOPE, ID, NOT_OWNED, closing, response};
use crate::support::{Operation, Server, hurried, hurried_policy, on_both_agents};

/// The ids that the caller has in the end, of both creates, each on both agents.
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
                // Who only logs the error can find the user as well.
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

/// Only so much of a body that was meant to be longer.
fn cut(body: &str) -> String {
    format!("HTTP/1.1 201 Created\r\nContent-Length: 5000\r\nConnection: close\r\n\r\n{body}")
}

#[test]
fn the_body_breaks_off_after_the_id() {
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
        // The same without knowing that it was meant to be longer.
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

/// Half an id is nobody's: worse than none.
#[test]
fn an_id_that_is_cut_itself_is_not_given_out() {
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

/// Of all texts with that form, it is the one at its place.
#[test]
fn what_only_looks_like_the_id_is_not_given_out() {
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
fn the_rest_of_the_body_is_odd() {
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
    // More than anybody reads.
    assert_id(Some(ID), created(&format!("{whole}{}", " ".repeat(2 * 1024 * 1024))));
}

#[test]
fn another_2xx_with_an_id() {
    let whole = format!(r#"{{"identity":{{"id":"{ID}"}}}}"#);
    for status in ["200 OK", "202 Accepted", "203 Non-Authoritative Information"] {
        let server = Server::answering(closing(&response(status, "", &whole)));
        for operation in Operation::CREATES {
            let error = operation.run(&hurried(&server).build().unwrap()).expect_err(status);
            assert_eq!(error.kind(), ErrorKind::Response, "{error}");
            assert_eq!(error.created_user_id(), Some(ID), "{error}");
        }
    }
    // An error is no success, whatever it quotes.
    let server = Server::answering(closing(&response("500 Oops", "", &whole)));
    let error = Operation::Create.run(&hurried(&server).build().unwrap()).unwrap_err();
    assert_eq!(error.created_user_id(), None, "{error}");
}

/// The service of 2020 has the id at the top, where other servers have ids of their own.
#[test]
fn an_id_of_something_else_is_no_user() {
    assert_id(Some(ID), created(&format!(r#"{{"id":"{ID}"}}"#)));
    assert_id(None, created(r#"{"id":"job-17","status":"queued"}"#));
    assert_id(Some(ID), created(&format!(r#"{{"id":"job-17","identity":{{"id":"{ID}"}}}}"#)));
}

/// Who prefers two users to none has one already.
#[test]
fn a_create_whose_id_is_known_is_not_repeated() {
    let server = Server::answering(cut(&format!(r#"{{"identity":{{"id":"{ID}"}},"acc"#)));
    let policy = hurried_policy().retry_create_in_doubt(true);
    let client = hurried(&server).retry_policy(policy).build().unwrap();
    let error = client.create_user_and_token(["voip"]).unwrap_err();
    assert_eq!((error.created_user_id(), error.attempts()), (Some(ID), 1), "{error}");
    assert_eq!(server.requests().len(), 1);
}

/// The same for errors: what the service said is read whatever a proxy did to it.
#[test]
fn a_byte_order_mark_does_not_hide_an_error() {
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
