//! The official clients, unmodified, against the program with `--tls`.
#![allow(clippy::print_stdout, reason = "says what was skipped")]

use super::*;

/// Installs each client from its registry the first time, into `target/tmp/clients`.
#[test]
#[ignore = "needs Python, Node and their registries: cargo test -p acs-identity-cli -- --ignored quickstarts --nocapture"]
fn quickstarts_of_official_clients_run() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/run");
    let folder = concat!(env!("CARGO_TARGET_TMPDIR"), "/clients");
    let status = Command::new("bash").args([script, env!("CARGO_BIN_EXE_acs"), folder]).status();
    match status {
        Ok(status) => assert!(status.success(), "a client failed"),
        Err(error) => println!("skipped: there is no bash ({error})"),
    }
}
