//! Connections: how they are kept, shared, refused and ended.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use acs_identity::emulator::{Emulator, Fault, Operation};

use super::{connect, exchange, post, read_response};
use crate::support::{PATIENCE, until};

#[test]
fn connection_serves_many_requests_also_sent_ahead() {
    let emulator = Emulator::start().unwrap();
    let request = post("/identities", "{}").signed(&emulator);
    let mut stream = connect(&emulator);
    for _ in 0..3 {
        stream.get_mut().write_all(request.as_bytes()).unwrap();
        assert_eq!(read_response(&mut stream).unwrap().status, 201);
    }
    let error = request.replace("Signature=", "Signature=!");
    let ahead = [&*request, &error, "\r\n", &request].concat();
    stream.get_mut().write_all(ahead.as_bytes()).unwrap();
    let statuses = [0; 3].map(|_| read_response(&mut stream).unwrap().status);
    assert_eq!(statuses, [201, 401, 201]);
    assert_eq!(emulator.open_connections(), 1);
    assert_eq!(emulator.request_count(), 6);
}

#[test]
fn connections_are_served_at_once() {
    let emulator = Emulator::start().unwrap();
    let mut streams: Vec<_> = (0..32).map(|_| connect(&emulator)).collect();
    let request = post("/identities", "").signed(&emulator);
    thread::scope(|scope| {
        for stream in &mut streams {
            scope.spawn(|| {
                for _ in 0..20 {
                    stream.get_mut().write_all(request.as_bytes()).unwrap();
                    assert_eq!(read_response(stream).unwrap().status, 201);
                }
            });
        }
    });
    assert_eq!(emulator.open_connections(), 32);
    assert_eq!(emulator.users().len(), 640);
    drop(streams);
    until(|| emulator.open_connections() == 0);
}

/// One that waited for another would be one too many.
#[test]
fn connection_ends_with_its_thread() {
    let threads = Arc::new(Mutex::new(HashSet::new()));
    let seen = Arc::clone(&threads);
    let emulator = Emulator::builder()
        .on_request(move |_| {
            seen.lock().unwrap().insert(thread::current().id());
        })
        .start()
        .unwrap();
    for _ in 0..10 {
        exchange(&emulator, &post("/identities", "").signed(&emulator)).unwrap();
        until(|| emulator.open_connections() == 0);
    }
    assert_eq!(threads.lock().unwrap().len(), 10);
}

#[test]
fn connections_by_the_hundred_are_served_at_once() {
    let emulator = Emulator::start().unwrap();
    let request = post("/identities", "").signed(&emulator);
    for _ in 0..2 {
        let mut streams: Vec<_> = (0..300).map(|_| connect(&emulator)).collect();
        // The last first: none waits for another to end.
        for stream in streams.iter_mut().rev() {
            stream.get_mut().write_all(request.as_bytes()).unwrap();
            assert_eq!(read_response(stream).unwrap().status, 201);
        }
        assert_eq!(emulator.open_connections(), 300);
        drop(streams);
        until(|| emulator.open_connections() == 0);
    }
    assert_eq!(emulator.users().len(), 600);
}

#[test]
fn dropping_the_emulator_ends_all_connections_promptly() {
    let emulator = Emulator::start().unwrap();
    emulator.inject(Fault::stall());
    emulator.inject(Fault::delay(Duration::from_secs(3_600)));
    emulator.inject(Fault::drip(Duration::from_secs(3_600)));
    let mut streams: Vec<_> = (0..8).map(|_| connect(&emulator)).collect();
    for (index, stream) in streams.iter_mut().take(4).enumerate() {
        stream.get_mut().write_all(post("/identities", "").signed(&emulator).as_bytes()).unwrap();
        until(|| emulator.request_count() == index as u64 + 1);
    }
    until(|| emulator.open_connections() == 8);
    let (stopped, stop) = mpsc::channel();
    thread::spawn(move || {
        drop(emulator);
        stopped.send(()).unwrap();
    });
    stop.recv_timeout(PATIENCE).expect("the emulator stops at once");
    for stream in &mut streams {
        let _ = stream.read_to_end(&mut Vec::new());
    }
}

