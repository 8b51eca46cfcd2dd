//! Operation × failure: the number of attempts, the change in the number of users, and the outcome.

use std::thread;

use acs_identity::emulator::{Emulator, Fault};
use acs_identity::{Error, ErrorKind};

use crate::support::{
    Nobody, Operation, Service, UNKNOWN_HOST, emulator_with_user, hurried, hurried_policy,
};

/// Columns: both creates · issue and exchange · revoke · delete.
struct Row {
    faults: Vec<Fault>,
    once: [&'static str; 4],
    always: [&'static str; 4],
}

fn column(operation: Operation) -> usize {
    match operation {
        Operation::Create | Operation::CreateWithToken => 0,
        Operation::Issue | Operation::Exchange => 1,
        Operation::Revoke => 2,
        Operation::Delete => 3,
    }
}

/// An error in the service's own format.
const ENVELOPE: &str = r#"{"error":{"code":"Some","message":"Some message."}}"#;

fn statuses(statuses: &[u16]) -> impl Iterator<Item = Fault> {
    statuses.iter().map(|status| Fault::respond(*status))
}

fn table() -> Vec<Row> {
    vec![
        Row {
            faults: statuses(&[429])
                .chain([
                    Fault::respond(503).header("Retry-After", "0"),
                    Fault::respond(503).body(ENVELOPE),
                ])
                .collect(),
            once: ["2 +1 ok", "2 +0 ok", "2 +0 ok", "2 -1 ok"],
            always: ["4 +0 Service"; 4],
        },
        Row {
            faults: statuses(&[408, 500, 502, 503, 504]).collect(),
            once: ["1 +0 Service in doubt", "2 +0 ok", "2 +0 ok", "2 -1 ok"],
            always: [
                "1 +0 Service in doubt",
                "4 +0 Service in doubt",
                "4 +0 Service in doubt",
                "4 +0 Service in doubt",
            ],
        },
        Row {
            faults: statuses(&[400, 403, 404, 501]).collect(),
            once: ["1 +0 Service"; 4],
            always: ["1 +0 Service"; 4],
        },
        // The same statuses, but the service did process the request.
        Row {
            faults: statuses(&[408, 500, 502, 503, 504]).map(Fault::after_processing).collect(),
            once: ["1 +1 Service in doubt", "2 +0 ok", "2 +0 ok", "2 -1 ok"],
            always: [
                "1 +1 Service in doubt",
                "4 +0 Service in doubt",
                "4 +0 Service in doubt",
                "4 -1 Service in doubt",
            ],
        },
        Row {
            faults: vec![Fault::drop_before_processing()],
            once: ["1 +0 Transport in doubt", "2 +0 ok", "2 +0 ok", "2 -1 ok"],
            always: [
                "1 +0 Transport in doubt",
                "4 +0 Transport in doubt",
                "4 +0 Transport in doubt",
                "4 +0 Transport in doubt",
            ],
        },
        Row {
            faults: vec![Fault::drop_after_processing()],
            once: ["1 +1 Transport in doubt", "2 +0 ok", "2 +0 ok", "2 -1 ok"],
            always: [
                "1 +1 Transport in doubt",
                "4 +0 Transport in doubt",
                "4 +0 Transport in doubt",
                "4 -1 Transport in doubt",
            ],
        },
        // A 204 has no body: its head is truncated.
        Row {
            faults: vec![Fault::truncate_body()],
            once: ["1 +1 Response in doubt", "2 +0 ok", "2 +0 ok", "2 -1 ok"],
            always: [
                "1 +1 Response in doubt",
                "4 +0 Response in doubt",
                "4 +0 Transport in doubt",
                // The second response is a 401 without the code that says that the user does not
                // exist.
                "2 -1 Service in doubt",
            ],
        },
    ]
}

/// Runs one call and describes it in the notation of the table.
fn observe(fault: &Fault, operation: Operation) -> String {
    let (emulator, user) = emulator_with_user(Emulator::builder());
    let client = hurried(&emulator).build().unwrap();
    let (requests, users) = (emulator.request_count(), emulator.users().len());
    emulator.inject(fault.clone());
    let result = operation.run_on(&client, &user);
    let requests = emulator.request_count() - requests;
    let change = i64::try_from(emulator.users().len()).unwrap() - i64::try_from(users).unwrap();
    if let Err(error) = &result {
        assert_eq!(u64::from(error.attempts()), requests, "{error}");
    }
    format!("{requests} {change:+} {}", outcome(&result))
}

fn outcome(result: &Result<(), Error>) -> String {
    match result {
        Ok(()) => "ok".to_owned(),
        Err(error) if error.is_in_doubt() => format!("{:?} in doubt", error.kind()),
        Err(error) => format!("{:?}", error.kind()),
    }
}

#[test]
fn retry_table_holds_for_each_failure_and_operation() {
    for row in table() {
        for fault in &row.faults {
            for operation in Operation::ALL {
                let column = column(operation);
                let expected = |words: &str| match operation {
                    // The first half of its body has the id, so the user is known.
                    Operation::CreateWithToken => words.replace("Response in doubt", "Response"),
                    _ => words.to_owned(),
                };
                assert_eq!(
                    observe(fault, operation),
                    expected(row.once[column]),
                    "{operation:?}, once {fault:?}"
                );
                assert_eq!(
                    observe(&fault.clone().times(u64::MAX), operation),
                    expected(row.always[column]),
                    "{operation:?}, always {fault:?}"
                );
            }
        }
    }
}

/// The user exists, so the create must not be repeated, and the error must say so.
#[test]
fn create_is_sent_once_if_its_response_is_lost() {
    let (emulator, _) = emulator_with_user(Emulator::builder());
    let client = hurried(&emulator).build().unwrap();
    let before = emulator.request_count();
    emulator.inject(Fault::drop_after_processing());
    let error = client.create_user().unwrap_err();
    assert_eq!(emulator.request_count() - before, 1);
    assert_eq!(emulator.users().len(), 2);
    assert!(error.is_in_doubt());
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Transport, 1));
    assert!(
        error.to_string().starts_with(
            "create_user: the connection failed before the response arrived; a user may have been created; its id is unknown, and calling again creates another ["
        ),
        "{error}"
    );
}

