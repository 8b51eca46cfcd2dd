//! Lines on their way to stderr.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::thread;

use acs_identity::emulator::RecordedRequest;

/// How many lines may wait for whoever reads the log.
const MAX_WAITING_LINES: usize = 1_000;

#[derive(Clone, Copy)]
pub(super) enum Format {
    Text,
    Json,
}

/// A thread writes the lines, so that a reader who is slow, or none, delays no response.
pub(super) struct Log {
    lines: SyncSender<String>,
    dropped: AtomicU64,
    format: Format,
}

impl Log {
    pub(super) fn start(format: Format) -> io::Result<Self> {
        let (lines, waiting) = mpsc::sync_channel::<String>(MAX_WAITING_LINES);
        thread::Builder::new().name("log".to_owned()).spawn(move || {
            for line in waiting {
                // In one piece, so that lines do not mix. A log that nobody reads any more ends
                // nothing.
                let _ = io::stderr().write_all(line.as_bytes());
            }
        })?;
        Ok(Self { lines, dropped: AtomicU64::new(0), format })
    }

    pub(super) fn push(&self, request: &RecordedRequest) {
        // The note stands where the lines are missing.
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        let note = match self.format {
            _ if dropped == 0 => String::new(),
            Format::Text => format!("({dropped} lines dropped: nobody read them in time)\n"),
            Format::Json => format!("{{\"dropped\":{dropped}}}\n"),
        };
        let line = match self.format {
            Format::Text => format!("{note}{request}\n"),
            Format::Json => format!("{note}{}\n", request.to_json()),
        };
        if self.lines.try_send(line).is_err() {
            self.dropped.fetch_add(dropped + 1, Ordering::Relaxed);
        }
    }
}
