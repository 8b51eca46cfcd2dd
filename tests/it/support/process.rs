//! The examples as processes. No wait is longer than `PATIENCE`.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

/// No wait is longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// An example that plain `cargo test` has built, with no settings of the person who runs the tests.
pub fn example(name: &str) -> Command {
    // Examples lie beside the directory of the tests.
    let mut path: PathBuf = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    let path = path.join("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(path.exists(), "cargo build --examples has to come first");
    let mut command = Command::new(path);
    command.env_remove("COMMUNICATION_SERVICES_CONNECTION_STRING");
    command
}

/// Runs it to its end.
pub fn run(command: &mut Command) -> Output {
    let mut child = Running::start(command);
    let stdout = all_of(child.0.stdout.take().unwrap());
    let stderr = all_of(child.0.stderr.take().unwrap());
    let ended = "the program should have ended";
    let (stdout, stderr) =
        (stdout.recv_timeout(PATIENCE).expect(ended), stderr.recv_timeout(PATIENCE).expect(ended));
    Output { status: child.0.wait().unwrap(), stdout, stderr }
}

/// A process that does not outlive its test.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(command.spawn().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn all_of(mut pipe: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        let _ = sender.send(bytes);
    });
    receiver
}
