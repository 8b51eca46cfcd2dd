//! Each operation, from the caller's arguments to the bytes that arrive.

use std::time::{Duration, SystemTime};

use acs_identity::emulator::{Emulator, Operation, RecordedRequest};
use acs_identity::{
    CommunicationIdentifier, CommunicationIdentityClient, CommunicationUserIdentifier, Error,
    ErrorKind, TokenRequest, TokenScope,
};
use proptest::prelude::*;

use crate::support::{builder, client, last_request};

const VERSION: &str = "?api-version=2023-10-01";
const LIBRARY: &str = concat!("acs-identity/", env!("CARGO_PKG_VERSION"));

/// Asserts that the last request is this one and has no other headers.
fn assert_arrived(emulator: &Emulator, method: &str, path: &str, body: &str) -> RecordedRequest {
    let request = last_request(emulator);
    assert_eq!(request.method(), method);
    assert_eq!(request.target(), format!("{path}{VERSION}"));
    assert_eq!(std::str::from_utf8(request.body()).unwrap(), body, "{path}");

    let mut names: Vec<&str> =
        request.headers().keys().map(ureq::http::HeaderName::as_str).collect();
    names.sort_unstable();
    let mut expected = vec![
        "accept",
        "authorization",
        "content-length",
        "host",
        "user-agent",
        "x-ms-client-request-id",
        "x-ms-content-sha256",
        "x-ms-date",
    ];
    if !body.is_empty() {
        expected.insert(3, "content-type");
        assert_eq!(request.header("content-type"), Some("application/json"));
    }
    assert_eq!(names, expected, "{path}");
    assert_eq!(request.headers().len(), expected.len(), "no header twice");
    assert_eq!(request.header("accept"), Some("application/json"));
    assert_eq!(request.header("content-length"), Some(body.len().to_string().as_str()));
    assert_eq!(request.header("user-agent"), Some(format!("build-script {LIBRARY}").as_str()));
    assert_eq!(request.header("host"), Some(emulator.endpoint().replace("http://", "").as_str()));
    request
}

/// Whether the text is a UUID of version 4 and variant 1: groups of 8-4-4-4-12 digits.
fn is_random_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && text.chars().all(|c| c == '-' || c.is_ascii_digit() || ('a'..='f').contains(&c))
        && groups[2].starts_with('4')
        && groups[3].starts_with(['8', '9', 'a', 'b'])
}

