//! Why a signature is refused, as far as the usual mistakes explain it. The service never says.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

use super::key::hmac_sha256;
use super::string_to_sign::{HASH_OF_NOTHING, Signed};
use crate::emulator::request::percent_decoded;

/// A header of the official Java client: the string that it signed.
const STRING_TO_SIGN: &str = "x-ms-hmac-string-to-sign-base64";

const OTHER_SPACES: &str =
    "the JSON was hashed with other spaces than it was sent with: hash the bytes that are sent";

/// Says why a signature does not match: a usual mistake, also one under a wrong key or with wrong
/// line ends, or what the client tells.
pub(super) fn of_signature(signed: &Signed<'_>, signature: &[u8]) -> String {
    let Signed { request, key, .. } = signed;
    let expected = signed.text();
    let but = |text: &str| format!(", but {text:?} was signed");
    let pairs = signed.general_mistakes().into_iter().flat_map(|(first, signed)| {
        let named = move |(second, signed)| (format!("{first}, and {second}"), signed);
        signed.mistakes().into_iter().map(named)
    });
    let mut mistakes = signed.mistakes().into_iter().chain(pairs);
    if let Some((name, made)) = mistakes.find(|(_, made)| made.has_signature(signature)) {
        let text = made.text();
        let but = if text == expected { String::new() } else { but(&text) };
        return format!("{name}; the string to sign is {expected:?}{but}");
    }
    // The string that the client says it signed.
    let told = request.header(STRING_TO_SIGN).and_then(|told| BASE64_STANDARD.decode(told).ok());
    let Some(told) = told.and_then(|bytes| String::from_utf8(bytes).ok()) else {
        return format!(
            "the key or the string to sign differs (to learn which, send yours in base64 as {STRING_TO_SIGN}); the string to sign is {expected:?}"
        );
    };
    let is_signed_with = |key: &[u8]| hmac_sha256(key, &told)[..] == *signature;
    let reason = if is_signed_with(&key.bytes) {
        "the string to sign differs"
    } else if is_signed_with(key.text.as_bytes()) {
        "the access key was not decoded from base64, and the string to sign differs"
    } else {
        "the key differs"
    };
    let but = but(&told);
    format!("{reason}; the string to sign is {expected:?}{but}, as {STRING_TO_SIGN} says")
}

/// Says how a content hash was made, if not from the bytes that arrived.
pub(super) fn of_content_hash(received: &str, body: &[u8]) -> Option<&'static str> {
    let hash = |body: &[u8]| BASE64_STANDARD.encode(Sha256::digest(body));
    let hashes = [
        (HASH_OF_NOTHING.to_owned(), "that is the hash of an empty body"),
        (
            hash(&[body, b"\n"].concat()),
            "a line feed was hashed after the body, as bash's echo adds it",
        ),
        (hash(body.trim_ascii_end()), "white space was sent after the body"),
        (hash(&without_spaces(body, false)), OTHER_SPACES),
        (hash(&without_spaces(body, true)), OTHER_SPACES),
    ];
    let made = || hashes.into_iter().find(|(hash, _)| *hash == received).map(|(_, name)| name);
    of_form(received).or_else(made)
}

/// JSON without the spaces outside its strings, or with one behind each comma and colon, as
/// Python writes it.
fn without_spaces(json: &[u8], as_python: bool) -> Vec<u8> {
    let (mut text, mut is_string, mut is_escaped) = (Vec::new(), false, false);
    for &byte in json {
        if is_string || !byte.is_ascii_whitespace() {
            text.push(byte);
        }
        if as_python && !is_string && matches!(byte, b',' | b':') {
            text.push(b' ');
        }
        is_string ^= byte == b'"' && !is_escaped;
        is_escaped = is_string && byte == b'\\' && !is_escaped;
    }
    text
}

