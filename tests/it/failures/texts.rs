//! The texts of errors after several attempts, word for word.

use std::error::Error as _;
use std::time::Duration;

use acs_identity::emulator::{Emulator, Fault};

use crate::support::{Nobody, Operation, emulator_with_user, hurried, hurried_policy, problem};

#[test]
fn error_text_states_attempts_advice_and_consequences() {
    const SUPPORT: &str = "Microsoft's support asks for the ms-cv";
    const LATER: &str = "try again later; Microsoft's support asks for the ms-cv";
    const NO_HARM: &str = "the service may have processed the request; repeating it does no harm";
    const LOST: &str =
        "a user may have been created; its id is unknown, and calling again creates another";

    let always = |fault: Fault| fault.times(u64::MAX);
    let after = |value| always(Fault::respond(429).header("retry-after-ms", value));
    for (operation, fault, expected) in [
        (
            Operation::Create,
            always(Fault::respond(503).header("Retry-After", "0")),
            format!("create_user: the service responded with 503 Service Unavailable; {LATER} (4 attempts in N s)"),
        ),
        (
            Operation::Create,
            always(Fault::respond(503)),
            format!("create_user: the service responded with 503 Service Unavailable; {SUPPORT}; {LOST}"),
        ),
        (
            Operation::Issue,
            always(Fault::respond(503).header("retry-after-ms", "2")),
            "issue_token: the service responded with 503 Service Unavailable; wait 1 s before the next attempt; Microsoft's support asks for the ms-cv (4 attempts in N s)".to_owned(),
        ),
        (
            Operation::Issue,
            always(Fault::respond(500)),
            format!("issue_token: the service responded with 500 Internal Server Error; {LATER} (4 attempts in N s)"),
        ),
        (
            Operation::Create,
            always(Fault::respond(500)),
            format!("create_user: the service responded with 500 Internal Server Error; {SUPPORT}; {LOST}"),
        ),
        (
            Operation::Revoke,
            always(Fault::respond(429)),
            "revoke_tokens: the service responded with 429 Too Many Requests; the resource is throttled: wait 30 s before the next attempt (4 attempts in N s)".to_owned(),
        ),
        (
            Operation::Revoke,
            after("2"),
            "revoke_tokens: the service responded with 429 Too Many Requests; the resource is throttled: wait 1 s before the next attempt (4 attempts in N s)".to_owned(),
        ),
        // A delay of 0 is not repeated as advice.
        (
            Operation::Revoke,
            after("0"),
            "revoke_tokens: the service responded with 429 Too Many Requests; the resource is throttled: wait 30 s before the next attempt (4 attempts in N s)".to_owned(),
        ),
        (
            Operation::Delete,
            always(Fault::drop_before_processing()),
            format!("delete_user: the connection failed before the response arrived; {NO_HARM} (4 attempts in N s)"),
        ),
        (
            Operation::Exchange,
            always(Fault::drop_after_processing()),
            format!("exchange_teams_user_token: the connection failed before the response arrived; {NO_HARM} (4 attempts in N s)"),
        ),
        (
            Operation::Issue,
            always(Fault::truncate_body()),
            "issue_token: the service reported success (200), but its body broke off (4 attempts in N s)".to_owned(),
        ),
        (
            Operation::Create,
            always(Fault::truncate_body()),
            format!("create_user: the service reported success (201), but its body broke off; {LOST}"),
        ),
        (
            Operation::Create,
            always(Fault::respond(403)),
            "create_user: the service responded with 403 Forbidden; check the resource's role assignments and network rules, and any gateway or proxy in between".to_owned(),
        ),
    ] {
        let (emulator, user) = emulator_with_user(Emulator::builder());
        let client = hurried(&emulator).build().unwrap();
        emulator.inject(fault);
        let error = operation.run_on(&client, &user).unwrap_err();
        assert_eq!(problem(&error), expected);
    }
}

#[test]
fn error_text_says_when_nothing_was_sent() {
    let client = hurried(&Nobody).build().unwrap();
    let error = client.create_user().unwrap_err();
    assert_eq!(
        problem(&error),
        "create_user: the service could not be reached: check the endpoint, the network and the proxy; nothing was sent (4 attempts in N s)"
    );
    assert!(error.source().unwrap().to_string().to_lowercase().contains("refused"));
}

#[test]
fn error_text_of_a_timeout_states_the_elapsed_time() {
    let (emulator, user) = emulator_with_user(Emulator::builder());
    emulator.inject(Fault::stall().times(u64::MAX));
    let client = hurried(&emulator)
        .timeout(Duration::from_millis(100))
        .retry_policy(hurried_policy().max_retries(1))
        .build()
        .unwrap();
    let error = client.revoke_tokens(&user).unwrap_err();
    assert!(error.elapsed() >= Duration::from_millis(100), "{error}");
    let seconds = format!("(2 attempts in {:.1} s)", error.elapsed().as_secs_f64());
    assert!(error.to_string().contains(&seconds), "{error}");
    assert_eq!(
        problem(&error),
        "revoke_tokens: no response arrived in time; the service may have processed the request; repeating it does no harm (2 attempts in N s)"
    );
}
