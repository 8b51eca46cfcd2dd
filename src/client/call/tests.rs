//! Calls over real sockets, with a test clock for which backoff takes no time.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::client::clock::Clock;
use crate::emulator::{Emulator, Fault, RecordedRequest};
use crate::{
    AccessKey, BearerToken, CommunicationIdentityClient, CommunicationIdentityClientBuilder,
    CommunicationUserIdentifier, Credential, ErrorKind, RetryPolicy,
};

mod delays;
mod lost_creates;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// A clock that moves only during a sleep, which returns at once.
#[derive(Clone)]
struct TestClock(Arc<State>);

struct State {
    started: Instant,
    now: Mutex<SystemTime>,
    slept: Mutex<Vec<Duration>>,
    while_asleep: Box<dyn Fn(&Self) + Send + Sync>,
}

impl TestClock {
    fn at(now: SystemTime) -> Self {
        Self::new(now, |_| {})
    }

    fn new(now: SystemTime, while_asleep: impl Fn(&State) + Send + Sync + 'static) -> Self {
        Self(Arc::new(State {
            started: Instant::now(),
            now: Mutex::new(now),
            slept: Mutex::default(),
            while_asleep: Box::new(while_asleep),
        }))
    }

    fn set(&self, now: SystemTime) {
        *self.0.now.lock().unwrap() = now;
    }

    fn slept(&self) -> Vec<Duration> {
        self.0.slept.lock().unwrap().clone()
    }
}

impl Clock for TestClock {
    fn now(&self) -> SystemTime {
        *self.0.now.lock().unwrap()
    }

    fn instant(&self) -> Instant {
        self.0.started + self.slept().iter().sum::<Duration>()
    }

    fn sleep(&self, duration: Duration) {
        self.0.slept.lock().unwrap().push(duration);
        *self.0.now.lock().unwrap() += duration;
        (self.0.while_asleep)(&self.0);
    }
}

fn builder(emulator: &Emulator, clock: &TestClock) -> CommunicationIdentityClientBuilder {
    let key: AccessKey = emulator.access_key().parse().unwrap();
    CommunicationIdentityClient::builder(emulator.endpoint().parse().unwrap(), key)
        .clock(clock.clone())
}

fn client(emulator: &Emulator, clock: &TestClock) -> CommunicationIdentityClient {
    builder(emulator, clock).build().unwrap()
}

fn user() -> CommunicationUserIdentifier {
    "8:acs:resource_user".parse().unwrap()
}

/// A 503 in the service's own format, after which a create may be retried because nothing was processed.
fn busy() -> Fault {
    Fault::respond(503).body(r#"{"error":{"code":"ServiceUnavailable","message":"Busy."}}"#)
}

/// Verifies a request with the key, by the published scheme and without any code of this crate.
fn is_signed_right(request: &RecordedRequest, key: &str) -> bool {
    let header = |name| request.header(name).unwrap();
    let hash = BASE64.encode(Sha256::digest(request.body()));
    let text = format!(
        "{}\n{}\n{};{};{hash}",
        request.method(),
        request.target(),
        header("x-ms-date"),
        header("host"),
    );
    let mac = Hmac::<Sha256>::new_from_slice(&BASE64.decode(key).unwrap()).unwrap();
    let signature = BASE64.encode(mac.chain_update(text).finalize().into_bytes());
    header("x-ms-content-sha256") == hash
        && header("authorization")
            == format!(
                "HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature={signature}"
            )
}

#[test]
fn retry_dates_and_signs_each_attempt_anew() {
    let emulator = Emulator::start().unwrap();
    let clock = TestClock::at(SystemTime::now());
    // The header has whole seconds.
    let policy = RetryPolicy::default().base_delay(Duration::from_secs(5));
    let client = builder(&emulator, &clock).retry_policy(policy).build().unwrap();
    emulator.inject(busy().times(2));
    client.create_user_and_token(["voip"]).unwrap();

    let requests = emulator.requests();
    assert_eq!(requests.len(), 3);
    let header =
        |name: &str| requests.iter().map(|it| it.header(name).unwrap()).collect::<Vec<_>>();
    let dates = header("x-ms-date");
    assert!(dates[0] != dates[1] && dates[1] != dates[2], "{dates:?}");
    let instants: Vec<_> =
        dates.iter().map(|date| httpdate::parse_http_date(date).unwrap()).collect();
    assert!(instants.is_sorted(), "{dates:?}");
    let ids = header("x-ms-client-request-id");
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(ids[0].len(), 36);
    for request in &requests {
        assert!(is_signed_right(request, emulator.access_key()), "{request:?}");
    }

    client.create_user().unwrap();
    assert_ne!(emulator.requests()[3].header("x-ms-client-request-id"), Some(ids[0]));
}

#[test]
fn retry_reaches_a_service_that_comes_up_meanwhile() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let key = "c2VjcmV0";
    let started = Arc::new(Mutex::new(None));
    let slot = Arc::clone(&started);
    let clock = TestClock::new(SystemTime::now(), move |_| {
        let emulator = Emulator::builder().address(address).access_key(key).start().unwrap();
        *slot.lock().unwrap() = Some(emulator);
    });
    let endpoint = format!("http://{address}").parse().unwrap();
    let client = CommunicationIdentityClient::builder(endpoint, key.parse::<AccessKey>().unwrap())
        .clock(clock.clone())
        .build()
        .unwrap();
    let user = client.create_user().unwrap();
    assert_eq!(clock.slept().len(), 1);
    assert_eq!(started.lock().unwrap().as_ref().unwrap().users(), [user.identifier()]);
}

