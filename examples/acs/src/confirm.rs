//! Confirmation before something is lost.

use std::io::{self, IsTerminal as _};

use crate::failure::Failure;
use crate::output;

/// Fails before anything else where nobody can be asked.
pub(crate) fn require_terminal(yes: bool, action: &str) -> Result<(), Failure> {
    if yes || io::stdin().is_terminal() && io::stderr().is_terminal() {
        return Ok(());
    }
    Err(Failure::usage(format!("{action} needs --yes where there is no terminal to ask on")))
}

/// Asks on the terminal, unless `--yes` was given.
pub(crate) fn ask(yes: bool, question: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    output::write_stderr(&format!("{question} [y/N] "));
    let mut answer = String::new();
    let read = io::stdin().read_line(&mut answer);
    if read.is_ok() && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    if !answer.ends_with('\n') {
        output::write_stderr("\n");
    }
    Err(Failure::usage("not confirmed: nothing was changed"))
}
