//! Faults as words, for command lines and requests: `create:503*2`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::Fault;
use crate::emulator::request::Operation;
use crate::error::Error;

const MAX_TIME: Duration = Duration::from_secs(60 * 60);

/// Reads `OPERATION:FAILURE`, and behind it in any order `*N` for [`times`](Fault::times) and `%N` for
/// [`every`](Fault::every), and at the end `@ID` for [`for_user`](Fault::for_user).
///
/// `OPERATION` is `create`, `delete`, `issue`, `revoke`, `exchange`, or `*` for all of them. `FAILURE` is one of:
///
/// | Words | Fault |
/// |---|---|
/// | `STATUS`, from 200 to 599 | [`respond`](Fault::respond) |
/// | `STATUS=TIME` | the same, with a `Retry-After` of this time |
/// | `drop` | [`drop_before_processing`](Fault::drop_before_processing) |
/// | `delay=TIME` | [`delay`](Fault::delay) |
/// | `drip=TIME` | [`drip`](Fault::drip) |
/// | `truncate` | [`truncate_body`](Fault::truncate_body) |
/// | `stall` | [`stall`](Fault::stall) |
/// | `stall-body` | [`stall_body`](Fault::stall_body) |
///
/// `-after` behind a status, `drop` or `stall` adds [`after_processing`](Fault::after_processing). `TIME` is such
/// as `250ms`, `2s` or `1m30s`, up to an hour.
///
/// # Errors
///
/// Fails with [`InvalidInput`](crate::ErrorKind::InvalidInput) if the words are not of this form.
///
/// # Examples
///
/// ```
/// use acs_identity::emulator::{Emulator, Fault};
///
/// let emulator = Emulator::start()?;
/// for words in ["issue:429=5s*3", "create:drop-after", "*:delay=20ms%1", "delete:503@8:acs:a_b"] {
///     emulator.inject(words.parse()?);
/// }
/// assert_eq!(emulator.pending_faults().len(), 4);
/// assert!("isue:503".parse::<Fault>().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl FromStr for Fault {
    type Err = Error;

    fn from_str(words: &str) -> Result<Self, Error> {
        parse(words).map_err(Error::invalid_input)
    }
}

/// Writes words such as [`FromStr`] reads. A body and headers are left out.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.operation.map_or("*", Operation::name), self.words)?;
        for (mark, number) in [('%', self.every), ('*', self.times)] {
            if let Some(number) = number {
                write!(f, "{mark}{number}")?;
            }
        }
        self.user.as_ref().map_or(Ok(()), |user| write!(f, "@{user}"))
    }
}

/// Reads a time such as `250ms`, `1.5s` or `1h30m`.
pub(in crate::emulator) fn parse_time(text: &str) -> Result<Duration, String> {
    let time = sum_of_times(text).filter(|_| !text.is_empty());
    time.ok_or_else(|| format!("{text:?} is not a time such as 250ms, 2s, 10m or 1h30m"))
}

fn sum_of_times(mut text: &str) -> Option<Duration> {
    let mut time = Duration::ZERO;
    while !text.is_empty() {
        let (number, rest) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic())?);
        let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let (unit, rest) = rest.split_at(end);
        let unit = match unit {
            "h" => 3_600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 0.001,
            _ => return None,
        };
        let seconds = number.parse::<f64>().ok()? * unit;
        time = time.checked_add(Duration::try_from_secs_f64(seconds).ok()?)?;
        text = rest;
    }
    Some(time)
}

fn parse(words: &str) -> Result<Fault, String> {
    let (operation, rest) =
        words.split_once(':').ok_or("expected OPERATION:FAILURE, such as create:503")?;
    let (mut failure, user) = rest.split_once('@').map_or((rest, None), |(it, id)| (it, Some(id)));
    if user == Some("") {
        return Err("expected the id of a user behind the @".to_owned());
    }
    let (mut times, mut every) = (None, None);
    while let Some(at) = failure.rfind(['*', '%']) {
        let (rest, suffix) = failure.split_at(at);
        let (mark, digits) = suffix.split_at(1);
        let number = digits.parse::<u64>().ok().filter(|number| *number > 0);
        let number = number.ok_or_else(|| format!("{suffix:?} needs a number from 1"))?;
        let slot = if mark == "*" { &mut times } else { &mut every };
        if let Some(given) = slot.replace(number) {
            return Err(format!("{suffix:?} comes with a second number, {mark}{given}"));
        }
        failure = rest;
    }
    let (operation, user) = (parse_operation(operation)?, user.map(str::to_owned));
    if let (Some(Operation::Create | Operation::Exchange), Some(_)) = (operation, &user) {
        return Err("a create or an exchange names no user: leave out the @".to_owned());
    }
    let (fault, words) = (parse_failure(failure)?, failure.to_owned());
    Ok(Fault { words, operation, user, times, every, ..fault })
}

fn parse_operation(name: &str) -> Result<Option<Operation>, String> {
    match Operation::ALL.into_iter().find(|operation| operation.name() == name) {
        None if name != "*" => {
            let known = Operation::ALL.map(Operation::name).join(", ");
            Err(format!("{name:?} is not an operation: expected {known} or *"))
        }
        found => Ok(found),
    }
}

