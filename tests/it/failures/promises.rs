//! Documented promises that an unusual server, proxy, setting or caller once broke.

use std::io::Read as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, SystemTime};

use acs_identity::{
    BearerToken, CommunicationIdentifier, CommunicationUserIdentifier, Credential, ErrorKind,
};
use ureq::{Agent, Proxy};

use crate::support::authority::{Authority, Flaw};
use crate::support::server::{NOT_OWNED, closing, response};
use crate::support::{
    Nobody, Operation, Server, agent_that_goes_to, builder, builder_with, client, hurried, user,
};

const CREATED: &str = r#"{"identity":{"id":"8:acs:a_b"}}"#;

fn answering(status: &str, body: &str) -> Server {
    Server::answering(closing(&response(status, "", body)))
}

fn bearer(token: impl Into<String>) -> Credential {
    let token = token.into();
    Credential::bearer(move |_: &str| {
        Ok(BearerToken::new(&*token, SystemTime::now() + Duration::from_secs(3_600)))
    })
}

/// The signature or token of a request.
fn secret_of(request: &str) -> &str {
    let line = request.lines().find(|line| line.to_ascii_lowercase().starts_with("authorization"));
    line.unwrap().rsplit([' ', '&']).next().unwrap().trim_start_matches("Signature=")
}

/// An attempt that failed within the handshake was not sent, so it cannot have deleted the user that the
/// next attempt does not find.
#[test]
fn delete_that_finds_nothing_fails_if_the_earlier_handshake_failed() {
    let authority = Authority::new();
    let server = Server::with_tls(authority.server(Flaw::None), |connection| {
        if connection.number == 0 {
            let _ = connection.tcp().read(&mut [0; 4096]);
        } else if connection.request().is_some() {
            connection.send(closing(&response("401 Unauthorized", "", NOT_OWNED)));
        }
    });
    let client = hurried(&server).root_certificates(authority.pem()).build().unwrap();
    let error = client.delete_user(&user()).unwrap_err();
    assert_eq!((error.code(), error.is_in_doubt()), (Some("IdentityNotOwned"), false), "{error}");
    assert_eq!(server.requests().len(), 1, "only the request that was refused");
}

#[test]
fn created_user_id_is_that_of_the_identity() {
    for body in [
        r#"{"identity":{"id":"8:acs:a_b"},"accessToken":{"id":"jti","token":"t","expiresOn":"2099-01-01T00:00:00+00:00"}}"#,
        r#"{"accessToken":{"token":"t","expiresOn":"2099-01-01T00:00:00+00:00","id":null},"identity":{"id":"8:acs:a_b","token":"u"}}"#,
        r#"{"id":"8:acs:other","identity":{"id":"8:acs:a_b"},"id":"8:acs:late","accessToken":{"token":"t","expiresOn":"2099-01-01T00:00:00+00:00"}}"#,
    ] {
        let server = answering("201 Created", body);
        let (user, token) = client(&server).create_user_and_token(["voip"]).unwrap();
        assert_eq!((user.identifier(), token.token()), ("8:acs:a_b", "t"), "{body}");
    }
    let elsewhere = r#"{"accessToken":{"id":"8:acs:a_b"}}"#;
    let error = client(&answering("201 Created", elsewhere)).create_user().unwrap_err();
    assert_eq!((error.created_user_id(), error.is_in_doubt()), (None, true), "{error}");
}

/// Some serializers write absent members as null.
#[test]
fn created_user_is_read_despite_null_members() {
    for body in [
        r#"{"accessToken":null,"identity":{"id":"8:acs:a_b"}}"#,
        r#"{"accessToken":"none","identity":{"id":"8:acs:a_b","customId":null}}"#,
        r#"{"identity":null,"id":"8:acs:a_b"}"#,
    ] {
        let server = answering("201 Created", body);
        assert_eq!(client(&server).create_user().unwrap().identifier(), "8:acs:a_b", "{body}");
    }
}

/// The server's page shows the request, escaped for HTML.
#[test]
fn error_hides_secrets_that_a_server_echoes_html_escaped() {
    let server = Server::scripted(|connection| {
        if let Some(request) = connection.request() {
            let secret = secret_of(&request);
            let page = secret.replace('+', "&#43;").replace('/', "&#x2F;").replace('=', "&#x3D;");
            connection.send(closing(&response("500 Oops", "", &format!("<p>{page}</p>"))));
        }
    });
    let with_token =
        builder_with(&server, bearer("opaque-bearer-0123456789-0123456789-0123456789"));
    for client in [client(&server), with_token.build().unwrap()] {
        // Signatures differ in which of their characters are escaped.
        for number in 0..20 {
            let user = format!("8:acs:{number}").parse().unwrap();
            let error = client.issue_token(&user, ["chat"]).unwrap_err();
            let text = format!("{error} {error:?}");
            let text = text.replace("&#43;", "+").replace("&#x2F;", "/").replace("&#x3D;", "=");
            let requests = server.requests();
            assert!(!text.contains(secret_of(requests.last().unwrap())), "{error}");
        }
    }
}

/// After a 101 the server switches to another protocol, and unassigned statuses have no meaning.
#[test]
fn doubt_remains_after_an_ambiguous_status() {
    for status in ["101 Switching Protocols", "600 Oops", "999 Oops"] {
        let server = answering(status, "");
        let error = hurried(&server).build().unwrap().create_user().unwrap_err();
        assert!(error.is_in_doubt(), "{error}");
        assert_eq!(server.requests().len(), 1);
    }
}

