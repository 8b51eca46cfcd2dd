//! The text that a signature covers, and what people's own signing code takes in its place.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

use super::key::{SharedKey, hex, hmac_sha256};
use crate::emulator::date::dotnet_rfc3339;
use crate::emulator::request::{Request, percent_decoded};
use crate::timestamp;

pub(super) const HASH_OF_NOTHING: &str = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

/// A header of the official Java client: the string that it signed.
pub(super) const STRING_TO_SIGN: &str = "x-ms-hmac-string-to-sign-base64";

/// What a signature is made of: the parts of the text, what joins them, and the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Verb,
    Target,
    Date,
    Host,
    Hash,
    /// Between date, host and hash.
    Separator,
    /// What ends the first two lines, and behind a NUL what ends the last.
    LineEnds,
    /// Whether the hash stands before the host.
    Order,
    Key,
}

/// A part, what people's own code takes for it, and how that is called.
pub(super) struct Mistake {
    pub(super) part: Part,
    value: Vec<u8>,
    pub(super) name: String,
}

/// The parts of the string to sign as they came.
pub(super) struct Signed<'a> {
    pub(super) request: &'a Request,
    pub(super) date: &'a str,
    pub(super) host: &'a str,
    pub(super) content_hash: &'a str,
}

const WRONG_LINE_ENDS: [(&str, &str); 8] = [
    (
        "\\n\0\n",
        "a backslash and an n were signed in place of line feeds, and a line feed after the last line (bash's echo does both; use printf)",
    ),
    (
        "\\n\0",
        "a backslash and an n were signed in place of line feeds (in bash, use printf or $'\\n')",
    ),
    ("\n\0\n", "a line feed was signed after the last line"),
    ("\r\n\0", "the lines were joined with CR LF in place of LF"),
    ("\r\n\0\r\n", "the lines were ended with CR LF in place of LF"),
    ("\r\n\0\r", "the lines were ended with CR LF in place of LF"),
    ("\0", "the lines were joined without line feeds"),
    (" \0", "the lines were joined with spaces in place of line feeds"),
];

const WRONG_SEPARATORS: [(&str, &str); 6] = [
    ("\n", "date, host and hash were joined with line feeds in place of semicolons"),
    (",", "date, host and hash were joined with commas in place of semicolons"),
    ("; ", "date, host and hash were joined with semicolons and spaces in place of semicolons"),
    ("&", "date, host and hash were joined with ampersands in place of semicolons"),
    ("\\n", "date, host and hash were joined with backslashes and n in place of semicolons"),
    ("", "date, host and hash were joined without semicolons"),
];

const NO_SLASH: &str = "the path was signed without its leading slash";
const NO_SLASH_IN_PYTHON: &str = "the path was signed without its leading slash (Python's SDKs before 1.4.0 do so over http: they need https)";
const WHOLE_URL: &str = "the whole URL was signed in place of the path";
const WITH_SCHEME: &str = "the host was signed with a scheme";
const NOT_DECODED: &str = "the access key was not decoded from base64";
const TAKEN_TWICE: &str = "the date was taken twice, once to sign it and once to send it";
const ISO_8601: &str = "the date was signed in the form of ISO 8601";

