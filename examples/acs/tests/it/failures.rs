//! Failures of single calls, and their exit codes.

use acs_identity::emulator::{Emulator, Fault};

use super::*;

const NOT_OWNED: &str = "the service responded with 401 IdentityNotOwned: Provided identity doesn't belong to the resource; the id belongs to another resource, was deleted or never existed; the key is not at fault";

#[test]
fn exit_code_of_a_wrong_key_is_3() {
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

/// A status decides only if the service itself sent it: it has sent a 401 without a body.
#[test]
fn exit_code_of_a_status_depends_on_who_sent_it() {
    let emulator = Emulator::start().unwrap();
    let user = &create_users(&emulator, 1)[0];
    let envelope = r#"{"error":{"code":"NotFound","message":"No such user."}}"#;
    let page = "<html>no such page</html>";
    let api_management = r#"{"statusCode":404,"message":"Resource not found"}"#;
    for (fault, code) in [
        (Fault::respond(404).body(envelope), 5),
        (Fault::respond(404), 1),
        (from_elsewhere(Fault::respond(404).body(page), true), 1),
        (from_elsewhere(Fault::respond(404).body(api_management), false), 1),
        (Fault::respond(401), 3),
        (from_elsewhere(Fault::respond(401).body(page), true), 1),
        (Fault::respond(403), 3),
        (from_elsewhere(Fault::respond(403).body(page), false), 1),
    ] {
        for words in [&["token", "issue", "-s", "chat"][..], &["user", "delete", "-y"]] {
            emulator.inject(fault.clone());
            let ended = acs(&emulator, &[words, &["-u", user]].concat());
            assert_eq!((&*ended.stdout, ended.code()), ("", Some(code)), "{ended:?}");
        }
    }
    assert_eq!(emulator.users(), [user.as_str()]);
}

#[test]
fn exit_code_of_an_unknown_user_is_5() {
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
}

#[test]
fn exit_code_of_throttling_is_4() {
    let emulator = Emulator::start().unwrap();
    // Longer than the client is ready to wait.
    emulator.inject(Fault::respond(429).header("Retry-After", "600"));
    let ended = acs(&emulator, &["user", "create"]);
    assert_eq!((ended.stdout.as_str(), ended.code()), ("", Some(4)), "{ended:?}");
    assert_eq!(ended.stderr.lines().count(), 1);
    assert_eq!(emulator.request_count(), 1);
}

#[test]
fn exit_code_of_other_failures_is_1() {
    let emulator = Emulator::start().unwrap();
    emulator.inject(Fault::respond(400));
    assert_eq!(acs(&emulator, &["user", "create"]).code(), Some(1));
    emulator.inject(Fault::respond(200).body("<html>"));
    assert_eq!(acs(&emulator, &["user", "create"]).code(), Some(1));
}

#[test]
fn exit_code_of_a_value_that_the_service_rejects_is_2() {
    let emulator = Emulator::start().unwrap();
    let id = "11111111-2222-3333-4444-555555555555";
    emulator.accept_teams_token("eyJ.teams", id, id);
    let words = ["token", "exchange", "--teams-token", "eyJ.teams", "--client", "a"];
    let ended = acs(&emulator, &[&words[..], &["--teams-user", id]].concat());
    assert_eq!((ended.stdout.as_str(), ended.code()), ("", Some(2)), "{ended:?}");
    let problem =
        "acs: exchange_teams_user_token: the service responded with 400 ValidationError: ";
    assert!(ended.stderr.starts_with(problem), "{ended:?}");
    assert_eq!(emulator.request_count(), 1);
    for lifetime in ["59m", "25h"] {
        let ended = acs(&emulator, &["token", "issue", "-s", "voip", "--expires-in", lifetime]);
        assert!(ended.stderr.contains("; expires_in takes 60 minutes to 24 hours ["), "{ended:?}");
        assert_eq!(ended.code(), Some(2));
    }
    assert!(emulator.users().is_empty());
}

/// Half a minute without a word looks as if the program hangs.
#[test]
fn wait_of_two_seconds_is_reported_with_its_reason() {
    let emulator = Emulator::start().unwrap();
    let throttled = || Fault::respond(429).header("retry-after-ms", "2000");
    emulator.inject(throttled());
    let ended = acs(&emulator, &["user", "create", "-o", "tsv"]);
    let problem = "acs: next attempt in 2s: create_user: the service responded with 429 ";
    assert!(ended.stderr.starts_with(problem), "{ended:?}");
    assert_eq!((ended.stderr.lines().count(), ended.code()), (1, Some(0)));
    // Nor is a shorter one, or any with -q.
    emulator.inject(Fault::respond(429).header("retry-after-ms", "900"));
    assert_eq!(acs(&emulator, &["user", "create"]).stderr, "");
    emulator.inject(throttled());
    assert_eq!(acs(&emulator, &["user", "create", "-q"]).stderr, "");
}

#[test]
fn teams_token_that_is_rejected_is_not_repeated() {
    let emulator = Emulator::start().unwrap();
    let client = "11111111-2222-3333-4444-555555555555";
    let arguments = ["token", "exchange", "--client", client, "--teams-user", client];
    let ended = acs(&emulator, &[&arguments[..], &["--teams-token", "CANARY"]].concat());
    assert_eq!((ended.stdout.as_str(), ended.code()), ("", Some(3)), "{ended:?}");
    assert!(!ended.stderr.contains("CANARY"), "{ended:?}");
}

#[test]
fn delete_of_several_users_tries_all_and_the_worst_failure_counts() {
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
fn delete_of_an_id_that_is_named_twice_is_one_request() {
    let emulator = Emulator::start().unwrap();
    let [user, other] = &create_users(&emulator, 2)[..] else { unreachable!() };
    let sent_before = emulator.request_count();
    acs(&emulator, &["user", "delete", "-y", "-u", user, user]).assert_printed("");
    acs(&emulator, &["user", "delete", "-y", "-u", other, "-u", other]).assert_printed("");
    assert_eq!(emulator.request_count() - sent_before, 2);
}
