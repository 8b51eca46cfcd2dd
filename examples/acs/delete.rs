//! Deleting users, several at once.

use std::fmt::Write as _;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use acs_identity::{CommunicationIdentityClient, CommunicationUserIdentifier, Error, ErrorKind};

use crate::arguments::{Delete, Whom};
use crate::confirm;
use crate::failure::{Exit, Failure};
use crate::ids::{self, Ids};
use crate::output;
use crate::pace::Pace;
use crate::progress::Progress;

/// How many requests are under way at once: more would only be done earlier with what the service
/// allows in 30 seconds.
const WORKERS: usize = 8;

/// After as many requests in a row that could not be sent, the rest is not tried: each takes its
/// time to fail, and none would do otherwise.
const UNSENT_IN_A_ROW: usize = 20;

pub(crate) fn run(client: &CommunicationIdentityClient, delete: Delete) -> Result<(), Failure> {
    let Delete { whom, yes, rate } = delete;
    let (ids, file) = match whom {
        Whom::Users(users) => (Ids { users: ids::once_each(users), malformed: Vec::new() }, None),
        Whom::File(path) => (read(&path)?, Some(name_of(&path))),
    };
    let host = client.endpoint().host();
    let question = match ids.users.as_slice() {
        [user] => format!("Delete {user}?"),
        users => format!("Delete {} users of {host}?", users.len()),
    };
    confirm::ask(yes, &question)?;
    if let ([user], None) = (ids.users.as_slice(), &file) {
        return Ok(client.delete_user(user)?);
    }

    let mut tally = Tally::default();
    for (line, reason) in &ids.malformed {
        let name = file.as_deref().unwrap_or_default();
        output::note(&format!("{name}:{line}: {reason}"));
        tally.malformed += 1;
        tally.worst = tally.worst.max(Some(Exit::Usage));
    }
    if ids.users.len() > rate {
        let minutes = ids.users.len() / rate / 2 + 1;
        output::note(&format!("at most {rate} deletes in 30 s: this takes up to {minutes} min"));
    }
    let mut progress = Progress::new(ids.users.len());
    delete_all(client, &ids.users, rate, |user, result| {
        let going_on = tally.count(file.is_some(), user, result, &progress);
        progress.advance();
        going_on
    });
    progress.clear();
    tally.conclude(ids.users.len(), file.as_deref())
}

#[derive(Default)]
struct Tally {
    deleted: usize,
    gone: usize,
    failed: usize,
    malformed: usize,
    unsent_in_a_row: usize,
    worst: Option<Exit>,
}

impl Tally {
    /// Counts a result and reports a failure; says whether the rest is worth trying.
    fn count(
        &mut self,
        gone_is_fine: bool,
        user: &CommunicationUserIdentifier,
        result: Result<(), Error>,
        progress: &Progress,
    ) -> bool {
        match &result {
            Err(error) if error.kind() == ErrorKind::Connection => self.unsent_in_a_row += 1,
            // What was under way when it was given up does not take that back.
            _ if self.is_given_up() => {}
            _ => self.unsent_in_a_row = 0,
        }
        let Err(failure) = result.map_err(Failure::from) else {
            self.deleted += 1;
            return true;
        };
        if gone_is_fine && failure.exit == Exit::NotFound {
            self.gone += 1;
            // By name: whoever took another resource's file sees it.
            progress.note(&format!("{user}: not known to the service"));
            return true;
        }
        self.failed += 1;
        self.worst = self.worst.max(Some(failure.exit));
        progress.note(&format!("{user}: {}", failure.message));
        // The credential is the same for all of them.
        failure.exit != Exit::Authentication && !self.is_given_up()
    }

    fn is_given_up(&self) -> bool {
        self.unsent_in_a_row >= UNSENT_IN_A_ROW
    }

    fn conclude(&self, total: usize, file: Option<&str>) -> Result<(), Failure> {
        let left = total - self.deleted - self.gone - self.failed;
        let mut summary = format!("{} deleted", self.deleted);
        let not_tried = if self.is_given_up() {
            "not tried, since the service was not reached many times in a row"
        } else {
            "not tried"
        };
        for (number, what) in [
            (self.gone, "not known to the service (gone already, or another resource's)"),
            (self.failed, "failed"),
            (self.malformed, "malformed"),
            (left, not_tried),
        ] {
            if number > 0 {
                let _ = write!(summary, ", {number} {what}");
            }
        }
        match (self.worst, file) {
            (None, None) => Ok(()),
            (None, Some(file)) => {
                output::note(&format!("{file}: {summary}"));
                Ok(())
            }
            (Some(exit), file) => {
                let file = file.map(|file| format!("{file}: ")).unwrap_or_default();
                Err(Failure::new(exit, file + &summary))
            }
        }
    }
}

fn read(path: &Path) -> Result<Ids, Failure> {
    let mut stdin = Vec::new();
    let file = if is_stdin(path) {
        io::stdin().read_to_end(&mut stdin).map(|_| stdin)
    } else {
        std::fs::read(path)
    };
    let name = name_of(path);
    let file = file.map_err(|error| Failure::usage(format!("{name} cannot be read: {error}")))?;
    ids::parse(&file).map_err(|reason| Failure::usage(format!("{name} cannot be read: {reason}")))
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn name_of(path: &Path) -> String {
    if is_stdin(path) { "stdin".to_owned() } else { path.display().to_string() }
}

/// Deletes users until `report`, which is called on this thread, says to stop; what is under way
/// then is still reported.
fn delete_all(
    client: &CommunicationIdentityClient,
    users: &[CommunicationUserIdentifier],
    rate: usize,
    mut report: impl FnMut(&CommunicationUserIdentifier, Result<(), Error>) -> bool,
) {
    let (work, queue) = mpsc::sync_channel(0);
    let queue = Mutex::new(queue);
    let (results, finished) = mpsc::channel();
    let (running, stop) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || feed(users, rate, &work, &stop));
        for _ in 0..WORKERS.min(users.len()) {
            let (queue, results) = (&queue, results.clone());
            scope.spawn(move || {
                while let Some(user) = next(queue) {
                    let _ = results.send((user, client.delete_user(user)));
                }
            });
        }
        drop(results);
        let mut running = Some(running);
        for (user, result) in finished {
            if !report(user, result) {
                running = None;
            }
        }
        drop(running);
    });
}

/// Hands out users at the pace that the service allows, until the other end of `stop` is dropped.
fn feed<'a>(
    users: &'a [CommunicationUserIdentifier],
    rate: usize,
    work: &SyncSender<&'a CommunicationUserIdentifier>,
    stop: &Receiver<()>,
) {
    let mut pace = Pace::new(rate);
    for user in users {
        let wait = pace.next_wait(Instant::now());
        if stop.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) || work.send(user).is_err() {
            return;
        }
    }
}

/// The lock is held while waiting for work, and given back before working.
fn next<'a>(
    queue: &Mutex<Receiver<&'a CommunicationUserIdentifier>>,
) -> Option<&'a CommunicationUserIdentifier> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}
