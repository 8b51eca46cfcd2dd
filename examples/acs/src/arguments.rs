//! The command line, read into types.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use acs_identity::{CommunicationUserIdentifier, TokenRequest};
use clap::ArgMatches;
use clap_complete::Shell;

use crate::failure::Exit;
use crate::grammar::grammar;
use crate::output::{self, Format, Manner};
use crate::settings::Given;

/// Longer words of the command line are not repeated, since keys and tokens are longer.
const REPEATED: usize = 40;

pub(crate) struct Arguments {
    pub(crate) command: Command,
    pub(crate) settings: Given,
    pub(crate) format: Format,
    pub(crate) manner: Manner,
}

pub(crate) enum Command {
    Create,
    Delete(Delete),
    Issue(Issue),
    Revoke { user: CommunicationUserIdentifier, yes: bool },
    Exchange { teams_token: String, client_id: String, teams_user: String },
    Check { online: bool },
    Completion { shell: Shell },
}

pub(crate) struct Delete {
    pub(crate) whom: Whom,
    pub(crate) yes: bool,
    pub(crate) rate: usize,
    pub(crate) done: Option<PathBuf>,
    pub(crate) strict: bool,
}

pub(crate) enum Whom {
    Users(Vec<CommunicationUserIdentifier>),
    File(PathBuf),
}

pub(crate) struct Issue {
    pub(crate) user: Option<CommunicationUserIdentifier>,
    pub(crate) request: TokenRequest,
}

/// What to say in place of running a command: help that was asked for, or what is wrong with the
/// command line.
pub(crate) struct Parting {
    text: String,
    is_help: bool,
}

pub(crate) fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Arguments, Parting> {
    let arguments: Vec<OsString> = arguments.collect();
    let mut matches = grammar().try_get_matches_from(&arguments).map_err(|error| {
        let text = without_secrets(error.render().to_string(), &arguments);
        Parting { text, is_help: !error.use_stderr() }
    })?;
    // Every command has one name or two; the settings are known to all of them.
    let mut names = Vec::new();
    while let Some((name, inner)) = matches.remove_subcommand() {
        names.push(name);
        matches = inner;
    }
    if names == ["emulator"] {
        let text = "acs: emulator takes no settings: write acs emulator [OPTIONS]\n";
        return Err(Parting { text: text.to_owned(), is_help: false });
    }
    let format = match text(&mut matches, "output").as_deref() {
        Some("tsv") => Format::Tsv,
        Some("text") => Format::Text,
        Some("table") => Format::Table,
        _ => Format::Json,
    };
    let settings = Given {
        connection_string: text(&mut matches, "connection-string"),
        endpoint: text(&mut matches, "endpoint"),
        token_command: text(&mut matches, "token-command"),
        api_version: text(&mut matches, "api-version"),
        timeout: matches.remove_one("timeout"),
        ca_file: matches.remove_one("ca-file"),
    };
    let colour = text(&mut matches, "color");
    let (quiet, verbose) = (matches.get_flag("quiet"), matches.get_flag("verbose"));
    let manner = Manner::new(quiet, verbose, colour.as_deref());
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    match command(&names, &mut matches) {
        Some(command) => Ok(Arguments { command, settings, format, manner }),
        None => Err(Parting { text: "acs: no such command: see --help\n".into(), is_help: false }),
    }
}

impl Command {
    /// What cannot be undone and was not confirmed yet.
    pub(crate) fn to_confirm(&self) -> Option<&'static str> {
        match self {
            Self::Delete(Delete { yes: false, .. }) => Some("user delete"),
            Self::Revoke { yes: false, .. } => Some("token revoke"),
            _ => None,
        }
    }
}

impl Parting {
    pub(crate) fn say(&self) -> ExitCode {
        if !self.is_help {
            output::write_stderr(&self.text);
            return Exit::Usage.into();
        }
        let Err(error) = output::write_stdout(&self.text) else { return ExitCode::SUCCESS };
        output::note(&output::unwritable(&error));
        Exit::Service.into()
    }
}

/// `None` for what the grammar does not let through.
fn command(names: &[&str], matches: &mut ArgMatches) -> Option<Command> {
    Some(match names {
        ["user", "create"] => Command::Create,
        ["user", "delete"] => Command::Delete(Delete {
            whom: match matches.remove_one("from-file") {
                Some(path) => Whom::File(path),
                None => Whom::Users(matches.remove_many("user").into_iter().flatten().collect()),
            },
            yes: matches.get_flag("yes"),
            rate: matches.remove_one::<u16>("rate")?.into(),
            done: matches.remove_one("done"),
            strict: matches.get_flag("strict"),
        }),
        ["token", "issue"] => {
            let scopes = matches.remove_many::<String>("scope").into_iter().flatten();
            let request = TokenRequest::new(scopes);
            let request = match matches.remove_one::<Duration>("expires-in") {
                Some(lifetime) => request.expires_in(lifetime),
                None => request,
            };
            Command::Issue(Issue { user: matches.remove_one("user"), request })
        }
        ["token", "revoke"] => {
            Command::Revoke { user: matches.remove_one("user")?, yes: matches.get_flag("yes") }
        }
        ["token", "exchange"] => Command::Exchange {
            teams_token: text(matches, "teams-token")?,
            client_id: text(matches, "client")?,
            teams_user: text(matches, "teams-user")?,
        },
        ["check"] => Command::Check { online: matches.get_flag("online") },
        ["completion"] => Command::Completion { shell: matches.remove_one("shell")? },
        _ => return None,
    })
}

fn text(matches: &mut ArgMatches, name: &str) -> Option<String> {
    matches.remove_one(name)
}

/// A key or a token in the wrong place is an unknown word to the parser, which repeats those.
fn without_secrets(mut message: String, arguments: &[OsString]) -> String {
    for argument in arguments.iter().skip(1) {
        let argument = argument.to_string_lossy();
        // The values of `--name=value` and of `-nvalue` are words of their own.
        let long = argument.split_once('=').map_or("", |(_, value)| value);
        let short = argument.strip_prefix('-').and_then(|flag| flag.get(1..)).unwrap_or_default();
        for word in [&*argument, long, short] {
            let secret = word.len() > REPEATED || word.to_ascii_lowercase().contains("accesskey=");
            if secret && !word.starts_with("8:") {
                message = message.replace(word, "[not repeated: it may be a secret]");
            }
        }
    }
    // Nor is what a terminal would obey.
    message.replace(|c: char| c.is_control() && c != '\n', "")
}
