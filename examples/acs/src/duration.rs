//! Lengths of time as people write them: `90m`, `2h`, `1h30m`, `20s`.

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

/// As it is read, in two units at most; less than a second is none.
pub(crate) fn show(time: Duration) -> String {
    let seconds = time.as_secs();
    let parts = [(seconds / 3600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let shown = parts.iter().skip_while(|(number, _)| *number == 0).take(2);
    let shown: Vec<String> = shown.map(|(number, unit)| format!("{number}{unit}")).collect();
    if shown.is_empty() { "0s".to_owned() } else { shown.concat() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_as_it_is_read() {
        for (seconds, text) in
            [(0, "0s"), (59, "59s"), (60, "1m0s"), (571, "9m31s"), (3600, "1h0m"), (7325, "2h2m")]
        {
            assert_eq!(show(Duration::from_secs(seconds)), text);
            assert!(parse(text).is_ok());
        }
    }
}
