//! The cases of the official clients' unit tests, and more.

use proptest::prelude::*;

use super::*;

const ACS: &str = "bbbcbc1e-9f06-482a-b5d8-20e3f26ef0cd_45ab2481-1c1c-4005-be24-0ffb879b1130";
const GUID: &str = "45ab2481-1c1c-4005-be24-0ffb879b1130";
const USER: &str = "207ffef6-9444-41fb-92ab-20eacaae2768";

fn kind(raw_id: &str) -> &'static str {
    match CommunicationIdentifier::from(raw_id) {
        CommunicationIdentifier::CommunicationUser(_) => "communication user",
        CommunicationIdentifier::PhoneNumber { .. } => "phone number",
        CommunicationIdentifier::MicrosoftTeamsUser { .. } => "Teams user",
        CommunicationIdentifier::MicrosoftTeamsApp { .. } => "Teams app",
        CommunicationIdentifier::TeamsExtensionUser { .. } => "Teams extension user",
        CommunicationIdentifier::Unknown { .. } => "unknown",
    }
}

#[test]
fn identifier_kinds_match_the_official_clients() {
    for (raw_id, expected) in [
        (format!("8:acs:{ACS}"), "communication user"),
        (format!("8:spool:{ACS}"), "communication user"),
        (format!("8:dod-acs:{ACS}"), "communication user"),
        (format!("8:gcch-acs:{ACS}"), "communication user"),
        ("8:acs:something".to_owned(), "communication user"),
        (
            format!("8:acs:52a5e676-39a3-4f45-a8ed-5a162dbbd7eb_ext_{GUID}_{USER}"),
            "communication user",
        ),
        (format!("8:acs:{ACS}_{USER}"), "Teams extension user"),
        (format!("8:dod-acs:{ACS}_{USER}"), "Teams extension user"),
        (format!("8:gcch-acs:{ACS}_{USER}"), "Teams extension user"),
        (format!("8:orgid:{GUID}"), "Teams user"),
        (format!("8:dod:{GUID}"), "Teams user"),
        (format!("8:gcch:{GUID}"), "Teams user"),
        (format!("8:teamsvisitor:{GUID}"), "Teams user"),
        ("8:orgid:legacyFormat".to_owned(), "Teams user"),
        (format!("28:orgid:{GUID}"), "Teams app"),
        (format!("28:dod:{GUID}"), "Teams app"),
        (format!("28:gcch:{GUID}"), "Teams app"),
        ("4:+112345556789".to_owned(), "phone number"),
        ("4:112345556789".to_owned(), "phone number"),
        ("4:otherFormat".to_owned(), "phone number"),
        (format!("4:{USER}"), "phone number"),
        ("4:anonymous".to_owned(), "phone number"),
        (format!("4:{USER}_{USER}"), "phone number"),
        (format!("4:+112345556789_{USER}"), "phone number"),
        ("8:gcch-acs:segment4:x".to_owned(), "unknown"),
        (format!("28:{GUID}"), "unknown"),
        (format!("28:ag08-global:{GUID}"), "unknown"),
        (format!("28:gal-global:{GUID}"), "unknown"),
        (format!("28:gcch-global:{GUID}"), "unknown"),
        (format!("28:dod-global:{GUID}"), "unknown"),
        (format!("48:{GUID}"), "unknown"),
        (String::new(), "unknown"),
    ] {
        assert_eq!(kind(&raw_id), expected, "{raw_id}");
        assert_eq!(CommunicationIdentifier::from(&*raw_id).to_string(), raw_id);
    }
}

#[test]
fn identifier_parts_are_kept_unchanged() {
    assert_eq!(
        CommunicationIdentifier::from(&*format!("8:gcch-acs:{ACS}_{USER}")),
        CommunicationIdentifier::TeamsExtensionUser {
            resource_id: "bbbcbc1e-9f06-482a-b5d8-20e3f26ef0cd".to_owned(),
            tenant_id: GUID.to_owned(),
            user_id: USER.to_owned(),
            cloud: CommunicationCloud::Gcch,
        }
    );
    assert_eq!(
        CommunicationIdentifier::from(&*format!("28:dod:{GUID}")),
        CommunicationIdentifier::MicrosoftTeamsApp {
            app_id: GUID.to_owned(),
            cloud: CommunicationCloud::Dod,
        }
    );
    assert_eq!(
        CommunicationIdentifier::from("8:teamsvisitor:x"),
        CommunicationIdentifier::MicrosoftTeamsUser {
            user_id: "x".to_owned(),
            is_anonymous: true,
            cloud: CommunicationCloud::Public,
        }
    );
}

#[test]
fn phone_number_exposes_anonymity_and_asserted_id() {
    for (raw_id, anonymous, asserted_id) in [
        ("4:anonymous", true, None),
        ("4:anonymous123", false, None),
        ("4:_anonymous", false, None),
        ("4:14255550121.123", false, None),
        ("4:14255550121-123", false, None),
        ("4:14255550121_", false, None),
        ("4:14255550121_123", false, Some("123")),
        ("4:14255550121_123_456", false, Some("456")),
        ("8:acs:a_b", false, None),
    ] {
        let identifier = CommunicationIdentifier::from(raw_id);
        assert_eq!(identifier.is_anonymous_phone_number(), anonymous, "{raw_id}");
        assert_eq!(identifier.asserted_id(), asserted_id, "{raw_id}");
    }
}

#[test]
fn identifier_converts_to_a_communication_user_if_usable() {
    let convert =
        |id: &str| CommunicationUserIdentifier::try_from(CommunicationIdentifier::from(id));
    for (id, flaw) in [
        ("", "is empty"),
        ("..", "is a path"),
        ("8:acs:a\nb", "has control characters in it"),
        ("4:+112345556789", "is a phone number"),
        ("8:orgid:x", "is a Teams user's"),
        ("28:gcch:x", "is a Teams application's"),
        ("8:acs:a_b_c", "is a Teams extension user's"),
    ] {
        let expected = format!("user id {flaw}: expected 8:acs:<resource>_<user>");
        assert_eq!(convert(id).unwrap_err().to_string(), expected, "{id:?}");
    }
    for id in ["8:acs:a_b", "8:spool:a", "8:new-cloud-acs:a_b", "anything else"] {
        assert_eq!(convert(id).unwrap().identifier(), id);
    }
}

proptest! {
    #[test]
    fn identifier_round_trips_any_text(raw_id in "\\PC*|(4|8|28|48):(acs|orgid|dod|gcch|teamsvisitor|spool|dod-acs|gcch-acs)?:?[a-z_:]{0,12}") {
        let identifier = CommunicationIdentifier::from(&*raw_id);
        prop_assert_eq!(identifier.to_string(), raw_id);
        let json = serde_json::to_string(&identifier).unwrap();
        let again: CommunicationIdentifier = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(again, identifier);
    }
}
