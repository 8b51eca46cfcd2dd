//! Tokens, and a source of them that many threads share. How it renews them is tested beside it,
//! with a clock of its own.

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
fn many_threads_issue_one_token() {
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
fn a_source_asks_for_what_it_was_made_with() {
    let emulator = Emulator::start().unwrap();
    let client = client(&emulator);
    let user = client.create_user().unwrap();
    let request = TokenRequest::new(["chat", "voip"]).expires_in(Duration::from_secs(7_200));
    client.token_source(&user, &request).unwrap().token().unwrap();
    let sent = last_request(&emulator);
    assert_eq!(sent.body(), br#"{"expiresInMinutes":120,"scopes":["chat","voip"]}"#);
    assert!(sent.target().contains(&user.identifier().replace(':', "%3A")));
}

#[test]
fn a_source_that_has_no_token_tells_why_and_tries_again() {
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

/// Against a date crate, with the number formats that were recorded.
#[test]
fn the_end_of_a_token_is_read_to_the_tick() {
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
        // No instant and no span is too far away to be compared.
        assert!(token.expires_within(Duration::MAX, UNIX_EPOCH));
        assert!(!token.is_expired(UNIX_EPOCH));
        // Windows knows no later millennium than the 30th.
        assert!(token.is_expired(SystemTime::now() + Duration::from_secs(1 << 38)));
    }
}