#[test]
fn operations_send_exactly_the_documented_requests() {
    let emulator = Emulator::start().unwrap();
    let client = builder(&emulator).application_id("build-script").build().unwrap();

    let user = client.create_user().unwrap();
    let created = assert_arrived(&emulator, "POST", "/identities", "{}");
    assert_eq!(emulator.users(), [user.identifier()]);
    assert_eq!(user.identifier().len(), 79);

    let token = client.issue_token(&user, ["voip"]).unwrap();
    let path = format!("/identities/{}", user.identifier().replace(':', "%3A"));
    let issued = format!("{path}/:issueAccessToken");
    assert_arrived(&emulator, "POST", &issued, r#"{"scopes":["voip"]}"#);
    assert!(emulator.is_token_valid(token.token()));
    let life = token.expires_on().duration_since(SystemTime::now()).unwrap();
    assert!(life <= Duration::from_secs(24 * 60 * 60), "{life:?}");
    assert!(life > Duration::from_secs(24 * 60 * 60 - 60), "{life:?}");

    client.revoke_tokens(&user).unwrap();
    assert_arrived(&emulator, "POST", &format!("{path}/:revokeAccessTokens"), "");
    assert!(!emulator.is_token_valid(token.token()));

    client.delete_user(&user).unwrap();
    let deleted = assert_arrived(&emulator, "DELETE", &path, "");
    assert_eq!(emulator.users(), Vec::<String>::new());

    let hour = TokenRequest::new(["chat", "voip"]).expires_in(Duration::from_secs(60 * 60));
    let (user, token) = client.create_user_and_token(hour).unwrap();
    let body = r#"{"createTokenWithScopes":["chat","voip"],"expiresInMinutes":60}"#;
    assert_arrived(&emulator, "POST", "/identities", body);
    assert_eq!(emulator.users(), [user.identifier()]);
    let life = token.expires_on().duration_since(SystemTime::now()).unwrap();
    assert!(life <= Duration::from_secs(60 * 60), "{life:?}");

    let [created, deleted] =
        [&created, &deleted].map(|request| request.header("x-ms-client-request-id").unwrap());
    assert!(is_random_uuid(created), "{created}");
    assert!(is_random_uuid(deleted), "{deleted}");
    assert_ne!(created, deleted);
    assert_eq!(emulator.request_count(), 5);
    assert!(emulator.requests().iter().all(|request| request.refusal().is_none()));
}

#[test]
fn user_agent_is_the_library_without_an_application_id() {
    let emulator = Emulator::start().unwrap();
    client(&emulator).create_user().unwrap();
    assert_eq!(last_request(&emulator).header("user-agent"), Some(LIBRARY));
}

#[test]
fn scopes_are_accepted_in_every_form() {
    let emulator = Emulator::start().unwrap();
    let client = client(&emulator);
    let user = client.create_user().unwrap();
    let sent = |result: Result<_, Error>| {
        result.unwrap();
        String::from_utf8(last_request(&emulator).body().to_owned()).unwrap()
    };
    let chat = r#"{"scopes":["chat"]}"#;
    assert_eq!(sent(client.issue_token(&user, ["chat"])), chat);
    assert_eq!(sent(client.issue_token(&user, [TokenScope::CHAT])), chat);
    assert_eq!(sent(client.issue_token(&user, ["chat".to_owned()])), chat);
    assert_eq!(sent(client.issue_token(&user, vec!["chat"])), chat);
    assert_eq!(sent(client.issue_token(&user, vec![TokenScope::CHAT])), chat);
    let listed = [TokenScope::CHAT];
    assert_eq!(sent(client.issue_token(&user, &listed)), chat);
    assert_eq!(sent(client.issue_token(&user, &listed[..])), chat);
    let kept = vec!["chat".to_owned()];
    assert_eq!(sent(client.issue_token(&user, &kept)), chat);
    assert_eq!(sent(client.issue_token(&user, kept.as_slice())), chat);
    let request = TokenRequest::new(kept);
    assert_eq!(sent(client.issue_token(&user, &request)), chat);
    assert_eq!(sent(client.issue_token(&user, request)), chat);

    let all = [
        TokenScope::VOIP,
        TokenScope::CHAT,
        TokenScope::CHAT_JOIN,
        TokenScope::CHAT_JOIN_LIMITED,
        TokenScope::VOIP_JOIN,
    ];
    assert_eq!(
        sent(client.issue_token(&user, all)),
        r#"{"scopes":["voip","chat","chat.join","chat.join.limited","voip.join"]}"#,
        "in the caller's order, as the service spells them"
    );
}

#[test]
fn scopes_that_are_unknown_are_left_to_the_service() {
    let emulator = Emulator::start().unwrap();
    let error = client(&emulator).create_user_and_token(["hologram \"é\""]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Service);
    let body = String::from_utf8(last_request(&emulator).body().to_owned()).unwrap();
    assert_eq!(body, r#"{"createTokenWithScopes":["hologram \"é\""]}"#);
    assert_eq!(emulator.users(), Vec::<String>::new());
}

#[test]
fn user_id_can_be_stored_and_read_back() {
    let emulator = Emulator::start().unwrap();
    let client = client(&emulator);
    let user = client.create_user().unwrap();

    let as_text: CommunicationUserIdentifier = user.to_string().parse().unwrap();
    let json = serde_json::to_string(&user).unwrap();
    assert_eq!(json, format!("\"{}\"", user.identifier()));
    let as_json: CommunicationUserIdentifier = serde_json::from_str(&json).unwrap();
    for stored in [as_text, as_json] {
        assert_eq!(stored, user);
        client.issue_token(&stored, ["chat"]).unwrap();
    }
    let refusal = serde_json::from_str::<CommunicationUserIdentifier>("\" \"").unwrap_err();
    assert_eq!(refusal.to_string(), "user id is empty: expected 8:acs:<resource>_<user>");
}

/// Decodes as RFC 3986, section 2.1, specifies; `None` if the client escaped more or fewer characters than
/// it promises.
fn decoded(segment: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::new(), segment.bytes());
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let pair = [rest.next()?, rest.next()?];
            let pair = std::str::from_utf8(&pair).ok()?;
            let upper = pair.chars().all(|c| c.is_ascii_digit() || ('A'..='F').contains(&c));
            let byte = u8::from_str_radix(pair, 16).ok().filter(|_| upper)?;
            let unreserved = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
            bytes.push(Some(byte).filter(|_| !unreserved)?);
        } else {
            let unreserved = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
            bytes.push(Some(byte).filter(|_| unreserved)?);
        }
    }
    String::from_utf8(bytes).ok()
}

/// An operation on a user that does not exist; in the table, with the rest of its target after the id.
type OnUser = fn(&CommunicationIdentityClient, &CommunicationUserIdentifier) -> Result<(), Error>;
const ON_USERS: [(Operation, &str, OnUser); 3] = [
    (Operation::Issue, "/:issueAccessToken", |client, user| {
        client.issue_token(user, ["chat"]).map(drop)
    }),
    (Operation::Revoke, "/:revokeAccessTokens", |client, user| client.revoke_tokens(user)),
    (Operation::Delete, "", |client, user| client.delete_user(user)),
];

