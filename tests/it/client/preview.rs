//! Custom ids and reading users, which one preview version has.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use acs_identity::emulator::{Emulator, Fault, Operation};
use acs_identity::{ApiVersion, CommunicationIdentityClient, ErrorKind, RetryPolicy, TokenRequest};

use crate::support::server::answer;
use crate::support::{Server, builder, hurried, last_request};

fn client(emulator: &Emulator) -> CommunicationIdentityClient {
    builder(emulator).api_version(ApiVersion::V2025_03_02_PREVIEW).build().unwrap()
}

#[test]
fn a_custom_id_names_one_user() {
    let emulator = Emulator::start().unwrap();
    let client = client(&emulator);
    let custom_id = "alice \"é\" <a@example.com>";
    let alice = client.create_user_with_custom_id(custom_id).unwrap();
    let request = last_request(&emulator);
    assert_eq!(request.method(), "POST");
    assert_eq!(request.target(), "/identities?api-version=2025-03-02-preview");
    let body: serde_json::Value = serde_json::from_slice(request.body()).unwrap();
    assert_eq!(body, serde_json::json!({ "customId": custom_id }));
    assert_eq!(request.status(), Some(201));

    assert_eq!(client.create_user_with_custom_id(custom_id).unwrap(), alice);
    assert_eq!(last_request(&emulator).status(), Some(201));
    let bob = client.create_user_with_custom_id("bob").unwrap();
    assert_ne!(bob, alice);
    assert_ne!(client.create_user().unwrap(), *alice.identifier());
    assert_eq!(emulator.users().len(), 3);

    // Once deleted, the id is free.
    client.delete_user(bob.identifier()).unwrap();
    assert_ne!(client.create_user_with_custom_id("bob").unwrap(), bob);
}

#[test]
fn a_custom_id_comes_with_a_token_and_tells_of_earlier_ones() {
    let emulator = Emulator::start().unwrap();
    let client = client(&emulator);
    let first = client.create_user_with_custom_id("alice").unwrap();
    assert_eq!((first.custom_id(), first.last_token_issued_at()), (Some("alice"), None));

    let hour = TokenRequest::new(["chat"]).expires_in(Duration::from_secs(3_600));
    let (alice, token) = client.create_user_and_token_with_custom_id("alice", hour).unwrap();
    assert_eq!(
        last_request(&emulator).body(),
        br#"{"customId":"alice","createTokenWithScopes":["chat"],"expiresInMinutes":60}"#
    );
    assert_eq!(alice.identifier(), first.identifier());
    assert!(alice.last_token_issued_at().is_some(), "{alice:?}");
    assert!(emulator.is_token_valid(token.token()));
    assert_eq!(client.create_user_with_custom_id("alice").unwrap(), alice);
}

#[test]
fn a_user_is_read_back() {
    let emulator = Emulator::start().unwrap();
    let client = client(&emulator);
    let alice = client.create_user_with_custom_id("alice").unwrap();
    let alice = alice.identifier();
    let details = client.get_user(alice).unwrap();
    let request = last_request(&emulator);
    let target = format!(
        "/identities/{}?api-version=2025-03-02-preview",
        alice.identifier().replace(':', "%3A")
    );
    assert_eq!((request.method(), request.target()), ("GET", &*target));
    assert_eq!((request.operation(), request.body()), (Some(Operation::Get), &b""[..]));
    assert_eq!(request.header("content-type"), None);
    assert_eq!(details.identifier(), alice);
    assert_eq!(details.custom_id(), Some("alice"));
    assert_eq!(details.last_token_issued_at(), None);

    let before = SystemTime::now();
    client.issue_token(alice, ["chat"]).unwrap();
    let details = client.get_user(alice).unwrap();
    let issued_at = details.last_token_issued_at().expect("a token was issued");
    assert!(issued_at <= SystemTime::now(), "{details:?}");
    assert!(issued_at + Duration::from_secs(1) > before, "{details:?}");
    assert_eq!(issued_at.duration_since(UNIX_EPOCH).unwrap().subsec_nanos(), 0);

    let nameless = client.get_user(&client.create_user().unwrap()).unwrap();
    assert_eq!((nameless.custom_id(), nameless.last_token_issued_at()), (None, None));
}