fn parse_failure(failure: &str) -> Result<Fault, String> {
    let (name, time) = match failure.split_once('=') {
        Some((name, time)) => (name, Some(parse_time(time)?)),
        None => (failure, None),
    };
    if time.is_some_and(|time| time > MAX_TIME) {
        return Err(format!("{failure:?} takes longer than an hour"));
    }
    let (name, is_after) = name.strip_suffix("-after").map_or((name, false), |name| (name, true));
    let fault = match (name, time) {
        ("drop", None) => Fault::drop_before_processing(),
        ("delay", Some(time)) => Fault::delay(time),
        ("drip", Some(time)) => Fault::drip(time),
        ("truncate", None) => Fault::truncate_body(),
        ("stall", None) => Fault::stall(),
        ("stall-body", None) => Fault::stall_body(),
        (status, retry_after) => {
            let status = status.parse().ok().filter(|status| (200..600).contains(status));
            let fault = Fault::respond(status.ok_or_else(|| {
                format!("{failure:?} is not a failure: expected a status from 200 to 599, drop, delay=TIME, drip=TIME, truncate, stall or stall-body")
            })?);
            match retry_after {
                // The header that every client knows has whole seconds.
                Some(time) if time.subsec_nanos() == 0 => {
                    fault.header("Retry-After", time.as_secs().to_string())
                }
                Some(time) => fault.header("retry-after-ms", time.as_millis().to_string()),
                None => fault,
            }
        }
    };
    Ok(if is_after { fault.after_processing() } else { fault })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_words_are_written_as_they_are_read() {
        for words in [
            "create:503",
            "issue:429=7s*3",
            "delete:503=250ms%10*2",
            "revoke:500-after=2s",
            "*:drop",
            "create:drop-after",
            "*:delay=2s%1",
            "*:delay=1.5s",
            "*:delay=0.5m10s",
            "exchange:drip=20ms",
            "issue:truncate",
            "issue:stall",
            "issue:stall-after",
            "issue:stall-body@8:acs:a_b",
            "delete:404%2*3@a*b@c",
        ] {
            assert_eq!(words.parse::<Fault>().unwrap().to_string(), words);
        }
        for (fault, words) in [
            ("create:delay=1h*2%3".parse().unwrap(), "create:delay=1h%3*2"),
            (Fault::respond(503).header("X-Other", "7").body("CANARY"), "*:503"),
            (Fault::respond(500).after_processing(), "*:500-after"),
            (Fault::drop_after_processing().after_processing(), "*:drop-after"),
            (Fault::delay(Duration::from_millis(1_500)).after_processing(), "*:delay=1.5s"),
            (Fault::drip(Duration::from_millis(20)), "*:drip=20ms"),
            (Fault::stall().on(Operation::Issue).for_user("a"), "issue:stall@a"),
        ] {
            assert_eq!(fault.to_string(), words);
            assert_eq!(words.parse::<Fault>().unwrap().to_string(), words);
        }
    }

    #[test]
    fn fault_words_with_a_mistake_are_refused() {
        let failures = " is not a failure: expected a status from 200 to 599, drop, delay=TIME, drip=TIME, truncate, stall or stall-body";
        let time = " is not a time such as 250ms, 2s, 10m or 1h30m";
        for (words, problem) in [
            ("issue", "expected OPERATION:FAILURE, such as create:503"),
            (
                "isue:429",
                "\"isue\" is not an operation: expected create, delete, issue, revoke, exchange or *",
            ),
            ("issue:", &format!("\"\"{failures}")),
            ("issue:dorp", &format!("\"dorp\"{failures}")),
            ("issue:429x3", &format!("\"429x3\"{failures}")),
            ("issue:199", &format!("\"199\"{failures}")),
            ("issue:600", &format!("\"600\"{failures}")),
            ("issue:delay", &format!("\"delay\"{failures}")),
            ("issue:drop=2s", &format!("\"drop=2s\"{failures}")),
            ("issue:delay=2", &format!("\"2\"{time}")),
            ("issue:delay=s", &format!("\"s\"{time}")),
            ("issue:delay=é", &format!("\"é\"{time}")),
            ("issue:delay=-1s", &format!("\"-1s\"{time}")),
            ("issue:delay=NaNs", &format!("\"NaNs\"{time}")),
            ("issue:delay=", &format!("\"\"{time}")),
            ("issue:delay=1m30", &format!("\"1m30\"{time}")),
            ("issue:delay=1d", &format!("\"1d\"{time}")),
            ("issue:delay=99999999999999999h", &format!("\"99999999999999999h\"{time}")),
            ("issue:delay=3601s", "\"delay=3601s\" takes longer than an hour"),
            ("issue:429*", "\"*\" needs a number from 1"),
            ("issue:429%x", "\"%x\" needs a number from 1"),
            ("issue:429*0", "\"*0\" needs a number from 1"),
            ("issue:429%%2", "\"%\" needs a number from 1"),
            ("issue:429*2*3", "\"*2\" comes with a second number, *3"),
            ("issue:429@", "expected the id of a user behind the @"),
            ("create:429@8:acs:a", "a create or an exchange names no user: leave out the @"),
            ("exchange:429@8:acs:a", "a create or an exchange names no user: leave out the @"),
        ] {
            let error = words.parse::<Fault>().unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::InvalidInput);
            assert_eq!(error.to_string(), problem);
        }
    }
}
