//! What others wrote, made fit for our errors.

/// Longest piece of a foreign text that an error repeats, in characters.
const EXCERPT_CHARS: usize = 200;

/// A foreign text, fit for one line of an error: no control characters, nothing as long as a key, a
/// signature or a token, not too long.
pub(crate) fn excerpt(text: &str) -> String {
    const LONGEST_HARMLESS_RUN: usize = 39;
    // With those that escape others in JSON, URLs and HTML.
    let is_secret_char = |c: char| c.is_ascii_alphanumeric() || "+/=-_.\\%&".contains(c);
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
            if body.len() > LONGEST_HARMLESS_RUN {
                line.push_str("[redacted]");
                line.push_str(run.get(body.len()..).unwrap_or_default());
            } else {
                line.push_str(run);
            }
        }
    }
    let mut excerpt: String =
        line.chars().filter(|c| !c.is_control()).take(EXCERPT_CHARS).collect();
    if line.chars().nth(EXCERPT_CHARS).is_some() {
        excerpt.push('…');
    }
    excerpt
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
            (
                "8:acs:45ab2481-1c1c-4005-be24-0ffb879b1130",
                "8:acs:45ab2481-1c1c-4005-be24-0ffb879b1130",
            ),
            ("key=c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0;x", "[redacted];x"),
        ] {
            assert_eq!(excerpt(text), expected);
        }
        let long = excerpt(&"word ".repeat(100));
        assert_eq!(long.chars().count(), EXCERPT_CHARS + 1);
        assert!(long.ends_with('…'));
    }

    proptest! {
        #[test]
        fn it_is_one_short_line_without_long_words(text in "\\PC{0,400}|[ -~]{0,400}|[A-Za-z0-9+/=]{30,60}") {
            let excerpt = excerpt(&text);
            prop_assert!(excerpt.chars().count() <= EXCERPT_CHARS + 1);
            prop_assert!(!excerpt.chars().any(char::is_control));
            let is_base64 = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
            prop_assert!(excerpt.split(|c| !is_base64(c)).all(|word| word.len() < 40), "{}", excerpt);
        }
    }
}
