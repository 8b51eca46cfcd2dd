//! Exchanging a Teams user's Entra token.

use std::time::{Duration, SystemTime};

use acs_identity::emulator::{Emulator, Operation};
use acs_identity::{ApiVersion, Error};

use crate::support::{builder, client, last_request};

const APP: &str = "1d4b6f2a-0a5c-4b1c-9d5e-000000000001";
const OTHER: &str = "1d4b6f2a-0a5c-4b1c-9d5e-000000000002";
const USER: &str = "1d4b6f2a-0a5c-4b1c-9d5e-000000000003";

#[test]
fn teams_exchange_returns_a_valid_token() {
    let emulator = Emulator::start().unwrap();
    emulator.accept_teams_token("eyJ0.\"teams\"", APP, USER);
    let client = client(&emulator);
    let token = client.exchange_teams_user_token("eyJ0.\"teams\"", APP, USER).unwrap();
    assert!(emulator.is_token_valid(token.token()));
    let within =
        |minutes: u64| token.expires_within(Duration::from_secs(60 * minutes), SystemTime::now());
    assert!(within(60) && !within(59), "it expires with the Entra token");

    let request = last_request(&emulator);
    assert_eq!(request.method(), "POST");
    assert_eq!(request.target(), "/teamsUser/:exchangeAccessToken?api-version=2023-10-01");
    assert_eq!(request.operation(), Some(Operation::Exchange));
    let body: serde_json::Value = serde_json::from_slice(request.body()).unwrap();
    let expected = serde_json::json!({ "token": "eyJ0.\"teams\"", "appId": APP, "userId": USER });
    assert_eq!(body, expected);
    assert_eq!(emulator.users(), Vec::<String>::new(), "no user of the resource was created");
}

/// Classifies a failure by the error's accessors alone.
fn verdict(error: &Error) -> &'static str {
    match (error.code(), error.target()) {
        (Some("InvalidAccessToken"), _) => "log in again",
        (Some("ValidationError"), Some("appId")) => "another application",
        (Some("ValidationError"), Some("userId")) => "another user",
        _ => "something else",
    }
}

#[test]
fn teams_exchange_failures_are_distinguishable_by_code_and_target() {
    let emulator = Emulator::start().unwrap();
    emulator.accept_teams_token("teams", APP, USER);
    let client = client(&emulator);
    for (arguments, expected) in [
        (["malformed", APP, USER], "log in again"),
        (["teams", "no guid", USER], "another application"),
        (["teams", OTHER, USER], "another application"),
        (["teams", APP, "no guid"], "another user"),
        (["teams", APP, OTHER], "another user"),
    ] {
        let [token, app, user] = arguments;
        let error = client.exchange_teams_user_token(token, app, user).unwrap_err();
        assert_eq!(verdict(&error), expected, "{error}");
        assert!(!error.to_string().contains("teams\""), "{error}");
    }
    emulator.advance_clock(Duration::from_secs(3_601));
    let error = client.exchange_teams_user_token("teams", APP, USER).unwrap_err();
    assert_eq!(verdict(&error), "log in again", "{error}");
}

#[test]
fn teams_exchange_is_rejected_by_an_api_version_without_it() {
    let emulator = Emulator::start().unwrap();
    emulator.accept_teams_token("teams", APP, USER);
    let client = builder(&emulator).api_version(ApiVersion::V2021_03_07).build().unwrap();
    let error = client.exchange_teams_user_token("teams", APP, USER).unwrap_err();
    assert_eq!(error.code(), Some("UnsupportedApiVersion"), "{error}");
    // This preview does not use the application and the user yet, and ignores them.
    let client = builder(&emulator).api_version("2021-10-31-preview").build().unwrap();
    client.exchange_teams_user_token("teams", APP, USER).unwrap();
}
