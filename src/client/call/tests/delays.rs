//! The delay that a server asks for.

use super::*;

/// How long the client waits after a 503 with these headers, and the delay that its error returns.
fn wait_after(headers: &[(&str, &str)]) -> (Duration, Option<Duration>) {
    let emulator = Emulator::start().unwrap();
    let fault =
        |fault: Fault| headers.iter().fold(fault, |it, (name, value)| it.header(*name, *value));
    emulator.inject(fault(busy()).times(2));
    let clock = TestClock::at(SystemTime::now());
    let error = builder(&emulator, &clock)
        // The client's own backoff is 8 to 12 s.
        .retry_policy(RetryPolicy::default().max_retries(1).base_delay(Duration::from_secs(10)))
        .build()
        .unwrap()
        .create_user()
        .unwrap_err();
    assert_eq!(error.attempts(), 2, "{headers:?} {error}");
    (clock.slept()[0], error.retry_after())
}

#[test]
fn retry_after_headers_have_their_order() {
    const DATE: (&str, &str) = ("date", "Wed, 13 Apr 2022 18:09:12 GMT");

    for (headers, seconds) in [
        (&[("retry-after-ms", "30000")][..], 30),
        (&[("x-ms-retry-after-ms", "40000")], 40),
        (&[("Retry-After", "50")], 50),
        // Relative to the response's own date: this machine's clock may be wrong.
        (&[("Retry-After", "Wed, 13 Apr 2022 18:10:12 GMT"), DATE], 60),
        (
            &[("Retry-After", "50"), ("x-ms-retry-after-ms", "40000"), ("retry-after-ms", "30000")],
            30,
        ),
        (&[("Retry-After", "50"), ("x-ms-retry-after-ms", "40000")], 40),
        // Nonsense is ignored.
        (&[("retry-after-ms", "soon"), ("x-ms-retry-after-ms", "40000")], 40),
        (&[("retry-after-ms", "-1"), ("x-ms-retry-after-ms", ""), ("Retry-After", "50")], 50),
    ] {
        let asked_for = Duration::from_secs(seconds);
        assert_eq!(wait_after(headers), (asked_for, Some(asked_for)), "{headers:?}");
    }
}

#[test]
fn retry_after_that_is_short_past_or_nonsense_leaves_the_backoff() {
    const PAST: (&str, &str) = ("Retry-After", "Wed, 13 Apr 2022 18:09:12 GMT");
    const ZERO: Option<Duration> = Some(Duration::ZERO);

    for (headers, told) in [
        (&[("retry-after-ms", "0")][..], ZERO),
        (&[("Retry-After", "0")], ZERO),
        (&[PAST], ZERO),
        (&[("Retry-After", "3")], Some(Duration::from_secs(3))),
        // The first readable header counts, even if it says 0.
        (&[("retry-after-ms", "0"), ("Retry-After", "60")], ZERO),
        (&[("Retry-After", "soon")], None),
        (&[("Retry-After", "")], None),
        (&[("Retry-After", "-5")], None),
        (&[("Retry-After", "1.5")], None),
        (&[("Retry-After", "Wed, 99 Foo 2022 18:09:12 GMT")], None),
    ] {
        let (slept, told_in_the_end) = wait_after(headers);
        assert!((8_000..=12_000).contains(&slept.as_millis()), "{slept:?} after {headers:?}");
        assert_eq!(told_in_the_end, told, "{headers:?}");
    }
}

#[test]
fn retry_after_beyond_the_deadline_ends_the_call_at_once() {
    for (value, delay) in [
        ("7200", 2 * HOUR),
        ("100", Duration::from_secs(100)),
        ("86400", 24 * HOUR),
        ("4294967295", Duration::from_secs(u32::MAX.into())),
        ("99999999999999", Duration::from_secs(99_999_999_999_999)),
        ("99999999999999999999999", Duration::from_secs(u64::MAX)),
    ] {
        let emulator = Emulator::start().unwrap();
        emulator.inject(Fault::respond(429).header("Retry-After", value).times(u64::MAX));
        let clock = TestClock::at(SystemTime::now());
        let error = client(&emulator, &clock).issue_token(&user(), ["voip"]).unwrap_err();
        assert_eq!((error.attempts(), error.retry_after()), (1, Some(delay)), "{value}");
        let text = format!(
            "issue_token: the service responded with 429 Too Many Requests; the resource is throttled: wait {} s before the next attempt [",
            delay.as_secs()
        );
        assert!(error.to_string().starts_with(&text), "{error}");
        assert!(clock.slept().is_empty());
        assert_eq!(emulator.request_count(), 1);
    }
}
