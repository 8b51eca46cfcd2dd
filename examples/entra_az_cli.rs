//! Creates a user with the rights of whoever is logged in to the Azure CLI, without any access key.
//!
//! ```text
//! az login
//! cargo run --example entra_az_cli -- https://<resource>.communication.azure.com
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what it is for")]

use std::error::Error;
use std::process::{Command, ExitCode};
use std::time::{Duration, SystemTime};

use acs_identity::{BearerToken, CommunicationIdentityClient, Credential};
use serde_json::Value;

type Failure = Box<dyn Error + Send + Sync>;

/// Asks the Azure CLI for a token.
fn token_of_az(scope: &str) -> Result<BearerToken, Failure> {
    let az = if cfg!(windows) { "az.cmd" } else { "az" };
    let output = Command::new(az)
        .args(["account", "get-access-token", "--scope", scope, "--output", "json"])
        .output()
        .map_err(|error| format!("cannot run {az}: {error}"))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{az} failed: {}", complaint.trim()).into());
    }
    let answer: Value = serde_json::from_slice(&output.stdout)
        .map_err(|_| format!("{az} did not answer with JSON"))?;
    let token = answer.get("accessToken").and_then(Value::as_str);
    // Older versions tell the end in local time only, without naming the zone.
    let expires_on = answer.get("expires_on").and_then(Value::as_u64);
    let expires_on = expires_on.ok_or("expires_on is missing: az upgrade")?;
    let token = token.ok_or("accessToken is missing")?;
    Ok(BearerToken::new(token, SystemTime::UNIX_EPOCH + Duration::from_secs(expires_on)))
}

fn main() -> ExitCode {
    let Err(error) = run() else { return ExitCode::SUCCESS };
    eprintln!("entra_az_cli: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        eprintln!("  caused by: {error}");
        cause = error.source();
    }
    ExitCode::FAILURE
}

fn run() -> Result<(), Failure> {
    let endpoint = std::env::args().nth(1).ok_or(
        "the endpoint is missing: cargo run --example entra_az_cli -- https://<resource>.communication.azure.com",
    )?;
    let client = CommunicationIdentityClient::new(&endpoint, Credential::bearer(token_of_az))?;

    let user = client.create_user()?;
    println!("created user {user}");
    client.delete_user(&user)?;
    println!("deleted the user");
    Ok(())
}
