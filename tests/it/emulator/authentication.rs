//! Who is let in, who is not, and what the record says about it.

use std::io::ErrorKind;
use std::time::{Duration, SystemTime};

use acs_identity::emulator::{Emulator, RecordedRequest};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

use super::{Answer, Call, create, encoded, exchange, post};

const DENIED: &str = r#"{"error":{"code":"Denied","message":"Denied by the resource provider."}}"#;
const WRONG_HASH: &str = r#"{"error":{"code":"Denied","message":"Request 'x-ms-content-sha256' differs from generated content hash."}}"#;

fn refusal(emulator: &Emulator) -> String {
    emulator.requests().last().unwrap().refusal().unwrap_or_default().to_owned()
}

fn assert_denied(emulator: &Emulator, answer: &Answer, body: &str, reason: &str) {
    assert_eq!((answer.status, answer.body.as_str()), (401, body), "{reason}");
    assert_eq!(answer.header("api-supported-versions"), None, "{reason}");
    let refusal = refusal(emulator);
    assert!(refusal.contains(reason), "{refusal}");
    assert!(!refusal.contains(emulator.access_key()), "{refusal}");
}

#[test]
fn no_signed_byte_may_change() {
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
        let answer = exchange(&emulator, &spoilt).unwrap();
        assert_denied(&emulator, &answer, body, reason);
    }
    assert_eq!(emulator.users().len(), 1);
}

#[test]
fn a_date_is_good_for_a_quarter_of_an_hour() {
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
        let answer = call.send(&emulator);
        match reason {
            None => assert_eq!(answer.status, 201),
            Some(reason) => assert_denied(&emulator, &answer, DENIED, reason),
        }
    }
    let ahead = Emulator::builder().clock_ahead(minute * 16).start().unwrap();
    assert_eq!(post("/identities", "").send(&ahead).status, 401);
}

#[test]
fn older_clients_sign_the_date_header() {
    let emulator = Emulator::start().unwrap();
    let mut call = post("/identities", "");
    call.date_header = "date";
    assert_eq!(call.send(&emulator).status, 201);
}

#[test]
fn java_signs_the_host_without_its_port() {
    let emulator = Emulator::start().unwrap();
    let mut call = post("/identities", "");
    call.signed_host = Some("127.0.0.1".to_owned());
    assert_eq!(call.send(&emulator).status, 201);
    call.signed_host = Some("127.0.0.2".to_owned());
    assert_eq!(call.send(&emulator).status, 401);
}

#[test]
fn the_path_is_signed_as_it_is_sent() {
    let emulator = Emulator::start().unwrap();
    let id = create(&emulator);
    let decoded = post(&format!("/identities/{id}/:revokeAccessTokens"), "").signed(&emulator);
    let answer = exchange(&emulator, &decoded.replacen(&id, &encoded(&id), 1)).unwrap();
    let reason = "the path was signed decoded but sent encoded; the string to sign is \"POST\\n/identities/8%3Aacs%3A";
    assert_denied(&emulator, &answer, DENIED, reason);
}

#[test]
fn the_record_knows_what_was_signed_in_place_of_the_right_date_and_hash() {
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
        let answer = exchange(&emulator, &spoilt).unwrap();
        assert_denied(&emulator, &answer, DENIED, &format!("does not match: {reason}; the string"));
        let signed = format!("{date};{};47DEQpj8", emulator.endpoint().replace("http://", ""));
        assert!(refusal(&emulator).split(", but ").nth(1).unwrap().contains(&signed));
    }
}

#[test]
fn a_bearer_token_replaces_the_signature() {
    let emulator = Emulator::start().unwrap();
    let request = |token: &str| {
        format!(
            "POST /identities?api-version=2023-10-01 HTTP/1.1\r\nHost: any\r\nAuthorization: Bearer {token}\r\nContent-Length: 0\r\n\r\n"
        )
    };
    let answer = exchange(&emulator, &request("CANARY")).unwrap();
    assert_denied(&emulator, &answer, DENIED, "the bearer token is not one that");
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
fn an_emulator_can_be_shared_by_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Emulator>();
}

#[test]
fn debug_never_shows_the_access_key() {
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
fn a_bad_access_key_is_refused_and_not_repeated() {
    for key in ["", "CANARY!", "CANAR"] {
        let error = Emulator::builder().access_key(key).start().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert_eq!(error.to_string(), "the access key is empty or not base64");
    }
}

/// Java tells what it signed, so the record can tell the key from the string.
#[test]
fn a_string_to_sign_that_was_sent_along_is_shown_and_judged() {
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
        refused.starts_with("the signature does not match: the host differs; the "),
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
fn the_other_name_of_this_machine_is_recognized() {
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
fn the_case_of_the_scheme_does_not_matter() {
    let emulator = Emulator::start().unwrap();
    emulator.accept_bearer_token("t");
    let signed = post("/identities", "").signed(&emulator);
    let signed = signed.replace("HMAC-SHA256", "hmac-sha256");
    assert_eq!(exchange(&emulator, &signed).unwrap().status, 201);
    let bearer = "POST /identities?api-version=2023-10-01 HTTP/1.1\r\nHost: a\r\nAuthorization: bearer t\r\n\r\n";
    assert_eq!(exchange(&emulator, bearer).unwrap().status, 201);
}
