//! Each fault, as a client sees it.

use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use acs_identity::emulator::{Emulator, Fault, Operation, RecordedRequest};

use super::{Response, VERSION, call, connect, create, encoded, exchange, post};
use crate::support::until;

fn try_create(emulator: &Emulator) -> io::Result<Response> {
    exchange(emulator, &post("/identities", "").signed(emulator))
}

#[test]
fn fault_respond_replaces_the_service() {
    let emulator = Emulator::start().unwrap();
    let fault = Fault::respond(503).header("Retry-After", "7").header("Content-Type", "text/html");
    emulator.inject(fault.body("<h1>busy</h1>").times(2));
    for _ in 0..2 {
        let response = try_create(&emulator).unwrap();
        assert_eq!((response.status, response.body.as_str()), (503, "<h1>busy</h1>"));
        assert_eq!(response.header("retry-after"), Some("7"));
        assert_eq!(response.header("content-type"), Some("text/html"));
        assert!(response.header("MS-CV").is_some() && response.header("Date").is_some());
        assert!(emulator.users().is_empty());
    }
    assert_eq!(try_create(&emulator).unwrap().status, 201);
    assert_eq!(emulator.requests()[0].status(), Some(503));
    let struck =
        emulator.requests().iter().map(RecordedRequest::struck_by_fault).collect::<Vec<_>>();
    assert_eq!(struck, [true, true, false]);
}

#[test]
fn fault_words_with_a_time_send_the_header_that_can_carry_it() {
    let emulator = Emulator::start().unwrap();
    for (words, headers) in [
        ("create:429=7s", [Some("7"), None]),
        ("create:503=250ms", [None, Some("250")]),
        ("create:503=1500ms", [None, Some("1500")]),
    ] {
        emulator.inject(words.parse().unwrap());
        let response = try_create(&emulator).unwrap();
        let sent = ["Retry-After", "retry-after-ms"].map(|name| response.header(name));
        assert_eq!(sent, headers, "{words}");
    }
}

#[test]
fn fault_respond_may_follow_the_processing_and_replace_the_date() {
    let emulator = Emulator::start().unwrap();
    emulator.inject(Fault::respond(500).header("date", "yesterday").after_processing());
    let response = try_create(&emulator).unwrap();
    assert_eq!((response.status, response.header("Date")), (500, Some("yesterday")));
    assert_eq!(emulator.users().len(), 1);
    emulator.inject(Fault::respond(204));
    assert_eq!(try_create(&emulator).unwrap().header("Content-Length"), None);
}

