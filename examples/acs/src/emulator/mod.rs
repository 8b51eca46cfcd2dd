//! `acs emulator`: the library's local identity service as a program, for other languages.
//!
//! It reads its options itself, without clap and without the settings of the other commands: the
//! library's example of the same name is made of these files, too.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use acs_identity::emulator::{Emulator, EmulatorBuilder, Fault};

mod faults;
pub(crate) mod help;
mod log;
mod tls;

use faults::parse_fault;
use log::{Format, Log};
use tls::Tls;

/// Far beyond any clock that is merely wrong.
const MAX_CLOCK_ERROR: Duration = Duration::from_secs(10_000 * 60 * 60);

/// Runs until the process is stopped, or returns the exit code of what prevents that.
///
/// Messages begin with the program's name, as its user knows it.
pub(crate) fn run(
    name: &str,
    help: impl FnOnce() -> String,
    arguments: impl Iterator<Item = OsString>,
) -> ExitCode {
    // Dropping it would end it.
    let started = start(help, arguments);
    match started {
        Ok(Some(_emulator)) => loop {
            thread::park();
        },
        Ok(None) => ExitCode::SUCCESS,
        Err((code, message)) => {
            let _ = writeln!(io::stderr(), "{name}: {message}");
            ExitCode::from(code)
        }
    }
}

/// `None` if only help was wanted.
fn start(
    help: impl FnOnce() -> String,
    arguments: impl Iterator<Item = OsString>,
) -> Result<Option<Emulator>, (u8, String)> {
    make_room_for_connections();
    let arguments: Result<Vec<String>, _> = arguments.map(OsString::into_string).collect();
    // Not echoed: it may be a key.
    let arguments =
        arguments.map_err(|_| (2, "an argument is not UTF-8; see --help".to_owned()))?;
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        let printed = print(&help());
        printed.map_err(|error| (1, format!("cannot print the help: {error}")))?;
        return Ok(None);
    }
    Settings::parse(arguments).map_err(|message| (2, message))?.start().map(Some)
}

struct Settings {
    builder: EmulatorBuilder,
    address: SocketAddr,
    tls: Option<TlsSettings>,
    log_format: Format,
    faults: Vec<Fault>,
    bearer_tokens: Vec<String>,
    teams_tokens: Vec<[String; 3]>,
}

#[derive(Default)]
struct TlsSettings {
    names: Vec<String>,
    authority: Option<PathBuf>,
}

