//! Which user a bulk deletion asks for next, and when. There is no clock in here and no socket.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use acs_identity::{Error, ErrorKind};

use crate::duration;
use crate::failure::{Exit, Failure, is_from_service};
use crate::pace::Pace;

/// How many requests are under way at once. More would only use up sooner what the service allows in
/// 30 seconds.
const AT_ONCE: usize = 8;

/// How often one deletion is attempted, not counting requests that were throttled or not sent. The
/// delays in between are those of the library.
const ATTEMPTS: u32 = 4;
const FIRST_DELAY: Duration = Duration::from_millis(800);

/// The window in which the service counts.
const THROTTLED: Duration = Duration::from_secs(30);

/// A longer pause ends the run: somebody has to come back.
const MAX_PAUSE: Duration = Duration::from_secs(5 * 60);

/// So many pauses without an outcome in between end the run.
const MAX_PAUSES: u32 = 10;

#[derive(Debug)]
pub(crate) struct Queue {
    waiting: VecDeque<Item>,
    pace: Pace,
    /// How long the service may be out of reach.
    max_outage: Duration,
    paused_until: Option<(Instant, Reason)>,
    /// Pauses since a user was last settled.
    pauses: u32,
    unreached_since: Option<Instant>,
    stop: Option<Failure>,
}

/// One user and the requests for it so far.
#[derive(Debug)]
pub(crate) struct Item {
    /// Which of the users it is.
    pub(crate) index: usize,
    attempts: u32,
    /// Whether an earlier request may have deleted the user.
    in_doubt: bool,
    not_before: Option<Instant>,
}

#[derive(Debug)]
pub(crate) enum Next {
    Begin(Item),
    /// Until a result arrives, or this instant.
    Wait(Option<(Instant, Reason)>),
    Finished,
}

/// Why nothing begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Pace,
    Throttled,
    Unreached,
    Retry,
}

/// The outcome of a request, as far as it concerns the others.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Deleted, or a failure that concerns this user alone: not found if the service does not know it.
    Settled(Result<(), Failure>),
    Throttled(Option<Duration>),
    Unreached(Failure),
    /// Another attempt may succeed.
    Transient {
        failure: Failure,
        in_doubt: bool,
        delay: Option<Duration>,
    },
    /// All others would fail in the same way: a rejected credential, an untrusted certificate, a
    /// gateway's page.
    Hopeless(Failure),
}

impl Queue {
    pub(crate) fn new(users: usize, rate: usize, max_outage: Duration) -> Self {
        let item = |index| Item { index, attempts: 0, in_doubt: false, not_before: None };
        Self {
            waiting: (0..users).map(item).collect(),
            pace: Pace::new(rate),
            max_outage,
            paused_until: None,
            pauses: 0,
            unreached_since: None,
            stop: None,
        }
    }

    pub(crate) fn next(&mut self, now: Instant) -> Next {
        let under_way = self.pace.under_way();
        let Some(item) = self.waiting.front().filter(|_| self.stop.is_none()) else {
            return if under_way == 0 { Next::Finished } else { Next::Wait(None) };
        };
        let Some(free_at) = self.pace.free_at(now).filter(|_| under_way < AT_ONCE) else {
            return Next::Wait(None);
        };
        let retry = item.not_before.map(|at| (at, Reason::Retry));
        let waits = [Some((free_at, Reason::Pace)), retry, self.paused_until];
        let wait = waits.into_iter().flatten().filter(|(until, _)| *until > now);
        if let Some(longest) = wait.max_by_key(|(until, _)| *until) {
            // While some of the window are under way, their results come first.
            let is_window_complete = under_way == 0 || longest.1 != Reason::Pace;
            return Next::Wait(Some(longest).filter(|_| is_window_complete));
        }
        self.pace.begin();
        self.waiting.pop_front().map_or(Next::Finished, Next::Begin)
    }

    /// Begins nothing more; the first reason counts.
    pub(crate) fn stop(&mut self, exit: Exit, reason: impl Into<String>) {
        self.stop.get_or_insert_with(|| Failure::new(exit, reason));
    }

