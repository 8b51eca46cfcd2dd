//! Bearer tokens of Entra ID instead of an access key.

use std::error::Error as _;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, SystemTime};

use acs_identity::emulator::{Emulator, Fault};
use acs_identity::{BearerToken, Credential, Error, ErrorKind, RetryPolicy};

use crate::support::{builder_with, client, last_request, text, user};

const SCOPE: &str = "https://communication.azure.com//.default";

fn in_seconds(seconds: u64) -> SystemTime {
    SystemTime::now() + Duration::from_secs(seconds)
}

/// A source that returns these tokens in turn and then always the last, each valid for an hour; and
/// the number of its calls.
fn source(texts: &'static [&'static str]) -> (Credential, Arc<AtomicU32>) {
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let credential = Credential::bearer(move |scope: &str| {
        assert_eq!(scope, SCOPE);
        let index = count.fetch_add(1, Ordering::SeqCst) as usize;
        Ok(BearerToken::new(texts[index.min(texts.len() - 1)], in_seconds(3_600)))
    });
    (credential, asked)
}

#[test]
fn bearer_token_is_sent_without_a_signature_by_all_operations() {
    let emulator = Emulator::start().unwrap();
    emulator.accept_bearer_token("entra");
    emulator.accept_teams_token("teams", user().identifier(), "x");
    let (credential, asked) = source(&["entra"]);
    let client = builder_with(&emulator, credential).build().unwrap();

    let user = client.create_user().unwrap();
    client.create_user_and_token(["chat"]).unwrap();
    client.issue_token(&user, ["voip"]).unwrap();
    client.revoke_tokens(&user).unwrap();
    client.delete_user(&user).unwrap();
    let exchanged = client.exchange_teams_user_token("teams", "x", "y").unwrap_err();
    assert_eq!(exchanged.target(), Some("appId"), "{exchanged}");

    let requests = emulator.requests();
    assert_eq!(requests.len(), 6);
    for request in requests {
        assert_eq!(request.header("authorization"), Some("Bearer entra"));
        assert_eq!(request.header("x-ms-date"), None);
        assert_eq!(request.header("date"), None);
        assert_eq!(request.header("x-ms-content-sha256"), None);
        assert!(!format!("{request:?}").contains("Bearer entra"));
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[test]
fn bearer_token_is_fetched_once_for_many_threads() {
    let emulator = Emulator::start().unwrap();
    emulator.accept_bearer_token("entra");
    let (credential, asked) = source(&["entra"]);
    let client = builder_with(&emulator, credential).build().unwrap();
    let start = Barrier::new(16);
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                start.wait();
                client.clone().create_user().unwrap();
            });
        }
    });
    assert_eq!((asked.load(Ordering::SeqCst), emulator.request_count()), (1, 16));
}

#[test]
fn bearer_token_that_is_rejected_is_replaced_once() {
    let emulator = Emulator::start().unwrap();
    emulator.accept_bearer_token("second");
    let (credential, asked) = source(&["first", "second"]);
    let client = builder_with(&emulator, credential).build().unwrap();
    client.create_user().unwrap();
    client.create_user().unwrap();

    let sent: Vec<String> = emulator
        .requests()
        .iter()
        .map(|request| request.header("authorization").unwrap().to_owned())
        .collect();
    assert_eq!(sent, ["Bearer first", "Bearer second", "Bearer second"]);
    let ids = emulator.requests();
    let id = |index: usize| ids[index].header("x-ms-client-request-id");
    assert_eq!(id(0), id(1), "two attempts of one call");
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[test]
fn bearer_token_that_is_rejected_is_replaced_once_for_many_threads() {
    let emulator = Emulator::start().unwrap();
    emulator.accept_bearer_token("second");
    let (credential, asked) = source(&["first", "second"]);
    let client = builder_with(&emulator, credential).build().unwrap();
    let start = Barrier::new(16);
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                start.wait();
                client.create_user().unwrap();
            });
        }
    });
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    assert_eq!(emulator.users().len(), 16);
}

#[test]
fn bearer_token_that_is_rejected_twice_ends_the_call() {
    let emulator = Emulator::start().unwrap();
    let (credential, asked) = source(&["refused"]);
    let error = builder_with(&emulator, credential).build().unwrap().create_user().unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::Service, Some(401)));
    let told = text(&error);
    let (told, _) = told.split_once(" (2 attempts in ").unwrap();
    assert_eq!(
        told,
        "create_user: the service responded with 401 Denied: Denied by the resource provider; check that the bearer token is for https://communication.azure.com and from the resource's tenant, and that its principal has a role on the resource"
    );
    assert_eq!((asked.load(Ordering::SeqCst), emulator.request_count()), (2, 2));
}

