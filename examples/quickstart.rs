//! Creates a user, issues a token for it, revokes its tokens and deletes it.
//!
//! With `COMMUNICATION_SERVICES_CONNECTION_STRING` set, on that resource; without it, on a local
//! service that the example starts itself.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what it is for")]

use std::env;
use std::error::Error;
use std::process::ExitCode;

use acs_identity::emulator::Emulator;
use acs_identity::{CommunicationIdentityClient, TokenScope};

const VARIABLE: &str = "COMMUNICATION_SERVICES_CONNECTION_STRING";

fn main() -> ExitCode {
    let Err(error) = run() else { return ExitCode::SUCCESS };
    eprintln!("quickstart: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        eprintln!("  caused by: {error}");
        cause = error.source();
    }
    ExitCode::FAILURE
}

fn run() -> Result<(), Box<dyn Error>> {
    // Runs until it is dropped, at the end of this function.
    let emulator;
    let connection_string = if let Some(connection_string) = connection_string()? {
        connection_string
    } else {
        emulator = Emulator::start()?;
        eprintln!("{VARIABLE} is not set: using a local service on {}", emulator.endpoint());
        emulator.connection_string()
    };
    let client = CommunicationIdentityClient::from_connection_string(&connection_string)?;

    let user = client.create_user()?;
    println!("created user {user}");

    let token = client.issue_token(&user, [TokenScope::VOIP])?;
    println!("issued a token of {} characters for voip", token.token().len());
    println!("the token expires on {}", token.expires_on_text());

    client.revoke_tokens(&user)?;
    println!("revoked the user's tokens");

    client.delete_user(&user)?;
    println!("deleted the user");
    Ok(())
}

/// One that is empty counts as not set, as CI systems leave it for a secret that is missing.
fn connection_string() -> Result<Option<String>, String> {
    let Some(text) = env::var_os(VARIABLE).filter(|text| !text.is_empty()) else { return Ok(None) };
    text.into_string().map(Some).map_err(|_| format!("{VARIABLE} is not UTF-8"))
}
