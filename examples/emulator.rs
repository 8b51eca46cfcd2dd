//! Runs the local identity service until it is stopped, for programs in any language.
//!
//! The first line on stdout is the connection string. Each request is a line on stderr, which says
//! why a request was refused: point a client here whose signature the real service refuses, and
//! learn why.
//!
//! This is `acs emulator` of the package `acs-identity-cli`, where the code lives, under a name of
//! its own for a checkout: `cargo run --example emulator -- --help`.

use std::process::ExitCode;

#[path = "acs/src/emulator/mod.rs"]
mod program;

use program::help::{ABOUT, GRAMMAR, LOG, OPTIONS};

fn main() -> ExitCode {
    program::run("emulator", help, std::env::args_os().skip(1))
}

fn help() -> String {
    let options = OPTIONS.map(|(name, values, help)| {
        let values: Vec<String> = values.iter().map(|value| format!(" <{value}>")).collect();
        format!("  --{name}{}\n          {help}\n", values.concat())
    });
    format!(
        "{ABOUT}\n\nUsage: cargo run --example emulator -- [OPTIONS]\n\nOptions:\n{}  --help\n          Print help\n\n{GRAMMAR}\n\n{LOG}\n",
        options.concat()
    )
}
