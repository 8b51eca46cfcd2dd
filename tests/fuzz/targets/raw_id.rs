//! Reading and writing an id gives it back, byte for byte.
#![no_main]

use acs_identity::{CommunicationIdentifier, CommunicationUserIdentifier};
use acs_identity_fuzz::{assert_is_line, assert_refused};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|raw_id: &str| {
    let identifier = CommunicationIdentifier::from(raw_id);
    assert_eq!(identifier.to_string(), raw_id);
    assert_eq!(CommunicationIdentifier::from(&*identifier.to_string()), identifier);
    let json = serde_json::to_string(&identifier).unwrap();
    assert_eq!(serde_json::from_str::<CommunicationIdentifier>(&json).unwrap(), identifier);
    let _ = (identifier.is_anonymous_phone_number(), identifier.asserted_id());

    let user = raw_id.parse::<CommunicationUserIdentifier>();
    let read = serde_json::from_str::<CommunicationUserIdentifier>(&json);
    assert_eq!(user.as_ref().ok(), read.as_ref().ok());
    if let CommunicationIdentifier::CommunicationUser(inner) = &identifier {
        assert_eq!(Some(inner), user.as_ref().ok());
    }
    let converted = CommunicationUserIdentifier::try_from(identifier);
    if let Ok(converted) = converted {
        assert_eq!(Some(&converted), user.as_ref().ok());
    }
    match user {
        Ok(user) => {
            assert_eq!(user.identifier(), raw_id);
            assert_eq!(user.to_string().parse::<CommunicationUserIdentifier>().unwrap(), user);
            assert!(raw_id.len() <= 1024);
            assert_is_line(raw_id);
        }
        // The id itself is none of a secret, and may be shown; a raw one may be malformed.
        Err(error) => {
            if !raw_id.to_ascii_uppercase().contains("CANARY") {
                assert_refused(&error);
            }
        }
    }
});
