//! What a test asks of the emulator itself: reset, counts, tokens, seed, and the lines of its log.

use std::time::{Duration, Instant, SystemTime};

use acs_identity::emulator::{Emulator, Fault, IssuedToken, Operation};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{call, create, encoded, exchange, post};
use crate::support::client;

const CREATE: &str = r#"{"createTokenWithScopes":["chat"],"expiresInMinutes":60}"#;

fn control(emulator: &Emulator, line: &str) -> super::Answer {
    exchange(emulator, &format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n")).unwrap()
}

/// A client of this machine does not connect to 0.0.0.0, which not every system takes for loopback.
#[test]
fn an_emulator_is_reached_by_its_address_or_by_loopback() {
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
        let before = Instant::now();
        client(&emulator).create_user().unwrap();
        let received_at = emulator.requests()[0].received_at();
        assert!((before..Instant::now()).contains(&received_at));
    }
}

#[test]
fn debug_tells_where_it_is_and_what_goes_wrong() {
    let builder = Emulator::builder().access_key("c2VjcmV0");
    assert_eq!(format!("{builder:?}"), "EmulatorBuilder { address: 127.0.0.1:0, .. }");
    let emulator = builder.start().unwrap();
    let endpoint = emulator.endpoint();
    assert_eq!(format!("{emulator:?}"), format!("Emulator {{ endpoint: {endpoint:?}, .. }}"));
    let fault = format!("{:?}", Fault::respond(503).body("CANARY"));
    assert!(fault.contains("CannedResponse { status: 503, .. }"), "{fault}");
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
        assert_eq!(control(&emulator, "POST /emulator/reset").status, 204);
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
        let answer = exchange(&emulator, &format!("{bearer}Authorization: Bearer bearer\r\n\r\n"));
        let answer = answer.unwrap();
        assert_eq!(answer.status, 201, "no fault, and the bearer token is still accepted");
        let date = httpdate::parse_http_date(answer.header("Date").unwrap()).unwrap();
        let ahead = date.duration_since(SystemTime::now()).unwrap();
        assert!((minutes / 2..=minutes).contains(&ahead), "the clock is as it was: {ahead:?}");
        let body = r#"{"token":"entra","appId":"a","userId":"b"}"#;
        let answer = post("/teamsUser/:exchangeAccessToken", body).send(&emulator);
        assert_eq!(answer.text("code"), "ValidationError", "not InvalidAccessToken");
    }
}

#[test]
fn counts_each_operation_whatever_became_of_it() {
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
fn the_tokens_of_a_user_are_those_that_are_valid() {
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
fn a_seed_gives_the_same_ids_whatever_else_is_asked() {
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
fn without_a_seed_no_id_comes_twice() {
    let emulator = Emulator::start().unwrap();
    let first = create(&emulator);
    emulator.reset();
    assert_ne!(create(&emulator), first);
}

#[test]
fn the_state_is_there_for_other_languages() {
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = std::sync::Arc::clone(&seen);
    let emulator = Emulator::builder()
        .on_request(move |request| log.lock().unwrap().push(request.to_string()))
        .start()
        .unwrap();
    let created = post("/identities", CREATE).send(&emulator);
    let second = create(&emulator);
    emulator.inject(Fault::respond(500));
    let answer = control(&emulator, "GET /emulator/state?x");
    let state: Value = serde_json::from_str(&answer.body).unwrap();
    let token = json!({"scopes": ["chat"], "expiresOn": created.text("expiresOn")});
    let users = json!([
        {"id": created.text("id"), "tokens": [token]},
        {"id": second, "tokens": []},
    ]);
    let requests =
        json!({"create": 2, "get": 0, "delete": 0, "issue": 0, "revoke": 0, "exchange": 0});
    assert_eq!((answer.status, state), (200, json!({"requests": requests, "users": users})));
    assert_eq!(emulator.request_count(), 2, "only the log has it");
    assert!(seen.lock().unwrap()[2].ends_with(" GET /emulator/state?x -> 200"));
    assert_eq!(control(&emulator, "GET /emulator/reset").status, 500, "the fault was kept");
    assert_eq!(control(&emulator, "GET /emulator/reset").status, 401);
}

#[test]
fn a_record_is_a_line_of_text_or_json() {
    let emulator = Emulator::builder().clock_ahead(Duration::from_secs(300)).start().unwrap();
    let answer = post("/identities", "{}").header("x-ms-client-request-id: mine").send(&emulator);
    let date = httpdate::parse_http_date(answer.header("Date").unwrap()).unwrap();
    let request = emulator.requests().pop().unwrap();
    assert!(request.time() >= date && request.time() < date + Duration::from_secs(1));

    let text = request.to_string();
    let (time, rest) = text.split_once(' ').unwrap();
    assert_eq!(rest, "POST /identities?api-version=2023-10-01 -> 201");
    let parsed: SystemTime = OffsetDateTime::parse(time, &Rfc3339).unwrap().into();
    assert!(request.time().duration_since(parsed).unwrap() < Duration::from_millis(1), "{time}");
    let json = format!(
        r#"{{"time":"{time}","method":"POST","target":"/identities?api-version=2023-10-01","operation":"create","status":201,"fault":false,"refusal":null,"clientRequestId":"mine"}}"#
    );
    assert_eq!(request.to_json(), json);

    emulator.inject(Fault::drop_before_processing());
    assert!(exchange(&emulator, &post("/no", "").signed(&emulator)).is_err());
    let request = emulator.requests().pop().unwrap();
    assert!(
        request.to_string().ends_with(" POST /no?api-version=2023-10-01 -> no response (fault)")
    );
    let rest =
        r#","operation":null,"status":null,"fault":true,"refusal":null,"clientRequestId":null}"#;
    assert!(request.to_json().ends_with(rest), "{}", request.to_json());
}

/// In place of an id, a scope, or anything else.
#[test]
fn a_key_in_the_wrong_place_is_in_no_log() {
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
