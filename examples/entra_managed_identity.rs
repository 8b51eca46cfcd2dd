//! Creates a user with the rights of the managed identity of the Azure machine that it runs on,
//! without any access key.
//!
//! ```text
//! cargo run --example entra_managed_identity -- https://<resource>.communication.azure.com
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what it is for")]

use std::env;
use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use acs_identity::{BearerToken, CommunicationIdentityClient, Credential};
use serde_json::Value;

type Failure = Box<dyn Error + Send + Sync>;

/// Asks the endpoint that Azure gives to every machine for a token of its identity.
fn token_of_managed_identity(scope: &str) -> Result<BearerToken, Failure> {
    // These endpoints know resources, not scopes.
    let resource = scope.strip_suffix("/.default").unwrap_or(scope);
    // Never through a proxy; and where there is no Azure, nobody answers.
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .proxy(None)
        .timeout_global(Some(Duration::from_secs(5)))
        .build()
        .into();
    let app_service = (env::var("IDENTITY_ENDPOINT"), env::var("IDENTITY_HEADER"));
    let request = if let (Ok(endpoint), Ok(secret)) = app_service {
        // App Service, Functions, Container Apps.
        let request = agent.get(endpoint).header("x-identity-header", secret);
        request.query("api-version", "2019-08-01")
    } else {
        // Virtual machines, scale sets. The variable is for tests, and is that of the official
        // clients.
        let host = env::var("AZURE_POD_IDENTITY_AUTHORITY_HOST");
        let host = host.unwrap_or_else(|_| "http://169.254.169.254".to_owned());
        let request = agent.get(format!("{host}/metadata/identity/oauth2/token"));
        request.header("metadata", "true").query("api-version", "2018-02-01")
    };
    let body = request.query("resource", resource).call()?.body_mut().read_to_string()?;
    let answer: Value = serde_json::from_str(&body)
        .map_err(|_| "the identity endpoint did not answer with JSON")?;
    let text = |name| answer.get(name).and_then(Value::as_str);
    let token = text("access_token").ok_or("the answer has no access_token")?;
    // Seconds since 1970, as text.
    let expires_on = text("expires_on").ok_or("the answer has no expires_on")?.parse()?;
    Ok(BearerToken::new(token, SystemTime::UNIX_EPOCH + Duration::from_secs(expires_on)))
}

fn main() -> ExitCode {
    let Err(error) = run() else { return ExitCode::SUCCESS };
    eprintln!("entra_managed_identity: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        eprintln!("  caused by: {error}");
        cause = error.source();
    }
    ExitCode::FAILURE
}

fn run() -> Result<(), Failure> {
    let endpoint = env::args().nth(1).ok_or(
        "the endpoint is missing: cargo run --example entra_managed_identity -- https://<resource>.communication.azure.com",
    )?;
    let credential = Credential::bearer(token_of_managed_identity);
    let client = CommunicationIdentityClient::new(&endpoint, credential)?;

    let user = client.create_user()?;
    println!("created user {user}");
    client.delete_user(&user)?;
    println!("deleted the user");
    Ok(())
}
