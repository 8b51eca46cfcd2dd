//! Successes: statuses, header sets, formats.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use acs_identity::emulator::Emulator;
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Response, VERSION, call, create, encoded, post};
use crate::support::until;

const ADVERTISED: &str = "2020-07-20-preview2, 2021-03-07, 2021-10-31-preview, 2021-11-01, 2022-06-01, 2022-10-01, 2023-10-01, 2025-03-02-preview";
const APP: &str = "1d4b6f2a-0a5c-4b1c-9d5e-000000000001";
const USER: &str = "1d4b6f2a-0a5c-4b1c-9d5e-000000000003";

/// The names of the headers, whose order means nothing.
fn names(response: &Response) -> BTreeSet<&str> {
    let names: BTreeSet<_> = response.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.len(), response.headers.len());
    names
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn groups(guid: &str) -> Vec<usize> {
    guid.split('-').map(|group| group.len() * usize::from(is_hex(group))).collect()
}

#[test]
fn create_responds_with_201_and_the_headers_of_the_service() {
    let emulator = Emulator::start().unwrap();
    let response = post("/identities", "").header("x-ms-client-request-id: mine").send(&emulator);
    assert_eq!(response.status, 201);
    assert_eq!(
        names(&response),
        BTreeSet::from([
            "api-supported-versions",
            "Content-Length",
            "Content-Type",
            "Date",
            "MS-CV",
            "Request-Context",
            "Strict-Transport-Security",
            "X-Azure-Ref",
            "X-Cache",
            "x-ms-client-request-id",
            "X-Processing-Time",
            "Connection",
        ])
    );
    for (name, value) in [
        ("api-supported-versions", ADVERTISED),
        ("Content-Length", "101"),
        ("Content-Type", "application/json; charset=utf-8"),
        ("Request-Context", "appId="),
        ("Strict-Transport-Security", "max-age=31536000;includeSubDomains"),
        ("X-Cache", "CONFIG_NOCACHE"),
        ("x-ms-client-request-id", "mine"),
        ("Connection", "keep-alive"),
    ] {
        assert_eq!(response.header(name), Some(value));
    }
    let vector = response.header("MS-CV").unwrap();
    assert_eq!((vector.len(), &vector[22..]), (26, ".2.0"));
    assert!(response.header("X-Processing-Time").unwrap().ends_with("ms"));
    let date = httpdate::parse_http_date(response.header("Date").unwrap()).unwrap();
    assert!(SystemTime::now().duration_since(date).unwrap() < Duration::from_secs(10));

    let id = response.text("id");
    assert_eq!(response.body, format!(r#"{{"identity":{{"id":"{id}"}}}}"#));
    let (resource, user) = id.strip_prefix("8:acs:").unwrap().split_once('_').unwrap();
    assert_eq!(id.len(), 79);
    assert_eq!([groups(resource), groups(user)], [[8, 4, 4, 4, 12], [8, 4, 4, 4, 12]]);
    assert_eq!(emulator.users(), [id]);
}

#[test]
fn create_accepts_every_form_of_no_token() {
    let emulator = Emulator::start().unwrap();
    for body in [
        "",
        "{}",
        r#"{"createTokenWithScopes":null,"expiresInMinutes":null}"#,
        r#"{"createTokenWithScopes":[]}"#,
        r#"{ "expiresInMinutes": 60 }"#,
        r#"{"customId":"ignored"}"#,
    ] {
        let response = post("/identities", body).send(&emulator);
        assert_eq!(
            (response.status, response.header("Content-Length")),
            (201, Some("101")),
            "{body}"
        );
        assert_eq!(response.header("x-ms-client-request-id"), None);
    }
    assert_eq!(emulator.users().len(), 6);
}

#[test]
fn tokens_last_as_asked_and_their_dates_have_the_form_of_dotnet() {
    let emulator = Emulator::start().unwrap();
    for (version, asked, minutes) in [
        ("2023-10-01", "", 1440),
        ("2023-10-01", r#","expiresInMinutes":null"#, 1440),
        ("2023-10-01", r#","expiresInMinutes":60"#, 60),
        ("2023-10-01", r#","expiresInMinutes":1440"#, 1440),
        // The member is newer than this version.
        ("2022-06-01", r#","expiresInMinutes":59"#, 1440),
    ] {
        let before = SystemTime::now();
        let body = format!(r#"{{"createTokenWithScopes":["voip","chat"]{asked}}}"#);
        let response =
            call("POST", format!("/identities?api-version={version}"), body).send(&emulator);
        let (id, token, text) =
            (response.text("id"), response.text("token"), response.text("expiresOn"));
        let json = format!(
            r#"{{"identity":{{"id":"{id}"}},"accessToken":{{"token":"{token}","expiresOn":"{text}"}}}}"#
        );
        assert_eq!(response.body, json);

        let (seconds, fraction) = text.strip_suffix("+00:00").unwrap().split_at(19);
        assert!(seconds.len() == 19 && fraction.len() <= 8 && !fraction.ends_with('0'), "{text}");
        let expires_on: SystemTime = OffsetDateTime::parse(text, &Rfc3339).unwrap().into();
        let life = expires_on.duration_since(before).unwrap().as_secs();
        assert!((minutes * 60 - 1..minutes * 60 + 10).contains(&life), "{asked}: {life}");
        assert!(emulator.is_token_valid(token));
    }
}

#[test]
fn issue_responds_with_200_and_advertises_one_version_more() {
    let emulator = Emulator::start().unwrap();
    let id = create(&emulator);
    // Both forms of the path are in use, and each is signed as it is sent.
    for path in [id.clone(), encoded(&id)] {
        let path = format!("/identities/{path}/:issueAccessToken");
        let scopes = r#"{"scopes":["chat","voip","chat.join","chat.join.limited","voip.join"]}"#;
        let response = post(&path, scopes).send(&emulator);
        assert_eq!(response.status, 200, "{}", response.body);
        let (token, expires_on) = (response.text("token"), response.text("expiresOn"));
        assert_eq!(response.body, format!(r#"{{"token":"{token}","expiresOn":"{expires_on}"}}"#));
        assert_eq!(token.split('.').count(), 3);
        let advertised = format!("{ADVERTISED}, 2025-03-31-preview");
        assert_eq!(response.header("api-supported-versions"), Some(&*advertised));
    }
    let path = format!("/identities/{id}/:issueAccessToken?api-version=2022-10-01");
    let response = call("POST", path, r#"{"scopes":["voip.join"]}"#).send(&emulator);
    assert_eq!(response.status, 400, "join scopes are newer than this version");
}

/// By code of its own, as a server would that shares the access key with the emulator.
#[test]
fn tokens_are_signed_with_hs256_under_the_access_key() {
    let body = r#"{"createTokenWithScopes":["chat"]}"#;
    for key in ["AAEC", "c2VjcmV0"] {
        let emulator = Emulator::builder().access_key(key).start().unwrap();
        emulator.accept_teams_token("entra", APP, USER);
        let exchange = format!(r#"{{"token":"entra","appId":"{APP}","userId":"{USER}"}}"#);
        for (path, body) in [("/identities", body), ("/teamsUser/:exchangeAccessToken", &*exchange)]
        {
            let response = post(path, body).send(&emulator);
            let (signed, signature) = response.text("token").rsplit_once('.').unwrap();
            let header = BASE64_URL_SAFE_NO_PAD.decode(signed.split('.').next().unwrap()).unwrap();
            let header: serde_json::Value = serde_json::from_slice(&header).unwrap();
            assert_eq!(header["alg"], "HS256");
            let key = BASE64_STANDARD.decode(key).unwrap();
            let mac = Hmac::<Sha256>::new_from_slice(&key).unwrap().chain_update(signed);
            let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
            mac.verify_slice(&signature).unwrap();
        }
    }
}

#[test]
fn revoke_and_delete_respond_with_204_without_content_headers() {
    let emulator = Emulator::start().unwrap();
    let create = r#"{"createTokenWithScopes":["chat"]}"#;
    for verb in ["/:revokeAccessTokens", ""] {
        let created = post("/identities", create).send(&emulator);
        let (id, token) = (created.text("id"), created.text("token"));
        assert!(emulator.is_token_valid(token));
        let method = if verb.is_empty() { "DELETE" } else { "POST" };
        // Some clients send a body here, and it is ignored.
        let target = format!("/identities/{}{verb}?{VERSION}", encoded(id));
        let response = call(method, target, "{}").send(&emulator);
        assert_eq!((response.status, response.body.as_str()), (204, ""));
        assert_eq!(
            names(&response),
            BTreeSet::from([
                "api-supported-versions",
                "Date",
                "MS-CV",
                "Request-Context",
                "Strict-Transport-Security",
                "X-Azure-Ref",
                "X-Cache",
                "X-Processing-Time",
                "Connection",
            ])
        );
        assert!(!emulator.is_token_valid(token), "{verb}");
        assert_eq!(emulator.users().contains(&id.to_owned()), !verb.is_empty());
    }
}

#[test]
fn teams_exchange_responds_with_200_and_has_a_list_of_its_own() {
    let emulator = Emulator::start().unwrap();
    emulator.accept_teams_token("entra", APP, USER);
    let whole =
        format!(r#"{{"token":"entra","appId":"{}","userId":"{USER}"}}"#, APP.to_uppercase());
    for (version, body) in [("2023-10-01", &*whole), ("2021-10-31-preview", r#"{"token":"entra"}"#)]
    {
        let target = format!("/teamsUser/:exchangeAccessToken?api-version={version}");
        let response = call("POST", target, body).send(&emulator);
        assert_eq!(response.status, 200, "{}", response.body);
        let advertised = "2021-10-31-preview, 2022-06-01, 2022-10-01, 2023-08-01";
        assert_eq!(response.header("api-supported-versions"), Some(advertised));
        assert!(emulator.is_token_valid(response.text("token")));
    }
    assert!(emulator.users().is_empty());
}

#[test]
fn tokens_expire_by_the_clock_of_the_emulator() {
    let emulator = Emulator::builder().clock_behind(Duration::from_secs(600)).start().unwrap();
    let response = post("/identities", r#"{"createTokenWithScopes":["chat"]}"#).send(&emulator);
    let date = httpdate::parse_http_date(response.header("Date").unwrap()).unwrap();
    assert!(SystemTime::now().duration_since(date).unwrap() >= Duration::from_secs(600));
    emulator.advance_clock(Duration::from_secs(1440 * 60));
    assert!(!emulator.is_token_valid(response.text("token")));
}

#[test]
fn token_lifetime_replaces_the_one_of_the_request_and_of_the_entra_token() {
    let second = Duration::from_secs(1);
    let emulator = Emulator::builder().token_lifetime(second).start().unwrap();
    emulator.accept_teams_token("entra", APP, USER);
    let create = r#"{"createTokenWithScopes":["chat"],"expiresInMinutes":60}"#;
    let exchange = format!(r#"{{"token":"entra","appId":"{APP}","userId":"{USER}"}}"#);
    for (path, body) in [("/identities", create), ("/teamsUser/:exchangeAccessToken", &*exchange)] {
        let before = SystemTime::now();
        let response = post(path, body).send(&emulator);
        let expires_on = OffsetDateTime::parse(response.text("expiresOn"), &Rfc3339).unwrap();
        let lifetime = SystemTime::from(expires_on).duration_since(before).unwrap();
        assert!((second..second * 10).contains(&lifetime), "{lifetime:?}");
        assert!(emulator.is_token_valid(response.text("token")));
        // In real time, with no clock advanced.
        until(|| !emulator.is_token_valid(response.text("token")));
    }
    // The bounds of a lifetime are still checked.
    let body = create.replace("60", "59");
    assert_eq!(post("/identities", &body).send(&emulator).status, 400);
    // One beyond what a date can say has a date, too.
    let emulator = Emulator::builder().token_lifetime(second * u32::MAX * 70).start().unwrap();
    let response = post("/identities", create).send(&emulator);
    assert!(OffsetDateTime::parse(response.text("expiresOn"), &Rfc3339).is_ok());
}
