//! `acs emulator`, which serves clients in other languages.

use std::io::{BufRead as _, BufReader};
use std::process::ChildStderr;

use acs_identity::{ConnectionString, RetryPolicy, ureq};

use super::*;

mod clients;
mod ending;
mod faults;
mod mistakes;
mod program;
mod tls;

const KEY: &str = "Q0FOQVJZLUtFWQ==";
const APP: &str = "11111111-2222-3333-4444-555555555555";
const USER: &str = "66666666-7777-8888-9999-000000000000";

/// The program, which ends with its test.
struct Program {
    process: Process,
    connection_string: String,
    stdout: Lines,
    log: Lines,
}

impl Program {
    fn start(arguments: &[&str]) -> Self {
        Self::started(emulator().args(["--access-key", KEY]).args(arguments))
    }

    fn started(command: &mut Command) -> Self {
        let (process, stdout, stderr) = spawned(command);
        Self { process, connection_string: stdout.next(), stdout, log: Lines::of(stderr) }
    }

    fn endpoint(&self) -> String {
        let rest = self.connection_string.strip_prefix("endpoint=").unwrap();
        rest.strip_suffix(&format!("/;accesskey={KEY}")).unwrap().to_owned()
    }

    /// The next line of the log, without its time, whose form is the library's.
    fn line(&self) -> String {
        let line = self.log.next();
        let (time, rest) = line.split_once(' ').unwrap();
        assert!(time.len() == 24 && time.starts_with("20") && time.ends_with('Z'), "{time}");
        rest.to_owned()
    }

    /// Without retries, so that each fault shows.
    fn client(&self, timeout: Duration) -> CommunicationIdentityClient {
        let settings: ConnectionString = self.connection_string.parse().unwrap();
        let (endpoint, key) = settings.into_parts();
        CommunicationIdentityClient::builder(endpoint, key)
            .retry_policy(RetryPolicy::none())
            .timeout(timeout)
            .build()
            .unwrap()
    }
}

fn client_of(connection_string: &str) -> CommunicationIdentityClient {
    CommunicationIdentityClient::from_connection_string(connection_string).unwrap()
}

fn refused(arguments: &[&str]) -> (Option<i32>, String) {
    let ended = run(emulator().args(arguments));
    assert!(ended.stdout.is_empty(), "{arguments:?}");
    (ended.code(), ended.stderr)
}

fn emulator() -> Command {
    let mut command = tool();
    command.arg("emulator");
    command
}

/// A process that does not outlive its test, and a log that is read only when the test wants it.
fn spawned(command: &mut Command) -> (Process, Lines, ChildStderr) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    (Process(child), Lines::of(stdout), stderr)
}

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Lines as they are written.
struct Lines(mpsc::Receiver<String>);

impl Lines {
    fn of(pipe: impl Read + Send + 'static) -> Self {
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(pipe).lines() {
                if sender.send(line.unwrap()).is_err() {
                    return;
                }
            }
        });
        Self(receiver)
    }

    fn next(&self) -> String {
        self.0.recv_timeout(PATIENCE).expect("the program should have written a line")
    }

    /// Whether the program closes the pipe without another line.
    fn is_over(&self) -> bool {
        self.0.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Disconnected)
    }

    /// What is left to read of a program that has ended.
    fn rest(self) -> Vec<String> {
        let lines = std::iter::from_fn(|| match self.0.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(mpsc::RecvTimeoutError::Disconnected) => None,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("the program should have ended"),
        });
        lines.collect()
    }
}
