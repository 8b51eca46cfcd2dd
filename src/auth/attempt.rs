//! Authenticates the attempts of one call, and recovers from a 401.

use std::time::{Duration, SystemTime};

use ureq::http::{HeaderMap, HeaderValue, header};

use crate::auth::access_key::{BASE64_OF_32_BYTES, RequestToSign};
use crate::auth::bearer::{Credential, Kind};
use crate::error::Error;
use crate::error::advice::Authenticated;
use crate::timestamp::shifted;

/// The clock skew that explains a 401, in seconds. The service does not publish its tolerance.
const NOTABLE_SKEW: u64 = 4 * 60;

/// The largest clock skew that is corrected, in seconds: whoever forges a response must not be able to
/// make a client sign for an arbitrary time. A clock that is further off fails to verify certificates
/// anyway.
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
    /// The signature that was sent last.
    signature: Option<[u8; BASE64_OF_32_BYTES]>,
    /// The signatures and bearer tokens that were sent before.
    earlier: Vec<Vec<u8>>,
    recovered: bool,
}

impl Authentication {
    pub(crate) fn new(credential: Credential, offset: i64) -> Self {
        Self {
            credential,
            offset,
            measured: None,
            bearer: None,
            signature: None,
            earlier: Vec::new(),
            recovered: false,
        }
    }

    /// The offset, if this call had to measure it.
    pub(crate) fn offset_found(&self) -> Option<i64> {
        (self.recovered && matches!(self.credential.kind(), Kind::Key(_))).then_some(self.offset)
    }

    /// How the last request was authenticated.
    pub(crate) fn means(&self) -> Authenticated {
        match self.credential.kind() {
            Kind::Bearer(_) => Authenticated::BearerToken,
            Kind::Key(_) if self.offset == 0 => Authenticated::Signature,
            Kind::Key(_) => Authenticated::SignatureOfServiceTime,
        }
    }

    /// Whether a text has a part of a signature or bearer token that was sent.
    pub(crate) fn has_sent(&self, text: &str) -> bool {
        // Any 23 bytes in common contain such a part.
        const PART: usize = 12;
        let signature = self.signature.iter().map(<[u8; BASE64_OF_32_BYTES]>::as_slice);
        let bearer = self.bearer.iter().map(HeaderValue::as_bytes);
        let earlier = self.earlier.iter().map(Vec::as_slice);
        signature.chain(bearer).chain(earlier).any(|sent| {
            let is_sent = |part| sent.windows(PART).any(|window| window == part);
            text.as_bytes().chunks_exact(PART).any(is_sent)
        })
    }

    /// Whether [`recover`](Self::recover) changed the authentication.
    pub(crate) fn has_recovered(&self) -> bool {
        self.recovered
    }