#[test]
fn retry_waits_as_documented() {
    let emulator = Emulator::start().unwrap();
    emulator.inject(busy().times(u64::MAX));
    let clock = TestClock::at(SystemTime::now());
    let error = client(&emulator, &clock).create_user().unwrap_err();
    assert_eq!((error.attempts(), error.status()), (4, Some(503)));
    let slept = clock.slept();
    assert_eq!(slept.len(), 3);
    for (slept, base) in slept.iter().zip([800, 1_600, 3_200]) {
        let (least, most) = (base * 8 / 10, base * 12 / 10);
        assert!((least..=most).contains(&slept.as_millis()), "{slept:?} for {base} ms");
    }
    assert_eq!(error.elapsed(), slept.iter().sum::<Duration>());
    assert_eq!(error.retry_after(), None);
}

/// Clients that failed at the same time must not retry at the same time.
#[test]
fn retry_waits_differ() {
    let emulator = Emulator::start().unwrap();
    let clock = TestClock::at(SystemTime::now());
    let client = client(&emulator, &clock);
    for _ in 0..20 {
        emulator.inject(busy());
        client.create_user().unwrap();
    }
    let slept = clock.slept();
    assert!(slept.len() == 20 && slept.iter().any(|it| *it != slept[0]), "{slept:?}");
}

#[test]
fn doubt_persists_if_the_service_goes_away() {
    let emulator = Emulator::start().unwrap();
    emulator.inject(Fault::drop_after_processing());
    let slot = Arc::new(Mutex::new(None));
    let clock = {
        let slot = Arc::clone(&slot);
        TestClock::new(SystemTime::now(), move |_| *slot.lock().unwrap() = None)
    };
    let client = client(&emulator, &clock);
    *slot.lock().unwrap() = Some(emulator);
    let error = client.revoke_tokens(&user()).unwrap_err();
    assert_eq!((error.kind(), error.is_in_doubt()), (ErrorKind::Connection, true));
    let consequence = "an earlier attempt may have been processed; repeating it does no harm";
    assert!(error.to_string().contains(consequence), "{error}");
}

#[test]
fn deadline_includes_the_waits() {
    let emulator = Emulator::start().unwrap();
    emulator.inject(busy().header("Retry-After", "40").times(u64::MAX));
    let clock = TestClock::at(SystemTime::now());
    let error = client(&emulator, &clock).issue_token(&user(), ["voip"]).unwrap_err();
    // Two delays of 40 s fit into 100 s, and a third does not.
    assert_eq!(clock.slept(), [Duration::from_secs(40); 2]);
    assert_eq!((error.attempts(), error.elapsed()), (3, Duration::from_secs(80)));
}

/// The system may resume the thread late, for example after a laptop was asleep.
#[test]
fn deadline_ends_a_call_after_a_wait_that_took_too_long() {
    let emulator = Emulator::start().unwrap();
    let clock = TestClock::new(SystemTime::now(), |state| state.slept.lock().unwrap().push(HOUR));
    emulator.inject(Fault::respond(500));
    let error = client(&emulator, &clock).issue_token(&user(), ["chat"]).unwrap_err();
    assert_eq!((error.status(), error.attempts()), (Some(500), 1), "{error}");
    assert_eq!(emulator.request_count(), 1);
}

