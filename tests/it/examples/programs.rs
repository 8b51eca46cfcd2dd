//! The short programs of `examples/`, each run as a process.

use std::fs;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::path::PathBuf;
use std::thread;

use acs_identity::emulator::{Emulator, Operation, RecordedRequest};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::support::authority::{Authority, Flaw};
use crate::support::process::{example, run};
use crate::support::server::{ID, respond_well};
use crate::support::{CANARY_KEY, Connection, Server};

const VARIABLE: &str = "COMMUNICATION_SERVICES_CONNECTION_STRING";

/// The tests of this example are what it demonstrates.
#[allow(dead_code, reason = "the program around them runs as a process")]
#[path = "../../../examples/testing_your_app.rs"]
mod testing_your_app;

/// Standard output of a success; standard error if it failed.
fn outcome(
    name: &str,
    arguments: &[&str],
    connection_string: Option<&str>,
) -> Result<String, String> {
    let mut command = example(name);
    command.args(arguments);
    // The person who runs the tests may use a proxy.
    for variable in ["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY"] {
        command.env_remove(variable).env_remove(variable.to_lowercase());
    }
    command.envs(connection_string.map(|text| (VARIABLE, text)));
    let output = run(&mut command);
    let stderr = String::from_utf8(output.stderr).unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(!stderr.contains(CANARY_KEY) && !stdout.contains(CANARY_KEY), "{stderr}{stdout}");
    if output.status.success() { Ok(stdout) } else { Err(stderr) }
}

/// The operations that arrived, in order.
fn operations(emulator: &Emulator) -> Vec<Operation> {
    emulator.requests().iter().filter_map(RecordedRequest::operation).collect()
}

#[test]
fn errors_by_kind_prints_advice_for_each_kind() {
    let rehearsed = "\
no key at all: correct the settings; nothing was sent
a wrong key: check the key
nobody there: check endpoint, network and proxy; nothing was sent
no bearer token: log in again, or see what the source of tokens says; nothing was sent
too many requests: try again in 30 s
a service that is down: a user may have been created; its id is unknown
a service that says nothing: a user may have been created; its id is unknown
a connection that breaks: a user may have been created; its id is unknown
a user without a token: use or delete 8:acs:guest: it is stored nowhere else
";
    let shown = outcome("errors_by_kind", &[], None).unwrap();
    let lines: Vec<&str> = shown.lines().collect();
    // Each line of advice is followed by its error.
    let advice: Vec<&str> = lines.iter().step_by(2).copied().collect();
    assert_eq!(advice, rehearsed.lines().collect::<Vec<_>>());
    let is_error = |line: &&str| line.starts_with("  create_user_and_token: ");
    assert!(lines.iter().skip(3).step_by(2).all(is_error), "{shown}");

    let emulator = Emulator::builder().access_key(CANARY_KEY).start().unwrap();
    let real = outcome("errors_by_kind", &[], Some(&emulator.connection_string()));
    assert_eq!(real.as_deref(), Ok("one call: all is well\n"));
    assert_eq!(operations(&emulator), [Operation::Create, Operation::Delete]);
}

const WITH_THE_VARIABLE: [&str; 5] =
    ["quickstart", "errors_by_kind", "testing_your_app", "tls_roots_and_proxy", "sign_an_email"];

#[test]
fn examples_treat_an_empty_variable_as_not_set() {
    for name in WITH_THE_VARIABLE {
        assert!(outcome(name, &[], Some("")).is_ok(), "{name}");
    }
}

#[cfg(unix)]
#[test]
fn examples_reject_a_variable_that_is_not_utf_8() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    for name in WITH_THE_VARIABLE {
        let output = run(example(name).env(VARIABLE, OsStr::from_bytes(b"\xff")));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains(&format!("{VARIABLE} is not valid UTF-8")), "{name}: {stderr}");
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{name}");
    }
}

#[test]
fn entra_examples_without_an_endpoint_print_the_usage() {
    for name in ["entra_az_cli", "entra_managed_identity"] {
        let expected = format!(
            "{name}: the endpoint is missing: cargo run --example {name} -- https://<resource>.communication.azure.com\n"
        );
        assert_eq!(outcome(name, &[], None), Err(expected));
    }
}

#[test]
fn testing_your_app_runs_locally_and_against_a_resource() {
    let emulator = Emulator::builder().access_key(CANARY_KEY).start().unwrap();
    let local = outcome("testing_your_app", &[], None).unwrap();
    let real = outcome("testing_your_app", &[], Some(&emulator.connection_string())).unwrap();
    for text in [local, real] {
        assert!(text.starts_with("invited a guest with a token of "), "{text}");
        assert!(text.ends_with(" characters\nthe guest has left\n"), "{text}");
    }
    assert_eq!(operations(&emulator), [Operation::Create, Operation::Issue, Operation::Delete]);
}

