//! The example program, which serves clients in other languages.

use std::net::TcpListener;
use std::process::Output;
use std::time::{Duration, Instant, SystemTime};

use acs_identity::{
    AccessKey, BearerToken, CommunicationIdentityClient, ConnectionString, Credential, Error,
    ErrorKind, RequestToSign, RetryPolicy,
};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::process::{Lines, Running, example, run};

/// No call of a client here takes longer, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(30);
const KEY: &str = "Q0FOQVJZLUtFWQ==";
const APP: &str = "11111111-2222-3333-4444-555555555555";
const USER: &str = "66666666-7777-8888-9999-000000000000";

struct Program {
    process: Running,
    connection_string: String,
    stdout: Lines,
    log: Lines,
}

impl Program {
    fn start(arguments: &[&str]) -> Self {
        let mut command = example("emulator");
        let mut process = Running::start(command.args(["--access-key", KEY]).args(arguments));
        let (stdout, log) = (process.stdout(), process.stderr());
        Self { process, connection_string: stdout.next(), stdout, log }
    }

    fn endpoint(&self) -> String {
        let rest = self.connection_string.strip_prefix("endpoint=").unwrap();
        rest.strip_suffix(&format!("/;accesskey={KEY}")).unwrap().to_owned()
    }

    /// The next line of the log, without its time.
    fn line(&self) -> String {
        let line = self.log.next();
        let (time, rest) = line.split_once(' ').unwrap();
        assert!(OffsetDateTime::parse(time, &Rfc3339).is_ok() && time.len() == 24, "{time}");
        rest.to_owned()
    }

    /// Without retries, so that each fault shows.
    fn client(&self, timeout: Duration) -> CommunicationIdentityClient {
        let settings: ConnectionString = self.connection_string.parse().unwrap();
        let (endpoint, key) = settings.into_parts();
        CommunicationIdentityClient::builder(endpoint, key)
            .retry_policy(RetryPolicy::none())
            .timeout(timeout)
            .build()
            .unwrap()
    }
}

fn refused(arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = run(example("emulator").args(arguments));
    assert!(stdout.is_empty(), "{arguments:?}");
    (status.code(), String::from_utf8(stderr).unwrap())
}

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
    let mut command = example("emulator");
    let mut process = Running::start(command.args(["--access-key", KEY]));
    // The reading end of the pipe is closed: each line fails to be written.
    drop(process.0.stderr.take());
    let connection_string = process.stdout().next();
    let client = CommunicationIdentityClient::from_connection_string(&connection_string).unwrap();
    for _ in 0..2 {
        client.create_user().unwrap();
    }
}

