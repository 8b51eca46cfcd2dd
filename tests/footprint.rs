//! Limits the costs that are the same on every machine: allocations, system calls, crates. `cargo bench`
//! measures time. The binary is separate because it has its own allocator.
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
#[allow(dead_code, reason = "only the benchmark measures base64")]
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

/// How many more allocations and reallocations a call may make than the same request made by hand.
const BEYOND_BARE: [(Call, usize, usize); 3] =
    [(Call::Issue, 5, 0), (Call::Create, 5, 0), (Call::Delete, 0, 0)];
/// The allocations and reallocations that a signature may make.
const PER_SIGNATURE: (usize, usize) = (3, 0);
/// Socket options that a call may set on a reused connection: the timeouts of the head and of the body,
/// the latter only if the body has not arrived with the head.
const SETSOCKOPT_PER_CALL: f64 = 2.0;
/// Including this crate.
const CRATES: usize = 39;
const CRATES_WITHOUT_TLS: usize = 29;

#[test]
fn allocations_of_a_call_stay_near_those_of_a_bare_request() {
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
fn allocations_of_a_signature_stay_within_the_limit() {
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
    assert_eq!(hashing.allocations, 0, "the measurement itself allocates");
}

/// As a tree, the largest body of an error would take a hundred times its size.
#[test]
fn allocations_for_the_body_of_an_error_do_not_grow_with_it() {
    let body = format!("[{}]", vec!["{\"\":0}"; 10_000].join(","));
    let head = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length";
    let response = format!("{head}: {}\r\n\r\n{body}", body.len());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            // The head and the body of the request, which may arrive separately.
            let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
            while !request.ends_with(b"{}") {
                let count = stream.read(&mut buffer).unwrap();
                request.extend(&buffer[..count]);
            }
            stream.write_all(response.as_bytes()).unwrap();
        }
    });
    let key: AccessKey = "c2VjcmV0".parse().unwrap();
    let client = CommunicationIdentityClient::new(&endpoint, key).unwrap();
    let failed = count(|| assert_eq!(client.create_user().unwrap_err().status(), Some(400)));
    assert!(failed.allocations < 200, "{failed:?}");
}

/// Otherwise the other counts and the ratios of `cargo bench` would compare different work.
#[test]
fn bare_request_equals_the_request_of_the_client() {
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

/// The request that a side sends for a call.
fn request_of(side: fn(&str) -> Box<dyn Side>, call: Call) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // Ports are padded so that all requests have the same length.
    let endpoint = format!("http://localhost:{:05}", listener.local_addr().unwrap().port());
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let (mut request, mut buffer) = (String::new(), [0; 4096]);
        // Head and body may arrive separately.
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

/// Each additional call would cost a few percent.
#[test]
fn setsockopt_calls_on_a_reused_connection_are_bounded() {
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
            .args(["--exact", "setsockopt_calls_child_process", "--ignored"])
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
fn setsockopt_calls_child_process() {
    let Ok(endpoint) = env::var(ENDPOINT) else { return };
    let ours = Ours::new(&endpoint, None);
    for _ in 0..env::var(ROUNDS).unwrap().parse().unwrap() {
        for call in Call::ALL {
            ours.call(call);
        }
    }
}

#[test]
fn caching_resolver_looks_a_name_up_once_within_its_max_age() {
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
    // The port of an obsolete protocol, on which nothing listens.
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
fn dependency_tree_does_not_grow() {
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
        // Repeated crates are marked with (*).
        let crates: BTreeSet<&str> = text.lines().map(|it| it.trim_end_matches(" (*)")).collect();
        assert!(crates.len() <= most, "{} crates: {crates:#?}", crates.len());
    }
}
