//! Creates a user with the rights of the account that is logged in to the Azure CLI, without an
//! access key.
//!
//! ```console
//! $ az login
//! $ cargo run --example entra_az_cli -- https://<resource>.communication.azure.com
//! ```
//!
//! Copied into a package of your own, it needs:
//!
//! ```console
//! $ cargo add acs-identity
//! $ cargo add serde_json
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program prints")]

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
        let message = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{az} failed: {}", message.trim()).into());
    }
    let json: Value = serde_json::from_slice(&output.stdout)
        .map_err(|_| format!("the output of {az} is not JSON"))?;
    let token = json.get("accessToken").and_then(Value::as_str);
    // Older versions have the expiry in local time only, without a time zone.
    let expires_on = json.get("expires_on").and_then(Value::as_u64);
    let expires_on = expires_on.ok_or("expires_on is missing: run az upgrade")?;
    let token = token.ok_or("accessToken is missing")?;
    Ok(BearerToken::new(token, SystemTime::UNIX_EPOCH + Duration::from_secs(expires_on)))
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The # appends the causes.
            eprintln!("entra_az_cli: {error:#}");
            ExitCode::FAILURE
        }
    }
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
