//! One client, many threads.

use std::collections::HashSet;
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

use acs_identity::emulator::{Emulator, EmulatorBuilder, Fault, Operation};

use crate::support::{hurried, until};

const THREADS: usize = 16;

/// Counts connections: the emulator serves each on a thread of its own.
fn counting() -> (EmulatorBuilder, Arc<Mutex<HashSet<thread::ThreadId>>>) {
    let connections = Arc::new(Mutex::new(HashSet::new()));
    let seen = Arc::clone(&connections);
    let builder = Emulator::builder().on_request(move |_| {
        seen.lock().unwrap().insert(thread::current().id());
    });
    (builder, connections)
}

#[test]
fn sixteen_threads_keep_their_connections() {
    let (builder, connections) = counting();
    let emulator = builder.start().unwrap();
    let client = hurried(&emulator).build().unwrap();
    let at_once = Barrier::new(THREADS);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for round in 0..20 {
                    // All are under way at the same time, and all are idle at the same time.
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
    assert_eq!(emulator.request_count(), 16 * 20 * 3);
    assert!(emulator.users().is_empty());

    drop(client);
    until(|| emulator.open_connections() == 0);
}

#[test]
fn one_thread_keeps_one_connection() {
    let (builder, connections) = counting();
    let emulator = builder.start().unwrap();
    for client in [hurried(&emulator), hurried(&emulator).agent(ureq::agent())] {
        let client = client.build().unwrap();
        for operation in crate::support::Operation::ALL {
            let user = client.create_user().unwrap();
            // Its errors keep the connection as well.
            let _ = operation.run_on(&client, &user);
        }
        assert_eq!(emulator.open_connections(), 1);
        drop(client);
        until(|| emulator.open_connections() == 0);
    }
    assert_eq!(connections.lock().unwrap().len(), 2);
}

#[test]
fn a_stalled_call_delays_nobody() {
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
                    // Replacing the credential needs a lock, too.
                    let key: acs_identity::AccessKey = emulator.access_key().parse().unwrap();
                    client.replace_credential(key);
                }
            });
        }
    });
    assert!(stalled.iter().all(|call| !call.is_finished()), "they were to be stalled all the time");
    // Frees them: their connections end, and nobody answers their retries.
    drop(emulator);
    for call in stalled {
        assert!(call.join().unwrap().is_err());
    }
}
