//! The programs of `examples/`, run as processes.

mod build_script;
mod entra;
mod programs;
