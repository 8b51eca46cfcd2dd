//! A key is taken or refused, never repeated, and signs anything that can be sent.
#![no_main]

use std::time::{Duration, SystemTime};

use acs_identity::ureq::http::HeaderValue;
use acs_identity::{AccessKey, RequestToSign};
use acs_identity_fuzz::{KEY, assert_clean, assert_refused};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str, &str, &str, i64, &[u8])| {
    let (text, method, host, path_and_query, seconds, body) = input;
    if text.to_ascii_uppercase().contains("CANARY") {
        return;
    }
    let key = match text.replace('\u{1}', KEY).parse::<AccessKey>() {
        Ok(key) => key,
        Err(error) => {
            assert_refused(&error);
            KEY.parse().unwrap()
        }
    };
    assert_clean(&key);
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let moved = if seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    };
    let Some(date) = moved else { return };
    let request = RequestToSign { method, host, path_and_query, body };
    match key.sign(&request, date) {
        Ok(signed) => {
            for (name, value) in signed.headers() {
                assert!(HeaderValue::try_from(value).is_ok(), "{name}: {value:?}");
            }
            let again = key.sign(&request, date).unwrap();
            assert!(signed.headers().into_iter().eq(again.headers()));
            assert!(!format!("{signed:?}").contains("Signature"));
        }
        Err(error) => assert_refused(&error),
    }
});
