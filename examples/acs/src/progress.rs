//! How far a bulk deletion is: a line that changes where stderr is a terminal, a line each minute
//! where it is not.

use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use crate::{duration, output};

const ON_TERMINAL: Duration = Duration::from_millis(100);
const ELSEWHERE: Duration = Duration::from_secs(60);

/// More looks no better.
const WIDEST_BAR: usize = 40;

#[derive(Debug)]
pub(crate) struct Progress {
    total: usize,
    /// What the pace allows in a second: the first ones are faster, which says nothing of the rest.
    fastest: f64,
    started: Instant,
    told: Instant,
    /// How wide the terminal is, and what stands on it.
    terminal: Option<Terminal>,
}

#[derive(Debug, Default)]
struct Terminal {
    shown: usize,
}

impl Progress {
    pub(crate) fn new(total: usize, rate: usize, now: Instant) -> Self {
        let terminal = (io::stderr().is_terminal() && total > 1).then(Terminal::default);
        #[allow(clippy::cast_precision_loss, reason = "for people")]
        let fastest = rate as f64 / 30.0;
        Self { total, fastest, started: now, told: now, terminal }
    }

    /// Tells how far it is, if it is time to.
    pub(crate) fn tell(&mut self, done: usize, pause: Option<Duration>, now: Instant) {
        let every = if self.terminal.is_some() { ON_TERMINAL } else { ELSEWHERE };
        if output::is_quiet() || now - self.told < every {
            return;
        }
        self.told = now;
        let text = self.text(done, pause, now);
        let Some(terminal) = &mut self.terminal else { return output::inform(&text) };
        let width = terminal_size::terminal_size_of(io::stderr()).map_or(80, |(width, _)| width.0);
        let line = line(done, self.total, &text, usize::from(width).saturating_sub(1));
        // The cursor goes back to the start, so that whatever comes after an interruption is not
        // glued to the line.
        let shown = terminal.shown;
        output::write_stderr(&format!("\r{line:shown$}\r"));
        terminal.shown = line.chars().count();
    }

    /// Takes the line away, before something else is written.
    pub(crate) fn clear(&mut self) {
        let shown =
            self.terminal.as_mut().map_or(0, |terminal| std::mem::take(&mut terminal.shown));
        if shown > 0 {
            output::write_stderr(&format!("\r{:shown$}\r", ""));
        }
    }

    fn text(&self, done: usize, pause: Option<Duration>, now: Instant) -> String {
        let mut text = format!("{done} of {}", self.total);
        let seconds = (now - self.started).as_secs_f64().max(0.001);
        #[allow(clippy::cast_precision_loss, reason = "for people")]
        let (so_far, left) = (done as f64 / seconds, self.total.saturating_sub(done) as f64);
        let rate = so_far.min(self.fastest);
        if rate > 0.0 {
            let left = Duration::try_from_secs_f64(left / rate).unwrap_or(Duration::MAX);
            text = format!("{text}, {rate:.1}/s, {} left", duration::show(left));
        }
        match pause {
            Some(pause) => format!("{text}, paused for {}", duration::show(pause)),
            None => text,
        }
    }
}

/// A bar if there is room for one, and the text, as far as it fits.
fn line(done: usize, total: usize, text: &str, width: usize) -> String {
    let room = width.saturating_sub(text.chars().count() + 3).min(WIDEST_BAR);
    if room < 10 {
        return text.chars().take(width).collect();
    }
    let filled = done.saturating_mul(room).checked_div(total).unwrap_or(room).min(room);
    format!("[{}{}] {text}", "#".repeat(filled), ".".repeat(room - filled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_and_remaining_time() {
        let start = Instant::now();
        let progress = Progress::new(10_000, 500, start);
        let at =
            |done, seconds, pause| progress.text(done, pause, start + Duration::from_secs(seconds));
        assert_eq!(at(0, 0, None), "0 of 10000");
        // The first burst is no measure.
        assert_eq!(at(500, 1, None), "500 of 10000, 16.7/s, 9m30s left");
        assert_eq!(at(500, 100, None), "500 of 10000, 5.0/s, 31m40s left");
        let pause = Some(Duration::from_secs(29));
        assert_eq!(at(10_000, 600, pause), "10000 of 10000, 16.7/s, 0s left, paused for 29s");
    }

    #[test]
    fn the_line_fits() {
        let text = "500 of 10000, 16.7/s, 9m30s left";
        for width in [0, 1, 20, 32, 44, 45, 79, 200] {
            assert!(line(500, 10_000, text, width).chars().count() <= width, "{width}");
        }
        assert_eq!(line(500, 10_000, text, 44), text);
        assert_eq!(line(5000, 10_000, text, 45), format!("[#####.....] {text}"));
    }
}