/// The bodies that were recorded of the real service.
#[test]
fn recorded_answers_are_read() {
    for (body, custom_id, issued_at) in [
        (r#"{"customId":"alice","id":"8:acs:a_b"}"#, Some("alice"), None),
        (
            r#"{"customId":"alice","lastTokenIssuedAt":"2025-04-14T15:32:27+00:00","id":"8:acs:a_b"}"#,
            Some("alice"),
            Some(1_744_644_747),
        ),
        (r#"{"customId":null,"lastTokenIssuedAt":null,"id":"8:acs:a_b"}"#, None, None),
    ] {
        let server = Server::answering(answer("200 OK", "application/json", body));
        let version = ApiVersion::V2025_03_02_PREVIEW;
        let client = builder(&server).api_version(version).build().unwrap();
        let details = client.get_user(&"8:acs:a_b".parse().unwrap()).unwrap();
        assert_eq!(details.identifier().identifier(), "8:acs:a_b");
        assert_eq!(details.custom_id(), custom_id);
        let expected = issued_at.map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(details.last_token_issued_at(), expected);
    }
    for (body, problem) in [
        ("{}", "its body has no identity"),
        (
            r#"{"id":"8:acs:a_b","lastTokenIssuedAt":"yesterday"}"#,
            "lastTokenIssuedAt is not a valid RFC 3339 timestamp",
        ),
    ] {
        let server = Server::answering(answer("200 OK", "application/json", body));
        let version = ApiVersion::V2025_03_02_PREVIEW;
        let client = builder(&server).api_version(version).build().unwrap();
        let error = client.get_user(&"8:acs:a_b".parse().unwrap()).unwrap_err();
        let expected = format!("get_user: the service reported success (200), but {problem} [");
        assert!(error.to_string().starts_with(&expected), "{error}");
        assert_eq!(error.kind(), ErrorKind::Response);
    }
}

/// What is not a text is not there.
#[test]
fn members_of_other_types_do_not_count() {
    for odd in ["true", "-1", "7", "1.5", "null", "[1]", r#"{"a":{}}"#] {
        let body = format!(r#"{{"customId":{odd},"identity":{odd},"id":"8:acs:a_b"}}"#);
        let server = Server::answering(answer("200 OK", "application/json", &body));
        let user = "8:acs:a_b".parse().unwrap();
        let details = hurried(&server).build().unwrap().get_user(&user).unwrap();
        assert_eq!((details.identifier(), details.custom_id()), (&user, None), "{odd}");
    }
}

#[test]
fn a_user_of_another_resource_is_not_told_of() {
    let emulator = Emulator::start().unwrap();
    let error = client(&emulator).get_user(&"8:acs:a_b".parse().unwrap()).unwrap_err();
    assert_eq!((error.status(), error.code()), (Some(401), Some("IdentityNotOwned")));
}

/// Doing it twice is as good as doing it once, unlike creating a user without a name.
#[test]
fn creating_with_a_custom_id_is_tried_again_in_doubt() {
    let emulator = Emulator::start().unwrap();
    let policy = RetryPolicy::default().base_delay(Duration::from_millis(1));
    let client = builder(&emulator)
        .api_version(ApiVersion::V2025_03_02_PREVIEW)
        .retry_policy(policy)
        .build()
        .unwrap();
    emulator.inject(Fault::drop_after_processing());
    let alice = client.create_user_with_custom_id("alice").unwrap();
    assert_eq!(emulator.users(), [alice.identifier().as_ref()]);
    assert_eq!(emulator.request_count(), 2);
    emulator.inject(Fault::drop_after_processing());
    let (again, _) = client.create_user_and_token_with_custom_id("alice", ["chat"]).unwrap();
    assert_eq!((again.identifier(), emulator.request_count()), (alice.identifier(), 4));

    emulator.inject(Fault::drop_after_processing());
    assert!(client.create_user().unwrap_err().is_in_doubt());
    assert_eq!(emulator.request_count(), 5);
}

#[test]
fn versions_that_do_not_have_it_are_refused_here() {
    let emulator = Emulator::start().unwrap();
    let user = "8:acs:a_b".parse().unwrap();
    for version in [
        "2021-02-22-preview1",
        "2021-03-07",
        "2021-03-31-preview1",
        "2021-10-31-preview",
        "2021-11-01",
        "2022-06-01",
        "2022-10-01",
        "2023-08-01",
        "2023-10-01",
        "2025-06-30",
        "2026-07-22",
        "2026-09-23",
        "2025-04-01-preview",
        "2025-3-2-preview",
        "2099-01-01",
    ] {
        let expected = format!(
            "api-version {version} has neither custom ids nor get_user: set api_version(ApiVersion::V2025_03_02_PREVIEW) on the builder"
        );
        let client = builder(&emulator).api_version(version).build().unwrap();
        let errors = [
            client.create_user_with_custom_id("alice").unwrap_err(),
            client.create_user_and_token_with_custom_id("alice", ["chat"]).unwrap_err(),
            client.get_user(&user).unwrap_err(),
        ];
        for error in errors {
            assert_eq!(
                (error.kind(), error.to_string()),
                (ErrorKind::InvalidInput, expected.clone())
            );
        }
    }
    let client = client(&emulator);
    for blank in [
        client.create_user_with_custom_id(" ").unwrap_err(),
        client.create_user_and_token_with_custom_id(" ", ["chat"]).unwrap_err(),
    ] {
        assert_eq!(blank.to_string(), "custom id is empty: expected 1 to 256 characters");
    }
    assert_eq!(emulator.request_count(), 0);
}
