//! Who may call: HMAC-SHA256 signatures and bearer tokens, checked by code that shares nothing with
//! the client's.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

use super::diagnosis;
use super::key::SharedKey;
use super::string_to_sign::Signed;
use crate::emulator::request::Request;
use crate::emulator::response::Refusal;
use crate::timestamp;

// Ours: the window of the identity service is not published; Azure App Configuration, which has the
// same scheme, documents 15 minutes.
const DATE_WINDOW: Duration = Duration::from_secs(15 * 60);

const FORM: &str = "has to be \"HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature=<base64>\", or to name date instead of x-ms-date";

/// Checks the caller's signature or bearer token.
pub(super) fn authenticate(
    request: &Request,
    now: SystemTime,
    key: &SharedKey,
    bearer_tokens: &HashSet<String>,
) -> Result<(), Refusal> {
    check(request, now, key, bearer_tokens).map_err(|refusal| {
        let is_key =
            |value: &[u8]| value.split(|byte| *byte == b' ').any(|it| it == key.text.as_bytes());
        match request.headers.iter().find(|(_, value)| is_key(value.as_bytes())) {
            Some((name, _)) => refusal.because(format!(
                "the {name} header is the access key itself: it signs requests, and is never sent"
            )),
            None => refusal,
        }
    })
}

fn check(
    request: &Request,
    now: SystemTime,
    key: &SharedKey,
    bearer_tokens: &HashSet<String>,
) -> Result<(), Refusal> {
    let authorization = request
        .header("authorization")
        .ok_or_else(|| denied("the Authorization header is missing"))?;
    if let Some(token) = after_scheme(authorization, "Bearer") {
        let is_accepted = bearer_tokens.contains(token.trim());
        let problem = "the bearer token is not one that the emulator was told to accept";
        return if is_accepted { Ok(()) } else { Err(denied(problem)) };
    }
    let (date_header, signature) = parse_authorization(authorization)
        .map_err(|problem| denied(format!("{problem}: the Authorization header {FORM}")))?;
    let signed_header = |name| {
        let missing = || denied(format!("the signed header {name} is missing"));
        request.header(name).ok_or_else(missing)
    };
    let (date, host) = (signed_header(date_header)?, signed_header("host")?);
    let content_hash = signed_header("x-ms-content-sha256")?;

    check_date(date_header, date, now)?;
    check_content_hash(content_hash, &request.body)?;
    check_signature(&Signed::new(request, [date, host, content_hash], key), signature)
}

/// The name of the date header that was signed, and the signature; or what is wrong, without any
/// part that may be secret.
fn parse_authorization(value: &str) -> Result<(&'static str, &str), String> {
    let parameters = after_scheme(value, "HMAC-SHA256").ok_or("the scheme is not HMAC-SHA256")?;
    let (headers, signature) = parameters
        .trim()
        .strip_prefix("SignedHeaders=")
        .and_then(|rest| rest.split_once("&Signature="))
        .ok_or(if parameters.contains("Credential=") {
            "Credential belongs to Azure App Configuration's scheme"
        } else {
            "SignedHeaders or Signature is missing"
        })?;
    // What names of headers are made of, as far as lists of signed ones were ever seen.
    let is_list = headers.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-;".contains(&byte));
    // Ours: no other list, no other order, no other case; these two are all that clients were seen to
    // send.
    let date_header = |headers: &str| match headers {
        "x-ms-date;host;x-ms-content-sha256" => Some("x-ms-date"),
        "date;host;x-ms-content-sha256" => Some("date"),
        _ => None,
    };
    match date_header(headers) {
        Some(name) => Ok((name, signature)),
        None if date_header(&headers.to_ascii_lowercase()).is_some() => Err(format!(
            "the list of signed headers is {headers:?}, of which only the letter case is wrong, and the real service may accept it"
        )),
        None if is_list => Err(format!("the list of signed headers is {headers:?}")),
        None => Err("the list of signed headers is malformed".to_owned()),
    }
}

