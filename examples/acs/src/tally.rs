//! The result of a bulk deletion.

use std::collections::HashSet;
use std::fmt::Write as _;

use acs_identity::CommunicationUserIdentifier;

use crate::failure::{Exit, Failure};
use crate::ids::resource_of;
use crate::output::{self, Data, Format};

/// How many problems of a kind are listed without `-v`.
pub(crate) const LISTED: usize = 10;

/// A list that begins with so many unknown ids, which are all that the service takes in 30 seconds, is
/// taken for another resource's.
const MAX_UNKNOWN_AT_FIRST: usize = 500;

#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// The name of the file, if the users come from one.
    file: Option<String>,
    total: usize,
    /// The users in the record of earlier runs.
    recorded: usize,
    deleted: usize,
    /// Users that the service does not know, by their places.
    unknown: Vec<usize>,
    /// Those of them that belong to a resource whose users were deleted.
    gone: usize,
    failed: usize,
    worst: Option<Exit>,
    /// The resources whose users were deleted. An endpoint has one; the id of a user names it.
    resources: HashSet<(String, usize)>,
    /// Why the rest was left.
    pub(crate) stopped: Option<Failure>,
}

impl Tally {
    /// Of so many users, this many are in the record.
    pub(crate) fn new(file: Option<String>, total: usize, recorded: usize) -> Self {
        Self { file, total, recorded, ..Self::default() }
    }

    /// Takes note of a failure of the run itself.
    pub(crate) fn fail(&mut self, exit: Exit) {
        self.worst = self.worst.max(Some(exit));
    }

    /// Returns how many users are left.
    pub(crate) fn left(&self) -> usize {
        self.total - self.recorded - self.gone - self.settled()
    }

    /// Returns how many users were asked for to the end.
    pub(crate) fn settled(&self) -> usize {
        self.deleted + self.unknown.len() + self.failed
    }

    /// Whether the list seems to be another resource's.
    pub(crate) fn is_of_strangers(&self) -> bool {
        self.unknown.len() >= MAX_UNKNOWN_AT_FIRST && self.deleted + self.recorded == 0
    }

    /// Counts a result, and returns what to report about it.
    pub(crate) fn count(
        &mut self,
        index: usize,
        user: &CommunicationUserIdentifier,
        result: Result<(), Failure>,
    ) -> Option<String> {
        let is_verbose = output::is_verbose();
        let Err(failure) = result else {
            self.deleted += 1;
            self.resources.extend(resource_of(user.identifier()));
            return None;
        };
        if failure.exit == Exit::NotFound && self.file.is_some() {
            self.unknown.push(index);
            return is_verbose.then(|| format!("{user}: not known to the service"));
        }
        self.failed += 1;
        self.fail(failure.exit);
        if self.failed <= LISTED || is_verbose {
            return Some(format!("{user}: {}", failure.message));
        }
        (self.failed == LISTED + 1)
            .then(|| "further failures are only counted; -v lists all".into())
    }

    /// Sorts the unknown users, and returns those who are gone.
    ///
    /// A user of a resource whose users were deleted is gone, and a user of another is not. `recorded`
    /// has the record at the end: another run with the same file may have deleted some.
    pub(crate) fn sort_unknown<'a>(
        &mut self,
        users: &'a [CommunicationUserIdentifier],
        recorded: &HashSet<String>,
    ) -> Vec<&'a str> {
        let mut gone = Vec::new();
        self.resources.extend(recorded.iter().filter_map(|id| resource_of(id)));
        self.unknown.retain(|index| {
            let Some(user) = users.get(*index).map(CommunicationUserIdentifier::identifier) else {
                return false;
            };
            if recorded.contains(user) {
                self.recorded += 1;
                return false;
            }
            let is_gone = resource_of(user).is_some_and(|it| self.resources.contains(&it));
            if is_gone {
                gone.push(user);
            }
            !is_gone
        });
        self.gone = gone.len();
        gone
    }

    /// Prints the counts.
    pub(crate) fn conclude(mut self, strict: bool, format: &Format) -> Result<(), Failure> {
        let left = self.left();
        let mut summary = format!("{} deleted", self.deleted);
        if self.total == 0 {
            summary.push_str(": it has no ids");
        }
        let unknown = if self.resources.is_empty() {
            "not known to the service (gone already, or another resource's)"
        } else {
            "of another resource, or no whole ids"
        };
        for (number, what) in [
            (self.recorded, "in the record"),
            (self.gone, "gone already"),
            (self.unknown.len(), unknown),
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
        if !self.unknown.is_empty() || strict && self.gone > 0 {
            self.fail(Exit::NotFound);
        }
        let mut printed = Ok(());
        if let Some(file) = &self.file {
            summary = format!("{file}: {summary}");
            printed = self.data().print(format);
        }
        if let Some(exit) = self.worst {
            return Err(Failure::new(exit, summary));
        }
        if self.file.is_some() {
            output::inform(&summary);
        }
        printed
    }

    pub(crate) fn data(&self) -> Data {
        Data::new([
            ("deleted", self.deleted.into()),
            ("recorded", self.recorded.into()),
            ("gone", self.gone.into()),
            ("unknown", self.unknown.len().into()),
            ("failed", self.failed.into()),
            ("left", self.left().into()),
        ])
    }
}
