//! Tests through the public API.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a test fails by panicking"
)]

mod api_versions;
mod auto_traits;
mod build_script;
mod connection_string;
mod emulator;
mod entra;
mod entra_examples;
mod failures;
mod faults;
mod hostile_server;
mod http;
mod interface;
mod keys;
mod local;
mod middlemen;
mod observing;
mod operations;
mod preview;
mod process;
mod programs;
mod secrets;
mod service_errors;
mod signing_vectors;
mod teams;
mod tls;
mod tokens;
