//! The text that a signature covers, and what people's own signing code takes in its place.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::request::{Request, percent_decoded};

const HASH_OF_NOTHING: &str = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

/// What the official Java client sends beside its signature: the string that it signed.
pub(super) const STRING_TO_SIGN: &str = "x-ms-hmac-string-to-sign-base64";

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
    pub(super) fn usual_mistakes(&self) -> Vec<(String, String)> {
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
            (
                "date, host and hash were joined with commas in place of semicolons",
                format!("{verb}\n{target}\n{date},{host},{content_hash}"),
            ),
            (
                "the hash was signed before the host",
                format!("{verb}\n{target}\n{date};{content_hash};{host}"),
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
        let mut mistakes: Vec<_> =
            mistakes.into_iter().map(|(reason, text)| (reason.to_owned(), text)).collect();
        for other in other_loopback_hosts(host) {
            let reason = format!("the host signed was {other}, not the Host header");
            mistakes.push((reason, with_host(&other)));
        }
        mistakes
    }

    /// The string that the client says it signed.
    pub(super) fn told_by_the_client(&self) -> Option<String> {
        let bytes = BASE64_STANDARD.decode(self.request.header(STRING_TO_SIGN)?).ok()?;
        String::from_utf8(bytes).ok()
    }

    /// Names where a string departs from the expected one.
    pub(super) fn parts_unlike(&self, told: &str) -> String {
        const NAMES: [&str; 5] =
            ["the verb", "the path with its query", "the date", "the host", "the content hash"];

        let (expected, told) = (self.expected(), parts(told));
        let unlike = NAMES.into_iter().zip(parts(&expected).into_iter().flatten());
        let unlike = unlike.zip(told.into_iter().flatten());
        let names: Vec<&str> = unlike
            .filter_map(|((name, expected), told)| (expected != told).then_some(name))
            .collect();
        if names.is_empty() { "the form".to_owned() } else { names.join(", ") }
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

/// Verb, target, date, host and hash; `None` for what is not three lines with two semicolons.
fn parts(text: &str) -> Option<[&str; 5]> {
    let [verb, target, last] = *text.split('\n').collect::<Vec<_>>() else { return None };
    let [date, host, hash] = *last.split(';').collect::<Vec<_>>() else { return None };
    Some([verb, target, date, host, hash])
}

/// The same machine by its other name, with the port and without.
fn other_loopback_hosts(host: &str) -> Vec<String> {
    let (name, port) = host.split_once(':').map_or((host, ""), |(name, port)| (name, port));
    let other = match name {
        "localhost" => "127.0.0.1",
        "127.0.0.1" => "localhost",
        _ => return Vec::new(),
    };
    vec![format!("{other}:{port}"), other.to_owned()]
}
