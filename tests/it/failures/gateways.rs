//! Gateways, proxies, agents and observers between the client and the service.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use acs_identity::emulator::{Emulator, Fault, Operation};
use acs_identity::{BearerToken, CommunicationIdentityClient, Credential, ErrorKind, RetryPolicy};
use ureq::Agent;

use crate::support::server::answer;
use crate::support::{Server, builder_with, client, hurried};

#[test]
fn revoke_and_delete_reject_a_page_in_place_of_204() {
    let page = answer("200 OK", "text/html", "<html>Sign in to the network</html>");
    let server = Server::answering(page);
    let user = "8:acs:a_b".parse().unwrap();
    for error in [
        client(&server).delete_user(&user).unwrap_err(),
        client(&server).revoke_tokens(&user).unwrap_err(),
    ] {
        assert_eq!((error.kind(), error.status()), (ErrorKind::Response, Some(200)));
        let problem = ": the service reported success (200), but 204 was expected [";
        assert!(error.to_string().contains(problem), "{error}");
    }
    let other = Server::answering("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client(&other).delete_user(&user).unwrap_err().status(), Some(202));
}

#[test]
fn created_user_id_may_have_any_well_formed_value() {
    for id in ["8:acs:a_b_c", "4:+123", "something new"] {
        let body = format!("{{\"identity\":{{\"id\":\"{id}\"}}}}");
        let server = Server::answering(answer("201 Created", "application/json", &body));
        assert_eq!(client(&server).create_user().unwrap().identifier(), id);
    }
    for id in ["8:acs:a\\nFAKE LINE\\u001b[31m", "", " ", "..", " 8:acs:a ", &"x".repeat(2_000)] {
        let body = format!("{{\"identity\":{{\"id\":\"{id}\"}}}}");
        let server = Server::answering(answer("201 Created", "application/json", &body));
        let error = client(&server).create_user_and_token(["voip"]).unwrap_err();
        assert!(error.to_string().contains("but its identity has an invalid id"), "{error}");
        assert!(!error.to_string().contains(char::is_control) && error.to_string().len() < 300);
    }
}

#[test]
fn error_hides_a_signature_echoed_by_a_gateway() {
    let server = Server::start(|stream| {
        use std::io::Write;
        let body = r#"{"message":"Signature=ML\/dph4kAAAAAAAAAAAAAAAAAAAAAAAAAAAA\u002B6A="}"#;
        let head = "HTTP/1.1 502 Bad Gateway\r\nMS-CV: HMAC-SHA256 SignedHeaders=x&Signature=ML/dph4k\r\nX-Azure-Ref: Signature=ML/dph4k\r\n";
        let _ = write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len());
    });
    let error = client(&server).create_user().unwrap_err();
    assert_eq!(error.status(), Some(502));
    assert!(!format!("{error:?}").contains("ML"), "{error:?}");
}

#[test]
fn agent_that_rejects_the_request_is_not_retried() {
    let emulator = Emulator::start().unwrap();
    let agent = Agent::config_builder().https_only(true).build().new_agent();
    let error = hurried(&emulator).agent(agent).build().unwrap().create_user().unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Connection, 1));
    let problem =
        "create_user: the agent rejects the request: check its configuration; nothing was sent [";
    assert!(error.to_string().starts_with(problem), "{error}");
}

#[test]
fn call_report_of_a_delete_already_done_is_a_success() {
    let emulator = Emulator::start().unwrap();
    let client = hurried(&emulator).build().unwrap();
    let user = client.create_user().unwrap();
    emulator.inject(Fault::drop_after_processing().on(Operation::Delete));
    let reports = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&reports);
    let observed = client.observed(move |report| {
        log.lock().unwrap().push((report.succeeded(), report.attempts(), report.status()));
    });
    observed.delete_user(&user).unwrap();
    assert_eq!(*reports.lock().unwrap(), [(true, 2, Some(401))]);
}

#[test]
fn request_body_with_an_oversized_teams_token_is_rejected() {
    let emulator = Emulator::start().unwrap();
    let client = hurried(&emulator).build().unwrap();
    let error = client.exchange_teams_user_token(&"x".repeat(70_000), "app", "user").unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::InvalidInput, 0));
    assert!(error.to_string().contains("the request's body is longer than 16 KiB"), "{error}");
    assert_eq!(emulator.request_count(), 0);
}

#[test]
fn clock_correction_is_not_kept_after_a_407() {
    let emulator = Emulator::start().unwrap();
    let tomorrow = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(80_000));
    emulator.inject(Fault::respond(401).header("Date", &*tomorrow));
    emulator.inject(Fault::respond(407).header("Date", &*tomorrow));
    let client = hurried(&emulator).build().unwrap();
    assert_eq!(client.create_user().unwrap_err().status(), Some(407));
    assert_eq!(client.clock_offset_seconds(), 0);
}

#[test]
fn bearer_source_that_calls_its_own_client_ends_by_the_deadline() {
    let emulator = Emulator::start().unwrap();
    let slot: Arc<Mutex<Option<CommunicationIdentityClient>>> = Arc::default();
    let inner = Arc::clone(&slot);
    let credential = Credential::bearer(move |_: &str| -> Result<BearerToken, _> {
        let client = inner.lock().unwrap().clone().unwrap();
        Err(client.create_user().unwrap_err().into())
    });
    let policy = RetryPolicy::none().deadline(Duration::from_millis(200));
    let client = builder_with(&emulator, credential).retry_policy(policy).build().unwrap();
    *slot.lock().unwrap() = Some(client.clone());
    let error = client.create_user().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Credential, "{error}");
    *slot.lock().unwrap() = None;
}
