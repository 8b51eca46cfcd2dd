//! Where the settings come from.
#![cfg_attr(not(unix), allow(unused_imports, dead_code, reason = "some tests are for Unix"))]

use std::net::Ipv4Addr;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use acs_identity::emulator::Emulator;

use super::*;

const KEY: &str = "c2VjcmV0";

fn settings(host: &str) -> String {
    format!("endpoint=https://{host};accesskey={KEY}")
}

#[test]
fn settings_are_read_from_the_flag_then_from_the_variables() {
    let check = |flag: Option<&str>, quickstart: &str, az: &str| {
        let mut command = tool();
        command.args(["check", "--output", "tsv"]);
        command.args(flag.into_iter().flat_map(|text| ["--connection-string", text]));
        let variables = [(QUICKSTART_VARIABLE, quickstart), (AZ_VARIABLE, az)];
        command.envs(variables.into_iter().filter(|(_, text)| *text != "unset"));
        run(&mut command)
    };
    let (flag, quickstart, az) = (settings("flag"), settings("quickstart"), settings("az"));
    for (ended, host, source) in [
        (check(Some(&flag), &quickstart, &az), "flag", "--connection-string"),
        (check(None, &quickstart, &az), "quickstart", QUICKSTART_VARIABLE),
        (check(None, "unset", &az), "az", AZ_VARIABLE),
        (check(None, "", &az), "az", AZ_VARIABLE),
    ] {
        let unset = "\t".repeat(5);
        ended.assert_printed(&format!("https://{host}\t2023-10-01\taccess key\t{source}{unset}\n"));
    }
    check(None, "unset", "unset").assert_failed(
        2,
        "acs: no connection string: copy it from the portal's Keys page, and set COMMUNICATION_SERVICES_CONNECTION_STRING or AZURE_COMMUNICATION_CONNECTION_STRING, or give --connection-string",
    );
    // The secret of a fork's pull request.
    let empty = "is empty (in CI, the secret may be missing or withheld from forks): set it, or give --connection-string";
    check(None, "", "unset").assert_failed(2, &format!("acs: {QUICKSTART_VARIABLE} {empty}"));
    check(None, "unset", "").assert_failed(2, &format!("acs: {AZ_VARIABLE} {empty}"));
}

#[test]
fn settings_that_are_malformed_are_named_by_their_source() {
    let expected =
        "expected endpoint=https://<resource>.communication.azure.com/;accesskey=<base64>";
    let reference = format!(
        "connection string is a placeholder or a reference that was not replaced: {expected}"
    );
    for (variable, text, problem) in [
        (QUICKSTART_VARIABLE, "$(ACS_CONNECTION_STRING)", &*reference),
        (AZ_VARIABLE, "***", &reference),
        (
            AZ_VARIABLE,
            r#"{"primaryConnectionString": "endpoint=https://a;accesskey=c2VjcmV0"}"#,
            "connection string is JSON: take the value of its primaryConnectionString",
        ),
        (
            QUICKSTART_VARIABLE,
            "accesskey=c2VjcmV0",
            "connection string has no endpoint= part: expected endpoint=https://<resource>.communication.azure.com/;accesskey=<base64>",
        ),
        (
            AZ_VARIABLE,
            "endpoint=https://contoso;accesskey=c2Vjcm",
            "accesskey is not valid base64: copy it again from the portal's Keys page",
        ),
    ] {
        run(tool().args(["user", "create"]).env(variable, text))
            .assert_failed(2, &format!("acs: {variable}: {problem}"));
    }
    run(tool().args(["check", "--connection-string", ""])).assert_failed(
        2,
        "acs: --connection-string: connection string is empty: expected endpoint=https://<resource>.communication.azure.com/;accesskey=<base64>",
    );
}

#[test]
fn settings_with_an_api_version_that_does_not_exist_are_wrong_usage() {
    let emulator = Emulator::start().unwrap();
    let create = |version| acs(&emulator, &["user", "create", "--api-version", version]);
    let ended = create("2019-01-01");
    let problem = "acs: create_user: the service responded with 400 UnsupportedApiVersion: ";
    let advice = "; choose another api_version [host ";
    assert!(ended.stderr.starts_with(problem) && ended.stderr.contains(advice), "{ended:?}");
    assert_eq!((ended.stderr.lines().count(), ended.code()), (1, Some(2)));
}

#[cfg(unix)]
#[test]
fn settings_that_are_not_utf_8_are_refused() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    run(tool().arg("check").env(AZ_VARIABLE, OsStr::from_bytes(b"\xff")))
        .assert_failed(2, "acs: AZURE_COMMUNICATION_CONNECTION_STRING is not UTF-8: set it again");
}