#[test]
fn user_id_is_percent_encoded_and_arrives_unchanged() {
    let emulator = Emulator::start().unwrap();
    let client = client(&emulator);
    let ids = proptest::string::string_regex(
        "(8:acs:)?[/?#% :@&=+;,.~\\\\\"'<>|{}^`a-z0-9é€😀\u{0}-\u{1f}\u{7f}-\u{9f}]{0,40}|\\PC{0,60}",
    );
    let known =
        ["...", "a/../b", "%2e%2e", "%", "%3A", ":issueAccessToken", "a\r\nHost: b", "\u{0}"]
            .map(str::to_owned);
    let ids = prop_oneof![1 => proptest::sample::select(known.to_vec()), 20 => ids.unwrap()];
    proptest!(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }, |(id in ids)| {
        let Ok(user) = id.parse::<CommunicationUserIdentifier>() else { return Ok(()) };
        for (operation, rest, call) in ON_USERS {
            let error = call(&client, &user).unwrap_err();
            prop_assert_eq!(error.code(), Some("IdentityNotOwned"), "{}", error);
            let request = last_request(&emulator);
            prop_assert_eq!(request.operation(), Some(operation));
            let tail = format!("{rest}{VERSION}");
            let path = request.target().strip_suffix(&*tail).unwrap();
            let segment = path.strip_prefix("/identities/").unwrap();
            prop_assert_eq!(decoded(segment), Some(id.clone()), "{}", segment);
        }
    });
}

#[test]
fn invalid_arguments_are_rejected_before_anything_is_sent() {
    let emulator = Emulator::start().unwrap();
    let client = client(&emulator);
    let user: CommunicationUserIdentifier = "8:acs:a_b".parse().unwrap();
    let for_seconds =
        |seconds| TokenRequest::new(["chat"]).expires_in(Duration::from_secs(seconds));
    let no_scopes: [TokenScope; 0] = [];
    let empty = "scopes are empty: name at least one, such as \"voip\" or \"chat\"";
    let blank = "a scope is blank: name one, such as \"voip\" or \"chat\"";
    let teams = |name| {
        format!(
            "{name} is empty: expected the Entra token of a Teams user, the application's id and the user's object id"
        )
    };
    let refusals = [
        (client.issue_token(&user, &no_scopes).map(drop), empty.to_owned()),
        (client.issue_token(&user, Vec::<String>::new()).map(drop), empty.to_owned()),
        (client.create_user_and_token(&no_scopes).map(drop), empty.to_owned()),
        (client.token_source(&user, &no_scopes).map(drop), empty.to_owned()),
        (client.issue_token(&user, ["chat", ""]).map(drop), blank.to_owned()),
        (client.create_user_and_token(["\t"]).map(drop), blank.to_owned()),
        (
            client.issue_token(&user, for_seconds(0)).map(drop),
            "expires_in is 0ns: expected whole minutes, at least one (the service accepts 60 to 1440)".to_owned(),
        ),
        (
            client.create_user_and_token(for_seconds(3_601)).map(drop),
            "expires_in is 3601s: expected whole minutes, at least one (the service accepts 60 to 1440)".to_owned(),
        ),
        (
            client.token_source(&user, for_seconds(59)).map(drop),
            "expires_in is 59s: expected whole minutes, at least one (the service accepts 60 to 1440)".to_owned(),
        ),
        (client.exchange_teams_user_token("", "a", "u").map(drop), teams("teams_token")),
        (client.exchange_teams_user_token("t", " ", "u").map(drop), teams("client_id")),
        (client.exchange_teams_user_token("t", "a", "").map(drop), teams("user_object_id")),
        (
            "".parse::<CommunicationUserIdentifier>().map(drop),
            "user id is empty: expected 8:acs:<resource>_<user>".to_owned(),
        ),
        (
            CommunicationUserIdentifier::try_from(CommunicationIdentifier::from("28:orgid:x"))
                .map(drop),
            "user id is a Teams application's: expected 8:acs:<resource>_<user>".to_owned(),
        ),
    ];
    for (result, expected) in refusals {
        let error = result.unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert_eq!((error.kind(), error.status()), (ErrorKind::InvalidInput, None), "{error}");
        assert_eq!((error.attempts(), error.is_in_doubt()), (0, false), "{error}");
    }
    assert_eq!(emulator.request_count(), 0);
}

#[test]
fn user_id_of_the_maximum_length_is_sent() {
    let emulator = Emulator::start().unwrap();
    // Spaces are sent as three characters each.
    let user = format!("a{}b", " ".repeat(1_022)).parse().unwrap();
    let error = client(&emulator).delete_user(&user).unwrap_err();
    assert_eq!(error.code(), Some("IdentityNotOwned"));
    let target = last_request(&emulator).target().to_owned();
    assert!(target.starts_with("/identities/a%20%20"), "{target}");
    assert!(target.len() > 3_000, "{target}");
}
