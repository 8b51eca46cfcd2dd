//! `acs emulator`: the library's local identity service as a program, for other languages.

use std::fs::File;
use std::io::ErrorKind;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::process::ExitCode;

use acs_identity::emulator::{Emulator, EmulatorBuilder, Fault};
use clap::builder::{PossibleValuesParser, ValueParser};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::cli::{flag, option};
use crate::failure::{Exit, Failure};
use crate::interrupt::Signals;
use crate::{duration, help, output};

mod child;
mod log;
mod tls;

use log::Log;
use tls::{AuthorityFile, Tls};

type Variables = Vec<(&'static str, String)>;

const CONNECTION_STRING: &str = "COMMUNICATION_SERVICES_CONNECTION_STRING";

pub(crate) fn command() -> Command {
    Command::new("emulator")
        .about("Run a local identity service, for programs in any language, until Ctrl-C")
        .after_help("See --help for faults and what is printed.")
        .after_long_help(help::EMULATOR)
        .bin_name("acs emulator")
        .next_line_help(true)
        .args(options())
        .arg(
            Arg::new("command")
                .value_name("COMMAND")
                .num_args(1..)
                .last(true)
                .value_parser(ValueParser::os_string())
                .help("Run this command with the variables of the emulator, and end with it"),
        )
}

fn options() -> [Arg; 14] {
    [
        option("address", "HOST:PORT")
            .value_parser(resolve)
            .help("Listen here [default: 127.0.0.1 and a free port]"),
        option("access-key", "BASE64")
            .help("Accept signatures under this key [default: a random one]"),
        option("bearer-token", "TOKEN")
            .action(ArgAction::Append)
            .help("Accept this bearer token, too. May be repeated"),
        option("teams-token", "TOKEN")
            .value_names(["TOKEN", "APP_ID", "USER_ID"])
            .action(ArgAction::Append)
            .help("Exchange this Entra token of a Teams user, for one hour; the ids are GUIDs. May be repeated"),
        option("token-lifetime", "TIME")
            .value_parser(duration::parse)
            .help("Let every token expire after this time, whatever lifetime was requested"),
        option("clock-ahead", "TIME")
            .value_parser(duration::parse)
            .help("Run the clock ahead of the system's by a time such as 20m or 2h"),
        option("clock-behind", "TIME")
            .value_parser(duration::parse)
            .conflicts_with("clock-ahead")
            .help("Run the clock behind the system's"),
        flag("throttling").help("Respond with 429 beyond the published limits of the service"),
        option("seed", "NUMBER")
            .value_parser(value_parser!(u64))
            .help("Give users the same ids in every run"),
        option("fault", "SPEC")
            .action(ArgAction::Append)
            .value_parser(value_parser!(Fault))
            .help("Fail on purpose. May be repeated; if several apply, the first one is used"),
        flag("tls").help("Speak https, with a certificate for localhost, 127.0.0.1 and ::1. The lines after the connection string are settings that make clients trust it"),
        option("tls-name", "NAME")
            .action(ArgAction::Append)
            .help("Add this host name or address to the certificate, and use the first in the connection string. May be repeated. Includes --tls"),
        option("tls-authority", "FILE")
            .value_parser(value_parser!(PathBuf))
            .help("Write the certificate that clients have to trust to this file, until the end [default: one in the folder for temporary files]. Includes --tls"),
        option("log-format", "FORMAT")
            .value_parser(PossibleValuesParser::new(["text", "json", "none"]))
            .default_value("text")
            .hide_default_value(true)
            .help("How to log requests [default: text]"),
    ]
}

/// Runs until a signal or the end of the command.
pub(crate) fn run(mut matches: ArgMatches) -> Result<ExitCode, Failure> {
    if !matches.contains_id("command") && std::env::args_os().any(|word| word == "--") {
        return Err(Failure::usage("there is no command behind --"));
    }
    let signals = Signals::catch()?;
    make_room_for_connections();
    // Both end at the end of this function.
    let (_emulator, _authority, variables) = start(&mut matches)?;
    if let Some(words) = matches.remove_many("command") {
        return child::run(words, &variables, &signals);
    }
    let mut lines = variables.iter();
    let connection_string = lines.next().map(|(_, value)| format!("{value}\n"));
    let others = lines.map(|(name, value)| format!("{name}={value}\n"));
    output::print(&connection_string.into_iter().chain(others).collect::<String>())?;
    Ok(signals.wait().into())
}

/// Starts the emulator, and returns the variables for its clients, the connection string first.
fn start(
    matches: &mut ArgMatches,
) -> Result<(Emulator, Option<AuthorityFile>, Variables), Failure> {
    let log_format: Option<String> = matches.remove_one("log-format");
    let address = matches.remove_one("address").unwrap_or(([127, 0, 0, 1], 0).into());
    let names: Vec<String> = matches.remove_many("tls-name").into_iter().flatten().collect();
    let file: Option<PathBuf> = matches.remove_one("tls-authority");
    let is_secure = matches.get_flag("tls") || !names.is_empty() || file.is_some();
    let tls = is_secure.then(|| Tls::new(names.clone())).transpose()?;

    let mut builder = builder(matches).address(address);
    if let Some(format) = log_format.filter(|format| format != "none") {
        let log = Log::start(format == "json");
        let log = log.map_err(|error| broken("start the log", &error))?;
        builder = builder.on_request(move |request| log.push(request));
    }
    if let Some(tls) = &tls {
        builder = builder.tls(tls.acceptor());
    }
    let emulator = builder.start().map_err(|error| match error.kind() {
        ErrorKind::InvalidInput => Failure::usage(format!("cannot start: {error}")),
        ErrorKind::AddrInUse => {
            let problem = "is in use: choose another --address, or port 0";
            Failure::new(Exit::Service, format!("{address} {problem}"))
        }
        _ => broken(&format!("listen on {address}"), &error),
    })?;
    for token in matches.remove_many::<String>("bearer-token").into_iter().flatten() {
        emulator.accept_bearer_token(token);
    }
    for given in matches.remove_occurrences::<String>("teams-token").into_iter().flatten() {
        if let [token, app_id, user_id] = given.collect::<Vec<_>>().as_slice() {
            emulator.accept_teams_token(token, app_id, user_id);
        }
    }

    let mut connection_string = emulator.connection_string();
    let endpoint = emulator.endpoint();
    let address = endpoint.rsplit('/').next().unwrap_or_default();
    if let (Some(name), Some((_, port))) = (names.first(), address.rsplit_once(':')) {
        connection_string = connection_string.replacen(address, &format!("{name}:{port}"), 1);
    }
    let mut variables = vec![(CONNECTION_STRING, connection_string)];
    let authority = match tls {
        Some(tls) => Some(AuthorityFile::write(file, address, &tls.authority_pem)?),
        None => None,
    };
    if let Some(file) = &authority {
        variables.extend(file.variables());
    }
    Ok((emulator, authority, variables))
}

fn builder(matches: &mut ArgMatches) -> EmulatorBuilder {
    let mut builder = Emulator::builder().throttling(matches.get_flag("throttling"));
    builder = with(matches, "access-key", builder, |builder, key: String| builder.access_key(key));
    builder = with(matches, "seed", builder, EmulatorBuilder::seed);
    builder = with(matches, "token-lifetime", builder, EmulatorBuilder::token_lifetime);
    builder = with(matches, "clock-ahead", builder, EmulatorBuilder::clock_ahead);
    builder = with(matches, "clock-behind", builder, EmulatorBuilder::clock_behind);
    matches.remove_many("fault").into_iter().flatten().fold(builder, EmulatorBuilder::fault)
}

/// Sets what an option gives.
fn with<T: Clone + Send + Sync + 'static>(
    matches: &mut ArgMatches,
    name: &str,
    builder: EmulatorBuilder,
    set: fn(EmulatorBuilder, T) -> EmulatorBuilder,
) -> EmulatorBuilder {
    match matches.remove_one(name) {
        Some(value) => set(builder, value),
        None => builder,
    }
}

fn broken(action: &str, error: &std::io::Error) -> Failure {
    Failure::new(Exit::Service, format!("cannot {action}: {error}"))
}

/// Linux enlarges the table of open files in steps, and each step stops a program with threads for
/// some milliseconds. In a burst of connections, the queue of those not yet accepted then overflows,
/// and clients try again after a second. Before the first thread, it costs a millisecond.
fn make_room_for_connections() {
    let files = (0..2_000).map_while(|_| File::open("/dev/null").ok());
    drop(files.collect::<Vec<_>>());
}

fn resolve(address: &str) -> Result<SocketAddr, &'static str> {
    let resolved = address.to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
    resolved.ok_or("expected HOST:PORT")
}