    /// Why it was stopped.
    pub(crate) fn into_stop(self) -> Option<Failure> {
        self.stop
    }

    /// Takes note of the outcome of a request; returns `None` if the user's turn comes again.
    pub(crate) fn settle(
        &mut self,
        mut item: Item,
        outcome: Outcome,
        now: Instant,
    ) -> Option<Result<(), Failure>> {
        self.pace.end(now);
        if !matches!(outcome, Outcome::Throttled(_) | Outcome::Unreached(_)) {
            (self.pauses, self.unreached_since) = (0, None);
            item.attempts += 1;
        }
        match outcome {
            Outcome::Throttled(asked) => {
                let pause = asked.filter(|asked| !asked.is_zero()).unwrap_or(THROTTLED);
                self.unreached_since = None;
                if pause > MAX_PAUSE {
                    let asked = duration::show(pause);
                    self.stop(Exit::Throttled, format!("throttled: the service asks for {asked}"));
                } else if self.pause(pause, Reason::Throttled, now) >= MAX_PAUSES {
                    let reason = format!("throttled {MAX_PAUSES} times in a row");
                    self.stop(Exit::Throttled, reason);
                }
                self.waiting.push_front(item);
                None
            }
            Outcome::Unreached(failure) => {
                let since = *self.unreached_since.get_or_insert(now);
                let left = self.max_outage.saturating_sub(now - since);
                if left.is_zero() {
                    self.stop(failure.exit, format!("not reached: {}", failure.message));
                } else {
                    let pause = Duration::from_secs(1 << self.pauses.min(4));
                    self.pause(pause.min(left), Reason::Unreached, now);
                }
                self.waiting.push_front(item);
                None
            }
            Outcome::Transient { in_doubt, delay, .. } if item.attempts < ATTEMPTS => {
                item.in_doubt |= in_doubt;
                let delay = delay.unwrap_or_default().max(FIRST_DELAY * (1 << (item.attempts - 1)));
                item.not_before = Some(now + delay.min(MAX_PAUSE));
                self.waiting.push_back(item);
                None
            }
            Outcome::Hopeless(failure) => {
                self.stop(failure.exit, "they would fail in the same way");
                Some(Err(failure))
            }
            Outcome::Transient { failure, .. } => Some(Err(failure)),
            // An earlier attempt deleted the user.
            Outcome::Settled(Err(Failure { exit: Exit::NotFound, .. })) if item.in_doubt => {
                Some(Ok(()))
            }
            Outcome::Settled(result) => Some(result),
        }
    }

    /// Holds up everything; returns the number of pauses since the last outcome. What was under way when
    /// a pause began prolongs it, and is not another.
    fn pause(&mut self, pause: Duration, reason: Reason, now: Instant) -> u32 {
        let current = self.paused_until.filter(|(until, _)| *until > now);
        if current.is_none() {
            self.pauses += 1;
        }
        let until = now + pause;
        self.paused_until = current.filter(|(other, _)| *other >= until).or(Some((until, reason)));
        self.pauses
    }
}

impl From<Result<(), Error>> for Outcome {
    fn from(result: Result<(), Error>) -> Self {
        let Err(error) = result else { return Self::Settled(Ok(())) };
        let (kind, in_doubt) = (error.kind(), error.is_in_doubt());
        let (is_transient, delay) = (error.is_transient(), error.retry_after());
        let is_foreign = error.status().is_some() && !is_from_service(&error);
        let failure = Failure::from(error);
        match (kind, failure.exit) {
            (_, Exit::Throttled) => Self::Throttled(delay),
            (ErrorKind::Connection, _) if is_transient => Self::Unreached(failure),
            _ if is_transient => Self::Transient { failure, in_doubt, delay },
            (ErrorKind::Connection, _) | (_, Exit::Authentication) => Self::Hopeless(failure),
            _ if is_foreign => Self::Hopeless(failure),
            _ => Self::Settled(Err(failure)),
        }
    }
}

#[cfg(test)]
mod tests;
