//! What is measured, or waits for time to pass, in a program of its own: other tests would take the
//! time that it measures.
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

use std::panic::{self, AssertUnwindSafe};

mod connecting;
mod deadline;
mod limits;
#[allow(dead_code, reason = "made for the other tests")]
#[path = "../it/support/mod.rs"]
mod support;

/// Measures again, twice at most, what is not as expected: this machine may be busy with something
/// else, and what the library gets wrong it gets wrong each time.
fn measured(check: impl Fn()) {
    for _ in 0..2 {
        if panic::catch_unwind(AssertUnwindSafe(&check)).is_ok() {
            return;
        }
    }
    check();
}