#[test]
fn retry_create_in_doubt_may_create_a_second_user() {
    for operation in [Operation::Create, Operation::CreateWithToken] {
        let (emulator, user) = emulator_with_user(Emulator::builder());
        let policy = hurried_policy().retry_create_in_doubt(true);
        let client = hurried(&emulator).retry_policy(policy).build().unwrap();
        emulator.inject(Fault::drop_after_processing());
        operation.run_on(&client, &user).unwrap();
        assert_eq!(emulator.users().len(), 3);

        // The doubt of the first attempt persists although the second is rejected.
        emulator.inject(Fault::drop_after_processing());
        emulator.inject(Fault::respond(400));
        let error = operation.run_on(&client, &user).unwrap_err();
        assert_eq!((error.status(), error.attempts()), (Some(400), 2));
        assert!(error.is_in_doubt());
        assert_eq!(emulator.users().len(), 4);
    }
}

#[test]
fn delete_that_finds_nothing_succeeds_only_as_a_retry() {
    let (emulator, user) = emulator_with_user(Emulator::builder());
    let client = hurried(&emulator).build().unwrap();
    emulator.inject(Fault::respond(500));
    emulator.inject(Fault::respond(404).body(ENVELOPE));
    client.delete_user(&user).unwrap();

    // Without a retry, the id or the endpoint may be wrong.
    emulator.inject(Fault::respond(404).body(ENVELOPE));
    assert_eq!(client.delete_user(&user).unwrap_err().status(), Some(404));

    // This 404 does not come from the service.
    emulator.inject(Fault::respond(500));
    emulator.inject(Fault::respond(404));
    let error = client.delete_user(&user).unwrap_err();
    assert_eq!((error.status(), error.is_in_doubt()), (Some(404), true));

    // A throttled attempt cannot have deleted the user.
    client.delete_user(&user).unwrap();
    emulator.inject(Fault::respond(429));
    let error = client.delete_user(&user).unwrap_err();
    assert_eq!((error.code(), error.attempts()), (Some("IdentityNotOwned"), 2));
}

/// Asserts that every operation is retried, creates included, and that nothing is in doubt, because nothing
/// was sent.
fn assert_never_sent(service: &(impl Service + ?Sized)) {
    let client = hurried(service).build().unwrap();
    // In parallel, because a name lookup may be slow.
    thread::scope(|scope| {
        for operation in Operation::ALL {
            let client = &client;
            scope.spawn(move || {
                let result = operation.run(client);
                assert_eq!(outcome(&result), "Connection", "{operation:?} {result:?}");
                let error = result.unwrap_err();
                assert_eq!(error.attempts(), 4, "{operation:?} {error}");
                assert!(error.to_string().contains("nothing was sent"), "{error}");
            });
        }
    });
}

#[test]
fn connection_refused_is_retried_and_leaves_nothing_in_doubt() {
    assert_never_sent(&Nobody);
}

#[test]
fn unknown_host_is_retried_and_leaves_nothing_in_doubt() {
    assert_never_sent(&*format!("https://{UNKNOWN_HOST}"));
}
