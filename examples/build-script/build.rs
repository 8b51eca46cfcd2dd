//! Issues a token for an existing user while the program is built, and writes it to `token.rs` in
//! `OUT_DIR` for `include!`.
//!
//! | Variable | Value |
//! |---|---|
//! | `COMMUNICATION_SERVICES_CONNECTION_STRING` | the resource |
//! | `ACS_USER_ID` | the user to issue the token for; `acs user create -o tsv` creates one |
//! | `ACS_TOKEN_REQUIRED` | `1` fails the build if there is no token; otherwise the build succeeds with a warning, and the program knows the reason, because `cargo build -q` hides warnings |
//!
//! **A token lives for 24 hours at most, and everyone who has the binary has the token.** That is right
//! for a demonstration or a device under test, never for a program that you distribute: such a program
//! fetches its tokens from a server of yours. For the same reason the script creates no users: each
//! would outlive its token, and users cannot be listed.
//!
//! No secret passes through cargo: `cargo build -vv` prints `cargo::rustc-env`, and
//! `cargo::rerun-if-env-changed` writes the variable's value, access key included, to a
//! world-readable file under `target/.../.fingerprint`. Instead, cargo runs this script at every build,
//! and the script renews the token in the second half of its life or when the settings change. The
//! price is that the package is compiled every time: keep it small.

use std::env;
use std::error::Error;
use std::fs::{self, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use acs_identity::{CommunicationIdentityClient, RetryPolicy};

/// Bounds a build in a sandbox that drops packets. There are no retries: the next build is one.
const DEADLINE: Duration = Duration::from_secs(10);

/// Half of a token's life, in seconds.
const RENEWED_BEFORE_EXPIRY: u64 = 12 * 60 * 60;

/// The token and its expiry in seconds since 1970, or the reason why there is none.
const DECLARATION: &str = "const TOKEN: Result<(&str, u64), &str>";

fn main() -> Result<(), Box<dyn Error>> {
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    // This file never exists, so cargo runs the script at every build.
    println!("cargo::rerun-if-changed={}", out_dir.join("always").display());
    let file = out_dir.join("token.rs");

    let Err(error) = renew(&file) else { return Ok(()) };
    let reason = one_line(&*error);
    write_private(&file, &format!("{DECLARATION} = Err({reason:?});\n"))?;
    if variable("ACS_TOKEN_REQUIRED").is_ok_and(|value| value != "0") {
        return Err(format!("no token, but ACS_TOKEN_REQUIRED is set: {reason}").into());
    }
    println!("cargo::warning=built without a token: {reason}");
    Ok(())
}

/// Leaves a valid token in the file: the one that is there, or a new one.
fn renew(file: &Path) -> Result<(), Box<dyn Error>> {
    let connection_string = variable("COMMUNICATION_SERVICES_CONNECTION_STRING")?;
    let user = variable("ACS_USER_ID")
        .map_err(|error| format!("{error}: create a user once, with acs user create -o tsv"))?;

    // A token for other settings is not kept. The hash reveals nothing about a random key.
    let mut hasher = DefaultHasher::new();
    (&connection_string, &user).hash(&mut hasher);
    let mark = format!("// settings {:x}, expires on ", hasher.finish());
    let kept = fs::read_to_string(file).unwrap_or_default();
    let kept_until = kept.lines().next().and_then(|line| line.strip_prefix(&mark)?.parse().ok());
    let kept_for =
        kept_until.unwrap_or(0_u64).saturating_sub(seconds_since_1970(SystemTime::now())?);
    if kept_for > RENEWED_BEFORE_EXPIRY {
        return Ok(());
    }

    let client = CommunicationIdentityClient::builder_from_connection_string(&connection_string)?
        .retry_policy(RetryPolicy::none().deadline(DEADLINE))
        .build()?;
    match client.issue_token(&user.parse()?, ["voip"]) {
        Ok(token) => {
            let (token, expires_on) = (token.token(), seconds_since_1970(token.expires_on())?);
            let declaration = format!("{DECLARATION} = Ok(({token:?}, {expires_on}));");
            Ok(write_private(file, &format!("{mark}{expires_on}\n{declaration}\n"))?)
        }
        Err(error) if kept_for > 0 => {
            println!("cargo::warning=kept an earlier token: {}", one_line(&error));
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

fn seconds_since_1970(time: SystemTime) -> Result<u64, Box<dyn Error>> {
    Ok(time.duration_since(UNIX_EPOCH)?.as_secs())
}

/// Cargo would read a second line as an instruction. No error of acs-identity shows a key or a token.
fn one_line(error: &dyn Error) -> String {
    format!("{error:#}").replace(['\r', '\n'], " ")
}

/// CI systems set the variable of a missing secret to the empty string.
fn variable(name: &str) -> Result<String, String> {
    let value = env::var(name).ok().filter(|value| !value.is_empty());
    value.ok_or_else(|| format!("{name} is not set, or empty"))
}

/// Replaces a file in one step; only its owner can read it.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    // A build that was killed may have left one.
    let _ = fs::remove_file(&new);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(&new)?.write_all(text.as_bytes())?;
    fs::rename(new, path)
}
