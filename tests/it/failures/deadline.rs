//! Deadlines that hold, over real sockets and in real time, with an agent of the client's own and
//! with a caller's.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use acs_identity::emulator::{Emulator, Fault};
use acs_identity::{CommunicationIdentityClient, Error, ErrorKind, RetryPolicy};

use super::{Operation, PATIENCE, client, client_of, emulator, hurried};
use crate::http::{CANARY_KEY, read_request};

const DEADLINE: Duration = Duration::from_millis(600);
/// What a busy machine may add.
const TOLERANCE: Duration = Duration::from_millis(900);

/// The same client by its own agent and by a caller's.
fn clients(endpoint: &str, policy: RetryPolicy) -> [CommunicationIdentityClient; 2] {
    let builder = || {
        client_of(endpoint, CANARY_KEY)
            .retry_policy(policy.deadline(DEADLINE))
            .timeout(DEADLINE / 4)
            .connect_timeout(DEADLINE / 4)
    };
    [builder().build().unwrap(), builder().agent(ureq::agent()).build().unwrap()]
}

/// Runs all operations on both clients, side by side, and asserts that each failed by its deadline.
fn assert_fails_in_time(
    endpoint: &str,
    policy: RetryPolicy,
    check: impl Fn(Operation, &Error) + Sync,
) {
    let user = "8:acs:resource_user".parse().unwrap();
    thread::scope(|scope| {
        for client in clients(endpoint, policy) {
            for operation in Operation::ALL {
                let (client, user, check) = (client.clone(), &user, &check);
                scope.spawn(move || {
                    let started = Instant::now();
                    let error = operation.run(&client, user).unwrap_err();
                    let took = started.elapsed();
                    assert!(took < DEADLINE + TOLERANCE, "{operation:?} took {took:?}: {error}");
                    assert!(error.elapsed() <= took, "{error}");
                    check(operation, &error);
                });
            }
        }
    });
}

/// Deals with each connection on a thread of its own until the test is over.
struct Listener {
    address: String,
    over: Arc<AtomicBool>,
}

impl Listener {
    /// The script is called again and again, with how often before, until it returns false.
    fn start(script: impl Fn(&mut TcpStream, usize) -> bool + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let over = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&over);
        let script = Arc::new(script);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let (script, stop) = (Arc::clone(&script), Arc::clone(&stop));
                thread::spawn(move || {
                    let started = Instant::now();
                    for step in 0.. {
                        let late = started.elapsed() > PATIENCE;
                        if late || stop.load(Ordering::SeqCst) || !script(&mut stream, step) {
                            return;
                        }
                    }
                });
            }
        });
        Self { address, over }
    }

    /// Takes in whatever comes and never says anything.
    fn silent() -> Self {
        Self::start(move |stream, _| {
            // Until the client leaves, or one that waits for ever has waited too long.
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let _ = std::io::copy(stream, &mut std::io::sink());
            false
        })
    }

    /// Reads the request, then sends the beginning and then a drop for ever, one every few
    /// milliseconds.
    fn dripping(beginning: &'static str, drop: &'static str) -> Self {
        Self::start(move |stream, step| {
            if step == 0 {
                return read_request(stream).is_some()
                    && stream.write_all(beginning.as_bytes()).is_ok();
            }
            // The pace of the drip, not a wait for anything.
            thread::sleep(Duration::from_millis(5));
            stream.write_all(drop.as_bytes()).is_ok()
        })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(&self.address);
    }
}

/// What may be repeated is, with the time that is left.
#[test]
fn accepts_and_says_nothing() {
    let server = Listener::silent();
    assert_fails_in_time(&format!("http://{}", server.address), hurried(), |operation, error| {
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
        assert!(error.is_in_doubt());
        let create = matches!(operation, Operation::Create | Operation::CreateWithToken);
        assert_eq!(error.attempts() == 1, create, "{operation:?} {error}");
    });
}

/// No request was sent: a create is repeated as well.
#[test]
fn stalls_in_the_tls_handshake() {
    let server = Listener::silent();
    let policy = hurried().max_retries(1);
    assert_fails_in_time(&format!("https://{}", server.address), policy, |operation, error| {
        assert_eq!((error.kind(), error.attempts()), (ErrorKind::Connection, 2), "{operation:?}");
        assert!(
            error.to_string().contains(
                ": connecting timed out: check the endpoint, the network and the proxy; nothing was sent ("
            ),
            "{error}"
        );
        assert!(!error.is_in_doubt(), "{operation:?} {error}");
    });
}

#[test]
fn continues_for_ever() {
    let server = Listener::dripping("", "HTTP/1.1 100 Continue\r\n\r\n");
    assert_fails_in_time(&format!("http://{}", server.address), hurried(), |_, error| {
        assert!(error.is_in_doubt(), "{error}");
    });
}

#[test]
fn waits_between_attempts_end_by_the_deadline() {
    let (emulator, user) = emulator(Emulator::builder());
    emulator.inject(Fault::respond(503).times(u64::MAX));
    for (delay, attempts) in [
        // A wait that does not fit is not begun. How many of those that do depends on the machine.
        (Duration::from_secs(5), 1..=1),
        (Duration::from_millis(200), 1..=4),
    ] {
        let policy = RetryPolicy::default().base_delay(delay).deadline(DEADLINE);
        let builder = || client(&emulator).retry_policy(policy);
        let clients = [builder().build(), builder().agent(ureq::agent()).build()];
        for client in clients.map(Result::unwrap) {
            for operation in [Operation::Create, Operation::Delete] {
                let started = Instant::now();
                let error = operation.run(&client, &user).unwrap_err();
                assert!(started.elapsed() < DEADLINE + TOLERANCE, "{error}");
                assert_eq!(error.status(), Some(503), "{error}");
                assert!(attempts.contains(&error.attempts()), "{error}");
            }
        }
    }
}

/// An attempt gets what is left of the call's time, not its own whole timeout anew.
#[test]
fn late_attempts_are_cut_short() {
    let (emulator, user) = emulator(Emulator::builder());
    for fault in [Fault::stall(), Fault::stall_body(), Fault::drip(Duration::from_millis(50))] {
        for operation in [Operation::Issue, Operation::CreateWithCustomId] {
            let wait = Duration::from_millis(300);
            let policy = RetryPolicy::default().max_retries(1).base_delay(wait).deadline(DEADLINE);
            let client = client(&emulator).retry_policy(policy).build().unwrap();
            emulator.inject(Fault::respond(503));
            emulator.inject(fault.clone());
            let started = Instant::now();
            let error = operation.run(&client, &user).unwrap_err();
            assert!(started.elapsed() < DEADLINE + TOLERANCE, "{fault:?} {error}");
            assert_eq!(error.attempts(), 2, "{fault:?} {error}");
        }
    }
}
