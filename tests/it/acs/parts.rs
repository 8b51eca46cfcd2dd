//! Parts of the program that can be seen only with patience, or not at all, from outside.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

#[path = "../../../examples/acs/pace.rs"]
mod pace;
#[path = "../../../examples/acs/token_command.rs"]
mod token_command;

#[test]
fn no_thirty_seconds_have_more_requests_than_the_limit() {
    let start = Instant::now();
    let mut pace = pace::Pace::new(450);
    let mut now = start;
    let mut begun = Vec::new();
    for number in 0..2000 {
        // As the feeder does: some time passes between two requests.
        now += Duration::from_millis(number % 3) + pace.next_wait(now);
        begun.push(now);
    }
    for window in begun.windows(451) {
        assert!(window[450] - window[0] > Duration::from_secs(30));
    }
    // The first ones do not wait, and none waits longer than it has to.
    assert!(begun[449] - start < Duration::from_secs(1));
    assert!(begun[1999] - start < Duration::from_secs(4 * 31 + 3));
}

#[test]
fn what_is_out_of_the_window_is_forgotten() {
    let start = Instant::now();
    let mut pace = pace::Pace::new(2);
    let seconds = |at| pace.next_wait(start + Duration::from_secs(at)).as_secs();
    assert_eq!([0, 1, 2, 31, 100, 100, 100].map(seconds), [0, 0, 29, 1, 0, 0, 31]);
}

#[test]
fn the_end_of_a_bearer_token_is_read_where_it_is_told() {
    let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
    let assumed = at(1_700_000_600);
    for (output, expires_on) in [
        ("t", Some(assumed)),
        (r#"{"accessToken":"t"}"#, Some(assumed)),
        (r#"{"accessToken":"t","expires_on":1800000000}"#, Some(at(1_800_000_000))),
        (r#"{"access_token":"t","expires_on":"1800000000"}"#, Some(at(1_800_000_000))),
        (r#"{"accessToken":"t","expiresOn":"2027-01-15T09:00:00+01:00"}"#, Some(at(1_800_000_000))),
        (
            r#"{"accessToken":"t","expires_on":1800000000,"expiresOn":"2028-01-01T00:00:00Z"}"#,
            Some(at(1_800_000_000)),
        ),
        // az's local time, of an unnamed zone.
        (r#"{"accessToken":"t","expiresOn":"2027-01-15 09:00:00.000000"}"#, Some(assumed)),
        (r#"{"accessToken":"t","expires_on":18446744073709551615}"#, Some(assumed)),
        ("", None),
        ("two words", None),
        (r#"{"accessToken":""}"#, None),
        (r#"{"accessToken":"a\nb"}"#, None),
        (r#"{"token_type":"Bearer"}"#, None),
        ("{", None),
    ] {
        let expected: Option<(String, SystemTime)> = expires_on.map(|at| ("t".to_owned(), at));
        assert_eq!(token_command::parse(output, now), expected, "{output}");
    }
}

#[cfg(unix)]
#[test]
fn a_token_command_that_hangs_is_given_up() {
    let started = Instant::now();
    let error = token_command::run("exec sleep 60", Duration::from_millis(50)).unwrap_err();
    assert_eq!(error.to_string(), "--token-command did not end within 50ms");
    assert!(started.elapsed() < Duration::from_secs(30));
    let _ = token_command::LIMIT;
}

/// The shell ends at once; what it started closes stdout and lives on, or keeps it open.
#[cfg(unix)]
#[test]
fn a_token_command_that_lives_on_without_its_stdout_is_given_up() {
    for command in ["exec >&-; sleep 60; true", "sleep 60 & true", "sleep 60; true"] {
        let started = Instant::now();
        let error = token_command::run(command, Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.to_string(), "--token-command did not end within 50ms");
        assert!(started.elapsed() < Duration::from_secs(30), "{command}");
    }
}
