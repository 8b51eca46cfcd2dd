//! Operation × failure: the attempts made, by how many the identities changed, and how it ended.

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

/// The service's own word.
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
        // As before, but the service did what it says that it did not.
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
        // A 204 has no body: it breaks off in its head.
        Row {
            faults: vec![Fault::truncate_body()],
            once: ["1 +1 Response in doubt", "2 +0 ok", "2 +0 ok", "2 -1 ok"],
            always: [
                "1 +1 Response in doubt",
                "4 +0 Response in doubt",
                "4 +0 Transport in doubt",
                // The second answer is a 401 without the code that would say that there is nothing
                // left to delete.
                "2 -1 Service in doubt",
            ],
        },
    ]
}

/// What one call did, in the words of the table.
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
fn each_failure_of_the_service_on_each_operation() {
    for row in table() {
        for fault in &row.faults {
            for operation in Operation::ALL {
                let column = column(operation);
                let expected = |words: &str| match operation {
                    // Half of its body has the id: the user is known.
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

/// A create that was processed and never answered: nothing may be sent again, and the caller has to
/// know.
#[test]
fn a_create_whose_answer_is_lost_is_sent_once() {
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
fn who_asks_for_it_gets_a_second_user_sooner_than_none() {
    for operation in [Operation::Create, Operation::CreateWithToken] {
        let (emulator, user) = emulator_with_user(Emulator::builder());
        let policy = hurried_policy().retry_create_in_doubt(true);
        let client = hurried(&emulator).retry_policy(policy).build().unwrap();
        emulator.inject(Fault::drop_after_processing());
        operation.run_on(&client, &user).unwrap();
        assert_eq!(emulator.users().len(), 3);

        // The doubt of the first attempt outlives a clear refusal of the second.
        emulator.inject(Fault::drop_after_processing());
        emulator.inject(Fault::respond(400));
        let error = operation.run_on(&client, &user).unwrap_err();
        assert_eq!((error.status(), error.attempts()), (Some(400), 2));
        assert!(error.is_in_doubt());
        assert_eq!(emulator.users().len(), 4);
    }
}

#[test]
fn a_repeated_delete_that_finds_nothing_has_succeeded() {
    let (emulator, user) = emulator_with_user(Emulator::builder());
    let client = hurried(&emulator).build().unwrap();
    emulator.inject(Fault::respond(500));
    emulator.inject(Fault::respond(404).body(ENVELOPE));
    client.delete_user(&user).unwrap();

    // Not repeated: the id may be wrong, or the endpoint.
    emulator.inject(Fault::respond(404).body(ENVELOPE));
    assert_eq!(client.delete_user(&user).unwrap_err().status(), Some(404));

    // Not the service: what listens there knows no user at all.
    emulator.inject(Fault::respond(500));
    emulator.inject(Fault::respond(404));
    let error = client.delete_user(&user).unwrap_err();
    assert_eq!((error.status(), error.is_in_doubt()), (Some(404), true));

    // Only what may have been done can have been done.
    client.delete_user(&user).unwrap();
    emulator.inject(Fault::respond(429));
    let error = client.delete_user(&user).unwrap_err();
    assert_eq!((error.code(), error.attempts()), (Some("IdentityNotOwned"), 2));
}

/// Nothing was sent, so everything is tried again, creating too, unless it would end the same way,
/// and nothing is in doubt.
fn assert_never_sent(service: &(impl Service + ?Sized)) {
    let client = hurried(service).build().unwrap();
    // Side by side, because looking up a name may take long.
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
fn connection_refused() {
    assert_never_sent(&Nobody);
}

#[test]
fn unknown_host() {
    assert_never_sent(&*format!("https://{UNKNOWN_HOST}"));
}
