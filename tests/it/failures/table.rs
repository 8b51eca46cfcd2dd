//! Operation × failure: the attempts made, by how many the identities changed, and how it ended.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use acs_identity::emulator::{Emulator, Fault};
use acs_identity::{Error, ErrorKind};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection};

use super::{Operation, client, client_of, emulator};
use crate::http::CANARY_KEY;

/// Columns: both creates · issue and exchange · revoke · delete · create with a custom id.
struct Row {
    faults: Vec<Fault>,
    once: [&'static str; 5],
    always: [&'static str; 5],
}

fn column(operation: Operation) -> usize {
    match operation {
        Operation::Create | Operation::CreateWithToken => 0,
        Operation::Issue | Operation::Exchange => 1,
        Operation::Revoke => 2,
        Operation::Delete => 3,
        Operation::CreateWithCustomId => 4,
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
            once: ["2 +1 ok", "2 +0 ok", "2 +0 ok", "2 -1 ok", "2 +1 ok"],
            always: ["4 +0 Service"; 5],
        },
        Row {
            faults: statuses(&[408, 500, 502, 503, 504]).collect(),
            once: ["1 +0 Service in doubt", "2 +0 ok", "2 +0 ok", "2 -1 ok", "2 +1 ok"],
            always: [
                "1 +0 Service in doubt",
                "4 +0 Service in doubt",
                "4 +0 Service in doubt",
                "4 +0 Service in doubt",
                "4 +0 Service in doubt",
            ],
        },
        Row {
            faults: statuses(&[400, 403, 404, 501]).collect(),
            once: ["1 +0 Service"; 5],
            always: ["1 +0 Service"; 5],
        },
        // As before, but the service did what it says that it did not.
        Row {
            faults: statuses(&[408, 500, 502, 503, 504]).map(Fault::after_processing).collect(),
            once: ["1 +1 Service in doubt", "2 +0 ok", "2 +0 ok", "2 -1 ok", "2 +1 ok"],
            always: [
                "1 +1 Service in doubt",
                "4 +0 Service in doubt",
                "4 +0 Service in doubt",
                "4 -1 Service in doubt",
                "4 +1 Service in doubt",
            ],
        },
        Row {
            faults: vec![Fault::drop_before_processing()],
            once: ["1 +0 Transport in doubt", "2 +0 ok", "2 +0 ok", "2 -1 ok", "2 +1 ok"],
            always: [
                "1 +0 Transport in doubt",
                "4 +0 Transport in doubt",
                "4 +0 Transport in doubt",
                "4 +0 Transport in doubt",
                "4 +0 Transport in doubt",
            ],
        },
        Row {
            faults: vec![Fault::drop_after_processing()],
            once: ["1 +1 Transport in doubt", "2 +0 ok", "2 +0 ok", "2 -1 ok", "2 +1 ok"],
            always: [
                "1 +1 Transport in doubt",
                "4 +0 Transport in doubt",
                "4 +0 Transport in doubt",
                "4 -1 Transport in doubt",
                "4 +1 Transport in doubt",
            ],
        },
        // A 204 has no body: it breaks off in its head.
        Row {
            faults: vec![Fault::truncate_body()],
            once: ["1 +1 Response in doubt", "2 +0 ok", "2 +0 ok", "2 -1 ok", "2 +1 ok"],
            always: [
                "1 +1 Response in doubt",
                "4 +0 Response in doubt",
                "4 +0 Transport in doubt",
                // The second answer is a 401 without the code that would say that there is nothing
                // left to delete.
                "2 -1 Service in doubt",
                "4 +1 Response in doubt",
            ],
        },
    ]
}

const STALLED: Row = Row {
    faults: Vec::new(),
    once: ["1 +0 Timeout in doubt", "2 +0 ok", "2 +0 ok", "2 -1 ok", "2 +1 ok"],
    always: [
        "1 +0 Timeout in doubt",
        "4 +0 Timeout in doubt",
        "4 +0 Timeout in doubt",
        "4 +0 Timeout in doubt",
        "4 +0 Timeout in doubt",
    ],
};

/// What one call did, in the words of the table.
fn observe(fault: &Fault, operation: Operation, timeout: Duration) -> String {
    let (emulator, user) = emulator(Emulator::builder());
    let client = client(&emulator).timeout(timeout).build().unwrap();
    let (requests, users) = (emulator.request_count(), emulator.users().len());
    emulator.inject(fault.clone());
    let result = operation.run(&client, &user);
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
    const PLENTY: Duration = Duration::from_secs(30);

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
                    observe(fault, operation, PLENTY),
                    expected(row.once[column]),
                    "{operation:?}, once {fault:?}"
                );
                assert_eq!(
                    observe(&fault.clone().times(u64::MAX), operation, PLENTY),
                    expected(row.always[column]),
                    "{operation:?}, always {fault:?}"
                );
            }
        }
    }
}

