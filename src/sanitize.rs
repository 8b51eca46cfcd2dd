//! Sanitizes untrusted text for error messages.

/// How much of an untrusted text an error repeats, in characters.
const MAX_CHARS: usize = 200;

/// Anything longer may be a key, a signature or a token.
const MAX_HARMLESS_RUN: usize = 39;

/// Fits an untrusted text into one line of an error: removes control characters, redacts anything as
/// long as a secret, and truncates. User ids are kept.
pub(crate) fn sanitize(text: &str) -> String {
    // Removed first: inside a secret, one would split it into two short texts.
    let text: String = text.chars().filter(|c| c.is_whitespace() || !is_invisible(*c)).collect();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if line.chars().count() >= MAX_CHARS {
            break;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        for run in word.split_inclusive(|c| !is_secret_char(c)) {
            let body = run.trim_end_matches(|c| !is_secret_char(c));
            if body.len() > MAX_HARMLESS_RUN && !is_id(body) && !is_url(body) {
                line.push_str("[redacted]");
                line.push_str(run.get(body.len()..).unwrap_or_default());
            } else {
                line.push_str(run);
            }
        }
    }
    let mut sanitized: String = line.chars().take(MAX_CHARS).collect();
    if line.chars().nth(MAX_CHARS).is_some() {
        sanitized.push('…');
    }
    sanitized
}

/// Whether a character could break a line or disguise a text: control characters, line and paragraph
/// separators, text-direction marks, and what has no width.
pub(crate) fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

/// The characters of base64, and those that escape others in JSON, URLs and HTML.
fn is_secret_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "+/=-_.~\\%&#;".contains(c)
}

/// Whether it is the part of a user id after `8:acs:`, perhaps at the end of a sentence or in a path.
fn is_id(run: &str) -> bool {
    run.trim_end_matches(['.', '/']).split('_').all(is_guid)
}

/// Whether it is a URL after its `https:`, made of short words in lower case and user ids. Keys and tokens
/// have capitals.
fn is_url(run: &str) -> bool {
    let is_word = |text: &str| {
        text.len() <= MAX_HARMLESS_RUN
            && text.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte)
            })
    };
    let is_harmless =
        |part: &str| is_word(part) || part.strip_prefix("8%3Aacs%3A").is_some_and(is_id);
    run.strip_prefix("//").is_some_and(|url| url.split(['/', '#']).all(is_harmless))
}

fn is_guid(text: &str) -> bool {
    let mut groups = text.split('-');
    let expected = [8, 4, 4, 4, 12];
    let is_hex = |group: &str| group.bytes().all(|byte| byte.is_ascii_hexdigit());
    expected.iter().all(|length| groups.next().is_some_and(|it| it.len() == *length && is_hex(it)))
        && groups.next().is_none()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sanitize_redacts_secrets_and_removes_line_breaks_and_truncates() {
        for (text, expected) in [
            ("plain", "plain"),
            (" two\r\n lines ", "two lines"),
            ("\u{1b}[31mred\u{7}", "[31mred"),
            ("mirrored \u{202e}text\u{2066}", "mirrored text"),
            (
                "8:acs:45ab2481-1c1c-4005-be24-0ffb879b1130",
                "8:acs:45ab2481-1c1c-4005-be24-0ffb879b1130",
            ),
            ("key=c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0,x", "[redacted],x"),
            ("VS\u{200b}r3cwwHTFA73wWLZcZpz2tbVSwhA5k\u{1b}YVVQi4JuNI=,x", "[redacted],x"),
            // Escaped for HTML.
            (
                "<p>VS&#43;r3cwwHTFA73wWLZcZpz2tbVSwhA5kYV&#x2F;VQi4JuNI&#x3D;</p>",
                "<p>[redacted]</p>",
            ),
            // The longest harmless run, and one that is longer.
            ("123456789012345678901234567890123456789", "123456789012345678901234567890123456789"),
            ("1234567890123456789012345678901234567890", "[redacted]"),
            // The service's own words about a request, and those of problem details.
            (
                "URI 'https://10.1.2.3/identities/8%3Aacs%3A45ab2481-1c1c-4005-be24-0ffb879b1130/:issueAccessToken'",
                "URI 'https://10.1.2.3/identities/8%3Aacs%3A45ab2481-1c1c-4005-be24-0ffb879b1130/:issueAccessToken'",
            ),
            (
                "https://tools.ietf.org/html/rfc9110#section-15.5.1",
                "https://tools.ietf.org/html/rfc9110#section-15.5.1",
            ),
            ("https://a/VSr3cwwHTFA73wWLZcZpz2tbVSwhA5kYVYVQi4JuNI=", "https:[redacted]"),
            ("https://a/68810419818922fb0263dd6ee4b9c56537dbad914aa7324a", "https:[redacted]"),
            ("//VSr3cwwHTFA73wWL/cZpz2tbVSwhA5kYVYVQi4JuNI=", "[redacted]"),
            // A key in hexadecimal is not an id.
            ("68810419818922fb0263dd6ee4b9c56537dbad914aa7324a119fce26778a286e", "[redacted]"),
        ] {
            assert_eq!(sanitize(text), expected);
        }
        let long = sanitize(&"word ".repeat(100));
        assert_eq!(long.chars().count(), MAX_CHARS + 1);
        assert!(long.ends_with('…'));
    }

    #[test]
    fn sanitize_keeps_user_ids() {
        let guid = "45ab2481-1c1c-4005-be24-0ffb879b1130";
        for text in [
            format!("Identity '8:acs:{guid}_{guid}' was not found."),
            format!("There is no 8:acs:{guid}_{guid}_{guid}."),
        ] {
            assert_eq!(sanitize(&text), text);
        }
        for no_id in [
            format!("{guid}_{guid}x"),
            format!("{guid}_{}", guid.replace('a', "g")),
            format!("{guid}_{}", guid.replace("-1c1c", "-1c1")),
            format!("{guid}_{guid}-0123"),
        ] {
            assert_eq!(sanitize(&no_id), "[redacted]");
        }
    }

    proptest! {
        #[test]
        fn sanitize_returns_one_short_line_without_long_words(text in "\\PC{0,400}|[ -~]{0,400}|[A-Za-z0-9+/=]{30,60}") {
            let line = sanitize(&text);
            prop_assert!(line.chars().count() <= MAX_CHARS + 1);
            prop_assert!(!line.chars().any(is_invisible));
            let is_base64 = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
            prop_assert!(line.split(|c| !is_base64(c)).all(|word| word.len() < 40), "{}", line);
        }
    }
}