#[test]
fn body_comes_in_chunks_or_after_an_interim_response() {
    let emulator = Emulator::start().unwrap();
    let body = r#"{"createTokenWithScopes":["chat"]}"#;
    let request = post("/identities", body).signed(&emulator);
    let (head, _) = request.split_once("Content-Length").unwrap();

    let (first, second) = body.split_at(10);
    let chunked = format!(
        "{head}Transfer-Encoding: chunked\r\n\r\na\r\n{first}\r\n18;x=y\r\n{second}\r\n0\r\nTrailer: x\r\n\r\n"
    );
    assert_eq!(exchange(&emulator, &chunked).unwrap().status, 201);
    assert_eq!(emulator.requests()[0].body(), body.as_bytes());

    let mut stream = connect(&emulator);
    let head = format!("{head}Expect: 100-continue\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.get_mut().write_all(head.as_bytes()).unwrap();
    assert_eq!(read_response(&mut stream).unwrap().status, 100);
    stream.get_mut().write_all(body.as_bytes()).unwrap();
    assert_eq!(read_response(&mut stream).unwrap().status, 201);
}

#[test]
fn body_of_a_post_without_any_length_is_empty() {
    let emulator = Emulator::start().unwrap();
    let request = post("/identities", "").signed(&emulator).replace("Content-Length: 0\r\n", "");
    assert_eq!(exchange(&emulator, &request).unwrap().status, 201);
}

#[test]
fn http_10_client_gets_no_chunks_and_a_closed_connection() {
    let emulator = Emulator::start().unwrap();
    let request = post("/identities", "").signed(&emulator).replace("HTTP/1.1", "HTTP/1.0");
    let request = request.replace("Signature=", "Signature=!");
    let mut stream = connect(&emulator);
    stream.get_mut().write_all(request.as_bytes()).unwrap();
    let response = read_response(&mut stream).unwrap();
    assert_eq!((response.status, response.header("Connection")), (401, Some("close")));
    assert_eq!(response.header("Transfer-Encoding"), None);
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
    let request = request.replace("Host", "Connection: Keep-Alive\r\nHost");
    assert_eq!(exchange(&emulator, &request).unwrap().header("Connection"), Some("keep-alive"));
}

#[test]
fn malformed_http_is_refused_and_the_connection_closed() {
    let emulator = Emulator::start().unwrap();
    for (request, status, reason) in [
        ("nonsense\r\n\r\n".to_owned(), 400, "this is not well-formed HTTP/1.1"),
        (
            "\u{16}\u{3}\u{1}".to_owned(),
            400,
            "this is TLS; the emulator speaks http, not https, unless started with --tls",
        ),
        (
            "POST /identities HTTP/1.1\r\n\r\n".to_owned(),
            400,
            "the request has no Host header, or several",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_owned(),
            400,
            "the request has no Host header, or several",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n".to_owned(),
            400,
            "this is not well-formed HTTP/1.1",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".to_owned(),
            400,
            "this is not well-formed HTTP/1.1",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n".to_owned(),
            400,
            "a body has either a Content-Length or, in HTTP/1.1, Transfer-Encoding: chunked",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n".to_owned(),
            400,
            "a body has either a Content-Length or, in HTTP/1.1, Transfer-Encoding: chunked",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
                .to_owned(),
            400,
            "a body has either a Content-Length or, in HTTP/1.1, Transfer-Encoding: chunked",
        ),
        (
            "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
            400,
            "a body has either a Content-Length or, in HTTP/1.1, Transfer-Encoding: chunked",
        ),
        (
            format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(128)),
            431,
            "the request has more than 128 headers",
        ),
        (
            format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(40_000)),
            431,
            "the head is larger than 32 KiB",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n".to_owned(),
            413,
            "the body is larger than 1 MiB",
        ),
        (
            format!(
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n110000\r\n{}",
                "a".repeat(0x0011_0000)
            ),
            413,
            "the body is larger than 1 MiB",
        ),
    ] {
        let name = request.get(..40).unwrap_or(&request).to_owned();
        let mut stream = connect(&emulator);
        stream.get_mut().write_all(request.as_bytes()).unwrap();
        let response = read_response(&mut stream).unwrap();
        assert_eq!(
            (response.status, response.header("Connection")),
            (status, Some("close")),
            "{name}"
        );
        assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0, "{name}");
        assert_eq!(emulator.requests().last().unwrap().refusal(), Some(reason), "{name}");
    }
}

/// What is just within a limit reaches the service, which misses its signature.
#[test]
fn limits_of_head_and_body_hold_to_the_byte() {
    let emulator = Emulator::start().unwrap();
    let head = |length: usize| {
        let (start, end) = ("GET / HTTP/1.1\r\nHost: a\r\nX: ", "\r\n\r\n");
        format!("{start}{}{end}", "a".repeat(length - start.len() - end.len()))
    };
    let post = |framing: String| format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}");
    let sized = |length| post(format!("Content-Length: {length}\r\n\r\n"));
    let chunked = |length| {
        let body = "a".repeat(length);
        post(format!("Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n"))
    };
    for (request, status) in [
        (head(32_768), 401),
        (head(32_769), 431),
        (sized(1_048_576) + &"a".repeat(1_048_576), 401),
        (sized(1_048_577), 413),
        (chunked(1_048_576), 401),
        (chunked(1_048_577), 413),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(127)), 401),
    ] {
        let response = exchange(&emulator, &request).unwrap();
        assert_eq!(response.status, status, "{} bytes", request.len());
    }
}

