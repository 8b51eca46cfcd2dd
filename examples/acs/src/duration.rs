//! Times as people write them: `90m`, `2h`, `1h30m`, `1.5h`, `250ms`.

use std::time::Duration;

pub(crate) fn parse(text: &str) -> Result<Duration, &'static str> {
    read(text).ok_or("expected a time such as 2h, 90m, 1h30m, 20s or 250ms")
}

fn read(text: &str) -> Option<Duration> {
    let mut time = (!text.is_empty()).then_some(Duration::ZERO)?;
    let mut rest = text;
    while !rest.is_empty() {
        let (number, tail) = rest.split_at(rest.find(|c: char| c.is_ascii_alphabetic())?);
        let end = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let unit = match unit {
            "h" => 3_600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 0.001,
            _ => return None,
        };
        let seconds = number.parse::<f64>().ok()? * unit;
        time = time.checked_add(Duration::try_from_secs_f64(seconds).ok()?)?;
        rest = tail;
    }
    Some(time)
}

/// Writes a time in two units at most, without the parts of a second.
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
    fn duration_is_shown_as_it_is_read() {
        for (seconds, text) in
            [(0, "0s"), (59, "59s"), (60, "1m0s"), (571, "9m31s"), (3600, "1h0m"), (7325, "2h2m")]
        {
            assert_eq!(show(Duration::from_secs(seconds)), text);
            assert!(parse(text).is_ok());
        }
    }
}
