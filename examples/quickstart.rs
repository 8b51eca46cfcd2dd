//! Creates a user, issues a token for it, revokes its tokens and deletes it.
//!
//! Uses the resource whose connection string is in `COMMUNICATION_SERVICES_CONNECTION_STRING`. If the
//! variable is not set, it starts a local service and uses that.
//!
//! Copied into a package of your own, it needs:
//!
//! ```console
//! $ cargo add acs-identity --features emulator
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program prints")]

use std::env;
use std::error::Error;
use std::process::ExitCode;

use acs_identity::emulator::Emulator;
use acs_identity::{CommunicationIdentityClient, TokenScope};

const VARIABLE: &str = "COMMUNICATION_SERVICES_CONNECTION_STRING";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The # appends the causes.
            eprintln!("quickstart: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    // Runs until it is dropped, at the end of this function.
    let emulator;
    // CI systems leave the variable empty if a secret is missing.
    let client = if env::var_os(VARIABLE).is_none_or(|text| text.is_empty()) {
        emulator = Emulator::start()?;
        eprintln!("{VARIABLE} is not set: using a local service on {}", emulator.endpoint());
        CommunicationIdentityClient::from_connection_string(&emulator.connection_string())?
    } else {
        CommunicationIdentityClient::from_env()?
    };

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
