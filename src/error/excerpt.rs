//! Text from elsewhere, made safe to print.

/// How much of a text from elsewhere an error repeats, in characters.
const EXCERPT_CHARS: usize = 200;

/// Cleans a text from elsewhere for one line of an error: removes control characters, redacts anything
/// as long as a key, a signature or a token, and cuts it off. User ids are kept whole.
pub(crate) fn excerpt(text: &str) -> String {
    const LONGEST_HARMLESS_RUN: usize = 39;
    // Removed first: within a secret, one would make two short texts of it.
    let text: String = text.chars().filter(|c| c.is_whitespace() || !is_invisible(*c)).collect();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if line.chars().count() >= EXCERPT_CHARS {
            break;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        for run in word.split_inclusive(|c| !is_secret_char(c)) {
            let body = run.trim_end_matches(|c| !is_secret_char(c));
            if body.len() > LONGEST_HARMLESS_RUN && !is_id(body) {
                line.push_str("[redacted]");
                line.push_str(run.get(body.len()..).unwrap_or_default());
            } else {
                line.push_str(run);
            }
        }
    }
    let mut excerpt: String = line.chars().take(EXCERPT_CHARS).collect();
    if line.chars().nth(EXCERPT_CHARS).is_some() {
        excerpt.push('…');
    }
    excerpt
}

/// Drops the last word of a text that broke off: a part of a secret is too short to be known as one.
pub(crate) fn without_cut_word(text: &str) -> &str {
    let may_be_within =
        |c: char| is_secret_char(c) || !c.is_ascii() || is_invisible(c) && !c.is_whitespace();
    text.trim_end_matches(may_be_within)
}

/// Whether a character could break a line or disguise a text: control characters, line and paragraph
/// separators, and text-direction marks.
pub(crate) fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
        )
}

/// The characters of base64, and those that escape others in JSON, URLs and HTML.
fn is_secret_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "+/=-_.\\%&#;".contains(c)
}

/// Whether it is the part of a user id after `8:acs:`, perhaps at the end of a sentence.
fn is_id(run: &str) -> bool {
    run.trim_end_matches('.').split('_').all(is_guid)
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
    fn secrets_line_breaks_and_length_go() {
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
            // As web pages escape it.
            (
                "<p>VS&#43;r3cwwHTFA73wWLZcZpz2tbVSwhA5kYV&#x2F;VQi4JuNI&#x3D;</p>",
                "<p>[redacted]</p>",
            ),
            // The longest that is harmless, and what is longer.
            ("123456789012345678901234567890123456789", "123456789012345678901234567890123456789"),
            ("1234567890123456789012345678901234567890", "[redacted]"),
            // A key in hexadecimal is not an id.
            ("68810419818922fb0263dd6ee4b9c56537dbad914aa7324a119fce26778a286e", "[redacted]"),
        ] {
            assert_eq!(excerpt(text), expected);
        }
        let long = excerpt(&"word ".repeat(100));
        assert_eq!(long.chars().count(), EXCERPT_CHARS + 1);
        assert!(long.ends_with('…'));
    }

    #[test]
    fn what_breaks_off_loses_its_last_word() {
        for (text, expected) in [
            ("denied c2Vj", "denied "),
            ("denied\r\n", "denied\r\n"),
            (r#"{"message":"c2Vj"#, r#"{"message":""#),
            ("a b\0c\u{200b}\u{e9}", "a "),
            ("<p>", "<p>"),
        ] {
            assert_eq!(without_cut_word(text), expected);
        }
    }

    #[test]
    fn user_ids_come_through_whole() {
        let guid = "45ab2481-1c1c-4005-be24-0ffb879b1130";
        for text in [
            format!("Identity '8:acs:{guid}_{guid}' was not found."),
            format!("There is no 8:acs:{guid}_{guid}_{guid}."),
        ] {
            assert_eq!(excerpt(&text), text);
        }
        for no_id in [
            format!("{guid}_{guid}x"),
            format!("{guid}_{}", guid.replace('a', "g")),
            format!("{guid}_{}", guid.replace("-1c1c", "-1c1")),
            format!("{guid}_{guid}-0123"),
        ] {
            assert_eq!(excerpt(&no_id), "[redacted]");
        }
    }

    proptest! {
        #[test]
        fn it_is_one_short_line_without_long_words(text in "\\PC{0,400}|[ -~]{0,400}|[A-Za-z0-9+/=]{30,60}") {
            let excerpt = excerpt(&text);
            prop_assert!(excerpt.chars().count() <= EXCERPT_CHARS + 1);
            prop_assert!(!excerpt.chars().any(is_invisible));
            let is_base64 = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
            prop_assert!(excerpt.split(|c| !is_base64(c)).all(|word| word.len() < 40), "{}", excerpt);
        }
    }
}
