//! Deleting the users of a file.

use std::collections::BTreeSet;

use acs_identity::emulator::{Emulator, Fault, Operation};

use super::*;

fn delete(emulator: &Emulator, file: &str, more: &[&str]) -> Ended {
    acs(emulator, &[&["user", "delete", "--yes", "--from-file", file], more].concat())
}

#[test]
fn two_thousand_with_faults() {
    let emulator = Emulator::start().unwrap();
    let users = create_users(&emulator, 2000);
    let ids = File::new("two-thousand", users.join("\n"));
    // Every twentieth delete: refused before it happened, or done without an answer.
    for fault in [Fault::respond(503), Fault::drop_after_processing()] {
        emulator.inject(fault.on(Operation::Delete).every(40).times(50));
    }
    let ended = delete(&emulator, &ids, &["--rate", "60000"]);

    // One delete in a hundred runs or so meets four faults in a row and is given up: it has to be
    // reported then.
    let mut reported = BTreeSet::new();
    for line in ended.stderr.lines().filter(|line| line.starts_with("acs: 8:")) {
        reported.insert(line["acs: ".len()..].split(": ").next().unwrap().to_owned());
    }
    let left: BTreeSet<String> = emulator.users().into_iter().collect();
    assert!(left.is_subset(&reported), "{left:?} are left: {}", ended.stderr);
    assert!(reported.len() <= 3, "{}", ended.stderr);
    let summary = ended.stderr.lines().last().unwrap();
    match reported.len() {
        0 => {
            assert_eq!(ended.stderr, format!("acs: {ids}: 2000 deleted\n"));
            assert_eq!(ended.code(), Some(0));
        }
        failed => {
            let deleted = 2000 - failed;
            assert_eq!(summary, format!("acs: {ids}: {deleted} deleted, {failed} failed"));
            assert_eq!(ended.code(), Some(1));
        }
    }
    // Each of the hundred faults was followed by another attempt, but the last one of an id that
    // was given up.
    assert_eq!(emulator.request_count() - 2000, (2000 + 100 - reported.len()) as u64);
    assert_eq!(ended.stdout, "");

    let gone = 2000 - left.len();
    let again = delete(&emulator, &ids, &["--rate", "60000"]);
    let deleted = left.len();
    assert_eq!(
        again.stderr.lines().last().unwrap(),
        format!(
            "acs: {ids}: {deleted} deleted, {gone} not known to the service (gone already, or another resource's)"
        )
    );
    assert_eq!(again.code(), Some(0));
    assert!(emulator.users().is_empty());
}

#[test]
fn a_failure_is_reported_and_the_rest_is_deleted() {
    let emulator = Emulator::start().unwrap();
    let users = create_users(&emulator, 20);
    let ids = File::new("failure", users.join("\n"));
    emulator.inject(Fault::respond(400).on(Operation::Delete));
    let ended = delete(&emulator, &ids, &[]);
    let [left] = &emulator.users()[..] else { panic!("{ended:?}") };
    let failure = format!("acs: {left}: delete_user: the service responded with 400");
    assert!(ended.problems()[0].starts_with(&failure), "{ended:?}");
    assert_eq!(ended.problems()[1..], [format!("acs: {ids}: 19 deleted, 1 failed")]);
    assert_eq!((ended.stdout.as_str(), ended.code()), ("", Some(1)));
}

#[test]
fn malformed_lines_are_reported_and_the_rest_is_deleted() {
    let emulator = Emulator::start().unwrap();
    let users = create_users(&emulator, 3);
    let [first, second, third] = &users[..] else { unreachable!() };
    let content = format!(
        "\u{feff}# from yesterday\r\n{first}\r\n\r\n  {second}\t\r\n\"user_id\": CANARY\r\nCANARY\r\n8:acs:a 8:acs:b\r\n4:+15551234567\r\n{first}\r\n8:\r\n8:acs:\r\n{third}"
    );
    let ids = File::new("malformed", content);
    let ended = delete(&emulator, &ids, &[]);
    assert_eq!(
        ended.stderr,
        format!(
            "acs: {ids}:5: it is no user id: expected 8:acs:<resource>_<user> alone\n\
             acs: {ids}:6: it is no user id: expected 8:acs:<resource>_<user> alone\n\
             acs: {ids}:7: it is no user id: expected 8:acs:<resource>_<user> alone\n\
             acs: {ids}:8: user id is a phone number: expected 8:acs:<resource>_<user>\n\
             acs: {ids}:10: it is no user id: expected 8:acs:<resource>_<user> alone\n\
             acs: {ids}:11: it is no user id: expected 8:acs:<resource>_<user> alone\n\
             acs: {ids}: 3 deleted, 6 malformed\n"
        )
    );
    assert_eq!((ended.stdout.as_str(), ended.code()), ("", Some(2)));
    assert!(emulator.users().is_empty());
}

