//! The documented defaults that are visible to a server.

use std::time::Duration;

use acs_identity::emulator::Emulator;
use acs_identity::{ApiVersion, CommunicationIdentityClient, RetryPolicy};

use crate::support::server::answer;
use crate::support::{Server, builder, client, hurried};

#[test]
fn defaults_are_sent_on_the_wire() {
    let emulator = Emulator::start().unwrap();
    let client =
        CommunicationIdentityClient::from_connection_string(&emulator.connection_string()).unwrap();
    let user = client.create_user().unwrap();
    client.revoke_tokens(&user).unwrap();
    assert_eq!(ApiVersion::default(), ApiVersion::V2023_10_01);
    let user_agent = format!("acs-identity/{}", env!("CARGO_PKG_VERSION"));
    for request in emulator.requests() {
        assert!(request.target().ends_with("?api-version=2023-10-01"), "{request:?}");
        assert_eq!(request.header("user-agent"), Some(user_agent.as_str()));
        assert_eq!(request.header("accept"), Some("application/json"));
        assert_eq!(
            request.header("content-length"),
            Some(request.body().len().to_string().as_str())
        );
        assert_eq!(request.header("expect"), None);
        assert_eq!(request.header("transfer-encoding"), None);
    }
    assert_eq!(client.clock_offset_seconds(), 0);
    assert_eq!(emulator.open_connections(), 1, "connections are reused");
}

#[test]
fn application_id_precedes_the_user_agent() {
    let server = Server::answering(answer(
        "201 Created",
        "application/json",
        "{\"identity\":{\"id\":\"8:acs:a_b\"}}",
    ));
    // The user agent of a caller's agent is not sent.
    for agent in [None, Some(ureq::agent())] {
        let builder = builder(&server).application_id("my-app");
        let builder = match agent {
            Some(agent) => builder.agent(agent),
            None => builder,
        };
        builder.build().unwrap().create_user().unwrap();
    }
    let line = format!("user-agent: my-app acs-identity/{}\r\n", env!("CARGO_PKG_VERSION"));
    for request in server.requests() {
        assert!(request.contains(&line), "{request}");
        assert_eq!(request.matches("user-agent").count(), 1, "{request}");
    }
}

/// The limit is exact: one byte more is rejected.
#[test]
fn response_body_may_be_up_to_1_mib() {
    let json = "{\"identity\":{\"id\":\"8:acs:a_b\"}}";
    for (length, is_accepted) in [(1024 * 1024, true), (1024 * 1024 + 1, false)] {
        let body = format!("{}{json}", " ".repeat(length - json.len()));
        let server = Server::answering(answer("201 Created", "application/json", &body));
        let result = client(&server).create_user();
        assert_eq!(result.is_ok(), is_accepted, "{length}: {result:?}");
    }
}

#[test]
fn retry_policy_none_makes_one_attempt_and_is_not_the_default() {
    assert_eq!(RetryPolicy::none(), RetryPolicy::default().max_retries(0));
    assert_ne!(RetryPolicy::none(), RetryPolicy::default());
    let server = Server::answering(answer("503 Busy", "text/plain", ""));
    let error = client(&server).create_user().unwrap_err();
    assert_eq!((error.attempts(), server.requests().len()), (1, 1));
}

#[test]
fn timeouts_that_are_extreme_do_not_panic() {
    let emulator = Emulator::start().unwrap();
    for time in [Duration::MAX, Duration::from_secs(u64::MAX / 4), Duration::from_nanos(1)] {
        for agent in [None, Some(ureq::agent())] {
            let policy = RetryPolicy::default()
                .max_retries(1)
                .base_delay(Duration::ZERO)
                .max_delay(time)
                .deadline(time);
            let builder =
                hurried(&emulator).timeout(time).connect_timeout(time).retry_policy(policy);
            let builder = match agent {
                Some(agent) => builder.agent(agent),
                None => builder,
            };
            let result = builder.build().unwrap().create_user();
            assert_eq!(result.is_ok(), time > Duration::from_secs(1), "{time:?} {result:?}");
        }
    }
}
