//! Guards what the library costs and is the same on every machine: allocations, system calls,
//! crates. What takes time is measured by `cargo bench`. A binary of its own, for its allocator.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

#[allow(dead_code, reason = "its own program is not run here")]
#[path = "../examples/caching_resolver.rs"]
mod caching_resolver;
#[path = "bench/counting.rs"]
mod counting;
#[allow(dead_code, unreachable_pub, reason = "made for the other tests")]
#[path = "it/support/process.rs"]
mod process;
#[allow(dead_code, reason = "one process is enough")]
#[path = "bench/server.rs"]
mod server;
#[allow(dead_code, reason = "TLS is only timed")]
#[path = "bench/sides.rs"]
mod sides;
#[allow(dead_code, reason = "base64 is ours to avoid")]
#[path = "bench/signing.rs"]
mod signing;

use std::collections::BTreeSet;
use std::env;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;
use std::thread;
use std::time::{Duration, SystemTime};

use acs_identity::{AccessKey, CommunicationIdentityClient, ErrorKind, RetryPolicy};
use caching_resolver::Addresses;
use counting::count;
use process::run;
use sides::{Bare, Call, KEY, Ours, Side, agent, config};
use signing::Signing;

/// What a call may allocate more often than the same request by hand, and how much more often its
/// allocations may grow.
const BEYOND_BARE: [(Call, usize, usize); 3] =
    [(Call::Issue, 5, 0), (Call::Create, 5, 0), (Call::Delete, 0, 0)];
/// What a signature may allocate.
const PER_SIGNATURE: (usize, usize) = (3, 0);
/// What a call on a kept connection may set on its socket: the timeouts of the head and the body, of which
/// the second is only set if the body has not arrived with the head.
const SETSOCKOPT_PER_CALL: f64 = 2.0;
/// With this crate itself.
const CRATES: usize = 39;
const CRATES_WITHOUT_TLS: usize = 29;

#[test]
fn allocations_of_calls() {
    let endpoint = format!("http://{}", server::start().http);
    let (ours, bare) = (Ours::new(&endpoint, None), Bare::new(&endpoint, agent(None)));
    for (call, allocations, reallocations) in BEYOND_BARE {
        let (ours, bare) = (count(|| ours.call(call)), count(|| bare.call(call)));
        assert!(
            ours.allocations <= bare.allocations + allocations
                && ours.reallocations <= bare.reallocations + reallocations,
            "{}: {ours:?}, by hand: {bare:?}",
            call.name()
        );
    }
}

#[test]
fn allocations_of_a_signature() {
    let (signing, now) = (Signing::new(), SystemTime::now());
    let signature = count(|| signing.ours(now));
    let (allocations, reallocations) = PER_SIGNATURE;
    assert!(
        signature.allocations <= allocations && signature.reallocations <= reallocations,
        "{signature:?}"
    );
    let hashing = count(|| {
        signing.hashing();
    });
    assert_eq!(hashing.allocations, 0, "the measure itself");
}

/// Or else the other counts, and the ratios of `cargo bench`, compare different work.
#[test]
fn the_request_by_hand_is_the_same() {
    for call in Call::ALL {
        let ours = request_of(|endpoint| Box::new(Ours::new(endpoint, None)), call);
        let bare = request_of(|endpoint| Box::new(Bare::new(endpoint, agent(None))), call);
        assert_eq!(shape(&ours), shape(&bare), "{ours}\n{bare}");
        assert_eq!(ours.len(), bare.len(), "{ours}\n{bare}");
    }
}

/// The first line, the names of the headers, and the body.
fn shape(request: &str) -> (&str, BTreeSet<&str>, &str) {
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let first = lines.next().unwrap();
    (first, lines.map(|line| line.split_once(':').unwrap().0).collect(), body)
}

/// What a side sends for a call.
fn request_of(side: fn(&str) -> Box<dyn Side>, call: Call) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // Ports have the same length for all, so that the requests do.
    let endpoint = format!("http://localhost:{:05}", listener.local_addr().unwrap().port());
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let (mut request, mut buffer) = (String::new(), [0; 4096]);
        // Head and body may come apart.
        while !complete(&request) {
            let count = stream.read(&mut buffer).unwrap();
            assert!(count > 0, "{request}");
            request.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
        }
        stream.write_all(&server::response_to(request.as_bytes())).unwrap();
        request
    });
    side(&endpoint).call(call);
    server.join().unwrap()
}

