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

mod acs;
mod auto_traits;
mod connection_string;
mod emulator;
mod hostile_server;
mod http;
mod secrets;
mod signing_vectors;
mod tls;
