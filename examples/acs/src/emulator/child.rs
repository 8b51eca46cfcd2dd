//! `acs emulator -- COMMAND`.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::process::{Command, ExitCode, ExitStatus};
use std::thread;

#[cfg(unix)]
use rustix::process::{Pid, Signal, kill_process};

use crate::failure::{Exit, Failure};
use crate::interrupt::{INTERRUPTED, POLL, Signals};
use crate::output;

/// Runs a command with these variables, and returns its exit code.
pub(super) fn run(
    mut words: impl Iterator<Item = OsString>,
    variables: &[(&'static str, String)],
    signals: &Signals,
) -> Result<ExitCode, Failure> {
    let program = words.next().unwrap_or_default();
    let mut command = Command::new(&program);
    command.args(words).envs(variables.iter().map(|(name, value)| (name, value)));
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            let name = output::name(program.as_ref());
            output::note(&format!("cannot run {name}: {error}"));
            // As a shell reports it.
            return Ok(if error.kind() == ErrorKind::NotFound { 127 } else { 126 }.into());
        }
    };
    loop {
        let status = child.try_wait().map_err(|error| {
            Failure::new(Exit::Service, format!("cannot wait for the command: {error}"))
        })?;
        if let Some(status) = status {
            return Ok(code(status).into());
        }
        // Ctrl-C reaches the command without help, and it decides what that means.
        if signals.take().is_some_and(|code| code != INTERRUPTED) {
            #[cfg(unix)]
            let _ = kill_process(Pid::from_child(&child), Signal::TERM);
            #[cfg(not(unix))]
            let _ = child.kill();
        }
        thread::sleep(POLL);
    }
}

/// Returns the exit code as a shell reports it.
fn code(status: ExitStatus) -> u8 {
    #[cfg(unix)]
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(not(unix))]
    let signal = None;
    let code = status.code().or(signal.map(|signal: i32| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}
