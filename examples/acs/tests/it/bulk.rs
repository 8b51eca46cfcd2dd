//! Throttling, and the record of a bulk deletion.

use std::collections::BTreeSet;
use std::time::Instant;

use acs_identity::emulator::{Emulator, Fault, Operation};

use super::*;

fn start(emulator: &Emulator, file: &str) -> Running {
    Running::start(tool_for(emulator).args(["user", "delete", "--yes", "--from-file", file]))
}

#[test]
fn bulk_delete_pauses_when_throttled_and_gives_nobody_up() {
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
fn bulk_deletes_at_once_share_what_the_service_gives() {
    let emulator = Emulator::builder().throttling(true).start().unwrap();
    let users = create_users(&emulator, 900);
    let files = [&users[..450], &users[450..]].map(|half| half.join("\n"));
    let ids = [File::new("share-1", &files[0]), File::new("share-2", &files[1])];
    let started = Instant::now();
    let runs = ids.each_ref().map(|ids| start(&emulator, ids));
    for (run, ids) in runs.into_iter().zip(&ids) {
        let ended = run.end();
        let summary = format!("acs: {ids}: 450 deleted");
        assert_eq!((ended.stderr.lines().last(), ended.code()), (Some(&*summary), Some(0)));
        // The wait of half a minute is not a silent one.
        let throttled = " of 450, throttled: next request in ";
        assert!(ended.stderr.contains(throttled) || ended.stderr.lines().count() == 1);
    }
    assert!(emulator.users().is_empty());
    assert!((25..60).contains(&started.elapsed().as_secs()));
}

#[test]
fn bulk_deletes_with_one_record_delete_each_user_once() {
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
fn bulk_delete_record_has_the_name_that_it_is_given() {
    let emulator = Emulator::start().unwrap();
    let users = create_users(&emulator, 3);
    let ids = File::new("named", users.join("\n"));
    let first = File::new("named-first", &users[0]);
    let record = File::new("named-record", "");
    let delete = |words: &[&str]| acs(&emulator, &[&["user", "delete", "-y"], words].concat());
    delete(&["--from-file", &first, "--done", &record]);
    let ended = delete(&["--from-file", &ids, "--done", &record]);
    assert_eq!(ended.stderr, format!("acs: {ids}: 2 deleted, 1 in the record\n"));
    assert!(emulator.users().is_empty() && !std::path::Path::new(&ids.record()).exists());
    assert_eq!(recorded_in(&record), users.iter().cloned().collect());

    // stdin has one if it is named.
    let user = &create_users(&emulator, 1)[0];
    let mut command = with_stdin(tool_for(&emulator), &File::new("recorded-stdin", user));
    command.args(["user", "delete", "-y", "--from-file", "-", "--done", &record]);
    assert_eq!(run(&mut command).stderr, "acs: stdin: 1 deleted\n");
    assert!(recorded_in(&record).contains(user));

    let sent_before = emulator.request_count();
    delete(&["--from-file", &ids, "--done", "no/such/file"]).assert_failed(
        2,
        &format!(
            "acs: no/such/file cannot be written: {}: name another record with --done",
            no_such_file()
        ),
    );
    assert_eq!(delete(&["-u", &users[0], "--done", &record]).code(), Some(2));
    assert_eq!(emulator.request_count(), sent_before);
}

/// What is taken for the record of this resource hides its users.
#[test]
fn bulk_delete_refuses_a_file_that_is_not_its_record() {
    let emulator = Emulator::start().unwrap();
    let ids = File::new("no-record", create_users(&emulator, 3).join("\n"));
    let other = Emulator::start().unwrap();
    let others = File::new("other-record", create_users(&other, 1)[0].clone());
    acs(&other, &["user", "delete", "-y", "--from-file", &others]).counts();
    let other_host = other.endpoint().replace("http://", "");
    let copy = File::new("copied", std::fs::read(&*ids).unwrap());
    let link = File(format!("{ids}-link"));
    std::fs::hard_link(&*ids, &*link).unwrap();
    let diary = File::new("diary", "dear diary\n");
    let sent_before = emulator.request_count();
    let no_record = "it is not a record of acs user delete";
    let another = format!("it is the record of another resource, {other_host}");
    for (record, problem) in [
        (&*ids, no_record),
        (&copy, no_record),
        (&link, no_record),
        (&diary, no_record),
        (&others.record(), &another),
    ] {
        let content = std::fs::read(record).unwrap();
        acs(&emulator, &["user", "delete", "-y", "--from-file", &ids, "--done", record])
            .assert_failed(
                2,
                &format!(
                    "acs: {record} cannot be used: {problem}: name another record with --done"
                ),
            );
        assert_eq!(std::fs::read(record).unwrap(), content);
    }
    assert_eq!((emulator.request_count(), emulator.users().len()), (sent_before, 3));
}

#[test]
fn bulk_delete_names_done_where_no_record_can_be_written() {
    let emulator = Emulator::start().unwrap();
    let ids = File::new("no-place", create_users(&emulator, 3).join("\n"));
    std::fs::create_dir(ids.record()).unwrap();
    let ended = acs(&emulator, &["user", "delete", "-y", "--from-file", &ids]);
    std::fs::remove_dir(ids.record()).unwrap();
    assert!(ended.stderr.ends_with(": name another record with --done\n"), "{ended:?}");
    assert_eq!((ended.code(), emulator.users().len()), (Some(2), 3));
}

/// A limit on the size of files takes the place of a full disk.
#[cfg(target_os = "linux")]
#[test]
fn bulk_delete_ends_if_its_record_cannot_be_kept() {
    let emulator = Emulator::start().unwrap();
    let ids = File::new("full", create_users(&emulator, 100).join("\n"));
    let mut shell = Command::new("bash");
    let limited = "trap '' XFSZ; ulimit -f 1; exec \"$ACS\" user delete -y --from-file \"$1\"";
    shell.args(["-c", limited, "bash", &ids]).env("ACS", env!("CARGO_BIN_EXE_acs"));
    let ended = run(shell.env(QUICKSTART_VARIABLE, emulator.connection_string()));
    let full = format!(
        "acs: {} cannot be written: File too large (os error 27): name another record with --done",
        ids.record()
    );
    assert!(ended.problems().contains(&&*full), "{ended:?}");
    assert!(ended.stderr.ends_with(" left: deletions cannot be recorded\n"), "{ended:?}");
    assert_eq!(ended.code(), Some(1));
    assert!(emulator.users().len() > 50);
    // The line that was cut off hides nobody.
    let ended = acs(&emulator, &["user", "delete", "-y", "--from-file", &ids]);
    assert_eq!((ended.code(), emulator.users().len()), (Some(0), 0), "{ended:?}");
}

/// Where stderr is not a terminal.
#[test]
fn bulk_delete_reports_a_wait_with_its_reason() {
    let emulator = Emulator::start().unwrap();
    let ids = File::new("reported", create_users(&emulator, 3).join("\n"));
    let throttled = || Fault::respond(429).header("Retry-After", "3").on(Operation::Delete);
    emulator.inject(throttled());
    let ended = start(&emulator, &ids).end();
    let lines: Vec<&str> = ended.stderr.lines().collect();
    let [wait, summary] = lines[..] else { panic!("{ended:?}") };
    assert!(wait.ends_with(" of 3, throttled: next request in 3s"), "{wait}");
    assert_eq!(summary, format!("acs: {ids}: 3 deleted"));
}

/// The title of a record is not one of its lines.
fn recorded(ids: &File) -> BTreeSet<String> {
    recorded_in(&ids.record())
}

fn recorded_in(path: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(path).unwrap();
    // Two runs that begin at once both write a title.
    let (titles, ids): (Vec<_>, _) = text.lines().partition(|line| line.starts_with('#'));
    assert!(titles[0].starts_with("# Record of acs user delete: "), "{titles:?}");
    ids.into_iter().map(str::to_owned).collect()
}
