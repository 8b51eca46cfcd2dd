//! Its options and its log.

use std::net::TcpListener;
use std::time::SystemTime;

use acs_identity::{AccessKey, BearerToken, Credential, RequestToSign};

use super::*;

#[test]
fn log_has_each_request_and_why_it_was_rejected() {
    let program = Program::start(&["--address", "127.0.0.1:0"]);
    let endpoint = program.endpoint();
    program.client(PATIENCE).create_user().unwrap();
    assert_eq!(program.line(), "POST /identities?api-version=2023-10-01 -> 201");

    let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
    let url = format!("{endpoint}/identities?api-version=2023-10-01");
    assert_eq!(agent.post(&url).send_empty().unwrap().status(), 401);
    assert_eq!(
        program.line(),
        "POST /identities?api-version=2023-10-01 -> 401 (the Authorization header is missing)"
    );

    // Signed without the query, which the record shows beside what it should have been.
    let key: AccessKey = KEY.parse().unwrap();
    let host = endpoint.strip_prefix("http://").unwrap();
    let request = RequestToSign { method: "POST", host, path_and_query: "/identities", body: b"" };
    let signed = key.sign(&request, SystemTime::now()).unwrap();
    let mut request = agent.post(&url);
    for (name, value) in signed.headers() {
        request = request.header(name, value);
    }
    assert_eq!(request.send_empty().unwrap().status(), 401);
    let tail = format!("{};{host};{}", signed.date(), signed.content_hash());
    assert_eq!(
        program.line(),
        format!(
            "POST /identities?api-version=2023-10-01 -> 401 (the signature does not match: the query was not signed; \
             the string to sign is \"POST\\n/identities?api-version=2023-10-01\\n{tail}\", but \"POST\\n/identities\\n{tail}\" was signed)"
        )
    );

    let https = endpoint.replace("http://", "https://");
    assert!(agent.get(https).call().is_err());
    assert_eq!(
        program.line(),
        "something unreadable -> 400 (this is TLS; the emulator speaks http, not https, unless started with --tls)"
    );
    drop(program.process);
    assert!(program.log.is_over() && program.stdout.is_over());
}

#[test]
fn log_without_a_reader_stops_no_response() {
    let (_process, stdout, stderr) = spawned(&mut emulator());
    // The reading end of the pipe is closed: each line fails to be written.
    drop(stderr);
    let connection_string = stdout.next();
    let client = client_of(&connection_string);
    for _ in 0..2 {
        client.create_user().unwrap();
    }
}

#[test]
fn log_drops_lines_rather_than_wait_for_a_reader() {
    let (_process, stdout, stderr) = spawned(&mut emulator());
    let connection_string = stdout.next();
    let (endpoint, _) = connection_string.parse::<ConnectionString>().unwrap().into_parts();
    let agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(PATIENCE))
        .build()
        .new_agent();
    // Some fill the pipe, a thousand wait, and some are too many.
    let url = |length| format!("http://{}/{}", endpoint.host(), "a".repeat(length));
    for request in 0..1_020 {
        let url = url(if request < 10 { 8_000 } else { 3 });
        assert_eq!(agent.get(url).call().unwrap().status(), 401);
    }
    let log = Lines::of(stderr);
    for _ in 0..1_000 {
        assert!(log.next().contains(" GET /aaa"));
    }
    agent.get(url(3)).call().unwrap();
    let mut rest = (0..20).map(|_| log.next());
    assert!(rest.any(|line| line.ends_with(" lines dropped: they were not read in time)")));
    assert!(log.next().contains(" GET /aaa"));
}

/// Twelve stacks do not fit into the memory that the process may use.
#[cfg(target_os = "linux")]
#[test]
fn connection_waits_until_the_system_has_a_thread_for_it() {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;

    let mut command = Command::new("sh");
    let limited = "ulimit -v 2000000; exec \"$0\" emulator --access-key \"$1\"";
    command.args(["-c", limited]).arg(tool().get_program()).arg(KEY);
    let program = Program::started(command.env("RUST_MIN_STACK", "268435456"));
    let address = program.endpoint().replace("http://", "");
    let clients = [(); 12].map(|()| {
        let mut client = TcpStream::connect(&address).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        client
    });
    // Each leaves its thread to one that came later.
    for mut client in clients {
        let mut start = [0; 12];
        client.read_exact(&mut start).unwrap();
        assert_eq!(&start, b"HTTP/1.1 401");
    }
}

