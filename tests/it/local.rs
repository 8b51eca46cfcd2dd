//! Clients of the emulator, and their errors with what differs from run to run replaced.

use acs_identity::emulator::{Emulator, RecordedRequest};
use acs_identity::{
    AccessKey, CommunicationIdentityClient, CommunicationIdentityClientBuilder, Credential, Error,
    RetryPolicy,
};

/// Without retries.
pub fn client(emulator: &Emulator) -> CommunicationIdentityClient {
    builder(emulator).build().unwrap()
}

/// For a client without retries.
pub fn builder(emulator: &Emulator) -> CommunicationIdentityClientBuilder {
    builder_with(emulator, emulator.access_key().parse::<AccessKey>().unwrap())
}

/// The same with another credential than the emulator's key.
pub fn builder_with(
    emulator: &Emulator,
    credential: impl Into<Credential>,
) -> CommunicationIdentityClientBuilder {
    CommunicationIdentityClient::builder(emulator.endpoint().parse().unwrap(), credential)
        .retry_policy(RetryPolicy::none())
}

pub fn last_request(emulator: &Emulator) -> RecordedRequest {
    emulator.requests().pop().expect("a request arrived")
}

/// The text of an error, with host and correlation ids replaced.
pub fn text(error: &Error, emulator: &Emulator) -> String {
    let host = emulator.endpoint().replace("http://", "");
    let mut text = error.to_string().replace(&host, "HOST");
    for (id, name) in
        [(error.client_request_id(), "ID"), (error.ms_cv(), "CV"), (error.azure_ref(), "REF")]
    {
        text = text.replace(id.unwrap_or("-none-"), name);
    }
    text
}