#[test]
fn drops_lines_rather_than_wait_for_a_reader() {
    let mut command = example("emulator");
    let mut process = Running::start(command.args(["--access-key", KEY]));
    let connection_string = process.stdout().next();
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
    let log = process.stderr();
    for _ in 0..1_000 {
        assert!(log.next().contains(" GET /aaa"));
    }
    agent.get(url(3)).call().unwrap();
    let mut rest = (0..20).map(|_| log.next());
    assert!(rest.any(|line| line.ends_with(" lines dropped: nobody read them in time)")));
    assert!(log.next().contains(" GET /aaa"));
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

    let output = run(example("emulator").arg(OsStr::from_bytes(b"\xff")));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(stderr, "emulator: an argument is not UTF-8; see --help\n");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn fails_as_it_was_told() {
    let faults = "create:429=7s*2 create:503=250ms issue:truncate issue:stall*1 \
                  revoke:500%2*2 revoke:delay=300ms exchange:404 delete:drop delete:drop-after delete:stall-body *:delay=100ms exchange:drip=300ms";
    let mut arguments = vec!["--throttling"];
    faults.split_whitespace().for_each(|spec| arguments.extend(["--fault", spec]));
    let program = Program::start(&arguments);
    let (client, impatient) = (program.client(PATIENCE), program.client(Duration::from_secs(1)));
    let create = |error: Error| (error.status(), error.retry_after());
    for wait in [7_000, 7_000, 250] {
        let status = if wait == 250 { 503 } else { 429 };
        let expected = (Some(status), Some(Duration::from_millis(wait)));
        assert_eq!(create(client.create_user().unwrap_err()), expected);
        let line = format!("POST /identities?api-version=2023-10-01 -> {status} (fault)");
        assert_eq!(program.line(), line);
    }
    let started = Instant::now();
    let user = client.create_user().unwrap();
    assert!(started.elapsed() >= Duration::from_millis(100), "delayed");
    assert_eq!(client.issue_token(&user, ["chat"]).unwrap_err().kind(), ErrorKind::Response);
    assert_eq!(impatient.issue_token(&user, ["chat"]).unwrap_err().kind(), ErrorKind::Timeout);
    let seen: Vec<String> = (0..3).map(|_| program.line()).collect();
    let endings = seen.iter().map(|line| line.split_once(" -> ").unwrap().1);
    assert!(endings.eq(["201 (fault)", "200 (fault)", "no response (fault)"]), "{seen:?}");

    // Both faults apply to the first: the one that was given first counts it only.
    let started = Instant::now();
    client.revoke_tokens(&user).unwrap();
    assert!(started.elapsed() >= Duration::from_millis(300));
    let statuses: Vec<_> = (0..5)
        .map(|_| client.revoke_tokens(&user).err().and_then(|error| error.status()))
        .collect();
    assert_eq!(statuses, [Some(500), None, Some(500), None, None]);

    let teams = client.exchange_teams_user_token("t", APP, USER).unwrap_err();
    assert_eq!(teams.status(), Some(404));
    // Held back as a whole for this time, the answer would be in time.
    let teams = impatient.exchange_teams_user_token("t", APP, USER).unwrap_err();
    assert_eq!(teams.kind(), ErrorKind::Timeout);

    // Nothing is done before one fault, all is done before the others.
    assert_eq!(client.delete_user(&user).unwrap_err().kind(), ErrorKind::Transport);
    client.revoke_tokens(&user).unwrap();
    assert_eq!(client.delete_user(&user).unwrap_err().kind(), ErrorKind::Transport);
    assert_eq!(client.revoke_tokens(&user).unwrap_err().code(), Some("IdentityNotOwned"));
    let user = client.create_user().unwrap();
    assert_eq!(impatient.delete_user(&user).unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(client.delete_user(&user).unwrap_err().code(), Some("IdentityNotOwned"));
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
            "--clock-ahead: \"2d\" is no time, such as 20m or 2h; see --help",
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
        assert_eq!(refused(&arguments), (Some(2), format!("emulator: {message}\n")));
    }
}

#[test]
fn explains_how_a_fault_is_written() {
    for (spec, problem) in [
        ("issue", "there is no colon"),
        ("isue:429", "\"isue\" is no operation"),
        ("issue:", "\"\" is no failure"),
        ("issue:dorp", "\"dorp\" is no failure"),
        ("issue:429x3", "\"429x3\" is no failure"),
        ("issue:199", "\"199\" is no failure"),
        ("issue:600", "\"600\" is no failure"),
        ("issue:delay", "\"delay\" is no failure"),
        ("issue:drop=2s", "\"drop=2s\" is no failure"),
        ("issue:delay=2", "\"2\" is no time"),
        ("issue:delay=s", "\"s\" is no time"),
        ("issue:delay=3601s", "\"3601s\" is no time"),
        ("issue:429*", "\"*\" has no number from 1"),
        ("issue:429%+x", "\"%+x\" has no number from 1"),
        ("issue:429*0", "\"*0\" has no number from 1"),
        ("issue:429%%2", "\"%\" has no number from 1"),
        ("issue:429*2*3", "\"*2\" is the second of its sort"),
    ] {
        let (code, stderr) = refused(&["--fault", spec]);
        assert_eq!(code, Some(2), "{spec}");
        let start = format!("emulator: --fault {spec}: {problem}\n\nSPEC is OPERATION:FAILURE");
        assert!(stderr.starts_with(&start), "{stderr}");
        assert!(stderr.contains("drop-after      do what was asked"), "{stderr}");
    }
}

#[test]
fn help_tells_of_every_option_and_its_examples_work() {
    let help = run(example("emulator").arg("--help"));
    let text = String::from_utf8(help.stdout).unwrap();
    assert!(help.status.success() && text.starts_with("Runs a local identity service"), "{text}");
    let options = "address tls tls-name tls-authority access-key bearer-token teams-token clock-ahead \
                   clock-behind throttling seed log-format fault help";
    for option in options.split_whitespace() {
        assert!(text.contains(&format!("\n  --{option}")), "{option}");
    }
    let examples = text.split("For example ").nth(1).unwrap().lines().next().unwrap();
    let specs = examples.replace(" (every request)", "").replace(['\'', '.'], "");
    let specs: Vec<&str> = specs.split(", ").collect();
    assert_eq!(specs.len(), 4);
    Program::start(&specs.iter().flat_map(|spec| ["--fault", *spec]).collect::<Vec<_>>());
}

#[test]
fn says_when_its_address_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let message = format!("emulator: {address} is in use: choose another --address, or port 0\n");
    assert_eq!(refused(&["--address", &address]), (Some(1), message));
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_it() {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

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
