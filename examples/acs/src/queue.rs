//! Which user a bulk deletion asks for next, and when. There is no clock in here and no socket.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use acs_identity::{Error, ErrorKind};

use crate::duration;
use crate::failure::{Exit, Failure};
use crate::pace::Pace;

/// How many requests are under way at once: more would only be done earlier with what the service
/// allows in 30 seconds.
pub(crate) const AT_ONCE: usize = 8;

/// How often one user is asked for, not counting requests that were throttled or not sent. The
/// delays in between are those of the library.
const TRIES: u32 = 4;
const FIRST_DELAY: Duration = Duration::from_millis(800);

/// The window in which the service counts.
const THROTTLED: Duration = Duration::from_secs(30);

/// For more, somebody has to come back.
const LONGEST_PAUSE: Duration = Duration::from_secs(5 * 60);

/// After so many pauses without an answer in between, waiting is over.
const PAUSES_IN_A_ROW: u32 = 10;

#[derive(Debug)]
pub(crate) struct Queue {
    waiting: VecDeque<Item>,
    pace: Pace,
    /// How long the service may be out of reach.
    patience: Duration,
    paused_until: Option<Instant>,
    /// Pauses since a user was last dealt with.
    pauses: u32,
    unreached_since: Option<Instant>,
    stop: Option<Failure>,
}

/// One user, and what is known of the requests so far.
#[derive(Debug)]
pub(crate) struct Item {
    /// Which of the users it is.
    pub(crate) index: usize,
    tries: u32,
    /// Whether an earlier request may have deleted the user.
    in_doubt: bool,
    not_before: Option<Instant>,
}

#[derive(Debug)]
pub(crate) enum Next {
    Begin(Item),
    /// For a result, at most so long.
    Wait(Duration),
    Finished,
}

/// What a request came to, as far as the others are concerned.
#[derive(Debug)]
pub(crate) enum Answer {
    Deleted,
    Unknown(Failure),
    Throttled(Option<Duration>),
    Unreached(Failure),
    /// Another try may do.
    Transient {
        failure: Failure,
        in_doubt: bool,
        delay: Option<Duration>,
    },
    /// Of this user alone.
    Failed(Failure),
    /// All others would fail in the same way: a refused credential, an untrusted certificate.
    Hopeless(Failure),
}

#[derive(Debug)]
pub(crate) enum Settled {
    Deleted,
    Unknown(Failure),
    Failed(Failure),
    /// Its turn comes again.
    PutBack,
}

impl Queue {
    pub(crate) fn new(users: usize, rate: usize, patience: Duration) -> Self {
        let item = |index| Item { index, tries: 0, in_doubt: false, not_before: None };
        Self {
            waiting: (0..users).map(item).collect(),
            pace: Pace::new(rate),
            patience,
            paused_until: None,
            pauses: 0,
            unreached_since: None,
            stop: None,
        }
    }

    pub(crate) fn next(&mut self, now: Instant) -> Next {
        let under_way = self.pace.under_way();
        let Some(item) = self.waiting.front().filter(|_| self.stop.is_none()) else {
            return if under_way == 0 { Next::Finished } else { Next::Wait(LONGEST_PAUSE) };
        };
        let free_at = self.pace.free_at(now).filter(|_| under_way < AT_ONCE);
        let begin = free_at.map(|free| Some(free).max(item.not_before).max(self.paused_until));
        let Some(begin) = begin.flatten() else { return Next::Wait(LONGEST_PAUSE) };
        if begin > now {
            return Next::Wait(begin - now);
        }
        self.pace.begin();
        self.waiting.pop_front().map_or(Next::Finished, Next::Begin)
    }

    /// How long the pause goes on that holds up everything, if there is one.
    pub(crate) fn pause(&self, now: Instant) -> Option<Duration> {
        self.paused_until?.checked_duration_since(now).filter(|left| !left.is_zero())
    }

    /// Begins nothing more; the first reason counts.
    pub(crate) fn stop(&mut self, exit: Exit, reason: impl Into<String>) {
        self.stop.get_or_insert_with(|| Failure::new(exit, reason));
    }