#[test]
fn tls_roots_and_proxy_uses_both() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = Server::with_tls(authority.server(Flaw::None), respond_well);
    let proxy = Server::scripted(tunnel);
    let pem = format!("# two of them\n{}{}", other.pem(), authority.pem());
    let file = TemporaryFile::new("roots.pem", &pem);
    let connection_string = format!("endpoint={};accesskey={CANARY_KEY}", server.endpoint());

    let proxy_url = proxy.endpoint().to_string();
    let arguments = [file.path(), &proxy_url];
    let text = outcome("tls_roots_and_proxy", &arguments, Some(&connection_string));
    let done = format!("created user {ID}\ndeleted the user\n");
    assert_eq!(text.as_deref(), Ok(&*done));
    let requests = server.requests();
    assert!(requests[0].starts_with("POST /identities?") && requests[1].starts_with("DELETE /"));
    let tunnelled = format!("CONNECT localhost:{} HTTP/1.1\r\n", server.address().port());
    assert!(proxy.requests()[0].starts_with(&tunnelled));
}

#[test]
fn tls_roots_and_proxy_needs_neither_and_rejects_an_empty_file() {
    let empty = TemporaryFile::new("empty.pem", "nothing");
    let error = outcome("tls_roots_and_proxy", &[empty.path()], None).unwrap_err();
    assert!(error.contains("empty.pem has no certificate: it has to be PEM"), "{error}");
    let local = outcome("tls_roots_and_proxy", &[], None).unwrap();
    assert!(local.starts_with("created user 8:acs:") && local.ends_with("\ndeleted the user\n"));
}

#[test]
fn sign_an_email_prints_a_signed_request() {
    // 22 August 2026, 09:15:00, and 32 zero bytes.
    let arguments = ["--show-signature", "1787390100"];
    let key = BASE64_STANDARD.encode([0; 32]);
    let connection_string =
        format!("endpoint=https://X.communication.azure.com:443/;accesskey={key}");
    let text = outcome("sign_an_email", &arguments, Some(&connection_string)).unwrap();
    let (head, body) = text.trim_end().split_once("\n\n").unwrap();
    let hash = BASE64_STANDARD.encode(Sha256::digest(body));
    let target = "/emails:send?api-version=2023-03-31";
    let signature = signature_under_zeros(target, "Sat, 22 Aug 2026 09:15:00 GMT", &hash);
    let expected = format!(
        "POST {target} HTTP/1.1\nhost: x.communication.azure.com\ncontent-type: application/json\n\
         x-ms-date: Sat, 22 Aug 2026 09:15:00 GMT\nx-ms-content-sha256: {hash}\n\
         authorization: HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature={signature}"
    );
    assert_eq!(head, expected);
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["recipients"]["to"][0]["address"], "alice@example.com");

    // Verifies the check above with a signature made by another implementation.
    assert_eq!(
        signature_under_zeros(
            target,
            "sat, 22 aug 2026 09:15:00 gmt",
            "JppGVhXOsxjTDFEjYrQyeJE/eLwcSbSYvYuKFodVIO0="
        ),
        "Mztr7ETllMC1E+swVgksDR4wY+kb3Yy39QgyQ7Zn57s="
    );
}

#[test]
fn sign_an_email_hides_the_signature_unless_told() {
    let connection_string =
        format!("endpoint=https://contoso.communication.azure.com;accesskey={CANARY_KEY}");
    for connection_string in [None, Some(&*connection_string)] {
        let text = outcome("sign_an_email", &["0"], connection_string).unwrap();
        assert!(
            text.contains("\nauthorization: [redacted]\n") && !text.contains("Signature="),
            "{text}"
        );
        assert!(text.contains("\nx-ms-date: Thu, 01 Jan 1970 00:00:00 GMT\n"), "{text}");
    }
    let refused = run(example("sign_an_email").arg("yesterday"));
    let usage = "sign_an_email: takes [--show-signature] [SECONDS_SINCE_1970], and nothing else\n";
    assert_eq!(String::from_utf8(refused.stderr).unwrap(), usage);
    assert_eq!(refused.status.code(), Some(2));
}

/// Where a `println!` would panic.
#[cfg(target_os = "linux")]
#[test]
fn examples_report_a_full_disk_as_an_error() {
    use std::process::Stdio;

    for name in ["errors_by_kind", "sign_an_email"] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let output = example(name).stdout(full).stderr(Stdio::piped()).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.lines().last().unwrap().starts_with(&format!("{name}: ")), "{stderr}");
    }
}

fn signature_under_zeros(target: &str, date: &str, hash: &str) -> String {
    let text = format!("POST\n{target}\n{date};x.communication.azure.com;{hash}");
    let mac = Hmac::<Sha256>::new_from_slice(&[0; 32]).unwrap().chain_update(text).finalize();
    BASE64_STANDARD.encode(mac.into_bytes())
}

/// Acts as a proxy: connects to the requested host and copies bytes until both sides have closed.
fn tunnel(connection: &mut Connection) {
    let request = connection.request().unwrap();
    let mut server = TcpStream::connect(request.split(' ').nth(1).unwrap()).unwrap();
    connection.send("HTTP/1.1 200 OK\r\n\r\n");
    let client = connection.tcp();
    let (mut from_server, mut to_client) =
        (server.try_clone().unwrap(), client.try_clone().unwrap());
    let back = thread::spawn(move || {
        let _ = io::copy(&mut from_server, &mut to_client);
        let _ = to_client.shutdown(Shutdown::Write);
    });
    let _ = io::copy(client, &mut server);
    let _ = server.shutdown(Shutdown::Write);
    back.join().unwrap();
}

struct TemporaryFile(PathBuf);

impl TemporaryFile {
    fn new(name: &str, text: &str) -> Self {
        let name = format!("acs-identity-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
