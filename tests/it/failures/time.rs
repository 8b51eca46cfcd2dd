//! Forged times, tokens that arrive expired, and an observer that panics.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime};

use acs_identity::ErrorKind;

use crate::support::server::{closing, first_then_well, respond_well, response, success};
use crate::support::{Operation, Server, hurried, until, user};

const HOUR: Duration = Duration::from_secs(60 * 60);

fn refusal(date: SystemTime) -> String {
    let date = format!("Date: {}\r\n", httpdate::fmt_http_date(date));
    closing(&response("401 Unauthorized", &date, ""))
}

/// The distance between the date of a signed request and now.
fn distance(request: &str) -> Duration {
    let date = request.lines().find_map(|line| line.strip_prefix("x-ms-date: ")).unwrap();
    let (date, now) = (httpdate::parse_http_date(date).unwrap(), SystemTime::now());
    date.duration_since(now).unwrap_or_else(|error| error.duration())
}

fn assert_signed_for_now(server: &Server) {
    for request in server.requests() {
        assert!(distance(&request) < HOUR, "{request}");
    }
}

/// A clock that is off by more than a day is unlikely: certificates would fail to verify.
#[test]
fn clock_correction_does_not_sign_for_a_forged_time() {
    let now = SystemTime::now();
    let year = 365 * 24 * HOUR;
    for date in [
        now + 25 * HOUR,
        now - 25 * HOUR,
        now + 9 * year,
        now - 9 * year,
        SystemTime::UNIX_EPOCH,
        SystemTime::UNIX_EPOCH + 8_000 * year,
    ] {
        let refusal = refusal(date);
        let server = Server::scripted(move |connection| {
            if connection.number > 0 {
                return respond_well(connection);
            }
            connection.request();
            connection.send(&refusal);
        });
        let client = hurried(&server).build().unwrap();
        let error = client.create_user().expect_err("a refusal");
        assert_eq!((error.status(), error.attempts()), (Some(401), 1), "{date:?} {error}");
        assert_eq!(client.clock_offset_seconds(), 0, "{date:?}");
        // Later calls are not affected either.
        for operation in Operation::ALL {
            operation.run(&client).unwrap();
        }
        assert_signed_for_now(&server);
        assert_eq!(client.clock_offset_seconds(), 0, "{date:?}");
    }
}

/// Each forged date is within a day of the one before.
#[test]
fn clock_correction_does_not_add_up_forged_times() {
    for forward in [true, false] {
        let refusals = Arc::new(Mutex::new(0_u32));
        let count = Arc::clone(&refusals);
        let server = Server::scripted(move |connection| {
            let Some(request) = connection.request() else { return };
            // Every other request is rejected with a date that is further away each time.
            if connection.number % 2 == 1 {
                connection.send(success(&request, "Connection: close\r\n"));
                return;
            }
            let mut count = count.lock().unwrap();
            *count += 1;
            let distance = *count * 20 * HOUR;
            let now = SystemTime::now();
            connection.send(refusal(if forward { now + distance } else { now - distance }));
        });
        let client = hurried(&server).build().unwrap();
        for _ in 0..6 {
            let _ = client.create_user();
            let offset = client.clock_offset_seconds().unsigned_abs();
            assert!(offset <= 24 * HOUR.as_secs(), "{offset} s");
        }
        for request in server.requests() {
            let distance = distance(&request);
            assert!(distance <= 24 * HOUR + Duration::from_secs(60), "{distance:?}");
        }
    }
}

/// For example, a clock that is set to another time zone or is off by half a day.
#[test]
fn clock_correction_handles_skews_of_up_to_a_day() {
    for distance in [Duration::from_secs(310), 2 * HOUR, 12 * HOUR, 23 * HOUR] {
        for forward in [true, false] {
            let now = SystemTime::now();
            let refusal = refusal(if forward { now + distance } else { now - distance });
            let server = first_then_well(&refusal);
            let client = hurried(&server).build().unwrap();
            client.create_user().unwrap();
            let offset = client.clock_offset_seconds();
            assert!(offset.unsigned_abs().abs_diff(distance.as_secs()) <= 5, "{offset} s");
            assert_eq!(offset > 0, forward);
        }
    }
}

#[test]
fn observer_that_panics_is_not_reported_as_a_credential_error() {
    let waiting = Arc::new(AtomicBool::new(false));
    let second = Arc::clone(&waiting);
    let server = Server::scripted(move |connection| {
        if connection.number == 0 {
            until(|| second.load(Ordering::SeqCst));
            // Lets the other thread begin to wait; if it is late, the test only checks less.
            thread::sleep(Duration::from_millis(50));
        }
        respond_well(connection);
    });
    let panicked = AtomicBool::new(false);
    let client = hurried(&server).build().unwrap().observed(move |_| {
        assert!(panicked.swap(true, Ordering::SeqCst), "the observer's own panic");
    });
    let source = client.token_source(&user(), ["chat"]).unwrap();
    thread::scope(|scope| {
        let first = scope.spawn(|| source.token());
        until(|| server.connections() == 1);
        waiting.store(true, Ordering::SeqCst);
        if let Err(error) = source.token() {
            assert_ne!(error.kind(), ErrorKind::Credential, "{error}");
        }
        assert!(first.join().is_err(), "the observer should have panicked");
    });
    assert_eq!(source.token().unwrap().token(), "t");
}

#[test]
fn token_source_does_not_return_a_token_that_arrives_expired() {
    for expires_on in ["2020-01-01T00:00:00+00:00", "1970-01-01T00:00:00Z"] {
        let body = format!(r#"{{"token":"expired","expiresOn":"{expires_on}"}}"#);
        let server = Server::answering(closing(&response("200 OK", "", &body)));
        let client = hurried(&server).build().unwrap();
        let source = client.token_source(&user(), ["chat"]).unwrap();
        for _ in 0..2 {
            let error = source.token().expect_err("an expired token");
            assert_ne!(error.kind(), ErrorKind::InvalidInput, "{error}");
        }
    }
    // A token with a short lifetime is returned.
    let server = Server::scripted(|connection| {
        connection.request();
        let soon = time::OffsetDateTime::from(SystemTime::now() + Duration::from_secs(60));
        let soon = soon.format(&time::format_description::well_known::Rfc3339).unwrap();
        let body = format!(r#"{{"token":"short","expiresOn":"{soon}"}}"#);
        connection.send(closing(&response("200 OK", "", &body)));
    });
    let client = hurried(&server).build().unwrap();
    let source = client.token_source(&user(), ["chat"]).unwrap();
    assert_eq!(source.token().unwrap().token(), "short");
}