/// Says how a signature or hash is written, if not as the base64 of 32 bytes.
pub(super) fn of_form(text: &str) -> Option<&'static str> {
    let is_hex = |text: &str| text.len() == 64 && text.bytes().all(|it| it.is_ascii_hexdigit());
    let decoded = |text: &str| BASE64_STANDARD.decode(text).unwrap_or_default();
    let is_right = |text: &str| decoded(text).len() == 32;
    Some(match text {
        _ if is_right(text) => return None,
        _ if text.starts_with("b'") => "that is how Python prints bytes: decode them to text",
        _ if is_hex(text) => "that is hexadecimal, not base64",
        _ if is_hex(String::from_utf8_lossy(&decoded(text)).trim_end()) => {
            "that is the base64 of hexadecimal digits, not of the hash's 32 bytes"
        }
        _ if is_right(&text.replace('-', "+").replace('_', "/")) => {
            "that is base64url, with - and _ instead of + and /"
        }
        _ if is_right(&format!("{text}=")) => "the = at its end is missing",
        _ if is_right(&percent_decoded(text).unwrap_or_default()) => "that is percent-encoded",
        _ => return None,
    })
}

/// A date with the letter case of HTTP: `Wed, 13 Apr 2022 18:09:12 GMT`.
pub(super) fn date_in_usual_case(date: &str) -> String {
    let mut is_first = true;
    let cased = date.chars().map(|c| {
        let cased = if is_first { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
        is_first = c == ' ';
        cased
    });
    cased.collect::<String>().replace("Gmt", "GMT")
}

#[cfg(test)]
mod tests {
    use base64::prelude::BASE64_URL_SAFE;

    use super::super::key::hex;
    use super::*;

    const BODY: &[u8] = br#"{"scopes":["a \"b , c\" d\\"],"expiresInMinutes":60}"#;

    fn base64_of_hash(body: &[u8]) -> String {
        BASE64_STANDARD.encode(Sha256::digest(body))
    }

    #[test]
    fn diagnosis_names_the_usual_mistakes_in_a_content_hash() {
        let right = base64_of_hash(BODY);
        let line = [BODY, b"\n"].concat();
        let python = br#"{"scopes": ["a \"b , c\" d\\"], "expiresInMinutes": 60}"#;
        for (received, body, named) in [
            (&*base64_of_hash(b""), BODY, Some("that is the hash of an empty body")),
            (&hex(&Sha256::digest(BODY)), BODY, Some("that is hexadecimal, not base64")),
            (
                &base64_of_hash(&line),
                BODY,
                Some("a line feed was hashed after the body, as bash's echo adds it"),
            ),
            (&right, &line, Some("white space was sent after the body")),
            (&right, python, Some(OTHER_SPACES)),
            (&base64_of_hash(python), BODY, Some(OTHER_SPACES)),
            (&base64_of_hash(b"another"), BODY, None),
        ] {
            assert_eq!(of_content_hash(received, body), named, "{received}");
        }
    }

    #[test]
    fn diagnosis_names_the_usual_mistakes_in_the_text_of_a_signature() {
        // One whose base64 has both of the characters that base64url has not.
        let hash = Sha256::digest(b"0");
        let right = BASE64_STANDARD.encode(hash);
        assert!(right.contains('+') && right.contains('/') && right.ends_with('='), "{right}");
        let digits = hex(&hash);
        let of_digits = "that is the base64 of hexadecimal digits, not of the hash's 32 bytes";
        for (text, named) in [
            (&*format!("b'{right}'"), Some("that is how Python prints bytes: decode them to text")),
            (&digits, Some("that is hexadecimal, not base64")),
            (&digits.to_uppercase(), Some("that is hexadecimal, not base64")),
            (&BASE64_STANDARD.encode(&digits), Some(of_digits)),
            (&BASE64_STANDARD.encode(format!("{digits}\n")), Some(of_digits)),
            (
                &BASE64_URL_SAFE.encode(hash),
                Some("that is base64url, with - and _ instead of + and /"),
            ),
            (right.trim_end_matches('='), Some("the = at its end is missing")),
            (
                &right.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D"),
                Some("that is percent-encoded"),
            ),
            (&right, None),
            (&right[1..], None),
            (&digits.replace('a', "g"), None),
            ("secret", None),
        ] {
            assert_eq!(of_form(text), named, "{text}");
        }
    }

    #[test]
    fn diagnosis_corrects_only_the_case_of_a_date() {
        let usual = "Wed, 13 Apr 2022 18:09:12 GMT";
        for date in ["wed, 13 apr 2022 18:09:12 gmt", "WED, 13 APR 2022 18:09:12 GMT", usual] {
            assert_eq!(date_in_usual_case(date), usual);
        }
    }
}
