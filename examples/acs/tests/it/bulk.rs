//! Throttling, and the record of a bulk deletion.

use std::collections::BTreeSet;
use std::time::Instant;

use acs_identity::emulator::{Emulator, Fault, Operation};

use super::*;

fn start(emulator: &Emulator, file: &str) -> Running {
    Running::start(tool_for(emulator).args(["user", "delete", "--yes", "--from-file", file]))
}

#[test]
fn a_throttled_run_pauses_and_gives_nobody_up() {
    let emulator = Emulator::start().unwrap();
    let users = create_users(&emulator, 900);
    let files = [&users[..450], &users[450..]].map(|half| half.join("\n"));
    let ids = [File::new("first-half", &files[0]), File::new("second-half", &files[1])];
    let throttled = Fault::respond(429).header("Retry-After", "1").on(Operation::Delete);
    emulator.inject(throttled.every(200).times(4));
    let sent_before = emulator.request_count();
    let started = Instant::now();
    let runs = ids.each_ref().map(|ids| start(&emulator, ids));
    for (run, ids) in runs.into_iter().zip(&ids) {
        let ended = run.end();
        assert_eq!(ended.stderr, format!("acs: {ids}: 450 deleted\n"));
        assert_eq!(ended.code(), Some(0));
        assert_eq!(recorded(ids).len(), 450);
    }
    assert!(started.elapsed() > Duration::from_secs(1));
    assert!(emulator.users().is_empty());
    assert_eq!(emulator.request_count() - sent_before, 900 + 4);
}

/// What the service gives in 30 seconds is shared by two runs, which end when it gives more.
#[test]
#[ignore = "takes half a minute: .ci/run does it"]
fn two_runs_share_what_the_service_gives() {
    let emulator = Emulator::builder().throttling(true).start().unwrap();
    let users = create_users(&emulator, 900);
    let files = [&users[..450], &users[450..]].map(|half| half.join("\n"));
    let ids = [File::new("share-1", &files[0]), File::new("share-2", &files[1])];
    let started = Instant::now();
    let runs = ids.each_ref().map(|ids| start(&emulator, ids));
    for (run, ids) in runs.into_iter().zip(&ids) {
        let ended = run.end();
        assert_eq!(ended.stderr, format!("acs: {ids}: 450 deleted\n"));
        assert_eq!(ended.code(), Some(0));
    }
    assert!(emulator.users().is_empty());
    assert!((25..60).contains(&started.elapsed().as_secs()));
}

#[test]
fn two_runs_with_one_file_do_each_deletion_once() {
    let emulator = Emulator::start().unwrap();
    let users = create_users(&emulator, 400);
    let ids = File::new("shared", users.join("\n"));
    let runs = [start(&emulator, &ids), start(&emulator, &ids)];
    let mut deleted = 0;
    for run in runs {
        let ended = run.end();
        // What one finds to be unknown stands in the record of the other, or is about to.
        let summary = ended.stderr.strip_prefix(&format!("acs: {ids}: ")).unwrap();
        deleted += summary.split(' ').next().unwrap().parse::<usize>().unwrap();
        assert_eq!(ended.code(), Some(0), "{ended:?}");
    }
    assert_eq!(deleted, 400);
    assert_eq!(recorded(&ids), users.into_iter().collect());
    assert!(emulator.users().is_empty());
}

#[test]
fn the_record_has_the_name_that_it_is_given() {
    let emulator = Emulator::start().unwrap();
    let users = create_users(&emulator, 3);
    let ids = File::new("named", users.join("\n"));
    let record = File::new("named-record", &users[0]);
    let delete = |words: &[&str]| acs(&emulator, &[&["user", "delete", "-y"], words].concat());
    let ended = delete(&["--from-file", &ids, "--done", &record]);
    assert_eq!(ended.stderr, format!("acs: {ids}: 2 deleted, 1 deleted before\n"));
    assert_eq!(emulator.users(), users[..1]);
    assert!(!std::path::Path::new(&ids.record()).exists());
    assert_eq!(std::fs::read_to_string(&*record).unwrap().lines().count(), 3);

    // stdin has one if it is named.
    let user = &create_users(&emulator, 1)[0];
    let mut command = with_stdin(tool_for(&emulator), &File::new("recorded-stdin", user));
    command.args(["user", "delete", "-y", "--from-file", "-", "--done", &record]);
    assert_eq!(run(&mut command).stderr, "acs: stdin: 1 deleted\n");
    assert!(recorded_in(&record).contains(user));

    let sent_before = emulator.request_count();
    delete(&["--from-file", &ids, "--done", &ids])
        .assert_failed(2, "acs: --done is the file of --from-file: give it another name");
    delete(&["--from-file", &ids, "--done", "no/such/file"])
        .assert_failed(2, &format!("acs: no/such/file cannot be written: {}", no_such_file()));
    assert_eq!(delete(&["-u", &users[0], "--done", &record]).code(), Some(2));
    assert_eq!(emulator.request_count(), sent_before);
}

#[cfg(target_os = "linux")]
#[test]
fn a_record_that_cannot_be_kept_ends_the_run() {
    let emulator = Emulator::start().unwrap();
    let ids = File::new("full", create_users(&emulator, 100).join("\n"));
    let words = ["user", "delete", "-y", "--from-file", &ids, "--done", "/dev/full"];
    let ended = acs(&emulator, &words);
    let full = "acs: /dev/full cannot be written: No space left on device (os error 28)";
    assert!(ended.problems().contains(&full), "{ended:?}");
    assert!(ended.stderr.ends_with(" left: there is no record of them\n"), "{ended:?}");
    assert_eq!(ended.code(), Some(1));
    assert!(emulator.users().len() > 50);
}

fn recorded(ids: &File) -> BTreeSet<String> {
    recorded_in(&ids.record())
}

fn recorded_in(path: &str) -> BTreeSet<String> {
    std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}