#[test]
fn fault_respond_with_connection_close_closes_the_connection() {
    let emulator = Emulator::start().unwrap();
    for value in ["close", "x, Close"] {
        emulator.inject(Fault::respond(503).header("connection", value));
        let mut stream = connect(&emulator);
        stream.get_mut().write_all(post("/identities", "").signed(&emulator).as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert_eq!(text.to_lowercase().matches("\r\nconnection: ").count(), 1, "{text}");
    }
}

#[test]
fn fault_drop_closes_without_a_response() {
    let emulator = Emulator::start().unwrap();
    emulator.inject(Fault::drop_before_processing());
    emulator.inject(Fault::drop_after_processing());
    for users in [0, 1] {
        let error = try_create(&emulator).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        assert_eq!(emulator.users().len(), users);
        assert_eq!(emulator.requests().last().unwrap().status(), None);
    }
}

#[test]
fn fault_waits_for_its_operation() {
    let emulator = Emulator::start().unwrap();
    emulator.inject(Fault::respond(500).on(Operation::Revoke));
    let path = format!("/identities/{}/:revokeAccessTokens", encoded(&create(&emulator)));
    assert_eq!(post(&path, "").send(&emulator).status, 500);
    assert_eq!(post(&path, "").send(&emulator).status, 204);
}

#[test]
fn fault_for_a_user_strikes_no_other() {
    let emulator = Emulator::start().unwrap();
    let [first, second] = [create(&emulator), create(&emulator)];
    emulator.inject(Fault::respond(503).on(Operation::Delete).for_user(&second));
    let delete = |id: &str| {
        let target = format!("/identities/{}?{VERSION}", encoded(id));
        call("DELETE", target, "").send(&emulator).status
    };
    assert_eq!([delete(&first), delete(&second), delete(&second)], [204, 503, 204]);
}

/// A mistaken test is one whose fault never strikes.
#[test]
fn fault_is_pending_until_it_strikes() {
    let emulator = Emulator::builder().fault("issue:500%1".parse().unwrap()).start().unwrap();
    emulator.inject(Fault::respond(503).on(Operation::Create).times(2));
    let pending = || emulator.pending_faults().iter().map(Fault::to_string).collect::<Vec<_>>();
    assert_eq!(pending(), ["issue:500%1", "create:503*2"]);
    for _ in 0..2 {
        assert_eq!(pending().len(), 2);
        assert_eq!(try_create(&emulator).unwrap().status, 503);
    }
    assert_eq!(pending(), ["issue:500%1"]);
    let issue = post("/identities/8%3Aacs%3Aa/:issueAccessToken", "");
    assert_eq!(issue.send(&emulator).status, 500);
    assert!(pending().is_empty());
    assert_eq!(issue.send(&emulator).status, 500, "it goes on");
}

#[test]
fn fault_delay_holds_the_response_back() {
    let emulator = Emulator::start().unwrap();
    emulator.inject(Fault::delay(Duration::from_millis(50)));
    let start = Instant::now();
    assert_eq!(try_create(&emulator).unwrap().status, 201);
    assert!(start.elapsed() >= Duration::from_millis(50));
}

#[test]
fn fault_truncate_promises_more_than_it_sends() {
    let emulator = Emulator::start().unwrap();
    emulator.inject(Fault::truncate_body());
    let mut stream = connect(&emulator);
    let request = post("/identities", "").signed(&emulator);
    stream.get_mut().write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("Content-Length: 101"), "{head}");
    assert_eq!(body.len(), 50);
    assert_eq!(emulator.users().len(), 1);

    // A 204 has no body to break off, an error breaks off in its chunk.
    let path = format!("/identities/{}/:revokeAccessTokens", encoded(&emulator.users()[0]));
    emulator.inject(Fault::truncate_body().times(2));
    for body in ["", "not signed"] {
        let request = post(&path, "").signed(&emulator) + body;
        let request =
            if body.is_empty() { request } else { request.replace("Signature=", "Signature=!") };
        assert_eq!(exchange(&emulator, &request).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }
}

#[test]
fn fault_stall_hangs_until_the_client_leaves() {
    let emulator = Emulator::start().unwrap();
    emulator.inject(Fault::stall());
    emulator.inject(Fault::stall_body());
    let request = post("/identities", "").signed(&emulator);

    let mut silent = connect(&emulator);
    silent.get_mut().write_all(request.as_bytes()).unwrap();
    silent.get_ref().set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let error = silent.read(&mut [0; 1]).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
    assert!(emulator.users().is_empty());

    let mut half = connect(&emulator);
    half.get_mut().write_all(request.as_bytes()).unwrap();
    half.get_ref().set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let error = super::read_response(&mut half).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
    until(|| emulator.users().len() == 1);

    drop((silent, half));
    until(|| emulator.open_connections() == 0);
}

#[test]
fn fault_drip_sends_byte_by_byte() {
    let emulator = Emulator::start().unwrap();
    emulator.inject(Fault::drip(Duration::from_millis(2)));
    let mut stream = connect(&emulator);
    let request = post("/identities", "").signed(&emulator);
    let start = Instant::now();
    stream.get_mut().write_all(request.as_bytes()).unwrap();
    let mut line = [0; 22];
    stream.read_exact(&mut line).unwrap();
    assert_eq!(&line, b"HTTP/1.1 201 Created\r\n");
    assert!(start.elapsed() >= Duration::from_millis(22 * 2));
    assert_eq!(emulator.users().len(), 1);
}

#[test]
fn faults_let_a_tenth_of_many_calls_fail_in_mixed_ways() {
    let emulator = Emulator::start().unwrap();
    for status in [500, 502, 503, 429] {
        emulator.inject(Fault::respond(status).every(50));
    }
    emulator.inject(Fault::drop_after_processing().every(50));
    let outcomes: Vec<Option<u16>> =
        (0..1_000).map(|_| try_create(&emulator).ok().map(|response| response.status)).collect();
    let count = |wanted: Option<u16>| outcomes.iter().filter(|seen| **seen == wanted).count();
    for failure in [Some(500), Some(502), Some(503), Some(429), None] {
        assert!((18..=20).contains(&count(failure)), "{failure:?}: {}", count(failure));
    }
    assert_eq!(emulator.users().len(), count(Some(201)) + count(None));
}

#[test]
fn fault_strikes_every_third_request_twice() {
    let emulator = Emulator::start().unwrap();
    emulator.inject(Fault::respond(503).every(3).times(2));
    let statuses: Vec<u16> =
        (0..12).map(|_| post("/identities", "").send(&emulator).status).collect();
    assert_eq!(statuses, [201, 201, 503, 201, 201, 503, 201, 201, 201, 201, 201, 201]);
}

/// Its own framing stands where it is given, and a success may have a body.
#[test]
fn fault_respond_with_a_length_sends_no_other() {
    let emulator = Emulator::start().unwrap();
    for (header, body) in [
        (("X-Other", "a"), "{}"),
        (("content-length", "2"), "{}"),
        (("Transfer-Encoding", "chunked"), "2\r\n{}\r\n0\r\n\r\n"),
    ] {
        emulator.inject(Fault::respond(200).header(header.0, header.1).body(body));
        let mut stream = connect(&emulator);
        stream.get_mut().write_all(post("/identities", "").signed(&emulator).as_bytes()).unwrap();
        let mut received = Vec::new();
        let end = |it: &[u8]| {
            it.windows(4 + body.len())
                .any(|it| it.ends_with(body.as_bytes()) && it.starts_with(b"\r\n\r\n"))
        };
        while !end(&received) {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            received.extend(byte);
        }
        let head = String::from_utf8_lossy(&received).to_ascii_lowercase();
        let framings =
            head.matches("content-length:").count() + head.matches("transfer-encoding:").count();
        assert_eq!(framings, 1, "{head}");
    }
}