impl Settings {
    fn parse(arguments: Vec<String>) -> Result<Self, String> {
        let mut settings = Self {
            builder: Emulator::builder(),
            address: ([127, 0, 0, 1], 0).into(),
            tls: None,
            log_format: Format::Text,
            faults: Vec::new(),
            bearer_tokens: Vec::new(),
            teams_tokens: Vec::new(),
        };
        let (mut clock_ahead, mut clock_behind) = (None, None);
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let (name, mut joined) = match argument.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (argument.as_str(), None),
            };
            let needs = |what| format!("{name} needs {what}; see --help");
            let mut value =
                |what| joined.take().or_else(|| arguments.next()).ok_or_else(|| needs(what));
            let builder = settings.builder;
            settings.builder = match name {
                "--access-key" => builder.access_key(value("a key")?),
                "--throttling" => builder.throttling(true),
                "--seed" => {
                    let seed = value("a number")?.parse();
                    builder
                        .seed(seed.map_err(|_| needs("a number from 0 to 18446744073709551615"))?)
                }
                _ => builder,
            };
            match name {
                "--access-key" | "--throttling" | "--seed" => {}
                "--address" => settings.address = resolve(&value("HOST:PORT")?)?,
                "--tls" => {
                    settings.tls.get_or_insert_default();
                }
                "--tls-name" => {
                    settings.tls.get_or_insert_default().names.push(value("NAME")?);
                }
                "--tls-authority" => {
                    settings.tls.get_or_insert_default().authority = Some(value("FILE")?.into());
                }
                "--log-format" => {
                    settings.log_format = match value("text or json")?.as_str() {
                        "text" => Format::Text,
                        "json" => Format::Json,
                        _ => return Err(needs("text or json")),
                    }
                }
                "--bearer-token" => settings.bearer_tokens.push(value("a token")?),
                "--teams-token" => {
                    let what = "TOKEN APP_ID USER_ID";
                    let values = [value(what)?, value(what)?, value(what)?];
                    let [_, app_id, user_id] = &values;
                    if ![app_id, user_id].into_iter().all(|id| is_guid(id)) {
                        return Err(needs("TOKEN APP_ID USER_ID, and the ids have to be GUIDs"));
                    }
                    settings.teams_tokens.push(values);
                }
                "--clock-ahead" => clock_ahead = Some(clock_time(name, &value("TIME")?)?),
                "--clock-behind" => clock_behind = Some(clock_time(name, &value("TIME")?)?),
                "--fault" => settings.faults.push(parse_fault(&value("SPEC")?)?),
                _ if is_option(name) => {
                    return Err(format!("unknown option {name}; --help lists the known ones"));
                }
                // Not echoed: it may be a key without its option.
                _ => return Err("unknown argument; --help lists the known ones".to_owned()),
            }
            if joined.is_some() {
                return Err(format!("{name} takes no value; see --help"));
            }
        }
        settings.builder = match (clock_ahead, clock_behind) {
            (Some(_), Some(_)) => {
                return Err("--clock-ahead and --clock-behind exclude each other".to_owned());
            }
            (Some(time), None) => settings.builder.clock_ahead(time),
            (None, Some(time)) => settings.builder.clock_behind(time),
            (None, None) => settings.builder,
        };
        Ok(settings)
    }

    /// Starts, and prints the connection string when all is in place.
    fn start(self) -> Result<Emulator, (u8, String)> {
        let log = Log::start(self.log_format);
        let log = log.map_err(|error| (1, format!("cannot start the log: {error}")))?;
        let mut builder = self.builder.on_request(move |request| log.push(request));
        let tls = self.tls.map(|TlsSettings { names, authority }| {
            let tls = Tls::new(names.clone()).map_err(|message| (2, message))?;
            Ok::<_, (u8, String)>((tls, names, authority))
        });
        let tls = tls.transpose()?;
        if let Some((tls, ..)) = &tls {
            builder = builder.tls(tls.acceptor());
        }
        let emulator =
            builder.address(self.address).start().map_err(|error| match error.kind() {
                ErrorKind::InvalidInput => (2, format!("cannot start: {error}")),
                ErrorKind::AddrInUse => {
                    (1, format!("{} is in use: choose another --address, or port 0", self.address))
                }
                _ => (1, format!("cannot listen on {}: {error}", self.address)),
            })?;
        self.faults.into_iter().for_each(|fault| emulator.inject(fault));
        self.bearer_tokens.into_iter().for_each(|token| emulator.accept_bearer_token(token));
        for [token, app_id, user_id] in self.teams_tokens {
            emulator.accept_teams_token(token, app_id, user_id);
        }
        let mut lines = format!("{}\n", emulator.connection_string());
        if let Some((tls, names, authority)) = tls {
            let address = emulator.endpoint().replace("https://", "");
            let port = address.rsplit(':').next().unwrap_or_default();
            if let Some(name) = names.first() {
                lines = lines.replacen(&address, &format!("{name}:{port}"), 1);
            }
            let file = authority.unwrap_or_else(|| tls::default_file(&address));
            let written = tls::write(&file, &tls.authority_pem);
            // Clients have a working directory of their own.
            let file = written.and_then(|()| std::path::absolute(&file)).map_err(|error| {
                (
                    1,
                    format!(
                        "cannot write {}: {error}; choose a file with --tls-authority",
                        file.display()
                    ),
                )
            })?;
            lines += &tls::settings(&file);
        }
        print(&lines)
            .map_err(|error| (1, format!("cannot print the connection string: {error}")))?;
        Ok(emulator)
    }
}

/// Linux enlarges the table of open files in steps, and each step stops a program with threads for
/// some milliseconds. In a burst of connections, the queue of those not yet accepted then overflows,
/// and clients try again after a second. Before the first thread, it costs a millisecond.
fn make_room_for_connections() {
    let files = (0..2_000).map_while(|_| File::open("/dev/null").ok());
    drop(files.collect::<Vec<_>>());
}

fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

fn resolve(address: &str) -> Result<SocketAddr, String> {
    let resolved = address.to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
    resolved.ok_or_else(|| format!("--address takes HOST:PORT, not {address:?}"))
}

/// No key and no token looks like this.
fn is_option(text: &str) -> bool {
    let letters = |name: &str| name.bytes().all(|byte| byte == b'-' || byte.is_ascii_lowercase());
    text.strip_prefix("--").is_some_and(letters)
}

fn is_guid(text: &str) -> bool {
    let hexadecimal = |group: &str| group.bytes().all(|byte| byte.is_ascii_hexdigit());
    let groups = text.split('-').map(|group| hexadecimal(group).then_some(group.len()));
    groups.eq([8, 4, 4, 4, 12].map(Some))
}

fn clock_time(option: &str, text: &str) -> Result<Duration, String> {
    let time = parse_time(text, MAX_CLOCK_ERROR);
    time.map_err(|problem| {
        format!("{option}: {problem}: write 20m or 2h, for instance; see --help")
    })
}

fn parse_time(text: &str, longest: Duration) -> Result<Duration, String> {
    // The first unit that fits: all others end in a letter of their own.
    let units = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
    let digits = units.into_iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)));
    let millis = digits.and_then(|(digits, unit)| digits.parse::<u64>().ok()?.checked_mul(unit));
    let time = millis.map(Duration::from_millis).filter(|time| *time <= longest);
    time.ok_or_else(|| format!("{text:?} is not a time"))
}
