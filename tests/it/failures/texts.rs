//! The texts of errors after several attempts, word for word.

use std::error::Error as _;
use std::net::TcpListener;
use std::time::Duration;

use acs_identity::emulator::{Emulator, Fault};
use acs_identity::{CommunicationIdentityClient, Error};

use super::{Operation, client, client_of, emulator, hurried};
use crate::http::CANARY_KEY;

/// The text with what differs from run to run replaced.
fn text(error: &Error, client: &CommunicationIdentityClient) -> String {
    let elapsed = format!("attempts in {:.1} s", error.elapsed().as_secs_f64());
    let text = error.to_string().replace(&elapsed, "attempts in N s");
    let ms_cv = error.ms_cv().unwrap_or("-");
    let azure_ref = error.azure_ref().unwrap_or("-");
    text.replace(client.endpoint().host(), "HOST")
        .replace(error.client_request_id().unwrap(), "ID")
        .replace(&format!(", ms-cv {ms_cv}"), "")
        .replace(&format!(", x-azure-ref {azure_ref}"), "")
        .replace(" [host HOST, api-version 2025-03-02-preview, client-request-id ID]", "")
}

#[test]
fn after_several_attempts() {
    const SUPPORT: &str = "try again later; Microsoft's support asks for the ms-cv";
    const NO_HARM: &str = "the service may have processed the request; repeating it does no harm";
    const LOST: &str = "an orphaned user may exist whose id nobody knows";

    let always = |fault: Fault| fault.times(u64::MAX);
    let after = |value| always(Fault::respond(429).header("retry-after-ms", value));
    for (operation, fault, expected) in [
        (
            Operation::Create,
            always(Fault::respond(503).header("Retry-After", "0")),
            format!("create_user: the service responded with 503 Service Unavailable; {SUPPORT} (4 attempts in N s)"),
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
            format!("issue_token: the service responded with 500 Internal Server Error; {SUPPORT} (4 attempts in N s)"),
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
        // To wait no time at all is no advice.
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
            Operation::CreateWithCustomId,
            always(Fault::respond(408)),
            "create_user_with_custom_id: the service responded with 408 Request Timeout (4 attempts in N s)".to_owned(),
        ),
        (
            Operation::Create,
            always(Fault::respond(403)),
            "create_user: the service responded with 403 Forbidden; check the resource's role assignments and network rules".to_owned(),
        ),
    ] {
        let (emulator, user) = emulator(Emulator::builder());
        let client = client(&emulator).build().unwrap();
        emulator.inject(fault);
        let error = operation.run(&client, &user).unwrap_err();
        assert_eq!(text(&error, &client), expected);
    }
}

#[test]
fn when_nothing_could_be_sent() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = client_of(&format!("http://{address}"), CANARY_KEY).build().unwrap();
    let error = client.create_user().unwrap_err();
    assert_eq!(
        text(&error, &client),
        "create_user: the service could not be reached: check the endpoint, the network and the proxy; nothing was sent (4 attempts in N s)"
    );
    assert!(error.source().unwrap().to_string().to_lowercase().contains("refused"));
}

#[test]
fn of_a_timeout_and_of_the_time_that_all_took() {
    let (emulator, user) = emulator(Emulator::builder());
    emulator.inject(Fault::stall().times(u64::MAX));
    let client = client(&emulator)
        .timeout(Duration::from_millis(300))
        .retry_policy(hurried().max_retries(1))
        .build()
        .unwrap();
    let error = client.revoke_tokens(&user).unwrap_err();
    assert!(error.elapsed() >= Duration::from_millis(300), "{error}");
    let seconds = format!("(2 attempts in {:.1} s)", error.elapsed().as_secs_f64());
    assert!(error.to_string().contains(&seconds), "{error}");
    assert_eq!(
        text(&error, &client),
        "revoke_tokens: no response arrived in time; the service may have processed the request; repeating it does no harm (2 attempts in N s)"
    );
}
