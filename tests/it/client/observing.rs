//! The reports that an observer of calls receives.

use std::error::Error as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use acs_identity::emulator::{Emulator, Fault};
use acs_identity::{
    BearerToken, CallReport, CommunicationIdentityClient, Credential, ErrorKind, RetryPolicy,
};

use crate::support::{builder, builder_with, client, last_request};

/// An observed clone of this client, and the reports of its calls.
fn observed(
    client: &CommunicationIdentityClient,
) -> (CommunicationIdentityClient, Arc<Mutex<Vec<CallReport>>>) {
    let reports = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&reports);
    let client = client.observed(move |report| kept.lock().unwrap().push(report.clone()));
    (client, reports)
}

#[test]
fn call_report_of_a_success_has_all_details() {
    let emulator = Emulator::start().unwrap();
    let (client, reports) = observed(&client(&emulator));
    emulator.inject(
        Fault::respond(204)
            .header("MS-CV", "NXIF6XUaPEWmh2eeu4VIOg.2.0")
            .header("X-Azure-Ref", "0nLQ1YwAAAAALU1NTsHjdTJT5NhSnlRaZUFJHMDFFREdFMDkwOABm"),
    );
    let began = Instant::now();
    client.delete_user(&"8:acs:a_b".parse().unwrap()).unwrap();
    let took = began.elapsed();

    let reports = reports.lock().unwrap();
    let [report] = &reports[..] else { panic!("one call, one report: {reports:?}") };
    assert_eq!(report.operation(), "delete_user");
    assert!(report.succeeded() && report.error().is_none());
    assert_eq!((report.status(), report.attempts()), (Some(204), 1));
    assert_eq!(report.ms_cv(), Some("NXIF6XUaPEWmh2eeu4VIOg.2.0"));
    let azure_ref = "0nLQ1YwAAAAALU1NTsHjdTJT5NhSnlRaZUFJHMDFFREdFMDkwOABm";
    assert_eq!(report.azure_ref(), Some(azure_ref));
    let sent = last_request(&emulator);
    assert_eq!(Some(report.client_request_id()), sent.header("x-ms-client-request-id"));
    assert!(report.elapsed() > Duration::ZERO && report.elapsed() <= took, "{report:?}");
}

#[test]
fn retry_is_reported_before_its_backoff() {
    let emulator = Emulator::start().unwrap();
    let policy = RetryPolicy::default().base_delay(Duration::ZERO);
    let (observed, reports) = observed(&builder(&emulator).retry_policy(policy).build().unwrap());
    let retries = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&retries);
    let client =
        observed.on_retry(move |error, delay| kept.lock().unwrap().push((error.clone(), delay)));
    emulator.inject(Fault::respond(429).header("retry-after-ms", "7"));
    emulator.inject(Fault::respond(429));
    client.create_user().unwrap();

    let retries = retries.lock().unwrap();
    for ((error, _), attempt) in retries.iter().zip(1..) {
        assert_eq!((error.status(), error.attempts()), (Some(429), attempt));
        assert_eq!(error.operation(), Some("create_user"));
    }
    // One without a backoff is reported, too.
    let delays: Vec<_> = retries.iter().map(|(_, delay)| delay.as_millis()).collect();
    assert_eq!(delays, [7, 0]);
    // The call is still reported once, at its end.
    assert_eq!(reports.lock().unwrap().len(), 1);
}

#[test]
fn call_report_names_the_operation() {
    let emulator = Emulator::start().unwrap();
    let (client, reports) = observed(&client(&emulator));
    let (user, _) = client.create_user_and_token(["chat"]).unwrap();
    client.create_user().unwrap();
    client.issue_token(&user, ["chat"]).unwrap();
    client.token_source(&user, ["chat"]).unwrap().token().unwrap();
    client.revoke_tokens(&user).unwrap();
    client.exchange_teams_user_token("t", "a", "u").unwrap_err();
    client.delete_user(&user).unwrap();
    let names: Vec<_> = reports.lock().unwrap().iter().map(CallReport::operation).collect();
    assert_eq!(
        names,
        [
            "create_user_and_token",
            "create_user",
            "issue_token",
            "issue_token",
            "revoke_tokens",
            "exchange_teams_user_token",
            "delete_user",
        ]
    );
}

