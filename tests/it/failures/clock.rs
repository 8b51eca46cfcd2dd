//! Clients with clock skew. The tests move the emulator's clock: only the difference matters.

use std::thread;
use std::time::{Duration, SystemTime};

use acs_identity::emulator::{Emulator, EmulatorBuilder, Fault};
use acs_identity::{AccessKey, BearerToken, CommunicationIdentityClient, Credential, Error};

use crate::support::{Operation, emulator_with_user, hurried, problem, until, user};

const TWO_HOURS: Duration = Duration::from_secs(2 * 60 * 60);

type Skew = fn() -> EmulatorBuilder;

/// The emulator, the offset that a client should measure, and the direction in its error.
const SKEWS: [(Skew, i64, &str); 2] = [
    (|| Emulator::builder().clock_ahead(TWO_HOURS), 7_200, "behind"),
    (|| Emulator::builder().clock_behind(TWO_HOURS), -7_200, "ahead of"),
];

/// The problem of an error, with the skew rounded as if the call had taken no time.
fn text(error: &Error) -> String {
    let nearly = ["7198", "7199", "7201", "7202"];
    nearly.iter().fold(problem(error), |text, near| text.replace(near, "7200"))
}

/// A client with a key other than the emulator's.
fn with_wrong_key(emulator: &Emulator) -> CommunicationIdentityClient {
    let client = hurried(emulator).build().unwrap();
    client.replace_credential("b3RoZXI=".parse::<AccessKey>().unwrap());
    client
}

fn assert_near(offset: i64, expected: i64) {
    assert!(offset.abs_diff(expected) <= 2, "{offset} for {expected}");
}

#[test]
fn clock_correction_costs_one_extra_request_for_all_operations() {
    for (skew, offset, _) in SKEWS {
        // The user and the Teams user are created by another client.
        let (emulator, user) = emulator_with_user(skew());
        let client = hurried(&emulator).build().unwrap();
        assert_eq!(client.clock_offset_seconds(), 0);
        let before = emulator.request_count();
        for operation in Operation::ALL {
            operation.run_on(&client, &user).unwrap();
            assert_near(client.clock_offset_seconds(), offset);
            assert_near(client.clone().clock_offset_seconds(), offset);
        }
        let expected = u64::try_from(Operation::ALL.len()).unwrap() + 1;
        assert_eq!(emulator.request_count() - before, expected);
        let requests = emulator.requests();
        let statuses: Vec<_> = requests.iter().skip(2).map(|it| it.status().unwrap()).collect();
        assert_eq!(statuses, [401, 201, 201, 200, 200, 204, 204]);
        // Only the date and the headers that depend on it differ.
        let (refused, repeated) = (&requests[2], &requests[3]);
        for name in ["x-ms-client-request-id", "x-ms-content-sha256", "host"] {
            assert_eq!(refused.header(name), repeated.header(name));
        }
    }
}

#[test]
fn clock_correction_switched_off_reports_the_skew() {
    for (skew, _, direction) in SKEWS {
        let emulator = skew().start().unwrap();
        let client = hurried(&emulator).clock_correction(false).build().unwrap();
        let error = client.create_user().unwrap_err();
        assert_eq!((error.status(), error.attempts()), (Some(401), 1));
        assert_eq!(
            text(&error),
            format!(
                "create_user: the service responded with 401 Denied: Denied by the resource provider; this machine's clock is 7200 s (2 h) {direction} the service's: set it right"
            ),
        );
        assert_eq!(client.clock_offset_seconds(), 0);
        assert_eq!(emulator.request_count(), 1);
    }
}

#[test]
fn clock_skew_and_a_wrong_key_are_both_reported() {
    for (skew, _, direction) in SKEWS {
        let emulator = skew().start().unwrap();
        let client = with_wrong_key(&emulator);
        let error = client.create_user().unwrap_err();
        assert_eq!((error.status(), error.attempts()), (Some(401), 2));
        assert_eq!(
            text(&error),
            format!(
                "create_user: the service responded with 401 Denied: Denied by the resource provider; this machine's clock is 7200 s (2 h) {direction} the service's: signing with the service's time did not help, so check the access key as well (2 attempts in N s)"
            ),
        );
        assert_eq!(client.clock_offset_seconds(), 0, "an offset that did not help is not kept");
        assert_eq!(emulator.request_count(), 2);
    }
}

/// The offset is already known and applied, so only the key can be wrong.
#[test]
fn clock_skew_does_not_hide_a_key_that_becomes_wrong() {
    for (skew, offset, direction) in SKEWS {
        let emulator = skew().start().unwrap();
        let client = hurried(&emulator).build().unwrap();
        client.create_user().unwrap();
        client.replace_credential("b3RoZXI=".parse::<AccessKey>().unwrap());
        let before = emulator.request_count();
        let error = client.create_user().unwrap_err();
        assert_eq!(emulator.request_count() - before, 1, "the offset is not corrected again");
        assert_eq!(
            text(&error),
            format!(
                "create_user: the service responded with 401 Denied: Denied by the resource provider; this machine's clock is 7200 s (2 h) {direction} the service's: signing with the service's time did not help, so check the access key as well"
            ),
        );
        assert_near(client.clock_offset_seconds(), offset);
    }
}

#[test]
fn wrong_key_is_reported_without_mentioning_the_clock() {
    let emulator = Emulator::start().unwrap();
    let client = with_wrong_key(&emulator);
    let error = client.create_user().unwrap_err();
    assert_eq!(
        text(&error),
        "create_user: the service responded with 401 Denied: Denied by the resource provider; check that the endpoint and the access key belong to the same resource and that the key was not regenerated"
    );
    assert_eq!((emulator.request_count(), client.clock_offset_seconds()), (1, 0));
}

