//! Deleting users, several at once.

use std::ffi::OsString;
use std::fmt::Display;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use acs_identity::{CommunicationUserIdentifier, RetryPolicy};
use clap::{ArgAction, ArgGroup, ArgMatches, Command, value_parser};

use crate::cli::{self, flag, option};
use crate::failure::{Exit, Failure};
use crate::identity::{user, yes};
use crate::interrupt::{POLL, Signals};
use crate::output::{self, Format};
use crate::pace::WINDOW;
use crate::progress::{Progress, windows_after_first};
use crate::queue::{Next, Outcome, Queue};
use crate::record::Record;
use crate::settings::{Settings, watched};
use crate::tally::{LISTED, Tally};
use crate::{confirm, duration, help, ids, record};

pub(crate) fn command() -> Command {
    cli::command("delete", help::DELETE)
        .about("Delete users and revoke their tokens")
        .args([
            user().num_args(1..).action(ArgAction::Append).help("The ids of the users"),
            option("from-file", "FILE").value_parser(value_parser!(PathBuf)).help(
                "Delete the users whose ids are in a file, one per line or as acs prints them; - is stdin",
            ),
            option("done", "FILE")
                .value_parser(value_parser!(PathBuf))
                .conflicts_with("user")
                .help("Record deleted ids here, and skip those recorded [default: FILE.done]"),
            flag("strict").conflicts_with("user").help("With --from-file: fail if the service does not know an id"),
            option("rate", "N")
                .value_parser(value_parser!(u16).range(1..))
                .default_value("500")
                .help("Deletions in 30 seconds at most; the service takes 500"),
            flag("dry-run").help("Check the ids and the record, and delete nobody"),
            yes(),
            output::query(&["deleted", "recorded", "gone", "unknown", "failed", "left"])
                .conflicts_with("user"),
        ])
        .group(ArgGroup::new("whom").args(["user", "from-file"]).required(true))
}

pub(crate) fn run(matches: &mut ArgMatches, format: &Format) -> Result<(), Failure> {
    let [yes, dry_run, strict] = ["yes", "dry-run", "strict"].map(|name| matches.get_flag(name));
    confirm::require_terminal(yes || dry_run, "user delete")?;
    let settings = Settings::resolve(matches)?;
    let file: Option<PathBuf> = matches.remove_one("from-file");
    let mut users = match &file {
        Some(path) => read(path)?,
        None => ids::once_each(matches.remove_many("user").into_iter().flatten()),
    };
    let record = matches.remove_one("done").or_else(|| beside(file.as_deref()?));
    let (total, host) = (users.len(), settings.host());
    if let Some(path) = &record {
        let recorded = record::read(path, host)?;
        users.retain(|user| !recorded.contains(user.identifier()));
    }
    let mut tally = Tally::new(file.as_deref().map(name_of), total, total - users.len());
    if dry_run {
        let left = users.len();
        output::inform(&format!("dry run: {left} of {total} users of {host} would be deleted"));
        return tally.data().print(format);
    }
    if let Some(first) = users.first() {
        let question = match users.len() {
            1 => format!("Delete {first}?"),
            number => format!("Delete {number} users of {host}?"),
        };
        confirm::ask(yes, &question)?;
        if users.len() == 1 && file.is_none() {
            return Ok(settings.client(Some(first))?.delete_user(first)?);
        }
        let rate = matches.remove_one::<u16>("rate").unwrap_or(500).into();
        tally = delete_all(&settings, &users, rate, record.as_deref(), tally)?;
    }
    tally.conclude(strict, format)
}

