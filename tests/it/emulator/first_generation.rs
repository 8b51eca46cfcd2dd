//! `2020-07-20-preview2`, as the first SDKs speak it.

use std::time::{Duration, SystemTime};

use acs_identity::emulator::{Emulator, Operation};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Response, VERSION, call, encoded};

const FIRST: &str = "api-version=2020-07-20-preview2";

fn ask(emulator: &Emulator, method: &'static str, path: &str, body: &str) -> Response {
    let mut call = call(method, format!("{path}?{FIRST}"), body);
    call.date_header = "date";
    if method == "PATCH" {
        call.headers = call.headers.replace("application/json", "application/merge-patch+json");
    }
    call.send(emulator)
}

fn create(emulator: &Emulator) -> (String, String) {
    let id = ask(emulator, "POST", "/identities", "").text("id").to_owned();
    let path = format!("/identities/{}", encoded(&id));
    (id, path)
}

fn issue(emulator: &Emulator, path: &str) -> String {
    let response = ask(emulator, "POST", &format!("{path}/token"), r#"{"scopes":["chat"]}"#);
    response.text("token").to_owned()
}

#[test]
fn preview_of_2020_has_its_own_shape_in_each_step() {
    let emulator = Emulator::start().unwrap();
    let created = ask(&emulator, "POST", "/identities", "");
    let id = created.text("id");
    assert_eq!((created.status, &created.body), (200, &format!(r#"{{"id":"{id}"}}"#)));

    let path = format!("/identities/{}", encoded(id));
    let scopes = r#"{"scopes":["voip","chat","pstn"]}"#;
    let issued = ask(&emulator, "POST", &format!("{path}/token"), scopes);
    let (token, expires_on) = (issued.text("token"), issued.text("expiresOn"));
    let body = format!(r#"{{"id":"{id}","token":"{token}","expiresOn":"{expires_on}"}}"#);
    assert_eq!((issued.status, &issued.body), (200, &body));
    assert!(emulator.is_token_valid(token));
    assert_eq!(emulator.tokens_of(id).unwrap()[0].scopes(), ["voip", "chat", "pstn"]);

    let revoked = ask(&emulator, "PATCH", &path, "{}");
    assert_eq!((revoked.status, revoked.body.as_str()), (204, ""));
    assert!(!emulator.is_token_valid(token));
    assert_eq!(ask(&emulator, "DELETE", &path, "").status, 204);
    assert_eq!(ask(&emulator, "DELETE", &path, "").text("code"), "IdentityNotOwned");
    for (operation, count) in [(Operation::Issue, 1), (Operation::Revoke, 1)] {
        assert_eq!(emulator.operation_count(operation), count);
    }
}

#[test]
fn preview_of_2020_revokes_tokens_issued_before_an_instant() {
    let emulator = Emulator::start().unwrap();
    let (_, path) = create(&emulator);
    let revoke = |instant: SystemTime| {
        let instant = OffsetDateTime::from(instant).format(&Rfc3339).unwrap();
        ask(&emulator, "PATCH", &path, &format!(r#"{{"tokensValidFrom":"{instant}"}}"#))
    };
    let first = issue(&emulator, &path);
    assert_eq!(revoke(SystemTime::now() - Duration::from_secs(60)).status, 204);
    assert!(emulator.is_token_valid(&first));

    let between = SystemTime::now() + Duration::from_secs(30);
    emulator.advance_clock(Duration::from_secs(60));
    let second = issue(&emulator, &path);
    assert_eq!(revoke(between).status, 204);
    assert_eq!([&first, &second].map(|token| emulator.is_token_valid(token)), [false, true]);
    for body in ["", "null", r#"{"tokensValidFrom":null}"#] {
        let token = issue(&emulator, &path);
        assert_eq!(ask(&emulator, "PATCH", &path, body).status, 204);
        assert!(!emulator.is_token_valid(&token), "{body}");
    }
}

#[test]
fn preview_of_2020_wants_a_content_type_and_a_date_to_revoke() {
    let emulator = Emulator::start().unwrap();
    let (_, path) = create(&emulator);
    let as_json = call("PATCH", format!("{path}?{FIRST}"), "{}");
    assert_eq!(as_json.send(&emulator).status, 415);
    let response = ask(&emulator, "PATCH", &path, r#"{"tokensValidFrom":"yesterday"}"#);
    assert_eq!((response.status, response.text("target")), (400, "tokensValidFrom"));
}

#[test]
fn preview_of_2020_has_its_own_scopes_and_errors() {
    let emulator = Emulator::start().unwrap();
    let (id, path) = create(&emulator);
    let token = format!("{path}/token");
    let response = ask(&emulator, "POST", &token, r#"{"scopes":["voip.join"]}"#);
    assert_eq!((response.status, response.text("target")), (400, "scopes"));
    // Newer members are ignored.
    let body = r#"{"scopes":["chat"],"expiresInMinutes":1}"#;
    assert_eq!(ask(&emulator, "POST", &token, body).status, 200);
    let issue = format!("/identities/{}/:issueAccessToken?{VERSION}", encoded(&id));
    let response = call("POST", issue, r#"{"scopes":["pstn"]}"#).send(&emulator);
    assert_eq!((response.status, response.text("code")), (400, "ValidationError"));
}

#[test]
fn preview_of_2020_has_its_own_paths() {
    let emulator = Emulator::start().unwrap();
    let (_, path) = create(&emulator);
    let scopes = r#"{"scopes":["chat"]}"#;
    for (method, path, body) in [
        ("POST", &*format!("{path}/:issueAccessToken"), scopes),
        ("POST", &format!("{path}/:revokeAccessTokens"), ""),
        ("POST", "/teamsUser/:exchangeAccessToken", "{}"),
    ] {
        let response = ask(&emulator, method, path, body);
        assert_eq!((response.status, response.body.as_str()), (404, ""), "{path}");
        let refusal = emulator.requests().pop().unwrap().refusal().unwrap().to_owned();
        assert_eq!(
            refusal,
            "the path does not exist in api-version 2020-07-20-preview2, but in others"
        );
    }
    for (method, path) in [("POST", format!("{path}/token")), ("PATCH", path.clone())] {
        let response = call(method, format!("{path}?{VERSION}"), scopes).send(&emulator);
        assert_eq!((response.status, response.body.as_str()), (404, ""), "{path}");
        let refusal = emulator.requests().pop().unwrap().refusal().unwrap().to_owned();
        assert_eq!(refusal, "the path does not exist in api-version 2023-10-01, but in others");
        // A version is judged before the path.
        let response = call(method, format!("{path}?api-version=x"), scopes).send(&emulator);
        assert_eq!(response.text("code"), "UnsupportedApiVersion");
    }
}