#[test]
fn stdin_is_a_file_too() {
    let emulator = Emulator::start().unwrap();
    let ids = File::new("stdin", create_users(&emulator, 3).join("\n"));
    let mut command = with_stdin(tool_for(&emulator), &ids);
    let ended = run(command.args(["user", "delete", "-y", "--from-file", "-"]));
    assert_eq!(ended.stderr, "acs: stdin: 3 deleted\n");
    assert_eq!((ended.stdout.as_str(), ended.code()), ("", Some(0)));
    assert!(emulator.users().is_empty());
    let mut command = with_stdin(tool_for(&emulator), &File::new("stdin-utf-16", b"\xff\xfe8\0"));
    let ended = run(command.args(["user", "delete", "-y", "--from-file", "-"]));
    ended.assert_failed(2, "acs: stdin cannot be read: it is UTF-16: save it as UTF-8");
}

#[test]
fn ids_that_the_service_does_not_know_are_named() {
    let emulator = Emulator::start().unwrap();
    let user = &create_users(&emulator, 1)[0];
    let ids = File::new("unknown", format!("8:acs:other\n{user}\n"));
    let ended = delete(&emulator, &ids, &[]);
    assert_eq!(
        ended.stderr,
        format!(
            "acs: 8:acs:other: not known to the service\n\
             acs: {ids}: 1 deleted, 1 not known to the service (gone already, or another resource's)\n"
        )
    );
    assert_eq!((ended.stdout.as_str(), ended.code()), ("", Some(0)));
}

#[test]
fn a_service_that_is_not_reached_ends_it_early() {
    let users: Vec<String> = (0..200).map(|number| format!("8:acs:{number}")).collect();
    let ids = File::new("unreached", users.join("\n"));
    let arguments = ["user", "delete", "-y", "--from-file", &ids, "--timeout", "1s"];
    // Nobody listens on the first port.
    let settings = "endpoint=http://127.0.0.1:1;accesskey=c2VjcmV0";
    let ended = run(tool().args(arguments).env(QUICKSTART_VARIABLE, settings));
    assert_eq!((ended.stdout.as_str(), ended.code()), ("", Some(1)), "{ended:?}");
    let failed = ended.stderr.lines().filter(|line| line.starts_with("acs: 8:")).count();
    // The last of them and those that were under way with it.
    assert!((20..40).contains(&failed), "{ended:?}");
    let summary = format!(
        "acs: {ids}: 0 deleted, {failed} failed, {} not tried, since the service was not reached many times in a row",
        200 - failed
    );
    assert_eq!(ended.stderr.lines().last(), Some(&*summary));
}

#[test]
fn no_ids_are_no_failure() {
    let emulator = Emulator::start().unwrap();
    let ids = File::new("none", "# nothing to do\n\n");
    let ended = delete(&emulator, &ids, &[]);
    assert_eq!(ended.stderr, format!("acs: {ids}: 0 deleted\n"));
    assert_eq!(ended.code(), Some(0));
    let ended = delete(&emulator, &File::new("utf-16", b"\xff\xfe8\0:\0"), &[]);
    assert!(ended.problems()[0].ends_with(" cannot be read: it is UTF-16: save it as UTF-8"));
    assert_eq!(ended.code(), Some(2));
    assert_eq!(emulator.request_count(), 0);
}

#[test]
fn a_refused_credential_ends_it_early() {
    let emulator = Emulator::start().unwrap();
    let users = create_users(&emulator, 40);
    let ids = File::new("refused", users.join("\n"));
    let sent_before = emulator.request_count();
    let settings = format!("endpoint={};accesskey=d3Jvbmc=", emulator.endpoint());
    let arguments = ["user", "delete", "-y", "--from-file", &ids, "--rate", "10"];
    let ended = run(tool().args(arguments).args(["--connection-string", &settings]));
    assert_eq!((ended.stdout.as_str(), ended.code()), ("", Some(3)), "{ended:?}");
    let failed = ended.stderr.lines().filter(|line| line.starts_with("acs: 8:")).count();
    assert!((1..=10).contains(&failed), "{ended:?}");
    assert_eq!(emulator.request_count() - sent_before, failed as u64);
    let summary = format!("acs: {ids}: 0 deleted, {failed} failed, {} not tried", 40 - failed);
    assert_eq!(ended.stderr.lines().last(), Some(summary.as_str()));
    assert_eq!(emulator.users(), users);
}
