//! Streams that cannot be written to, and interruptions.
#![cfg_attr(not(unix), allow(unused_imports, dead_code, reason = "some tests are for Unix"))]

use std::io::{BufRead as _, BufReader, pipe};
use std::net::TcpListener;

use acs_identity::emulator::{Emulator, Fault, Operation};

use super::*;

#[test]
fn stdout_whose_reader_went_away_is_no_failure() {
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

/// The receiver gets an item for each request to delete a user.
fn emulator_that_tells_of_deletions() -> (Emulator, mpsc::Receiver<()>) {
    let (sender, deleted) = mpsc::channel();
    let emulator = Emulator::builder()
        .on_request(move |request| {
            if request.operation() == Some(Operation::Delete) {
                let _ = sender.send(());
            }
        })
        .start()
        .unwrap();
    (emulator, deleted)
}

const NEW_USER: [&[&str]; 2] = [&["user", "create"], &["token", "issue", "-s", "voip"]];

#[cfg(unix)]
#[test]
fn stdout_whose_reader_went_away_loses_no_new_user() {
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
fn stderr_without_a_reader_does_not_hide_the_exit_code() {
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
fn stdout_on_a_full_disk_is_one_line_that_saves_the_id_of_a_new_user() {
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

/// Also shows the pace: what is over the limit waits, and a signal does not wait for it.
#[cfg(unix)]
#[test]
fn bulk_delete_after_a_signal_is_finished_by_the_next_run() {
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        if signal == "HUP" && is_hangup_ignored() {
            continue;
        }
        let (emulator, deleted) = emulator_that_tells_of_deletions();
        let users = create_users(&emulator, 4);
        let ids = File::new(&format!("interrupted-{signal}"), users.join("\n"));
        let mut command = tool_for(&emulator);
        command.args(["user", "delete", "--yes", "--from-file", &ids, "--rate", "2"]);
        let running = Running::start(&mut command);
        assert!((0..2).all(|_| deleted.recv_timeout(PATIENCE).is_ok()));
        // Nothing to wait for: that nothing comes is the point.
        assert!(deleted.recv_timeout(Duration::from_millis(300)).is_err());

        send_signal(signal, &running.child);
        let ended = running.end();
        let lines: Vec<&str> = ended.stderr.lines().collect();
        let [announced, waiting, finishing, summary] = lines[..] else { panic!("{ended:?}") };
        assert_eq!(announced, "acs: 4 users at 2 in 30s: 30s or more");
        assert_eq!(waiting, "acs: 2 of 4, next 2 in 30s");
        assert_eq!(finishing, "acs: finishing what is under way; Ctrl-C again ends at once");
        assert_eq!(summary, format!("acs: {ids}: 2 deleted, 2 left: interrupted"));
        assert_eq!((ended.counts(), ended.code()), ([2, 0, 0, 0, 0, 2], Some(code)));
        let left = emulator.users();
        let mut recorded = std::fs::read_to_string(ids.record()).unwrap();
        assert_eq!((left.len(), recorded.lines().count()), (2, 3));

        // A line that was cut off hides nobody.
        recorded.push_str(&left[0][..left[0].len() - 1]);
        std::fs::write(ids.record(), recorded).unwrap();
        let sent_before = emulator.request_count();
        let again = acs(&emulator, &["user", "delete", "--yes", "--from-file", &ids]);
        assert_eq!(again.stderr, format!("acs: {ids}: 2 deleted, 2 in the record\n"));
        assert_eq!((again.code(), emulator.request_count() - sent_before), (Some(0), 2));
        let recorded = std::fs::read_to_string(ids.record()).unwrap();
        assert!(users.iter().all(|user| recorded.lines().any(|line| line == user)), "{recorded}");
        assert!(emulator.users().is_empty());
    }
}

/// systemd, Kubernetes and `timeout` send TERM in the middle of the requests.
#[cfg(unix)]
#[test]
fn bulk_delete_records_what_was_under_way_at_a_signal() {
    let (emulator, deleted) = emulator_that_tells_of_deletions();
    let users = create_users(&emulator, 300);
    // Deletes first, responds later.
    emulator
        .inject(Fault::delay(Duration::from_millis(200)).on(Operation::Delete).every(1).times(40));
    let ids = File::new("under-way", users.join("\n"));
    let mut command = tool_for(&emulator);
    command.args(["user", "delete", "--yes", "--from-file", &ids]);
    let running = Running::start(&mut command);
    assert!((0..12).all(|_| deleted.recv_timeout(PATIENCE).is_ok()));
    send_signal("TERM", &running.child);
    let ended = running.end();
    assert_eq!(ended.code(), Some(143), "{ended:?}");
    let recorded = std::fs::read_to_string(ids.record()).unwrap().lines().count() - 1;
    assert_eq!(recorded, 300 - emulator.users().len());
    assert!(recorded < 300);
    let again = acs(&emulator, &["user", "delete", "--yes", "--strict", "--from-file", &ids]);
    assert_eq!((again.code(), emulator.users().len()), (Some(0), 0), "{again:?}");
}

/// A service that accepts connections and says nothing; the receiver gets the first.
fn mute_service() -> (String, mpsc::Receiver<std::net::TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, connected) = mpsc::channel();
    thread::spawn(move || sender.send(listener.accept().unwrap().0));
    (format!("endpoint=http://{address};accesskey=c2VjcmV0"), connected)
}

#[cfg(unix)]
#[test]
fn bulk_delete_ends_at_once_after_a_second_signal() {
    for (signals, code) in [(["INT", "INT"], 130), (["INT", "TERM"], 143)] {
        let (settings, connected) = mute_service();
        let ids = File::new(&format!("twice-{code}"), "8:acs:a");
        let mut command = tool();
        command.args(["user", "delete", "--yes", "--from-file", &ids]).stderr(Stdio::piped());
        command.env(QUICKSTART_VARIABLE, settings);
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        let mut running = Running { child, stdout: mpsc::channel().1, stderr: mpsc::channel().1 };

        let connection = connected.recv_timeout(PATIENCE).expect("a connection");
        send_signal(signals[0], &running.child);
        let finishing = "acs: finishing what is under way; Ctrl-C again ends at once";
        assert_eq!(lines.recv_timeout(PATIENCE).unwrap(), finishing);
        send_signal(signals[1], &running.child);
        assert_eq!(lines.recv_timeout(PATIENCE), Err(mpsc::RecvTimeoutError::Disconnected));
        assert_eq!(running.child.wait().unwrap().code(), Some(code));
        drop(connection);
    }
}

#[cfg(unix)]
#[test]
fn user_create_after_a_signal_says_that_a_user_may_exist() {
    for (words, (signal, code)) in NEW_USER.into_iter().zip([("INT", 130), ("TERM", 143)]) {
        let (settings, connected) = mute_service();
        let running = Running::start(tool().args(words).env(QUICKSTART_VARIABLE, settings));
        let connection = connected.recv_timeout(PATIENCE).expect("a connection");
        send_signal(signal, &running.child);
        running.end().assert_failed(
            code,
            "acs: interrupted: a user may have been created; its id is unknown, and running this again creates another",
        );
        drop(connection);
    }
}

/// Who runs these tests may have made them ignore HUP, and only on Linux it can be told.
#[cfg(unix)]
fn is_hangup_ignored() -> bool {
    let script = "kill -HUP $$; exit 7";
    let status = Command::new("sh").args(["-c", script]).status().unwrap();
    !cfg!(target_os = "linux") || status.code() == Some(7)
}

#[cfg(unix)]
#[test]
fn bulk_delete_under_nohup_survives_hup() {
    let (emulator, deleted) = emulator_that_tells_of_deletions();
    let users = create_users(&emulator, 20);
    emulator.inject(Fault::delay(Duration::from_millis(100)).on(Operation::Delete).every(1));
    let ids = File::new("nohup", users.join("\n"));
    let mut shell = Command::new("sh");
    let ignoring = "trap '' HUP; exec \"$ACS\" user delete --yes --from-file \"$0\"";
    shell.args(["-c", ignoring, &ids]).env("ACS", env!("CARGO_BIN_EXE_acs"));
    let running = Running::start(shell.env(QUICKSTART_VARIABLE, emulator.connection_string()));
    deleted.recv_timeout(PATIENCE).unwrap();
    send_signal("HUP", &running.child);
    assert_eq!(running.end().code(), Some(0));
    assert!(emulator.users().is_empty());
}

#[cfg(unix)]
fn send_signal(name: &str, child: &Child) {
    let pid = child.id().to_string();
    let signal = format!("-{name}");
    assert!(Command::new("kill").args([&signal, &pid]).status().unwrap().success());
}

/// A shell that closes stdout gives the null device to whoever opens a file next.
#[cfg(unix)]
#[test]
fn stdout_that_is_closed_loses_no_new_user() {
    let emulator = Emulator::start().unwrap();
    for redirection in [">&-", ">/dev/null"] {
        let mut shell = Command::new("sh");
        let script = format!("exec \"$ACS\" user create {redirection}");
        shell.args(["-c", &script]).env("ACS", env!("CARGO_BIN_EXE_acs"));
        let ended = run(shell.env(QUICKSTART_VARIABLE, emulator.connection_string()));
        let user = emulator.users().pop().unwrap();
        let told = format!(
            "acs: the id was not printed; the user {user} was created: use it or delete it\n"
        );
        assert_eq!((ended.stderr, ended.status.code()), (told, Some(0)));
    }
}
