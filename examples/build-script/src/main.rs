//! A program with a token built in. `build.rs` says where it comes from, and when not to do this.

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

// Declares TOKEN.
include!(concat!(env!("OUT_DIR"), "/token.rs"));

fn main() -> ExitCode {
    let (token, expires_on) = match TOKEN {
        Ok(built_in) => built_in,
        Err(reason) => {
            eprintln!("built without a token: {reason}");
            return ExitCode::FAILURE;
        }
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    if now >= expires_on {
        let minutes = (now - expires_on) / 60;
        eprintln!("the token built in expired {minutes} minutes ago: build the program again");
        return ExitCode::FAILURE;
    }
    // Here the calling or chat SDK would receive it.
    let minutes = (expires_on - now) / 60;
    println!("built with a token of {} characters that expires in {minutes} minutes", token.len());
    ExitCode::SUCCESS
}
