//! Who is let in, who is not, and what the record says about it.

use std::io::ErrorKind;
use std::time::{Duration, SystemTime};

use acs_identity::emulator::{Emulator, RecordedRequest};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

use super::{Call, Response, create, encoded, exchange, post};

const DENIED: &str = r#"{"error":{"code":"Denied","message":"Denied by the resource provider."}}"#;
const WRONG_HASH: &str = r#"{"error":{"code":"Denied","message":"Request 'x-ms-content-sha256' differs from generated content hash."}}"#;

fn refusal(emulator: &Emulator) -> String {
    emulator.requests().last().unwrap().refusal().unwrap_or_default().to_owned()
}

fn assert_denied(emulator: &Emulator, response: &Response, body: &str, reason: &str) {
    assert_eq!((response.status, response.body.as_str()), (401, body), "{reason}");
    assert_eq!(response.header("api-supported-versions"), None, "{reason}");
    let refusal = refusal(emulator);
    assert!(refusal.contains(reason), "{refusal}");
    assert!(!refusal.contains(emulator.access_key()), "{refusal}");
}

#[test]
fn signature_covers_every_signed_byte() {
    let emulator = Emulator::start().unwrap();
    let request = post("/identities", r#"{"createTokenWithScopes":["chat"]}"#).signed(&emulator);
    assert_eq!(exchange(&emulator, &request).unwrap().status, 201);
    let signature = request.split("Signature=").nth(1).unwrap();
    let (first, other) =
        if signature.starts_with('A') { ("A", "B") } else { (&signature[..1], "A") };
    let date = request.split("x-ms-date: ").nth(1).unwrap().get(..29).unwrap();
    let other_day = if date.starts_with("Sun") { "Mon" } else { "Sun" };
    for (from, to, body, reason) in [
        (date, &*date.replacen(&date[..3], other_day, 1), DENIED, "not a date like"),
        (date, "Wednesday, 13-Apr-22 18:09:12 GMT", DENIED, "not a date like"),
        ("POST", "PUT", DENIED, "the signature does not match"),
        ("/identities?", "/identities/?", DENIED, "the signature does not match"),
        ("2023-10-01", "2022-10-01", DENIED, "the signature does not match"),
        ("Host: 127", "Host: 128", DENIED, "the signature does not match"),
        ("[\"chat\"]", "[\"voip\"]", WRONG_HASH, "the 34 bytes of the body that arrived hash to"),
        (
            &format!("Signature={first}"),
            &format!("Signature={other}"),
            DENIED,
            "the signature does not match",
        ),
        ("Signature=", "Signature=!", DENIED, "not the base64 of 32 bytes"),
        (
            "HMAC-SHA256 ",
            "HMAC ",
            DENIED,
            "the scheme is not HMAC-SHA256: the Authorization header has to be \"HMAC-SHA256 SignedHeaders=",
        ),
        ("&Signature", ";Signature", DENIED, "SignedHeaders or Signature is missing: the Auth"),
        (
            "=x-ms-date;host",
            "=host;x-ms-date",
            DENIED,
            "the list of signed headers is \"host;x-ms-date;x-ms-content-sha256\": the Authorization",
        ),
        (
            "=x-ms-date;host",
            "=X-Ms-Date;Host",
            DENIED,
            "the list of signed headers is \"X-Ms-Date;Host;x-ms-content-sha256\", of which only the letter case is wrong, and the real service may accept it: the Authorization",
        ),
        ("=x-ms-date;host", "=(;host", DENIED, "the list of signed headers is malformed: the Auth"),
        ("x-ms-date: ", "x-ms-data: ", DENIED, "the signed header x-ms-date is missing"),
        (
            "x-ms-content-sha256: ",
            "x-hash: ",
            DENIED,
            "the signed header x-ms-content-sha256 is missing",
        ),
        ("Authorization: ", "Other: ", DENIED, "the Authorization header is missing"),
        (" GMT", " UTC", DENIED, "not a date like"),
    ] {
        let spoilt = request.replacen(from, to, 1);
        assert_ne!(spoilt, request, "{from}");
        let response = exchange(&emulator, &spoilt).unwrap();
        assert_denied(&emulator, &response, body, reason);
    }
    assert_eq!(emulator.users().len(), 1);
}

#[test]
fn date_is_good_for_a_quarter_of_an_hour() {
    let emulator = Emulator::start().unwrap();
    let minute = Duration::from_secs(60);
    for (date, reason) in [
        (SystemTime::now() - minute * 14, None),
        (SystemTime::now() + minute * 14, None),
        (
            SystemTime::now() - minute * 16,
            Some("seconds behind the emulator's clock; 900 are allowed"),
        ),
        (
            SystemTime::now() + minute * 16,
            Some("seconds ahead of the emulator's clock; 900 are allowed"),
        ),
    ] {
        let mut call = post("/identities", "");
        call.date = date;
        let response = call.send(&emulator);
        match reason {
            None => assert_eq!(response.status, 201),
            Some(reason) => assert_denied(&emulator, &response, DENIED, reason),
        }
    }
    let ahead = Emulator::builder().clock_ahead(minute * 16).start().unwrap();
    assert_eq!(post("/identities", "").send(&ahead).status, 401);
}

#[test]
fn date_header_of_older_clients_is_accepted() {
    let emulator = Emulator::start().unwrap();
    let mut call = post("/identities", "");
    call.date_header = "date";
    assert_eq!(call.send(&emulator).status, 201);
}

#[test]
fn host_without_its_port_is_accepted_as_java_signs_it() {
    let emulator = Emulator::start().unwrap();
    let mut call = post("/identities", "");
    call.signed_host = Some("127.0.0.1".to_owned());
    assert_eq!(call.send(&emulator).status, 201);
    call.signed_host = Some("127.0.0.2".to_owned());
    assert_eq!(call.send(&emulator).status, 401);
}

#[test]
fn signature_covers_the_path_as_it_is_sent() {
    let emulator = Emulator::start().unwrap();
    let id = create(&emulator);
    let decoded = post(&format!("/identities/{id}/:revokeAccessTokens"), "").signed(&emulator);
    let response = exchange(&emulator, &decoded.replacen(&id, &encoded(&id), 1)).unwrap();
    let reason = "the path was signed decoded but sent encoded; the string to sign is \"POST\\n/identities/8%3Aacs%3A";
    assert_denied(&emulator, &response, DENIED, reason);
}

#[test]
fn diagnosis_names_what_was_signed_in_place_of_the_right_date_and_hash() {
    let emulator = Emulator::start().unwrap();
    let request = post("/identities", "").signed(&emulator);
    let date = request.split("x-ms-date: ").nth(1).unwrap().get(..29).unwrap();
    let other = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(60));
    let two_dates = format!("x-ms-date: {other}\r\nDate: {date}");
    let hash = "RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=";
    let with_body = request.replace("Content-Length: 0\r\n\r\n", "Content-Length: 2\r\n\r\n{}");
    for (spoilt, reason) in [
        (
            request.replace(&format!("x-ms-date: {date}"), &two_dates),
            "the other date header was signed",
        ),
        (
            with_body.replace("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", hash),
            "the hash of an empty body was signed",
        ),
    ] {
        let response = exchange(&emulator, &spoilt).unwrap();
        assert_denied(
            &emulator,
            &response,
            DENIED,
            &format!("does not match: {reason}; the string"),
        );
        let signed = format!("{date};{};47DEQpj8", emulator.endpoint().replace("http://", ""));
        assert!(refusal(&emulator).split(", but ").nth(1).unwrap().contains(&signed));
    }
}

