//! Deleting the users of a file: what is read, and what is counted.

use std::collections::BTreeSet;
use std::time::Instant;

use acs_identity::emulator::{Emulator, Fault, Operation};

use super::*;

fn delete(emulator: &Emulator, file: &str, more: &[&str]) -> Ended {
    acs(emulator, &[&["user", "delete", "--yes", "--from-file", file], more].concat())
}

#[test]
fn bulk_delete_of_two_thousand_survives_faults() {
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
    // Each of the hundred faults was followed by another attempt, except the last one of an id that
    // was given up.
    assert_eq!(emulator.request_count() - 2000, (2000 + 100 - reported.len()) as u64);
    let failed = reported.len() as u64;
    assert_eq!(ended.counts(), [2000 - failed, 0, 0, 0, failed, 0]);

    // The next run asks only for those who are left.
    let sent_before = emulator.request_count();
    let again = delete(&emulator, &ids, &["--rate", "60000"]);
    let (deleted, before) = (left.len(), 2000 - left.len());
    let summary = format!("acs: {ids}: {deleted} deleted, {before} in the record\n");
    assert_eq!((&again.stderr, again.code()), (&summary, Some(0)));
    assert_eq!(again.counts(), [deleted as u64, before as u64, 0, 0, 0, 0]);
    assert_eq!(emulator.request_count() - sent_before, deleted as u64);
    assert!(emulator.users().is_empty());
}

#[test]
fn bulk_delete_reports_a_failure_and_deletes_the_rest() {
    let emulator = Emulator::start().unwrap();
    let users = create_users(&emulator, 20);
    let ids = File::new("failure", users.join("\n"));
    emulator.inject(Fault::respond(400).on(Operation::Delete));
    let ended = delete(&emulator, &ids, &[]);
    let [left] = &emulator.users()[..] else { panic!("{ended:?}") };
    let failure = format!("acs: {left}: delete_user: the service responded with 400");
    assert!(ended.problems()[0].starts_with(&failure), "{ended:?}");
    assert_eq!(ended.problems()[1..], [format!("acs: {ids}: 19 deleted, 1 failed")]);
    assert_eq!((ended.counts(), ended.code()), ([19, 0, 0, 0, 1, 0], Some(1)));
}

#[test]
fn bulk_delete_of_a_malformed_file_deletes_nobody() {
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
    let summary = format!("acs: {ids}: 1000 malformed: nothing was deleted; -v lists all");
    assert_eq!(ended.problems()[10], summary);
    assert_eq!(delete(&emulator, &ids, &["-v"]).problems().len(), 1001);
}

#[test]
fn bulk_delete_reads_stdin() {
    let emulator = Emulator::start().unwrap();
    let ids = File::new("stdin", create_users(&emulator, 3).join("\n"));
    let mut command = with_stdin(tool_for(&emulator), &ids);
    let ended = run(command.args(["user", "delete", "-y", "--from-file", "-"]));
    assert_eq!(ended.stderr, "acs: stdin: 3 deleted\n");
    assert_eq!((ended.counts(), ended.code()), ([3, 0, 0, 0, 0, 0], Some(0)));
    assert!(emulator.users().is_empty());
    let mut command = with_stdin(tool_for(&emulator), &File::new("stdin-utf-16", b"\xff\xfe8\0"));
    let ended = run(command.args(["user", "delete", "-y", "--from-file", "-"]));
    ended.assert_failed(2, "acs: stdin cannot be read: it is UTF-16: save it as UTF-8");
}

/// Ids that the service does not know, of the same resource as this user, or of another.
fn unknown_ids(resource_of: &str, number: usize) -> Vec<String> {
    let (resource, _) = resource_of.split_once('_').unwrap();
    (0..number).map(|number| format!("{resource}_00000000-0000-0000-0000-{number:012}")).collect()
}

const STRANGER: &str = "8:acs:99999999-9999-9999-9999-999999999999_0";

