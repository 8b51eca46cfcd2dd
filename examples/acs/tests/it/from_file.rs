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

    // The next run asks only for those who are left.
    let sent_before = emulator.request_count();
    let again = delete(&emulator, &ids, &["--rate", "60000"]);
    let (deleted, before) = (left.len(), 2000 - left.len());
    let summary = format!("acs: {ids}: {deleted} deleted, {before} deleted before\n");
    assert_eq!((again.stderr, again.status.code()), (summary, Some(0)));
    assert_eq!(emulator.request_count() - sent_before, deleted as u64);
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
fn a_file_with_malformed_lines_deletes_nobody() {
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
            "acs: {ids}:5: not a user id: expected 8:acs:<resource>_<user> and nothing else\n\
             acs: {ids}:6: not a user id: expected 8:acs:<resource>_<user> and nothing else\n\
             acs: {ids}:7: not a user id: expected 8:acs:<resource>_<user> and nothing else\n\
             acs: {ids}:8: user id is a phone number: expected 8:acs:<resource>_<user>\n\
             acs: {ids}:10: not a user id: expected 8:acs:<resource>_<user> and nothing else\n\
             acs: {ids}:11: not a user id: expected 8:acs:<resource>_<user> and nothing else\n\
             acs: {ids}: 6 malformed: nothing was deleted\n"
        )
    );
    assert_eq!((ended.stdout.as_str(), ended.code()), ("", Some(2)));
    assert_eq!(emulator.users(), users);

    let ids = File::new("all-malformed", "CANARY\n".repeat(1000));
    let ended = delete(&emulator, &ids, &[]);
    assert_eq!((ended.problems().len(), ended.code()), (11, Some(2)));
    let summary = format!("acs: {ids}: 1000 malformed: nothing was deleted; -v shows all");
    assert_eq!(ended.problems()[10], summary);
    assert_eq!(delete(&emulator, &ids, &["-v"]).problems().len(), 1001);
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
fn unknown_ids_are_counted_and_listed_on_request() {
    let emulator = Emulator::start().unwrap();
    let user = create_users(&emulator, 1).remove(0);
    let unknown: Vec<String> = (0..100).map(|number| format!("8:acs:{number}")).collect();
    let ids = File::new("unknown", format!("{}\n{user}\n", unknown.join("\n")));
    let summary = |deleted| {
        format!(
            "acs: {ids}: {deleted}, 100 not known to the service (gone already, or another resource's)"
        )
    };
    let ended = delete(&emulator, &ids, &[]);
    assert_eq!(ended.problems(), [summary("1 deleted")]);
    assert_eq!((ended.stdout.as_str(), ended.code()), ("", Some(0)));

    // The record knows one of them: the file is of this resource.
    let ended = delete(&emulator, &ids, &["-v"]);
    for id in &unknown {
        let line = format!("acs: {id}: not known to the service");
        assert!(ended.problems().contains(&&*line), "{ended:?}");
    }
    let again = "0 deleted, 1 deleted before";
    assert_eq!((ended.problems().last(), ended.code()), (Some(&&*summary(again)), Some(0)));
    let ended = delete(&emulator, &ids, &["--strict", "-q"]);
    assert_eq!((ended.problems(), ended.code()), (vec![&*summary(again)], Some(5)));
}

/// A nightly run for the wrong resource must not be green.
#[test]
fn ids_that_are_all_unknown_are_a_failure() {
    let emulator = Emulator::start().unwrap();
    let users = create_users(&emulator, 20);
    let ids = File::new("wrong-resource", users.join("\n"));
    let other = Emulator::start().unwrap();
    let summary = format!(
        "acs: {ids}: 0 deleted, 20 not known to the service (gone already, or another resource's)"
    );
    delete(&other, &ids, &[]).assert_failed(5, &summary);
    // What was not deleted is not in the record.
    let ended = delete(&emulator, &ids, &["-q"]);
    ended.assert_printed("");
    assert!(emulator.users().is_empty());
    let ended = delete(&emulator, &ids, &[]);
    assert_eq!(ended.stderr, format!("acs: {ids}: 0 deleted, 20 deleted before\n"));
    assert_eq!(ended.code(), Some(0));
}

#[test]
fn what_acs_prints_is_read_from_a_file() {
    let emulator = Emulator::start().unwrap();
    let printed = |words: &[&str]| acs(&emulator, words).stdout;
    for format in ["json", "tsv", "text", "table"] {
        let issue = ["token", "issue", "-s", "voip", "-o", format];
        let create = ["user", "create", "-o", format];
        let content = [printed(&issue), printed(&create), printed(&issue)].concat();
        let ids = File::new(&format!("printed-{format}"), content);
        assert_eq!(emulator.users().len(), 3);
        let ended = delete(&emulator, &ids, &[]);
        assert_eq!(ended.stderr, format!("acs: {ids}: 3 deleted\n"), "{format}");
        assert!(emulator.users().is_empty());
    }
    // Lists, and what az prints.
    let [a, b, c] = &create_users(&emulator, 3)[..] else { unreachable!() };
    let content = format!(
        "\n[{{\"user_id\":\"{a}\"}}, \"{b}\"]\n{{\"properties\": {{\"id\": \"{c}\"}}, \"rawId\": \"{c}\"}}"
    );
    let ids = File::new("lists", content);
    assert_eq!(delete(&emulator, &ids, &[]).stderr, format!("acs: {ids}: 3 deleted\n"));

    let content = "{\"user_id\":\"8:acs:a\"}\n{\"token\":\"CANARY\"}\n\n{\"user_id\":1}\n{\"CANARY";
    let ids = File::new("bad-json", content);
    assert_eq!(
        delete(&emulator, &ids, &[]).stderr,
        format!(
            "acs: {ids}:2: user id is empty: expected 8:acs:<resource>_<user>\n\
             acs: {ids}:4: user id is empty: expected 8:acs:<resource>_<user>\n\
             acs: {ids}:5: it is no JSON\n\
             acs: {ids}: 3 malformed: nothing was deleted\n"
        )
    );
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
    // Nobody is given up: the next run goes on.
    let summary = format!("acs: {ids}: 0 deleted, 200 left: not reached: delete_user: ");
    assert!(ended.stderr.starts_with(&summary), "{ended:?}");
    assert_eq!(ended.stderr.lines().count(), 1);
}

#[test]
fn no_ids_are_no_failure() {
    let emulator = Emulator::start().unwrap();
    let ids = File::new("none", "# nothing to do\n\n");
    let ended = delete(&emulator, &ids, &[]);
    assert_eq!(ended.stderr, format!("acs: {ids}: 0 deleted: it has no ids\n"));
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
    let summary = format!(
        "acs: {ids}: 0 deleted, {failed} failed, {} left: they would fail in the same way",
        40 - failed
    );
    assert_eq!(ended.stderr.lines().last(), Some(summary.as_str()));
    assert_eq!(emulator.users(), users);
}
