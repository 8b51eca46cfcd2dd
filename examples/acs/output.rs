//! What is printed: data on stdout, everything else on stderr.

use std::io::{self, ErrorKind, Write as _};

use acs_identity::{AccessToken, CommunicationUserIdentifier};

use crate::failure::{Exit, Failure};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Tsv,
    Text,
}

/// The result of a command, in the order in which it is printed.
#[derive(Debug)]
pub(crate) struct Record {
    fields: Vec<(&'static str, String)>,
    created: Option<String>,
}

impl Record {
    pub(crate) fn new(fields: Vec<(&'static str, String)>) -> Self {
        Self { fields, created: None }
    }

    /// `user_id`, as az has it in `token issue`. What az prints for `user create` is how its SDK
    /// keeps an identifier (`kind`, `properties`, `rawId`), with the id in it twice: one name for
    /// one thing wins here.
    pub(crate) fn of_new_user(user: &CommunicationUserIdentifier) -> Self {
        Self::new(vec![("user_id", user.to_string())]).creating(user)
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
        record.fields.insert(0, ("user_id", user.to_string()));
        record
    }

    /// Notes that the user is new: nobody knows its id if the record cannot be printed.
    pub(crate) fn creating(mut self, user: &CommunicationUserIdentifier) -> Self {
        self.created = Some(user.to_string());
        self
    }

    pub(crate) fn print(&self, format: Format) -> Result<(), Failure> {
        let text = self.render(format);
        let Some(user) = &self.created else {
            return write_stdout(&text)
                .map_err(|error| Failure::new(Exit::Service, unwritable(&error)));
        };
        write_all(&text).map_err(|error| {
            let saved = format!("; the user {user} was created: use it or delete it");
            Failure::new(Exit::Service, unwritable(&error) + &saved)
        })
    }

    fn render(&self, format: Format) -> String {
        let fields = self.fields.iter();
        match format {
            Format::Json => {
                let members: Vec<String> = fields
                    .map(|(name, value)| format!("  \"{name}\": {}", serde_json::json!(value)))
                    .collect();
                format!("{{\n{}\n}}\n", members.join(",\n"))
            }
            Format::Tsv => {
                let values: Vec<&str> = fields.map(|(_, value)| value.as_str()).collect();
                values.join("\t") + "\n"
            }
            Format::Text => {
                let lines: Vec<String> =
                    fields.map(|(name, value)| format!("{name}: {value}")).collect();
                lines.join("\n") + "\n"
            }
        }
    }
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

/// Writes to stderr, if anybody listens: unlike `eprint!`, which panics if nobody does.
pub(crate) fn write_stderr(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

pub(crate) fn note(message: &str) {
    write_stderr(&format!("acs: {message}\n"));
}