#[test]
fn access_key_that_is_sent_itself_is_recognized_and_not_shown() {
    let emulator = Emulator::builder().access_key("CANARYCANARY").start().unwrap();
    for (name, line) in [
        ("api-key", "Api-Key: CANARYCANARY"),
        ("authorization", "Authorization: Bearer CANARYCANARY"),
        ("authorization", "Authorization: CANARYCANARY"),
        ("ocp-apim-subscription-key", "Ocp-Apim-Subscription-Key: CANARYCANARY"),
    ] {
        let request = format!(
            "POST /identities?api-version=2023-10-01 HTTP/1.1\r\nHost: a\r\n{line}\r\n\r\n"
        );
        assert_eq!(exchange(&emulator, &request).unwrap().status, 401);
        assert_eq!(
            refusal(&emulator),
            format!(
                "the {name} header is the access key itself: it signs requests, and is never sent"
            )
        );
    }
    // A signature that is right stays right.
    let signed = post("/identities", "").header("Api-Key: CANARYCANARY");
    assert_eq!(signed.send(&emulator).status, 201);
}

#[test]
fn diagnosis_blames_pythons_sdk_for_a_missing_slash_only_if_it_sent_the_request() {
    let emulator = Emulator::start().unwrap();
    let slash = "the path was signed without its leading slash";
    for (agent, reason) in [
        (
            "azsdk-python-communication-identity/1.3.1",
            format!("{slash} (Python's SDKs before 1.4.0 do so over http: they need https); "),
        ),
        ("Go-http-client/1.1", format!("{slash}; ")),
    ] {
        let right = post("/identities", "");
        let mut wrong = post("/identities", "").header(&format!("User-Agent: {agent}"));
        wrong.target = right.target.trim_start_matches('/').to_owned();
        let sent = wrong.signed(&emulator).replacen(" identities", " /identities", 1);
        assert_eq!(exchange(&emulator, &sent).unwrap().status, 401);
        let refusal = refusal(&emulator);
        assert!(
            refusal.starts_with(&format!("the signature does not match: {reason}")),
            "{refusal}"
        );
    }
}

