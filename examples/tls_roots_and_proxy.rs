//! Trusts the root certificates in a PEM file and uses a proxy, for networks that inspect TLS.
//!
//! ```console
//! $ cargo run --example tls_roots_and_proxy -- company-roots.pem http://proxy.example.com:3128
//! ```
//!
//! An agent is only needed for a proxy that is not in `HTTPS_PROXY`. For certificates alone,
//! `root_certificates` on the builder is enough. Without arguments, the agent trusts Mozilla's roots
//! and uses the proxy of the environment, which ureq reads by rules of its own.
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
use std::fs;
use std::process::ExitCode;

use acs_identity::CommunicationIdentityClient;
use acs_identity::emulator::Emulator;
use acs_identity::ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use acs_identity::ureq::{Agent, Proxy};

const VARIABLE: &str = "COMMUNICATION_SERVICES_CONNECTION_STRING";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tls_roots_and_proxy: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let mut config = Agent::config_builder();
    if let Some(file) = arguments.next() {
        let tls = TlsConfig::builder().root_certs(roots(&file)?).build();
        config = config.tls_config(tls);
    }
    if let Some(url) = arguments.next() {
        // The URL may contain a user name and a password: no error shows it.
        config = config.proxy(Some(Proxy::new(&url)?));
    }

    let emulator;
    let connection_string = if let Some(connection_string) = connection_string()? {
        connection_string
    } else {
        emulator = Emulator::start()?;
        eprintln!("{VARIABLE} is not set: using a local service on {}", emulator.endpoint());
        emulator.connection_string()
    };
    let client = CommunicationIdentityClient::builder_from_connection_string(&connection_string)?
        .agent(config.build().new_agent())
        .build()?;

    let user = client.create_user()?;
    println!("created user {user}");
    client.delete_user(&user)?;
    println!("deleted the user");
    Ok(())
}

/// Returns the connection string, if there is one. CI systems leave the variable empty if a secret is
/// missing.
fn connection_string() -> Result<Option<String>, String> {
    let Some(text) = env::var_os(VARIABLE).filter(|text| !text.is_empty()) else { return Ok(None) };
    text.into_string().map(Some).map_err(|_| format!("{VARIABLE} is not valid UTF-8"))
}

/// Reads all certificates in a PEM file. The agent trusts them, and no others.
fn roots(file: &str) -> Result<RootCerts, Box<dyn Error>> {
    let pem = fs::read(file).map_err(|error| format!("cannot read {file}: {error}"))?;
    let mut certificates = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(certificate) = item? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err(format!("{file} has no certificate: it has to be PEM").into());
    }
    Ok(RootCerts::new_with_certs(&certificates))
}
