//! Settings that cannot be honoured are refused, and
//! texts say what they mean.

use std::ffi::OsStr;
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use acs_identity::{ErrorKind, RetryPolicy};

use crate::support::process::{example, run};
use crate::support::server::{ENVELOPE, closing, respond_well, response};
use crate::support::{CANARY_KEY, Operation, Server, UNKNOWN_HOST, hurried, problem, user};

const PROXY_VARIABLES: [&str; 8] = [
    "ALL_PROXY",
    "all_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "NO_PROXY",
    "no_proxy",
];

fn quickstart() -> Command {
    let mut command = example("quickstart");
    for variable in PROXY_VARIABLES {
        command.env_remove(variable);
    }
    command
}

/// Of a resource with a name that is refused without asking a name server.
fn with_proxy(variable: &str, value: impl AsRef<OsStr>) -> Output {
    let connection_string = format!("endpoint=https://{UNKNOWN_HOST};accesskey={CANARY_KEY}");
    let mut command = quickstart();
    command.env("COMMUNICATION_SERVICES_CONNECTION_STRING", connection_string);
    run(command.env(variable, value))
}

fn assert_refused(variable: &str, shown: &str, output: &Output) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{variable}={shown}: {stderr}");
    // There, names are the same in capitals, and the first of two is the one that is found.
    let name = if cfg!(windows) { variable.to_uppercase() } else { variable.to_owned() };
    assert!(stderr.contains(&name), "{variable}={shown}: {stderr}");
    // Nothing was tried.
    assert!(!stderr.contains("client-request-id"), "{variable}={shown}: {stderr}");
    for part in ["user:", "secret", "proxy.example"] {
        assert!(!stderr.contains(part), "{variable}={shown}: {stderr}");
    }
}

/// The request would go straight out.
#[test]
fn a_proxy_that_cannot_be_used_is_refused() {
    let address = "user:secret@proxy.example:1080";
    std::thread::scope(|scope| {
        for variable in ["ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy"] {
            for scheme in ["socks5", "socks5h", "socks4", "socks4a", "SOCKS5", "ftp"] {
                // All schemes by one variable, and one by all variables.
                if variable != "ALL_PROXY" && scheme != "socks5" {
                    continue;
                }
                scope.spawn(move || {
                    let value = format!("{scheme}://{address}");
                    assert_refused(variable, &value, &with_proxy(variable, &value));
                });
            }
        }
        for value in ["http://", "://user:secret@proxy.example", "http://user:secret@:99999"] {
            scope.spawn(move || {
                assert_refused("ALL_PROXY", value, &with_proxy("ALL_PROXY", value));
            });
        }
    });
}

/// It would not be asked.
#[test]
fn a_proxy_that_is_not_for_this_host_is_ignored() {
    let mut command = quickstart();
    let connection_string = format!("endpoint=https://{UNKNOWN_HOST};accesskey={CANARY_KEY}");
    command.env("COMMUNICATION_SERVICES_CONNECTION_STRING", connection_string);
    command.env("NO_PROXY", ".invalid");
    let output = run(command.env("ALL_PROXY", "socks5://user:secret@proxy.example:1080"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("the service could not be reached"), "{stderr}");
}

#[cfg(unix)]
#[test]
fn a_proxy_that_is_not_utf_8_is_refused() {
    use std::os::unix::ffi::OsStrExt as _;

    let value = OsStr::from_bytes(b"http://user:secret\xff@proxy.example:3128");
    assert_refused("ALL_PROXY", "not UTF-8", &with_proxy("ALL_PROXY", value));
}

/// The other side of: what can be honoured is, and an empty variable is none.
#[test]
fn a_proxy_that_can_be_used_is() {
    for empty in [None, Some("")] {
        let proxy =
            Server::answering(closing(&response("407 Proxy Authentication Required", "", "")));
        let mut command = quickstart();
        let connection_string = format!("endpoint=https://contoso.invalid;accesskey={CANARY_KEY}");
        command.env("COMMUNICATION_SERVICES_CONNECTION_STRING", connection_string);
        command.env("HTTPS_PROXY", format!("http://user:secret@127.0.0.1:{}", proxy.port()));
        if let Some(empty) = empty {
            command.env("ALL_PROXY", empty);
        }
        let output = run(&mut command);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && stderr.contains("407"), "{stderr}");
        assert!(!stderr.contains("secret"), "{stderr}");
        let requests = proxy.requests();
        assert!(requests.len() == 1 && requests[0].starts_with("CONNECT "), "{requests:?}");
    }
}

