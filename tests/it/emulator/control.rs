//! Requests to the emulator itself, for tests in other languages.

use std::io::{BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use acs_identity::emulator::{Emulator, Fault, Operation};
use serde_json::{Value, json};

use super::{Response, connect, create, encoded, exchange, post, read_response};

pub(super) fn control(emulator: &Emulator, method: &str, path: &str, body: &str) -> Response {
    let host = emulator.endpoint().replace("http://", "");
    ask(emulator, method, path, body, &format!("Host: {host}\r\n"))
}

fn ask(emulator: &Emulator, method: &str, path: &str, body: &str, headers: &str) -> Response {
    let length = body.len();
    let head = format!("{method} /emulator/{path} HTTP/1.1\r\n{headers}Content-Length: {length}");
    exchange(emulator, &format!("{head}\r\n\r\n{body}")).unwrap()
}

fn assert_refused(response: &Response, status: u16, problem: &str) {
    assert_eq!((response.status, response.body.as_str()), (status, problem));
}

#[test]
fn control_health_counts_and_state_shows_the_users() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let emulator = Emulator::builder()
        .on_request(move |request| log.lock().unwrap().push(request.to_string()))
        .start()
        .unwrap();
    let create_with_token = r#"{"createTokenWithScopes":["chat"]}"#;
    let created = post("/identities", create_with_token).send(&emulator);
    let second = create(&emulator);
    emulator.inject(Fault::respond(500).on(Operation::Delete));

    let requests = json!({"create": 2, "delete": 0, "issue": 0, "revoke": 0, "exchange": 0});
    let health = control(&emulator, "GET", "health", "");
    assert_eq!(health.header("Content-Type"), Some("application/json; charset=utf-8"));
    let counts: Value = serde_json::from_str(&health.body).unwrap();
    assert_eq!(counts, json!({"requests": requests, "users": 2, "pendingFaults": 1}));

    let state = control(&emulator, "GET", "state?x", "");
    let state: Value = serde_json::from_str(&state.body).unwrap();
    let token = json!({"scopes": ["chat"], "expiresOn": created.text("expiresOn")});
    let users = json!([
        {"id": created.text("id"), "tokens": [token]},
        {"id": second, "tokens": []},
    ]);
    let expected = json!({"requests": requests, "users": users, "pendingFaults": ["delete:500"]});
    assert_eq!(state, expected);
    // As programs ask that wait for a server.
    let mut stream = connect(&emulator);
    let head = "HEAD /emulator/health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.get_mut().write_all(head.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.ends_with("\r\n\r\n"), "{text}");
    assert_eq!(emulator.request_count(), 2, "only the log has them");
    assert!(seen.lock().unwrap()[3].ends_with(" GET /emulator/state?x -> 200"));
}