#[test]
fn bearer_token_is_kept_after_a_401_about_something_else() {
    let emulator = Emulator::start().unwrap();
    emulator.accept_bearer_token("entra");
    let (credential, asked) = source(&["entra"]);
    let client = builder_with(&emulator, credential).build().unwrap();
    let about_the_id = client.issue_token(&user(), ["chat"]).unwrap_err();
    assert_eq!(about_the_id.code(), Some("IdentityNotOwned"));
    assert!(about_the_id.to_string().contains("; the bearer token is not at fault ["));
    let about_teams = client.exchange_teams_user_token("expired", "a", "u").unwrap_err();
    assert_eq!(about_teams.code(), Some("InvalidAccessToken"));
    assert!(about_teams.to_string().contains("; the bearer token is not at fault ["));
    assert_eq!((asked.load(Ordering::SeqCst), emulator.request_count()), (1, 2));
}

fn fails(_scope: &str) -> Result<BearerToken, Box<dyn std::error::Error + Send + Sync>> {
    let cause = io::Error::new(io::ErrorKind::TimedOut, "nobody is home");
    Err(io::Error::other(cause).into())
}

#[test]
fn bearer_source_that_fails_sends_nothing() {
    let emulator = Emulator::start().unwrap();
    let client = builder_with(&emulator, Credential::bearer(fails)).build().unwrap();
    let error = client.create_user().unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::Credential, None));
    assert_eq!((error.attempts(), error.is_in_doubt()), (0, false));
    assert_eq!(
        text(&error),
        "create_user: could not obtain a bearer token; nothing was sent [host HOST, api-version 2023-10-01, client-request-id ID]"
    );
    let source = error.source().expect("the source's own error");
    assert!(source.is::<io::Error>());
    assert_eq!(source.to_string(), "nobody is home");
    assert_eq!(emulator.request_count(), 0);
}

/// The first attempt may have been processed, and the error must say so even though a later attempt
/// caused it.
#[test]
fn bearer_source_that_fails_between_attempts_leaves_the_call_in_doubt() {
    let emulator = Emulator::start().unwrap();
    emulator.inject(Fault::respond(500));
    emulator.inject(Fault::respond(401));
    let count = AtomicU32::new(0);
    let credential =
        Credential::bearer(move |_: &str| match count.fetch_add(1, Ordering::SeqCst) {
            0 => Ok(BearerToken::new("entra", in_seconds(3_600))),
            _ => Err("gone".into()),
        });
    let policy = RetryPolicy::default().base_delay(Duration::from_millis(1));
    let client = builder_with(&emulator, credential).retry_policy(policy).build().unwrap();
    let error = client.issue_token(&user(), ["chat"]).unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Credential, 2), "{error}");
    assert_eq!(error.status(), Some(401), "{error}");
    assert!(error.is_in_doubt());
    assert_eq!(emulator.request_count(), 2);
}

#[test]
fn bearer_token_that_is_unusable_is_rejected_and_not_kept() {
    let malformed = "the bearer token that was fetched is empty, longer than 16 KiB or has characters that are not allowed in a token: check for a line break around it";
    let expired = "the bearer token that was fetched has already expired: check its source and this machine's clock";
    for (token, life, problem) in [
        ("CANARY\n", 3_600, malformed),
        ("CANARY TOKEN", 3_600, malformed),
        ("CANARYé", 3_600, malformed),
        ("\"\u{0}CANARY", 3_600, malformed),
        ("", 3_600, malformed),
        ("CANARY", 0, expired),
    ] {
        let emulator = Emulator::start().unwrap();
        emulator.accept_bearer_token("good");
        let count = AtomicU32::new(0);
        let credential = Credential::bearer(move |_: &str| {
            Ok(match count.fetch_add(1, Ordering::SeqCst) {
                0 => BearerToken::new(token, in_seconds(life)),
                _ => BearerToken::new("good", in_seconds(3_600)),
            })
        });
        let client = builder_with(&emulator, credential).build().unwrap();
        let error = client.create_user().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Credential);
        let expected = format!(
            "create_user: {problem}; nothing was sent [host HOST, api-version 2023-10-01, client-request-id ID]"
        );
        assert_eq!(text(&error), expected);
        assert!(!format!("{error:?}").contains("CANARY"), "{error:?}");
        assert_eq!(emulator.request_count(), 0, "{token:?}");
        assert!(client.create_user().is_ok(), "{token:?}");
    }
}

#[test]
fn bearer_token_requires_https() {
    let (credential, _) = source(&["entra"]);
    let endpoint = "http://contoso.communication.azure.com";
    let error =
        acs_identity::CommunicationIdentityClient::new(endpoint, credential).map(drop).unwrap_err();
    assert_eq!(
        error.to_string(),
        "endpoint is plain http: use https (http is for loopback hosts only)"
    );
}

#[test]
fn replace_credential_switches_from_a_key_to_bearer_tokens() -> Result<(), Error> {
    let emulator = Emulator::start().unwrap();
    emulator.accept_bearer_token("entra");
    let client = client(&emulator);
    client.create_user()?;
    client.replace_credential(source(&["entra"]).0);
    client.create_user()?;
    assert_eq!(last_request(&emulator).header("authorization"), Some("Bearer entra"));
    Ok(())
}
