//! Lines on their way to stderr.

use std::io::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::thread;

use acs_identity::emulator::RecordedRequest;

/// How many lines wait for a slow reader.
const MAX_WAITING_LINES: usize = 1_000;

/// A log that a thread writes, so that a slow reader, or none, delays no response.
pub(super) struct Log {
    lines: SyncSender<String>,
    dropped: AtomicU64,
    is_json: bool,
}

impl Log {
    pub(super) fn start(is_json: bool) -> io::Result<Self> {
        let (lines, waiting) = mpsc::sync_channel::<String>(MAX_WAITING_LINES);
        thread::Builder::new().name("log".to_owned()).spawn(move || {
            for line in waiting {
                // In one piece, so that lines do not mix. The emulator outlives the reader of its log.
                let _ = io::stderr().write_all(line.as_bytes());
            }
        })?;
        Ok(Self { lines, dropped: AtomicU64::new(0), is_json })
    }

    pub(super) fn push(&self, request: &RecordedRequest) {
        if request.target() == "/emulator/health" {
            // A probe asks every second.
            return;
        }
        // The note stands where the lines are missing.
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        let note = match dropped {
            0 => String::new(),
            _ if self.is_json => format!("{{\"dropped\":{dropped}}}\n"),
            _ => format!("({dropped} lines dropped: they were not read in time)\n"),
        };
        let request = if self.is_json { request.to_json() } else { request.to_string() };
        let line = format!("{note}{request}\n");
        if self.lines.try_send(line).is_err() {
            self.dropped.fetch_add(dropped + 1, Ordering::Relaxed);
        }
    }
}
