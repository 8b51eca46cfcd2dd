//! Bearer tokens from another program, such as az.

use std::error::Error;
#[cfg(unix)]
use std::io::IsTerminal as _;
use std::io::{self, Read as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use acs_identity::BearerToken;
use serde_json::{Deserializer, Value};

/// az may take ten seconds.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// The lifetime of a token without an expiry. The client asks for a new one five minutes before its end.
const ASSUMED_LIFETIME: Duration = Duration::from_secs(10 * 60);

/// How often to check whether the command has ended, once it has closed its stdout.
const POLL: Duration = Duration::from_millis(5);

/// No token is longer.
const MAX_OUTPUT: u64 = 256 * 1024;

/// Runs a command line in the shell and reads the token that it prints; its stderr is the caller's.
///
/// No error shows what it prints. After the limit it is killed, and its output is not awaited: a process
/// that it started may keep the pipe open.
pub(crate) fn run(
    command: &str,
    limit: Duration,
) -> Result<BearerToken, Box<dyn Error + Send + Sync>> {
    let deadline = Instant::now() + limit;
    // A group of its own can be killed as a whole. On a terminal, only the group of this program may read
    // input, and Ctrl-C ends only that one.
    #[cfg(unix)]
    let own_group = !(io::stdin().is_terminal() || io::stderr().is_terminal());
    let mut shell = shell(command);
    #[cfg(unix)]
    if own_group {
        std::os::unix::process::CommandExt::process_group(&mut shell, 0);
    }
    let mut child = shell
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("the shell for --token-command cannot be started: {error}"))?;
    let stdout = child.stdout.take();
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut text = Vec::new();
        let _ = stdout.map(|stdout| stdout.take(MAX_OUTPUT).read_to_end(&mut text));
        // After the limit, the receiver is gone.
        let _ = sender.send(text);
    });
    let text = receiver.recv_timeout(limit).ok();
    let status = if text.is_some() { end_of(&mut child, deadline)? } else { None };
    let (Some(text), Some(status)) = (text, status) else {
        // Not waited for yet, so the id is still its own.
        #[cfg(unix)]
        if own_group {
            use rustix::process::{Pid, Signal, kill_process_group};
            let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
        }
        let _ = child.kill();
        let _ = child.wait();
        return Err(format!("--token-command did not end within {limit:?}").into());
    };
    if !status.success() {
        return Err(format!("--token-command failed ({status})").into());
    }
    let token = parse(&String::from_utf8_lossy(&text), SystemTime::now());
    let (token, expires_on) =
        token.map_err(|problem| format!("--token-command printed {problem}"))?;
    Ok(BearerToken::new(token, expires_on))
}

/// Returns how a process ended, or `None` at the deadline.
fn end_of(child: &mut Child, deadline: Instant) -> io::Result<Option<ExitStatus>> {
    loop {
        let status = child.try_wait()?;
        if status.is_some() || Instant::now() >= deadline {
            return Ok(status);
        }
        thread::sleep(POLL);
    }
}

/// Reads a bare token, or JSON as az prints it, with warnings around it and in colors.
pub(crate) fn parse(output: &str, now: SystemTime) -> Result<(String, SystemTime), &'static str> {
    let output = without_colors(output.trim_start_matches('\u{feff}'));
    let assumed = now + ASSUMED_LIFETIME;
    let starts = output.match_indices('{').filter_map(|(at, _)| output.get(at..));
    let mut tokens = starts.filter_map(|text| {
        let json: Value = Deserializer::from_str(text).into_iter().next()?.ok()?;
        let token = json.get("accessToken").or_else(|| json.get("access_token"))?.as_str()?;
        let expires_on = json.get("expires_on").and_then(instant).unwrap_or(assumed);
        Some((token.to_owned(), expires_on))
    });
    let (token, expires_on) = tokens.next().unwrap_or_else(|| {
        // `az --query accessToken` prints quotes, unless it has `-o tsv`.
        let bare = |line: &str| line.trim().trim_matches('"').to_owned();
        let below_warning = output.lines().map(bare).find(|line| line.starts_with("eyJ"));
        (below_warning.unwrap_or_else(|| bare(&output)), assumed)
    });
    // `-o tsv` prints a missing member as a word.
    if matches!(&*token, "" | "None" | "null") {
        return Err("no token");
    }
    // The characters of RFC 6750.
    if !token.chars().all(|c| c.is_ascii_alphanumeric() || "-._~+/=".contains(c)) {
        return Err("neither a token nor JSON with accessToken");
    }
    Ok((token, expires_on))
}