fn complete(request: &str) -> bool {
    let Some((head, body)) = request.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    body.len() >= length.parse().unwrap()
}

/// Each would cost a few percent of a call.
#[test]
fn a_kept_connection_is_left_as_it_is() {
    if !cfg!(target_os = "linux")
        || !run(Command::new("sh").args(["-c", "strace -e trace=none true"])).status.success()
    {
        eprintln!("not checked: strace is not there or may not trace");
        return;
    }
    let endpoint = format!("http://{}", server::start().http);
    let made = |rounds: u32| {
        let output = run(Command::new("strace")
            .args(["-f", "-e", "trace=setsockopt"])
            .arg(env::current_exe().unwrap())
            .args(["--exact", "calls_to_trace", "--ignored"])
            .env(ENDPOINT, &endpoint)
            .env(ROUNDS, rounds.to_string()));
        let trace = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{trace}");
        u32::try_from(trace.matches("setsockopt(").count()).unwrap()
    };
    let (few, many) = (made(10), made(110));
    assert!(few > 0, "a connection was made");
    let calls = 100.0 * f64::from(u32::try_from(Call::ALL.len()).unwrap());
    let per_call = f64::from(many - few) / calls;
    assert!(per_call <= SETSOCKOPT_PER_CALL, "{per_call} a call");
}

const ENDPOINT: &str = "FOOTPRINT_ENDPOINT";
const ROUNDS: &str = "FOOTPRINT_ROUNDS";

#[test]
#[ignore = "run by another test, under strace"]
fn calls_to_trace() {
    let Ok(endpoint) = env::var(ENDPOINT) else { return };
    let ours = Ours::new(&endpoint, None);
    for _ in 0..env::var(ROUNDS).unwrap().parse().unwrap() {
        for call in Call::ALL {
            ours.call(call);
        }
    }
}

#[test]
fn a_name_is_looked_up_once_while_its_addresses_are_remembered() {
    let endpoint = format!("http://localhost:{}", server::start().http.port());
    for (max_age, expected) in [(Duration::from_secs(600), 1), (Duration::ZERO, 3)] {
        let addresses = Addresses::new(max_age);
        let ours = Ours::new(&endpoint, Some(addresses.agent(config(None).build())));
        for call in Call::ALL {
            ours.call(call);
        }
        assert_eq!(addresses.lookups(), expected, "{max_age:?}");
    }
}

#[test]
fn caching_resolver_looks_a_name_up_again_after_a_failed_connect() {
    let addresses = Addresses::new(Duration::from_secs(600));
    let key: AccessKey = KEY.parse().unwrap();
    // The port of a protocol that is not in use any more.
    let endpoint = "http://localhost:1".parse().unwrap();
    let once = Duration::from_millis(1);
    let client = CommunicationIdentityClient::builder(endpoint, key)
        .agent(addresses.agent(config(None).build()))
        .retry_policy(RetryPolicy::default().max_retries(2).base_delay(once))
        .build()
        .unwrap();
    let error = client.create_user().unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Connection, 3), "{error}");
    assert_eq!(addresses.lookups(), 3);
}

#[test]
fn crates() {
    for (arguments, most) in [(&[][..], CRATES), (&["--no-default-features"], CRATES_WITHOUT_TLS)] {
        let output = run(Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args([
                "tree",
                "--locked",
                "--offline",
                "--package",
                env!("CARGO_PKG_NAME"),
                "--edges",
                "normal",
                "--prefix",
                "none",
            ])
            .args(arguments)
            .current_dir(env!("CARGO_MANIFEST_DIR")));
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        // A crate that stands there again is marked.
        let crates: BTreeSet<&str> = text.lines().map(|it| it.trim_end_matches(" (*)")).collect();
        assert!(crates.len() <= most, "{} crates: {crates:#?}", crates.len());
    }
}
