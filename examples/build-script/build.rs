//! Issues a token while the program is built, and leaves it in `OUT_DIR` for `include_str!`.
//!
//! | variable | |
//! |---|---|
//! | `COMMUNICATION_SERVICES_CONNECTION_STRING` | the resource; without it there is no token, a warning says so, and the program builds all the same |
//! | `ACS_USER_ID` | the user to issue the token for; without it a new user is created for every new token, and stays until somebody deletes it |
//!
//! **A token lives for 24 hours at most, and whoever has the binary has the token.** That is right
//! for a demonstration or a device under test, never for a program that is given away: let such a
//! program fetch its tokens from a server of yours.
//!
//! Nothing secret goes through cargo: not `cargo::rustc-env`, which `cargo build -vv` prints, and
//! not `cargo::rerun-if-env-changed`, which writes the variable's value, access key and all, to a
//! file under `target/.../.fingerprint` that everyone may read. So cargo is told to run this script
//! at every build, and the script itself sees whether the token is still good: it is kept for half
//! of its life, as long as the settings are the same. The price is that the package is compiled
//! anew each time: keep it small.

use std::env;
use std::error::Error;
use std::fs::{self, File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use acs_identity::{CommunicationIdentityClient, ConnectionString, RetryPolicy};

const VARIABLE: &str = "COMMUNICATION_SERVICES_CONNECTION_STRING";

/// A build never hangs on the network: sandboxes without one (docs.rs, Nix) may swallow what is
/// sent. How long the system may take to resolve a name is outside of it.
const DEADLINE: Duration = Duration::from_secs(10);

/// Half of the 24 hours that a token lives.
const KEPT_FOR: Duration = Duration::from_secs(12 * 60 * 60);

fn main() -> Result<(), Box<dyn Error>> {
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    // A file that never is there: cargo runs the script at every build.
    println!("cargo::rerun-if-changed={}", out_dir.join("always").display());

    let settings = Settings::from_env();
    let stamp = out_dir.join("stamp");
    let was_issued = fs::read_to_string(&stamp).unwrap_or_default();
    if settings.as_ref().is_ok_and(|settings| settings.is_fresh(&was_issued)) {
        return Ok(());
    }
    let issued = settings.and_then(|settings| {
        let (user, token) = settings.issue()?;
        Ok((user, token, settings.stamp()))
    });
    let (user, token, new_stamp) = issued.unwrap_or_else(|error| {
        warn(error.as_ref());
        Default::default()
    });
    // The stamp last: without it, files that were written in part are not taken for good ones.
    write_private(&stamp, "")?;
    write_private(&out_dir.join("user.txt"), &user)?;
    write_private(&out_dir.join("token.txt"), &token)?;
    write_private(&stamp, &new_stamp)?;
    Ok(())
}

struct Settings {
    connection_string: String,
    user: Option<String>,
}

impl Settings {
    fn from_env() -> Result<Self, Box<dyn Error>> {
        let connection_string = variable(VARIABLE)?
            .ok_or_else(|| format!("{VARIABLE} is not set: set it and build again"))?;
        Ok(Self { connection_string, user: variable("ACS_USER_ID")? })
    }

    /// The user's id and the token.
    fn issue(&self) -> Result<(String, String), Box<dyn Error>> {
        let (endpoint, key) = self.connection_string.parse::<ConnectionString>()?.into_parts();
        let client = CommunicationIdentityClient::builder(endpoint, key)
            .retry_policy(RetryPolicy::default().deadline(DEADLINE))
            .build()?;
        let (user, token) = match &self.user {
            Some(id) => {
                let user = id.parse()?;
                let token = client.issue_token(&user, ["voip"])?;
                (user, token)
            }
            None => client.create_user_and_token(["voip"])?,
        };
        Ok((user.identifier().to_owned(), token.token().to_owned()))
    }

    /// When the token was issued, and a fingerprint of the settings that a key of 64 random bytes
    /// cannot be guessed from.
    fn stamp(&self) -> String {
        let mut hasher = DefaultHasher::new();
        (&self.connection_string, &self.user).hash(&mut hasher);
        format!("{:x} {}", hasher.finish(), now().as_secs())
    }

    fn is_fresh(&self, stamp: &str) -> bool {
        let parts = |stamp: &str| {
            let (fingerprint, seconds) = stamp.split_once(' ')?;
            Some((fingerprint.to_owned(), Duration::from_secs(seconds.parse().ok()?)))
        };
        match (parts(stamp), parts(&self.stamp())) {
            (Some((old, issued)), Some((new, now))) => {
                old == new && now.checked_sub(issued).is_some_and(|age| age < KEPT_FOR)
            }
            _ => false,
        }
    }
}

/// One that is empty counts as not set, as CI systems leave it for a secret that is missing.
fn variable(name: &str) -> Result<Option<String>, String> {
    let Some(text) = env::var_os(name).filter(|text| !text.is_empty()) else { return Ok(None) };
    text.into_string().map(Some).map_err(|_| format!("{name} is not UTF-8"))
}

/// The texts of acs-identity never hold a key, a token or the connection string.
fn warn(error: &dyn Error) {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    // What is behind a line break would be read as an instruction to cargo.
    println!("cargo::warning=built without a token: {}", text.replace(['\r', '\n'], " "));
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

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