#[test]
fn bulk_delete_records_ids_that_are_gone_and_asks_for_them_once() {
    let emulator = Emulator::start().unwrap();
    let user = create_users(&emulator, 1).remove(0);
    let gone = unknown_ids(&user, 100);
    let ids = File::new("unknown", format!("{}\n{user}\n", gone.join("\n")));
    let ended = delete(&emulator, &ids, &["-v"]);
    let listed = ended.problems();
    for id in &gone {
        assert!(listed.contains(&&*format!("acs: {id}: not known to the service")), "{ended:?}");
    }
    let summary = format!("acs: {ids}: 1 deleted, 100 gone already");
    assert_eq!((listed.last(), ended.code()), (Some(&&*summary), Some(0)));
    assert_eq!(ended.counts(), [1, 0, 100, 0, 0, 0]);

    let sent_before = emulator.request_count();
    let ended = delete(&emulator, &ids, &["--strict"]);
    assert_eq!(ended.stderr, format!("acs: {ids}: 0 deleted, 101 in the record\n"));
    assert_eq!((emulator.request_count(), ended.code()), (sent_before, Some(0)));
}

/// A run that was killed has deleted users that are not in its record.
#[test]
fn bulk_delete_with_strict_recovers_from_a_run_that_was_killed() {
    let emulator = Emulator::start().unwrap();
    let ids = File::new("killed", create_users(&emulator, 10).join("\n"));
    assert_eq!(delete(&emulator, &ids, &[]).code(), Some(0));
    let recorded = std::fs::read_to_string(ids.record()).unwrap();
    let without_two: Vec<&str> = recorded.lines().take(9).collect();
    std::fs::write(ids.record(), without_two.join("\n")).unwrap();
    let ended = delete(&emulator, &ids, &["--strict", "-q"]);
    let summary = format!("acs: {ids}: 0 deleted, 8 in the record, 2 gone already");
    assert_eq!((ended.problems(), ended.code()), (vec![&*summary], Some(5)));
    assert_eq!(delete(&emulator, &ids, &["--strict"]).code(), Some(0));
}

/// A nightly run for the wrong resource must not be green.
#[test]
fn bulk_delete_of_strangers_alone_fails() {
    let emulator = Emulator::start().unwrap();
    let users = create_users(&emulator, 20);
    let ids = File::new("wrong-resource", users.join("\n"));
    let other = Emulator::start().unwrap();
    let ended = delete(&other, &ids, &[]);
    let summary = format!(
        "acs: {ids}: 0 deleted, 20 not known to the service (gone already, or another resource's)"
    );
    assert_eq!((ended.problems(), ended.code()), (vec![&*summary], Some(5)));
    assert_eq!(ended.counts(), [0, 0, 0, 20, 0, 0]);
    // Its record holds up nobody.
    let ended = delete(&emulator, &ids, &["-q", "-o", "none"]);
    ended.assert_printed("");
    assert!(emulator.users().is_empty());
    let ended = delete(&emulator, &ids, &[]);
    assert_eq!(ended.stderr, format!("acs: {ids}: 0 deleted, 20 in the record\n"));
    assert_eq!(ended.code(), Some(0));
}

#[test]
fn bulk_delete_ends_after_five_hundred_strangers() {
    let emulator = Emulator::start().unwrap();
    let user = create_users(&emulator, 1).remove(0);
    let content = unknown_ids(STRANGER, 1500).join("\n") + "\n" + &user;
    let ids = File::new("strangers", content);
    let sent_before = emulator.request_count();
    let ended = delete(&emulator, &ids, &["--rate", "60000"]);
    let sent = emulator.request_count() - sent_before;
    assert!((500..520).contains(&sent), "{sent}");
    let host = emulator.endpoint().replace("http://", "");
    let reason = format!(
        " left: none of the first 500 ids is known to {host}: take ids that are gone out of the list\n"
    );
    assert!(ended.stderr.ends_with(&reason), "{ended:?}");
    assert_eq!((ended.code(), emulator.users()), (Some(5), vec![user]));
}