#[test]
fn log_has_no_line_that_a_request_forged() {
    let program = Program::start(&["--bearer-token", "t"]);
    let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
    let ask = |path: &str, body: &str| {
        let url = format!("{}{path}", program.endpoint());
        let request = agent.post(url).header("Authorization", "Bearer t");
        let request = request.header("Content-Type", "application/json");
        assert_eq!(request.send(body).unwrap().status(), 400);
        program.line()
    };
    let line = ask("/identities?api-version=x%0Afake%20-%3E%20201", "");
    assert!(line.ends_with("does not support the API version 'x\u{fffd}fake -> 201'.)"), "{line}");
    let scopes = r#"{"createTokenWithScopes":["\n\u001b[2J"]}"#;
    let line = ask("/identities?api-version=2023-10-01", scopes);
    assert!(line.ends_with("Scope \u{fffd}\u{fffd}[2J is not supported.)"), "{line}");
}

#[test]
fn clock_can_be_wrong() {
    for (argument, refusal) in
        [("--clock-ahead=2h", "behind the emulator's clock"), ("--clock-behind=20m", "ahead of")]
    {
        let program = Program::start(&[argument]);
        // The client of this library reads the right time from the refusal, and asks again.
        program.client(PATIENCE).create_user().unwrap();
        let line = program.line();
        assert!(line.contains(" -> 401 ") && line.contains(refusal), "{line}");
        assert!(program.line().ends_with(" -> 201"));
    }
    let nearly_right = Program::start(&["--clock-ahead", "10m"]);
    nearly_right.client(PATIENCE).create_user().unwrap();
    assert!(nearly_right.log.next().ends_with(" -> 201"));
}

#[test]
fn token_lifetime_is_the_same_for_all_tokens() {
    let program = Program::start(&["--token-lifetime", "2s"]);
    let client = program.client(PATIENCE);
    let (_, token) = client.create_user_and_token(["chat"]).unwrap();
    assert!(token.expires_within(Duration::from_secs(3), SystemTime::now()));
}

#[test]
fn bearer_and_teams_tokens_are_accepted() {
    let program = Program::start(&[
        "--bearer-token",
        "CANARY-1",
        "--bearer-token=CANARY-2",
        "--teams-token",
        "CANARY-T",
        APP,
        USER,
    ]);
    let client = |token: &'static str| {
        let credential = Credential::bearer(move |_: &str| {
            Ok(BearerToken::new(token, SystemTime::now() + Duration::from_secs(3600)))
        });
        CommunicationIdentityClient::new(&program.endpoint(), credential).unwrap()
    };
    for token in ["CANARY-1", "CANARY-2"] {
        client(token).create_user().unwrap();
    }
    assert_eq!(client("CANARY-3").create_user().unwrap_err().status(), Some(401));
    client("CANARY-1").exchange_teams_user_token("CANARY-T", APP, USER).unwrap();
    let other = client("CANARY-1").exchange_teams_user_token("CANARY-T", USER, USER).unwrap_err();
    assert_eq!(other.target(), Some("appId"));

    let mut log: Vec<String> = (0..5).map(|_| program.line()).collect();
    drop(program.process);
    log.extend(program.log.rest());
    assert!(!log.concat().contains("CANARY") && !log.concat().contains(KEY), "{log:?}");
}

