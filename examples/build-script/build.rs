//! Issues a token while the program is built, and leaves it in `OUT_DIR` for `include_str!`.
//!
//! | variable | |
//! |---|---|
//! | `COMMUNICATION_SERVICES_CONNECTION_STRING` | the resource |
//! | `ACS_USER_ID` | the user to issue the token for; without it a new user is created for every new token, and stays until somebody deletes it |
//! | `ACS_TOKEN_REQUIRED` | `1`: the build fails if there is no token; otherwise it succeeds, with a warning, an empty token and the reason in `token-error.txt`, since `cargo build -q` hides warnings |
//!
//! **A token lives for 24 hours at most, and whoever has the binary has the token.** That is right
//! for a demonstration or a device under test, never for a program that is given away: let such a
//! program fetch its tokens from a server of yours.
//!
//! Nothing secret goes through cargo: not `cargo::rustc-env`, which `cargo build -vv` prints, and
//! not `cargo::rerun-if-env-changed`, which writes the variable's value, access key and all, to a
//! file under `target/.../.fingerprint` that everyone may read. So cargo is told to run this script
//! at every build, and the script itself sees whether the token is still good. As long as the
//! settings are the same, it is renewed once half of its life is over, and kept to its end if that
//! fails. After a failure the service is left alone for five minutes, so that working without a
//! network is not slow. The price is that the package is compiled anew each time: keep it small.

use std::env;
use std::error::Error;
use std::fs::{self, File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use acs_identity::{
    AccessToken, CommunicationIdentifier, CommunicationIdentityClient, CommunicationUserIdentifier,
    ConnectionString, RetryPolicy,
};

const VARIABLE: &str = "COMMUNICATION_SERVICES_CONNECTION_STRING";

/// A build never hangs on the network: sandboxes without one (docs.rs, Nix) may swallow what is
/// sent. How long the system may take to resolve a name is outside of it.
const DEADLINE: Duration = Duration::from_secs(10);

/// From a failure to the next try.
const LEFT_ALONE: u64 = 5 * 60;

fn main() -> Result<(), Box<dyn Error>> {
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    // A file that never is there: cargo runs the script at every build.
    println!("cargo::rerun-if-changed={}", out_dir.join("always").display());
    let required = variable("ACS_TOKEN_REQUIRED")?.is_some_and(|value| value != "0");

    let settings = Settings::from_env();
    let fingerprint = settings.as_ref().map(Settings::fingerprint).unwrap_or_default();
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let mut built = Built::read(&out_dir, fingerprint, now);
    let wait = built.next_try.saturating_sub(now);
    let mut age =
        format!(" (at an earlier build; the next try is in {wait} s, or after cargo clean)");
    // Settings that cannot be used cost no time, and a build that has to succeed may take some.
    if settings.is_err() || built.next_try <= now || required && built.token.is_empty() {
        match settings.and_then(|settings| settings.issue()) {
            Ok((user, token)) => built.renew(&user, &token, now),
            Err(error) => built.fail(error.as_ref(), now),
        }
        built.write(&out_dir)?;
        age.clear();
    }
    if built.token.is_empty() {
        if required {
            return Err(
                format!("no token, which ACS_TOKEN_REQUIRED asks for: {}", built.error).into()
            );
        }
        println!("cargo::warning=built without a token: {}{age}", built.error);
    } else if !built.error.is_empty() {
        println!("cargo::warning=built with the token of an earlier build: {}{age}", built.error);
    }
    Ok(())
}

struct Settings {
    connection_string: String,
    user: Option<CommunicationUserIdentifier>,
}

impl Settings {
    fn from_env() -> Result<Self, Box<dyn Error>> {
        let connection_string = variable(VARIABLE)?
            .ok_or_else(|| format!("{VARIABLE} is not set: set it and build again"))?;
        let user = variable("ACS_USER_ID")?.as_deref().map(parse_user).transpose();
        Ok(Self { connection_string, user: user.map_err(|error| format!("ACS_USER_ID: {error}"))? })
    }

    fn issue(&self) -> Result<(CommunicationUserIdentifier, AccessToken), Box<dyn Error>> {
        let (endpoint, key) = self.connection_string.parse::<ConnectionString>()?.into_parts();
        let client = CommunicationIdentityClient::builder(endpoint, key)
            .retry_policy(RetryPolicy::default().deadline(DEADLINE))
            .build()?;
        Ok(match &self.user {
            Some(user) => (user.clone(), client.issue_token(user, ["voip"])?),
            None => client.create_user_and_token(["voip"])?,
        })
    }

    /// Tells settings apart; a key of 64 random bytes cannot be guessed from it.
    fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.connection_string, &self.user).hash(&mut hasher);
        hasher.finish()
    }
}

