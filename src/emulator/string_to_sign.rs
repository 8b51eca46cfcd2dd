//! The text that a signature covers, and what people's own signing code takes in its place.

use super::request::{Request, percent_decoded};

const HASH_OF_NOTHING: &str = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

/// The parts of the string to sign.
pub(super) struct Signed<'a> {
    pub(super) request: &'a Request,
    pub(super) date: &'a str,
    pub(super) host: &'a str,
    pub(super) content_hash: &'a str,
}

impl Signed<'_> {
    /// As the service reads it, over the target exactly as it was sent.
    pub(super) fn expected(&self) -> String {
        self.string(self.request.method.as_str(), self.request.path_and_query(), self.host)
    }

    /// Java signs the host without its port, and the service takes it.
    pub(super) fn expected_without_port(&self) -> Option<String> {
        let (host, port) = self.host.rsplit_once(':')?;
        let digits = port.bytes().all(|byte| byte.is_ascii_digit());
        digits
            .then(|| self.string(self.request.method.as_str(), self.request.path_and_query(), host))
    }

    /// What people's own signing code gets wrong, each with the string that it signs then.
    pub(super) fn usual_mistakes(&self) -> Vec<(&'static str, String)> {
        let verb = self.request.method.as_str();
        let target = self.request.path_and_query();
        let Self { date, host, content_hash, .. } = self;

        let with_verb = |verb: &str| self.string(verb, target, host);
        let with_target = |target: &str| self.string(verb, target, host);
        let with_host = |host: &str| self.string(verb, target, host);
        let expected = self.expected();
        let mut mistakes = vec![
            (
                "the path was signed decoded but sent encoded",
                with_target(&percent_decoded(target).unwrap_or_default()),
            ),
            ("the path was signed encoded but sent decoded", with_target(&colons_encoded(target))),
            ("the query was not signed", with_target(self.request.path())),
            (
                "the path was signed without its leading slash",
                with_target(target.trim_start_matches('/')),
            ),
            (
                "the whole URL was signed in place of the path",
                with_target(&format!("http://{host}{target}")),
            ),
            ("the host was signed with a scheme", with_host(&format!("http://{host}"))),
            ("the host was signed with a slash behind it", with_host(&format!("{host}/"))),
            ("the verb was signed in lower case", with_verb(&verb.to_lowercase())),
            (
                "the hash of an empty body was signed",
                format!("{verb}\n{target}\n{date};{host};{HASH_OF_NOTHING}"),
            ),
            (
                "date, host and hash were joined with line feeds in place of semicolons",
                format!("{verb}\n{target}\n{date}\n{host}\n{content_hash}"),
            ),
            ("a line feed was signed behind the last line", format!("{expected}\n")),
            ("the lines were joined with CR LF in place of LF", expected.replace('\n', "\r\n")),
        ];
        // Both may be sent, and then only one is the one that is signed.
        for name in ["date", "x-ms-date"] {
            if let Some(other) = self.request.header(name).filter(|other| other != date) {
                mistakes.push((
                    "the other date header was signed",
                    format!("{verb}\n{target}\n{other};{host};{content_hash}"),
                ));
            }
        }
        mistakes
    }

    fn string(&self, verb: &str, path_and_query: &str, host: &str) -> String {
        format!("{verb}\n{path_and_query}\n{};{host};{}", self.date, self.content_hash)
    }
}

/// As most clients encode an id, whose only special character is the colon.
fn colons_encoded(target: &str) -> String {
    let encoded = target.replace(':', "%3A");
    encoded.replace("/%3A", "/:")
}
