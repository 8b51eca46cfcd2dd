//! `examples/build-script`, built by cargo against the emulator.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use acs_identity::emulator::{Emulator, Fault};
use serde_json::Value;

use crate::http::CANARY_KEY;
use crate::process::run;

const PACKAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/build-script");
const WARNING: &str = "warning: token-at-build-time@0.0.0: built without a token: ";
const NO_TOKEN: &str = "built without a token: see the warning that the build printed\n";

/// What a build left behind, and said.
struct Built {
    /// Both streams of `cargo build -vv`.
    said: String,
    out_dir: PathBuf,
    program: PathBuf,
}

/// Builds in the directory of the tests' own build, which has all crates ready for it.
fn build(settings: &[(&str, &str)]) -> Built {
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
        .envs(settings.iter().copied());
    let output = run(&mut command);
    let stdout = String::from_utf8(output.stdout).unwrap();
    let said = stdout.clone() + &String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");

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
    Built { said, out_dir: paths["out_dir"].clone(), program: paths["executable"].clone() }
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

    let built = build(&[]);
    let warning = format!("{WARNING}{VARIABLE} is not set: set it and build again\n");
    assert!(built.said.contains(&warning), "{}", built.said);
    assert_eq!(built.outcome(), (Some(1), NO_TOKEN.to_owned()));
    // As CI systems leave it for a secret that is missing.
    assert!(build(&[(VARIABLE, "")]).said.contains(&warning));

    let emulator = Emulator::start().unwrap();
    let right = emulator.connection_string();
    let wrong = right.replace(emulator.access_key(), CANARY_KEY);
    let built = build(&[(VARIABLE, &wrong)]);
    let warning =
        format!("{WARNING}create_user_and_token: the service responded with 401 Denied: ");
    assert!(built.said.contains(&warning), "{}", built.said);
    built.assert_hidden(CANARY_KEY);
    assert_eq!(built.outcome(), (Some(1), NO_TOKEN.to_owned()));
    let built = build(&[(VARIABLE, &format!("accesskey={CANARY_KEY}"))]);
    assert!(
        built.said.contains(&format!("{WARNING}connection string has no endpoint")),
        "{}",
        built.said
    );
    built.assert_hidden(CANARY_KEY);

    let built = build(&[(VARIABLE, &right), ("ACS_USER_ID", "")]);
    assert!(!built.said.contains(WARNING), "{}", built.said);
    let (user, token) = (built.file("user.txt"), built.file("token.txt"));
    assert!(emulator.is_token_valid(&token) && emulator.users() == [user.clone()]);
    let text = format!("built with a token of {} characters for {user}\n", token.len());
    assert_eq!(built.outcome(), (Some(0), text));
    built.assert_hidden(&token);
    built.assert_hidden(emulator.access_key());
    #[cfg(unix)]
    for name in ["token.txt", "user.txt", "stamp"] {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(built.out_dir.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }

    // Kept while it is fresh, and only then.
    let asked = emulator.request_count();
    assert_eq!(build(&[(VARIABLE, &right)]).file("token.txt"), token);
    assert_eq!(emulator.request_count(), asked);
    let stamp = built.file("stamp");
    let (fingerprint, seconds) = stamp.split_once(' ').unwrap();
    let half_a_day_ago = seconds.parse::<u64>().unwrap() - 12 * 60 * 60;
    fs::write(built.out_dir.join("stamp"), format!("{fingerprint} {half_a_day_ago}")).unwrap();
    assert_ne!(build(&[(VARIABLE, &right)]).file("token.txt"), token);

    // For a user of one's own, whom another build does not replace.
    let built = build(&[(VARIABLE, &right), ("ACS_USER_ID", &user)]);
    assert_eq!(built.file("user.txt"), user);
    assert!(emulator.is_token_valid(&built.file("token.txt")) && emulator.users().len() == 2);

    // Nothing of the old token is left when a new one cannot be had, and it does not take for ever.
    emulator.inject(Fault::stall());
    let started = Instant::now();
    let built = build(&[(VARIABLE, &right)]);
    assert!(
        built
            .said
            .contains(&format!("{WARNING}create_user_and_token: no response arrived in time"))
    );
    assert!(started.elapsed() < Duration::from_secs(16));
    assert!(built.file("token.txt").is_empty() && built.file("user.txt").is_empty());
}
