//! What the client logs through the `log` facade. The binary is separate because a program has one logger
//! for all its tests.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::sync::{Mutex, OnceLock};
use std::thread::{self, ThreadId};
use std::time::{Duration, SystemTime};

use acs_identity::emulator::{Emulator, Fault};
use acs_identity::{
    AccessKey, BearerToken, CommunicationIdentityClient, Credential, Endpoint, RetryPolicy,
};
use log::{LevelFilter, Log, Metadata, Record};

const KEY: &str =
    "CANARYKEYCANARYKEYCANARYKEYCANARYKEYCANARYKEYCANARYKEYCANARYKEYCANARYKEYCANARYKEYA==";
const BEARER: &str = "CANARYBEARER.CANARYBEARER";
const TEAMS: &str = "CANARYTEAMS.CANARYTEAMS";
const PROXY_PASSWORD: &str = "CANARYPROXYPASSWORD";
/// The Basic credentials of `user` with this password, as sent to a proxy.
const PROXY_LOGIN: &str = "dXNlcjpDQU5BUllQUk9YWVBBU1NXT1JE";
const APP: &str = "1d4b6f2a-0a5c-4b1c-9d5e-000000000001";

struct Capture(Mutex<Vec<String>>);

static CAPTURE: Capture = Capture(Mutex::new(Vec::new()));

/// The client's thread: dumps from the emulator's threads are ignored.
static CALLER: OnceLock<ThreadId> = OnceLock::new();

impl Log for Capture {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let is_dump = record.target() == "ureq_proto::util";
        if !is_dump || CALLER.get() == Some(&thread::current().id()) {
            let line = format!("{} {}", record.target(), record.args());
            self.0.lock().unwrap().push(line);
        }
    }

    fn flush(&self) {}
}

/// Runs every operation at this log level; returns the secrets that were sent or received, and the log.
fn walk(level: LevelFilter) -> (Vec<String>, Vec<String>) {
    log::set_max_level(level);
    let emulator = Emulator::builder().access_key(KEY).start().unwrap();
    emulator.accept_bearer_token(BEARER);
    emulator.accept_teams_token(TEAMS, APP, APP);
    let endpoint: Endpoint = emulator.endpoint().parse().unwrap();
    let bearer = Credential::bearer(|_: &str| {
        Ok(BearerToken::new(BEARER, SystemTime::now() + Duration::from_secs(3_600)))
    });
    let key: Credential = KEY.parse::<AccessKey>().unwrap().into();
    let mut secrets = vec![KEY.to_owned(), BEARER.to_owned(), TEAMS.to_owned()];
    for credential in [key, bearer] {
        let client = CommunicationIdentityClient::builder(endpoint.clone(), credential)
            .retry_policy(RetryPolicy::default().base_delay(Duration::from_millis(1)))
            .build()
            .unwrap();
        let (user, first) = client.create_user_and_token(["chat"]).unwrap();
        emulator.inject(Fault::respond(503));
        let second = client.issue_token(&user, ["voip"]).unwrap();
        let third = client.token_source(&user, ["voip"]).unwrap().token().unwrap();
        let fourth = client.exchange_teams_user_token(TEAMS, APP, APP).unwrap();
        secrets.extend([first, second, third, fourth].map(|token| token.token().to_owned()));
        client.revoke_tokens(&user).unwrap();
        client.delete_user(&user).unwrap();
        client.delete_user(&user).unwrap_err();
        emulator.inject(Fault::drop_before_processing());
        client.create_user().unwrap_err();
    }
    secrets.extend(emulator.requests().iter().filter_map(|request| {
        let signature = request.header("authorization")?.split_once("Signature=")?.1;
        Some(signature.to_owned())
    }));
    // A proxy that rejects the request; any server will do.
    let proxy = emulator.endpoint().replace("http://", &format!("http://user:{PROXY_PASSWORD}@"));
    let proxy = ureq::Proxy::new(&proxy).unwrap();
    let agent = ureq::Agent::config_builder().proxy(Some(proxy)).build().new_agent();
    let key: AccessKey = KEY.parse().unwrap();
    let contoso = "https://contoso.communication.azure.com".parse().unwrap();
    let client = CommunicationIdentityClient::builder(contoso, key).agent(agent);
    client.retry_policy(RetryPolicy::none()).build().unwrap().create_user().unwrap_err();
    let requests = emulator.requests();
    let login = requests.last().and_then(|request| request.header("proxy-authorization"));
    assert_eq!(login, Some(&*format!("Basic {PROXY_LOGIN}")));
    secrets.extend([PROXY_PASSWORD, PROXY_LOGIN].map(str::to_owned));
    drop(emulator);
    (secrets, std::mem::take(&mut CAPTURE.0.lock().unwrap()))
}

#[test]
fn secrets_stay_out_of_the_log() {
    CALLER.set(thread::current().id()).unwrap();
    log::set_logger(&CAPTURE).unwrap();

    let (secrets, lines) = walk(LevelFilter::Debug);
    assert_eq!(
        secrets.len(),
        3 + 2 * 4 + 9 + 2,
        "keys and tokens given, tokens issued, signatures, and a login"
    );
    assert!(lines.iter().any(|line| line.starts_with("ureq::run POST http://127.0.0.1:")));
    let log = lines.join("\n");
    for secret in &secrets {
        // Not even its beginning may appear.
        let beginning = secret.get(..12).unwrap();
        assert!(!log.contains(beginning), "{beginning}… in\n{log}");
    }
    assert!(!log.contains("HMAC-SHA256") && !log.contains("Bearer "), "{log}");

    // At trace level ureq-proto dumps the heads of requests and entire responses, as the documentation
    // warns.
    let (secrets, lines) = walk(LevelFilter::Trace);
    let spelled = dumped(&lines);
    for secret in &secrets {
        let in_a_body_or_no_dump = [KEY, TEAMS, PROXY_PASSWORD, PROXY_LOGIN].contains(&&**secret);
        assert_eq!(
            spelled.contains(secret),
            !in_a_body_or_no_dump,
            "{secret}: the warning in the documentation is wrong"
        );
        assert!(!lines.iter().any(|line| line.contains(secret)), "{secret}: in plain text");
    }
}

/// The bytes of the hex dumps, as text.
fn dumped(lines: &[String]) -> String {
    let rows = lines.iter().filter_map(|line| line.strip_prefix("ureq_proto::util "));
    // Eight groups of two bytes, then the same as text.
    let digits: String =
        rows.flat_map(|row| row.chars().take(39)).filter(char::is_ascii_hexdigit).collect();
    let bytes = digits.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    let bytes: Vec<u8> = bytes.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}
