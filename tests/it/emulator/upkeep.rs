//! What a test asks of the emulator itself: reset, counts, tokens, seed, and the lines of its log.

use std::time::{Duration, SystemTime};

use acs_identity::emulator::{Emulator, Fault, IssuedToken, Operation};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::control::control;
use super::{call, create, encoded, exchange, post};
use crate::support::client;

const CREATE: &str = r#"{"createTokenWithScopes":["chat"],"expiresInMinutes":60}"#;

/// A client of this machine does not connect to 0.0.0.0, which not every system takes for loopback.
#[test]
fn endpoint_is_the_address_or_loopback() {
    for (address, host) in [
        ("0.0.0.0:0", "http://127.0.0.1:"),
        ("127.0.0.2:0", "http://127.0.0.2:"),
        ("[::]:0", "http://[::1]:"),
    ] {
        let Ok(emulator) = Emulator::builder().address(address.parse().unwrap()).start() else {
            assert_ne!(address, "0.0.0.0:0", "some systems lack 127.0.0.2 or IPv6");
            continue;
        };
        assert!(emulator.endpoint().starts_with(host), "{}", emulator.endpoint());
        let before = SystemTime::now();
        client(&emulator).create_user().unwrap();
        assert!((before..=SystemTime::now()).contains(&emulator.requests()[0].time()));
    }
}

#[test]
fn debug_shows_the_address_and_the_effect_of_a_fault() {
    let builder = Emulator::builder().access_key("c2VjcmV0");
    assert_eq!(format!("{builder:?}"), "EmulatorBuilder { address: 127.0.0.1:0, .. }");
    let emulator = builder.start().unwrap();
    let endpoint = emulator.endpoint();
    assert_eq!(format!("{emulator:?}"), format!("Emulator {{ endpoint: {endpoint:?}, .. }}"));
    let fault = format!("{:?}", Fault::respond(503).body("CANARY"));
    assert!(fault.contains("Response { status: 503, .. }"), "{fault}");
}

#[test]
fn reset_forgets_what_happened_and_restores_what_start_set() {
    let minutes = Duration::from_secs(600);
    let emulator = Emulator::builder()
        .throttling(true)
        .clock_ahead(minutes)
        .fault(Fault::respond(503).on(Operation::Delete))
        .start()
        .unwrap();
    emulator.accept_bearer_token("bearer");
    emulator.accept_teams_token("entra", "a", "b");
    let resets: [&dyn Fn(); 2] = [&|| emulator.reset(), &|| {
        assert_eq!(control(&emulator, "POST", "reset", "").status, 204);
    }];
    for reset in resets {
        let created = post("/identities", CREATE).send(&emulator);
        let (id, token) = (created.text("id"), created.text("token"));
        assert!(emulator.is_token_valid(token));
        let delete = call("DELETE", format!("/identities/{id}?{}", super::VERSION), "");
        assert_eq!(delete.send(&emulator).status, 503, "the fault of the start");
        emulator.inject(Fault::respond(500).times(9));
        emulator.advance_clock(minutes * 200);
        reset();

        assert!(!emulator.is_token_valid(token) && emulator.users().is_empty());
        assert_eq!((emulator.request_count(), emulator.requests().len()), (0, 0));
        assert_eq!(emulator.operation_count(Operation::Create), 0);
        let pending: Vec<_> = emulator.pending_faults().iter().map(Fault::to_string).collect();
        assert_eq!(pending, ["delete:503"]);
        let bearer = format!("POST /identities?{} HTTP/1.1\r\nHost: a\r\n", super::VERSION);
        let response =
            exchange(&emulator, &format!("{bearer}Authorization: Bearer bearer\r\n\r\n"));
        let response = response.unwrap();
        assert_eq!(response.status, 201, "no fault, and the bearer token is still accepted");
        let date = httpdate::parse_http_date(response.header("Date").unwrap()).unwrap();
        let ahead = date.duration_since(SystemTime::now()).unwrap();
        assert!((minutes / 2..=minutes).contains(&ahead), "the clock is as it was: {ahead:?}");
        let body = r#"{"token":"entra","appId":"a","userId":"b"}"#;
        let response = post("/teamsUser/:exchangeAccessToken", body).send(&emulator);
        assert_eq!(response.text("code"), "ValidationError", "not InvalidAccessToken");
    }
}

