//! Replacing the key of a running client.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use acs_identity::emulator::{Emulator, Fault};
use acs_identity::{AccessKey, CommunicationIdentityClient, RetryPolicy};

use crate::support::{builder, builder_with};

fn wrong_key() -> AccessKey {
    "d3Jvbmc=".parse().unwrap()
}

#[test]
fn replace_credential_applies_to_every_clone() {
    let emulator = Emulator::start().unwrap();
    let client = builder_with(&emulator, wrong_key()).build().unwrap();
    let (clone, observed) = (client.clone(), client.observed(|_| {}));
    let user = "8:acs:a_b".parse().unwrap();
    let source = client.token_source(&user, ["chat"]).unwrap();
    for client in [&client, &clone, &observed] {
        assert_eq!(client.create_user().unwrap_err().code(), Some("Denied"));
    }
    assert_eq!(source.token().unwrap_err().code(), Some("Denied"));

    clone.replace_credential(emulator.access_key().parse::<AccessKey>().unwrap());
    for client in [&client, &clone, &observed] {
        client.create_user().unwrap();
    }
    // The signature is accepted: now the error is about the id.
    assert_eq!(source.token().unwrap_err().code(), Some("IdentityNotOwned"));

    client.replace_credential(wrong_key());
    for client in [&client, &clone, &observed] {
        assert_eq!(client.create_user().unwrap_err().code(), Some("Denied"));
    }
}

#[test]
fn replace_credential_leaves_a_call_in_progress_unchanged() {
    let client = Arc::new(OnceLock::<CommunicationIdentityClient>::new());
    let replaced = Arc::clone(&client);
    let emulator = Emulator::builder()
        .on_request(move |request| {
            // While the first attempt waits for its response.
            if request.status() == Some(503) {
                replaced.get().unwrap().replace_credential(wrong_key());
            }
        })
        .start()
        .unwrap();
    let policy = RetryPolicy::default().base_delay(Duration::from_millis(1));
    let client = client.get_or_init(|| builder(&emulator).retry_policy(policy).build().unwrap());
    emulator.inject(Fault::respond(503).header("Retry-After", "0"));
    client.create_user().unwrap();
    assert_eq!(emulator.request_count(), 2);
    assert_eq!(client.create_user().unwrap_err().code(), Some("Denied"));
}
