//! Creates a user with the rights of the managed identity of the Azure machine that it runs on,
//! without an access key.
//!
//! ```console
//! $ cargo run --example entra_managed_identity -- https://<resource>.communication.azure.com
//! ```
//!
//! Copied into a package of your own, it needs:
//!
//! ```console
//! $ cargo add acs-identity
//! $ cargo add serde_json
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program prints")]

use std::env;
use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use acs_identity::{BearerToken, CommunicationIdentityClient, Credential, ureq};
use serde_json::Value;

type Failure = Box<dyn Error + Send + Sync>;

/// Asks the identity endpoint that Azure gives every machine for a token.
fn token_of_managed_identity(scope: &str) -> Result<BearerToken, Failure> {
    // These endpoints take a resource instead of a scope.
    let resource = scope.strip_suffix("/.default").unwrap_or(scope);
    // Never through a proxy. Outside of Azure, nothing responds: hence the timeout.
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
        // Virtual machines, scale sets. The variable is for tests, and the same as in the official
        // SDKs.
        let host = env::var("AZURE_POD_IDENTITY_AUTHORITY_HOST");
        let host = host.unwrap_or_else(|_| "http://169.254.169.254".to_owned());
        let request = agent.get(format!("{host}/metadata/identity/oauth2/token"));
        request.header("metadata", "true").query("api-version", "2018-02-01")
    };
    let body = request.query("resource", resource).call()?.body_mut().read_to_string()?;
    let json: Value = serde_json::from_str(&body)
        .map_err(|_| "the response of the identity endpoint is not JSON")?;
    let text = |name| json.get(name).and_then(Value::as_str);
    let token = text("access_token").ok_or("the response has no access_token")?;
    // Seconds since 1970, as text.
    let expires_on = text("expires_on").ok_or("the response has no expires_on")?.parse()?;
    Ok(BearerToken::new(token, SystemTime::UNIX_EPOCH + Duration::from_secs(expires_on)))
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The # appends the causes.
            eprintln!("entra_managed_identity: {error:#}");
            ExitCode::FAILURE
        }
    }
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
