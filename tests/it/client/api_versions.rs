//! Every published version of the service's interface.

use acs_identity::emulator::Emulator;
use acs_identity::{ApiVersion, Error, ErrorKind};

use crate::support::{builder, client};

#[test]
fn api_version_is_sent_and_served_for_each_published_version() {
    for version in [
        "2021-02-22-preview1",
        "2021-03-07",
        "2021-10-31-preview",
        "2021-11-01",
        "2022-06-01",
        "2022-10-01",
        "2023-08-01",
        "2023-10-01",
        "2025-06-30",
        "2026-07-22",
        "2026-09-23",
    ] {
        let emulator = Emulator::start().unwrap();
        let client = builder(&emulator).api_version(version).build().unwrap();
        let walk = || -> Result<(), Error> {
            let user = client.create_user()?;
            client.issue_token(&user, ["chat", "voip"])?;
            client.revoke_tokens(&user)?;
            client.delete_user(&user)?;
            client.create_user_and_token(["voip"]).map(drop)
        };
        walk().unwrap_or_else(|error| panic!("{version}: {error}"));
        for request in emulator.requests() {
            let query = request.target().split_once('?').unwrap().1;
            assert_eq!(query, format!("api-version={version}"));
        }
    }
}

#[test]
fn api_version_constants_match_the_published_versions() {
    for (constant, text) in [
        (ApiVersion::V2021_03_07, "2021-03-07"),
        (ApiVersion::V2022_06_01, "2022-06-01"),
        (ApiVersion::V2022_10_01, "2022-10-01"),
        (ApiVersion::V2023_10_01, "2023-10-01"),
        (ApiVersion::V2025_06_30, "2025-06-30"),
        (ApiVersion::V2026_07_22, "2026-07-22"),
        (ApiVersion::V2026_09_23, "2026-09-23"),
    ] {
        assert_eq!(constant.as_str(), text);
        assert_eq!(constant.to_string(), text);
        assert_eq!(ApiVersion::from(text), constant);
        assert_eq!(ApiVersion::from(text.to_owned()), constant);
    }
    assert_eq!(ApiVersion::default(), ApiVersion::V2023_10_01);
}

#[test]
fn api_version_unknown_to_the_service_is_rejected_with_advice() {
    let emulator = Emulator::start().unwrap();
    // Withdrawn since 2020; advertised for issuing only; never published.
    for version in ["2020-07-20-preview1", "2025-03-31-preview", "tomorrow"] {
        let client = builder(&emulator).api_version(version).build().unwrap();
        let error = client.create_user().unwrap_err();
        assert_eq!((error.status(), error.code()), (Some(400), Some("UnsupportedApiVersion")));
        let advice = "; choose another api_version [host ";
        assert!(error.to_string().contains(advice), "{error}");
        assert!(error.to_string().contains(&format!(", api-version {version},")), "{error}");
    }
}

/// The service advertises it for issuing only.
#[test]
fn api_version_2025_03_31_preview_only_issues_tokens() {
    let emulator = Emulator::start().unwrap();
    let user = client(&emulator).create_user().unwrap();
    let preview = builder(&emulator).api_version("2025-03-31-preview").build().unwrap();
    preview.issue_token(&user, ["chat"]).unwrap();
    let exchange = preview.exchange_teams_user_token("token", "app", "user").map(drop);
    for refused in [preview.revoke_tokens(&user), preview.delete_user(&user), exchange] {
        assert_eq!(refused.unwrap_err().code(), Some("UnsupportedApiVersion"));
    }
}

#[test]
fn api_version_that_is_malformed_is_rejected_by_build() {
    let emulator = Emulator::start().unwrap();
    let longest = "2".repeat(64);
    builder(&emulator).api_version(&*longest).build().unwrap();
    let too_long = longest + "0";
    for version in [
        "",
        " ",
        "2023-10-01 ",
        "2023-10-01&x=1",
        "2023#",
        "2023/10",
        "é",
        "a%20",
        "a\n",
        &too_long,
    ] {
        let error = builder(&emulator).api_version(version).build().map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert_eq!(
            error.to_string(),
            "api_version is malformed: expected a date such as 2023-10-01",
            "{version:?}"
        );
    }
}

/// Earlier versions ignore `expiresInMinutes` without an error and issue a token for 24 hours.
#[test]
fn token_lifetime_is_ignored_before_api_version_2022_10_01() {
    use std::time::{Duration, SystemTime};

    let hour = acs_identity::TokenRequest::new(["chat"]).expires_in(Duration::from_secs(3_600));
    for (version, hours) in [(ApiVersion::V2022_06_01, 24), (ApiVersion::V2022_10_01, 1)] {
        let emulator = Emulator::start().unwrap();
        let client = builder(&emulator).api_version(version).build().unwrap();
        let (_, token) = client.create_user_and_token(&hour).unwrap();
        let now = SystemTime::now();
        assert!(token.expires_within(Duration::from_secs(hours * 3_600), now));
        assert!(!token.expires_within(Duration::from_secs(hours * 3_600 - 60), now));
    }
}

#[test]
fn api_version_defaults_to_that_of_the_official_clients() {
    let emulator = Emulator::start().unwrap();
    client(&emulator).create_user().unwrap();
    assert_eq!(emulator.requests()[0].target(), "/identities?api-version=2023-10-01");
}
