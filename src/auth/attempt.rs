//! Authenticates the attempts of one call, and recovers from a 401.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ureq::http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::access_key::RequestToSign;
use crate::auth::credential::{Credential, Kind};
use crate::error::Error;
use crate::timestamp::shifted;

/// The largest clock skew, in seconds, that does not explain a 401. The service does not publish its
/// tolerance.
const MAX_CLOCK_SKEW: u64 = 4 * 60;

/// The largest clock skew that is corrected, in seconds: otherwise a forged response could make the client
/// sign for an arbitrary time. A clock that is further off fails to verify certificates anyway.
const MAX_CORRECTION: u64 = 24 * 60 * 60;

/// The authentication of one call.
pub(crate) struct Authentication {
    credential: Credential,
    /// Seconds from our clock to the service's, as far as known. Requests are signed for that time.
    offset: i64,
    /// The offset that the `Date` of the last 401 suggests.
    measured: Option<i64>,
    /// The bearer token that was sent last.
    bearer: Option<HeaderValue>,
    recovered: bool,
}

impl Authentication {
    pub(crate) fn new(credential: Credential, offset: i64) -> Self {
        Self { credential, offset, measured: None, bearer: None, recovered: false }
    }

    /// Returns the offset, if this call had to measure it.
    pub(crate) fn measured_offset(&self) -> Option<i64> {
        (self.recovered && !self.is_bearer()).then_some(self.offset)
    }

    /// Whether requests carry a bearer token instead of a signature.
    pub(crate) fn is_bearer(&self) -> bool {
        matches!(self.credential.kind(), Kind::Bearer(_))
    }

    /// Whether requests are dated with the service's time, which differs from this machine's clock.
    pub(crate) fn is_clock_corrected(&self) -> bool {
        self.offset != 0
    }

    /// Adds the headers that authenticate a request sent now.
    pub(crate) fn authenticate(
        &mut self,
        headers: &mut HeaderMap,
        request: &RequestToSign<'_>,
        now: impl Fn() -> SystemTime,
        max_wait: Duration,
    ) -> Result<(), Error> {
        match self.credential.kind() {
            Kind::Key(key) => {
                let signed = key.sign(request, service_time(now(), self.offset))?;
                for (name, value) in signed.into_headers() {
                    let value = HeaderValue::try_from(value).map_err(|error| {
                        Error::invalid_input("the signature cannot be written as HTTP")
                            .with_source(error)
                    })?;
                    headers.insert(HeaderName::from_static(name), value);
                }
            }
            Kind::Bearer(bearer) => {
                let header = bearer.header(now, max_wait)?;
                headers.insert(header::AUTHORIZATION, header.clone());
                self.bearer = Some(header);
            }
        }
        Ok(())
    }

    /// Measures the clock skew: compares the `Date` of a 401 with the middle of its round-trip.
    pub(crate) fn measure(
        &mut self,
        sent: SystemTime,
        received: SystemTime,
        date: Option<SystemTime>,
    ) {
        let middle = i64::midpoint(unix_seconds(sent), unix_seconds(received));
        self.measured = date.map(|theirs| unix_seconds(theirs) - middle);
    }

    /// Returns the clock skew that was measured last, if it explains a 401: positive if the service is
    /// ahead.
    pub(crate) fn clock_skew(&self) -> Option<i64> {
        self.measured.filter(|skew| skew.unsigned_abs() > MAX_CLOCK_SKEW)
    }

    /// Changes the authentication after a 401, once per call: drops the bearer token, or corrects the
    /// clock. Returns whether it did.
    pub(crate) fn recover(&mut self, clock_correction: bool) -> bool {
        if self.recovered {
            return false;
        }
        self.recovered = match (self.credential.kind(), &self.bearer, self.measured) {
            (Kind::Bearer(bearer), Some(rejected), _) => {
                bearer.invalidate(rejected);
                true
            }
            (Kind::Key(_), _, Some(measured))
                if clock_correction
                    && measured.abs_diff(self.offset) > MAX_CLOCK_SKEW
                    && measured.unsigned_abs() <= MAX_CORRECTION =>
            {
                self.offset = measured;
                true
            }
            _ => false,
        };
        self.recovered
    }
}

/// The service's time, if there is such an instant; otherwise ours.
pub(crate) fn service_time(ours: SystemTime, offset: i64) -> SystemTime {
    shifted(ours, offset).unwrap_or(ours)
}

/// 0 before 1970, for which nothing is signed.
fn unix_seconds(time: SystemTime) -> i64 {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access_key::AccessKey;

    /// The state after a 401 with a `Date` this many seconds ahead of the middle of the round-trip.
    fn rejected(ahead: i64) -> Authentication {
        let key: AccessKey = "c2VjcmV0".parse().unwrap();
        let mut authentication = Authentication::new(key.into(), 0);
        let sent = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let received = sent + Duration::from_secs(10);
        authentication.measure(sent, received, shifted(sent, 5 + ahead));
        authentication
    }

    #[test]
    fn clock_correction_takes_a_skew_that_explains_a_401_up_to_a_day() {
        let (notable, day) = (4 * 60 + 1, 24 * 60 * 60);
        for skew in [0, 1, 4 * 60, notable, day, day + 1].into_iter().flat_map(|it| [it, -it]) {
            let mut authentication = rejected(skew);
            let is_notable = skew.abs() >= notable;
            assert_eq!(authentication.clock_skew(), is_notable.then_some(skew));
            let is_corrected = is_notable && skew.abs() <= day;
            assert_eq!(authentication.recover(true), is_corrected, "{skew}");
            assert_eq!(authentication.measured_offset(), is_corrected.then_some(skew));
            assert!(!authentication.recover(true), "once");
        }
        assert!(!rejected(notable).recover(false));
    }
}