#[test]
fn bulk_delete_of_a_stranger_among_others_fails() {
    let emulator = Emulator::start().unwrap();
    let users = create_users(&emulator, 3);
    // What was cut off names nobody, so nothing shows that its user is gone.
    let cut = users[0][..users[0].len() - 1].to_owned();
    let strangers = [STRANGER.to_owned(), cut, "8:acs:x".to_owned()];
    let content = [&users[..], &unknown_ids(&users[0], 2), &strangers].concat();
    let ids = File::new("mixed", content.join("\n"));
    let ended = delete(&emulator, &ids, &[]);
    let summary =
        format!("acs: {ids}: 3 deleted, 2 gone already, 3 of another resource, or no whole ids");
    assert_eq!((ended.problems(), ended.code()), (vec![&*summary], Some(5)));
    // The next run asks for nobody but the strangers.
    let sent_before = emulator.request_count();
    let ended = delete(&emulator, &ids, &[]);
    assert_eq!((ended.counts(), ended.code()), ([0, 5, 0, 3, 0, 0], Some(5)));
    assert_eq!(emulator.request_count() - sent_before, 3);
}

/// A page of a front door says nothing about a user.
#[test]
fn bulk_delete_ends_at_the_page_of_a_gateway() {
    let emulator = Emulator::start().unwrap();
    for status in [404, 401, 403] {
        let users = create_users(&emulator, 40);
        let ids = File::new("front-door", users.join("\n"));
        let page = Fault::respond(status).body("<html>our services aren't available</html>");
        emulator.inject(from_elsewhere(page.every(6).times(1), true).on(Operation::Delete));
        let ended = delete(&emulator, &ids, &[]);
        let [deleted, _, _, _, _, left] = ended.counts();
        assert_eq!(ended.counts(), [deleted, 0, 0, 0, 1, left]);
        assert!((5..30).contains(&deleted), "{ended:?}");
        assert!(ended.problems()[0].contains(&format!("the service responded with {status} ")));
        let reason = format!(", {left} left: they would fail in the same way\n");
        assert!(ended.stderr.ends_with(&reason) && ended.code() == Some(1), "{ended:?}");
        assert_eq!(emulator.users().len() as u64, left + 1);
        let ended = delete(&emulator, &ids, &[]);
        assert_eq!((ended.counts(), ended.code()), ([left + 1, deleted, 0, 0, 0, 0], Some(0)));
    }
}

