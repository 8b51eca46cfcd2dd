//! RFC 3339, as the service's responses carry it, against another reader of it.
#![no_main]

use std::time::SystemTime;

use acs_identity::RetryPolicy;
use acs_identity_fuzz::Memory;
use libfuzzer_sys::fuzz_target;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

fuzz_target!(|text: &str| {
    let body = serde_json::json!({ "token": "t", "expiresOn": text }).to_string();
    let server = Memory::responding(format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    let user = "8:acs:a_b".parse().unwrap();
    let token = server.client(RetryPolicy::none()).issue_token(&user, ["voip"]);
    // The other one takes any separator, and makes a leap second a little shorter.
    let alike =
        matches!(text.as_bytes().get(10), Some(b'T' | b't')) && text.get(17..19) != Some("60");
    let expected = OffsetDateTime::parse(text, &Rfc3339).ok().filter(|_| alike);
    match (token, expected) {
        (Ok(token), Some(expected)) => {
            assert_eq!(token.expires_on(), SystemTime::from(expected), "{text:?}");
            assert_eq!(token.expires_on_text(), text);
        }
        // A leap second is a matter of taste, as are years that the other does not know.
        (Ok(token), None) => {
            assert_eq!(token.expires_on_text(), text);
            assert!(text.is_ascii() && text.len() >= 20, "{text:?}");
        }
        (Err(error), Some(expected)) => panic!("{text:?} is {expected}: {error}"),
        (Err(error), None) => {
            let problem =
                if text.is_empty() { "has no expiresOn" } else { "expiresOn is not a valid" };
            assert!(error.to_string().contains(problem), "{error}");
        }
    }
});
