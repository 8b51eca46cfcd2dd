//! Deleting users, several at once.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use acs_identity::{CommunicationUserIdentifier, Error};

use crate::arguments::{Delete, Whom};
use crate::done::Done;
use crate::failure::{Exit, Failure};
use crate::pace::WINDOW;
use crate::progress::Progress;
use crate::queue::{AT_ONCE, Item, Next, Queue, Settled};
use crate::settings::{Settings, watched};
use crate::tally::{TOLD, Tally};
use crate::{confirm, duration, ids, interrupt, output};

/// How often to look whether the progress is to be told.
const TICK: Duration = Duration::from_secs(1);

enum Event {
    Ended(Item, Result<(), Error>),
    Interrupted,
}

pub(crate) fn run(settings: &Settings, delete: Delete) -> Result<(), Failure> {
    let (mut users, file) = match delete.whom {
        Whom::Users(users) => (ids::once_each(users), None),
        Whom::File(path) => (read(&path)?, Some(path)),
    };
    let record = match (&file, delete.done) {
        (Some(file), Some(done)) if is_same(file, &done) => {
            return Err(Failure::usage("--done is the file of --from-file: give it another name"));
        }
        (Some(file), None) => beside(file),
        (_, done) => done,
    };
    let all = users.len();
    if let Some(record) = &record {
        let known = Done::read(record).map_err(|error| unusable(record, "read", &error))?;
        users.retain(|user| !known.contains(user.identifier()));
    }
    if let Some(first) = users.first() {
        let question = match users.len() {
            1 => format!("Delete {first}?"),
            number => format!("Delete {number} users of {}?", settings.host()),
        };
        confirm::ask(delete.yes, &question)?;
        if users.len() == 1 && file.is_none() {
            return Ok(settings.client(Some(first))?.delete_user(first)?);
        }
    }
    let tally = Tally::new(file.as_deref().map(name_of), all - users.len());
    let tally = delete_all(settings, &users, delete.rate, record.as_deref(), tally)?;
    // Another run with the same record may have been faster.
    let known = match &record {
        Some(record) if tally.has_unknown() => Done::read(record).unwrap_or_default(),
        _ => HashSet::new(),
    };
    tally.conclude(&users, &known, delete.strict)
}

fn delete_all(
    settings: &Settings,
    users: &[CommunicationUserIdentifier],
    rate: usize,
    record: Option<&Path>,
    mut tally: Tally,
) -> Result<Tally, Failure> {
    let mut done = match record.filter(|_| !users.is_empty()) {
        Some(path) => Some(Done::open(path).map_err(|error| unusable(path, "written", &error))?),
        None => None,
    };
    let client = settings.client_without_retries()?;
    if users.len() > rate {
        let windows = u32::try_from((users.len() - 1) / rate).unwrap_or(u32::MAX);
        let time = duration::show(WINDOW.saturating_mul(windows));
        output::inform(&format!("{} users at {rate} in 30s: {time} or more", users.len()));
    }
    let mut queue = Queue::new(users.len(), rate, settings.patience());
    let mut progress = Progress::new(users.len(), rate, Instant::now());
    let (events, happened) = mpsc::channel();
    let (work, waiting) = mpsc::channel();
    let waiting = Mutex::new(waiting);
    let interrupts = events.clone();
    interrupt::on_ctrl_c(move || drop(interrupts.send(Event::Interrupted)))?;
    thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(users.len()) {
            let (client, waiting, events) = (&client, &waiting, events.clone());
            scope.spawn(move || {
                while let Some(item) = next(waiting) {
                    let Some(user) = users.get(item.index) else { return };
                    let result = watched(client, Some(user)).delete_user(user);
                    let _ = events.send(Event::Ended(item, result));
                }
            });
        }
        let work = work;
        loop {
            let now = Instant::now();
            let wait = match queue.next(now) {
                Next::Finished => return,
                Next::Wait(wait) => wait.min(TICK),
                Next::Begin(item) => {
                    let _ = work.send(item);
                    continue;
                }
            };
            progress.tell(tally.settled(), queue.pause(now), now);
            match happened.recv_timeout(wait) {
                Ok(Event::Ended(item, result)) => {
                    let index = item.index;
                    let settled = queue.settle(item, result.into(), Instant::now());
                    let Some(user) = users.get(index) else { continue };
                    if let (Settled::Deleted, Some(done), Some(path)) =
                        (&settled, &mut done, record)
                        && let Err(error) = done.add(user.identifier())
                    {
                        progress.clear();
                        output::note(&unusable(path, "written", &error).message);
                        tally.fail(Exit::Service);
                        queue.stop(Exit::Service, "there is no record of them");
                    }
                    if let Some(problem) = tally.count(index, user, settled) {
                        progress.clear();
                        output::note(&problem);
                    }
                }
                Ok(Event::Interrupted) => {
                    progress.clear();
                    output::inform("finishing what is under way; Ctrl-C again ends at once");
                    queue.stop(Exit::Interrupted, "interrupted");
                }
                Err(_) => {}
            }
        }
    });
    progress.clear();
    tally.stopped = queue.into_stop();
    Ok(tally)
}

/// The lock is held while waiting for work, and given back before working.
fn next(waiting: &Mutex<Receiver<Item>>) -> Option<Item> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

/// All of a file, or what is wrong with it.
fn read(path: &Path) -> Result<Vec<CommunicationUserIdentifier>, Failure> {
    let mut stdin = Vec::new();
    let text = if is_stdin(path) {
        io::stdin().read_to_end(&mut stdin).map(|_| stdin)
    } else {
        fs::read(path)
    };
    let text = text.map_err(|error| unusable(path, "read", &error))?;
    let ids = ids::parse(&text).map_err(|reason| unusable(path, "read", &reason))?;
    let (name, malformed) = (name_of(path), ids.malformed.len());
    if malformed == 0 {
        return Ok(ids.users);
    }
    let told = if output::is_verbose() { malformed } else { TOLD };
    for (line, reason) in ids.malformed.iter().take(told) {
        output::note(&format!("{name}:{line}: {reason}"));
    }
    let more = if malformed > told { "; -v shows all" } else { "" };
    Err(Failure::usage(format!("{name}: {malformed} malformed: nothing was deleted{more}")))
}

/// The record of a file lies beside it; a pipe has no place beside it.
fn beside(file: &Path) -> Option<PathBuf> {
    let mut name = OsString::from(file);
    name.push(".done");
    file.is_file().then(|| name.into())
}

fn is_same(file: &Path, other: &Path) -> bool {
    let whole = |path: &Path| path.canonicalize().ok();
    file == other || whole(file).is_some_and(|file| whole(other) == Some(file))
}

fn unusable(path: &Path, deed: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure::usage(format!("{} cannot be {deed}: {error}", name_of(path)))
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn name_of(path: &Path) -> String {
    if is_stdin(path) { "stdin".to_owned() } else { output::name(path) }
}
