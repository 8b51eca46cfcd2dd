//! What is printed: data on stdout, everything else on stderr.

use std::io::{self, ErrorKind, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use acs_identity::{AccessToken, CommunicationUserIdentifier};
use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgMatches};
use serde_json::{Value, json};

use crate::cli::{flag, option};
use crate::failure::{Exit, Failure, created};

/// How a result is printed.
#[derive(Debug)]
pub(crate) enum Format {
    Json,
    Tsv,
    None,
    /// The value of one member of the JSON, by its names with dots in between.
    Member(String),
}

static IS_QUIET: AtomicBool = AtomicBool::new(false);
static IS_VERBOSE: AtomicBool = AtomicBool::new(false);

pub(crate) fn options() -> [Arg; 3] {
    [
        option("output", "FORMAT")
            .short('o')
            .value_parser(PossibleValuesParser::new(["json", "tsv", "none"]))
            .default_value("json")
            .help("How data is printed"),
        flag("quiet").short('q').help("Print problems only"),
        flag("verbose")
            .short('v')
            .conflicts_with("quiet")
            .help("Print a line for each request, with its ids and without secrets"),
    ]
    .map(|option| option.global(true).help_heading("Settings"))
}

pub(crate) fn query(names: &'static [&'static str]) -> Arg {
    option("query", "NAME")
        .value_parser(PossibleValuesParser::new(names))
        .help("Print the value of this member only, as in $(...) of a shell")
}

impl Format {
    pub(crate) fn of(matches: &mut ArgMatches) -> Self {
        let output = matches.remove_one::<String>("output");
        match (output.as_deref(), matches.try_remove_one("query").ok().flatten()) {
            (Some("none"), _) => Self::None,
            (_, Some(member)) => Self::Member(member),
            (Some("tsv"), None) => Self::Tsv,
            _ => Self::Json,
        }
    }
}

/// The result of a command.
#[derive(Debug)]
pub(crate) struct Data {
    members: Vec<(&'static str, Value)>,
    created: Option<String>,
}

impl Data {
    pub(crate) fn new(members: impl Into<Vec<(&'static str, Value)>>) -> Self {
        Self { members: members.into(), created: None }
    }

    /// The members are those of az's JSON.
    pub(crate) fn of_new_user(user: &CommunicationUserIdentifier) -> Self {
        let id = user.identifier();
        let data = Self::new([("properties", json!({"id": id})), ("rawId", id.into())]);
        Self { created: Some(id.to_owned()), ..data }
    }

    pub(crate) fn of_token(token: &AccessToken) -> Self {
        let expires_on = token.expires_on_text().into();
        Self::new([("token", token.token().into()), ("expires_on", expires_on)])
    }

    pub(crate) fn of_user(mut self, user: &CommunicationUserIdentifier, is_new: bool) -> Self {
        let id = user.identifier();
        self.members.insert(0, ("user_id", id.into()));
        self.created = is_new.then(|| id.to_owned());
        self
    }

    /// The id of a new user is lost if it is not printed.
    pub(crate) fn print(&self, format: &Format) -> Result<(), Failure> {
        let text = self.render(format);
        let Some(user) = &self.created else { return print(&text) };
        write_all(&text)
            .map_err(|error| Failure::new(Exit::Service, unwritable(&error) + &created(user)))?;
        if !text.contains(user) || is_discarded() {
            note(&format!("the id was not printed{}", created(user)));
        }
        Ok(())
    }

    fn render(&self, format: &Format) -> String {
        let json: Value = self.members.iter().cloned().collect();
        match format {
            Format::Json => format!("{json:#}\n"),
            Format::Tsv => {
                let values = self.members.iter().map(|(_, value)| value);
                let values = values.filter(|value| !value.is_object()).map(bare);
                values.collect::<Vec<_>>().join("\t") + "\n"
            }
            Format::None => String::new(),
            Format::Member(names) => {
                let member = names.split('.').try_fold(&json, |value, name| value.get(name));
                bare(member.unwrap_or_default()) + "\n"
            }
        }
    }
}

/// A value without the quotes of JSON; nothing for null.
fn bare(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        value => format!("{value:#}"),
    }
}

pub(crate) fn print(text: &str) -> Result<(), Failure> {
    match write_all(text) {
        // A reader that went away has what it wanted.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(|error| Failure::new(Exit::Service, unwritable(&error))),
    }
}

fn write_all(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush())
}

fn unwritable(error: &io::Error) -> String {
    format!("stdout cannot be written: {error}")
}

/// Whether stdout is the null device, which also stands in for a stdout that the shell has closed.
#[cfg(unix)]
fn is_discarded() -> bool {
    use rustix::fs::{fstat, stat};

    let devices = (fstat(io::stdout()), stat("/dev/null"));
    matches!(devices, (Ok(stdout), Ok(null)) if stdout.st_rdev == null.st_rdev)
}

#[cfg(not(unix))]
fn is_discarded() -> bool {
    false
}

/// Writes to stderr. Unlike `eprint!`, it does not panic if stderr is closed.
pub(crate) fn write_stderr(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

pub(crate) fn set_verbosity(matches: &ArgMatches) {
    IS_QUIET.store(matches.get_flag("quiet"), Ordering::Relaxed);
    IS_VERBOSE.store(matches.get_flag("verbose"), Ordering::Relaxed);
}

pub(crate) fn is_quiet() -> bool {
    IS_QUIET.load(Ordering::Relaxed)
}

pub(crate) fn is_verbose() -> bool {
    IS_VERBOSE.load(Ordering::Relaxed)
}

/// Reports a problem.
pub(crate) fn note(message: &str) {
    write_stderr(&format!("acs: {message}\n"));
}

/// Reports progress, unless `--quiet` was given.
pub(crate) fn inform(message: &str) {
    if !is_quiet() {
        note(message);
    }
}

/// Returns the name of a file, unless it looks like a connection string, a key or a token in its place.
pub(crate) fn name(path: &Path) -> String {
    let name = path.display().to_string();
    let is_key =
        name.len() >= 40 && name.chars().all(|c| c.is_ascii_alphanumeric() || "+/=".contains(c));
    let is_setting = name.to_ascii_lowercase().contains("accesskey=") || name.starts_with("eyJ");
    if is_setting || is_key && !name.starts_with('/') {
        return "[name not repeated: it may be a secret]".to_owned();
    }
    name.replace(char::is_control, "\u{fffd}")
}