#[test]
fn bulk_delete_reads_what_acs_and_az_print() {
    let emulator = Emulator::start().unwrap();
    let printed = |words: &[&str]| acs(&emulator, words).stdout;
    for format in ["json", "tsv"] {
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
    let [a, b, c, d] = &create_users(&emulator, 4)[..] else { unreachable!() };
    let content = format!(
        "\n[{{\"user_id\":\"{a}\"}}, \"{b}\"]\n{{\"properties\": {{\"id\": \"{c}\"}}, \"rawId\": \"{c}\"}}\n{{\"id\": \"{d}\"}}"
    );
    let ids = File::new("lists", content);
    assert_eq!(delete(&emulator, &ids, &[]).stderr, format!("acs: {ids}: 4 deleted\n"));

    let content = "{\"user_id\":\"8:acs:a\"}\n{\"token\":\"CANARY\"}\n\n{\"user_id\":1}\n{\"CANARY";
    let ids = File::new("bad-json", content);
    assert_eq!(
        delete(&emulator, &ids, &[]).stderr,
        format!(
            "acs: {ids}:2: it has no user_id, rawId or id\n\
             acs: {ids}:4: it has no user_id, rawId or id\n\
             acs: {ids}:5: it is not JSON\n\
             acs: {ids}: 3 malformed: nothing was deleted\n"
        )
    );
}

#[test]
fn bulk_delete_ends_early_if_the_service_is_out_of_reach() {
    let users: Vec<String> = (0..200).map(|number| format!("8:acs:{number}")).collect();
    let ids = File::new("unreached", users.join("\n"));
    let arguments = ["user", "delete", "-y", "--from-file", &ids, "--timeout", "1s"];
    // Nobody listens on the first port. The name of the host decides nothing.
    for (endpoint, proxy) in
        [("http://127.0.0.1:1", ""), ("https://contoso-certificates.invalid", "http://127.0.0.1:1")]
    {
        let settings = format!("endpoint={endpoint};accesskey=c2VjcmV0");
        let mut command = tool();
        command.env(QUICKSTART_VARIABLE, settings).env("HTTPS_PROXY", proxy);
        let started = Instant::now();
        let ended = run(command.args(arguments));
        assert!(started.elapsed() > Duration::from_secs(1), "{ended:?}");
        // Nobody is given up: the next run goes on.
        let summary = format!("acs: {ids}: 0 deleted, 200 left: not reached: delete_user: ");
        assert!(ended.stderr.starts_with(&summary), "{ended:?}");
        assert_eq!((ended.stderr.lines().count(), ended.code()), (1, Some(1)));
        std::fs::remove_file(ids.record()).unwrap();
    }
}

#[test]
fn bulk_delete_of_no_ids_is_no_failure() {
    let emulator = Emulator::start().unwrap();
    let ids = File::new("none", "# nothing to do\n\n");
    let ended = delete(&emulator, &ids, &[]);
    assert_eq!(ended.stderr, format!("acs: {ids}: 0 deleted: it has no ids\n"));
    assert_eq!(ended.code(), Some(0));
    for (utf_16, problem) in [
        (&b"\xff\xfe8\0:\0"[..], "it is UTF-16: save it as UTF-8"),
        (b"8\0:\0", "it has NUL bytes: if it is UTF-16, save it as UTF-8"),
    ] {
        let ended = delete(&emulator, &File::new("utf-16", utf_16), &[]);
        assert!(ended.problems()[0].ends_with(&format!(" cannot be read: {problem}")));
        assert_eq!(ended.code(), Some(2));
    }
    assert_eq!(emulator.request_count(), 0);
}

#[test]
fn bulk_delete_ends_early_if_the_credential_is_rejected() {
    let emulator = Emulator::start().unwrap();
    let users = create_users(&emulator, 40);
    let ids = File::new("refused", users.join("\n"));
    let sent_before = emulator.request_count();
    let settings = format!("endpoint={};accesskey=d3Jvbmc=", emulator.endpoint());
    let arguments = ["user", "delete", "-y", "--from-file", &ids, "--rate", "10"];
    let ended = run(tool().args(arguments).args(["--connection-string", &settings]));
    assert_eq!(ended.code(), Some(3), "{ended:?}");
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

/// CI has no terminal, and checks a file before it is used.
#[test]
fn bulk_delete_with_dry_run_checks_all_and_sends_nothing() {
    let emulator = Emulator::start().unwrap();
    let users = create_users(&emulator, 5);
    let ids = File::new("dry", users.join("\n"));
    let first = File::new("dry-first", &users[0]);
    let record = ids.record();
    acs(&emulator, &["user", "delete", "-y", "--from-file", &first, "--done", &record]);
    let sent_before = emulator.request_count();
    let dry_run = |file: &str| {
        acs(&emulator, &["user", "delete", "--dry-run", "--from-file", file, "--done", &record])
    };
    let ended = dry_run(&ids);
    let host = emulator.endpoint().replace("http://", "");
    let summary = format!("acs: dry run: 4 of 5 users of {host} would be deleted\n");
    assert_eq!((&ended.stderr, ended.code()), (&summary, Some(0)));
    assert_eq!(ended.counts(), [0, 1, 0, 0, 0, 4]);
    assert_eq!(dry_run(&File::new("dry-malformed", "a table\n")).code(), Some(2));
    assert_eq!((emulator.request_count(), emulator.users().len()), (sent_before, 4));
    assert_eq!(acs(&emulator, &["user", "delete", "--dry-run", "-u", &users[1]]).counts()[5], 1);
}
