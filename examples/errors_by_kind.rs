//! Handles each kind of error as its kind asks for.
//!
//! With `COMMUNICATION_SERVICES_CONNECTION_STRING` set, it creates and deletes a user on that
//! resource and handles what goes wrong, if anything; without it, it rehearses every failure
//! against a local service.

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use acs_identity::emulator::{Emulator, Fault};
use acs_identity::{
    CommunicationIdentityClient, ConnectionString, Credential, Endpoint, Error, ErrorKind,
    RetryPolicy,
};

const VARIABLE: &str = "COMMUNICATION_SERVICES_CONNECTION_STRING";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "errors_by_kind: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The errors are those of this program: its settings, no port for the local service, or nowhere to
/// print.
fn run() -> Result<(), Box<dyn std::error::Error>> {
    if let Some(connection_string) = connection_string()? {
        return Ok(report("one call", with_key(&connection_string))?);
    }
    let emulator = Emulator::start()?;
    let right = emulator.connection_string();
    report("no key at all", with_key(&right.replace(emulator.access_key(), "")))?;
    report("a wrong key", with_key(&right.replace(emulator.access_key(), "b3RoZXI=")))?;
    report("nobody there", with_key("endpoint=http://127.0.0.1:1;accesskey=b3RoZXI="))?;
    let logged_out = Credential::bearer(|_: &str| Err("nobody is logged in".into()));
    report("no bearer token", one_call(emulator.endpoint().parse()?, logged_out))?;
    let no_token = r#"{"identity":{"id":"8:acs:guest"}}"#;
    for (what, fault) in [
        ("too many requests", Fault::respond(429).header("Retry-After", "30")),
        ("a service that is down", Fault::respond(503)),
        ("a service that says nothing", Fault::stall()),
        ("a connection that breaks", Fault::drop_after_processing()),
        ("a user without a token", Fault::respond(201).body(no_token)),
    ] {
        emulator.inject(fault);
        report(what, with_key(&right))?;
    }
    Ok(())
}

/// One that is empty counts as not set, as CI systems leave it for a secret that is missing.
fn connection_string() -> Result<Option<String>, String> {
    let Some(text) = env::var_os(VARIABLE).filter(|text| !text.is_empty()) else { return Ok(None) };
    text.into_string().map(Some).map_err(|_| format!("{VARIABLE} is not UTF-8"))
}

fn with_key(connection_string: &str) -> Result<(), Error> {
    let (endpoint, key) = connection_string.parse::<ConnectionString>()?.into_parts();
    one_call(endpoint, key.into())
}

/// One attempt, so that every failure shows. By default the client tries again what is safe to try
/// again.
fn one_call(endpoint: Endpoint, credential: Credential) -> Result<(), Error> {
    let client = CommunicationIdentityClient::builder(endpoint, credential)
        .retry_policy(RetryPolicy::none())
        .timeout(Duration::from_secs(1))
        .build()?;
    let (user, _token) = client.create_user_and_token(["chat"])?;
    client.delete_user(&user)
}

fn report(what: &str, result: Result<(), Error>) -> io::Result<()> {
    match result {
        Ok(()) => writeln!(io::stdout(), "{what}: all is well"),
        Err(error) => {
            writeln!(io::stdout(), "{what}: {}\n  {error}", what_to_do(&error))
        }
    }
}

fn what_to_do(error: &Error) -> String {
    if let Some(id) = error.created_user_id() {
        return format!("use or delete {id}: nobody else knows that it exists");
    }
    let what = match (error.kind(), error.status(), error.code()) {
        (ErrorKind::InvalidInput, ..) => "correct the settings; nothing was sent",
        (ErrorKind::Credential, ..) => {
            "log in again, or see what the source of tokens says; nothing was sent"
        }
        (ErrorKind::Connection, ..) => "check endpoint, network and proxy; nothing was sent",
        // The id is at fault, not the key: it is another resource's, or the user was deleted.
        (ErrorKind::Service, _, Some("IdentityNotOwned")) => "forget this user",
        (ErrorKind::Service, Some(401 | 403), _) => "check the key",
        (ErrorKind::Service, Some(429 | 503), _) => match error.retry_after() {
            Some(delay) => return format!("try again in {} s", delay.as_secs()),
            None => "try again later",
        },
        // Timeout, Transport, Response. All but creating may simply be repeated.
        _ if error.is_in_doubt() => "there may be a user now whose id nobody knows",
        _ => "show the error to a person",
    };
    what.to_owned()
}
