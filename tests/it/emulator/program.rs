//! The example program, which serves clients in other languages.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// Plain `cargo test` builds examples before it runs tests, beside the directory of the tests.
fn program() -> Command {
    let mut path: PathBuf = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    let path = path.join("examples").join(format!("emulator{}", std::env::consts::EXE_SUFFIX));
    assert!(path.exists(), "cargo build --example emulator has to come first");
    Command::new(path)
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn prints_the_connection_string_and_logs_refusals() {
    let mut command = program();
    command.args(["--address", "127.0.0.1:0", "--access-key", "c2VjcmV0"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut running = Running(child);
    let mut line = String::new();
    BufReader::new(running.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let endpoint = line.trim_end().strip_prefix("endpoint=").unwrap();
    let endpoint = endpoint.strip_suffix("/;accesskey=c2VjcmV0").unwrap();

    let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
    assert_eq!(agent.post(format!("{endpoint}/identities")).send_empty().unwrap().status(), 401);
    line.clear();
    BufReader::new(running.0.stderr.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "POST /identities -> 401 (the Authorization header is missing)\n");
}

#[test]
fn refuses_bad_arguments_without_repeating_a_key() {
    for (arguments, message) in [
        (vec!["CANARY"], "emulator: unknown argument; --help lists the known ones\n"),
        (vec!["--access-key"], "emulator: --access-key needs a value\n"),
        (
            vec!["--access-key", "CANARY!"],
            "emulator: cannot start: the access key is empty or not base64\n",
        ),
        (vec!["--address", "here"], "emulator: --address takes HOST:PORT, not \"here\"\n"),
    ] {
        let output = program().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(String::from_utf8(output.stderr).unwrap(), message);
        assert!(output.stdout.is_empty());
    }
    let help = program().arg("--help").output().unwrap();
    assert!(help.status.success() && help.stdout.starts_with(b"Runs a local identity service"));
}
