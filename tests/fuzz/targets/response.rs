//! Any bytes instead of a response, to any operation: status, headers, framing and body.
//!
//! The first byte chooses the operation, the second how the bytes arrive, whether the connection
//! ends with a reset, and whether the call is repeated. `|>` stands between the responses of
//! successive connections, `\u{1}` in a body for a token.
#![no_main]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use acs_identity::{ErrorKind, RetryPolicy};
use acs_identity_fuzz::{Memory, Operation, TOKEN, assert_is_line, has_secret, shown};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let [operation, how, bytes @ ..] = input else { return };
    let operation = Operation::ALL[usize::from(*operation) % Operation::ALL.len()];
    if bytes.to_ascii_uppercase().windows(6).any(|window| window == b"CANARY") {
        return;
    }
    let chunk = [usize::MAX, 7, 64, 300][usize::from(how & 3)];
    let (reset, retries) = (how & 4 != 0, how & 8 != 0);
    let responses: Vec<Vec<u8>> = split(bytes).into_iter().map(with_token).collect();
    let server = Memory::new(responses, chunk, reset);
    let policy = if retries {
        let policy = RetryPolicy::default().base_delay(Duration::ZERO).max_delay(Duration::ZERO);
        // No delay that is asked for is worth it.
        policy.max_retries(2).deadline(Duration::from_millis(40))
    } else {
        RetryPolicy::none()
    };
    let statuses = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&statuses);
    let client = server
        .client(policy)
        .observed(move |report| log.lock().unwrap().push((report.succeeded(), report.status())));
    let result = operation.run(&client);
    let [(succeeded, status)] = statuses.lock().unwrap()[..] else { panic!("one report a call") };
    assert_eq!(succeeded, result.is_ok());

    let requests = server.requests().len();
    let error = match result {
        Ok(user) => {
            let done_before =
                operation == Operation::Delete && matches!(status, Some(401 | 404)) && requests > 1;
            assert!(done_before || status == Some(operation.success()), "{status:?}");
            if let Some(user) = user {
                assert_is_line(user.identifier());
            }
            return;
        }
        Err(error) => error,
    };

    // A token that stands where an id does is one, and ids are shown.
    let id = error.created_user_id().unwrap_or_default().to_owned();
    let named = |text: &str| text.replace(&id, "");
    let headers = [error.ms_cv(), error.azure_ref()];
    let in_headers = headers.iter().flatten().any(|value| value.contains("CANARY"));
    for text in shown(&error) {
        let text = if id.is_empty() { text } else { named(&text) };
        let is_redirect = matches!(error.status(), Some(300..=399));
        assert!(!has_secret(&text) || in_headers || is_redirect, "{text}");
    }
    assert_is_line(&error.to_string());
    let attempts = usize::try_from(error.attempts()).unwrap();
    // On a busy machine, the deadline may pass before an attempt has sent anything.
    let unsent = usize::from(matches!(error.kind(), ErrorKind::Connection | ErrorKind::Timeout));
    assert!((requests..=requests + unsent).contains(&attempts), "{error}");
    assert!(requests <= if retries { 4 } else { 2 }, "{requests}");

    let (created, doubt) = (error.created_user_id().is_some(), error.is_in_doubt());
    assert!(!created || operation.is_create() && matches!(error.status(), Some(200..=299)));
    match error.kind() {
        ErrorKind::Response | ErrorKind::Transport | ErrorKind::Timeout => {
            assert!(doubt || created, "{error}");
            assert!(!created || error.kind() == ErrorKind::Response, "{error}");
        }
        ErrorKind::Service => {
            let status = error.status().unwrap();
            assert!(!(200..=299).contains(&status), "{error}");
            let clear = matches!(status, 300..=499 | 501 | 505) && status != 408;
            // A 503 is as clear as what speaks in it.
            assert!(doubt || clear || status == 503, "{error}");
            assert!(!(doubt && clear && operation.is_create()), "{error}");
        }
        // All else says that nothing was sent.
        _ => {
            let text = error.to_string();
            assert!(text.contains("deadline") || text.contains("timed out"), "{error}");
        }
    }
    if operation.is_create() && doubt {
        // Nothing was sent after the doubt: it is about the last attempt.
        let status = error.status();
        assert!(!matches!(status, Some(401 | 429)), "{error}");
    }
});

fn split(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    while let Some(at) = bytes.windows(2).position(|pair| pair == b"|>") {
        parts.push(&bytes[..at]);
        bytes = &bytes[at + 2..];
    }
    parts.push(bytes);
    parts
}

/// In the body only: what an id of the headers is made of is shown.
fn with_token(response: &[u8]) -> Vec<u8> {
    let Some(end) = response.windows(4).position(|window| window == b"\r\n\r\n") else {
        return response.to_owned();
    };
    let (head, body) = response.split_at(end);
    let mut bytes = head.to_owned();
    for byte in body {
        match byte {
            1 => bytes.extend(TOKEN.as_bytes()),
            _ => bytes.push(*byte),
        }
    }
    bytes
}
