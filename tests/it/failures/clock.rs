//! Clients whose clock is wrong. It is the emulator's that is moved: the difference is what counts.

use std::thread;
use std::time::{Duration, SystemTime};

use acs_identity::emulator::{Emulator, EmulatorBuilder, Fault};
use acs_identity::{AccessKey, BearerToken, CommunicationIdentityClient, Credential, Error};

use crate::support::{Operation, emulator_with_user, hurried, problem, until, user};

const TWO_HOURS: Duration = Duration::from_secs(2 * 60 * 60);

type Skew = fn() -> EmulatorBuilder;

/// The emulator, the offset that a client should find, and where its own clock is from there.
const SKEWS: [(Skew, i64, &str); 2] = [
    (|| Emulator::builder().clock_ahead(TWO_HOURS), 7_200, "behind"),
    (|| Emulator::builder().clock_behind(TWO_HOURS), -7_200, "ahead of"),
];

/// The problem of an error, with the difference as it is without delays.
fn text(error: &Error) -> String {
    let nearly = ["7198", "7199", "7201", "7202"];
    nearly.iter().fold(problem(error), |text, near| text.replace(near, "7200"))
}

/// With another key than the emulator's.
fn with_wrong_key(emulator: &Emulator) -> CommunicationIdentityClient {
    let client = hurried(emulator).build().unwrap();
    client.replace_credential("b3RoZXI=".parse::<AccessKey>().unwrap());
    client
}

fn assert_near(offset: i64, expected: i64) {
    assert!(offset.abs_diff(expected) <= 2, "{offset} for {expected}");
}

#[test]
fn all_operations_work_with_one_request_more_in_all() {
    for (skew, offset, _) in SKEWS {
        // Its user and Teams user are made by a client of its own.
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
        // The same request, but for its date and what depends on it.
        let (refused, repeated) = (&requests[2], &requests[3]);
        for name in ["x-ms-client-request-id", "x-ms-content-sha256", "host"] {
            assert_eq!(refused.header(name), repeated.header(name));
        }
    }
}

#[test]
fn switched_off_the_error_names_the_difference() {
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
fn a_wrong_key_and_a_wrong_clock_are_both_named() {
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

/// The offset is known and used: the clock is not to blame for what the key does.
#[test]
fn a_key_that_goes_wrong_later_is_named_though_the_clock_is_wrong() {
    for (skew, offset, direction) in SKEWS {
        let emulator = skew().start().unwrap();
        let client = hurried(&emulator).build().unwrap();
        client.create_user().unwrap();
        client.replace_credential("b3RoZXI=".parse::<AccessKey>().unwrap());
        let before = emulator.request_count();
        let error = client.create_user().unwrap_err();
        assert_eq!(emulator.request_count() - before, 1, "nothing is left to correct");
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
fn a_wrong_key_alone_is_named_alone() {
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
fn a_401_about_an_id_or_a_teams_token_says_nothing_of_the_clock() {
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
fn a_correction_that_the_service_accepted_is_kept_even_if_the_call_fails() {
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

/// A call that began before the clock was found to be wrong knows less than the client does by now.
#[test]
fn an_older_call_does_not_undo_a_correction() {
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

/// A correction is no attempt that may have deleted anything.
#[test]
fn a_corrected_delete_is_no_repeated_delete() {
    let emulator = Emulator::builder().clock_ahead(TWO_HOURS).start().unwrap();
    let client = hurried(&emulator).build().unwrap();
    // Two faults: the date is refused by the service itself only where none strikes.
    let date = httpdate::fmt_http_date(SystemTime::now() + TWO_HOURS);
    emulator.inject(Fault::respond(401).header("Date", date));
    emulator.inject(Fault::respond(404));
    let error = client.delete_user(&user()).unwrap_err();
    assert_eq!((error.status(), error.attempts()), (Some(404), 2));
}

#[test]
fn a_small_difference_or_no_date_is_not_corrected() {
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

/// Whoever can forge a response cannot make the client sign for any time they like.
#[test]
fn a_difference_of_more_than_a_day_is_told_and_not_corrected() {
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

/// Bearer tokens are not signed, so the clock explains nothing.
#[test]
fn a_refused_bearer_token_is_not_blamed_on_the_clock_or_a_key() {
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
