//! A progress bar on stderr, where that is a terminal.

use std::io::{self, IsTerminal as _};

use crate::output;

const WIDTH: usize = 40;

pub(crate) struct Progress {
    total: usize,
    done: usize,
    shown: bool,
}

impl Progress {
    pub(crate) fn new(total: usize) -> Self {
        let progress = Self { total, done: 0, shown: total > 1 && io::stderr().is_terminal() };
        progress.draw();
        progress
    }

    pub(crate) fn advance(&mut self) {
        self.done += 1;
        self.draw();
    }

    /// Writes a line above the bar.
    pub(crate) fn note(&self, message: &str) {
        self.clear();
        output::note(message);
        self.draw();
    }

    /// Takes the bar away.
    pub(crate) fn clear(&self) {
        if self.shown {
            let blank = bar(self.total, self.total).chars().count();
            output::write_stderr(&format!("\r{:blank$}\r", ""));
        }
    }

    fn draw(&self) {
        if self.shown {
            // The cursor goes back to the start, so that whatever comes after an interruption is
            // not glued to the bar.
            output::write_stderr(&format!("\r{}\r", bar(self.done, self.total)));
        }
    }
}

fn bar(done: usize, total: usize) -> String {
    let filled = done.saturating_mul(WIDTH).checked_div(total).unwrap_or(WIDTH).min(WIDTH);
    let digits = total.to_string().len();
    format!("[{}{}] {done:digits$}/{total}", "#".repeat(filled), ".".repeat(WIDTH - filled))
}
