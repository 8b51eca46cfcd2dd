//! Its options and its log.

use std::net::TcpListener;
use std::time::SystemTime;

use acs_identity::{AccessKey, BearerToken, Credential, RequestToSign};

use super::*;

#[test]
fn logs_each_request_and_why_it_was_refused() {
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
fn keeps_answering_when_nobody_reads_the_log() {
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
fn drops_lines_rather_than_wait_for_a_reader() {
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
    assert!(rest.any(|line| line.ends_with(" lines dropped: nobody read them in time)")));
    assert!(log.next().contains(" GET /aaa"));
}

/// Twelve stacks do not fit into the memory that the process may use.
#[cfg(target_os = "linux")]
#[test]
fn a_connection_waits_until_the_system_has_a_thread_for_it() {
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
fn a_request_forges_no_line_of_the_log() {
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
fn its_clock_can_be_wrong() {
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

#[cfg(unix)]
#[test]
fn an_argument_that_is_no_text_is_a_wrong_argument() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    run(emulator().arg(OsStr::from_bytes(b"\xff")))
        .assert_failed(2, "acs emulator: an argument is not UTF-8; see --help");
}

#[test]
fn takes_bearer_and_teams_tokens() {
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
fn refuses_bad_arguments_without_repeating_a_key() {
    for (arguments, message) in [
        (vec!["CANARY"], "unknown argument; --help lists the known ones"),
        (vec!["--CANARY"], "unknown argument; --help lists the known ones"),
        (vec!["--adress=CANARY"], "unknown option --adress; --help lists the known ones"),
        (vec!["--access-key"], "--access-key needs a key; see --help"),
        (vec!["--access-key", "CANARY!"], "cannot start: the access key is empty or not base64"),
        (vec!["--throttling=CANARY"], "--throttling takes no value; see --help"),
        (vec!["--address", "here"], "--address takes HOST:PORT, not \"here\""),
        (
            vec!["--clock-ahead", "2d"],
            "--clock-ahead: \"2d\" is not a time: write 20m or 2h, for instance; see --help",
        ),
        (
            vec!["--clock-ahead=1m", "--clock-behind=1m"],
            "--clock-ahead and --clock-behind exclude each other",
        ),
        (vec!["--tls=CANARY"], "--tls takes no value; see --help"),
        (vec!["--log-format=CANARY"], "--log-format needs text or json; see --help"),
        (vec!["--seed=CANARY"], "--seed needs a number from 0 to 18446744073709551615; see --help"),
        (vec!["--bearer-token"], "--bearer-token needs a token; see --help"),
        (vec!["--fault"], "--fault needs SPEC; see --help"),
        (
            vec!["--teams-token", "CANARY", APP],
            "--teams-token needs TOKEN APP_ID USER_ID; see --help",
        ),
        (
            vec!["--teams-token", "CANARY", APP, "CANARY"],
            "--teams-token needs TOKEN APP_ID USER_ID, and the ids have to be GUIDs; see --help",
        ),
    ] {
        assert_eq!(refused(&arguments), (Some(2), format!("acs emulator: {message}\n")));
    }
}

#[test]
fn help_tells_of_every_option_and_its_examples_work() {
    let help = run(emulator().args(["--access-key", KEY, "--help"]).env("COLUMNS", "100"));
    assert_eq!((help.code(), help.stderr.as_str()), (Some(0), ""));
    let text = help.stdout;
    assert!(text.contains("\nUsage: acs emulator [OPTIONS]\n"), "{text}");
    let options = "address tls tls-name tls-authority access-key bearer-token teams-token clock-ahead \
                   clock-behind throttling seed log-format fault help";
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
fn it_is_one_of_the_commands() {
    assert_eq!(run(tool().args(["help", "emulator"])), run(emulator().arg("--help")));
    assert!(run(tool().arg("--help")).stdout.contains("\n  emulator  "));
    // After the command's name, every word is the program's.
    run(tool().args(["--timeout", "5s", "emulator", "--tls"]))
        .assert_failed(2, "acs: emulator takes no settings: write acs emulator [OPTIONS]");
    run(emulator().args(["--timeout", "5s"]))
        .assert_failed(2, "acs emulator: unknown option --timeout; --help lists the known ones");
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let script = run(tool().args(["completion", shell])).stdout;
        assert!(script.contains("tls-authority") && script.contains("clock-ahead"), "{shell}");
    }
}

/// Nor does it mind settings that would stop the other commands.
#[test]
fn settings_of_the_other_commands_do_not_matter() {
    let mut command = emulator();
    command.env(QUICKSTART_VARIABLE, "nonsense").env("SSL_CERT_FILE", "no/such/file");
    let program = Program::started(&mut command);
    client_of(&program.connection_string).create_user().unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_like_others() {
    for (arguments, problem) in [
        (&["--help"][..], "acs emulator: cannot print the help: "),
        (&[], "acs emulator: cannot print the connection string: "),
    ] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let ended =
            Running::of(emulator().args(arguments).stdout(full).stderr(Stdio::piped())).end();
        assert!(ended.stderr.starts_with(problem), "{ended:?}");
        assert_eq!(ended.code(), Some(1));
    }
}

#[test]
fn says_when_its_address_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let message =
        format!("acs emulator: {address} is in use: choose another --address, or port 0\n");
    assert_eq!(refused(&["--address", &address]), (Some(1), message));
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_it() {
    use std::os::unix::process::ExitStatusExt;

    let mut program = Program::start(&[]);
    let id = program.process.0.id();
    // A shell that runs the tests in the background may have told all its children to ignore
    // Ctrl-C.
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:\t"));
    if ignored.is_some_and(|mask| u64::from_str_radix(mask, 16).unwrap() & 2 != 0) {
        return;
    }
    assert!(Command::new("kill").args(["-INT", &id.to_string()]).status().unwrap().success());
    assert!(program.stdout.is_over() && program.log.is_over());
    assert_eq!(program.process.0.wait().unwrap().signal(), Some(2));
}
