//! Runs the local identity service until it is stopped, for programs in any language.
//!
//! The first line on stdout is the connection string. Each request is a line on stderr, which says
//! why a request was refused: point a client here whose signature the real service refuses, and
//! learn why.

use std::process::ExitCode;

mod program;

fn main() -> ExitCode {
    program::run(std::env::args_os().skip(1))
}
