//! Tests that measure time, in a program of their own, because other tests would slow them down.
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

/// Repeats a failed measurement up to twice: the machine may be busy, but an error in the library fails each
/// time.
fn measured(check: impl Fn()) {
    for _ in 0..2 {
        if panic::catch_unwind(AssertUnwindSafe(&check)).is_ok() {
            return;
        }
    }
    check();
}