#[test]
fn bearer_token_replaces_the_signature() {
    let emulator = Emulator::start().unwrap();
    let request = |token: &str| {
        format!(
            "POST /identities?api-version=2023-10-01 HTTP/1.1\r\nHost: any\r\nAuthorization: Bearer {token}\r\nContent-Length: 0\r\n\r\n"
        )
    };
    let response = exchange(&emulator, &request("CANARY")).unwrap();
    assert_denied(&emulator, &response, DENIED, "the bearer token is not one that");
    emulator.accept_bearer_token("CANARY");
    assert_eq!(exchange(&emulator, &request("CANARY")).unwrap().status, 201);
    let twice = request("CANARY")
        .replace("Host", "Authorization: CANARY\r\nProxy-Authorization: CANARY\r\nHost");
    exchange(&emulator, &twice).unwrap();
    let requests = emulator.requests();
    let headers: Vec<_> = requests.iter().map(RecordedRequest::headers).collect();
    let text = format!("{requests:?} {headers:?}");
    assert!(!text.contains("CANARY") && text.contains("\"host\": \"any\""), "{text}");
}

#[test]
fn emulator_can_be_shared_by_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Emulator>();
}

#[test]
fn access_key_is_never_shown_in_debug() {
    let builder = Emulator::builder().access_key("CANARYCANARY");
    assert!(!format!("{builder:?}").contains("CANARY"));
    let emulator = builder.start().unwrap();
    assert_eq!(emulator.access_key(), "CANARYCANARY");
    post("/identities", "").send(&emulator);
    let signature = emulator.requests()[0].header("authorization").unwrap().to_owned();
    let text = format!("{emulator:?} {:?}", emulator.requests());
    assert!(!text.contains("CANARY") && !text.contains(&signature), "{text}");
}

#[test]
fn access_key_that_is_malformed_is_refused_and_not_repeated() {
    for key in ["", "CANARY!", "CANAR"] {
        let error = Emulator::builder().access_key(key).start().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert_eq!(error.to_string(), "the access key is empty or not base64");
    }
}

/// Java tells what it signed, so the record can tell the key from the string.
#[test]
fn diagnosis_judges_a_string_to_sign_that_was_sent_along() {
    let emulator = Emulator::start().unwrap();
    let other = Emulator::start().unwrap();
    let host = emulator.endpoint().replace("http://", "");
    let told = |call: &Call, host: &str| {
        let hash = BASE64_STANDARD.encode(Sha256::digest(""));
        let date = httpdate::fmt_http_date(call.date);
        format!("POST\n{}\n{date};{host};{hash}", call.target)
    };
    let refusal = |bytes: String| {
        assert_eq!(exchange(&emulator, &bytes).unwrap().status, 401);
        emulator.requests().pop().unwrap().refusal().unwrap().to_owned()
    };
    let with = |call: Call, told: &str| {
        call.header(&format!("x-ms-hmac-string-to-sign-base64: {}", BASE64_STANDARD.encode(told)))
    };

    let mut spoilt = post("/identities", "");
    spoilt.signed_host = Some("gateway".to_owned());
    let text = told(&spoilt, "gateway");
    let refused = refusal(with(spoilt, &text).signed(&emulator));
    assert!(
        refused.starts_with("the signature does not match: the string to sign differs; the "),
        "{refused}"
    );
    let tail = format!(", but {text:?} was signed, as x-ms-hmac-string-to-sign-base64 says");
    assert!(refused.ends_with(&tail), "{refused}");

    let mut under_another_key = post("/identities", "");
    under_another_key.signed_host = Some(host.clone());
    let text = told(&under_another_key, &host);
    let bytes = with(under_another_key, &text).signed(&other);
    let refused = refusal(bytes.replace(&other.endpoint().replace("http://", ""), &host));
    assert!(refused.starts_with("the signature does not match: the key differs; "), "{refused}");
}

#[test]
fn diagnosis_recognizes_the_other_name_of_this_machine() {
    let emulator = Emulator::start().unwrap();
    let mut spoilt = post("/identities", "");
    let host = emulator.endpoint().replace("http://127.0.0.1", "localhost");
    spoilt.signed_host = Some(host.clone());
    assert_eq!(spoilt.send(&emulator).status, 401);
    let refusal = emulator.requests().pop().unwrap().refusal().unwrap().to_owned();
    let reason = format!("the host signed was {host}, but the Host header is 127.0.0.1:");
    assert!(refusal.contains(&reason), "{refusal}");
}

#[test]
fn scheme_of_the_authorization_ignores_case() {
    let emulator = Emulator::start().unwrap();
    emulator.accept_bearer_token("t");
    let signed = post("/identities", "").signed(&emulator);
    let signed = signed.replace("HMAC-SHA256", "hmac-sha256");
    assert_eq!(exchange(&emulator, &signed).unwrap().status, 201);
    let bearer = "POST /identities?api-version=2023-10-01 HTTP/1.1\r\nHost: a\r\nAuthorization: bearer t\r\n\r\n";
    assert_eq!(exchange(&emulator, bearer).unwrap().status, 201);
}
