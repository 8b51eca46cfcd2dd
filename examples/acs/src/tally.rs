//! What a bulk deletion comes to.

use std::collections::HashSet;
use std::fmt::Write as _;

use acs_identity::CommunicationUserIdentifier;

use crate::failure::{Exit, Failure};
use crate::output;
use crate::queue::Settled;

/// How many problems of one sort are told in full, unless asked for with `-v`.
pub(crate) const TOLD: usize = 10;

#[derive(Debug)]
pub(crate) struct Tally {
    /// The name of the file, if the users are from one.
    file: Option<String>,
    /// Those in the record of earlier runs.
    before: usize,
    deleted: usize,
    /// Those of a file that the service does not know, by their places.
    unknown: Vec<usize>,
    failed: usize,
    worst: Option<Exit>,
    /// Why the rest was left.
    pub(crate) stopped: Option<Failure>,
}

impl Tally {
    pub(crate) fn new(file: Option<String>, before: usize) -> Self {
        Self {
            file,
            before,
            deleted: 0,
            unknown: Vec::new(),
            failed: 0,
            worst: None,
            stopped: None,
        }
    }

    /// Takes note of what is wrong with the run itself.
    pub(crate) fn fail(&mut self, exit: Exit) {
        self.worst = self.worst.max(Some(exit));
    }

    /// How many are dealt with.
    pub(crate) fn settled(&self) -> usize {
        self.deleted + self.unknown.len() + self.failed
    }

    pub(crate) fn has_unknown(&self) -> bool {
        !self.unknown.is_empty()
    }

    /// Counts a result; what to tell about it.
    pub(crate) fn count(
        &mut self,
        index: usize,
        user: &CommunicationUserIdentifier,
        settled: Settled,
    ) -> Option<String> {
        let failure = match settled {
            Settled::PutBack => return None,
            Settled::Deleted => {
                self.deleted += 1;
                return None;
            }
            Settled::Unknown(_) if self.file.is_some() => {
                self.unknown.push(index);
                return output::is_verbose().then(|| format!("{user}: not known to the service"));
            }
            Settled::Unknown(failure) | Settled::Failed(failure) => failure,
        };
        self.failed += 1;
        self.fail(failure.exit);
        if self.failed <= TOLD || output::is_verbose() {
            return Some(format!("{user}: {}", failure.message));
        }
        (self.failed == TOLD + 1).then(|| "further failures are only counted; -v shows all".into())
    }

    /// `known` is what the record has at the end, and `users` whom this run asked for.
    pub(crate) fn conclude(
        mut self,
        users: &[CommunicationUserIdentifier],
        known: &HashSet<String>,
        strict: bool,
    ) -> Result<(), Failure> {
        let left = users.len() - self.settled();
        let unknown = self.unknown.len();
        self.unknown.retain(|index| {
            users.get(*index).is_none_or(|user| !known.contains(user.identifier()))
        });
        self.before += unknown - self.unknown.len();

        let mut summary = format!("{} deleted", self.deleted);
        if users.is_empty() && self.before == 0 {
            summary.push_str(": it has no ids");
        }
        for (number, what) in [
            (self.before, "deleted before"),
            (self.unknown.len(), "not known to the service (gone already, or another resource's)"),
            (self.failed, "failed"),
        ] {
            if number > 0 {
                let _ = write!(summary, ", {number} {what}");
            }
        }
        if let Some(stopped) = self.stopped.take_if(|_| left > 0) {
            self.fail(stopped.exit);
            let _ = write!(summary, ", {left} left: {}", stopped.message);
        }
        if let Some(file) = &self.file {
            summary = format!("{file}: {summary}");
        }
        let none_is_known = self.deleted + self.before + self.failed + left == 0;
        if !self.unknown.is_empty() && (strict || none_is_known) {
            self.fail(Exit::NotFound);
        }
        match (self.worst, self.file) {
            (Some(exit), _) => Err(Failure::new(exit, summary)),
            (None, Some(_)) => {
                output::inform(&summary);
                Ok(())
            }
            (None, None) => Ok(()),
        }
    }
}