    /// Adds the headers that authenticate a request sent now.
    pub(crate) fn authenticate(
        &mut self,
        headers: &mut HeaderMap,
        request: &RequestToSign<'_>,
        now: impl Fn() -> SystemTime,
        patience: Duration,
    ) -> Result<(), Error> {
        match self.credential.kind() {
            Kind::Key(key) => {
                let signed = key.sign(request, service_time(now(), self.offset))?;
                if let Some(signature) = signed.authorization().as_bytes().last_chunk() {
                    self.earlier.extend(self.signature.replace(*signature).map(Vec::from));
                }
                let values = signed.into_values().ok_or_else(|| {
                    Error::invalid_input("the signature cannot be written as HTTP")
                })?;
                headers.extend(values);
            }
            Kind::Bearer(bearer) => {
                let header = bearer.header(now, patience)?;
                headers.insert(header::AUTHORIZATION, header.clone());
                let last =
                    self.bearer.replace(header).filter(|last| Some(last) != self.bearer.as_ref());
                self.earlier.extend(last.map(|last| last.as_bytes().to_vec()));
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
        let round_trip = received.duration_since(sent).unwrap_or_default();
        let middle = sent.checked_add(round_trip / 2).unwrap_or(sent);
        self.measured = date.map(|theirs| match theirs.duration_since(middle) {
            Ok(ahead) => seconds(ahead),
            Err(behind) => -seconds(behind.duration()),
        });
    }

    /// The clock skew that was measured last, if it explains a 401.
    pub(crate) fn notable_skew(&self) -> Option<i64> {
        self.measured.filter(|skew| skew.unsigned_abs() > NOTABLE_SKEW)
    }

    /// Changes the authentication after a 401, once per call: drops the bearer token, or corrects the
    /// clock. Returns whether it did.
    pub(crate) fn recover(&mut self, clock_correction: bool) -> bool {
        if self.recovered {
            return false;
        }
        self.recovered = match (self.credential.kind(), &self.bearer, self.measured) {
            (Kind::Bearer(bearer), Some(rejected), _) => {
                bearer.forget(rejected);
                true
            }
            (Kind::Key(_), _, Some(measured))
                if clock_correction
                    && measured.abs_diff(self.offset) > NOTABLE_SKEW
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

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::auth::access_key::AccessKey;
    use crate::auth::bearer::BearerToken;

    /// After a 401 whose `Date` is so many seconds ahead of the middle of a round-trip.
    fn rejected(ahead: i64) -> Authentication {
        let key: AccessKey = "c2VjcmV0".parse().unwrap();
        let mut authentication = Authentication::new(key.into(), 0);
        let sent = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let received = sent + Duration::from_secs(10);
        authentication.measure(sent, received, shifted(sent, 5 + ahead));
        authentication
    }

    /// A server may send any of them back.
    #[test]
    fn all_that_was_sent_is_recognized() {
        let key: AccessKey = "c2VjcmV0".parse().unwrap();
        let mut authentication = Authentication::new(key.into(), 0);
        let sent: Vec<String> = [1, 2, 3]
            .map(|second| {
                let mut headers = HeaderMap::new();
                let request = RequestToSign {
                    method: "GET",
                    host: "localhost",
                    path_and_query: "/",
                    body: b"",
                };
                let now = || UNIX_EPOCH + Duration::from_secs(second);
                authentication.authenticate(&mut headers, &request, now, Duration::MAX).unwrap();
                let value = headers[header::AUTHORIZATION].to_str().unwrap();
                value.rsplit("Signature=").next().unwrap().to_owned()
            })
            .into();
        assert!(sent[0] != sent[1] && sent[1] != sent[2]);
        for signature in &sent {
            assert!(authentication.has_sent(&signature[..30]), "{signature}");
        }
        assert!(!authentication.has_sent("0nLQ1YwAAAAALU1NTsHjdTJT5NhSnlRaZUFJHMDFFREdFMDkwOABm"));
    }

    #[test]
    fn a_bearer_token_that_was_replaced_is_recognized() {
        let names = Mutex::new(["a", "b"].into_iter());
        let credential = Credential::bearer(move |_: &str| {
            let token = names.lock().unwrap().next().unwrap().repeat(30);
            Ok(BearerToken::new(token, UNIX_EPOCH + Duration::from_secs(3_600)))
        });
        let mut authentication = Authentication::new(credential, 0);
        let request = RequestToSign { method: "GET", host: "a", path_and_query: "/", body: b"" };
        let send = |authentication: &mut Authentication| {
            let (mut headers, now) = (HeaderMap::new(), || UNIX_EPOCH);
            authentication.authenticate(&mut headers, &request, now, Duration::MAX).unwrap();
        };
        send(&mut authentication);
        send(&mut authentication);
        assert!(authentication.earlier.is_empty());
        assert!(authentication.recover(true));
        send(&mut authentication);
        for (name, sent) in [("a", true), ("b", true), ("c", false)] {
            assert_eq!(authentication.has_sent(&name.repeat(23)), sent, "{name}");
        }
    }

    #[test]
    fn only_a_skew_that_explains_a_401_is_corrected_up_to_a_day() {
        let (notable, day) = (4 * 60 + 1, 24 * 60 * 60);
        for skew in [0, 1, 4 * 60, notable, day, day + 1].into_iter().flat_map(|it| [it, -it]) {
            let mut authentication = rejected(skew);
            let is_notable = skew.abs() >= notable;
            assert_eq!(authentication.notable_skew(), is_notable.then_some(skew));
            let is_corrected = is_notable && skew.abs() <= day;
            assert_eq!(authentication.recover(true), is_corrected, "{skew}");
            assert_eq!(authentication.offset_found(), is_corrected.then_some(skew));
            assert!(!authentication.recover(true), "once");
        }
        assert!(!rejected(notable).recover(false));
    }
}
