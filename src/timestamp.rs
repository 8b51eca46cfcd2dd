//! Reads RFC 3339 into [`SystemTime`], and writes HTTP dates.
//!
//! A date crate would be a further dependency; the tests compare this file with one.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The first second of a year with five digits: 10000-01-01T00:00:00Z.
const YEAR_10000: u64 = 253_402_300_800;

/// Reads `2023-06-28T07:30:12.7039383+00:00`: any number of fraction digits (nanoseconds are kept),
/// any offset or `Z`.
pub(crate) fn parse_rfc3339(text: &str) -> Option<SystemTime> {
    let mut rest = text.as_bytes();
    let year = number(&mut rest, 4)?;
    literal(&mut rest, b"-")?;
    let month = number(&mut rest, 2)?;
    literal(&mut rest, b"-")?;
    let day = number(&mut rest, 2)?;
    literal(&mut rest, b"Tt")?;
    let hour = number(&mut rest, 2)?;
    literal(&mut rest, b":")?;
    let minute = number(&mut rest, 2)?;
    literal(&mut rest, b":")?;
    let second = number(&mut rest, 2)?;
    let nanos = fraction(&mut rest)?;
    let offset = offset_seconds(&mut rest)?;

    // 60 is a leap second, which the sum below carries over.
    let in_range = (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !rest.is_empty() || !in_range {
        return None;
    }
    let seconds =
        days_from_epoch(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - offset;
    shifted(UNIX_EPOCH, seconds)?.checked_add(Duration::from_nanos(nanos))
}

/// Shifts an instant by some seconds, forward if they are positive. `None` if there is no such instant.
pub(crate) fn shifted(instant: SystemTime, seconds: i64) -> Option<SystemTime> {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    if seconds.is_negative() {
        instant.checked_sub(distance)
    } else {
        instant.checked_add(distance)
    }
}

/// Writes an HTTP date (`Wed, 13 Apr 2022 18:09:12 GMT`), or `None` outside the years 1970 to 9999.
pub(crate) fn http_date(instant: SystemTime) -> Option<String> {
    let since_epoch = instant.duration_since(UNIX_EPOCH).ok()?;
    // httpdate panics outside this range.
    (since_epoch.as_secs() < YEAR_10000).then(|| httpdate::fmt_http_date(instant))
}

fn number(rest: &mut &[u8], digits: usize) -> Option<i64> {
    let (head, tail) = rest.split_at_checked(digits)?;
    let value = head.iter().try_fold(0, |value, byte| {
        byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0'))
    })?;
    *rest = tail;
    Some(value)
}

fn literal(rest: &mut &[u8], any_of: &[u8]) -> Option<u8> {
    let (first, tail) = rest.split_first()?;
    *rest = tail;
    any_of.contains(first).then_some(*first)
}

/// Reads nanoseconds; digits past the ninth are dropped.
fn fraction(rest: &mut &[u8]) -> Option<u64> {
    let Some(tail) = rest.strip_prefix(b".") else { return Some(0) };
    let digits = tail.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (head, tail) = tail.split_at_checked(digits)?;
    *rest = tail;
    let padded = head.iter().map(|byte| u64::from(byte - b'0')).chain(std::iter::repeat(0)).take(9);
    (digits > 0).then(|| padded.fold(0, |nanos, digit| nanos * 10 + digit))
}

fn offset_seconds(rest: &mut &[u8]) -> Option<i64> {
    let sign = match literal(rest, b"Zz+-")? {
        b'+' => 1,
        b'-' => -1,
        _ => return Some(0),
    };
    let hours = number(rest, 2)?;
    literal(rest, b":")?;
    let minutes = number(rest, 2)?;
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3_600 + minutes * 60))
}

