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

mod client;
mod emulator;
mod examples;
mod failures;
mod support;

// The emulator's tests call it so.
use support::process;