/// What follows the scheme, whose case does not matter (RFC 9110).
fn after_scheme<'a>(value: &'a str, scheme: &str) -> Option<&'a str> {
    let (found, rest) = value.split_once(' ')?;
    found.eq_ignore_ascii_case(scheme).then_some(rest)
}

fn check_date(name: &str, text: &str, now: SystemTime) -> Result<(), Refusal> {
    // Written back and compared: httpdate also reads two older forms and a wrong day of the week.
    let read = |text: &str| {
        let date = httpdate::parse_http_date(text).ok()?;
        (timestamp::http_date(date)? == text).then_some(date)
    };
    let Some(date) = read(text) else {
        // Ours: letter case is checked, too. A crate that signs lower-case dates says that the real
        // service takes them.
        let usual = diagnosis::date_in_usual_case(text);
        return Err(denied(match read(&usual) {
            Some(_) => format!(
                "the {name} header is {text:?}, which the emulator wants as {usual:?}; the real service may not mind the letter case"
            ),
            None => format!(
                "the {name} header is {text:?}, not a date like \"Wed, 13 Apr 2022 18:09:12 GMT\""
            ),
        }));
    };
    let (distance, direction) = match date.duration_since(now) {
        Ok(ahead) => (ahead, "ahead of"),
        Err(error) => (error.duration(), "behind"),
    };
    if distance > DATE_WINDOW {
        return Err(denied(format!(
            "the {name} header is {text:?}, {} seconds {direction} the emulator's clock; 900 are allowed",
            distance.as_secs()
        )));
    }
    Ok(())
}

fn check_content_hash(received: &str, body: &[u8]) -> Result<(), Refusal> {
    let expected = BASE64_STANDARD.encode(Sha256::digest(body));
    if received == expected {
        return Ok(());
    }
    let message = "Request 'x-ms-content-sha256' differs from generated content hash.";
    Err(Refusal::new(401, "Denied", message, None).because(format!(
        "the x-ms-content-sha256 header is {received:?}, but the {} bytes of the body that arrived hash to {expected:?}{}",
        body.len(),
        after_colon(diagnosis::of_content_hash(received, body))
    )))
}

fn check_signature(signed: &Signed<'_>, signature: &str) -> Result<(), Refusal> {
    let Some(bytes) = BASE64_STANDARD.decode(signature).ok().filter(|bytes| bytes.len() == 32)
    else {
        let reason = after_colon(diagnosis::of_form(signature));
        return Err(denied(format!("the signature is not the base64 of 32 bytes{reason}")));
    };
    let is_right = |signed: Signed<'_>| signed.has_signature(&bytes);
    if signed.has_signature(&bytes) || signed.without_port().is_some_and(is_right) {
        return Ok(());
    }
    let reason = diagnosis::of_signature(signed, &bytes);
    Err(denied(format!("the signature does not match: {reason}")))
}

fn after_colon(reason: Option<&str>) -> String {
    reason.map(|reason| format!(": {reason}")).unwrap_or_default()
}

// Ours: the service does not state its reasons; only the two messages are known, and all but the
// content hash get this one. Whether such a response advertises versions is not known either; here
// the gateway does not.
fn denied(reason: impl Into<String>) -> Refusal {
    Refusal::new(401, "Denied", "Denied by the resource provider.", None).because(reason)
}

#[cfg(test)]
mod tests {
    use ureq::http::{HeaderMap, HeaderName, HeaderValue, Method};

    use super::super::key::hmac_sha256;
    use super::*;

    const DATE: &str = "Wed, 13 Apr 2022 18:09:12 GMT";
    const EMPTY: &str = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