#[test]
fn options_that_are_malformed_are_rejected_without_repeating_a_key() {
    let stray = "error: unexpected argument [not repeated: it may be a secret] found";
    for (arguments, message) in [
        (&["CANARY"][..], stray),
        (&["--CANARY"], stray),
        (&["--adress=CANARY"], "error: unexpected argument '--adress' found"),
        (
            &["--access-key"],
            "error: a value is required for '--access-key <BASE64>' but none was supplied",
        ),
        (&["--access-key", "CANARY!"], "acs: cannot start: the access key is empty or not base64"),
        (
            &["--throttling=CANARY"],
            "error: unexpected value [not repeated: it may be a secret] for '--throttling' found; no more were expected",
        ),
        (
            &["--address", "here"],
            "error: invalid value 'here' for '--address <HOST:PORT>': expected HOST:PORT",
        ),
        (
            &["--clock-ahead", "2d"],
            "error: invalid value '2d' for '--clock-ahead <TIME>': expected a time such as 2h, 90m, 1h30m, 20s or 250ms",
        ),
        (
            &["--clock-ahead=1m", "--clock-behind=1m"],
            "error: the argument '--clock-ahead <TIME>' cannot be used with '--clock-behind <TIME>'",
        ),
        (&["--log-format=xml"], "error: invalid value 'xml' for '--log-format <FORMAT>'"),
        (
            &["--fault", "isue:503"],
            "error: invalid value 'isue:503' for '--fault <SPEC>': \"isue\" is not an operation: expected create, delete, issue, revoke, exchange or *",
        ),
        (
            &["--teams-token", "CANARY", APP],
            "error: 3 values required for '--teams-token <TOKEN> <APP_ID> <USER_ID>' but 2 were provided",
        ),
        (&["--tls-name", "nö"], "acs: cannot make a certificate: Invalid IA5String: 'nö'"),
    ] {
        let (code, stderr) = refused(arguments);
        assert!(!stderr.contains("CANARY"), "{stderr}");
        assert_eq!((code, stderr.lines().next()), (Some(2), Some(message)), "{stderr}");
        let tip = "\n  tip: the command to run goes after --: acs emulator -- COMMAND\n";
        assert_eq!(stderr.contains(tip), message == stray, "{stderr}");
    }
}

#[test]
fn help_has_every_option_and_its_examples_work() {
    let help = run(emulator().args(["--access-key", KEY, "--help"]).env("COLUMNS", "100"));
    assert_eq!((help.code(), help.stderr.as_str()), (Some(0), ""));
    let text = help.stdout;
    assert!(text.contains("\nUsage: acs emulator [OPTIONS] [-- <COMMAND>...]\n"), "{text}");
    let options = "address tls tls-name tls-authority access-key bearer-token teams-token token-lifetime \
                   clock-ahead clock-behind throttling seed log-format fault help";
    for option in options.split_whitespace() {
        let line = text.lines().find(|line| line.trim().contains(&format!("--{option}")));
        assert!(line.is_some_and(|line| line.starts_with("  ")), "{option}");
    }
    assert!(!text.contains(KEY), "{text}");
    let examples = text.split("For example ").nth(1).unwrap().lines().next().unwrap();
    let specs = examples.replace(" (every request)", "").replace(['\'', '.'], "");
    let specs: Vec<&str> = specs.split(", ").collect();
    assert_eq!(specs.len(), 4);
    Program::start(&specs.iter().flat_map(|spec| ["--fault", *spec]).collect::<Vec<_>>());
}

#[test]
fn command_emulator_is_one_of_acs() {
    assert_eq!(run(tool().args(["help", "emulator"])).stdout, run(emulator().arg("--help")).stdout);
    assert!(run(tool().arg("--help")).stdout.contains("\n  emulator  "));
    // It has no settings.
    let ended = run(tool().args(["--timeout", "5s", "emulator", "--tls"]));
    let problem = "error: emulator takes no settings: write acs emulator [OPTIONS]";
    assert_eq!((ended.stderr.lines().next(), ended.code()), (Some(problem), Some(2)));
    let (code, stderr) = refused(&["--timeout", "5s"]);
    assert!(stderr.starts_with("error: unexpected argument '--timeout' found\n"), "{stderr}");
    assert_eq!(code, Some(2));
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let script = run(tool().args(["completion", shell])).stdout;
        assert!(script.contains("tls-authority") && script.contains("clock-ahead"), "{shell}");
    }
}

/// Settings that would stop the other commands do not matter.
#[test]
fn settings_of_other_commands_are_not_read() {
    let mut command = emulator();
    command.env(QUICKSTART_VARIABLE, "nonsense").env("SSL_CERT_FILE", "no/such/file");
    let program = Program::started(&mut command);
    client_of(&program.connection_string).create_user().unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn stdout_on_a_full_disk_is_an_error() {
    for arguments in [&["--help"][..], &[]] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let ended =
            Running::of(emulator().args(arguments).stdout(full).stderr(Stdio::piped())).end();
        let problem = "acs: stdout cannot be written: No space left on device (os error 28)\n";
        assert_eq!((&*ended.stderr, ended.code()), (problem, Some(1)));
    }
}

#[test]
fn address_that_is_taken_is_an_error() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let message = format!("acs: {address} is in use: choose another --address, or port 0\n");
    assert_eq!(refused(&["--address", &address]), (Some(1), message));
}
