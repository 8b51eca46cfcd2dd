//! The emulator's clock: the system's, moved; and dates as the service writes them in JSON.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::timestamp;

/// The most that the clock moves and a token lives: dates have four digits for the year.
pub(super) const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clock {
    pub(super) ahead: Duration,
    pub(super) behind: Duration,
}

impl Clock {
    pub(super) fn now(self) -> SystemTime {
        let now = SystemTime::now();
        let moved = now.checked_add(self.ahead).and_then(|moved| moved.checked_sub(self.behind));
        moved.unwrap_or(now)
    }

    pub(super) fn advance(&mut self, by: Duration) {
        self.ahead = self.ahead.saturating_add(by).min(CENTURY);
    }
}

/// Writes RFC 3339 as .NET does (`2023-06-28T07:30:12.7039383+00:00`): up to seven fraction digits,
/// trailing zeros dropped, never `Z`. Empty outside the years 1970 to 9999, where no request can be signed
/// either.
pub(super) fn dotnet_rfc3339(instant: SystemTime) -> String {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";

    // `Wed, 28 Jun 2023 07:30:12 GMT` has all but the fraction.
    let date = timestamp::http_date(instant).unwrap_or_default();
    let [_, day, month, year, time, _] = *date.split(' ').collect::<Vec<_>>() else {
        return String::new();
    };
    let month = MONTHS.find(month).map_or(0, |at| at / 3 + 1);
    let since_epoch = instant.duration_since(UNIX_EPOCH).unwrap_or_default();
    let fraction = format!(".{:07}", since_epoch.subsec_nanos() / 100);
    let fraction = fraction.trim_end_matches('0').trim_end_matches('.');
    format!("{year}-{month:02}-{day}T{time}{fraction}+00:00")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::OffsetDateTime;
    use time::format_description::well_known::Rfc3339;

    use super::*;

    const YEAR_10000: u64 = 253_402_300_800;

    fn at(seconds: u64, nanos: u32) -> SystemTime {
        UNIX_EPOCH + Duration::new(seconds, nanos)
    }

    #[test]
    fn date_has_the_form_of_dotnet() {
        let text = |nanos| dotnet_rfc3339(at(1_687_937_412, nanos));
        assert_eq!(text(703_938_399), "2023-06-28T07:30:12.7039383+00:00");
        assert_eq!(text(281_901_000), "2023-06-28T07:30:12.281901+00:00");
        assert_eq!(text(99), "2023-06-28T07:30:12+00:00");
        assert_eq!(dotnet_rfc3339(at(YEAR_10000, 0)), "");
        assert_eq!(dotnet_rfc3339(UNIX_EPOCH - Duration::from_nanos(100)), "");
    }

    proptest! {
        #[test]
        fn date_is_read_by_a_date_crate(seconds in 0..YEAR_10000, ticks in 0..10_000_000_u32) {
            let instant = at(seconds, ticks * 100);
            let read = OffsetDateTime::parse(&dotnet_rfc3339(instant), &Rfc3339);
            prop_assert_eq!(read.map(SystemTime::from), Ok(instant));
        }
    }
}
