//! How the requests of one call say who they are from, and what can be done about a 401.

use std::time::{Duration, SystemTime};

use ureq::http::request::Builder;
use ureq::http::{HeaderMap, HeaderValue};

use crate::advice::{Authenticated, NOTABLE_CLOCK_DIFFERENCE};
use crate::credential::{Credential, Kind};
use crate::error::Error;
use crate::headers::date;
use crate::signing::RequestToSign;

/// The authentication of one call.
pub(crate) struct Authentication {
    credential: Credential,
    /// Seconds from our clock to the service's; what is signed is the service's time, as far as we
    /// know it.
    offset: i64,
    /// What the last answer's `Date` says the offset should be.
    measured: Option<i64>,
    /// The bearer token that was sent last.
    bearer: Option<HeaderValue>,
    recovered: bool,
}

impl Authentication {
    pub(crate) fn new(credential: Credential, offset: i64) -> Self {
        Self { credential, offset, measured: None, bearer: None, recovered: false }
    }

    /// The offset that this call had to find out for itself.
    pub(crate) fn offset_found(&self) -> Option<i64> {
        (self.recovered && matches!(self.credential.kind(), Kind::Key(_))).then_some(self.offset)
    }

    /// What the last request was authenticated with.
    pub(crate) fn means(&self) -> Authenticated {
        match self.credential.kind() {
            Kind::Bearer(_) => Authenticated::Token,
            Kind::Key(_) if self.offset == 0 => Authenticated::Signature,
            Kind::Key(_) => Authenticated::SignatureOfServiceTime,
        }
    }

    /// Whether [`recover`](Self::recover) found something to do.
    pub(crate) fn has_recovered(&self) -> bool {
        self.recovered
    }

    /// Adds the headers that authenticate a request sent now.
    pub(crate) fn authenticate(
        &mut self,
        mut builder: Builder,
        request: &RequestToSign<'_>,
        now: impl Fn() -> SystemTime,
        patience: Duration,
    ) -> Result<Builder, Error> {
        match self.credential.kind() {
            Kind::Key(key) => {
                for (name, value) in key.sign(request, shifted(now(), self.offset))?.headers() {
                    builder = builder.header(name, value);
                }
                Ok(builder)
            }
            Kind::Bearer(bearer) => {
                let header = bearer.header(now, patience)?;
                self.bearer = Some(header.clone());
                Ok(builder.header("authorization", header))
            }
        }
    }

    /// Compares an answer's `Date` with the middle of its round trip.
    pub(crate) fn measure(&mut self, sent: SystemTime, received: SystemTime, headers: &HeaderMap) {
        let round_trip = received.duration_since(sent).unwrap_or_default();
        let middle = sent.checked_add(round_trip / 2).unwrap_or(sent);
        self.measured = date(headers).map(|theirs| match theirs.duration_since(middle) {
            Ok(ahead) => seconds(ahead),
            Err(behind) => -seconds(behind.duration()),
        });
    }

    /// Takes the one chance that a call has after a 401: another bearer token, or the service's
    /// time. False if there is none.
    pub(crate) fn recover(&mut self, clock_correction: bool) -> bool {
        if self.recovered {
            return false;
        }
        self.recovered = match (self.credential.kind(), &self.bearer, self.measured) {
            (Kind::Bearer(bearer), Some(refused), _) => {
                bearer.forget(refused);
                true
            }
            (Kind::Key(_), _, Some(measured))
                if clock_correction
                    && measured.abs_diff(self.offset) > NOTABLE_CLOCK_DIFFERENCE.as_secs() =>
            {
                self.offset = measured;
                true
            }
            _ => false,
        };
        self.recovered
    }
}

/// An instant of our clock on a clock that is so many seconds ahead.
pub(crate) fn shifted(instant: SystemTime, seconds: i64) -> SystemTime {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let shifted =
        if seconds < 0 { instant.checked_sub(distance) } else { instant.checked_add(distance) };
    shifted.unwrap_or(instant)
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
