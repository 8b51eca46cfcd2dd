//! What the client does when things go wrong: each failure on each operation.

use std::time::{Duration, Instant};

use acs_identity::emulator::{Emulator, EmulatorBuilder};
use acs_identity::{
    AccessKey, ApiVersion, CommunicationIdentityClient, CommunicationIdentityClientBuilder,
    CommunicationUserIdentifier, Error, RetryPolicy,
};

mod clock;
mod deadline;
mod defaults;
mod hostile;
mod soak;
mod table;
mod texts;
mod threads;

/// No wait of a test is longer, so that what hangs fails.
const PATIENCE: Duration = Duration::from_secs(20);

const TEAMS_TOKEN: &str = "an Entra token";
const APP_ID: &str = "11111111-2222-3333-4444-555555555555";
const OBJECT_ID: &str = "66666666-7777-8888-9999-000000000000";

/// The default policy, without its waits.
pub fn hurried() -> RetryPolicy {
    let moment = Duration::from_millis(1);
    RetryPolicy::default().base_delay(moment).max_delay(moment)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Create,
    CreateWithToken,
    Issue,
    Exchange,
    Revoke,
    Delete,
    CreateWithCustomId,
}

impl Operation {
    pub const ALL: [Self; 7] = [
        Self::Create,
        Self::CreateWithToken,
        Self::Issue,
        Self::Exchange,
        Self::Revoke,
        Self::Delete,
        Self::CreateWithCustomId,
    ];

    pub fn run(
        self,
        client: &CommunicationIdentityClient,
        user: &CommunicationUserIdentifier,
    ) -> Result<(), Error> {
        match self {
            Self::Create => client.create_user().map(drop),
            Self::CreateWithToken => client.create_user_and_token(["voip"]).map(drop),
            Self::Issue => client.issue_token(user, ["voip"]).map(drop),
            Self::Exchange => {
                client.exchange_teams_user_token(TEAMS_TOKEN, APP_ID, OBJECT_ID).map(drop)
            }
            Self::Revoke => client.revoke_tokens(user),
            Self::Delete => client.delete_user(user),
            Self::CreateWithCustomId => client.create_user_with_custom_id("alice").map(drop),
        }
    }
}

/// A running emulator that knows one user and one Teams user.
fn emulator(builder: EmulatorBuilder) -> (Emulator, CommunicationUserIdentifier) {
    let emulator = builder.start().unwrap();
    emulator.accept_teams_token(TEAMS_TOKEN, APP_ID, OBJECT_ID);
    let user = client(&emulator).build().unwrap().create_user().unwrap();
    (emulator, user)
}

/// Retries without waiting; speaks the version that has every operation.
fn client(emulator: &Emulator) -> CommunicationIdentityClientBuilder {
    client_of(&emulator.endpoint(), emulator.access_key())
}

pub fn client_of(endpoint: &str, access_key: &str) -> CommunicationIdentityClientBuilder {
    let key: AccessKey = access_key.parse().unwrap();
    CommunicationIdentityClient::builder(endpoint.parse().unwrap(), key)
        .retry_policy(hurried())
        .api_version(ApiVersion::V2025_03_02_PREVIEW)
}

pub fn until(condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < PATIENCE, "this takes too long");
        std::thread::yield_now();
    }
}
