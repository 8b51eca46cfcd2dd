//! One client shared by many threads.

use std::collections::HashSet;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, SystemTime};

use acs_identity::emulator::{Emulator, EmulatorBuilder, Fault, Operation};
use acs_identity::{AccessKey, BearerToken, Credential, ErrorKind};

use crate::support::server::success;
use crate::support::{CANARY_KEY, Server, hurried, until, user};

const THREADS: usize = 16;

/// An emulator that counts connections: it serves each on a thread of its own.
fn counting() -> (EmulatorBuilder, Arc<Mutex<HashSet<thread::ThreadId>>>) {
    let connections = Arc::new(Mutex::new(HashSet::new()));
    let seen = Arc::clone(&connections);
    let builder = Emulator::builder().on_request(move |_| {
        seen.lock().unwrap().insert(thread::current().id());
    });
    (builder, connections)
}

#[test]
fn connections_are_reused_by_sixteen_threads() {
    let (builder, connections) = counting();
    let emulator = builder.start().unwrap();
    let client = hurried(&emulator).build().unwrap();
    // The client learns from the first response that the server keeps connections. Until then, creates open
    // new connections and close the idle ones.
    client.delete_user(&client.create_user().unwrap()).unwrap();
    let at_once = Barrier::new(THREADS);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for round in 0..20 {
                    // All threads are busy at the same time, and all are idle at the same time.
                    if round % 5 == 0 {
                        at_once.wait();
                    }
                    let (user, _) = client.create_user_and_token(["chat"]).unwrap();
                    client.issue_token(&user, ["voip"]).unwrap();
                    client.delete_user(&user).unwrap();
                }
            });
        }
    });
    let made = connections.lock().unwrap().len();
    assert!((2..=THREADS).contains(&made), "{made} connections");
    assert!(emulator.open_connections() <= THREADS);
    assert_eq!(emulator.request_count(), 2 + 16 * 20 * 3);
    assert!(emulator.users().is_empty());

    drop(client);
    until(|| emulator.open_connections() == 0);
}

#[test]
fn connection_is_reused_for_all_operations_of_one_thread() {
    let (builder, connections) = counting();
    let emulator = builder.start().unwrap();
    for client in [hurried(&emulator), hurried(&emulator).agent(ureq::agent())] {
        let client = client.build().unwrap();
        for operation in crate::support::Operation::ALL {
            let user = client.create_user().unwrap();
            // An error keeps the connection open as well.
            let _ = operation.run_on(&client, &user);
        }
        assert_eq!(emulator.open_connections(), 1);
        drop(client);
        until(|| emulator.open_connections() == 0);
    }
    assert_eq!(connections.lock().unwrap().len(), 2);
}

#[test]
fn stalled_call_does_not_delay_other_threads() {
    let emulator = Emulator::start().unwrap();
    let client = hurried(&emulator).timeout(Duration::from_secs(60)).build().unwrap();
    let user = client.create_user().unwrap();
    emulator.inject(Fault::stall().on(Operation::Revoke));
    emulator.inject(Fault::stall_body().on(Operation::Issue));
    let stalled = [
        thread::spawn({
            let (client, user) = (client.clone(), user.clone());
            move || client.revoke_tokens(&user)
        }),
        thread::spawn({
            let (client, user) = (client.clone(), user.clone());
            move || client.issue_token(&user, ["voip"]).map(drop)
        }),
    ];
    until(|| emulator.request_count() == 3);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..5 {
                    let user = client.create_user().unwrap();
                    client.delete_user(&user).unwrap();
                    // Replacing the credential takes a lock as well.
                    let key: AccessKey = emulator.access_key().parse().unwrap();
                    client.replace_credential(key);
                }
            });
        }
    });
    assert!(stalled.iter().all(|call| !call.is_finished()), "the stalled calls ended early");
    // Ends the stalled calls: their connections close, and their retries find no server.
    drop(emulator);
    for call in stalled {
        assert!(call.join().unwrap().is_err());
    }
}

/// Credentials fail, panic and are replaced all the time: no thread waits forever, and the source works
/// again afterwards.
#[test]
fn token_source_survives_credentials_that_fail_and_panic() {
    const THREADS: usize = 64;

    let server = Server::scripted(|connection| {
        while let Some(request) = connection.request() {
            connection.send(success(&request, ""));
        }
    });
    let asked = Arc::new(AtomicUsize::new(0));
    let stormy = || {
        let asked = Arc::clone(&asked);
        Credential::bearer(move |_: &str| match asked.fetch_add(1, Ordering::SeqCst) % 3 {
            0 => Err("out of order".into()),
            1 => panic!("the credential's own panic"),
            _ => Ok(BearerToken::new("bearer", SystemTime::now() + Duration::from_secs(3_600))),
        })
    };
    let calm = || CANARY_KEY.parse::<AccessKey>().unwrap();
    let client = hurried(&server).build().unwrap();
    let (over, sources) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                client.replace_credential(calm());
                // The pace of the storm, not a wait for anything.
                thread::sleep(Duration::from_millis(3));
                client.replace_credential(stormy());
            }
        });
        // Rounds in which no credential failed do not count.
        let mut rounds = 0;
        while rounds < 20 || asked.load(Ordering::SeqCst) < 20 {
            rounds += 1;
            assert!(rounds < 10_000, "no storm");
            client.replace_credential(stormy());
            let source = client.token_source(&user(), ["chat"]).unwrap();
            sources.lock().unwrap().push(source.clone());
            thread::scope(|scope| {
                for _ in 0..THREADS {
                    scope.spawn(|| {
                        let token = panic::catch_unwind(AssertUnwindSafe(|| source.token()));
                        match token {
                            Ok(Ok(token)) => assert_eq!(token.token(), "t"),
                            Ok(Err(error)) => {
                                assert_eq!(error.kind(), ErrorKind::Credential, "{error}");
                                assert_eq!((error.attempts(), error.is_in_doubt()), (0, false));
                            }
                            // A panic in this thread's own fetch.
                            Err(_) => {}
                        }
                    });
                }
            });
        }
        over.store(true, Ordering::SeqCst);
    });
    client.replace_credential(calm());
    for source in sources.into_inner().unwrap() {
        assert_eq!(source.token().unwrap().token(), "t");
    }
}
