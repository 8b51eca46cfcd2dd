//! Runs the local identity service until it is stopped, for programs in any language.
//!
//! The first line on stdout is the connection string. Each request is a line on stderr, which says
//! why a request was refused: point a client here whose signature the real service does not take,
//! and learn why.

use std::ffi::OsString;
use std::io::{self, ErrorKind, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::thread;
use std::time::Duration;

use acs_identity::emulator::{Emulator, EmulatorBuilder, Fault, Operation, RecordedRequest};

const HELP: &str = "\
Runs a local identity service of Azure Communication Services until it is stopped (Ctrl-C).

Usage: cargo run --example emulator -- [OPTIONS]

Options:
  --address HOST:PORT   Listen here. Default: 127.0.0.1 and a free port.
  --access-key BASE64   Accept signatures under this key. Default: a random one.
  --bearer-token TOKEN  Accept this bearer token, too. May be repeated.
  --teams-token TOKEN APP_ID USER_ID
                        Exchange this Entra token of a Teams user, for one hour; the ids are GUIDs. May be repeated.
  --clock-ahead TIME    Run the clock ahead of the system's by a time such as 20m or 2h.
  --clock-behind TIME   Run it behind.
  --throttling          Answer 429 beyond the published limits of the service.
  --fault SPEC          Fail on purpose. May be repeated; of several faults the first that applies strikes.
  --help                Print this.

";

const GRAMMAR: &str = "\
SPEC is OPERATION:FAILURE, then *N for the next N requests, %N for every Nth request, or both. Without them, the next request fails.

  OPERATION   create, get, delete, issue, revoke, exchange, or * for all
  FAILURE     STATUS          answer with this status, 200 to 599; nothing is done
              STATUS=TIME     the same, and ask to try again after this time
              drop            close the connection; nothing is done
              drop-after      do what was asked, then close the connection
              delay=TIME      do what was asked, answer after this time
              drip=TIME       do what was asked, answer with one byte in each interval
              truncate        do what was asked, send half of the answer
              stall           never answer; nothing is done
              stall-body      do what was asked, send half of the answer, then nothing
  TIME        such as 2s, 250ms or 10m, up to an hour

For example 'issue:429=5s*3', create:drop-after, '*:delay=2s%1' (every request), delete:503%10.
";

/// How many lines may wait for whoever reads the log.
const MAX_WAITING_LINES: usize = 1_000;
const MAX_FAULT_TIME: Duration = Duration::from_secs(60 * 60);
/// Far beyond any clock that is merely wrong.
const MAX_CLOCK_ERROR: Duration = Duration::from_secs(10_000 * 60 * 60);

const LOG: &str = "
The first line on stdout is the connection string. Each request is a line on stderr: method, path, status, and why it was refused. Lines that nobody reads are dropped, and counted.
Exit codes: 1 if it cannot run, 2 if the arguments are wrong.
";

fn main() -> ExitCode {
    let arguments = std::env::args_os().skip(1).map(OsString::into_string);
    let Ok(arguments) = arguments.collect::<Result<Vec<String>, _>>() else {
        // Not echoed: it may be a key.
        return failed(2, "an argument is not UTF-8; see --help");
    };
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        return match print(&format!("{HELP}{GRAMMAR}{LOG}")) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(1, &format!("cannot print the help: {error}")),
        };
    }
    let settings = match Settings::parse(arguments) {
        Ok(settings) => settings,
        Err(message) => return failed(2, &message),
    };
    // Dropping it would end it.
    let _emulator = match settings.start() {
        Ok(emulator) => emulator,
        Err((code, message)) => return failed(code, &message),
    };
    loop {
        thread::park();
    }
}

struct Settings {
    builder: EmulatorBuilder,
    address: SocketAddr,
    faults: Vec<Fault>,
    bearer_tokens: Vec<String>,
    teams_tokens: Vec<[String; 3]>,
}

impl Settings {
    fn parse(arguments: Vec<String>) -> Result<Self, String> {
        let mut settings = Self {
            builder: Emulator::builder(),
            address: ([127, 0, 0, 1], 0).into(),
            faults: Vec::new(),
            bearer_tokens: Vec::new(),
            teams_tokens: Vec::new(),
        };
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let (name, mut joined) = match argument.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (argument.as_str(), None),
            };
            let needs = |what| format!("{name} needs {what}; see --help");
            let mut value =
                |what| joined.take().or_else(|| arguments.next()).ok_or_else(|| needs(what));
            match name {
                "--address" => settings.address = resolve(&value("HOST:PORT")?)?,
                "--access-key" => settings.builder = settings.builder.access_key(value("a key")?),
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
                "--clock-ahead" => {
                    let time = clock_time(name, &value("TIME")?)?;
                    settings.builder = settings.builder.clock_ahead(time);
                }
                "--clock-behind" => {
                    let time = clock_time(name, &value("TIME")?)?;
                    settings.builder = settings.builder.clock_behind(time);
                }
                "--throttling" => settings.builder = settings.builder.throttling(true),
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
        Ok(settings)
    }