    fn request(host: &str, method: Method, target: &str, signature: &str) -> Request {
        let authorization = format!(
            "HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature={signature}"
        );
        let headers = [
            ("x-ms-date", DATE),
            ("host", host),
            ("x-ms-content-sha256", EMPTY),
            ("authorization", &authorization),
        ];
        let headers = headers.map(|(name, value)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        });
        let headers = HeaderMap::from_iter(headers);
        Request { method, target: target.to_owned(), headers, ..Request::default() }
    }

    fn judge(key: &str, request: &Request, seconds_later: u64) -> Result<(), String> {
        let now = httpdate::parse_http_date(DATE).unwrap() + Duration::from_secs(seconds_later);
        authenticate(request, now, &SharedKey::parse(key).unwrap(), &HashSet::new())
            .map_err(|refusal| refusal.reason)
    }

    /// Signed by other people: see wire-facts "Known vectors".
    fn check(
        key: &str,
        host: &str,
        method: Method,
        target: &str,
        signature: &str,
    ) -> Result<(), String> {
        judge(key, &request(host, method, target, signature), 0)
    }

    #[test]
    fn date_is_good_for_fifteen_minutes() {
        let signature = "+6tWkg3lNKVjQHHmxkdGQcJjUgzclsWTMebnuCz1ngU=";
        let request = request("example.com", Method::GET, "/testPath", signature);
        assert_eq!(judge("pw==", &request, 900), Ok(()));
        assert!(judge("pw==", &request, 901).is_err());
    }

    #[test]
    fn diagnosis_recognizes_a_key_that_was_in_a_variable_of_a_shell() {
        let key = BASE64_STANDARD.encode(b"a\0b\n\n");
        let text = format!("DELETE\n/a\n{DATE};h:1;{EMPTY}");
        let signature = BASE64_STANDARD.encode(hmac_sha256(b"ab", &text));
        let denial = check(&key, "h:1", Method::DELETE, "/a", &signature).unwrap_err();
        let reason = "the decoded key lost zero bytes or line feeds";
        assert!(denial.contains(reason), "{denial}");
    }

    #[test]
    fn diagnosis_names_two_mistakes() {
        let sign = |text: &str| BASE64_STANDARD.encode(hmac_sha256(b"c2VjcmV0", text));
        let explained = |text: &str, tells: bool| {
            let mut request = request("h:1", Method::DELETE, "/a?b", &sign(text));
            if tells {
                let told = BASE64_STANDARD.encode(text).parse().unwrap();
                request.headers.insert("x-ms-hmac-string-to-sign-base64", told);
            }
            judge("c2VjcmV0", &request, 0).unwrap_err()
        };
        let tail = format!("{DATE};h:1;{EMPTY}");
        let usual = explained(&format!("DELETE\n/a\n{tail}"), false);
        assert!(usual.contains("was not decoded from base64"), "{usual}");
        assert!(usual.contains(", and the query was not signed; "), "{usual}");

        let unusual = format!("DELETE\n/c?d\n{tail}");
        let expected = "the signature does not match: the access key was not decoded from base64, and the string to sign differs; ";
        let explained = explained(&unusual, true);
        assert!(explained.starts_with(expected), "{explained}");
    }

    #[test]
    fn signature_of_the_official_javascript_sdk_is_accepted() {
        for (target, signature) in [
            ("/testPath?testQuery=test", "DGdgwggJWnQyc6EHjR/Vbqg1ES64KpD6U2XwTDDj3tU="),
            ("/testPath", "+6tWkg3lNKVjQHHmxkdGQcJjUgzclsWTMebnuCz1ngU="),
        ] {
            assert_eq!(check("pw==", "example.com", Method::GET, target, signature), Ok(()));
            let denial = check("pw==", "example.org", Method::GET, target, signature).unwrap_err();
            assert!(denial.starts_with("the signature does not match: "), "{denial}");
        }
    }

    #[test]
    fn signature_that_was_computed_elsewhere_is_accepted() {
        let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==";
        let id =
            "8%3Aacs%3Abbbcbc1e-9f06-482a-b5d8-20e3f26ef0cd_45ab2481-1c1c-4005-be24-0ffb879b1130";
        let identity = format!("/identities/{id}?api-version=2023-10-01");
        let revoke = format!("/identities/{id}/:revokeAccessTokens?api-version=2023-10-01");
        let contoso = "contoso.communication.azure.com";
        for (host, method, target, signature) in [
            (
                contoso,
                Method::POST,
                "/identities?api-version=2023-10-01",
                "+KcpRlmC27qdEYd+7dVANfSs+pLv5/gb+0JMlvHLxcQ=",
            ),
            (contoso, Method::DELETE, &*identity, "WTbODFAIR/KoOUkHR0U+Vc6EctHdx9HEqLl8YCmKODE="),
            (
                "127.0.0.1:8080",
                Method::DELETE,
                &*identity,
                "WBwaVSHnfjIT+IJhCwGMMDZ+pRozGzvf+vpCsSH6KBU=",
            ),
            (contoso, Method::POST, &*revoke, "H5Okj8JrFr098TP+djNOB/wj1PJg14JRqzutY5NNVTI="),
        ] {
            assert_eq!(check(key, host, method, target, signature), Ok(()), "{target}");
        }
    }

    #[test]
    fn diagnosis_names_what_people_sign_in_place_of_the_right_thing() {
        let key = SharedKey::parse("c2VjcmV0").unwrap();
        let sent = "/identities/8%3Aacs%3Aa?api-version=1";
        let tail = format!("{DATE};h:1;{EMPTY}");
        let sign = |key: &[u8], text: &str| BASE64_STANDARD.encode(hmac_sha256(key, text));
        for (text, reason) in [
            (
                format!("DELETE\n/identities/8:acs:a?api-version=1\n{tail}"),
                "the path was signed decoded but sent encoded",
            ),
            (format!("DELETE\n/identities/8%3Aacs%3Aa\n{tail}"), "the query was not signed"),
            (
                format!("DELETE\nhttp://h:1{sent}\n{tail}"),
                "the whole URL was signed instead of the path",
            ),
            (
                format!("DELETE\n{sent}\n{DATE};http://h:1;{EMPTY}"),
                "the host was signed with a scheme",
            ),
            (
                format!("DELETE\n{sent}\n{DATE};h:1/;{EMPTY}"),
                "the host was signed with a slash behind it",
            ),
            (format!("delete\n{sent}\n{tail}"), "the verb was signed in lower case"),
            (format!("DELETE\n{sent}\n{tail}\n"), "a line feed was signed after the last line"),
            (
                format!("DELETE\r\n{sent}\r\n{tail}"),
                "the lines were joined with CR LF instead of LF",
            ),
            (
                format!("DELETE\n{}\n{tail}", &sent[1..]),
                "the path was signed without its leading slash",
            ),
            (
                format!("DELETE\n{sent}\n{}", tail.replace(';', "\n")),
                "date, host and hash were joined with line feeds instead of semicolons",
            ),
            (
                format!("DELETE\n{sent}\n{}", tail.replace(';', ",")),
                "date, host and hash were joined with commas instead of semicolons",
            ),
            (format!("DELETE\n{sent}\n{DATE};{EMPTY};h:1"), "the hash was signed before the host"),
        ] {
            let signature = sign(&key.bytes, &text);
            let denial = check("c2VjcmV0", "h:1", Method::DELETE, sent, &signature).unwrap_err();
            let right = format!("DELETE\n{sent}\n{tail}");
            let expected = format!(
                "the signature does not match: {reason}; the string to sign is {right:?}, but {text:?} was signed"
            );
            assert_eq!(denial, expected);
        }
        let denial = check("c2VjcmV0", "h:1", Method::DELETE, sent, &sign(&key.bytes, "DELETE"))
            .unwrap_err();
        let expected = "the signature does not match: the key or the string to sign differs (to learn which, send yours in base64 as x-ms-hmac-string-to-sign-base64); the string to sign is ";
        assert!(denial.starts_with(expected), "{denial}");
        let right = format!("DELETE\n{sent}\n{tail}");
        let denial =
            check("c2VjcmV0", "h:1", Method::DELETE, sent, &sign(b"c2VjcmV0", &right)).unwrap_err();
        assert!(denial.contains("was not decoded from base64"), "{denial}");
        assert_eq!(
            check("c2VjcmV0", "h:1", Method::DELETE, sent, &sign(b"secret", &right)),
            Ok(())
        );
        let java = right.replace("h:1", "h");
        assert_eq!(check("c2VjcmV0", "h:1", Method::DELETE, sent, &sign(b"secret", &java)), Ok(()));
    }
}
