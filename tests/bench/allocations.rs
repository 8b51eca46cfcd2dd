//! What a call and a signature allocate, against the same by hand: `cargo bench`. Apart from
//! `overhead.rs` because counting takes time.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a program that prints figures"
)]

mod counting;
#[allow(dead_code, reason = "the clock is of no use here")]
mod rounds;
#[allow(dead_code, reason = "one process is enough")]
mod server;
#[allow(dead_code, reason = "TLS is only timed")]
mod sides;
#[allow(dead_code, reason = "base64 is ours to avoid")]
mod signing;

use std::time::SystemTime;

use counting::{Counted, count};
use rounds::{Row, head};
use sides::{Bare, Call, Ours, Side as _, agent};
use signing::Signing;

fn main() {
    println!("Allocations of one call + how often an allocation grew.\n");
    head();
    let service = server::start();
    let endpoint = format!("http://{}", service.http);
    let by_hand = "the same request by hand on ureq";
    let bare = Bare::new(&endpoint, agent(None));
    for (ours, whose) in [
        (Ours::new(&endpoint, None), ""),
        (Ours::new(&endpoint, Some(agent(None))), ", with an agent given"),
    ] {
        for call in Call::ALL {
            let what = format!("{}{whose}", call.name());
            print(&what, by_hand, count(|| ours.call(call)), count(|| bare.call(call)));
        }
    }
    let signing = Signing::new();
    let now = SystemTime::now();
    let hashing = count(|| {
        signing.hashing();
    });
    let with = "its SHA-256 and HMAC alone";
    print("signing a body of 60 bytes", with, count(|| signing.ours(now)), hashing);
    println!();
}

fn print(what: &str, with: &str, ours: Counted, other: Counted) {
    let text = |it: Counted| format!("{} + {}", it.allocations, it.reallocations);
    Row {
        what: what.to_owned(),
        with: with.to_owned(),
        quartiles: None,
        cpu: None,
        ours: text(ours),
        other: text(other),
    }
    .print();
}
