//! Every constructor checks the id, and every id of a created user can be stored and read back.

use acs_identity::{CommunicationIdentifier, CommunicationUserIdentifier, ErrorKind};

use crate::support::server::{closing, response};
use crate::support::{Server, hurried};

/// The result of every constructor.
fn constructors(id: &str) -> [(&'static str, Option<CommunicationUserIdentifier>); 4] {
    let json = serde_json::to_string(id).unwrap();
    let inner = match CommunicationIdentifier::from(id) {
        CommunicationIdentifier::CommunicationUser(user) => Some(user),
        _ => None,
    };
    [
        ("parse", id.parse().ok()),
        ("serde", serde_json::from_str(&json).ok()),
        ("TryFrom", CommunicationIdentifier::from(id).try_into().ok()),
        ("CommunicationIdentifier", inner),
    ]
}

fn malformed() -> Vec<String> {
    let mut ids: Vec<String> = [
        "",
        " ",
        "\t",
        "\u{a0}",
        "\u{3000}",
        ".",
        "..",
        " 8:acs:a_b",
        "8:acs:a_b ",
        "8:acs:a_b\n",
        "8:acs:a\u{a0}",
    ]
    .map(str::to_owned)
    .into();
    for bad in [
        '\n', '\r', '\t', '\0', '\u{1b}', '\u{7f}', '\u{85}', '\u{9b}', '\u{2028}', '\u{2029}',
        '\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}', '\u{202e}', '\u{2066}', '\u{2067}',
        '\u{2068}', '\u{2069}', '\u{200e}', '\u{200f}', '\u{61c}',
    ] {
        for prefix in ["8:acs:", "8:spool:", "8:dod-acs:", "8:gcch-acs:", "", "9:new:"] {
            ids.push(format!("{prefix}a{bad}b_c"));
        }
    }
    ids.push(format!("8:acs:{}", "x".repeat(1_019)));
    ids.push(format!("8:acs:{}", "é".repeat(510)));
    ids
}

#[test]
fn user_id_that_is_malformed_is_rejected_by_every_constructor() {
    for id in malformed() {
        for (way, user) in constructors(&id) {
            assert_eq!(user, None, "{way}: {id:?}");
        }
        // A `CommunicationIdentifier` keeps it, byte for byte.
        assert_eq!(CommunicationIdentifier::from(&*id).to_string(), id);
    }
}

/// Control characters in an error could hide or forge lines of a log.
#[test]
fn user_id_that_is_malformed_is_not_repeated_in_the_error() {
    for id in malformed() {
        let errors = [
            id.parse::<CommunicationUserIdentifier>().err(),
            CommunicationUserIdentifier::try_from(CommunicationIdentifier::from(&*id)).err(),
        ];
        for error in errors {
            let error = error.unwrap_or_else(|| panic!("{id:?} is accepted"));
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
            let text = error.to_string();
            let odd = |c: char| c.is_control() || ('\u{2028}'..='\u{202e}').contains(&c);
            assert!(!text.contains(odd) && text.len() < 300, "{text:?}");
        }
    }
}

const WELL_FORMED: [&str; 14] = [
    "8:acs:bbbcbc1e-9f06-482a-b5d8-20e3f26ef0cd_45ab2481-1c1c-4005-be24-0ffb879b1130",
    "8:acs:something",
    "8:acs:a_b_c",
    "8:acs:a_b_c_d",
    "8:gcch-acs:a_b_c",
    "8:spool:x",
    "8:orgid:45ab2481-1c1c-4005-be24-0ffb879b1130",
    "8:teamsvisitor:x",
    "28:orgid:01234567-89ab-cdef-0123-456789abcdef",
    "4:+112345556789",
    "4:anonymous",
    "something new",
    "...",
    "8:acs:é/%2e?#ü",
];

/// An id from one constructor is accepted by serde and `parse`.
#[test]
fn user_id_that_is_accepted_can_be_stored_and_read_back() {
    let longest = format!("8:acs:{}", "x".repeat(1_018));
    for id in WELL_FORMED.into_iter().chain([&*longest]) {
        let user: CommunicationUserIdentifier =
            id.parse().unwrap_or_else(|error| panic!("{id}: {error}"));
        assert_eq!(user.identifier(), id);
        for (way, user) in constructors(id) {
            let Some(user) = user else {
                assert!(matches!(way, "TryFrom" | "CommunicationIdentifier"), "{way}: {id}");
                continue;
            };
            let json = serde_json::to_string(&user).unwrap();
            assert_eq!(serde_json::from_str::<CommunicationUserIdentifier>(&json).unwrap(), user);
            assert_eq!(user.to_string().parse::<CommunicationUserIdentifier>().unwrap(), user);
        }
    }
}

/// The service decides what is a user.
#[test]
fn created_user_id_can_be_stored_and_read_back() {
    let longest = format!("8:acs:{}", "x".repeat(1_018));
    for id in WELL_FORMED.into_iter().chain([&*longest]) {
        let body = serde_json::json!({ "identity": { "id": id } }).to_string();
        let server = Server::answering(closing(&response("201 Created", "", &body)));
        let user = hurried(&server).build().unwrap().create_user().unwrap();
        assert_eq!(user.identifier(), id);
        let json = serde_json::to_string(&user).unwrap();
        let read: CommunicationUserIdentifier =
            serde_json::from_str(&json).unwrap_or_else(|error| panic!("{id}: {error}"));
        assert_eq!(read, user);
        assert_eq!(user.identifier().parse::<CommunicationUserIdentifier>().unwrap(), user);
    }
}

/// The mistake is rejected before anything is sent.
#[test]
fn user_id_cannot_come_from_a_phone_number_or_a_teams_user() {
    for id in ["4:+123", "4:anonymous", "8:orgid:x", "8:teamsvisitor:x", "28:orgid:x"] {
        let identifier = CommunicationIdentifier::from(id);
        let error = CommunicationUserIdentifier::try_from(identifier).expect_err(id);
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    }
}

/// A malformed id from the service must not reach a caller's logs and files.
#[test]
fn created_user_id_that_is_malformed_is_an_error() {
    for id in malformed() {
        let body = serde_json::json!({ "identity": { "id": id } }).to_string();
        let server = Server::answering(closing(&response("201 Created", "", &body)));
        let error = hurried(&server).build().unwrap().create_user().expect_err(&id);
        assert_eq!((error.kind(), error.attempts()), (ErrorKind::Response, 1), "{id:?} {error}");
        let text = error.to_string();
        let odd = |c: char| c.is_control() || ('\u{2028}'..='\u{202e}').contains(&c);
        assert!(!text.contains(odd) && text.len() < 400, "{text:?}");
    }
}
