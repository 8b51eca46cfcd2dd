//! What the service refuses, and with which exit code.

use acs_identity::emulator::{Emulator, Fault};

use super::*;

const NOT_OWNED: &str = "the service responded with 401 IdentityNotOwned: Provided identity doesn't belong to the resource; the id belongs to another resource, was deleted or never existed; the key is not at fault";

#[test]
fn a_wrong_key_is_an_authentication_failure() {
    let emulator = Emulator::start().unwrap();
    let settings = format!("endpoint={};accesskey=d3Jvbmc=", emulator.endpoint());
    for words in [&["user", "create"][..], &["token", "issue", "-s", "voip"]] {
        let ended = run(tool().args(words).args(["--connection-string", &settings]));
        assert_eq!((ended.stdout.as_str(), ended.code()), ("", Some(3)), "{ended:?}");
        assert_eq!(ended.stderr.lines().count(), 1);
        assert!(!ended.stderr.contains("d3Jvbmc="));
    }
    assert!(emulator.users().is_empty());
}

#[test]
fn a_forbidden_request_is_an_authentication_failure() {
    let emulator = Emulator::start().unwrap();
    emulator.inject(Fault::respond(403));
    assert_eq!(acs(&emulator, &["user", "create"]).code(), Some(3));
}

#[test]
fn an_unknown_user_is_not_found() {
    let emulator = Emulator::start().unwrap();
    let user = "8:acs:11111111-2222-3333-4444-555555555555_66666666-7777-8888-9999-000000000000";
    for (words, operation) in [
        (&["token", "issue", "-s", "voip"][..], "issue_token"),
        (&["token", "revoke", "-y"], "revoke_tokens"),
        (&["user", "delete", "-y"], "delete_user"),
    ] {
        acs(&emulator, &[words, &["--user", user]].concat())
            .assert_failed(5, &format!("acs: {operation}: {NOT_OWNED}"));
    }
    emulator.inject(Fault::respond(404));
    assert_eq!(acs(&emulator, &["user", "delete", "-y", "-u", user]).code(), Some(5));
}

#[test]
fn throttling_has_a_code_of_its_own() {
    let emulator = Emulator::start().unwrap();
    // Longer than the client is ready to wait.
    emulator.inject(Fault::respond(429).header("Retry-After", "600"));
    let ended = acs(&emulator, &["user", "create"]);
    assert_eq!((ended.stdout.as_str(), ended.code()), ("", Some(4)), "{ended:?}");
    assert_eq!(ended.stderr.lines().count(), 1);
    assert_eq!(emulator.request_count(), 1);
}

#[test]
fn what_the_service_refuses_otherwise_is_its_failure() {
    let emulator = Emulator::start().unwrap();
    emulator.inject(Fault::respond(400));
    assert_eq!(acs(&emulator, &["user", "create"]).code(), Some(1));
    emulator.inject(Fault::respond(200).body("<html>"));
    assert_eq!(acs(&emulator, &["user", "create"]).code(), Some(1));
}

#[test]
fn a_value_that_the_service_refuses_is_wrong_usage() {
    let emulator = Emulator::start().unwrap();
    let ended = acs(&emulator, &["token", "issue", "-s", "voice"]);
    assert_eq!((ended.stdout.as_str(), ended.code()), ("", Some(2)), "{ended:?}");
    let problem = "acs: create_user_and_token: the service responded with 400 ValidationError: ";
    assert!(ended.stderr.starts_with(problem), "{ended:?}");
    assert_eq!(emulator.request_count(), 1);
}

#[test]
fn a_teams_token_that_is_refused_is_not_repeated() {
    let emulator = Emulator::start().unwrap();
    let client = "11111111-2222-3333-4444-555555555555";
    let arguments = ["token", "exchange", "--client", client, "--teams-user", client];
    let ended = acs(&emulator, &[&arguments[..], &["--teams-token", "CANARY"]].concat());
    assert_eq!((ended.stdout.as_str(), ended.code()), ("", Some(3)), "{ended:?}");
    assert!(!ended.stderr.contains("CANARY"), "{ended:?}");
}

#[test]
fn several_users_are_all_tried_and_the_worst_failure_counts() {
    let emulator = Emulator::start().unwrap();
    let users = create_users(&emulator, 2);
    let arguments = ["user", "delete", "-y", "-u", &users[0], "8:acs:unknown", &users[1]];
    let ended = acs(&emulator, &arguments);
    let failure = format!("acs: 8:acs:unknown: delete_user: {NOT_OWNED}");
    assert_eq!(ended.problems(), [failure.as_str(), "acs: 2 deleted, 1 failed"]);
    assert_eq!(ended.code(), Some(5));
    assert!(emulator.users().is_empty());

    // The service's own failure, which comes first, is worse than an unknown user.
    emulator.inject(Fault::respond(400));
    let unknown: Vec<String> = (0..30).map(|number| format!("8:acs:unknown{number}")).collect();
    let mut arguments = vec!["user", "delete", "-y", "-u"];
    arguments.extend(unknown.iter().map(String::as_str));
    let ended = acs(&emulator, &arguments);
    assert_eq!(ended.code(), Some(1), "{ended:?}");
}

#[test]
fn an_id_that_is_named_twice_is_deleted_once() {
    let emulator = Emulator::start().unwrap();
    let [user, other] = &create_users(&emulator, 2)[..] else { unreachable!() };
    let sent_before = emulator.request_count();
    acs(&emulator, &["user", "delete", "-y", "-u", user, user]).assert_printed("");
    acs(&emulator, &["user", "delete", "-y", "-u", other, "-u", other]).assert_printed("");
    assert_eq!(emulator.request_count() - sent_before, 2);
}
