//! The progress of a bulk deletion: a line that changes on a terminal, elsewhere a line for each wait and
//! each minute.

use std::env;
use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use crate::pace::WINDOW;
use crate::queue::Reason;
use crate::{duration, output};

const ON_TERMINAL: Duration = Duration::from_millis(100);
const ELSEWHERE: Duration = Duration::from_secs(60);

/// A longer wait is reported when it begins.
pub(crate) const LONG_WAIT: Duration = Duration::from_secs(2);

/// How much a wait is prolonged before it is reported again: each response of a throttled burst
/// prolongs it a little.
const PROLONGED: Duration = Duration::from_secs(1);

const MAX_BAR: usize = 40;

#[derive(Debug)]
pub(crate) struct Progress {
    total: usize,
    rate: usize,
    reported: Instant,
    /// The end of the last wait that was reported.
    wait_until: Instant,
    has_bar: bool,
    /// The width of the line on the terminal.
    shown: usize,
}

impl Progress {
    pub(crate) fn new(total: usize, rate: usize, now: Instant) -> Self {
        // A terminal such as an editor's shell cannot return to the start of a line.
        let is_dumb = env::var_os("TERM").is_some_and(|name| name == "dumb");
        let has_bar = io::stderr().is_terminal() && !is_dumb && total > 1;
        Self { total, rate, reported: now, wait_until: now, has_bar, shown: 0 }
    }

    pub(crate) fn report(&mut self, done: usize, wait: Option<(Instant, Reason)>, now: Instant) {
        let every = if self.has_bar { ON_TERMINAL } else { ELSEWHERE };
        let is_new_wait = wait.is_some_and(|(until, _)| {
            until > now + LONG_WAIT && until > self.wait_until + PROLONGED
        });
        if output::is_quiet() || now - self.reported < every && !is_new_wait {
            return;
        }
        self.reported = now;
        self.wait_until = wait.map_or(now, |(until, _)| until);
        let text = self.text(done, wait, now);
        if !self.has_bar {
            return output::inform(&text);
        }
        let width = terminal_size::terminal_size_of(io::stderr()).map_or(80, |(width, _)| width.0);
        let line = line(done, self.total, &text, usize::from(width).saturating_sub(1));
        // The cursor returns to the start, so that whatever a signal prints begins there.
        output::write_stderr(&format!("\r{line:0$}\r", self.shown));
        self.shown = line.chars().count();
    }

    /// Removes the line before something else is written.
    pub(crate) fn clear(&mut self) {
        if self.shown > 0 {
            output::write_stderr(&format!("\r{:1$}\r", "", self.shown));
            self.shown = 0;
        }
    }

    fn text(&self, done: usize, wait: Option<(Instant, Reason)>, now: Instant) -> String {
        let text = format!("{done} of {}", self.total);
        let Some((until, reason)) = wait else { return text };
        let wait = until.saturating_duration_since(now);
        let shown = duration::show(wait + Duration::from_millis(500));
        match reason {
            Reason::Throttled => format!("{text}, throttled: next request in {shown}"),
            Reason::Unreached => format!("{text}, service not reached: next request in {shown}"),
            Reason::Retry => format!("{text}, retrying in {shown}"),
            Reason::Pace => {
                let left = self.total.saturating_sub(done);
                let after = WINDOW.saturating_mul(windows_after_first(left, self.rate));
                let text = format!("{text}, next {} in {shown}", left.min(self.rate));
                if after.is_zero() {
                    return text;
                }
                format!("{text}, {} left", duration::show(wait + after))
            }
        }
    }
}

/// Returns how many windows of the service follow the first one that this many deletions need.
pub(crate) fn windows_after_first(deletions: usize, rate: usize) -> u32 {
    u32::try_from(deletions.saturating_sub(1) / rate.max(1)).unwrap_or(u32::MAX)
}

/// Returns a bar if there is room for one, and the text as far as it fits.
fn line(done: usize, total: usize, text: &str, width: usize) -> String {
    let room = width.saturating_sub(text.chars().count() + 3).min(MAX_BAR);
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
    fn progress_counts_in_windows() {
        let now = Instant::now();
        let text = |total, done, wait: Option<(u64, Reason)>| {
            let wait = wait.map(|(seconds, reason)| (now + Duration::from_secs(seconds), reason));
            Progress::new(total, 500, now).text(done, wait, now)
        };
        assert_eq!(text(10_000, 0, None), "0 of 10000");
        let pace = Some((18, Reason::Pace));
        assert_eq!(text(700, 500, pace), "500 of 700, next 200 in 18s");
        assert_eq!(text(10_000, 500, pace), "500 of 10000, next 500 in 18s, 9m19s left");
        let throttled = Some((29, Reason::Throttled));
        assert_eq!(text(700, 9, throttled), "9 of 700, throttled: next request in 29s");
    }

    #[test]
    fn progress_fits_the_terminal() {
        let text = "500 of 10000, next 500 in 18s, 9m left";
        for width in [0, 1, 20, 38, 50, 51, 79, 200] {
            assert!(line(500, 10_000, text, width).chars().count() <= width, "{width}");
        }
        assert_eq!(line(500, 10_000, text, 50), text);
        assert_eq!(line(5000, 10_000, text, 51), format!("[#####.....] {text}"));
    }
}