    /// Starts, and prints the connection string when all is in place.
    fn start(self) -> Result<Emulator, (u8, String)> {
        let log = Log::start().map_err(|error| (1, format!("cannot start the log: {error}")))?;
        let observed = self.builder.on_request(move |request| log.push(&line(request)));
        let started = observed.address(self.address).start();
        let emulator = started.map_err(|error| match error.kind() {
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
        print(&format!("{}\n", emulator.connection_string()))
            .map_err(|error| (1, format!("cannot print the connection string: {error}")))?;
        Ok(emulator)
    }
}

fn failed(code: u8, message: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "emulator: {message}");
    ExitCode::from(code)
}

fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Lines on their way to stderr. A thread writes them, so that a reader who is slow, or none, holds
/// up no answer.
struct Log {
    lines: SyncSender<String>,
    dropped: AtomicU64,
}

impl Log {
    fn start() -> io::Result<Self> {
        let (lines, waiting) = mpsc::sync_channel::<String>(MAX_WAITING_LINES);
        thread::Builder::new().name("log".to_owned()).spawn(move || {
            for line in waiting {
                // In one piece, so that lines do not mix; and a log that nobody reads any more ends
                // nothing.
                let _ = io::stderr().write_all(line.as_bytes());
            }
        })?;
        Ok(Self { lines, dropped: AtomicU64::new(0) })
    }

    fn push(&self, line: &str) {
        // The note stands where the lines are missing.
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        let note = if dropped == 0 {
            String::new()
        } else {
            format!("({dropped} lines dropped: nobody read them in time)\n")
        };
        if self.lines.try_send(note + line).is_err() {
            self.dropped.fetch_add(dropped + 1, Ordering::Relaxed);
        }
    }
}

fn line(request: &RecordedRequest) -> String {
    let request_line = match request.target() {
        "" => "something unreadable".to_owned(),
        target => format!("{} {}", request.method(), printable(target)),
    };
    let status =
        request.status().map_or_else(|| "no answer".to_owned(), |status| status.to_string());
    let fault = if request.struck_by_fault() { " (--fault)" } else { "" };
    let reason = request.refusal().map(|refusal| format!(" ({})", printable(refusal)));
    format!("{request_line} -> {status}{fault}{}\n", reason.unwrap_or_default())
}

/// Without what a terminal would obey.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
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

fn parse_fault(spec: &str) -> Result<Fault, String> {
    fault(spec).map_err(|problem| format!("--fault {spec}: {problem}\n\n{}", GRAMMAR.trim_end()))
}

fn fault(spec: &str) -> Result<Fault, String> {
    let (operation, mut failure) = spec.split_once(':').ok_or("there is no colon")?;
    let (mut times, mut every) = (None, None);
    while let Some(at) = failure.rfind(['*', '%']) {
        let (rest, suffix) = failure.split_at(at);
        let (slot, digits) = match suffix.strip_prefix('*') {
            Some(digits) => (&mut times, digits),
            None => (&mut every, suffix.trim_start_matches('%')),
        };
        let number = digits.parse::<u64>().ok().filter(|number| *number > 0);
        let number = number.ok_or_else(|| format!("{suffix:?} has no number from 1"))?;
        if slot.replace(number).is_some() {
            return Err(format!("{suffix:?} is the second of its sort"));
        }
        failure = rest;
    }
    let mut fault = effect(failure)?;
    if let Some(operation) = parse_operation(operation)? {
        fault = fault.on(operation);
    }
    if let Some(every) = every {
        fault = fault.every(every);
    }
    Ok(times.into_iter().fold(fault, Fault::times))
}

fn parse_operation(name: &str) -> Result<Option<Operation>, String> {
    Ok(Some(match name {
        "create" => Operation::Create,
        "get" => Operation::Get,
        "delete" => Operation::Delete,
        "issue" => Operation::Issue,
        "revoke" => Operation::Revoke,
        "exchange" => Operation::Exchange,
        "*" => return Ok(None),
        _ => return Err(format!("{name:?} is no operation")),
    }))
}

fn effect(failure: &str) -> Result<Fault, String> {
    let (name, time) = match failure.split_once('=') {
        Some((name, time)) => (name, Some(parse_time(time, MAX_FAULT_TIME)?)),
        None => (failure, None),
    };
    let unknown = || format!("{failure:?} is no failure");
    Ok(match (name, time) {
        ("drop", None) => Fault::drop_before_processing(),
        ("drop-after", None) => Fault::drop_after_processing(),
        ("delay", Some(time)) => Fault::delay(time),
        ("drip", Some(time)) => Fault::drip(time),
        ("truncate", None) => Fault::truncate_body(),
        ("stall", None) => Fault::stall(),
        ("stall-body", None) => Fault::stall_body(),
        (status, retry_after) => {
            let status = status.parse().ok().filter(|status| (200..600).contains(status));
            let fault = Fault::respond(status.ok_or_else(unknown)?);
            match retry_after {
                // The header that everyone knows has no parts of a second.
                Some(time) if time.subsec_nanos() == 0 => {
                    fault.header("Retry-After", time.as_secs().to_string())
                }
                Some(time) => fault.header("retry-after-ms", time.as_millis().to_string()),
                None => fault,
            }
        }
    })
}

fn clock_time(option: &str, text: &str) -> Result<Duration, String> {
    let time = parse_time(text, MAX_CLOCK_ERROR);
    time.map_err(|problem| format!("{option}: {problem}, such as 20m or 2h; see --help"))
}

fn parse_time(text: &str, longest: Duration) -> Result<Duration, String> {
    // The first unit that fits: all others end in a letter of their own.
    let units = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
    let digits = units.into_iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)));
    let millis = digits.and_then(|(digits, unit)| digits.parse::<u64>().ok()?.checked_mul(unit));
    let time = millis.map(Duration::from_millis).filter(|time| *time <= longest);
    time.ok_or_else(|| format!("{text:?} is no time"))
}
