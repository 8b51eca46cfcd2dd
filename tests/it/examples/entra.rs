//! The two examples of bearer tokens, each with a stand-in for the source of its tokens.

use std::process::{Command, Output};

use acs_identity::emulator::Emulator;

use crate::support::Server;
use crate::support::process::{example, run};
use crate::support::server::answer;

/// The expiry in both examples: in whole seconds, far in the future.
const EXPIRES_ON: u64 = 4_102_444_800;

/// Runs against this emulator, without the identity of the machine that runs the tests.
fn program(name: &str, emulator: &Emulator) -> Command {
    let mut command = example(name);
    command.arg(emulator.endpoint());
    for name in ["IDENTITY_ENDPOINT", "IDENTITY_HEADER", "AZURE_POD_IDENTITY_AUTHORITY_HOST"] {
        command.env_remove(name);
    }
    command
}

fn assert_walked(output: &Output, emulator: &Emulator) {
    let (stdout, stderr) = texts(output);
    assert!(output.status.success(), "{stderr}");
    let (created, rest) = stdout.split_once('\n').unwrap();
    assert!(created.starts_with("created user 8:acs:"), "{stdout}");
    assert_eq!(rest, "deleted the user\n");
    let requests = emulator.requests();
    assert_eq!(requests.len(), 2);
    for request in requests {
        assert_eq!(request.header("authorization"), Some("Bearer from-entra"));
    }
}

fn texts(output: &Output) -> (String, String) {
    let [stdout, stderr] =
        [&output.stdout, &output.stderr].map(|text| String::from_utf8(text.clone()).unwrap());
    assert!(!stderr.contains("from-entra"), "{stderr}");
    (stdout, stderr)
}

fn assert_failed(output: &Output, emulator: &Emulator, name: &str, cause: &str) {
    let (_, stderr) = texts(output);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let problem = "create_user: could not obtain a bearer token; nothing was sent";
    assert!(stderr.starts_with(&format!("{name}: {problem} [")), "{stderr}");
    assert!(stderr.ends_with(&format!("]: {cause}\n")), "{stderr}");
    assert_eq!(emulator.request_count(), 0);
}

#[cfg(unix)]
mod az {
    use super::*;

    /// Runs the program with a `PATH` that has only the stand-in for az.
    fn az(emulator: &Emulator, answer: Option<&str>) -> Output {
        let stand_ins = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/stand-ins");
        let mut command = program("entra_az_cli", emulator);
        command.env("PATH", stand_ins).env_remove("AZ_ANSWER");
        if let Some(answer) = answer {
            command.env("AZ_ANSWER", answer);
        }
        run(&mut command)
    }

    #[test]
    fn entra_az_cli_uses_the_token_of_az() {
        let emulator = Emulator::start().unwrap();
        emulator.accept_bearer_token("from-entra");
        let answer = format!(
            r#"{{
  "accessToken": "from-entra",
  "expiresOn": "2100-01-01 01:00:00.000000",
  "expires_on": {EXPIRES_ON},
  "subscription": "s",
  "tenant": "t",
  "tokenType": "Bearer"
}}
"#
        );
        assert_walked(&az(&emulator, Some(&answer)), &emulator);
    }

    #[test]
    fn entra_az_cli_reports_the_failure_of_az() {
        let emulator = Emulator::start().unwrap();
        for (answer, cause) in [
            (None, "az failed: ERROR: Please run 'az login' to setup account."),
            (
                Some(r#"{"accessToken":"from-entra","expiresOn":"2100-01-01 01:00:00.000000"}"#),
                "expires_on is missing: run az upgrade",
            ),
            (Some("from-entra"), "the output of az is not JSON"),
        ] {
            let output = az(&emulator, answer);
            assert_failed(&output, &emulator, "entra_az_cli", cause);
        }
        let mut command = program("entra_az_cli", &emulator);
        let output = run(command.env("PATH", "/nowhere"));
        let cause = "cannot run az: No such file or directory (os error 2)";
        assert_failed(&output, &emulator, "entra_az_cli", cause);
    }
}

fn identity_answer() -> String {
    let body = format!(
        r#"{{"access_token":"from-entra","expires_on":"{EXPIRES_ON}","resource":"https://communication.azure.com/","token_type":"Bearer"}}"#
    );
    answer("200 OK", "application/json; charset=utf-8", &body)
}

/// The request line and the header lines, names in lower case.
fn head(request: &str) -> Vec<String> {
    let lines = request.lines().take_while(|line| !line.is_empty());
    lines.map(str::to_owned).collect()
}

#[test]
fn entra_managed_identity_works_on_a_virtual_machine() {
    let emulator = Emulator::start().unwrap();
    emulator.accept_bearer_token("from-entra");
    let server = Server::answering(identity_answer());
    let mut command = program("entra_managed_identity", &emulator);
    command.env("AZURE_POD_IDENTITY_AUTHORITY_HOST", server.endpoint().to_string());
    assert_walked(&run(&mut command), &emulator);

    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    let head = head(&requests[0]);
    assert_eq!(
        head[0],
        "GET /metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fcommunication.azure.com%2F HTTP/1.1"
    );
    assert!(head.contains(&"metadata: true".to_owned()), "{head:?}");
}

#[test]
fn entra_managed_identity_works_in_an_app_service() {
    let emulator = Emulator::start().unwrap();
    emulator.accept_bearer_token("from-entra");
    let server = Server::answering(identity_answer());
    let mut command = program("entra_managed_identity", &emulator);
    command.env("IDENTITY_ENDPOINT", format!("{}/msi/token", server.endpoint()));
    command.env("IDENTITY_HEADER", "853b9a84-5bfa-4b22-a3f3-0b9a43d9ad8a");
    assert_walked(&run(&mut command), &emulator);

    let head = head(&server.requests()[0]);
    assert_eq!(
        head[0],
        "GET /msi/token?api-version=2019-08-01&resource=https%3A%2F%2Fcommunication.azure.com%2F HTTP/1.1"
    );
    let secret = "x-identity-header: 853b9a84-5bfa-4b22-a3f3-0b9a43d9ad8a".to_owned();
    assert!(head.contains(&secret), "{head:?}");
}

#[test]
fn entra_managed_identity_reports_a_machine_without_an_identity() {
    let emulator = Emulator::start().unwrap();
    let body = r#"{"error":"invalid_request","error_description":"Identity not found"}"#;
    let server = Server::answering(answer("400 Bad Request", "application/json", body));
    let mut command = program("entra_managed_identity", &emulator);
    command.env("AZURE_POD_IDENTITY_AUTHORITY_HOST", server.endpoint().to_string());
    let output = run(&mut command);
    assert_failed(&output, &emulator, "entra_managed_identity", "http status: 400");
}
