//! `examples/build-script`, built by cargo against the emulator.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use acs_identity::emulator::{Emulator, Fault};
use serde_json::Value;

use crate::support::CANARY_KEY;
use crate::support::process::run;

const PACKAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/build-script");
const WARNING: &str = "warning: token-at-build-time@0.0.0: built with";

/// What a build left behind, and said.
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
    fn file(&self, name: &str) -> String {
        fs::read_to_string(self.out_dir.join(name)).unwrap()
    }

    /// Exit code and both streams of the program.
    fn outcome(&self) -> (Option<i32>, String) {
        let output = run(&mut Command::new(&self.program));
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    }

    /// The build warned of this, and the program says so at run time.
    fn assert_without_token(&self, reason: &str) {
        assert!(self.said.contains(&format!("{WARNING}out a token: {reason}")), "{}", self.said);
        let (code, said) = self.outcome();
        assert!(said.starts_with(&format!("built without a token: {reason}")), "{said}");
        assert_eq!(code, Some(1));
        assert!(self.file("token.txt").is_empty() && self.file("user.txt").is_empty());
    }

    /// As if it had been built so many seconds earlier.
    fn age(&self, seconds: u64) {
        let stamp = self.file("stamp");
        let numbers: Vec<u64> = stamp.split(' ').map(|number| number.parse().unwrap()).collect();
        let [fingerprint, expires_on, next_try] = numbers[..] else { panic!("{stamp}") };
        let stamp = format!("{fingerprint} {} {}", expires_on - seconds, next_try - seconds);
        fs::write(self.out_dir.join("stamp"), stamp).unwrap();
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
            .filter(|file| *file != self.out_dir.join("token.txt"))
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
    const VARIABLE: &str = "COMMUNICATION_SERVICES_CONNECTION_STRING";

    // The versions that are tested, and that are here without a network.
    fs::copy(format!("{PACKAGE}/../../Cargo.lock"), format!("{PACKAGE}/Cargo.lock")).unwrap();

    let not_set = format!("{VARIABLE} is not set: set it and build again\n");
    build(&[]).assert_without_token(&not_set);
    // As CI systems leave it for a secret that is missing.
    build(&[(VARIABLE, "")]).assert_without_token(&not_set);
    let failed = try_build(&[("ACS_TOKEN_REQUIRED", "1")]);
    let reason = format!("no token, which ACS_TOKEN_REQUIRED asks for: {VARIABLE} is not set");
    assert!(!failed.succeeded && failed.said.contains(&reason), "{}", failed.said);

    let emulator = Emulator::start().unwrap();
    let right = emulator.connection_string();
    let wrong = right.replace(emulator.access_key(), CANARY_KEY);
    let built = build(&[(VARIABLE, &wrong)]);
    built.assert_without_token("create_user_and_token: the service responded with 401 Denied: ");
    built.assert_hidden(CANARY_KEY);
    let built = build(&[(VARIABLE, &format!("accesskey={CANARY_KEY}"))]);
    built.assert_without_token("connection string has no endpoint");
    built.assert_hidden(CANARY_KEY);

    // Nothing is sent for an id that cannot be a user's.
    let asked = emulator.request_count();
    for (id, reason) in [
        (
            "4:+15551234567",
            "ACS_USER_ID: user id is a phone number: expected 8:acs:<resource>_<user>\n",
        ),
        ("alice", "ACS_USER_ID: not a user id: expected 8:acs:<resource>_<user>\n"),
    ] {
        build(&[(VARIABLE, &right), ("ACS_USER_ID", id)]).assert_without_token(reason);
    }
    assert_eq!(emulator.request_count(), asked);

    let built = build(&[(VARIABLE, &right), ("ACS_USER_ID", ""), ("ACS_TOKEN_REQUIRED", "1")]);
    assert!(!built.said.contains(WARNING), "{}", built.said);
    let (user, token) = (built.file("user.txt"), built.file("token.txt"));
    assert!(emulator.is_token_valid(&token) && emulator.users() == [user.clone()]);
    let text = format!("built with a token of {} characters for {user}\n", token.len());
    assert_eq!(built.outcome(), (Some(0), text));
    built.assert_hidden(&token);
    built.assert_hidden(emulator.access_key());
    #[cfg(unix)]
    for name in ["token.txt", "user.txt", "token-error.txt", "stamp"] {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(built.out_dir.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }

    // Kept for half of its life.
    let asked = emulator.request_count();
    assert_eq!(build(&[(VARIABLE, &right)]).file("token.txt"), token);
    assert_eq!(emulator.request_count(), asked);
    // After that renewed, and kept if that fails, which is not tried again at once.
    built.age(13 * 60 * 60);
    emulator.inject(Fault::stall());
    let started = Instant::now();
    let kept = build(&[(VARIABLE, &right)]);
    assert!(started.elapsed() < Duration::from_secs(16));
    let warning = "built with the token of an earlier build: create_user_and_token: no response arrived in time";
    assert!(kept.said.contains(warning), "{}", kept.said);
    assert_eq!(kept.file("token.txt"), token);
    let asked = emulator.request_count();
    assert!(build(&[(VARIABLE, &right)]).said.contains(warning));
    assert_eq!((kept.file("token.txt"), emulator.request_count()), (token.clone(), asked));
    kept.age(5 * 60);
    let renewed = build(&[(VARIABLE, &right)]);
    assert!(!renewed.said.contains(WARNING) && renewed.file("token-error.txt").is_empty());
    assert_ne!(renewed.file("token.txt"), token);

    // For a user of one's own, whom another build does not replace.
    let built = build(&[(VARIABLE, &right), ("ACS_USER_ID", &user)]);
    assert_eq!(built.file("user.txt"), user);
    assert!(emulator.is_token_valid(&built.file("token.txt")) && emulator.users().len() == 2);

    // Nothing is left of a token that has expired when a new one cannot be had. A build that needs
    // one does not wait for the next try.
    built.age(25 * 60 * 60);
    emulator.inject(Fault::respond(400));
    let settings = [(VARIABLE, &*right), ("ACS_USER_ID", &user)];
    build(&settings).assert_without_token("issue_token: the service responded with 400");
    let asked = emulator.request_count();
    build(&settings).assert_without_token("issue_token: the service responded with 400");
    assert_eq!(emulator.request_count(), asked);
    let built = build(&[&settings[..], &[("ACS_TOKEN_REQUIRED", "1")]].concat());
    assert!(emulator.is_token_valid(&built.file("token.txt")));
}
