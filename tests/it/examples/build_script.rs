//! `examples/build-script`, built by cargo against the emulator.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use acs_identity::CommunicationIdentityClient;
use acs_identity::emulator::{Emulator, Fault};
use serde_json::Value;

use crate::support::CANARY_KEY;
use crate::support::process::run;

const PACKAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/build-script");
const WARNING: &str = "warning: token-at-build-time@0.0.0: ";
const VARIABLE: &str = "COMMUNICATION_SERVICES_CONNECTION_STRING";

/// What a build printed and left behind.
struct Built {
    /// Both streams of `cargo build -vv`.
    said: String,
    succeeded: bool,
    out_dir: PathBuf,
    program: PathBuf,
}

/// Builds in the directory of the tests' own build, which has all crates ready for it.
fn build(settings: &[(&str, &str)]) -> Built {
    let built = try_build(settings);
    assert!(built.succeeded, "{}", built.said);
    built
}

fn try_build(settings: &[(&str, &str)]) -> Built {
    let mut target = std::env::current_exe().unwrap();
    // target/debug/deps/it
    (0..3).for_each(|_| assert!(target.pop()));
    let mut command = Command::new(env!("CARGO"));
    command
        .args(["build", "-vv", "--offline", "--message-format=json-render-diagnostics"])
        .current_dir(PACKAGE)
        .env("CARGO_TARGET_DIR", target)
        .env_remove("COMMUNICATION_SERVICES_CONNECTION_STRING")
        .env_remove("ACS_USER_ID")
        .env_remove("ACS_TOKEN_REQUIRED")
        .envs(settings.iter().copied());
    let output = run(&mut command);
    let stdout = String::from_utf8(output.stdout).unwrap();
    let said = stdout.clone() + &String::from_utf8(output.stderr).unwrap();

    let messages: Vec<Value> =
        stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let of_this_package = |message: &&Value| {
        message["package_id"].as_str().is_some_and(|id| id.contains("token-at-build-time"))
    };
    let paths: HashMap<&str, PathBuf> = messages
        .iter()
        .filter(of_this_package)
        .flat_map(|message| ["out_dir", "executable"].map(|name| (name, &message[name])))
        .filter_map(|(name, path)| Some((name, path.as_str()?.into())))
        .collect();
    let path = |name| paths.get(name).cloned().unwrap_or_default();
    let (out_dir, program) = (path("out_dir"), path("executable"));
    Built { said, succeeded: output.status.success(), out_dir, program }
}

impl Built {
    fn file(&self) -> PathBuf {
        self.out_dir.join("token.rs")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.file()).unwrap()
    }

    /// The token and its expiry.
    fn token(&self) -> (String, u64) {
        let text = self.text();
        let (token, expires_on) = text.split_once("Ok((\"").unwrap().1.split_once("\", ").unwrap();
        (token.to_owned(), expires_on.trim_end().trim_end_matches("));").parse().unwrap())
    }

    /// Exit code and both streams of the program.
    fn outcome(&self) -> (Option<i32>, String) {
        let output = run(&mut Command::new(&self.program));
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    }

    /// The build warned of this, and the program says so at run time.
    fn assert_without_token(&self, reason: &str) {
        let problem = format!("built without a token: {reason}");
        assert!(self.said.contains(&format!("{WARNING}{problem}")), "{}", self.said);
        let (code, said) = self.outcome();
        assert!(said.starts_with(&problem), "{said}");
        assert_eq!(code, Some(1));
        assert!(!self.text().contains("Ok("), "{}", self.text());
    }

    /// As if it had been built so many seconds earlier.
    fn age(&self, seconds: u64) {
        let expires_on = self.token().1;
        let earlier = (expires_on - seconds).to_string();
        fs::write(self.file(), self.text().replace(&expires_on.to_string(), &earlier)).unwrap();
    }

    /// In what cargo printed with all its verbosity, and in what it keeps of the package's build.
    fn assert_hidden(&self, secret: &str) {
        assert!(!self.said.contains(secret), "{}", self.said);
        let debug = self.out_dir.ancestors().nth(3).unwrap();
        let kept: Vec<PathBuf> = [".fingerprint", "build"]
            .iter()
            .flat_map(|directory| fs::read_dir(debug.join(directory)).unwrap())
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.to_string_lossy().contains("token-at-build-time"))
            .flat_map(|directory| files(&directory))
            .filter(|file| *file != self.file())
            .collect();
        assert!(kept.len() > 5, "{kept:?}");
        for file in kept {
            let bytes = fs::read(&file).unwrap();
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{}", file.display());
        }
    }
}

fn files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    fs::read_dir(path).unwrap().flat_map(|entry| files(&entry.unwrap().path())).collect()
}

