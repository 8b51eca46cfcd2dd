//! What is taken for an endpoint is one form of it, and the host that is signed is the host sent.
#![no_main]

use acs_identity::{AccessKey, CommunicationIdentityClient, Endpoint, RequestToSign, RetryPolicy};
use acs_identity_fuzz::{KEY, Memory, assert_refused};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if text.to_ascii_uppercase().contains("CANARY") {
        return;
    }
    let endpoint = match text.replace('\u{1}', KEY).parse::<Endpoint>() {
        Ok(endpoint) => endpoint,
        Err(error) => return assert_refused(&error),
    };
    let url = endpoint.to_string();
    assert_eq!(url.parse::<Endpoint>().unwrap(), endpoint);
    assert!(url.ends_with(endpoint.host()) && !endpoint.host().is_empty());
    assert!(!url.contains(|c: char| !c.is_ascii_graphic() || c.is_ascii_uppercase()), "{url:?}");
    assert!(!endpoint.host().contains(['/', '?', '#', '@', '\\']), "{url:?}");

    let server = Memory::responding("HTTP/1.1 204 No Content\r\n\r\n");
    let key: AccessKey = KEY.parse().unwrap();
    let client = CommunicationIdentityClient::builder(endpoint.clone(), key.clone())
        .agent(server.agent())
        .retry_policy(RetryPolicy::none())
        .build()
        .unwrap();
    client.delete_user(&"8:acs:a_b".parse().unwrap()).unwrap();
    let request = String::from_utf8(server.requests().remove(0)).unwrap();
    let header = |name: &str| {
        let line = request.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("{name} in {request}")).to_owned()
    };
    assert_eq!(header("host: "), endpoint.host());
    let to_sign = RequestToSign {
        method: "DELETE",
        host: endpoint.host(),
        path_and_query: request.split(' ').nth(1).unwrap(),
        body: b"",
    };
    let date = httpdate::parse_http_date(&header("x-ms-date: ")).unwrap();
    let signed = key.sign(&to_sign, date).unwrap();
    let authorization = header("authorization: ");
    assert!(signed.headers().into_iter().any(|(_, value)| value == authorization));
});