#[test]
fn clock_is_not_mentioned_after_a_401_about_an_id_or_a_teams_token() {
    for code in ["IdentityNotOwned", "InvalidAccessToken"] {
        let emulator = Emulator::start().unwrap();
        let client = hurried(&emulator).build().unwrap();
        emulator.inject(
            Fault::respond(401)
                .header("Date", "Wed, 13 Apr 2022 18:09:12 GMT")
                .body(format!("{{\"error\":{{\"code\":\"{code}\",\"message\":\"m\"}}}}")),
        );
        let error = client.revoke_tokens(&user()).unwrap_err();
        assert_eq!((error.code(), error.attempts()), (Some(code), 1));
        assert!(!error.to_string().contains("clock"), "{error}");
        assert_eq!((emulator.request_count(), client.clock_offset_seconds()), (1, 0));
    }
}

#[test]
fn clock_correction_is_kept_even_if_the_call_fails() {
    for (skew, offset, _) in SKEWS {
        let emulator = skew().start().unwrap();
        let client = hurried(&emulator).build().unwrap();
        let error = client.delete_user(&user()).unwrap_err();
        assert_eq!((error.code(), error.attempts()), (Some("IdentityNotOwned"), 2));
        assert_near(client.clock_offset_seconds(), offset);
        client.create_user().unwrap();
        assert_eq!(emulator.request_count(), 3);
    }
}

/// The older call began before the skew was detected, so its measurement is outdated.
#[test]
fn clock_correction_is_not_undone_by_an_older_call() {
    let emulator = Emulator::start().unwrap();
    let client = hurried(&emulator).build().unwrap();
    emulator.inject(Fault::delay(Duration::from_millis(300)));
    thread::scope(|scope| {
        let older = scope.spawn(|| client.create_user().unwrap());
        until(|| emulator.request_count() == 1);
        emulator.advance_clock(TWO_HOURS);
        client.create_user().unwrap();
        assert_near(client.clock_offset_seconds(), 7_200);
        older.join().unwrap();
    });
    assert_near(client.clock_offset_seconds(), 7_200);
}

/// The attempt that was rejected for its date cannot have deleted anything.
#[test]
fn clock_correction_does_not_count_as_an_earlier_delete() {
    let emulator = Emulator::builder().clock_ahead(TWO_HOURS).start().unwrap();
    let client = hurried(&emulator).build().unwrap();
    // Two faults, because the emulator does not check the date of a request with a fault.
    let date = httpdate::fmt_http_date(SystemTime::now() + TWO_HOURS);
    emulator.inject(Fault::respond(401).header("Date", date));
    emulator.inject(Fault::respond(404));
    let error = client.delete_user(&user()).unwrap_err();
    assert_eq!((error.status(), error.attempts()), (Some(404), 2));
}

#[test]
fn clock_correction_ignores_small_skews_and_invalid_dates() {
    let now = SystemTime::now();
    for date in [
        httpdate::fmt_http_date(now + Duration::from_secs(3 * 60)),
        httpdate::fmt_http_date(now - Duration::from_secs(3 * 60)),
        "yesterday".to_owned(),
        String::new(),
    ] {
        let emulator = Emulator::start().unwrap();
        emulator.inject(Fault::respond(401).header("Date", date));
        let client = hurried(&emulator).build().unwrap();
        let error = client.create_user().unwrap_err();
        assert_eq!((error.status(), error.attempts()), (Some(401), 1));
        assert!(
            error.to_string().contains("; check that the endpoint and the access key"),
            "{error}"
        );
        assert_eq!((emulator.request_count(), client.clock_offset_seconds()), (1, 0));
    }
}

/// Otherwise a forged response could make the client sign for an arbitrary time.
#[test]
fn clock_skew_above_a_day_is_reported_but_not_corrected() {
    let three_days = Duration::from_secs(3 * 86_400);
    let now = SystemTime::now();
    for (date, difference) in [
        ("Thu, 01 Jan 1970 00:00:00 GMT".to_owned(), " h) ahead of "),
        ("Thu, 31 Dec 9998 23:59:59 GMT".to_owned(), " h) behind "),
        (httpdate::fmt_http_date(now - three_days), " s (72 h) ahead of "),
        (httpdate::fmt_http_date(now + three_days), " s (72 h) behind "),
    ] {
        let emulator = Emulator::start().unwrap();
        emulator.inject(Fault::respond(401).header("Date", date));
        let client = hurried(&emulator).build().unwrap();
        let error = client.create_user().unwrap_err();
        assert_eq!((error.status(), error.attempts()), (Some(401), 1), "{error}");
        let text = error.to_string();
        assert!(text.contains(&format!("{difference}the service's: set it right")), "{text}");
        assert_eq!(client.clock_offset_seconds(), 0);
        client.create_user().unwrap();
    }
}

/// Requests with a bearer token are not signed, so clock skew cannot be the reason.
#[test]
fn bearer_token_rejection_does_not_mention_the_clock_or_a_key() {
    let emulator = Emulator::builder().clock_ahead(TWO_HOURS).start().unwrap();
    let credential = Credential::bearer(|_: &str| {
        Ok(BearerToken::new("refused", SystemTime::now() + TWO_HOURS))
    });
    let client = CommunicationIdentityClient::new(&emulator.endpoint(), credential).unwrap();
    let error = client.create_user().unwrap_err();
    assert_eq!((error.status(), error.attempts()), (Some(401), 2));
    let text = text(&error);
    assert!(!text.contains("clock") && !text.contains("signing"), "{text}");
    assert!(!text.contains("access key"), "{text}");
}
