//! `--fault`: what goes wrong, and when.

use std::time::Duration;

use acs_identity::emulator::{Fault, Operation};

use super::help::GRAMMAR;
use super::parse_time;

const MAX_FAULT_TIME: Duration = Duration::from_secs(60 * 60);

pub(super) fn parse_fault(spec: &str) -> Result<Fault, String> {
    fault(spec).map_err(|problem| format!("--fault {spec}: {problem}\n\n{GRAMMAR}"))
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
    let unknown = || format!("{failure:?} is not a failure");
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
