//! An application that tests its use of the service offline: see the tests at the end of this file.
//!
//! The program invites a guest and sees it off, on the resource whose connection string is in
//! `COMMUNICATION_SERVICES_CONNECTION_STRING`, or on a local service if the variable is not set.
//!
//! Copied into a package of your own, it needs:
//!
//! ```console
//! $ cargo add acs-identity --features emulator
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program prints")]

use std::env;

use acs_identity::emulator::Emulator;
use acs_identity::{CommunicationIdentityClient, CommunicationUserIdentifier, Error};

const VARIABLE: &str = "COMMUNICATION_SERVICES_CONNECTION_STRING";

type AnyResult = Result<(), Box<dyn std::error::Error>>;

fn main() -> AnyResult {
    let emulator = Emulator::start()?;
    // CI systems leave the variable empty if a secret is missing.
    let client = if env::var_os(VARIABLE).is_none_or(|text| text.is_empty()) {
        CommunicationIdentityClient::from_connection_string(&emulator.connection_string())?
    } else {
        CommunicationIdentityClient::from_env()?
    };

    let guest = Guest::invite(&client)?;
    println!("invited a guest with a token of {} characters", guest.token.len());
    guest.see_off(&client)?;
    println!("the guest has left");
    Ok(())
}

/// The application. It takes the client as an argument, so a test can pass one that talks to the
/// emulator.
struct Guest {
    user: CommunicationUserIdentifier,
    token: String,
}

impl Guest {
    fn invite(client: &CommunicationIdentityClient) -> Result<Self, Error> {
        let user = client.create_user()?;
        match client.issue_token(&user, ["voip.join"]) {
            Ok(token) => Ok(Self { user, token: token.token().to_owned() }),
            Err(error) => {
                // A guest without a token is useless, and its id would be lost.
                let _ = client.delete_user(&user);
                Err(error)
            }
        }
    }

    fn see_off(self, client: &CommunicationIdentityClient) -> Result<(), Error> {
        client.delete_user(&self.user)
    }
}

#[cfg(test)]
mod tests {
    use acs_identity::emulator::{Fault, Operation, RecordedRequest};

    use super::*;

    #[test]
    fn invite_lets_a_guest_call_until_seen_off() -> AnyResult {
        let emulator = Emulator::start()?;
        let client =
            CommunicationIdentityClient::from_connection_string(&emulator.connection_string())?;
        let guest = Guest::invite(&client)?;
        assert!(emulator.is_token_valid(&guest.token));
        guest.see_off(&client)?;
        assert!(emulator.users().is_empty());
        Ok(())
    }

    #[test]
    fn invite_leaves_no_guest_behind_when_the_token_fails() -> AnyResult {
        let emulator = Emulator::start()?;
        emulator.inject(Fault::respond(400).on(Operation::Issue));
        let client =
            CommunicationIdentityClient::from_connection_string(&emulator.connection_string())?;
        assert!(Guest::invite(&client).is_err() && emulator.users().is_empty());
        // A fault that never struck would make this test pass for the wrong reason.
        assert!(emulator.pending_faults().is_empty());
        // The emulator has recorded what the application sent.
        assert!(
            emulator.requests().iter().map(RecordedRequest::method).eq(["POST", "POST", "DELETE"])
        );
        Ok(())
    }
}