/// One test, since there is one package.
#[test]
#[ignore = "runs cargo: .ci/run does it, and it needs a checkout"]
fn build_script() {
    // The versions that are tested, and that are here without a network.
    fs::copy(format!("{PACKAGE}/../../Cargo.lock"), format!("{PACKAGE}/Cargo.lock")).unwrap();
    let emulator = Emulator::start().unwrap();
    let right = emulator.connection_string();

    a_build_without_settings_has_no_token(&right);
    assert_eq!(emulator.request_count(), 0);
    a_refused_key_is_not_shown(&emulator);

    let client = CommunicationIdentityClient::from_connection_string(&right).unwrap();
    let user = client.create_user().unwrap().to_string();
    let settings = [(VARIABLE, &*right), ("ACS_USER_ID", &*user)];
    a_token_is_kept_renewed_and_hidden(&emulator, &settings);
    an_expired_token_is_not_kept(&emulator, &settings);
    a_program_reports_its_expired_token();
    // Not one user was created.
    assert_eq!(emulator.users(), [user.as_str()]);

    // Another user gets a token of its own.
    let other = client.create_user().unwrap().to_string();
    let built = build(&[(VARIABLE, &right), ("ACS_USER_ID", &other)]);
    assert_eq!(emulator.tokens_of(&other).unwrap().len(), 1);
    assert!(emulator.is_token_valid(&built.token().0));
}

fn a_build_without_settings_has_no_token(right: &str) {
    let not_set = format!("{VARIABLE} is not set, or empty\n");
    build(&[]).assert_without_token(&not_set);
    build(&[(VARIABLE, "")]).assert_without_token(&not_set);
    let failed = try_build(&[("ACS_TOKEN_REQUIRED", "1")]);
    let reason = format!("no token, but ACS_TOKEN_REQUIRED is set: {VARIABLE} is not set");
    assert!(!failed.succeeded && failed.said.contains(&reason), "{}", failed.said);

    for user in [None, Some("")] {
        let user = user.map(|user| ("ACS_USER_ID", user));
        let settings: Vec<_> = [(VARIABLE, right)].into_iter().chain(user).collect();
        build(&settings).assert_without_token(
            "ACS_USER_ID is not set, or empty: create a user once, with acs user create -o tsv\n",
        );
    }
}

fn a_refused_key_is_not_shown(emulator: &Emulator) {
    let wrong = emulator.connection_string().replace(emulator.access_key(), CANARY_KEY);
    let built = build(&[(VARIABLE, &wrong), ("ACS_USER_ID", "8:acs:a")]);
    built.assert_without_token("issue_token: the service responded with 401 Denied: ");
    built.assert_hidden(CANARY_KEY);
    let built =
        build(&[(VARIABLE, &format!("accesskey={CANARY_KEY}")), ("ACS_USER_ID", "8:acs:a")]);
    built.assert_without_token("connection string has no endpoint");
    built.assert_hidden(CANARY_KEY);
}

fn a_token_is_kept_renewed_and_hidden(emulator: &Emulator, settings: &[(&str, &str)]) {
    let built = build(&[settings, &[("ACS_TOKEN_REQUIRED", "1")]].concat());
    assert!(!built.said.contains(WARNING), "{}", built.said);
    let (token, _) = built.token();
    assert!(emulator.is_token_valid(&token));
    let (code, said) = built.outcome();
    let start = format!("built with a token of {} characters that expires in 14", token.len());
    assert!(code == Some(0) && said.starts_with(&start), "{said}");
    built.assert_hidden(&token);
    built.assert_hidden(emulator.access_key());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(built.file()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    // Kept for half of its life.
    let asked = emulator.request_count();
    assert_eq!(build(settings).token().0, token);
    assert_eq!(emulator.request_count(), asked);
    // After that renewed, and kept if that fails. A service that hangs does not hang the build.
    built.age(13 * 60 * 60);
    emulator.inject(Fault::stall());
    let started = Instant::now();
    let kept = build(settings);
    assert!(started.elapsed() < Duration::from_secs(16));
    let warning = format!("{WARNING}kept an earlier token: issue_token: no response arrived");
    assert!(kept.said.contains(&warning), "{}", kept.said);
    assert_eq!(kept.token().0, token);
    let renewed = build(settings);
    assert!(!renewed.said.contains(WARNING), "{}", renewed.said);
    assert_ne!(renewed.token().0, token);
}

fn an_expired_token_is_not_kept(emulator: &Emulator, settings: &[(&str, &str)]) {
    let built = build(settings);
    let token = built.token().0;
    built.age(25 * 60 * 60);
    emulator.inject(Fault::respond(400));
    build(settings).assert_without_token("issue_token: the service responded with 400");
    let built = build(settings);
    assert!(emulator.is_token_valid(&built.token().0));
    assert_ne!(built.token().0, token);
}

/// The program outlives its token by the time that compiling it takes.
fn a_program_reports_its_expired_token() {
    let emulator = Emulator::builder().token_lifetime(Duration::from_millis(1)).start().unwrap();
    emulator.add_user("8:acs:a");
    let built = build(&[(VARIABLE, &emulator.connection_string()), ("ACS_USER_ID", "8:acs:a")]);
    let text = "the token built in expired 0 minutes ago: build the program again\n";
    assert_eq!(built.outcome(), (Some(1), text.to_owned()));
}
