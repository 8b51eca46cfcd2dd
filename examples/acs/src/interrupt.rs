//! Ctrl-C: the first asks for an end, the second ends at once.

use std::process;

use crate::failure::{Exit, Failure};

/// Calls a function at the first Ctrl-C.
pub(crate) fn on_ctrl_c(tell: impl Fn() + Send + 'static) -> Result<(), Failure> {
    let mut again = false;
    let handler = move || {
        if again {
            process::exit(130);
        }
        again = true;
        tell();
    };
    ctrlc::set_handler(handler).map_err(|error| {
        Failure::new(Exit::Service, format!("Ctrl-C cannot be waited for: {error}"))
    })
}
