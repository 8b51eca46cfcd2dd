//! Root certificates of one's own, for networks that look into TLS.

use std::ffi::OsString;
use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::output;

/// OpenSSL's, and curl's.
const VARIABLE: &str = "SSL_CERT_FILE";

const MARK: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// The file that the command line names, or else the variable.
pub(crate) fn ca_file(
    named: Option<PathBuf>,
    variable: impl Fn(&'static str) -> Option<OsString>,
) -> Option<(&'static str, PathBuf)> {
    let set = || Some((VARIABLE, variable(VARIABLE).filter(|path| !path.is_empty())?.into()));
    named.map(|path| ("--ca-file", path)).or_else(set)
}

/// The certificates of a PEM file.
pub(crate) fn read(source: &str, path: &Path) -> Result<Vec<u8>, Failure> {
    let rejected = |problem: &dyn Display| {
        Failure::usage(format!("{source}: {}: {problem}", output::name(path)))
    };
    let pem = fs::read(path).map_err(|error| rejected(&error))?;
    if !pem.windows(MARK.len()).any(|text| text == MARK) {
        return Err(rejected(&"no certificate found: expected PEM"));
    }
    Ok(pem)
}