#[test]
fn counts_include_each_request_whatever_became_of_it() {
    let emulator = Emulator::start().unwrap();
    let id = create(&emulator);
    emulator.inject(Fault::drop_before_processing());
    let revoke = post(&format!("/identities/{}/:revokeAccessTokens", encoded(&id)), "");
    assert!(exchange(&emulator, &revoke.signed(&emulator)).is_err());
    assert_eq!(revoke.send(&emulator).status, 204);
    post("/nowhere", "").send(&emulator);
    let count = |operation| emulator.operation_count(operation);
    assert_eq!(count(Operation::Create), 1);
    assert_eq!(count(Operation::Revoke), 2);
    assert_eq!(count(Operation::Delete), 0);
    assert_eq!(emulator.request_count(), 4);
}

#[test]
fn tokens_of_returns_those_that_are_valid() {
    let emulator = Emulator::start().unwrap();
    let before = SystemTime::now();
    let created = post("/identities", CREATE).send(&emulator);
    let id = created.text("id");
    let issue = format!("/identities/{}/:issueAccessToken", encoded(id));
    post(&issue, r#"{"scopes":["voip","chat"]}"#).send(&emulator);

    let tokens = emulator.tokens_of(id).unwrap();
    let scopes: Vec<&[String]> = tokens.iter().map(IssuedToken::scopes).collect();
    assert_eq!(scopes, [&["chat"][..], &["voip", "chat"]]);
    let life = tokens[0].expires_on().duration_since(before).unwrap();
    assert!((3_599..3_610).contains(&life.as_secs()), "{life:?}");

    emulator.advance_clock(Duration::from_secs(3_600));
    assert_eq!(emulator.tokens_of(id).unwrap().len(), 1);
    let mut revoke = post(&format!("/identities/{}/:revokeAccessTokens", encoded(id)), "");
    revoke.date += Duration::from_secs(3_600);
    assert_eq!(revoke.send(&emulator).status, 204);
    assert_eq!(emulator.tokens_of(id).unwrap().len(), 0);
    assert!(emulator.tokens_of("8:acs:nobody").is_none());
}

#[test]
fn tokens_of_added_users_are_valid_whatever_the_form_of_the_id() {
    let emulator = Emulator::start().unwrap();
    let issue = |id: &str| {
        emulator.add_user(id);
        let path = format!("/identities/{}/:issueAccessToken", encoded(id));
        post(&path, r#"{"scopes":["chat"]}"#).send(&emulator).text("token").to_owned()
    };
    let tokens = ["8:acs:alice", "alice", "4:+1234", "bob", "8:bob"].map(issue);
    assert_eq!(tokens.each_ref().map(|token| emulator.is_token_valid(token)), [true; 5]);
    assert!(emulator.expire_tokens("bob"));
    let valid = tokens.map(|token| emulator.is_token_valid(&token));
    assert_eq!(valid, [true, true, true, false, true]);
}

#[test]
fn seed_gives_the_same_ids_whatever_else_is_asked() {
    let ids = |seed: u64, noise: bool| {
        let emulator = Emulator::builder().seed(seed).start().unwrap();
        let ids = [(); 3].map(|()| {
            if noise {
                post("/nowhere", "").send(&emulator);
                post("/identities", "[").send(&emulator);
            }
            create(&emulator)
        });
        emulator.reset();
        assert_eq!(create(&emulator), ids[0]);
        (ids, emulator.access_key().to_owned())
    };
    let ((first, key), (again, other_key)) = (ids(7, false), ids(7, true));
    assert_eq!(first, again);
    assert_ne!(key, other_key, "a key stays a secret");
    assert_ne!(ids(8, false).0, first);
}

#[test]
fn seed_that_is_absent_lets_no_id_come_twice() {
    let emulator = Emulator::start().unwrap();
    let first = create(&emulator);
    emulator.reset();
    assert_ne!(create(&emulator), first);
}

#[test]
fn record_is_a_line_of_text_or_json() {
    let emulator = Emulator::builder().clock_ahead(Duration::from_secs(300)).start().unwrap();
    let response = post("/identities", "{}").header("x-ms-client-request-id: mine").send(&emulator);
    let date = httpdate::parse_http_date(response.header("Date").unwrap()).unwrap();
    let request = emulator.requests().pop().unwrap();
    assert!(request.time() >= date && request.time() < date + Duration::from_secs(1));

    let text = request.to_string();
    let (time, rest) = text.split_once(' ').unwrap();
    assert_eq!(rest, "POST /identities?api-version=2023-10-01 -> 201");
    let parsed: SystemTime = OffsetDateTime::parse(time, &Rfc3339).unwrap().into();
    assert!(request.time().duration_since(parsed).unwrap() < Duration::from_millis(1), "{time}");
    let record: Value = serde_json::from_str(&request.to_json()).unwrap();
    let expected = json!({
        "time": time,
        "method": "POST",
        "target": "/identities?api-version=2023-10-01",
        "operation": "create",
        "status": 201,
        "fault": false,
        "refusal": null,
        "clientRequestId": "mine",
    });
    assert_eq!(record, expected);

    emulator.inject(Fault::drop_before_processing());
    assert!(exchange(&emulator, &post("/no", "").signed(&emulator)).is_err());
    let request = emulator.requests().pop().unwrap();
    assert!(
        request.to_string().ends_with(" POST /no?api-version=2023-10-01 -> no response (fault)")
    );
    let record: Value = serde_json::from_str(&request.to_json()).unwrap();
    for name in ["operation", "status", "refusal", "clientRequestId"] {
        assert_eq!(record[name], Value::Null, "{name}");
    }
    assert_eq!(record["fault"], true);
}

/// In place of an id, a scope, or anything else.
#[test]
fn log_redacts_a_key_in_the_wrong_place() {
    const KEY: &str =
        "CANARYb0tL+9e/Q3CANARYb0tL+9e/Q3CANARYb0tL+9e/Q3CANARYb0tL+9e/Q3CANARYb0tL+9e/Q3CANARY==";
    let emulator = Emulator::start().unwrap();
    let connection_string =
        format!("endpoint=https://contoso.communication.azure.com/;accesskey={KEY}");
    for secret in [KEY, &connection_string, "endpoint=https://a/;AccessKey=CANARY"] {
        let escaped = secret.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        let escaped = escaped.replace(':', "%3A").replace(';', "%3B");
        let scopes = format!(r#"{{"scopes":["{secret}"]}}"#);
        let calls = [
            call("DELETE", format!("/identities/{escaped}?api-version=2023-10-01"), ""),
            call("DELETE", format!("/identities/{escaped}?api-version={escaped}"), ""),
            post("/identities/8:acs:a/:issueAccessToken", &scopes),
            post("/identities", "").header(&format!("x-ms-client-request-id: {secret}")),
        ];
        for call in calls {
            call.send(&emulator);
            let unsigned = call.signed(&emulator).replace("Signature=", "Signature=A");
            exchange(&emulator, &unsigned).unwrap();
        }
        let mut spoilt = post("/identities", "");
        spoilt.signed_host = Some(secret.to_owned());
        spoilt.send(&emulator);
    }
    for request in emulator.requests() {
        let text = format!("{request} {} {:?}", request.to_json(), request.refusal());
        assert!(!text.contains("CANARY"), "{text}");
    }
}
