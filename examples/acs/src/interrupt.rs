//! Ctrl-C, TERM and HUP, which ask for an end.

#[cfg(target_os = "linux")]
use std::fs;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

#[cfg(target_os = "linux")]
use signal_hook::consts::SIGHUP;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::failure::{Exit, Failure};
use crate::output;

/// How often to look for a signal while something else is awaited.
pub(crate) const POLL: Duration = Duration::from_millis(50);

/// The exit code after Ctrl-C.
pub(crate) const INTERRUPTED: u8 = 128 + 2;

/// The signals since this was made, instead of their default, which ends the process.
///
/// HUP is left alone where `nohup` made the process ignore it. Only Linux tells.
#[derive(Debug)]
pub(crate) struct Signals {
    exit_code: Arc<AtomicUsize>,
}

impl Signals {
    pub(crate) fn catch() -> Result<Self, Failure> {
        let exit_code = Arc::new(AtomicUsize::new(0));
        let signals = [(SIGINT, INTERRUPTED), (SIGTERM, 128 + 15)];
        #[cfg(target_os = "linux")]
        let signals = signals.into_iter().chain((!ignores_hangup()).then_some((SIGHUP, 128 + 1)));
        for (signal, code) in signals {
            let caught = flag::register_usize(signal, Arc::clone(&exit_code), code.into());
            caught.map_err(|error| {
                Failure::new(Exit::Service, format!("cannot catch signals: {error}"))
            })?;
        }
        Ok(Self { exit_code })
    }

    /// Returns the exit code for the last signal, if there was one since this was last called.
    pub(crate) fn take(&self) -> Option<u8> {
        u8::try_from(self.exit_code.swap(0, Ordering::Relaxed)).ok().filter(|code| *code > 0)
    }

    pub(crate) fn wait(&self) -> u8 {
        loop {
            if let Some(code) = self.take() {
                return code;
            }
            thread::sleep(POLL);
        }
    }
}

#[cfg(target_os = "linux")]
fn ignores_hangup() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_none_or(|mask| mask & 1 == 1)
}

/// Lets a signal print this before it ends the process.
pub(crate) fn explain(message: &'static str) -> Result<(), Failure> {
    let signals = Signals::catch()?;
    thread::spawn(move || {
        let code = signals.wait();
        output::note(message);
        process::exit(code.into());
    });
    Ok(())
}
