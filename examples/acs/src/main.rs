//! `acs`: users and access tokens of Azure Communication Services from a shell, from cron and from
//! CI.
//!
//! The commands are those of `az communication user-identity`; `acs --help` describes the rest. Data goes
//! to stdout, everything else to stderr, and the exit code tells what kind of failure it was. In a
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

use std::ffi::OsString;
use std::process::ExitCode;

use clap::ArgMatches;

mod cli;
mod confirm;
mod delete;
mod duration;
mod emulator;
mod failure;
mod help;
mod identity;
mod ids;
mod interrupt;
mod output;
mod pace;
mod progress;
mod queue;
mod record;
mod settings;
mod tally;
mod token_command;

use failure::Failure;
use output::Format;
use settings::Settings;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let ended = match cli::parse(&arguments) {
        Ok((names, matches)) => run(&names, matches),
        Err(error) => cli::print_error(&error, &arguments),
    };
    ended.unwrap_or_else(|failure| {
        output::note(&failure.message);
        failure.exit.into()
    })
}

/// Runs the command of these names.
fn run(names: &str, mut matches: ArgMatches) -> Result<ExitCode, Failure> {
    if names == "emulator" {
        return emulator::run(matches);
    }
    output::set_verbosity(&matches);
    let format = &Format::of(&mut matches);
    let matches = &mut matches;
    match names {
        "user create" => identity::create(matches)?.print(format),
        "user delete" => delete::run(matches, format),
        "token issue" => identity::issue(matches)?.print(format),
        "token revoke" => identity::revoke(matches),
        "token exchange" => identity::exchange(matches)?.print(format),
        "completion" => cli::print_completion(matches),
        _ => Settings::resolve(matches)?.check(matches.get_flag("online"))?.print(format),
    }?;
    Ok(ExitCode::SUCCESS)
}