#[test]
fn stalled() {
    // Side by side, because each waits for its timeout.
    thread::scope(|scope| {
        for operation in Operation::ALL {
            for (fault, expected) in
                [(Fault::stall(), STALLED.once), (Fault::stall().times(u64::MAX), STALLED.always)]
            {
                scope.spawn(move || {
                    let observed = observe(&fault, operation, Duration::from_millis(900));
                    assert_eq!(observed, expected[column(operation)], "{operation:?} {fault:?}");
                });
            }
        }
    });
}

/// A create that was processed and never answered: nothing may be sent again, and the caller has to
/// know.
#[test]
fn a_create_whose_answer_is_lost_is_sent_once() {
    let (emulator, _) = emulator(Emulator::builder());
    let client = client(&emulator).build().unwrap();
    let before = emulator.request_count();
    emulator.inject(Fault::drop_after_processing());
    let error = client.create_user().unwrap_err();
    assert_eq!(emulator.request_count() - before, 1);
    assert_eq!(emulator.users().len(), 2);
    assert!(error.is_in_doubt());
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Transport, 1));
    assert!(
        error.to_string().starts_with(
            "create_user: the connection failed before the response arrived; an orphaned user may exist whose id nobody knows ["
        ),
        "{error}"
    );
}

#[test]
fn who_asks_for_it_gets_a_second_user_sooner_than_none() {
    for operation in [Operation::Create, Operation::CreateWithToken] {
        let (emulator, user) = emulator(Emulator::builder());
        let policy = super::hurried().retry_create_in_doubt(true);
        let client = client(&emulator).retry_policy(policy).build().unwrap();
        emulator.inject(Fault::drop_after_processing());
        operation.run(&client, &user).unwrap();
        assert_eq!(emulator.users().len(), 3);

        // The doubt of the first attempt outlives a clear refusal of the second.
        emulator.inject(Fault::drop_after_processing());
        emulator.inject(Fault::respond(400));
        let error = operation.run(&client, &user).unwrap_err();
        assert_eq!((error.status(), error.attempts()), (Some(400), 2));
        assert!(error.is_in_doubt());
        assert_eq!(emulator.users().len(), 4);
    }
}

#[test]
fn a_repeated_delete_that_finds_nothing_has_succeeded() {
    let (emulator, user) = emulator(Emulator::builder());
    let client = client(&emulator).build().unwrap();
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
fn assert_never_sent(endpoint: &str, attempts: u32) {
    let user = "8:acs:resource_user".parse().unwrap();
    let client = client_of(endpoint, CANARY_KEY).build().unwrap();
    // Side by side, because looking up a name may take long.
    thread::scope(|scope| {
        for operation in Operation::ALL {
            let (client, user) = (&client, &user);
            scope.spawn(move || {
                let result = operation.run(client, user);
                assert_eq!(outcome(&result), "Connection", "{operation:?} {result:?}");
                let error = result.unwrap_err();
                assert_eq!(error.attempts(), attempts, "{operation:?} {error}");
                assert!(error.to_string().contains("nothing was sent"), "{error}");
            });
        }
    });
}

#[test]
fn connection_refused() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_never_sent(&format!("http://{address}"), 4);
}

#[test]
fn unknown_host() {
    // No label may be so long: it is refused without asking a name server, who may be slow.
    assert_never_sent(&format!("https://{}.invalid", "x".repeat(64)), 4);
}

#[test]
fn certificate_not_trusted() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let config =
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let refusals = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&refusals);
    // Ends with the test program: a client that comes no more is no reason to wait.
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            let mut tls = ServerConnection::new(Arc::clone(&config)).unwrap();
            if tls.complete_io(&mut stream).is_err() && tls.is_handshaking() {
                counted.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    assert_never_sent(&format!("https://localhost:{port}"), 1);
    super::until(|| refusals.load(Ordering::SeqCst) == Operation::ALL.len());
}