/// Removes the sequences by which az colors its output: parameters and one letter.
fn without_colors(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let start = parts.next().unwrap_or_default().to_owned();
    let is_parameter = |c: char| (' '..='?').contains(&c);
    parts.fold(start, |text, part| {
        text + part.trim_start_matches(is_parameter).get(1..).unwrap_or_default()
    })
}

/// Reads seconds since 1970, as a number or a string. az's `expiresOn` is useless: a local time without
/// its zone.
fn instant(value: &Value) -> Option<SystemTime> {
    let seconds = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

fn shell(command: &str) -> Command {
    #[cfg(windows)]
    {
        let mut shell = Command::new("cmd");
        // Unquoted: cmd has its own rules.
        std::os::windows::process::CommandExt::raw_arg(shell.arg("/C"), command);
        shell
    }
    #[cfg(not(windows))]
    {
        let mut shell = Command::new("sh");
        shell.args(["-c", command]);
        shell
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_command_output_is_read_with_its_expiry() {
        let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let assumed = at(1_700_000_600);
        for (output, expires_on) in [
            ("t", assumed),
            ("\u{feff}t\r\n", assumed),
            ("\"t\"\n", assumed),
            (r#"{"accessToken":"t"}"#, assumed),
            (r#"{"accessToken":"t","expires_on":1800000000}"#, at(1_800_000_000)),
            (r#"{"access_token":"t","expires_on":"1800000000"}"#, at(1_800_000_000)),
            (
                "WARNING: old\n{\"accessToken\":\"t\",\"expires_on\":1800000000}\nbye",
                at(1_800_000_000),
            ),
            (
                "\u{1b}[33mWARNING: {old}\u{1b}[0m\n{\"accessToken\": \u{1b}[39;49;00m\"t\"}",
                assumed,
            ),
            // az's local time, without its zone.
            (r#"{"accessToken":"t","expiresOn":"2027-01-15 09:00:00.000000"}"#, assumed),
            (r#"{"accessToken":"t","expires_on":18446744073709551615}"#, assumed),
        ] {
            assert_eq!(parse(output, now), Ok(("t".to_owned(), expires_on)), "{output}");
        }
        for colored in ["\u{1b}[?25leyJ.t\u{1b}[?25h\n", "\u{1b}[38:5:10meyJ.t\u{1b}[m"] {
            assert_eq!(parse(colored, now), Ok(("eyJ.t".to_owned(), assumed)));
        }
        let warned = parse("WARNING: \u{1b}[1mold\u{1b}[0m\n\"eyJ.t\"\nbye\n", now);
        assert_eq!(warned, Ok(("eyJ.t".to_owned(), assumed)));
        let neither = "neither a token nor JSON with accessToken";
        for (output, problem) in [
            ("", "no token"),
            ("\"\"", "no token"),
            (r#"{"accessToken":""}"#, "no token"),
            ("None\n", "no token"),
            ("null", "no token"),
            ("two words", neither),
            ("{", neither),
            (r#"{"accessToken":"a\nb"}"#, neither),
            (r#"{"token_type":"Bearer"}"#, neither),
        ] {
            assert_eq!(parse(output, now), Err(problem), "{output}");
        }
    }
}
