//! Bearer tokens from another program, such as az.

use std::error::Error;
use std::io::{self, IsTerminal as _, Read as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use acs_identity::BearerToken;
use serde_json::Value;

/// az alone takes ten seconds on a bad day.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// How long a token is taken to live that does not say: the client asks for a new one five minutes
/// before that.
const ASSUMED_LIFE: Duration = Duration::from_secs(10 * 60);

/// How often to look whether the command has ended, once it has closed its stdout.
const POLL: Duration = Duration::from_millis(5);

/// More than any token has.
const MAX_OUTPUT: u64 = 256 * 1024;

/// Runs a command line in the shell and reads the token that it prints; its stderr is the caller's.
///
/// What it prints is in no error. Once the time is over, it is killed and not waited for: whatever
/// it has started may keep the pipe open.
pub(crate) fn run(
    command: &str,
    limit: Duration,
) -> Result<BearerToken, Box<dyn Error + Send + Sync>> {
    let deadline = Instant::now() + limit;
    // A group of its own can be killed with all that is in it. On a terminal, only the tool's group
    // may ask there, and is what Ctrl-C ends.
    let own_group = !(io::stdin().is_terminal() || io::stderr().is_terminal());
    let mut shell = shell(command);
    if own_group {
        leave_group(&mut shell);
    }
    let mut child = shell
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("the shell for --token-command cannot be started: {error}"))?;
    let stdout = child.stdout.take();
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut text = String::new();
        let read = stdout.map(|stdout| stdout.take(MAX_OUTPUT).read_to_string(&mut text));
        // Nobody waits any more once the time is over.
        let _ = sender.send(read.is_some_and(|read| read.is_ok()).then_some(text));
    });
    let text = receiver.recv_timeout(limit).ok();
    let status = if text.is_some() { end_of(&mut child, deadline)? } else { None };
    let (Some(text), Some(status)) = (text, status) else {
        if own_group {
            kill_group(&child);
        }
        let _ = child.kill();
        let _ = child.wait();
        return Err(format!("--token-command did not end within {limit:?}").into());
    };
    if !status.success() {
        return Err(format!("--token-command failed ({status})").into());
    }
    let token = text.and_then(|text| parse(text.trim(), SystemTime::now()));
    let (token, expires_on) = token
        .ok_or("--token-command printed neither a token nor JSON with accessToken: run it by hand to see what it prints")?;
    Ok(BearerToken::new(token, expires_on))
}

/// How a process ended; `None` if it goes on.
fn end_of(child: &mut Child, deadline: Instant) -> io::Result<Option<ExitStatus>> {
    loop {
        let status = child.try_wait()?;
        if status.is_some() || Instant::now() >= deadline {
            return Ok(status);
        }
        thread::sleep(POLL);
    }
}

/// Reads a bare token, or JSON as az prints it.
pub(crate) fn parse(output: &str, now: SystemTime) -> Option<(String, SystemTime)> {
    let assumed = now.checked_add(ASSUMED_LIFE)?;
    if !output.starts_with('{') {
        let word = !output.is_empty() && output.chars().all(|c| c.is_ascii_graphic());
        return word.then(|| (output.to_owned(), assumed));
    }
    let json: Value = serde_json::from_str(output).ok()?;
    let token = json.get("accessToken").or_else(|| json.get("access_token"))?.as_str()?;
    let word = !token.is_empty() && token.chars().all(|c| c.is_ascii_graphic());
    let expires_on = json.get("expires_on").and_then(instant).unwrap_or(assumed);
    word.then(|| (token.to_owned(), expires_on))
}

/// Seconds since 1970, bare or as text. az's `expiresOn` is local time of an unnamed zone, which
/// says nothing.
fn instant(value: &Value) -> Option<SystemTime> {
    let seconds = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

#[cfg(unix)]
fn leave_group(command: &mut Command) {
    use std::os::unix::process::CommandExt as _;

    command.process_group(0);
}

#[cfg(not(unix))]
fn leave_group(_: &mut Command) {}

/// The standard library kills no groups. The process was not waited for yet, so the number is its
/// own.
#[cfg(unix)]
fn kill_group(leader: &Child) {
    let group = format!("-{}", leader.id());
    let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
}

#[cfg(not(unix))]
fn kill_group(_: &Child) {}

#[cfg(not(windows))]
fn shell(command: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]);
    shell
}

#[cfg(windows)]
fn shell(command: &str) -> Command {
    use std::os::windows::process::CommandExt as _;

    let mut shell = Command::new("cmd");
    // Unquoted: cmd has rules of its own.
    shell.arg("/C").raw_arg(command);
    shell
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_bearer_token_is_read_where_it_is_told() {
        let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let assumed = at(1_700_000_600);
        for (output, expires_on) in [
            ("t", Some(assumed)),
            (r#"{"accessToken":"t"}"#, Some(assumed)),
            (r#"{"accessToken":"t","expires_on":1800000000}"#, Some(at(1_800_000_000))),
            (r#"{"access_token":"t","expires_on":"1800000000"}"#, Some(at(1_800_000_000))),
            // az's local time, of an unnamed zone.
            (r#"{"accessToken":"t","expiresOn":"2027-01-15 09:00:00.000000"}"#, Some(assumed)),
            (r#"{"accessToken":"t","expires_on":18446744073709551615}"#, Some(assumed)),
            ("", None),
            ("two words", None),
            (r#"{"accessToken":""}"#, None),
            (r#"{"accessToken":"a\nb"}"#, None),
            (r#"{"token_type":"Bearer"}"#, None),
            ("{", None),
        ] {
            let expected = expires_on.map(|at| ("t".to_owned(), at));
            assert_eq!(parse(output, now), expected, "{output}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_token_command_that_hangs_is_given_up() {
        for command in [
            "exec sleep 60",
            // The shell ends at once; what it started closes stdout and lives on, or keeps it open.
            "exec >&-; sleep 60; true",
            "sleep 60 & true",
            "sleep 60; true",
        ] {
            let started = Instant::now();
            let error = run(command, Duration::from_millis(50)).unwrap_err();
            assert_eq!(error.to_string(), "--token-command did not end within 50ms");
            assert!(started.elapsed() < Duration::from_secs(30), "{command}");
        }
    }
}
