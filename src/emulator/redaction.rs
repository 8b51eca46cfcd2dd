//! What a log must not repeat: a connection string or key that stands where an id or a scope should.

/// No word of a request is so long, but a key (88 characters, 84 in newer ones) and a token are.
const MIN_SECRET: usize = 60;

/// Replaces whatever looks like a key, the claims of a token, or the key of a connection string,
/// percent-encoded or not.
pub(super) fn redacted(text: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "+/=%".contains(c);
    let runs = text.split_inclusive(|c| !is_part(c)).map(|run| {
        let (word, end) = run.split_at(run.trim_end_matches(|c| !is_part(c)).len());
        match key_of_connection_string(word) {
            Some(key) => format!("{}[redacted]{end}", word.split_at(key).0),
            None if looks_secret(word) => format!("[redacted]{end}"),
            None => run.to_owned(),
        }
    });
    runs.collect()
}

/// Where the key begins in a word such as `accesskey=…`.
fn key_of_connection_string(word: &str) -> Option<usize> {
    let word = word.to_ascii_lowercase();
    ["accesskey=", "accesskey%3d"].iter().find_map(|name| Some(word.find(name)? + name.len()))
}

/// User ids, in lower or in upper case, and hashes are nothing of the sort.
fn looks_secret(word: &str) -> bool {
    let has = |class: fn(&u8) -> bool| word.as_bytes().iter().any(class);
    word.len() >= MIN_SECRET
        && has(u8::is_ascii_lowercase)
        && has(u8::is_ascii_uppercase)
        && has(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==";

    #[test]
    fn redaction_hides_keys_tokens_and_connection_strings() {
        let escaped = KEY.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        let token = format!("eyJhbGciOiJIUzI1NiJ9.{}.c2ln", "eyJleHAiOjF9".repeat(9));
        for (text, shown) in [
            (format!("Scope {KEY} is not supported."), "Scope [redacted] is not supported."),
            (
                format!("/identities/8:{escaped}?api-version=x"),
                "/identities/8:[redacted]?api-version=x",
            ),
            (format!("Scope {token}"), "Scope eyJhbGciOiJIUzI1NiJ9.[redacted].c2ln"),
            (
                "Endpoint=https://a/;AccessKey=pw== é".to_owned(),
                "Endpoint=https://a/;AccessKey=[redacted] é",
            ),
            (
                "/identities/endpoint%3Dhttps%3A%2F%2Fa%2F%3Baccesskey%3Dpw%3D%3D?api-version=1"
                    .to_owned(),
                "/identities/endpoint%3Dhttps%3A%2F%2Fa%2F%3Baccesskey%3D[redacted]?api-version=1",
            ),
        ] {
            assert_eq!(redacted(&text), shown);
        }
    }

    #[test]
    fn redaction_shows_all_else() {
        let id = "8:acs:bbbcbc1e-9f06-482a-b5d8-20e3f26ef0cd_45ab2481-1c1c-4005-be24-0ffb879b1130";
        for text in [
            "",
            "é \u{202e}",
            "accesskey",
            &format!("/identities/{id}/:issueAccessToken?api-version=2023-10-01"),
            &format!("/identities/{}/token", id.replace(':', "%3A")),
            &format!("/identities/{}", id.to_uppercase().replace(':', "%3A")),
            "%",
            "%\u{e9}\u{e9}",
            "\"POST\\n/identities\\nWed, 13 Apr 2022 18:09:12 GMT;127.0.0.1:1;47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\"",
            &"a".repeat(100),
        ] {
            assert_eq!(redacted(text), text);
        }
    }
}