/// No proxy can reach this machine's loopback, so none is asked for there.
#[test]
fn the_local_service_needs_no_proxy() {
    let output = run(quickstart().env("ALL_PROXY", "socks5://user:secret@proxy.example:1"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The longest body is 16 KiB, to the byte.
#[test]
fn a_body_above_16_kib_is_refused() {
    let server = Server::scripted(respond_well);
    let client = hurried(&server).build().unwrap();
    let around = serde_json::json!({ "token": "", "appId": "app", "userId": "user" });
    let most = 16 * 1024 - around.to_string().len();
    client.exchange_teams_user_token(&"t".repeat(most), "app", "user").unwrap();
    let error = client.exchange_teams_user_token(&"t".repeat(most + 1), "app", "user").unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::InvalidInput, 0), "{error}");
    assert!(!error.to_string().contains("ttt"), "{error}");
    let scopes = (0..2_000).map(|number| format!("scope{number}"));
    let error = client.issue_token(&user(), scopes.collect::<Vec<_>>()).unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::InvalidInput, 0), "{error}");
    // What counts is what is sent: a character may become six.
    let error =
        client.exchange_teams_user_token(&"\u{1}".repeat(3_000), "app", "user").unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::InvalidInput, 0), "{error}");
    assert_eq!(server.requests().len(), 1);
}

/// A delay is told in a way that a person would.
#[test]
fn delays_are_told_as_people_tell_them() {
    let later = SystemTime::now() + Duration::from_secs(99_990);
    for header in [
        format!("Retry-After: {}\r\n", httpdate::fmt_http_date(later)),
        "retry-after-ms: 99989397\r\n".to_owned(),
    ] {
        for status in ["429 Too Many Requests", "503 Service Unavailable"] {
            let server = Server::answering(closing(&response(status, &header, ENVELOPE)));
            for operation in Operation::ALL {
                let error = operation.run(&hurried(&server).build().unwrap()).unwrap_err();
                let text = problem(&error);
                let decimals = text
                    .split('.')
                    .skip(1)
                    .map(|rest| rest.bytes().take_while(u8::is_ascii_digit).count());
                assert!(decimals.max().unwrap_or(0) <= 1, "{text}");
            }
        }
    }
}

/// Whoever has to wait is told how long.
#[test]
fn a_503_tells_the_delay() {
    for status in ["429 Too Many Requests", "503 Service Unavailable"] {
        let response = closing(&response(status, "Retry-After: 77\r\n", ENVELOPE));
        let server = Server::answering(response);
        let client = hurried(&server).retry_policy(RetryPolicy::none()).build().unwrap();
        for operation in Operation::ALL {
            let error = operation.run(&client).unwrap_err();
            assert_eq!(error.retry_after(), Some(Duration::from_secs(77)));
            assert!(problem(&error).contains("77"), "{error}");
        }
    }
}

/// An id is no secret, and what looks like a key still is.
#[test]
fn an_id_in_a_message_comes_through() {
    let id = "8:acs:bbbcbc1e-9f06-482a-b5d8-20e3f26ef0cd_45ab2481-1c1c-4005-be24-0ffb879b1130";
    let message = format!("Identity '{id}' was not found.");
    let body = serde_json::json!({ "error": { "code": "NotFound", "message": message } });
    let server = Server::answering(closing(&response("404 Not Found", "", &body.to_string())));
    let client = hurried(&server).build().unwrap();
    for operation in Operation::ALL {
        let error = operation.run(&client).unwrap_err();
        assert_eq!(error.message(), Some(&*message), "{error}");
        assert!(problem(&error).contains(id), "{error}");
    }
    for secret in
        [CANARY_KEY.to_owned(), format!("{id}{CANARY_KEY}"), format!("8:acs:{CANARY_KEY}")]
    {
        let message = format!("Not '{secret}'.");
        let body = serde_json::json!({ "error": { "code": "Denied", "message": message } });
        let server = Server::answering(closing(&response("403 Forbidden", "", &body.to_string())));
        let error = Operation::Issue.run(&hurried(&server).build().unwrap()).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(&CANARY_KEY[..20]), "{error}");
    }
}