#[test]
fn body_that_breaks_off_belongs_to_a_recorded_request() {
    let emulator = Emulator::start().unwrap();
    let head = "POST /identities HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let body = format!("100001\r\n{}\r\n", "a".repeat(0x0010_0001));
    for (body, status) in [(&*body, 413), ("zz\r\n", 400)] {
        assert_eq!(exchange(&emulator, &format!("{head}{body}")).unwrap().status, status);
        assert_eq!(emulator.requests().last().unwrap().target(), "/identities");
    }
    assert_eq!(emulator.operation_count(Operation::Create), 2);
}

/// It would fill the memory.
#[test]
fn connection_that_sends_without_end_is_cut_off() {
    let emulator = Emulator::start().unwrap();
    emulator.inject(Fault::stall().on(Operation::Create));
    let sent_ahead = post("/identities", "").signed(&emulator);
    let size_of_a_chunk = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for start in [&sent_ahead, size_of_a_chunk] {
        let mut stream = connect(&emulator);
        stream.get_mut().write_all(start.as_bytes()).unwrap();
        let mut parts = 0..8_000;
        let cut_off = parts.any(|_| stream.get_mut().write_all(&[b'1'; 8192]).is_err());
        assert!(cut_off, "64 MB were taken after {start}");
    }
}

/// Closing at once would reset the connection, which on some systems destroys the response.
#[test]
fn connection_that_is_refused_may_go_on_sending_for_a_while() {
    let emulator = Emulator::start().unwrap();
    let is_heard_out = |request: &str| {
        let mut stream = connect(&emulator);
        stream.get_mut().write_all(request.as_bytes()).unwrap();
        assert!(stream.read_to_end(&mut Vec::new()).unwrap() > 0);
        (0..1_000).all(|_| stream.get_mut().write_all(&[b'1'; 8192]).is_ok())
    };
    let body_after_head = "HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n";
    for request in ["nonsense\r\n\r\n", body_after_head] {
        // The while is a second, which a busy machine may need for something else.
        assert!((0..5).any(|_| is_heard_out(request)), "{request}");
    }
}

#[test]
fn head_request_gets_no_body() {
    let emulator = Emulator::start().unwrap();
    // A body is not a request, whatever it looks like.
    for rest in ["", "Content-Length: 0\r\n", "Content-Length: 42\r\n"] {
        let mut stream = connect(&emulator);
        let request = format!("HEAD /identities HTTP/1.1\r\nHost: a\r\n{rest}\r\n");
        stream.get_mut().write_all(request.repeat(2).as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert!(text.starts_with("HTTP/1.1 401 "), "{text}");
        assert!(text.ends_with("\r\nConnection: close\r\n\r\n"), "{text}");
        assert_eq!(text.matches("HTTP/1.1").count(), 1, "{text}");
    }
}

#[test]
fn observer_sees_each_request_before_its_response_and_may_panic() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let observed = Arc::clone(&seen);
    let calls = AtomicU64::new(0);
    let emulator = Emulator::builder()
        .on_request(move |request| {
            observed.lock().unwrap().push((request.method().to_owned(), request.status()));
            assert!(calls.fetch_add(1, Ordering::SeqCst) != 1, "the second request is unlucky");
        })
        .start()
        .unwrap();
    let request = post("/identities", "").signed(&emulator);
    assert_eq!(exchange(&emulator, &request).unwrap().status, 201);
    assert_eq!(*seen.lock().unwrap(), [("POST".to_owned(), Some(201))]);
    for _ in 0..2 {
        assert_eq!(exchange(&emulator, &request).unwrap().status, 201);
    }
    until(|| emulator.open_connections() == 0);
    let panic = catch_unwind(AssertUnwindSafe(|| drop(emulator))).unwrap_err();
    assert!(panic.downcast_ref::<&str>().unwrap().contains("the second request is unlucky"));
}

#[test]
fn connection_that_is_half_closed_still_gets_its_response() {
    let emulator = Emulator::start().unwrap();
    for fault in [Fault::delay(Duration::from_millis(50)), Fault::drip(Duration::from_millis(1))] {
        emulator.inject(fault);
        let mut stream = connect(&emulator);
        let request = post("/identities", "").signed(&emulator);
        stream.get_mut().write_all(request.as_bytes()).unwrap();
        stream.get_mut().shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_response(&mut stream).unwrap().status, 201);
    }
    // Nor does its wait outlive the emulator.
    emulator.inject(Fault::delay(Duration::from_secs(3_600)));
    let mut stream = connect(&emulator);
    let request = post("/identities", "").signed(&emulator);
    stream.get_mut().write_all(request.as_bytes()).unwrap();
    stream.get_mut().shutdown(Shutdown::Write).unwrap();
    until(|| emulator.request_count() == 3);
    let start = Instant::now();
    drop(emulator);
    assert!(start.elapsed() < Duration::from_secs(2));
}