#[test]
fn control_injects_faults_from_lines_or_json() {
    let emulator = Emulator::start().unwrap();
    let id = create(&emulator);
    let lines = format!("create:503=1s*2\r\n\n  delete:500@{id}\n");
    assert_eq!(control(&emulator, "POST", "faults", &lines).status, 204);
    assert_eq!(control(&emulator, "POST", "faults/", r#"["issue:drop", "*:404%3"]"#).status, 204);
    let pending: Vec<_> = emulator.pending_faults().iter().map(Fault::to_string).collect();
    let delete = format!("delete:500@{id}");
    assert_eq!(pending, ["create:503=1s*2", &delete, "issue:drop", "*:404%3"]);
    let response = post("/identities", "").send(&emulator);
    assert_eq!((response.status, response.header("Retry-After")), (503, Some("1")));

    // All or none.
    let response = control(&emulator, "POST", "faults", "issue:500\nisue:500");
    let problem =
        "\"isue\" is not an operation: expected create, delete, issue, revoke, exchange or *";
    assert_refused(&response, 400, problem);
    assert_eq!(emulator.pending_faults().len(), 4);
}

#[test]
fn control_moves_the_clock_and_reset_moves_it_back() {
    let emulator = Emulator::start().unwrap();
    let hour = Duration::from_secs(3_600);
    assert_eq!(control(&emulator, "POST", "clock", "90m").status, 204);
    let ahead = || {
        let date = control(&emulator, "GET", "health", "").header("Date").unwrap().to_owned();
        httpdate::parse_http_date(&date).unwrap().duration_since(SystemTime::now())
    };
    assert!(ahead().unwrap() > hour);
    assert_eq!(control(&emulator, "POST", "reset", "").status, 204);
    assert!(ahead().is_err());
    let response = control(&emulator, "POST", "clock", "2 hours");
    assert_refused(&response, 400, "\"2 hours\" is not a time such as 250ms, 2s, 10m or 1h30m");
    // As far as the clock goes, and still with a date.
    assert_eq!(control(&emulator, "POST", "clock", "3000000000000000h").status, 204);
    assert!(ahead().unwrap() > 99 * 365 * 24 * hour);
}

#[test]
fn control_adds_users_and_expires_their_tokens() {
    let emulator = Emulator::start().unwrap();
    assert_eq!(control(&emulator, "POST", "users", "8:acs:alice\n8:acs:bob").status, 204);
    assert_eq!(control(&emulator, "POST", "users", r#"["8:acs:alice","8:acs:\"c"]"#).status, 204);
    assert_eq!(emulator.users(), ["8:acs:alice", "8:acs:bob", "8:acs:\"c"]);

    let tokens = ["8:acs:alice", "8:acs:bob"].map(|id| {
        let path = format!("/identities/{}/:issueAccessToken", encoded(id));
        post(&path, r#"{"scopes":["chat"]}"#).send(&emulator).text("token").to_owned()
    });
    let valid = || tokens.each_ref().map(|token| emulator.is_token_valid(token));
    assert_eq!(valid(), [true, true]);
    assert_eq!(control(&emulator, "POST", "expire-tokens", "8:acs:bob").status, 204);
    assert_eq!(valid(), [true, false]);
    // All or none.
    let response = control(&emulator, "POST", "expire-tokens", "8:acs:alice\n8:acs:carol");
    assert_refused(&response, 400, "there is no user \"8:acs:carol\"");
    assert_eq!(valid(), [true, false]);
}

#[test]
fn control_request_with_a_mistake_is_told_what_there_is() {
    let emulator = Emulator::start().unwrap();
    let problem = "the body has to be lines of text, or a JSON array of strings";
    for path in ["faults", "clock", "users", "expire-tokens"] {
        for body in ["", " \n", "[]", "[1]", "[", "[\"\"]", r#"{"a":"b"}"#, "\"a\""] {
            assert_refused(&control(&emulator, "POST", path, body), 400, problem);
        }
    }
    let problem = "not a request that the emulator takes: use GET /emulator/health or state, or POST /emulator/clock, expire-tokens, faults, reset or users";
    for (method, path) in [("GET", "reset"), ("POST", "state"), ("GET", ""), ("POST", "Faults")] {
        assert_refused(&control(&emulator, method, path, ""), 404, problem);
    }
    assert_eq!(emulator.request_count(), 0);
    // No control request: the service's own response.
    for path in ["/emulator", "/emulators/health", "/emulatorhealth"] {
        assert_eq!(post(path, "").send(&emulator).status, 404, "{path}");
    }
    assert_eq!(emulator.request_count(), 3);
}

/// A browser sends `Origin` with a POST, and `Host` with the name of its page.
#[test]
fn control_refuses_web_pages() {
    let emulator = Emulator::start().unwrap();
    let id = create(&emulator);
    let reset = |headers: &str| ask(&emulator, "POST", "reset", "", headers);
    for origin in ["https://example.com", "null", "http://127.0.0.1"] {
        let response = reset(&format!("Host: 127.0.0.1\r\nOrigin: {origin}\r\n"));
        let problem = "the request has an Origin header, so a web page sent it: those may not control the emulator";
        assert_refused(&response, 403, problem);
    }
    for host in ["example.com", "example.com:80", "10.1.2.3", "localhost.example.com"] {
        let response = reset(&format!("Host: {host}\r\n"));
        let problem = format!(
            "the Host header is {host:?}, which is not a name of this machine: use 127.0.0.1 or localhost"
        );
        assert_refused(&response, 403, &problem);
    }
    assert_eq!(emulator.users(), [id]);
    // The service itself takes any.
    let create = post("/identities", "").header("Origin: https://example.com");
    assert_eq!(create.send(&emulator).status, 201);
    for host in [
        "localhost",
        "LOCALHOST:1",
        "127.9.9.9:80",
        "[::1]",
        "[::1]:1",
        "acs.localhost",
        "acs:80",
        "host.docker.internal",
    ] {
        assert_eq!(reset(&format!("Host: {host}\r\n")).status, 204, "{host}");
    }
}

/// As in a container, where others know it by a name.
#[test]
fn control_takes_names_that_are_not_public_over_a_network() {
    let emulator = Emulator::builder().address((Ipv4Addr::UNSPECIFIED, 0).into()).start().unwrap();
    // The address by which this machine would reach another; nothing is sent.
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let Ok(()) = socket.connect("192.0.2.1:9") else { return };
    let address = socket.local_addr().unwrap().ip();
    let port = emulator.endpoint().rsplit_once(':').unwrap().1.to_owned();
    let status = |host: &str| {
        let mut stream = TcpStream::connect(format!("{address}:{port}")).unwrap();
        let request =
            format!("POST /emulator/reset HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        read_response(&mut BufReader::new(stream)).unwrap().status
    };
    let own = format!("{address}:{port}");
    for host in ["acs", "acs:8080", "host.docker.internal", "acs.default.svc.cluster.local", &own] {
        assert_eq!(status(host), 204, "{host}");
    }
    assert_eq!(status("example.com"), 403);
}

/// Each `curl` line of the guide's table, on one emulator and in order.
#[cfg(unix)]
#[test]
fn control_lines_of_the_guide_work() {
    use std::process::Command;

    const GUIDE: &str = include_str!("../../../src/guide/testing.md");

    if Command::new("curl").arg("--version").output().is_err() {
        return;
    }
    let emulator = Emulator::start().unwrap();
    let rows = GUIDE.lines().filter(|line| line.starts_with('|') && line.contains("$E/emulator/"));
    let lines: Vec<&str> = rows.map(|row| row.split('`').rev().nth(1).unwrap()).collect();
    assert_eq!(lines.len(), 7);
    for line in lines {
        let line = line.replacen("curl ", "curl --fail --silent --show-error --max-time 60 ", 1);
        let output =
            Command::new("sh").args(["-c", &line]).env("E", emulator.endpoint()).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        match line.rsplit('/').next().unwrap() {
            "faults" => assert_eq!(emulator.pending_faults()[0].to_string(), "create:503*2"),
            "users" => assert_eq!(emulator.users(), ["8:acs:alice"]),
            "reset" => assert!(emulator.users().is_empty()),
            "health" | "state" => assert!(output.stdout.starts_with(b"{\"pendingFaults\":")),
            _ => {}
        }
    }
}