#[test]
fn call_report_of_a_failure_matches_its_error() {
    let emulator = Emulator::start().unwrap();
    let (client, reports) = observed(&client(&emulator));
    let error = client.revoke_tokens(&"8:acs:a_b".parse().unwrap()).unwrap_err();
    let report = reports.lock().unwrap().pop().unwrap();
    assert!(!report.succeeded());
    assert_eq!(report.error().unwrap().to_string(), error.to_string());
    assert_eq!((report.operation(), report.status()), ("revoke_tokens", Some(401)));
    assert_eq!(report.attempts(), error.attempts());
    assert_eq!(Some(report.client_request_id()), error.client_request_id());
    assert_eq!((report.ms_cv(), report.azure_ref()), (error.ms_cv(), error.azure_ref()));
    assert!(report.ms_cv().is_some() && report.azure_ref().is_some());

    // The service succeeded, but the response is unusable.
    emulator.inject(Fault::respond(200).body("{}"));
    client.issue_token(&"8:acs:a_b".parse().unwrap(), ["chat"]).unwrap_err();
    let report = reports.lock().unwrap().pop().unwrap();
    assert_eq!((report.succeeded(), report.status()), (false, Some(200)));

    // Without a response there is no status.
    emulator.inject(Fault::drop_before_processing());
    client.create_user().unwrap_err();
    let report = reports.lock().unwrap().pop().unwrap();
    assert_eq!((report.succeeded(), report.status(), report.attempts()), (false, None, 1));
    assert_eq!((report.ms_cv(), report.azure_ref()), (None, None));
}

#[test]
fn call_report_is_made_once_for_several_attempts() {
    let emulator = Emulator::start().unwrap();
    let policy = RetryPolicy::default().base_delay(Duration::from_millis(1));
    let (client, reports) = observed(&builder(&emulator).retry_policy(policy).build().unwrap());
    let busy = Fault::respond(503).header("Retry-After", "0");
    emulator.inject(busy.header("MS-CV", "first").header("X-Azure-Ref", "first"));
    emulator.inject(Fault::respond(429).header("retry-after-ms", "2"));
    client.create_user().unwrap();

    let report = reports.lock().unwrap().pop().unwrap();
    assert!(report.succeeded());
    assert_eq!((report.status(), report.attempts()), (Some(201), 3));
    assert!(report.elapsed() >= Duration::from_millis(2), "{report:?}");
    assert!(report.ms_cv().is_some_and(|vector| vector.ends_with(".2.0")), "{report:?}");
    assert_ne!(report.azure_ref(), Some("first"));
    let requests = emulator.requests();
    assert_eq!(requests.len(), 3);
    for request in requests {
        assert_eq!(request.header("x-ms-client-request-id"), Some(report.client_request_id()));
    }
    assert!(reports.lock().unwrap().is_empty());
}

#[test]
fn call_report_without_a_credential_has_no_attempts() {
    let emulator = Emulator::start().unwrap();
    let credential =
        Credential::bearer(|_: &str| -> Result<BearerToken, _> { Err("nobody is home".into()) });
    let (client, reports) = observed(&builder_with(&emulator, credential).build().unwrap());
    let error = client.create_user().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Credential);
    assert_eq!(error.source().unwrap().to_string(), "nobody is home");
    let report = reports.lock().unwrap().pop().unwrap();
    assert_eq!((report.succeeded(), report.status(), report.attempts()), (false, None, 0));
}

#[test]
fn call_report_is_made_for_observed_clients_only() {
    let emulator = Emulator::start().unwrap();
    let plain = client(&emulator);
    let (watched, reports) = observed(&plain);
    let (second, others) = observed(&watched);
    plain.create_user().unwrap();
    assert!(reports.lock().unwrap().is_empty());

    // A call that is rejected for its arguments is not reported.
    watched.create_user_and_token(Vec::<String>::new()).unwrap_err();
    assert!(reports.lock().unwrap().is_empty());

    // Clones are observed as well; each observer receives only the calls of its own client.
    watched.clone().create_user().unwrap();
    assert_eq!(reports.lock().unwrap().len(), 1);
    second.create_user().unwrap();
    assert_eq!((reports.lock().unwrap().len(), others.lock().unwrap().len()), (1, 1));
}
