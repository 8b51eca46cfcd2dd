//! The command `acs`, run as a process against the emulator.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::fmt;
use std::io::Read;
use std::ops::Deref;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use acs_identity::CommunicationIdentityClient;
use acs_identity::emulator::{Emulator, Fault};
use serde_json::Value;

mod bulk;
mod commands;
mod emulator;
mod endings;
mod failures;
mod from_file;
mod settings;
mod tls;
mod usage;

const QUICKSTART_VARIABLE: &str = "COMMUNICATION_SERVICES_CONNECTION_STRING";
const AZ_VARIABLE: &str = "AZURE_COMMUNICATION_CONNECTION_STRING";

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// The tool without any settings.
fn tool() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_acs"));
    command.env_clear().stdin(Stdio::null());
    // Without it, nothing on Windows opens a socket.
    command.envs(std::env::var_os("SystemRoot").map(|root| ("SystemRoot", root)));
    command
}

/// The tool with an emulator's connection string.
fn tool_for(emulator: &Emulator) -> Command {
    let mut command = tool();
    command.env(QUICKSTART_VARIABLE, emulator.connection_string());
    command
}

/// Runs the tool against an emulator, whose key must not show.
fn acs(emulator: &Emulator, arguments: &[&str]) -> Ended {
    let ended = run(tool_for(emulator).args(arguments));
    let key = emulator.access_key();
    assert!(!ended.stdout.contains(key) && !ended.stderr.contains(key), "{ended:?}");
    ended
}

fn run(command: &mut Command) -> Ended {
    Running::start(command).end()
}

/// What this system says of `no/such/file`.
fn no_such_file() -> String {
    std::fs::read("no/such/file").unwrap_err().to_string()
}

#[derive(Debug, PartialEq)]
struct Ended {
    stdout: String,
    stderr: String,
    status: ExitStatus,
}

impl Ended {
    fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// The lines of stderr, up to what differs each time.
    fn problems(&self) -> Vec<&str> {
        self.stderr.lines().map(|line| line.split(" [host ").next().unwrap()).collect()
    }

    /// The counts of a bulk deletion: deleted, recorded, gone, unknown, failed and left.
    fn counts(&self) -> [u64; 6] {
        let json: Value = serde_json::from_str(&self.stdout).unwrap_or_else(|_| panic!("{self:?}"));
        ["deleted", "recorded", "gone", "unknown", "failed", "left"]
            .map(|name| json[name].as_u64().unwrap())
    }

    /// Succeeded, and said nothing but this.
    fn assert_printed(&self, stdout: &str) {
        assert_eq!((self.stdout.as_str(), self.stderr.as_str()), (stdout, ""));
        assert_eq!(self.code(), Some(0));
    }

    /// Failed with one line, and gave no data.
    fn assert_failed(&self, code: i32, problem: &str) {
        assert_eq!(self.problems(), [problem]);
        assert_eq!((self.stdout.as_str(), self.code()), ("", Some(code)));
    }
}

/// A process that does not outlive its test.
struct Running {
    child: Child,
    stdout: mpsc::Receiver<String>,
    stderr: mpsc::Receiver<String>,
}

impl Running {
    /// Starts a command; its stdout is collected unless `stdout` was called on it.
    fn start(command: &mut Command) -> Self {
        Self::of(command.stdout(Stdio::piped()).stderr(Stdio::piped()))
    }

    fn of(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let (stdout, stderr) = (collect(child.stdout.take()), collect(child.stderr.take()));
        Self { child, stdout, stderr }
    }

    fn end(mut self) -> Ended {
        // Once both are closed, it is about to end.
        let stdout = self.stdout.recv_timeout(PATIENCE).expect("the tool hangs");
        let stderr = self.stderr.recv_timeout(PATIENCE).expect("the tool hangs");
        Ended { stdout, stderr, status: self.child.wait().unwrap() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(stream: Option<impl Read + Send + 'static>) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut text = String::new();
        if let Some(mut stream) = stream {
            stream.read_to_string(&mut text).unwrap();
        }
        let _ = sender.send(text);
    });
    receiver
}

fn client(emulator: &Emulator) -> CommunicationIdentityClient {
    CommunicationIdentityClient::from_connection_string(&emulator.connection_string()).unwrap()
}

fn create_users(emulator: &Emulator, number: usize) -> Vec<String> {
    let client = client(emulator);
    (0..number).map(|_| client.create_user().unwrap().to_string()).collect()
}

/// A file that goes with its test, in the directory that cargo gives to tests.
struct File(String);

impl File {
    fn new(name: &str, content: impl AsRef<[u8]>) -> Self {
        // Other runs of the tests have files of their own.
        let name = format!("acs-{name}-{}", std::process::id());
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&path, content).unwrap();
        Self(path.into_os_string().into_string().unwrap())
    }

    /// Of the ids of this file that were deleted.
    fn record(&self) -> String {
        format!("{}.done", self.0)
    }
}

impl Deref for File {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
        let _ = std::fs::remove_file(self.record());
    }
}

/// What `user create` prints.
fn printed_as_az_does(user: &str) -> String {
    format!(
        "{{\n  \"properties\": {{\n    \"id\": \"{user}\"\n  }},\n  \"rawId\": \"{user}\"\n}}\n"
    )
}

/// Makes a fault the page of something in front of the service, which lacks its headers.
fn from_elsewhere(fault: Fault, has_azure_ref: bool) -> Fault {
    let fault = fault.header("MS-CV", "");
    if has_azure_ref { fault } else { fault.header("X-Azure-Ref", "") }
}

fn with_stdin(mut command: Command, file: &File) -> Command {
    command.stdin(std::fs::File::open(&**file).unwrap());
    command
}
