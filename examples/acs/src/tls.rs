//! Root certificates of one's own, for networks that look into TLS.

use std::ffi::OsString;
use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};

use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

use crate::failure::Failure;
use crate::output;

/// OpenSSL's, and curl's.
const VARIABLE: &str = "SSL_CERT_FILE";

/// The file that the command line names, or else the variable.
pub(crate) fn ca_file(
    named: Option<PathBuf>,
    variable: impl Fn(&'static str) -> Option<OsString>,
) -> Option<(&'static str, PathBuf)> {
    let set = || Some((VARIABLE, variable(VARIABLE).filter(|path| !path.is_empty())?.into()));
    named.map(|path| ("--ca-file", path)).or_else(set)
}

/// An agent that trusts the certificates of a PEM file and no others.
pub(crate) fn agent(source: &str, path: &Path) -> Result<ureq::Agent, Failure> {
    let refused = |problem: &dyn Display| {
        Failure::usage(format!("{source}: {}: {problem}", output::name(path)))
    };
    let pem = fs::read(path).map_err(|error| refused(&error))?;
    let mut certificates = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| refused(&error))? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err(refused(&"no certificate found: expected PEM"));
    }
    let roots = RootCerts::new_with_certs(&certificates);
    let tls = TlsConfig::builder().root_certs(roots).build();
    Ok(ureq::Agent::config_builder().tls_config(tls).build().new_agent())
}
