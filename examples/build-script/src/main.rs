//! A program with a token built in; see `build.rs` for where it comes from, and for when not to do this.

use std::process::ExitCode;

const USER: &str = include_str!(concat!(env!("OUT_DIR"), "/user.txt"));
/// Empty if there was none to obtain when the program was built; the error says why.
const TOKEN: &str = include_str!(concat!(env!("OUT_DIR"), "/token.txt"));
const TOKEN_ERROR: &str = include_str!(concat!(env!("OUT_DIR"), "/token-error.txt"));

fn main() -> ExitCode {
    if TOKEN.is_empty() {
        eprintln!("built without a token: {TOKEN_ERROR}");
        return ExitCode::FAILURE;
    }
    // Here it would be handed to the calling or chat SDK.
    println!("built with a token of {} characters for {USER}", TOKEN.len());
    ExitCode::SUCCESS
}