#[test]
fn settings_of_endpoint_and_token_command_go_together_and_alone() {
    let endpoint = ["--endpoint", "https://contoso.communication.azure.com"];
    let command = ["--token-command", "exit 1"];
    let connection_string = ["--connection-string", &settings("contoso")];
    for flags in [
        endpoint.to_vec(),
        command.to_vec(),
        [connection_string, command].concat(),
        [connection_string, endpoint].concat(),
    ] {
        run(tool().arg("check").args(flags)).assert_failed(
            2,
            "acs: give either --connection-string, or --endpoint and --token-command together",
        );
    }
    // They come before the variables, and the command is not run.
    let mut check = tool();
    check.args(["-o", "tsv"]).args(endpoint).arg("check").args(command);
    run(check.env(QUICKSTART_VARIABLE, settings("other"))).assert_printed(
        "https://contoso.communication.azure.com\t2023-10-01\tbearer token\t--endpoint\t\t\t\t\t\n",
    );
}

#[cfg(unix)]
#[test]
fn token_command_output_is_a_token_or_the_json_of_az() {
    let emulator = Emulator::start().unwrap();
    emulator.accept_bearer_token("eyJ.entra");
    let soon = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 3600;
    for output in [
        "eyJ.entra".to_owned(),
        // `--query accessToken` without `-o tsv`.
        r#""eyJ.entra""#.to_owned(),
        // Warnings, colors and a byte order mark.
        "WARNING: az is old\neyJ.entra".to_owned(),
        r#"\033[33mWARNING: az is old\033[0m\n{"accessToken": "eyJ.entra"}"#.to_owned(),
        r#"\357\273\277{\n  \033[94m"accessToken"\033[39;49;00m: \033[33m"eyJ.entra"\033[39;49;00m\n}"#
            .to_owned(),
        format!(
            r#"{{"accessToken": "eyJ.entra", "expires_on": {soon}, "expiresOn": "2020-01-01 10:00:00.000000", "tokenType": "Bearer"}}"#
        ),
        format!(r#"{{"accessToken": "eyJ.entra", "expires_on": "{soon}"}}"#),
        r#"{"accessToken": "eyJ.entra", "expiresOn": "2020-01-01 10:00:00.000000"}"#.to_owned(),
    ] {
        let script = format!("printf '{output}\\n'");
        let created = bearer(&emulator, &script);
        let user = emulator.users().pop().unwrap();
        created.assert_printed(&printed_as_az_does(&user));
    }
    assert_eq!(emulator.users().len(), 8);
    assert_eq!(emulator.requests()[0].header("authorization"), Some("Bearer eyJ.entra"));
}

#[cfg(unix)]
#[test]
fn token_command_without_a_token_is_an_authentication_failure() {
    let emulator = Emulator::start().unwrap();
    let no_token = "acs: create_user: could not obtain a bearer token; nothing was sent";
    let neither = "]: --token-command printed neither a token nor JSON with accessToken\n";
    for (script, problem, cause) in [
        ("exit 7", no_token, "]: --token-command failed (exit status: 7)\n"),
        ("true", no_token, "]: --token-command printed no token\n"),
        ("echo Please run az login", no_token, neither),
        (
            r#"echo '{"accessToken": "eyJ.entra", "expires_on": 1}'"#,
            "acs: create_user: the bearer token that was fetched has already expired: check its source and this machine's clock; nothing was sent",
            "]\n",
        ),
    ] {
        let ended = bearer(&emulator, script);
        ended.assert_failed(3, problem);
        assert!(ended.stderr.ends_with(cause), "{ended:?}");
    }
    assert_eq!(emulator.request_count(), 0);
    // What the command itself has to say comes through.
    let ended = bearer(&emulator, "echo 'ERROR: Please run az login' >&2; exit 1");
    assert_eq!(ended.stderr.lines().next(), Some("ERROR: Please run az login"));
    assert_eq!(ended.code(), Some(3));

    // Stdin is not the command's.
    let arguments = ["user", "create", "--token-command", "cat", "--endpoint"];
    let mut command = with_stdin(tool(), &File::new("stdin-token", "eyJ.stdin"));
    assert_eq!(run(command.args(arguments).arg(emulator.endpoint())).code(), Some(3));
    assert_eq!(emulator.request_count(), 0);

    let refused = bearer(&emulator, "echo eyJ.other");
    assert_eq!((refused.stdout.as_str(), refused.code()), ("", Some(3)));
    assert!(!refused.stderr.contains("eyJ.other"), "{refused:?}");
}

#[cfg(unix)]
fn bearer(emulator: &Emulator, script: &str) -> Ended {
    let (endpoint, command) = (emulator.endpoint(), script);
    run(tool().args(["user", "create", "--endpoint", &endpoint, "--token-command", command]))
}

#[test]
fn exit_code_of_a_host_out_of_reach_is_1() {
    // Nobody listens on the first port.
    let settings = format!("endpoint=http://{}:1;accesskey={KEY}", Ipv4Addr::LOCALHOST);
    let ended = run(tool().args(["user", "create", "--timeout", "1s"]).env(AZ_VARIABLE, settings));
    assert_eq!((ended.stdout.as_str(), ended.code()), ("", Some(1)));
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
    assert!(ended.stderr.starts_with("acs: create_user: "), "{ended:?}");
    assert!(ended.stderr.contains("[host 127.0.0.1:1, "), "{ended:?}");
}

#[cfg(unix)]
#[test]
fn timeout_covers_the_token_command_and_what_that_started() {
    let emulator = Emulator::start().unwrap();
    let endpoint = emulator.endpoint();
    for script in [
        "exec sleep 100",
        // The shell ends at once; what it started closes stdout and lives on, or keeps it open.
        "exec >&-; sleep 100; true",
        "sleep 100 & true",
        // What it started holds stderr: this test would wait for it.
        "sleep 100; true",
    ] {
        let arguments = ["user", "create", "--timeout", "1s", "--endpoint", &endpoint];
        let started = Instant::now();
        let mut command = tool();
        // For sleep.
        command.env("PATH", std::env::var_os("PATH").unwrap());
        let ended = run(command.args(arguments).args(["--token-command", script]));
        assert!(started.elapsed() < Duration::from_secs(30), "{script}");
        let problem = "acs: create_user: could not obtain a bearer token; nothing was sent";
        ended.assert_failed(3, problem);
        assert!(ended.stderr.ends_with("]: --token-command did not end within 1s\n"));
    }
    assert_eq!(emulator.request_count(), 0);
}

/// The host in the text is the service's, and it is the proxy that cannot be reached.
#[test]
fn proxy_that_cannot_be_used_is_blamed() {
    let nobody = "http://user:secret@127.0.0.1:1";
    let create = |variables: [(&str, &str); 2]| {
        let settings = "endpoint=https://contoso.invalid;accesskey=c2VjcmV0";
        let mut command = tool();
        command.args(["user", "create", "--timeout", "1s"]).env(QUICKSTART_VARIABLE, settings);
        let ended = run(command.envs(variables));
        assert!(!ended.stderr.contains("secret"), "{ended:?}");
        ended
    };
    let ended = create([("HTTPS_PROXY", nobody), ("NO_PROXY", "")]);
    assert_eq!(ended.code(), Some(1), "{ended:?}");
    assert!(
        ended.stderr.contains(
            ": the proxy, or the service through it, could not be reached: check HTTPS_PROXY"
        ),
        "{ended:?}"
    );
    let ended = create([("HTTPS_PROXY", nobody), ("NO_PROXY", "*")]);
    assert!(!ended.stderr.contains("the proxy, or"), "{ended:?}");
    let ended = create([("ALL_PROXY", "socks5://user:secret@proxy.example"), ("NO_PROXY", "")]);
    assert_eq!(ended.code(), Some(2), "{ended:?}");
    assert!(
        ended.stderr.ends_with(": correct or unset it, or exempt the host with NO_PROXY\n"),
        "{ended:?}"
    );
}

#[test]
fn check_and_verbose_show_proxy_and_ca_file_without_secrets() {
    let file = File::new("ca", "-----BEGIN CERTIFICATE-----\n");
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(&*file, certificate.cert.pem()).unwrap();
    let acs = |words: &[&str], no_proxy: &str| {
        let mut command = tool();
        command.env("HTTPS_PROXY", "http://user:CANARY@proxy.example:8080/CANARY/?CANARY#CANARY");
        command.env("SSL_CERT_FILE", &*file).env("NO_PROXY", no_proxy);
        let ended = run(command.args(words).env(AZ_VARIABLE, settings("contoso.example")));
        assert!(!ended.stderr.contains("CANARY") && !ended.stdout.contains("CANARY"), "{ended:?}");
        assert_eq!(ended.code(), Some(0));
        ended
    };
    let (ca, proxy) = (format!("{file} (SSL_CERT_FILE)"), "proxy.example:8080 (HTTPS_PROXY)");
    let ended = acs(&["check", "-v"], "");
    let json: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((&json["ca_file"], &json["proxy"]), (&Value::from(&*ca), &Value::from(proxy)));
    let settings =
        format!("access key from {AZ_VARIABLE}, root certificates of {ca}, proxy {proxy}\n");
    assert!(ended.stderr.ends_with(&settings), "{ended:?}");
    let exempt: Value = serde_json::from_str(&acs(&["check"], "example").stdout).unwrap();
    assert_eq!(exempt["proxy"], Value::Null);
}
