//! Trusts the certificates of a PEM file, and goes through a proxy: for networks that look into
//! TLS.
//!
//! ```console
//! $ cargo run --example tls_roots_and_proxy -- company-roots.pem http://proxy.example.com:3128
//! ```
//!
//! Without arguments it trusts Mozilla's roots and takes the proxy that the environment names, as
//! the client does by itself. Without `COMMUNICATION_SERVICES_CONNECTION_STRING` it talks to a
//! local service, which needs neither.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what it is for")]

use std::env;
use std::error::Error;
use std::fs;

use acs_identity::emulator::Emulator;
use acs_identity::{CommunicationIdentityClient, ConnectionString};
use ureq::Proxy;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

const VARIABLE: &str = "COMMUNICATION_SERVICES_CONNECTION_STRING";

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let mut config = ureq::Agent::config_builder();
    if let Some(file) = arguments.next() {
        let tls = TlsConfig::builder().root_certs(roots(&file)?).build();
        config = config.tls_config(tls);
    }
    if let Some(url) = arguments.next() {
        // A user name and a password may stand in the URL; errors and this program do not repeat
        // it.
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
    let (endpoint, key) = connection_string.parse::<ConnectionString>()?.into_parts();
    // The client sets on every request what it depends on: timeouts, no redirects, statuses as
    // answers.
    let client = CommunicationIdentityClient::builder(endpoint, key)
        .agent(config.build().new_agent())
        .build()?;

    let user = client.create_user()?;
    println!("created user {user}");
    client.delete_user(&user)?;
    println!("deleted the user");
    Ok(())
}

/// One that is empty counts as not set, as CI systems leave it for a secret that is missing.
fn connection_string() -> Result<Option<String>, String> {
    let Some(text) = env::var_os(VARIABLE).filter(|text| !text.is_empty()) else { return Ok(None) };
    text.into_string().map(Some).map_err(|_| format!("{VARIABLE} is not UTF-8"))
}

/// All certificates of a PEM file. They are the only ones that will be trusted: Mozilla's are not
/// added.
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