/// The service would refuse other ids, but only once a request was sent.
fn parse_user(id: &str) -> Result<CommunicationUserIdentifier, Box<dyn Error>> {
    id.parse::<CommunicationUserIdentifier>()?;
    match CommunicationIdentifier::from(id) {
        CommunicationIdentifier::Unknown { .. } => {
            Err("not a user id: expected 8:acs:<resource>_<user>".into())
        }
        identifier => Ok(identifier.try_into()?),
    }
}

/// What is in `OUT_DIR`.
#[derive(Default)]
struct Built {
    fingerprint: u64,
    user: String,
    token: String,
    /// Why there is no token, or no newer one.
    error: String,
    /// In seconds since 1970, as the service's `expiresOn`.
    expires_on: u64,
    next_try: u64,
}

impl Built {
    /// What an earlier build left, if it had the same settings.
    fn read(out_dir: &Path, fingerprint: u64, now: u64) -> Self {
        let text = |name| fs::read_to_string(out_dir.join(name)).unwrap_or_default();
        let stamp = text("stamp");
        let numbers: Vec<u64> = stamp.split(' ').filter_map(|part| part.parse().ok()).collect();
        let nothing = Self { fingerprint, ..Self::default() };
        let [old, expires_on, next_try] = numbers[..] else { return nothing };
        if old != fingerprint {
            return nothing;
        }
        // A clock that was set back does not put off a try for ever.
        let next_try = if next_try > expires_on.max(now + LEFT_ALONE) { now } else { next_try };
        let error = text("token-error.txt");
        if expires_on <= now {
            return Self { error, next_try, ..nothing };
        }
        let (user, token) = (text("user.txt"), text("token.txt"));
        Self { fingerprint, user, token, error, expires_on, next_try }
    }

    fn renew(&mut self, user: &CommunicationUserIdentifier, token: &AccessToken, now: u64) {
        let expires_on = token.expires_on().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.user = user.identifier().to_owned();
        self.token = token.token().to_owned();
        self.error = String::new();
        self.expires_on = expires_on.as_secs();
        self.next_try = now + self.expires_on.saturating_sub(now) / 2;
    }

    /// The texts of acs-identity never hold a key, a token or the connection string.
    fn fail(&mut self, error: &dyn Error, now: u64) {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        // What is behind a line break would be read as an instruction to cargo.
        self.error = text.replace(['\r', '\n'], " ");
        self.next_try = now + LEFT_ALONE;
    }

    fn write(&self, out_dir: &Path) -> io::Result<()> {
        let write = |name, text: &str| write_private(&out_dir.join(name), text);
        // The stamp last: without it, files that were written in part are not taken for good ones.
        write("stamp", "")?;
        write("user.txt", &self.user)?;
        write("token.txt", &self.token)?;
        write("token-error.txt", &self.error)?;
        write("stamp", &format!("{} {} {}", self.fingerprint, self.expires_on, self.next_try))
    }
}

/// One that is empty counts as not set, as CI systems leave it for a secret that is missing.
fn variable(name: &str) -> Result<Option<String>, String> {
    let Some(text) = env::var_os(name).filter(|text| !text.is_empty()) else { return Ok(None) };
    text.into_string().map(Some).map_err(|_| format!("{name} is not UTF-8"))
}

/// Writes a file that only its owner may read.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    // Not over an old one: the mode is that of the creation.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => private(path)?.write_all(text.as_bytes()),
    }
}

#[cfg(unix)]
fn private(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;

    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(not(unix))]
fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}
