//! Streams that cannot be written to, and interruptions.

use std::io::pipe;

use acs_identity::emulator::{Emulator, Operation};

use super::*;

#[test]
fn a_reader_that_went_away_is_no_failure() {
    let emulator = Emulator::start().unwrap();
    let user = &create_users(&emulator, 1)[0];
    for words in [&["token", "issue", "-s", "voip", "-u", user][..], &["check"], &["--help"]] {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let mut command = tool_for(&emulator);
        command.args(words).stdout(writer).stderr(Stdio::piped());
        let ended = Running::of(&mut command).end();
        assert_eq!((ended.code(), ended.stderr.as_str()), (Some(0), ""), "{words:?}");
    }
}

const NEW_USER: [&[&str]; 2] = [&["user", "create"], &["token", "issue", "-s", "voip"]];

#[cfg(unix)]
#[test]
fn a_new_user_is_not_lost_with_its_reader() {
    let emulator = Emulator::start().unwrap();
    for words in NEW_USER {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let mut command = tool_for(&emulator);
        command.args(words).stdout(writer).stderr(Stdio::piped());
        let ended = Running::of(&mut command).end();
        let user = emulator.users().pop().unwrap();
        ended.assert_failed(
            1,
            &format!("acs: stdout cannot be written: Broken pipe (os error 32); the user {user} was created: use it or delete it"),
        );
    }
}

#[test]
fn nobody_reading_stderr_does_not_hide_the_exit_code() {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let ended = Running::of(tool().arg("check").stdout(Stdio::piped()).stderr(writer)).end();
    assert_eq!((ended.code(), ended.stdout.as_str()), (Some(2), ""));
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let ended = Running::of(tool().arg("chek").stdout(Stdio::piped()).stderr(writer)).end();
    assert_eq!((ended.code(), ended.stdout.as_str()), (Some(2), ""));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_one_line_that_saves_the_id_of_a_new_user() {
    let emulator = Emulator::start().unwrap();
    let full = |words: &[&str]| {
        let device = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let mut command = tool_for(&emulator);
        command.args(words).stdout(device).stderr(Stdio::piped());
        Running::of(&mut command).end()
    };
    let problem = "acs: stdout cannot be written: No space left on device (os error 28)";
    for words in [&["check"][..], &["--help"], &["token", "--help"]] {
        full(words).assert_failed(1, problem);
    }
    for words in NEW_USER {
        let ended = full(words);
        let user = emulator.users().pop().unwrap();
        ended.assert_failed(
            1,
            &format!("{problem}; the user {user} was created: use it or delete it"),
        );
    }
    assert_eq!(emulator.users().len(), 2);
}

/// Also shows the pace: what is over the limit waits, and an interruption does not wait for it.
#[cfg(unix)]
#[test]
fn an_interrupted_run_is_finished_by_the_next_with_the_same_file() {
    use std::os::unix::process::ExitStatusExt as _;

    let (sender, deleted) = mpsc::channel();
    let emulator = Emulator::builder()
        .on_request(move |request| {
            if request.operation() == Some(Operation::Delete) {
                let _ = sender.send(());
            }
        })
        .start()
        .unwrap();
    let ids = File::new("interrupted", create_users(&emulator, 4).join("\n"));
    let mut command = tool_for(&emulator);
    command.args(["user", "delete", "--yes", "--from-file", &ids, "--rate", "2"]);
    let running = Running::start(&mut command);
    assert!((0..2).all(|_| deleted.recv_timeout(PATIENCE).is_ok()));
    // Nothing to wait for: that nothing comes is the point.
    assert!(deleted.recv_timeout(Duration::from_millis(300)).is_err());

    let pid = running.child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let ended = running.end();
    assert_eq!(ended.status.signal(), Some(2));
    assert_eq!(ended.stderr, "acs: at most 2 deletes in 30 s: this takes up to 2 min\n");
    assert_eq!((ended.stdout.as_str(), emulator.users().len()), ("", 2));

    let again = acs(&emulator, &["user", "delete", "--yes", "--from-file", &ids]);
    let summary = format!(
        "acs: {ids}: 2 deleted, 2 not known to the service (gone already, or another resource's)"
    );
    assert_eq!(again.stderr.lines().last(), Some(&*summary));
    assert_eq!(again.code(), Some(0));
    assert!(emulator.users().is_empty());
}
