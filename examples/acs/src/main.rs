//! `acs`: users and access tokens of Azure Communication Services from a shell, from cron and from
//! CI.
//!
//! The words are those of `az communication user-identity`; `acs --help` tells the rest. Data goes
//! to stdout, everything else to stderr, and the exit code says what kind of failure it was. In a
//! checkout: `cargo run -p acs-identity-cli -- --help`.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "a test fails by panicking"
    )
)]

use std::io;
use std::process::ExitCode;

use acs_identity::CommunicationUserIdentifier;

mod arguments;
mod confirm;
mod delete;
mod done;
mod duration;
mod emulator;
mod failure;
mod grammar;
mod ids;
mod interrupt;
mod output;
mod pace;
mod progress;
mod queue;
mod settings;
mod tally;
mod tls;
mod token_command;

use arguments::{Arguments, Command, Issue};
use failure::Failure;
use output::Record;
use settings::Settings;

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    if words.next().is_some_and(|word| word == "emulator") {
        return emulator::run("acs emulator", grammar::emulator_help, words);
    }
    let arguments = match arguments::parse(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(parting) => return parting.say(),
    };
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::note(&failure.message);
            failure.exit.into()
        }
    }
}

fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { command, settings, format, manner } = arguments;
    manner.set();
    if let Command::Completion { shell } = command {
        return output::print(&grammar::completion(shell));
    }
    if let Some(deed) = command.to_confirm() {
        confirm::require_possible(deed)?;
    }
    let settings = Settings::resolve(settings, std::env::var_os)?;
    match command {
        Command::Create => {
            Record::of_new_user(&settings.client(None)?.create_user()?).print(format)
        }
        Command::Delete(delete) => delete::run(&settings, delete),
        Command::Issue(issue) => self::issue(&settings, issue)?.print(format),
        Command::Revoke { user, yes } => revoke(&settings, &user, yes),
        Command::Exchange { teams_token, client_id, teams_user } => {
            let client = settings.client(None)?;
            let teams_token = from_stdin(teams_token)?;
            let token = client.exchange_teams_user_token(&teams_token, &client_id, &teams_user)?;
            Record::of_token(&token).print(format)
        }
        Command::Check { online } => settings.describe(online)?.print(format),
        Command::Completion { .. } => Ok(()),
    }
}

fn issue(settings: &Settings, issue: Issue) -> Result<Record, Failure> {
    let Issue { user, request } = issue;
    let client = settings.client(user.as_ref())?;
    if let Some(user) = user {
        return Ok(Record::of_user_and_token(&user, &client.issue_token(&user, request)?));
    }
    let (user, token) = client.create_user_and_token(request)?;
    Ok(Record::of_user_and_token(&user, &token).creating(&user))
}

fn revoke(
    settings: &Settings,
    user: &CommunicationUserIdentifier,
    yes: bool,
) -> Result<(), Failure> {
    let client = settings.client(Some(user))?;
    confirm::ask(yes, &format!("Revoke all tokens of {user}?"))?;
    Ok(client.revoke_tokens(user)?)
}

/// A dash stands for stdin, which nobody else sees.
fn from_stdin(argument: String) -> Result<String, Failure> {
    if argument != "-" {
        return Ok(argument);
    }
    let read = io::read_to_string(io::stdin());
    let text = read.map_err(|error| Failure::usage(format!("stdin cannot be read: {error}")))?;
    Ok(text.trim().to_owned())
}
