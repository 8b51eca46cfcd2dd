//! What is printed: data on stdout, everything else on stderr.

use std::env;
use std::io::{self, ErrorKind, IsTerminal as _, Write as _};
use std::path::Path;
use std::sync::OnceLock;

use acs_identity::{AccessToken, CommunicationUserIdentifier};
use serde_json::{Value, json};

use crate::failure::{Exit, Failure, created};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Tsv,
    Text,
    Table,
}

/// How much is told on stderr, and whether in colour. Set once, and for the whole program.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Manner {
    pub(crate) quiet: bool,
    pub(crate) verbose: bool,
    pub(crate) colour: bool,
}

static MANNER: OnceLock<Manner> = OnceLock::new();

/// The fields that are numbers in JSON.
const NUMBERS: [&str; 2] = ["milliseconds", "clock_offset_seconds"];

/// The result of a command, in the order in which it is printed.
#[derive(Debug)]
pub(crate) struct Record {
    fields: Vec<(&'static str, Option<String>)>,
    json: Option<Value>,
    created: Option<String>,
}

impl Record {
    pub(crate) fn new(fields: Vec<(&'static str, String)>) -> Self {
        let fields = fields.into_iter().map(|(name, value)| (name, Some(value))).collect();
        Self { fields, json: None, created: None }
    }

    /// In JSON as az prints it, whose id is at `.properties.id` and `.rawId`; in the other formats,
    /// which az fills differently from version to version, the id alone.
    pub(crate) fn of_new_user(user: &CommunicationUserIdentifier) -> Self {
        let id = user.identifier();
        let az = json!({"kind": "communication_user", "properties": {"id": id}, "rawId": id});
        let record = Self::new(vec![("user_id", id.to_owned())]).creating(user);
        Self { json: Some(az), ..record }
    }

    pub(crate) fn of_token(token: &AccessToken) -> Self {
        Self::new(vec![
            ("token", token.token().to_owned()),
            ("expires_on", token.expires_on_text().to_owned()),
        ])
    }

    pub(crate) fn of_user_and_token(
        user: &CommunicationUserIdentifier,
        token: &AccessToken,
    ) -> Self {
        let mut record = Self::of_token(token);
        record.fields.insert(0, ("user_id", Some(user.to_string())));
        record
    }

    /// Notes that the user is new: nobody knows its id if the record cannot be printed.
    pub(crate) fn creating(mut self, user: &CommunicationUserIdentifier) -> Self {
        self.created = Some(user.to_string());
        self
    }

    pub(crate) fn print(&self, format: Format) -> Result<(), Failure> {
        let text = self.render(format);
        let Some(user) = &self.created else { return print(&text) };
        write_all(&text)
            .map_err(|error| Failure::new(Exit::Service, unwritable(&error) + &created(user)))?;
        if is_discarded() {
            note(&format!("nobody reads stdout{}", created(user)));
        }
        Ok(())
    }

    fn render(&self, format: Format) -> String {
        let texts =
            || self.fields.iter().map(|(name, value)| (*name, value.as_deref().unwrap_or("")));
        match format {
            Format::Json => {
                if let Some(json) = &self.json {
                    return format!("{json:#}\n");
                }
                let fields = self.fields.iter();
                let members: Vec<String> = fields
                    .map(|(name, value)| match value {
                        Some(number) if NUMBERS.contains(name) => format!("  \"{name}\": {number}"),
                        _ => format!("  \"{name}\": {}", json!(value)),
                    })
                    .collect();
                format!("{{\n{}\n}}\n", members.join(",\n"))
            }
            Format::Tsv => {
                let values: Vec<&str> = texts().map(|(_, value)| value).collect();
                values.join("\t") + "\n"
            }
            Format::Text => {
                let lines: Vec<String> =
                    texts().map(|(name, value)| format!("{name}: {value}\n")).collect();
                lines.concat()
            }
            Format::Table => {
                let width = |(name, value): (&str, &str)| name.len().max(value.chars().count());
                let row = |cell: &dyn Fn((&str, &str)) -> String| {
                    let cells = texts().map(|field| format!("{:1$}  ", cell(field), width(field)));
                    cells.collect::<String>().trim_end().to_owned() + "\n"
                };
                row(&|(name, _)| name.to_owned())
                    + &row(&|field| "-".repeat(width(field)))
                    + &row(&|(_, value)| value.to_owned())
            }
        }
    }
}

pub(crate) fn print(text: &str) -> Result<(), Failure> {
    write_stdout(text).map_err(|error| Failure::new(Exit::Service, unwritable(&error)))
}

/// Writes all of it, or fails; a reader that went away has what it wanted.
pub(crate) fn write_stdout(text: &str) -> io::Result<()> {
    match write_all(text) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

fn write_all(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush())
}

pub(crate) fn unwritable(error: &io::Error) -> String {
    format!("stdout cannot be written: {error}")
}

/// Whether stdout is the null device, which also stands in for one that the shell has closed.
#[cfg(unix)]
fn is_discarded() -> bool {
    use std::os::fd::AsFd as _;
    use std::os::unix::fs::MetadataExt as _;

    let stdout = io::stdout().as_fd().try_clone_to_owned().map(std::fs::File::from);
    let stdout = stdout.and_then(|file| file.metadata()).map(|metadata| metadata.rdev());
    let null = std::fs::metadata("/dev/null").map(|metadata| metadata.rdev());
    matches!((stdout, null), (Ok(stdout), Ok(null)) if stdout == null)
}

#[cfg(not(unix))]
fn is_discarded() -> bool {
    false
}

/// Writes to stderr, if anybody listens: unlike `eprint!`, which panics if nobody does.
pub(crate) fn write_stderr(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

impl Manner {
    pub(crate) fn new(quiet: bool, verbose: bool, colour: Option<&str>) -> Self {
        let set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
        let colour = match colour {
            Some("always") => true,
            Some("never") => false,
            _ => {
                let dumb = env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
                io::stderr().is_terminal() && !set("NO_COLOR") && !dumb
            }
        };
        Self { quiet, verbose, colour }
    }

    pub(crate) fn set(self) {
        let _ = MANNER.set(self);
    }
}

fn manner() -> Manner {
    MANNER.get().copied().unwrap_or_default()
}

pub(crate) fn is_quiet() -> bool {
    manner().quiet
}

pub(crate) fn is_verbose() -> bool {
    manner().verbose
}

/// Tells of a problem.
pub(crate) fn note(message: &str) {
    let name = if manner().colour { "\x1b[1;31macs:\x1b[0m" } else { "acs:" };
    write_stderr(&format!("{name} {message}\n"));
}

/// Tells what nobody needs to know.
pub(crate) fn inform(message: &str) {
    if !is_quiet() {
        write_stderr(&format!("acs: {message}\n"));
    }
}

/// The name of a file, unless it looks like a connection string, a key or a token in its place.
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
