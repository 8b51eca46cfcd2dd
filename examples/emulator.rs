//! Runs the local identity service until it is stopped.
//!
//! The first line on stdout is the connection string; each request is a line on stderr.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program speaks through these")]

use std::io::{self, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::process::ExitCode;

use acs_identity::emulator::{Emulator, EmulatorBuilder, RecordedRequest};

const HELP: &str = "\
Runs a local identity service of Azure Communication Services until it is stopped.

Usage: cargo run --example emulator -- [OPTIONS]

Options:
  --address HOST:PORT   Listen here. Default: 127.0.0.1 and a free port.
  --access-key BASE64   Accept signatures under this key. Default: a random one.
  --throttling          Answer 429 beyond the published limits of the service.
  --help                Print this.

The first line on stdout is the connection string. Each request is a line on stderr.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        println!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let started = configure(arguments).and_then(|builder| {
        builder.on_request(log).start().map_err(|error| format!("cannot start: {error}"))
    });
    match started.and_then(|emulator| announce(&emulator).map(|()| emulator)) {
        Ok(_emulator) => loop {
            std::thread::park();
        },
        Err(message) => {
            eprintln!("emulator: {message}");
            ExitCode::from(2)
        }
    }
}

fn configure(arguments: Vec<String>) -> Result<EmulatorBuilder, String> {
    let mut builder = Emulator::builder();
    let mut arguments = arguments.into_iter();
    while let Some(name) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{name} needs a value"));
        builder = match name.as_str() {
            "--address" => builder.address(resolve(&value()?)?),
            "--access-key" => builder.access_key(value()?),
            "--throttling" => builder.throttling(true),
            // Not echoed: it may be a key without its option.
            _ => return Err("unknown argument; --help lists the known ones".to_owned()),
        };
    }
    Ok(builder)
}

fn resolve(address: &str) -> Result<SocketAddr, String> {
    let resolved = address.to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
    resolved.ok_or_else(|| format!("--address takes HOST:PORT, not {address:?}"))
}

fn announce(emulator: &Emulator) -> Result<(), String> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{}", emulator.connection_string())
        .and_then(|()| stdout.flush())
        .map_err(|error| format!("cannot print the connection string: {error}"))
}

fn log(request: &RecordedRequest) {
    let status =
        request.status().map_or_else(|| "no answer".to_owned(), |status| status.to_string());
    let reason = request.refusal().map(|refusal| format!(" ({refusal})")).unwrap_or_default();
    eprintln!("{} {} -> {status}{reason}", request.method(), request.target());
}
