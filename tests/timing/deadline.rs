//! Deadlines of calls and timeouts of attempts.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use acs_identity::emulator::{Emulator, Fault};
use acs_identity::{BearerToken, Credential, ErrorKind, RetryPolicy};

use crate::measured;
use crate::support::server::{ID, respond_well};
use crate::support::{
    Operation, Server, builder_with, emulator_with_user, hurried, on_both_agents, until,
};

const HOUR: Duration = Duration::from_secs(60 * 60);
const DEADLINE: Duration = Duration::from_millis(600);
/// What a busy machine may add.
const TOLERANCE: Duration = Duration::from_millis(400);

#[test]
fn backoff_ends_by_the_deadline() {
    for (delay, attempts) in [
        // A backoff that does not fit is not begun. How many fit depends on the machine.
        (Duration::from_secs(5), 1..=1),
        (Duration::from_millis(200), 1..=4),
    ] {
        let policy = RetryPolicy::default().base_delay(delay).deadline(DEADLINE);
        measured(|| {
            let (emulator, user) = emulator_with_user(Emulator::builder());
            emulator.inject(Fault::respond(503).times(u64::MAX));
            for client in on_both_agents(|| hurried(&emulator).retry_policy(policy)) {
                for operation in [Operation::Create, Operation::Delete] {
                    let started = Instant::now();
                    let error = operation.run_on(&client, &user).unwrap_err();
                    assert!(started.elapsed() < DEADLINE + TOLERANCE, "{error}");
                    assert_eq!(error.status(), Some(503), "{error}");
                    assert!(attempts.contains(&error.attempts()), "{error}");
                }
            }
        });
    }
}

/// An attempt gets only the remaining time of the call, not its full timeout.
#[test]
fn deadline_cuts_late_attempts_short() {
    let backoff = DEADLINE / 2;
    let policy = RetryPolicy::default().max_retries(1).base_delay(backoff).deadline(DEADLINE);
    thread::scope(|scope| {
        for fault in [Fault::stall(), Fault::stall_body(), Fault::drip(Duration::from_millis(50))] {
            for operation in [Operation::Issue, Operation::Exchange] {
                let fault = fault.clone();
                let check = move || {
                    let (emulator, user) = emulator_with_user(Emulator::builder());
                    emulator.inject(Fault::respond(503));
                    emulator.inject(fault.clone());
                    let client = hurried(&emulator).retry_policy(policy).build().unwrap();
                    let started = Instant::now();
                    let error = operation.run_on(&client, &user).unwrap_err();
                    assert!(started.elapsed() < DEADLINE + TOLERANCE, "{fault:?} {error}");
                    assert_eq!(error.attempts(), 2, "{fault:?} {error}");
                };
                scope.spawn(move || measured(check));
            }
        }
    });
}

#[test]
fn timeout_of_a_stalled_service_is_retried_if_safe() {
    thread::scope(|scope| {
        for operation in Operation::ALL {
            for always in [false, true] {
                let check = move || {
                    let (emulator, user) = emulator_with_user(Emulator::builder());
                    let before = emulator.request_count();
                    emulator.inject(Fault::stall().times(if always { u64::MAX } else { 1 }));
                    let timeout = Duration::from_millis(300);
                    let client = hurried(&emulator).timeout(timeout).build().unwrap();
                    let result = operation.run_on(&client, &user);
                    let requests = emulator.request_count() - before;
                    let Err(error) = result else {
                        assert!(!always && !operation.is_create(), "{operation:?}");
                        return assert_eq!(requests, 2, "{operation:?}");
                    };
                    assert!(always || operation.is_create(), "{error}");
                    let told = (error.kind(), error.is_in_doubt(), u64::from(error.attempts()));
                    let attempts = if operation.is_create() { 1 } else { 4 };
                    assert_eq!(told, (ErrorKind::Timeout, true, attempts), "{error}");
                    assert_eq!(requests, attempts, "{error}");
                    assert_eq!(emulator.users().len(), 1, "{error}");
                };
                scope.spawn(move || measured(check));
            }
        }
    });
}

/// The blanks end at the size limit of a body or at the timeout.
#[test]
fn revoke_and_delete_reject_an_endless_blank_body() {
    for slowly in [false, true] {
        let server = Server::scripted(move |connection| {
            if connection.request().is_none() {
                return;
            }
            let head = "HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n";
            if slowly {
                return connection.drip(head, " ");
            }
            connection.send(head);
            while connection.send([b' '; 8192]) {}
        });
        let once = |timeout| hurried(&server).retry_policy(RetryPolicy::none()).timeout(timeout);
        for operation in [Operation::Revoke, Operation::Delete] {
            for client in on_both_agents(|| once(Duration::from_millis(200))) {
                measured(|| {
                    let error = operation.run(&client).expect_err("blanks");
                    assert_eq!((error.kind(), error.status()), (ErrorKind::Response, Some(200)));
                    assert!(error.is_in_doubt(), "{error}");
                });
            }
        }
    }
}

#[test]
fn created_user_id_is_read_from_a_body_that_stalls() {
    let server = Server::scripted(|connection| {
        connection.request();
        let head = "HTTP/1.1 201 Created\r\nContent-Length: 5000\r\n\r\n";
        connection.send(format!(r#"{head}{{"identity":{{"id":"{ID}"}},"#));
        connection.stall();
    });
    let timeout = Duration::from_millis(300);
    let once = || hurried(&server).timeout(timeout).retry_policy(RetryPolicy::none());
    for client in on_both_agents(once) {
        measured(|| {
            let error = client.create_user_and_token(["voip"]).unwrap_err();
            assert_eq!(error.created_user_id(), Some(ID), "{error}");
        });
    }
}

/// Nothing was sent, and the error must not suggest otherwise.
#[test]
fn deadline_bounds_the_wait_for_a_bearer_token_of_another_thread() {
    measured(|| {
        let server = Server::scripted(respond_well);
        let (release, released) = mpsc::channel::<()>();
        let released = Mutex::new(released);
        let asked = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&asked);
        let credential = Credential::bearer(move |_: &str| {
            flag.store(true, Ordering::SeqCst);
            let _ = released.lock().unwrap().recv_timeout(Duration::from_secs(5));
            Ok(BearerToken::new("token", SystemTime::now() + HOUR))
        });
        let deadline = DEADLINE / 2;
        let client = builder_with(&server, credential)
            .retry_policy(RetryPolicy::default().deadline(deadline))
            .build()
            .unwrap();
        thread::scope(|scope| {
            let first = scope.spawn(|| client.create_user());
            until(|| asked.load(Ordering::SeqCst));
            let wait = |operation: Operation| {
                let started = Instant::now();
                let error = operation.run(&client).unwrap_err();
                let took = started.elapsed();
                assert!(took >= deadline * 9 / 10 && took < deadline * 2, "{took:?}");
                let kind = error.kind();
                assert!(!matches!(kind, ErrorKind::Timeout | ErrorKind::Transport), "{error}");
                assert_eq!((error.attempts(), error.is_in_doubt()), (0, false), "{error}");
            };
            let operations = [Operation::Create, Operation::Issue, Operation::Delete];
            let others = operations.map(|operation| scope.spawn(move || wait(operation)));
            let others = others.map(thread::ScopedJoinHandle::join);
            release.send(()).unwrap();
            let error = first.join().unwrap().unwrap_err();
            assert_eq!((error.attempts(), error.is_in_doubt()), (0, false), "{error}");
            assert!(others.iter().all(Result::is_ok));
        });
        assert!(server.requests().is_empty());
    });
}
