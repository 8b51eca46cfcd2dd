//! The forms in which a delay is asked for: `Retry-After`, the two in milliseconds, and the `Date`
//! that an instant is counted from.
#![no_main]

use std::time::Duration;

use acs_identity::RetryPolicy;
use acs_identity::ureq::http::HeaderValue;
use acs_identity_fuzz::{Memory, Operation, assert_is_line};
use libfuzzer_sys::fuzz_target;

const NAMES: [&str; 4] = ["retry-after-ms", "x-ms-retry-after-ms", "retry-after", "date"];

type Value<'a> = Option<&'a [u8]>;

fuzz_target!(|input: (u16, Value<'_>, Value<'_>, Value<'_>, Value<'_>)| {
    let (status, millis, more_millis, seconds, date) = input;
    let status = [429, 503, 500, 408, 401][usize::from(status % 5)];
    let values = [millis, more_millis, seconds, date]
        .map(|value| value.filter(|value| HeaderValue::from_bytes(value).is_ok()));
    let mut response = format!("HTTP/1.1 {status} Oops\r\nContent-Length: 0\r\n").into_bytes();
    for (name, value) in NAMES.into_iter().zip(values) {
        if let Some(value) = value {
            response.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
    }
    response.extend(b"\r\n");

    let server = Memory::responding(response);
    // Time for one attempt, whatever the delay.
    let policy = RetryPolicy::default().base_delay(Duration::from_secs(200));
    let client = server.client(policy.max_delay(Duration::from_secs(200)));
    let error = Operation::Issue.run(&client).unwrap_err();
    assert_eq!(error.status(), Some(status));
    assert_is_line(&error.to_string());

    // What is nothing but digits means what it says, the first of them.
    for (value, unit) in values.into_iter().zip([1_u64, 1, 1_000]) {
        let Some(value) = value else { continue };
        let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
        if !digits {
            break;
        }
        let number = std::str::from_utf8(value).unwrap().parse().unwrap_or(u64::MAX);
        let expected =
            if unit == 1 { Duration::from_millis(number) } else { Duration::from_secs(number) };
        assert_eq!(error.retry_after(), Some(expected));
        break;
    }
});
