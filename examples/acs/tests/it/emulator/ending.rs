//! Signals, and the command that it runs.
#![cfg(unix)]

use std::path::Path;

use super::*;

/// The authority's file of a program with `--tls`.
fn authority(program: &Program) -> String {
    program.stdout.next().strip_prefix("REQUESTS_CA_BUNDLE=").unwrap().to_owned()
}

fn send_signal(name: &str, id: u32) {
    let signal = format!("-{name}");
    assert!(Command::new("kill").args([&signal, &id.to_string()]).status().unwrap().success());
}

#[test]
fn signal_ends_it_and_leaves_no_file_behind() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let mut program = Program::start(&["--tls"]);
        let authority = authority(&program);
        assert!(Path::new(&authority).exists());
        send_signal(signal, program.process.0.id());
        assert_eq!(program.process.0.wait().unwrap().code(), Some(code));
        assert!(!Path::new(&authority).exists());
    }
}

/// As in a container, where a signal without a handler has no effect.
#[cfg(target_os = "linux")]
#[test]
#[allow(clippy::print_stdout, reason = "says what was skipped")]
fn signal_ends_it_as_process_1() {
    let namespace = ["--pid", "--fork", "--kill-child"];
    let probe = Command::new("unshare").args(namespace).arg("true").output();
    if !probe.is_ok_and(|output| output.status.success()) {
        println!("skipped: no pid namespace can be made");
        return;
    }
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let mut unshare = Command::new("unshare");
        unshare.args(namespace).arg(tool().get_program());
        let mut program =
            Program::started(unshare.args(["emulator", "--access-key", KEY, "--tls"]));
        let authority = authority(&program);
        let outer = program.process.0.id();
        let children = format!("/proc/{outer}/task/{outer}/children");
        let inner = std::fs::read_to_string(children).unwrap().trim().parse().unwrap();
        send_signal(signal, inner);
        assert!(program.log.is_over());
        assert_eq!(program.process.0.wait().unwrap().code(), Some(code));
        assert!(!Path::new(&authority).exists());
    }
}

#[test]
fn command_runs_with_the_variables_and_ends_it() {
    let acs = env!("CARGO_BIN_EXE_acs");
    let script = "\"$0\" user create -o tsv && echo \"$SSL_CERT_FILE\" && exit 7";
    for options in [&[][..], &["--tls", "--tls-name", "localhost"]] {
        let mut command = emulator();
        let ended = run(command.args(options).args([
            "--log-format",
            "none",
            "--",
            "sh",
            "-c",
            script,
            acs,
        ]));
        let [user, file] = ended.stdout.lines().collect::<Vec<_>>()[..] else {
            panic!("{ended:?}")
        };
        assert!(user.starts_with("8:acs:"), "{ended:?}");
        assert_eq!((ended.stderr.as_str(), ended.code()), ("", Some(7)));
        assert_eq!(file.is_empty(), options.is_empty());
        assert!(!Path::new(file).exists());
    }
    for name in ["NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"] {
        let same = format!("test \"$SSL_CERT_FILE\" = \"${name}\"");
        let ended = run(emulator().args(["--tls", "--", "sh", "-c", &same]));
        assert_eq!(ended.code(), Some(0), "{name} {ended:?}");
    }
}

#[test]
fn command_decides_the_exit_code() {
    for (words, code, problem) in [
        (&["true"][..], 0, ""),
        (&["sh", "-c", "kill -KILL $$"], 137, ""),
        (
            &["no-such-command"],
            127,
            "acs: cannot run no-such-command: No such file or directory (os error 2)\n",
        ),
        (&["/"], 126, "acs: cannot run /: Permission denied (os error 13)\n"),
    ] {
        let mut command = emulator();
        // For the commands.
        command.env("PATH", std::env::var_os("PATH").unwrap());
        let ended = run(command.arg("--").args(words));
        assert_eq!((&*ended.stderr, ended.code()), (problem, Some(code)));
    }
    // As of a variable that is empty: a server would run for ever.
    let ended = run(emulator().arg("--"));
    assert_eq!((&*ended.stderr, ended.code()), ("acs: there is no command behind --\n", Some(2)));
    // Its options are its own.
    let ended = run(emulator().args(["--", "sh", "-c", "echo $1", "sh", "--tls"]));
    ended.assert_printed("--tls\n");
}

#[test]
fn command_gets_the_signal_that_asks_for_an_end() {
    let script = "trap 'echo ended; exit 3' TERM; echo started; while :; do sleep 0.01; done";
    let mut command = emulator();
    command.env("PATH", std::env::var_os("PATH").unwrap());
    let (mut process, stdout, _stderr) = spawned(command.args(["--", "sh", "-c", script]));
    assert_eq!(stdout.next(), "started");
    send_signal("TERM", process.0.id());
    assert_eq!(stdout.next(), "ended");
    assert_eq!(process.0.wait().unwrap().code(), Some(3));
}