#[test]
fn error_does_not_say_nothing_was_sent_after_a_429() {
    for operation in [Operation::Create, Operation::Issue] {
        let server = answering("429 Too Many Requests", "");
        let agent = agent_that_goes_to([Some(server.address()), Some(Nobody::ADDRESS)]);
        let error = operation.run(&hurried(&server).agent(agent).build().unwrap()).unwrap_err();
        assert_eq!((error.kind(), error.is_in_doubt()), (ErrorKind::Connection, false), "{error}");
        assert!(!error.to_string().contains("nothing was sent"), "{error}");
        assert_eq!(server.requests().len(), 1);
    }
}

/// The head of a request must fit into the agent's buffer.
#[test]
fn bearer_token_above_16_kib_is_not_sent() {
    let server = answering("201 Created", CREATED);
    let fits = builder_with(&server, bearer("t".repeat(16 * 1024))).build().unwrap();
    fits.create_user().unwrap();
    let client = builder_with(&server, bearer("t".repeat(16 * 1024 + 1))).build().unwrap();
    for operation in [Operation::Create, Operation::Revoke, Operation::Delete] {
        let error = operation.run(&client).unwrap_err();
        let told = (error.kind(), error.is_in_doubt());
        assert_eq!(told, (ErrorKind::Credential, false), "{operation:?} {error}");
    }
    assert_eq!(server.requests().len(), 1);
}

/// ureq reads at most 20 headers from a proxy. Whether a request without a body was sent is unknown.
#[test]
fn proxy_response_with_too_many_headers_is_reported() {
    let headers = "X-Header: v\r\n".repeat(25);
    let status = "407 Proxy Authentication Required";
    let proxy = Server::answering(closing(&response(status, &headers, "")));
    let url = format!("http://user:password@{}", proxy.address());
    let agent = Agent::config_builder().proxy(Some(Proxy::new(&url).unwrap())).build().new_agent();
    let client = hurried("https://contoso.invalid").agent(agent).build().unwrap();
    for operation in [Operation::Create, Operation::Delete] {
        let error = operation.run(&client).unwrap_err();
        let told = (error.kind(), error.attempts(), error.is_in_doubt());
        let in_doubt = operation == Operation::Delete;
        assert_eq!(told, (ErrorKind::Connection, 1, in_doubt), "{operation:?} {error}");
        let text = format!("{error:?}");
        assert!(text.contains(": the proxy's response cannot be read: check the proxy"), "{text}");
        assert!(!text.contains("user:password"), "{text}");
    }
}

/// ureq adds these timeouts to an `Instant`, which panics on overflow.
#[test]
fn agent_timeouts_above_7_days_are_rejected() {
    let endless = Some(Duration::MAX);
    let config = Agent::config_builder;
    for agent in [
        config().timeout_global(endless).build().new_agent(),
        config().timeout_per_call(endless).build().new_agent(),
        config().timeout_resolve(endless).build().new_agent(),
        config().timeout_send_request(endless).build().new_agent(),
    ] {
        let error = builder("http://localhost").agent(agent).build().unwrap_err();
        assert_eq!(error.to_string(), "the agent's timeouts must be at most 7 days");
    }
    // The client sets these itself.
    let agent =
        config().timeout_connect(endless).timeout_recv_response(endless).build().new_agent();
    let server = answering("201 Created", CREATED);
    builder(&server).agent(agent).build().unwrap().create_user().unwrap();
}

/// This includes a user with the id of a Teams user or of an unknown kind.
#[test]
fn identifier_of_any_user_round_trips_through_serde() {
    for id in ["8:acs:a_b", "8:orgid:x", "8:acs:a_b_c", "odd"] {
        let user: CommunicationUserIdentifier = id.parse().unwrap();
        let identifier = CommunicationIdentifier::from(user);
        let json = serde_json::to_string(&identifier).unwrap();
        let again: CommunicationIdentifier = serde_json::from_str(&json).unwrap();
        assert_eq!(again, identifier, "{id}");
        assert_eq!(again.to_string(), id);
    }
}

/// The README writes tokens to a file line by line.
#[test]
fn access_token_with_a_line_break_is_rejected() {
    let body = "{\"token\":\"a\\nGITHUB_X=1\",\"expiresOn\":\"2099-01-01T00:00:00+00:00\"}";
    let server = answering("200 OK", body);
    let error = client(&server).issue_token(&user(), ["chat"]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Response, "{error}");
    assert!(!error.to_string().contains("GITHUB_X"), "{error}");
}

#[test]
fn token_source_error_for_an_expired_token_has_the_details_of_the_call() {
    let body = r#"{"token":"t","expiresOn":"2020-01-01T00:00:00+00:00"}"#;
    let server = Server::answering(closing(&response("200 OK", "MS-CV: cv.0\r\n", body)));
    let error = client(&server).token_source(&user(), ["chat"]).unwrap().token().unwrap_err();
    let told = (error.kind(), error.attempts(), error.status(), error.ms_cv());
    assert_eq!(told, (ErrorKind::Response, 1, Some(200), Some("cv.0")), "{error}");
    assert!(error.to_string().contains("has already expired"), "{error}");
}

#[test]
fn bearer_source_that_panics_does_not_block_later_calls() {
    let server = answering("204 No Content", "");
    let credential = Credential::bearer(|_: &str| std::panic::resume_unwind(Box::new("its own")));
    let client = builder_with(&server, credential).build().unwrap();
    for _ in 0..3 {
        assert!(catch_unwind(AssertUnwindSafe(|| client.delete_user(&user()))).is_err());
    }
    client.replace_credential(bearer("t"));
    client.delete_user(&user()).unwrap();
}
