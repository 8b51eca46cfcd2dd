//! Lengths of time on the command line: `90m`, `2h`, `1h30m`, `20s`.

use std::time::Duration;

/// How long a token may live, as the service has it.
pub(crate) fn parse_lifetime(text: &str) -> Result<Duration, &'static str> {
    let lifetime = parse(text)?;
    if (60 * 60..=24 * 60 * 60).contains(&lifetime.as_secs()) {
        return Ok(lifetime);
    }
    Err("expected 60m to 24h")
}

pub(crate) fn parse(text: &str) -> Result<Duration, &'static str> {
    const EXPECTED: &str = "expected hours, minutes or seconds such as 2h, 90m, 1h30m or 20s";
    let mut seconds: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or(EXPECTED)?;
        let (number, tail) = rest.split_at(digits);
        let (unit, tail) = tail.split_at_checked(1).ok_or(EXPECTED)?;
        let unit = match unit {
            "h" => 3600,
            "m" => 60,
            "s" => 1,
            _ => return Err(EXPECTED),
        };
        let number: u64 = number.parse().map_err(|_| EXPECTED)?;
        let part = number.checked_mul(unit).ok_or(EXPECTED)?;
        seconds = seconds.checked_add(part).ok_or(EXPECTED)?;
        rest = tail;
    }
    if text.is_empty() { Err(EXPECTED) } else { Ok(Duration::from_secs(seconds)) }
}