fn days_in_month(year: i64, month: i64) -> i64 {
    days_from_epoch(year, month + 1, 1) - days_from_epoch(year, month, 1)
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar, for years that count from March
/// so that the leap day comes last. The month 13 is the next January.
fn days_from_epoch(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::format_description::well_known::Rfc3339;
    use time::{OffsetDateTime, UtcOffset};

    use super::*;

    /// The resolution that every system's clock has.
    const TICK: Duration = Duration::from_nanos(100);

    fn oracle(text: &str) -> Option<SystemTime> {
        OffsetDateTime::parse(text, &Rfc3339).ok().map(SystemTime::from)
    }

    #[test]
    fn rfc3339_parses_what_the_service_sends() {
        for text in [
            "2023-06-28T07:30:12.7039383+00:00",
            "2023-06-28T07:30:25.281901+00:00",
            "2025-04-14T15:32:27+00:00",
            "1969-12-31T23:59:59.5Z",
            "2024-02-29t00:00:00z",
            "2024-02-29T00:00:00-23:59",
        ] {
            assert_eq!(parse_rfc3339(text), oracle(text), "{text}");
            assert!(parse_rfc3339(text).is_some(), "{text}");
        }
    }

    #[test]
    fn rfc3339_rejects_what_is_not_a_timestamp() {
        for text in [
            "",
            "2023-06-28",
            "2023-06-28 07:30:12Z",
            "2023-06-28T07:30:12",
            "2023-06-28T07:30:12.+00:00",
            "2023-02-29T07:30:12Z",
            "2023-00-10T07:30:12Z",
            "2023-13-10T07:30:12Z",
            "2023-06-28T24:00:00Z",
            "2023-06-28T07:60:00Z",
            "2023-06-28T07:30:61Z",
            "2023-06-28T07:30:12+0000",
            "2023-06-28T07:30:12+24:00",
            "2023-06-28T07:30:12-00:60",
            "2023-06-28T07:30:12Z ",
            "+023-06-28T07:30:12Z",
            "２023-06-28T07:30:12Z",
        ] {
            assert_eq!(parse_rfc3339(text), None, "{text}");
        }
    }

    #[test]
    fn http_date_has_two_digits_in_the_day_and_guards_its_range() {
        let at = |seconds| http_date(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(1_577_840_460).as_deref(), Some("Wed, 01 Jan 2020 01:01:00 GMT"));
        assert_eq!(at(1_709_168_460).as_deref(), Some("Thu, 29 Feb 2024 01:01:00 GMT"));
        assert_eq!(at(YEAR_10000 - 1).as_deref(), Some("Fri, 31 Dec 9999 23:59:59 GMT"));
        assert_eq!(at(YEAR_10000), None);
        assert_eq!(http_date(UNIX_EPOCH - TICK), None);
    }

    /// The calendar repeats after 400 years. Also tests the first invalid day of each month.
    #[test]
    fn rfc3339_agrees_with_a_date_crate_on_every_day() {
        let first_of =
            |year| time::Date::from_calendar_date(year, time::Month::January, 1).unwrap();
        let mut day = first_of(1970);
        while day < first_of(2370) {
            let text = format!("{day}T00:00:00Z");
            let instant = oracle(&text).unwrap();
            assert_eq!(parse_rfc3339(&text), Some(instant));
            let next = day.next_day().unwrap();
            if next.day() == 1 {
                let (year, month) = (day.year(), u8::from(day.month()));
                let none = format!("{year}-{month:02}-{}T00:00:00Z", day.day() + 1);
                assert_eq!(parse_rfc3339(&none), None, "{none}");
            }
            day = next;
        }
    }

    proptest! {
        #[test]
        fn rfc3339_agrees_with_a_date_crate(
            seconds in 0..i64::try_from(YEAR_10000).unwrap() - 172_800,
            nanos in 0..1_000_000_000_i128,
            digits in 0..=9_usize,
            offset in -86_340..=86_340_i32,
        ) {
            let offset = UtcOffset::from_whole_seconds(offset / 60 * 60).unwrap();
            let local = OffsetDateTime::from_unix_timestamp(seconds).unwrap().to_offset(offset);
            prop_assume!((1970..=9999).contains(&local.year()));
            let fraction = format!("{nanos:09}");
            let fraction = if digits == 0 { String::new() } else { format!(".{}", &fraction[..digits]) };
            let (hours, minutes, _) = offset.as_hms();
            let sign = if offset.is_negative() { '-' } else { '+' };
            let text = format!(
                "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{fraction}{sign}{:02}:{:02}",
                local.year(), u8::from(local.month()), local.day(),
                local.hour(), local.minute(), local.second(), hours.abs(), minutes.abs(),
            );
            prop_assert!(oracle(&text).is_some(), "{text}");
            prop_assert_eq!(parse_rfc3339(&text), oracle(&text), "{}", text);
        }

        #[test]
        fn rfc3339_never_panics(text in "\\PC*|[0-9TtZz:.+-]{0,40}") {
            let _ = parse_rfc3339(&text);
        }
    }
}
