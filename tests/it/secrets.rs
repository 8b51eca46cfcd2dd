//! A key, a token or a connection string appears in nothing that can be printed.

use std::error::Error as _;
use std::fmt::Debug;
use std::time::SystemTime;

use acs_identity::{
    AccessKey, CommunicationIdentityClient, CommunicationUserIdentifier, ConnectionString,
    Credential, Error, RequestToSign, TokenRequest,
};

use crate::http::{CANARY_KEY, Server, answer};

const CANARY_TOKEN: &str = "eyJCANARYTOKEN.eyJCANARYTOKENCANARYTOKENCANARYTOKEN.CANARYTOKEN";

fn clean(what: &str, text: &str) {
    assert!(!text.to_ascii_uppercase().contains("CANARY"), "{what}: {text}");
}

fn clean_debug(value: &impl Debug) {
    clean("Debug", &format!("{value:?}"));
    clean("Debug", &format!("{value:#?}"));
}

fn clean_error(error: &Error) {
    clean("Display", &error.to_string());
    clean_debug(error);
    for text in [error.code(), error.message(), error.target()].into_iter().flatten() {
        clean("accessor", text);
    }
    let mut cause = error.source();
    while let Some(error) = cause {
        clean("source", &error.to_string());
        clean("source", &format!("{error:?}"));
        cause = error.source();
    }
}

#[test]
fn types_hide_them() {
    let text = format!("endpoint=http://127.0.0.1:1/;accesskey={CANARY_KEY}");
    let key: AccessKey = CANARY_KEY.parse().unwrap();
    clean_debug(&key);
    clean_debug(&Credential::from(key.clone()));
    clean_debug(&text.parse::<ConnectionString>().unwrap());
    clean_debug(&CommunicationIdentityClient::from_connection_string(&text).unwrap());
    let endpoint = "https://contoso.communication.azure.com".parse().unwrap();
    clean_debug(&CommunicationIdentityClient::builder(endpoint, key.clone()));
    let request = RequestToSign {
        method: "POST",
        host: "h",
        path_and_query: "/",
        body: CANARY_TOKEN.as_bytes(),
    };
    clean_debug(&request);
    let signed = key.sign(&request, SystemTime::now()).unwrap();
    assert!(!format!("{signed:?}").contains("Signature"));
}

#[test]
fn refusals_hide_them() {
    for text in [
        CANARY_KEY.to_owned(),
        format!("accesskey={CANARY_KEY}"),
        format!("endpoint={CANARY_KEY};accesskey={CANARY_KEY}"),
        format!("endpoint=https://a/;accesskey={CANARY_KEY}!"),
        format!("endpoint=https://a/;accesskey={CANARY_KEY};accesskey={CANARY_KEY}"),
        format!("endpoint=https://a/;{CANARY_KEY}"),
        format!("endpoint=https://{CANARY_KEY}@a/;accesskey={CANARY_KEY}"),
        format!("endpoint=https://a/{CANARY_KEY};accesskey={CANARY_KEY}"),
        format!("endpoint=https://a:{CANARY_KEY};accesskey={CANARY_KEY}"),
    ] {
        clean_error(&text.parse::<ConnectionString>().unwrap_err());
    }
}

#[test]
fn tokens_hide_themselves() {
    let body = format!(
        "{{\"identity\":{{\"id\":\"8:acs:a_b\"}},\"accessToken\":{{\"token\":\"{CANARY_TOKEN}\",\"expiresOn\":\"2023-06-28T07:30:12.7039383+00:00\"}}}}"
    );
    let server = Server::answering(answer("201 Created", "application/json", &body));
    let (_, token) = server.client().create_user_and_token(["chat"]).unwrap();
    assert_eq!(token.token(), CANARY_TOKEN);
    assert_eq!(
        format!("{token:?}"),
        "AccessToken { token: [redacted], expires_on: 2023-06-28T07:30:12.7039383+00:00 }"
    );
    clean_debug(&token);
}

#[test]
fn errors_hide_what_a_server_sends_back() {
    let user: CommunicationUserIdentifier = "8:acs:a_b".parse().unwrap();
    for (status, body) in [
        ("200 OK", format!("{{\"token\":\"{CANARY_TOKEN}\"}}")),
        ("200 OK", format!("{{\"token\":\"{CANARY_TOKEN}\",\"expiresOn\":\"{CANARY_TOKEN}\"}}")),
        ("200 OK", format!("{{\"token\":\"{CANARY_TOKEN}")),
        ("200 OK", CANARY_TOKEN.to_owned()),
        ("502 Bad Gateway", format!("<html>{CANARY_KEY}</html>")),
        ("502 Bad Gateway", format!("\"{CANARY_TOKEN}\"")),
        (
            "400 Bad Request",
            format!(
                "{{\"error\":{{\"code\":\"{CANARY_TOKEN}\",\"message\":\"the token {CANARY_TOKEN} is bad\",\"target\":\"{CANARY_KEY}\"}}}}"
            ),
        ),
    ] {
        let server = Server::answering(answer(status, "application/json", &body));
        let client = server.client();
        clean_error(&client.issue_token(&user, ["chat"]).unwrap_err());
        clean_debug(&client);
    }
    // What the request carried, sent back: the signature is of no use to a reader of logs either.
    let server = Server::start(|_| {});
    let request = TokenRequest::new(["chat"]);
    clean_error(&server.client().issue_token(&user, request).unwrap_err());
    assert!(server.requests()[0].contains("Signature="));
}
