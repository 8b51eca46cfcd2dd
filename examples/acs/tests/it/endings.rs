//! Streams that cannot be written to, and interruptions.
#![cfg_attr(not(unix), allow(unused_imports, dead_code, reason = "some tests are for Unix"))]

use std::io::{BufRead as _, BufReader, pipe};
use std::net::TcpListener;

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
    let (sender, deleted) = mpsc::channel();
    let emulator = Emulator::builder()
        .on_request(move |request| {
            if request.operation() == Some(Operation::Delete) {
                let _ = sender.send(());
            }
        })
        .start()
        .unwrap();
    let users = create_users(&emulator, 4);
    let ids = File::new("interrupted", users.join("\n"));
    let mut command = tool_for(&emulator);
    command.args(["user", "delete", "--yes", "--from-file", &ids, "--rate", "2"]);
    let running = Running::start(&mut command);
    assert!((0..2).all(|_| deleted.recv_timeout(PATIENCE).is_ok()));
    // Nothing to wait for: that nothing comes is the point.
    assert!(deleted.recv_timeout(Duration::from_millis(300)).is_err());

    interrupt(&running.child);
    let ended = running.end();
    assert_eq!(
        ended.stderr,
        format!(
            "acs: 4 users at 2 in 30s: 30s or more\n\
             acs: finishing what is under way; Ctrl-C again ends at once\n\
             acs: {ids}: 2 deleted, 2 left: interrupted\n"
        )
    );
    assert_eq!((ended.stdout.as_str(), ended.code()), ("", Some(130)));
    let left = emulator.users();
    let mut recorded = std::fs::read_to_string(ids.record()).unwrap();
    assert_eq!((left.len(), recorded.lines().count()), (2, 2));

    // A line that was cut off hides nobody.
    recorded.push_str(&left[0][..left[0].len() - 1]);
    std::fs::write(ids.record(), recorded).unwrap();
    let sent_before = emulator.request_count();
    let again = acs(&emulator, &["user", "delete", "--yes", "--from-file", &ids]);
    assert_eq!(again.stderr, format!("acs: {ids}: 2 deleted, 2 deleted before\n"));
    assert_eq!((again.code(), emulator.request_count() - sent_before), (Some(0), 2));
    let recorded = std::fs::read_to_string(ids.record()).unwrap();
    assert!(users.iter().all(|user| recorded.lines().any(|line| line == user)), "{recorded}");
    assert!(emulator.users().is_empty());
}

#[cfg(unix)]
#[test]
fn a_second_interruption_ends_at_once() {
    // A service that says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, connected) = mpsc::channel();
    thread::spawn(move || sender.send(listener.accept()));
    let ids = File::new("twice", "8:acs:a");
    let mut command = tool();
    command.args(["user", "delete", "--yes", "--from-file", &ids]).stderr(Stdio::piped());
    command.env(QUICKSTART_VARIABLE, format!("endpoint=http://{address};accesskey=c2VjcmV0"));
    let mut child = command.spawn().unwrap();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
    });
    let mut running = Running { child, stdout: mpsc::channel().1, stderr: mpsc::channel().1 };

    let connection = connected.recv_timeout(PATIENCE).expect("a connection").unwrap();
    interrupt(&running.child);
    let finishing = "acs: finishing what is under way; Ctrl-C again ends at once";
    assert_eq!(lines.recv_timeout(PATIENCE).unwrap(), finishing);
    interrupt(&running.child);
    assert_eq!(lines.recv_timeout(PATIENCE), Err(mpsc::RecvTimeoutError::Disconnected));
    assert_eq!(running.child.wait().unwrap().code(), Some(130));
    drop(connection);
}

#[cfg(unix)]
fn interrupt(child: &Child) {
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
}

/// A shell that closes stdout gives the null device to whoever opens a file next.
#[cfg(unix)]
#[test]
fn a_closed_stdout_loses_no_new_user() {
    let emulator = Emulator::start().unwrap();
    for redirection in [">&-", ">/dev/null"] {
        let mut shell = Command::new("sh");
        let script = format!("exec \"$ACS\" user create {redirection}");
        shell.args(["-c", &script]).env("ACS", env!("CARGO_BIN_EXE_acs"));
        let ended = run(shell.env(QUICKSTART_VARIABLE, emulator.connection_string()));
        let user = emulator.users().pop().unwrap();
        let told =
            format!("acs: nobody reads stdout; the user {user} was created: use it or delete it\n");
        assert_eq!((ended.stderr, ended.status.code()), (told, Some(0)));
    }
}