fn delete_all(
    settings: &Settings,
    users: &[CommunicationUserIdentifier],
    rate: usize,
    path: Option<&Path>,
    mut tally: Tally,
) -> Result<Tally, Failure> {
    let host = settings.host();
    let mut record = path.map(|path| Record::open(path, host)).transpose()?;
    let client = settings.build(RetryPolicy::none())?;
    if users.len() > rate {
        let time = duration::show(WINDOW.saturating_mul(windows_after_first(users.len(), rate)));
        output::inform(&format!("{} users at {rate} in 30s: {time} or more", users.len()));
    }
    let mut queue = Queue::new(users.len(), rate, settings.timeout);
    let mut progress = Progress::new(users.len(), rate, Instant::now());
    let (results, received) = mpsc::channel();
    let signals = Signals::catch()?;
    let mut is_interrupted = false;
    thread::scope(|scope| {
        loop {
            if let Some(code) = signals.take() {
                progress.clear();
                if is_interrupted {
                    process::exit(code.into());
                }
                is_interrupted = true;
                output::inform("finishing what is under way; Ctrl-C again ends at once");
                queue.stop(Exit::Interrupted(code), "interrupted");
            }
            let now = Instant::now();
            let wait = match queue.next(now) {
                Next::Finished => return,
                Next::Wait(wait) => wait,
                Next::Begin(item) => {
                    let Some(user) = users.get(item.index) else { continue };
                    let (client, results) = (watched(&client, Some(user)), results.clone());
                    scope.spawn(move || results.send((item, user, client.delete_user(user))));
                    continue;
                }
            };
            progress.report(tally.settled(), wait, now);
            let time = wait.map_or(POLL, |(until, _)| POLL.min(until - now));
            let Ok((item, user, result)) = received.recv_timeout(time) else { continue };
            let index = item.index;
            let result = queue.settle(item, Outcome::from(result), Instant::now());
            let Some(result) = result else { continue };
            if let (Ok(()), Some(record)) = (&result, &mut record)
                && let Err(failure) = record.add([user.identifier()])
            {
                progress.clear();
                output::note(&failure.message);
                tally.fail(Exit::Service);
                queue.stop(Exit::Service, "deletions cannot be recorded");
            }
            if let Some(problem) = tally.count(index, user, result) {
                progress.clear();
                output::note(&problem);
            }
            if tally.is_of_strangers() {
                let number = tally.settled();
                let problem = format!("none of the first {number} ids is known to {host}");
                queue.stop(Exit::NotFound, problem + ": take ids that are gone out of the list");
            }
        }
    });
    progress.clear();
    tally.stopped = queue.into_stop();

    // Who is gone needs no request in a later run. Another run with this record may have been faster.
    let recorded = path.and_then(|path| record::read(path, host).ok()).unwrap_or_default();
    let gone = tally.sort_unknown(users, &recorded);
    if let Some(Err(failure)) = record.map(|mut record| record.add(gone)) {
        output::note(&failure.message);
        tally.fail(Exit::Service);
    }
    Ok(tally)
}

/// Reads a whole file, or reports what is wrong with it.
fn read(path: &Path) -> Result<Vec<CommunicationUserIdentifier>, Failure> {
    let mut stdin = Vec::new();
    let text = if is_stdin(path) {
        io::stdin().read_to_end(&mut stdin).map(|_| stdin)
    } else {
        fs::read(path)
    };
    let name = name_of(path);
    let unreadable =
        |problem: &dyn Display| Failure::usage(format!("{name} cannot be read: {problem}"));
    let text = text.map_err(|error| unreadable(&error))?;
    let ids = ids::parse(&text).map_err(|problem| unreadable(&problem))?;
    let malformed = ids.malformed.len();
    if malformed == 0 {
        return Ok(ids.users);
    }
    let listed = if output::is_verbose() { malformed } else { LISTED };
    for (line, problem) in ids.malformed.iter().take(listed) {
        output::note(&format!("{name}:{line}: {problem}"));
    }
    let more = if malformed > listed { "; -v lists all" } else { "" };
    Err(Failure::usage(format!("{name}: {malformed} malformed: nothing was deleted{more}")))
}

/// Returns the path of a file's record. A pipe has no place beside it.
fn beside(file: &Path) -> Option<PathBuf> {
    let mut name = OsString::from(file);
    name.push(".done");
    file.is_file().then(|| name.into())
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn name_of(path: &Path) -> String {
    if is_stdin(path) { "stdin".to_owned() } else { output::name(path) }
}