#[test]
fn clock_outside_the_range_of_http_dates_sends_nothing() {
    let year_10000 = UNIX_EPOCH + Duration::from_secs(253_402_300_800);
    let second = Duration::from_secs(1);
    for now in [UNIX_EPOCH - second, UNIX_EPOCH - 1_000_000 * HOUR, year_10000, year_10000 + HOUR] {
        let emulator = Emulator::start().unwrap();
        let clock = TestClock::at(now);
        let client = client(&emulator, &clock);
        let errors = [
            client.create_user().unwrap_err(),
            client.issue_token(&user(), ["voip"]).unwrap_err(),
            client.revoke_tokens(&user()).unwrap_err(),
            client.delete_user(&user()).unwrap_err(),
        ];
        for error in errors {
            assert_eq!((error.kind(), error.attempts()), (ErrorKind::InvalidInput, 0), "{error}");
            assert!(!error.is_in_doubt());
            assert!(error.to_string().contains("clock"), "{error}");
        }
        assert_eq!(emulator.request_count(), 0);
        assert!(clock.slept().is_empty());

        // The client keeps working afterwards.
        clock.set(SystemTime::now());
        client.create_user().unwrap();
    }
}

#[test]
fn clock_correction_follows_a_clock_that_is_set_right_later() {
    let emulator = Emulator::start().unwrap();
    let clock = TestClock::at(SystemTime::now() - 2 * HOUR);
    let client = client(&emulator, &clock);
    for (now, offset, requests) in [
        (None, 7_200, 2),
        (None, 7_200, 1),
        (Some(SystemTime::now()), 0, 2),
        (None, 0, 1),
        (Some(SystemTime::now() + 3 * HOUR), -10_800, 2),
        (None, -10_800, 1),
    ] {
        if let Some(now) = now {
            clock.set(now);
        }
        let before = emulator.request_count();
        client.create_user().unwrap();
        assert_eq!(emulator.request_count() - before, requests);
        assert!(client.clock_offset_seconds().abs_diff(offset) <= 2, "{offset}");
    }
    assert!(clock.slept().is_empty());
}

#[test]
fn clock_correction_signs_right_and_keeps_the_retries() {
    let emulator = Emulator::start().unwrap();
    let clock = TestClock::at(SystemTime::now() + 2 * HOUR);
    let client = client(&emulator, &clock);
    emulator.inject(busy().times(2));
    // The skew is detected at the third response, the first 401.
    client.create_user().unwrap();
    let requests = emulator.requests();
    let statuses: Vec<_> = requests.iter().map(RecordedRequest::status).collect();
    assert_eq!(statuses, [Some(503), Some(503), Some(401), Some(201)]);
    assert!(requests.iter().all(|it| is_signed_right(it, emulator.access_key())));

    assert_eq!(clock.slept().len(), 2);

    // The correction does not count as a retry: all three are left.
    clock.set(SystemTime::now() - 2 * HOUR);
    emulator.inject(Fault::respond(401));
    emulator.inject(busy().times(3));
    client.create_user().unwrap();
    assert_eq!(clock.slept().len(), 5);
    assert_eq!(emulator.request_count(), 4 + 5);
}

#[test]
fn bearer_token_that_outlasts_the_deadline_ends_the_call() {
    let emulator = Emulator::start().unwrap();
    let clock = TestClock::at(SystemTime::now());
    let slow = clock.clone();
    let credential = Credential::bearer(move |_: &str| {
        slow.sleep(Duration::from_secs(100));
        Ok(BearerToken::new("token", slow.now() + HOUR))
    });
    let client =
        CommunicationIdentityClient::builder(emulator.endpoint().parse().unwrap(), credential)
            .clock(clock)
            .build()
            .unwrap();
    let error = client.create_user().unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Connection, 0));
    let told = "create_user: the call's deadline passed before the request could be sent; nothing was sent [";
    assert!(error.to_string().starts_with(told), "{error}");
    assert!(error.is_transient() && !error.is_in_doubt());
    assert_eq!(emulator.request_count(), 0);
}
