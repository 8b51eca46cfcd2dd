//! The official clients, unmodified, against the program with `--tls`.
#![allow(clippy::print_stdout, reason = "says what was skipped, and what the log says")]

use std::process::Command;

/// Installs each client from its registry the first time, into `target/clients`.
#[test]
#[ignore = "needs Python, Node and their registries: cargo test --test it -- --ignored quickstarts --nocapture"]
fn the_quickstarts_of_official_clients_run() {
    let script = format!("{}/tests/clients/run", env!("CARGO_MANIFEST_DIR"));
    let emulator = crate::process::example("emulator").get_program().to_owned();
    let folder = std::path::Path::new(&emulator).ancestors().nth(3).unwrap().join("clients");
    let status = Command::new("bash").arg(script).arg(emulator).arg(folder).status();
    match status {
        Ok(status) => assert!(status.success(), "a client failed"),
        Err(error) => println!("skipped: there is no bash ({error})"),
    }
}