impl Signed<'_> {
    /// As the service reads it, over the target exactly as it was sent.
    pub(super) fn expected(&self) -> String {
        self.text_with(&[])
    }

    /// Java signs the host without its port, and the service takes it.
    pub(super) fn expected_without_port(&self) -> Option<String> {
        let (host, port) = self.host.rsplit_once(':')?;
        let is_port = port.bytes().all(|byte| byte.is_ascii_digit());
        is_port.then(|| Signed { host, ..*self }.expected())
    }

    /// The text with these mistakes in it.
    pub(super) fn text_with(&self, mistakes: &[&Mistake]) -> String {
        let part = |part: Part, right: &str| {
            let wrong = mistakes.iter().find(|mistake| mistake.part == part);
            wrong.map_or(right.to_owned(), |it| String::from_utf8_lossy(&it.value).into_owned())
        };
        let verb = part(Part::Verb, self.request.method.as_str());
        let target = part(Part::Target, self.request.path_and_query());
        let date = part(Part::Date, self.date);
        let mut last = [part(Part::Host, self.host), part(Part::Hash, self.content_hash)];
        if !part(Part::Order, "").is_empty() {
            last.reverse();
        }
        let last = [&[date][..], &last].concat().join(&part(Part::Separator, ";"));
        let line_ends = part(Part::LineEnds, "\n\0");
        let (line_end, end) = line_ends.split_once('\0').unwrap_or_default();
        format!("{verb}{line_end}{target}{line_end}{last}{end}")
    }

    /// Whether the signature is one with these mistakes.
    pub(super) fn signs(&self, key: &SharedKey, mistakes: &[&Mistake], signature: &[u8]) -> bool {
        let wrong = mistakes.iter().find(|mistake| mistake.part == Part::Key);
        let key = wrong.map_or(&key.bytes, |mistake| &mistake.value);
        hmac_sha256(key, &self.text_with(mistakes))[..] == *signature
    }

    /// What people's own signing code gets wrong.
    pub(super) fn usual_mistakes(&self, key: &SharedKey) -> Vec<Mistake> {
        let verb = self.request.method.as_str();
        let lower_case = (verb.to_lowercase(), "the verb was signed in lower case".to_owned());
        let verbs = ["GET", "POST", "PUT", "PATCH", "DELETE"]
            .map(|other| (other.to_owned(), format!("the verb signed was {other}, not {verb}")));
        named(Part::Key, wrong_keys(key))
            .chain(named(Part::LineEnds, WRONG_LINE_ENDS))
            .chain(named(Part::Separator, WRONG_SEPARATORS))
            .chain(named(Part::Order, [("hash, host", "the hash was signed before the host")]))
            .chain(named(Part::Target, self.wrong_targets()))
            .chain(named(Part::Host, self.wrong_hosts()))
            .chain(named(Part::Date, self.wrong_dates()))
            .chain(named(Part::Hash, self.wrong_hashes()))
            .chain(named(Part::Verb, [lower_case].into_iter().chain(verbs)))
            .collect()
    }

    fn wrong_targets(&self) -> [(String, &'static str); 10] {
        let target = self.request.path_and_query();
        let decoded = percent_decoded(target).unwrap_or_default();
        let encoded_colons = target.replace(':', "%3A").replace("/%3A", "/:");
        let client = self.request.header("user-agent").unwrap_or_default();
        let no_slash = if client.contains("azsdk-python") { NO_SLASH_IN_PYTHON } else { NO_SLASH };
        [
            (decoded, "the path was signed decoded but sent encoded"),
            (encoded_colons, "the path was signed encoded but sent decoded"),
            (target.replace("%3A", "%3a"), "the path was signed with %3a but sent with %3A"),
            (target.replace("%3a", "%3A"), "the path was signed with %3A but sent with %3a"),
            (target.replace('%', "%25"), "the path was encoded twice before it was signed"),
            (self.request.path().to_owned(), "the query was not signed"),
            (target.trim_start_matches('/').to_owned(), no_slash),
            (format!("http://{}{target}", self.host), WHOLE_URL),
            (format!("https://{}{target}", self.host), WHOLE_URL),
            (target.to_lowercase(), "the path was signed in lower case"),
        ]
    }

    fn wrong_hosts(&self) -> Vec<(String, String)> {
        let (host, port) = (self.host, self.request.address.port());
        let (name, _) = host.rsplit_once(':').unwrap_or((host, ""));
        let mut hosts = vec![
            (format!("http://{host}"), WITH_SCHEME.to_owned()),
            (format!("https://{host}"), WITH_SCHEME.to_owned()),
            (format!("{host}/"), "the host was signed with a slash behind it".to_owned()),
            (String::new(), "the host was not signed".to_owned()),
        ];
        let names =
            [name, "localhost", "127.0.0.1", "[::1]", "::1", "0.0.0.0", "host.docker.internal"];
        let forwarded = ["x-forwarded-host", "x-original-host"].map(|it| self.request.header(it));
        let others = names.into_iter().chain(forwarded.into_iter().flatten());
        let others = others.flat_map(|name| [format!("{name}:{port}"), name.to_owned()]);
        let others = others.chain([":80", ":443"].map(|port| format!("{name}{port}")));
        for other in others.chain([host.to_lowercase(), host.to_uppercase()]) {
            let name = format!("the host signed was {other}, but the Host header is {host}");
            hosts.push((other, name));
        }
        hosts
    }

    fn wrong_dates(&self) -> Vec<(String, &'static str)> {
        let date = self.date;
        let mut dates = vec![
            (date.to_lowercase(), "the date was signed in lower case"),
            (date.replace("GMT", "+0000"), "the date was signed with +0000 in place of GMT"),
            (date.replace("GMT", "UTC"), "the date was signed with UTC in place of GMT"),
            (date.replace(", 0", ", "), "the day was signed with one digit"),
        ];
        // Both may be sent, and then only one is the one that is signed.
        for other in ["date", "x-ms-date"].into_iter().filter_map(|name| self.request.header(name))
        {
            dates.push((other.to_owned(), "the other date header was signed"));
        }
        let Ok(instant) = httpdate::parse_http_date(date) else { return dates };
        for by in [1, 2, 3].map(Duration::from_secs) {
            let near = [instant.checked_sub(by), instant.checked_add(by)];
            let near = near.into_iter().flatten().filter_map(timestamp::http_date);
            dates.extend(near.map(|near| (near, TAKEN_TWICE)));
        }
        let iso = dotnet_rfc3339(instant);
        dates.push((iso.replace("+00:00", "Z"), ISO_8601));
        dates.push((iso, ISO_8601));
        dates
    }

    fn wrong_hashes(&self) -> [(String, &'static str); 5] {
        let body = &self.request.body;
        let digits = hex(&Sha256::digest(body));
        [
            (HASH_OF_NOTHING.to_owned(), "the hash of an empty body was signed"),
            (BASE64_STANDARD.encode(&digits), "the hash was signed as base64 of hexadecimal"),
            (digits, "the hash was signed in hexadecimal"),
            (String::new(), "the hash was not signed"),
            (
                String::from_utf8_lossy(body).into_owned(),
                "the body was signed in place of its hash",
            ),
        ]
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
}

/// Mistakes in one part of the text.
fn named<V: Into<Vec<u8>>, N: Into<String>>(
    part: Part,
    wrong: impl IntoIterator<Item = (V, N)>,
) -> impl Iterator<Item = Mistake> {
    let mistake =
        move |(value, name): (V, N)| Mistake { part, value: value.into(), name: name.into() };
    wrong.into_iter().map(mistake)
}

fn wrong_keys(key: &SharedKey) -> [(Vec<u8>, &'static str); 6] {
    let one_char_a_byte: String = key.bytes.iter().map(|byte| char::from(*byte)).collect();
    // Variables of a shell hold no zero bytes, and $(…) drops line feeds at the end.
    let mut in_a_variable = key.bytes.clone();
    in_a_variable.retain(|byte| *byte != 0);
    while in_a_variable.pop_if(|byte| *byte == b'\n').is_some() {}
    [
        (key.text.clone().into_bytes(), NOT_DECODED),
        (format!("{}\n", key.text).into_bytes(), NOT_DECODED),
        (hex(&key.bytes).into_bytes(), "the hexadecimal digits of the key were used as its bytes"),
        (one_char_a_byte.into_bytes(), "the decoded key was encoded as UTF-8"),
        (
            in_a_variable,
            "the decoded key lost zero bytes or line feeds, as it does in a variable of a shell",
        ),
        ([&key.bytes[..], b"\n"].concat(), "a line feed was added to the decoded key"),
    ]
}

/// Verb, target, date, host and hash; `None` for what is not three lines with two semicolons.
fn parts(text: &str) -> Option<[&str; 5]> {
    let [verb, target, last] = *text.split('\n').collect::<Vec<_>>() else { return None };
    let [date, host, hash] = *last.split(';').collect::<Vec<_>>() else { return None };
    Some([verb, target, date, host, hash])
}
