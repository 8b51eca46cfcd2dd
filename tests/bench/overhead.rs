//! What this crate adds to its parts, as ratios within one run: `cargo bench`.
//!
//! Figures of different runs or machines say nothing; the ratios hold.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a program that prints figures"
)]

use std::hint::black_box;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use acs_identity::{AccessKey, CommunicationIdentityClient, RequestToSign, RetryPolicy};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

const KEY: &str =
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==";
const BODY: &[u8] = br#"{"scopes":["voip"]}"#;
const PATH: &str = "/identities/8%3Aacs%3Abbbcbc1e-9f06-482a-b5d8-20e3f26ef0cd_45ab2481-1c1c-4005-be24-0ffb879b1130/:issueAccessToken?api-version=2023-10-01";
const ANSWER: &str =
    r#"{"token":"eyJhbGciOiJIUzI1NiJ9.e30.c2ln","expiresOn":"2023-06-28T07:30:12.7039383+00:00"}"#;

fn main() {
    let (bare, ours) = signing();
    report("signing", "the bare hash, HMAC and base64", bare, ours);
    let (bare, ours) = calling();
    report("issue_token over a kept connection", "the bare ureq call", bare, ours);
    let (bare, ours) = starting();
    report("a new client and its first call", "a new ureq agent and its first call", bare, ours);
}

fn report(what: &str, compared_with: &str, bare: Duration, ours: Duration) {
    let ratio = ours.as_secs_f64() / bare.as_secs_f64();
    println!("{what}: {ours:?}, {compared_with}: {bare:?}, ratio {ratio:.2}");
}

fn signing() -> (Duration, Duration) {
    let key: AccessKey = KEY.parse().unwrap();
    let mac = Hmac::<Sha256>::new_from_slice(&BASE64_STANDARD.decode(KEY).unwrap()).unwrap();
    let string_to_sign =
        format!("POST\n{PATH}\nWed, 13 Apr 2022 18:09:12 GMT;h;{}", "x".repeat(44));
    let request = RequestToSign { method: "POST", host: "h", path_and_query: PATH, body: BODY };
    let now = SystemTime::now();
    compare(
        20_000,
        || {
            black_box(BASE64_STANDARD.encode(Sha256::digest(black_box(BODY))));
            let mac = mac.clone().chain_update(black_box(&string_to_sign));
            black_box(BASE64_STANDARD.encode(mac.finalize().into_bytes()));
        },
        || {
            black_box(key.sign(black_box(&request), now).unwrap());
        },
    )
}

fn calling() -> (Duration, Duration) {
    let endpoint = serve();
    let agent = ureq::Agent::config_builder().proxy(None).build().new_agent();
    let url = format!("{endpoint}{PATH}");
    let client = client(&endpoint);
    let user = "8:acs:bbbcbc1e-9f06-482a-b5d8-20e3f26ef0cd_45ab2481-1c1c-4005-be24-0ffb879b1130"
        .parse()
        .unwrap();
    compare(
        2_000,
        || {
            let mut response = agent.post(&url).send(BODY).unwrap();
            black_box(response.body_mut().read_to_vec().unwrap());
        },
        || {
            black_box(client.issue_token(&user, ["voip"]).unwrap());
        },
    )
}

fn starting() -> (Duration, Duration) {
    let endpoint = serve();
    let url = format!("{endpoint}{PATH}");
    let user = "8:acs:bbbcbc1e-9f06-482a-b5d8-20e3f26ef0cd_45ab2481-1c1c-4005-be24-0ffb879b1130"
        .parse()
        .unwrap();
    compare(
        300,
        || {
            let agent = ureq::Agent::config_builder().proxy(None).build().new_agent();
            let mut response = agent.post(&url).send(BODY).unwrap();
            black_box(response.body_mut().read_to_vec().unwrap());
        },
        || {
            black_box(client(&endpoint).issue_token(&user, ["voip"]).unwrap());
        },
    )
}

fn client(endpoint: &str) -> CommunicationIdentityClient {
    CommunicationIdentityClient::builder(
        endpoint.parse().unwrap(),
        KEY.parse::<AccessKey>().unwrap(),
    )
    .retry_policy(RetryPolicy::none())
    .build()
    .unwrap()
}

/// The medians of both, taken in turn so that what else the machine does hits both.
fn compare(times: usize, mut bare: impl FnMut(), mut ours: impl FnMut()) -> (Duration, Duration) {
    let measure = |work: &mut dyn FnMut()| {
        let started = Instant::now();
        work();
        started.elapsed()
    };
    let mut pairs = Vec::new();
    for _ in 0..times / 10 {
        bare();
        ours();
    }
    for _ in 0..times {
        pairs.push((measure(&mut bare), measure(&mut ours)));
    }
    (median(pairs.iter().map(|pair| pair.0)), median(pairs.iter().map(|pair| pair.1)))
}

fn median(durations: impl Iterator<Item = Duration>) -> Duration {
    let mut durations: Vec<_> = durations.collect();
    durations.sort_unstable();
    durations.get(durations.len() / 2).copied().unwrap()
}

/// The least that answers: reads a request, writes the same answer, on as many connections as come.
fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || {
                let mut stream = BufReader::new(stream.unwrap());
                stream.get_ref().set_nodelay(true).unwrap();
                while answer(&mut stream).is_some() {}
            });
        }
    });
    endpoint
}

fn answer(stream: &mut BufReader<impl Read + Write>) -> Option<()> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let line = line.to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line == "\r\n" {
            break;
        }
    }
    stream.read_exact(&mut vec![0; length]).ok()?;
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
    let answer = format!("{head}Content-Length: {}\r\n\r\n{ANSWER}", ANSWER.len());
    stream.get_mut().write_all(answer.as_bytes()).ok()
}
