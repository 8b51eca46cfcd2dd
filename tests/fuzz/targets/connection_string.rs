//! `\u{1}` stands for a key, which nothing may repeat.
#![no_main]

use acs_identity::{CommunicationIdentityClient, ConnectionString, Endpoint};
use acs_identity_fuzz::{KEY, assert_clean, assert_refused};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if text.to_ascii_uppercase().contains("CANARY") {
        return;
    }
    let text = text.replace('\u{1}', KEY);
    let settings = match text.parse::<ConnectionString>() {
        Ok(settings) => settings,
        Err(error) => return assert_refused(&error),
    };
    // A host may be anything that is one.
    if !settings.endpoint().host().to_ascii_uppercase().contains("CANARY") {
        assert_clean(&settings);
    }
    let endpoint: Endpoint = settings.endpoint().to_string().parse().unwrap();
    assert_eq!(&endpoint, settings.endpoint());
    // Built without TLS.
    if let Err(error) = CommunicationIdentityClient::from_connection_string(&text) {
        assert_refused(&error);
    }
});
