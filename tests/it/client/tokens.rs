//! Tokens, and a source of tokens that many threads share. Unit tests with a test clock cover how it
//! renews them.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use acs_identity::emulator::{Emulator, Fault};
use acs_identity::{TokenRequest, TokenScope};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::support::server::answer;
use crate::support::{Server, client, last_request};

#[test]
fn token_source_issues_one_token_for_many_threads() {
    let emulator = Emulator::start().unwrap();
    let client = client(&emulator);
    let user = client.create_user().unwrap();
    let source = client.token_source(&user, [TokenScope::CHAT]).unwrap();
    assert_eq!(emulator.request_count(), 1, "making a source sends nothing");
    let start = Barrier::new(16);
    let tokens: Vec<String> = thread::scope(|scope| {
        let threads: Vec<_> = (0..16)
            .map(|_| {
                scope.spawn(|| {
                    let clone = source.clone();
                    start.wait();
                    clone.token().unwrap().token().to_owned()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(emulator.request_count(), 2);
    assert!(tokens.iter().all(|token| *token == tokens[0] && emulator.is_token_valid(token)));
}

#[test]
fn token_source_requests_its_scopes_and_lifetime() {
    let emulator = Emulator::start().unwrap();
    let client = client(&emulator);
    let user = client.create_user().unwrap();
    let request = TokenRequest::new(["chat", "voip"]).expires_in(Duration::from_secs(7_200));
    client.token_source(&user, &request).unwrap().token().unwrap();
    let sent = last_request(&emulator);
    assert_eq!(sent.body(), br#"{"scopes":["chat","voip"],"expiresInMinutes":120}"#);
    assert!(sent.target().contains(&user.identifier().replace(':', "%3A")));
}

#[test]
fn token_source_reports_a_failure_and_tries_again() {
    let emulator = Emulator::start().unwrap();
    let client = client(&emulator);
    let user = client.create_user().unwrap();
    let source = client.token_source(&user, ["chat"]).unwrap();
    emulator.inject(Fault::respond(500));
    let error = source.token().unwrap_err();
    assert!(
        error.to_string().starts_with("issue_token: the service responded with 500 "),
        "{error}"
    );
    assert!(emulator.is_token_valid(source.token().unwrap().token()));
}

/// Compares with a date crate, in the recorded formats of fractions.
#[test]
fn token_expiry_is_parsed_to_100_nanoseconds() {
    for text in [
        "2023-06-28T07:30:12.7039383+00:00",
        "2023-06-28T07:30:25.281901+00:00",
        "2023-10-19T15:34:20.691214+00:00",
        "2025-04-14T15:32:27+00:00",
        "2024-02-29T23:59:59.9+02:00",
    ] {
        let body = format!(r#"{{"token":"t","expiresOn":"{text}"}}"#);
        let server = Server::answering(answer("200 OK", "application/json; charset=utf-8", &body));
        let user = "8:acs:a_b".parse().unwrap();
        let token = client(&server).issue_token(&user, ["chat"]).unwrap();
        let nanos = OffsetDateTime::parse(text, &Rfc3339).unwrap().unix_timestamp_nanos();
        let ends = UNIX_EPOCH + Duration::from_nanos(nanos.try_into().unwrap());
        assert_eq!((token.token(), token.expires_on()), ("t", ends), "{text}");
        assert_eq!(token.expires_on_text(), text);

        let tick = Duration::from_nanos(100);
        assert!(!token.is_expired(ends - tick));
        assert!(token.is_expired(ends));
        assert!(token.expires_within(tick, ends - tick));
        assert!(!token.expires_within(tick, ends - 2 * tick));
        // Extreme instants and durations can be compared.
        assert!(token.expires_within(Duration::MAX, UNIX_EPOCH));
        assert!(!token.is_expired(UNIX_EPOCH));
        // Windows cannot represent instants after the 30th millennium.
        assert!(token.is_expired(SystemTime::now() + Duration::from_secs(1 << 38)));
    }
}
