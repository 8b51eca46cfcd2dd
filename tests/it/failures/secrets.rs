//! No key, token or connection string appears in anything that can be printed.

use std::error::Error as _;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use acs_identity::emulator::{Emulator, Fault};
use acs_identity::{
    AccessKey, BearerToken, CallReport, CommunicationIdentityClient, CommunicationUserIdentifier,
    ConnectionString, Credential, Error, RequestToSign, TokenRequest,
};

use crate::support::server::answer;
use crate::support::{CANARY_KEY, Server, client};

const CANARY_TOKEN: &str = "eyJCANARYTOKEN.eyJCANARYTOKENCANARYTOKENCANARYTOKEN.CANARYTOKEN";

fn clean(what: &str, text: &str) {
    assert!(!text.to_ascii_uppercase().contains("CANARY"), "{what}: {text}");
}

fn clean_debug<T: Debug>(value: &T) {
    let text = format!("{value:?}");
    clean("Debug", &text);
    // The output starts with the type's name, except for errors, which are sentences.
    let path = std::any::type_name::<T>().split('<').next().unwrap_or_default();
    let name = path.rsplit("::").next().unwrap_or_default();
    assert!(text.starts_with(name) || name == "Error" && !text.is_empty(), "{name}: {text}");
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
fn secrets_are_redacted_in_debug_of_all_types() {
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
    clean_debug(&signed);
    assert!(!format!("{signed:?}").contains("Signature"));
    let user: CommunicationUserIdentifier = "8:acs:a_b".parse().unwrap();
    let client = CommunicationIdentityClient::from_connection_string(&text).unwrap();
    clean_debug(&client.token_source(&user, ["chat"]).unwrap());
}

#[test]
fn secrets_are_not_repeated_in_connection_string_errors() {
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
fn access_token_is_redacted_in_debug() {
    let body = format!(
        "{{\"identity\":{{\"id\":\"8:acs:a_b\"}},\"accessToken\":{{\"token\":\"{CANARY_TOKEN}\",\"expiresOn\":\"2023-06-28T07:30:12.7039383+00:00\"}}}}"
    );
    let server = Server::answering(answer("201 Created", "application/json", &body));
    let (_, token) = client(&server).create_user_and_token(["chat"]).unwrap();
    assert_eq!(token.token(), CANARY_TOKEN);
    assert_eq!(
        format!("{token:?}"),
        "AccessToken { token: [redacted], expires_on: 2023-06-28T07:30:12.7039383+00:00 }"
    );
    clean_debug(&token);
}

#[test]
fn error_hides_secrets_that_a_server_echoes() {
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
        let client = client(&server);
        clean_error(&client.issue_token(&user, ["chat"]).unwrap_err());
        clean_debug(&client);
    }
    // The signature of the request must not appear in the error either.
    let server = Server::start(|_| {});
    let request = TokenRequest::new(["chat"]);
    clean_error(&client(&server).issue_token(&user, request).unwrap_err());
    assert!(server.requests()[0].contains("Signature="));
}

/// The part that arrived is too short to be recognized as a secret by its length.
#[test]
fn error_hides_secrets_cut_off_by_a_truncated_body() {
    let part = &CANARY_KEY[..30];
    let wide: String = part.chars().flat_map(|c| [c, '\0']).collect();
    for framing in ["Content-Length: 500", "Transfer-Encoding: chunked", "Connection: close"] {
        for body in [
            format!("denied {part}"),
            format!("{{\"error\":{{\"message\":\"{part}"),
            format!("denied {part}\0"),
            format!("denied {part}\u{200b}"),
            format!("denied {wide}"),
        ] {
            let is_chunked = framing.ends_with("chunked");
            let body = if is_chunked { format!("fff\r\n{body}") } else { body };
            for status in ["200 OK", "403 Forbidden", "502 Bad Gateway"] {
                let response = format!("HTTP/1.1 {status}\r\n{framing}\r\n\r\n{body}");
                let error = client(&Server::answering(response)).create_user().unwrap_err();
                clean_error(&error);
            }
        }
    }
}

/// Errors repeat these headers.
#[test]
fn error_hides_the_signature_echoed_in_headers() {
    let forms: [fn(&str) -> String; 3] = [
        |sent| format!("ms-cv: HMAC-SHA256 SignedHeaders=x&Signature={sent}"),
        |sent| format!("x-azure-ref: Signature={sent}"),
        |sent| format!("Location: https://{}/{}", &sent[..30], &sent[30..]),
    ];
    for form in forms {
        let sent = Arc::new(Mutex::new(String::new()));
        let slot = Arc::clone(&sent);
        let server = Server::scripted(move |connection| {
            let Some(request) = connection.request() else { return };
            let rest = request.split("Signature=").nth(1).unwrap();
            let signature = rest.lines().next().unwrap();
            signature.clone_into(&mut slot.lock().unwrap());
            let header = form(signature);
            connection.send(format!("HTTP/1.1 302 Found\r\n{header}\r\nContent-Length: 0\r\n\r\n"));
        });
        let error = client(&server).create_user().unwrap_err();
        let part = &sent.lock().unwrap()[..12];
        assert!(!format!("{error:#}{error:?}").contains(part), "{error}");
        let ids = [error.ms_cv(), error.azure_ref()];
        assert!(!ids.into_iter().flatten().any(|id| id.contains(part)), "{error}");
    }
}

fn bearer() -> Credential {
    Credential::bearer(|_: &str| {
        Ok(BearerToken::new(CANARY_TOKEN, SystemTime::now() + Duration::from_secs(3_600)))
    })
}

#[test]
fn bearer_token_is_redacted_in_debug_and_errors() {
    clean_debug(&BearerToken::new(CANARY_TOKEN, SystemTime::now()));
    clean_debug(&bearer());
    let emulator = Emulator::start().unwrap();
    let client = CommunicationIdentityClient::new(&emulator.endpoint(), bearer()).unwrap();
    // The token is rejected: the error is about the token and must not show it.
    clean_error(&client.create_user().unwrap_err());
    emulator.accept_bearer_token(CANARY_TOKEN);
    let user = client.create_user().unwrap();
    clean_debug(&client);
    clean_debug(&client.token_source(&user, ["chat"]).unwrap());
    for request in emulator.requests() {
        assert_eq!(request.header("authorization"), Some(&*format!("Bearer {CANARY_TOKEN}")));
        clean_debug(&request);
    }
    clean_debug(&emulator);
}

/// The source's own error is passed on unchanged, so keeping secrets out of it is up to the source.
#[test]
fn bearer_source_error_appears_only_as_the_cause() {
    let server = Server::start(|_| {});
    let credential = Credential::bearer(|_: &str| -> Result<BearerToken, _> {
        Err(std::io::Error::other(format!("cannot use {CANARY_TOKEN}")).into())
    });
    let client =
        CommunicationIdentityClient::new(&server.endpoint().to_string(), credential).unwrap();
    let error = client.create_user().unwrap_err();
    clean("Display", &error.to_string());
    assert!(error.source().unwrap().to_string().contains(CANARY_TOKEN));
    clean_debug(&client);
}

#[test]
fn teams_token_is_not_repeated_in_errors_or_reports() {
    let user = "1d4b6f2a-0a5c-4b1c-9d5e-000000000003";
    let echo = format!(
        r#"{{"error":{{"code":"InvalidAccessToken","message":"Provided access token {CANARY_TOKEN} is not valid.","target":"{CANARY_TOKEN}"}}}}"#
    );
    for (status, body) in [
        ("401 Unauthorized", echo),
        ("400 Bad Request", format!("cannot read {{\"token\":\"{CANARY_TOKEN}\"}}")),
        ("500 Internal Server Error", CANARY_TOKEN.to_owned()),
        ("200 OK", format!("{{\"token\":\"{CANARY_TOKEN}\",\"expiresOn\":\"never\"}}")),
        ("200 OK", format!("{{\"accessToken\":\"{CANARY_TOKEN}\"")),
    ] {
        let server = Server::answering(answer(status, "application/json", &body));
        let reports = Arc::new(Mutex::new(Vec::<CallReport>::new()));
        let kept = Arc::clone(&reports);
        let client =
            client(&server).observed(move |report| kept.lock().unwrap().push(report.clone()));
        clean_error(&client.exchange_teams_user_token(CANARY_TOKEN, user, user).unwrap_err());
        clean_debug(&reports.lock().unwrap()[0]);
        assert!(server.requests()[0].contains(CANARY_TOKEN));
    }
    let empty = format!("{CANARY_TOKEN} ");
    let client = CommunicationIdentityClient::new("http://127.0.0.1:1", bearer()).unwrap();
    clean_error(&client.exchange_teams_user_token(&empty, "", user).unwrap_err());
}

#[test]
fn emulator_redacts_secrets_in_debug_and_errors() {
    let emulator = Emulator::builder().access_key(CANARY_KEY);
    clean_debug(&emulator);
    let emulator = emulator.start().unwrap();
    let app = "1d4b6f2a-0a5c-4b1c-9d5e-000000000001";
    emulator.accept_teams_token(CANARY_TOKEN, app, app);
    emulator.accept_bearer_token(CANARY_TOKEN);
    let fault = Fault::respond(200)
        .header("authorization", CANARY_TOKEN)
        .body(format!("{{\"token\":\"{CANARY_TOKEN}\"}}"));
    clean_debug(&fault);
    clean_debug(&emulator);

    let client =
        CommunicationIdentityClient::from_connection_string(&emulator.connection_string()).unwrap();
    client.exchange_teams_user_token(CANARY_TOKEN, app, app).unwrap();
    emulator.inject(fault);
    clean_error(&client.create_user().unwrap_err());
    for request in emulator.requests() {
        assert!(request.header("authorization").unwrap().contains("Signature="));
        assert!(!format!("{request:?}").contains("Signature="), "{request:?}");
        clean_debug(&request);
    }
    let refusal = Emulator::builder().access_key(format!("{CANARY_KEY}!")).start().unwrap_err();
    clean("Display", &refusal.to_string());
    clean_debug(&refusal);
}

/// A connection string pasted into the wrong place.
#[test]
fn invalid_arguments_are_not_repeated_in_errors() {
    let text = format!("endpoint=https://a/;accesskey={CANARY_KEY}");
    clean_error(&CommunicationIdentityClient::new(&text, bearer()).map(drop).unwrap_err());
    let builder = || CommunicationIdentityClient::builder("https://a".parse().unwrap(), bearer());
    clean_error(&builder().api_version(&*text).build().map(drop).unwrap_err());
    clean_error(&builder().application_id(text).build().map(drop).unwrap_err());
    clean_error(&" CANARY".parse::<CommunicationUserIdentifier>().unwrap_err());
}
