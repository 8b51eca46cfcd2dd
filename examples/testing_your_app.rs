//! How an application tests its own use of the service, offline: see the tests at the end of this
//! file.
//!
//! The program itself invites a guest and sees it off: on the resource of
//! `COMMUNICATION_SERVICES_CONNECTION_STRING`, or without it on a local service.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what it is for")]

use std::env;

use acs_identity::emulator::Emulator;
use acs_identity::{CommunicationIdentityClient, CommunicationUserIdentifier, Error};

const VARIABLE: &str = "COMMUNICATION_SERVICES_CONNECTION_STRING";

type AnyResult = Result<(), Box<dyn std::error::Error>>;

fn main() -> AnyResult {
    let emulator = Emulator::start()?;
    let client = connection_string()?.unwrap_or_else(|| emulator.connection_string());
    let client = CommunicationIdentityClient::from_connection_string(&client)?;

    let guest = Guest::invite(&client)?;
    println!("invited a guest with a token of {} characters", guest.token.len());
    guest.see_off(&client)?;
    println!("the guest has left");
    Ok(())
}

/// One that is empty counts as not set, as CI systems leave it for a secret that is missing.
fn connection_string() -> Result<Option<String>, String> {
    let Some(text) = env::var_os(VARIABLE).filter(|text| !text.is_empty()) else { return Ok(None) };
    text.into_string().map(Some).map_err(|_| format!("{VARIABLE} is not UTF-8"))
}

/// The application. It is handed the client, so a test can hand it one that talks to the emulator.
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
                // A guest without a token is of no use, and nobody could find it later.
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
    fn a_guest_can_call_until_seen_off() -> AnyResult {
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
    fn no_guest_is_left_behind_when_the_token_fails() -> AnyResult {
        let emulator = Emulator::start()?;
        emulator.inject(Fault::respond(400).on(Operation::Issue));
        let client =
            CommunicationIdentityClient::from_connection_string(&emulator.connection_string())?;
        assert!(Guest::invite(&client).is_err() && emulator.users().is_empty());
        // What the application sent can be looked at, too.
        assert!(
            emulator.requests().iter().map(RecordedRequest::method).eq(["POST", "POST", "DELETE"])
        );
        Ok(())
    }
}
