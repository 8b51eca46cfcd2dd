//! What this crate adds to its parts, as ratios within one run: `cargo bench`.
//!
//! `allocations.rs` beside it counts; `size.sh` measures what it adds to an executable and to a
//! build.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a program that prints figures"
)]

#[allow(dead_code, reason = "its own program is not run here")]
#[path = "../../examples/caching_resolver.rs"]
mod caching_resolver;
mod processes;
mod rounds;
#[allow(dead_code, reason = "a test needs the rest")]
mod server;
mod sides;
mod signing;

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use caching_resolver::Addresses;
use processes::{Ran, Server, run, side_of};
use rounds::{Compared, Effort, Row, head, quartiles};
use server::Service;
use sides::{Bare, Call, Ours, Side, agent, config};
use signing::Signing;

const BY_HAND: &str = "the same request by hand on ureq";

fn main() {
    if processes::is_one() {
        return;
    }
    let effort = Effort::asked_for();
    let server = Server::start();
    if !effort.full {
        println!("Too short a run for any figure: shows that everything works.\n");
    }
    println!(
        "Ratios of the first side's time to the second's, by wall clock: the quartiles over rounds\n\
         in which both took turns; the ratio of processor time (cpu) is of all rounds. Between the outer\n\
         quartiles lies what the machine did besides: a change smaller than that needs more runs.\n\
         The service is a process on this machine, over loopback.\n"
    );
    head();
    calls(effort, &server.service);
    signing(effort);
    connections(effort, &server.service);
    processes(effort, &server.service);
    threads(effort, &server.service);
    growth(effort, &server.service);
    names(effort, &server.service);
}

fn calls(effort: Effort, service: &Service) {
    // Servers that announce that they keep connections, and those that do not say so.
    for scheme in ["http", "http, silent", "https", "https, silent"] {
        let (ours, bare) = (side_of("ours", scheme, service), side_of("bare", scheme, service));
        for call in Call::ALL {
            Compared::measure(
                effort.of(800),
                effort.of(20),
                || ours.call(call),
                || bare.call(call),
            )
            .row(&format!("{}, {scheme}", call.name()), BY_HAND)
            .print();
        }
    }
}

fn signing(effort: Effort) {
    let signing = Signing::new();
    let now = SystemTime::now();
    let (rounds, calls) = (effort.of(1_000), effort.of(500));
    // Without processor time: the system brings it up to date only where a thread waits.
    let timed = |work: &dyn Fn()| {
        let started = Instant::now();
        (0..calls).for_each(|_| work());
        started.elapsed()
    };
    let ours = || timed(&|| signing.ours(now));
    let hashing = || timed(&|| _ = signing.hashing());
    Compared::measure_told(rounds, calls, ours, hashing)
        .row("signing a body of 60 bytes", "its SHA-256 and HMAC alone")
        .print();
    Compared::measure_told(rounds, calls, ours, || timed(&|| signing.hashing_and_base64()))
        .row("signing a body of 60 bytes", "its SHA-256, HMAC and base64")
        .print();
}

fn connections(effort: Effort, service: &Service) {
    let (rounds, calls) = (effort.of(200), effort.of(5));
    for scheme in ["http", "https"] {
        let closing = format!("{scheme}, closing");
        let (ours, bare) = (side_of("ours", &closing, service), side_of("bare", &closing, service));
        let (ours, bare) = (|| ours.call(Call::Issue), || bare.call(Call::Issue));
        Compared::measure(rounds, calls, ours, bare)
            .row(&format!("issue_token, {scheme}, new connection"), BY_HAND)
            .print();
    }
    for scheme in ["http", "https"] {
        let first = |side| move || side_of(side, scheme, service).call(Call::Issue);
        Compared::measure(rounds, calls, first("ours"), first("bare"))
            .row(&format!("new client and first token, {scheme}"), "new agent, the same by hand")
            .print();
    }
}

fn processes(effort: Effort, service: &Service) {
    for scheme in ["http", "https"] {
        let mut peaks = [Vec::new(), Vec::new()];
        let [ours, bare] = &mut peaks;
        let first = |side, peaks: &mut Vec<f64>| {
            let Ran { wall, peak, .. } = run(side, scheme, 1, service);
            peaks.extend(peak.map(|kib| f64::from(i32::try_from(kib).unwrap())));
            wall
        };
        let what = format!("process to its first token, {scheme}");
        Compared::measure_told(effort.of(60), 1, || first("ours", ours), || first("bare", bare))
            .row(&what, "a process that does it by hand")
            .print();
        if peaks.iter().all(|peaks| !peaks.is_empty()) {
            let ratios = peaks[0].iter().zip(&peaks[1]).map(|(ours, bare)| ours / bare).collect();
            let [ours, bare] = peaks.map(|peaks| format!("{:.0} KiB", quartiles(peaks)[1]));
            Row {
                what: format!("its peak memory, {scheme}"),
                with: "a process that does it by hand".to_owned(),
                quartiles: Some(quartiles(ratios)),
                cpu: None,
                ours,
                other: bare,
            }
            .print();
        }
    }
}

fn threads(effort: Effort, service: &Service) {
    let ours = side_of("ours", "http", service);
    let bare = side_of("bare", "http", service);
    for count in [1, 2, 4, 8, 16] {
        let each = effort.of(50.max(400 / count));
        // From the first that starts to the last that ends.
        let timed = |side: &dyn Side| {
            let start = Barrier::new(count);
            let work = || {
                start.wait();
                let started = Instant::now();
                for _ in 0..each {
                    side.call(Call::Issue);
                }
                (started, Instant::now())
            };
            let spans: Vec<_> = thread::scope(|scope| {
                let threads: Vec<_> = (0..count).map(|_| scope.spawn(work)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            let first = spans.iter().map(|span| span.0).min().unwrap();
            spans.iter().map(|span| span.1).max().unwrap().duration_since(first)
        };
        Compared::measure_told(
            effort.of(50),
            count * each,
            || timed(ours.as_ref()),
            || timed(bare.as_ref()),
        )
        .rate_row(&format!("tokens per second, threads: {count}"), "one agent, the same by hand")
        .print();
    }
}

fn growth(effort: Effort, service: &Service) {
    let calls = effort.of(100_000);
    let [ours, bare] = ["ours", "bare"].map(|side| {
        run(side, "http", calls, service)
            .growth
            .map_or("not told".to_owned(), |(early, late)| format!("{:+} KiB", late - early))
    });
    Row {
        what: format!("memory from call {} to {calls}", calls.div_ceil(100)),
        with: "a process that does it by hand".to_owned(),
        quartiles: None,
        cpu: None,
        ours,
        other: bare,
    }
    .print();
}

fn names(effort: Effort, service: &Service) {
    let named = format!("http://localhost:{}", service.http.port());
    let addresses = Addresses::new(Duration::from_secs(30));
    let plain = Ours::new(&named, None);
    let cached = Ours::new(&named, Some(addresses.agent(config(None).build())));
    let (rounds, calls) = (effort.of(500), effort.of(20));
    Compared::measure(rounds, calls, || plain.call(Call::Issue), || cached.call(Call::Issue))
        .row("issue_token, http, at localhost", "the same with a caching resolver")
        .print();
    let bare = Bare::new(&named, agent(None));
    Compared::measure(rounds, calls, || plain.call(Call::Issue), || bare.call(Call::Issue))
        .row("issue_token, http, at localhost", BY_HAND)
        .print();
}