    /// Why it was stopped.
    pub(crate) fn into_stop(self) -> Option<Failure> {
        self.stop
    }

    /// Takes note of what a request came to.
    pub(crate) fn settle(&mut self, mut item: Item, answer: Answer, now: Instant) -> Settled {
        self.pace.end(now);
        match answer {
            Answer::Throttled(asked) => {
                let pause = asked.filter(|asked| !asked.is_zero()).unwrap_or(THROTTLED);
                self.unreached_since = None;
                if pause > LONGEST_PAUSE {
                    let asked = duration::show(pause);
                    self.stop(Exit::Throttled, format!("throttled: the service asks for {asked}"));
                } else if self.pause_for(pause, now) >= PAUSES_IN_A_ROW {
                    let reason = format!("throttled {PAUSES_IN_A_ROW} times in a row");
                    self.stop(Exit::Throttled, reason);
                }
                self.waiting.push_front(item);
                return Settled::PutBack;
            }
            Answer::Unreached(failure) => {
                let since = *self.unreached_since.get_or_insert(now);
                let left = self.patience.saturating_sub(now - since);
                if left.is_zero() {
                    self.stop(failure.exit, format!("not reached: {}", failure.message));
                } else {
                    let pause = Duration::from_secs(1 << self.pauses.min(4));
                    self.pause_for(pause.min(left), now);
                }
                self.waiting.push_front(item);
                return Settled::PutBack;
            }
            _ => (self.pauses, self.unreached_since) = (0, None),
        }
        item.tries += 1;
        match answer {
            Answer::Unknown(failure) if !item.in_doubt => Settled::Unknown(failure),
            Answer::Transient { in_doubt, delay, .. } if item.tries < TRIES => {
                item.in_doubt |= in_doubt;
                let delay = delay.unwrap_or_default().max(FIRST_DELAY * (1 << (item.tries - 1)));
                item.not_before = Some(now + delay.min(LONGEST_PAUSE));
                self.waiting.push_back(item);
                Settled::PutBack
            }
            Answer::Hopeless(failure) => {
                self.stop(failure.exit, "they would fail in the same way");
                Settled::Failed(failure)
            }
            Answer::Transient { failure, .. } | Answer::Failed(failure) => Settled::Failed(failure),
            _ => Settled::Deleted,
        }
    }

    /// Holds up everything; the number of pauses since the last answer. What was under way when a
    /// pause began prolongs it, and counts no more.
    fn pause_for(&mut self, pause: Duration, now: Instant) -> u32 {
        if self.pause(now).is_none() {
            self.pauses += 1;
        }
        self.paused_until = self.paused_until.max(Some(now + pause));
        self.pauses
    }
}

impl From<Result<(), Error>> for Answer {
    fn from(result: Result<(), Error>) -> Self {
        let Err(error) = result else { return Self::Deleted };
        let (kind, status) = (error.kind(), error.status());
        let (in_doubt, delay) = (error.is_in_doubt(), error.retry_after());
        let failure = Failure::from(error);
        match (kind, status) {
            _ if failure.exit == Exit::NotFound => Self::Unknown(failure),
            (ErrorKind::Service, Some(429)) => Self::Throttled(delay),
            _ if failure.exit == Exit::Authentication => Self::Hopeless(failure),
            // A certificate that is not accepted, or a proxy that wants a login.
            (ErrorKind::Connection, _)
                if ["certificate", "(407)"].iter().any(|it| failure.message.contains(it)) =>
            {
                Self::Hopeless(failure)
            }
            (ErrorKind::Connection, _) => Self::Unreached(failure),
            (ErrorKind::Timeout | ErrorKind::Transport, _)
            | (ErrorKind::Service, Some(408 | 500 | 502 | 503 | 504)) => {
                Self::Transient { failure, in_doubt, delay }
            }
            _ => Self::Failed(failure),
        }
    }
}

#[cfg(test)]
mod tests;
