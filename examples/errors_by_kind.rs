//! Handles each kind of error in the way its kind asks for.
//!
//! With `COMMUNICATION_SERVICES_CONNECTION_STRING` set, it creates and deletes a user on that resource
//! and handles what goes wrong, if anything. Without it, it rehearses failures against a local
//! service.
//!
//! Copied into a package of your own, it needs:
//!
//! ```console
//! $ cargo add acs-identity --features emulator
//! ```

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use acs_identity::emulator::{Emulator, Fault};
use acs_identity::{
    CommunicationIdentityClient, CommunicationIdentityClientBuilder, Credential, Error, ErrorKind,
    RetryPolicy,
};

const VARIABLE: &str = "COMMUNICATION_SERVICES_CONNECTION_STRING";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "errors_by_kind: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Fails only for reasons of its own: its settings, no port for the local service, or nowhere to
/// print.
fn run() -> Result<(), Box<dyn std::error::Error>> {
    if env::var_os(VARIABLE).is_some_and(|text| !text.is_empty()) {
        let client = CommunicationIdentityClient::from_env()?;
        return Ok(report("one call", call(&client))?);
    }
    let emulator = Emulator::start()?;
    let right = emulator.connection_string();
    report("no key at all", with_key(&right.replace(emulator.access_key(), "")))?;
    report("a wrong key", with_key(&right.replace(emulator.access_key(), "b3RoZXI=")))?;
    report("nobody there", with_key("endpoint=http://127.0.0.1:1;accesskey=b3RoZXI="))?;
    let logged_out = Credential::bearer(|_: &str| Err("nobody is logged in".into()));
    let builder = CommunicationIdentityClient::builder(emulator.endpoint().parse()?, logged_out);
    report("no bearer token", once(builder))?;
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

fn with_key(connection_string: &str) -> Result<(), Error> {
    once(CommunicationIdentityClient::builder_from_connection_string(connection_string)?)
}

/// Without retries, so that every failure shows. By default, the client retries if that does no
/// harm.
fn once(builder: CommunicationIdentityClientBuilder) -> Result<(), Error> {
    let client =
        builder.retry_policy(RetryPolicy::none()).timeout(Duration::from_secs(2)).build()?;
    call(&client)
}

fn call(client: &CommunicationIdentityClient) -> Result<(), Error> {
    let (user, _token) = client.create_user_and_token(["chat"])?;
    client.delete_user(&user)
}

fn report(what: &str, result: Result<(), Error>) -> io::Result<()> {
    match result {
        Ok(()) => writeln!(io::stdout(), "{what}: all is well"),
        Err(error) => writeln!(io::stdout(), "{what}: {}\n  {error:#}", what_to_do(&error)),
    }
}

fn what_to_do(error: &Error) -> String {
    if let Some(id) = error.created_user_id() {
        return format!("use or delete {id}: it is stored nowhere else");
    }
    // The service may have done it all the same. Anything but creating a user may simply be repeated.
    if error.is_in_doubt() {
        return "a user may have been created; its id is unknown".to_owned();
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
        _ => "show the error to a person",
    };
    what.to_owned()
}
