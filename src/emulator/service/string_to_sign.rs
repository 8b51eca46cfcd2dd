//! The text that a signature covers, and what people's own signing code takes in its place.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

use super::key::{SharedKey, hex, hmac_sha256};
use crate::emulator::clock::dotnet_rfc3339;
use crate::emulator::request::{Request, percent_decoded};
use crate::timestamp;

/// The text that a signature covers, in parts.
#[derive(Clone)]
pub(super) struct Signed<'a> {
    pub(super) request: &'a Request,
    pub(super) key: &'a SharedKey,
    verb: String,
    target: String,
    date: String,
    host: String,
    content_hash: String,
    /// Between date, host and hash.
    separator: String,
    /// Behind each of the first two lines, and behind the last.
    line_ends: [&'static str; 2],
    is_hash_first: bool,
    key_bytes: Vec<u8>,
}

/// A mistake's name, and what it makes of the text.
type Mistake<'a> = (String, Signed<'a>);

pub(super) const HASH_OF_NOTHING: &str = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

const WRONG_LINE_ENDS: [([&str; 2], &str); 8] = [
    (
        ["\\n", "\n"],
        "a backslash and an n were signed instead of line feeds, and a line feed after the last line (bash's echo does both; use printf)",
    ),
    (
        ["\\n", ""],
        "a backslash and an n were signed instead of line feeds (in bash, use printf or $'\\n')",
    ),
    (["\n", "\n"], "a line feed was signed after the last line"),
    (["\r\n", ""], "the lines were joined with CR LF instead of LF"),
    (["\r\n", "\r\n"], "the lines were ended with CR LF instead of LF"),
    (["\r\n", "\r"], "the lines were ended with CR LF instead of LF"),
    (["", ""], "the lines were joined without line feeds"),
    ([" ", ""], "the lines were joined with spaces instead of line feeds"),
];

const WRONG_SEPARATORS: [(&str, &str); 6] = [
    ("\n", "date, host and hash were joined with line feeds instead of semicolons"),
    (",", "date, host and hash were joined with commas instead of semicolons"),
    ("; ", "date, host and hash were joined with semicolons and spaces instead of semicolons"),
    ("&", "date, host and hash were joined with ampersands instead of semicolons"),
    ("\\n", "date, host and hash were joined with backslashes and n instead of semicolons"),
    ("", "date, host and hash were joined without semicolons"),
];

const NO_SLASH: &str = "the path was signed without its leading slash";
const NO_SLASH_IN_PYTHON: &str = "the path was signed without its leading slash (Python's SDKs before 1.4.0 do so over http: they need https)";
const WHOLE_URL: &str = "the whole URL was signed instead of the path";
const WITH_SCHEME: &str = "the host was signed with a scheme";
const NOT_DECODED: &str = "the access key was not decoded from base64";
const TAKEN_TWICE: &str = "the date was taken twice, once to sign it and once to send it";
const ISO_8601: &str = "the date was signed in the form of ISO 8601";

impl<'a> Signed<'a> {
    pub(super) fn new(request: &'a Request, signed: [&str; 3], key: &'a SharedKey) -> Self {
        let [date, host, content_hash] = signed.map(str::to_owned);
        Self {
            request,
            key,
            verb: request.method.to_string(),
            target: request.path_and_query().to_owned(),
            date,
            host,
            content_hash,
            separator: ";".to_owned(),
            line_ends: ["\n", ""],
            is_hash_first: false,
            key_bytes: key.bytes.clone(),
        }
    }

    pub(super) fn text(&self) -> String {
        let Self { verb, target, date, host, content_hash, line_ends: [line_end, end], .. } = self;
        let mut last = [date.as_str(), host, content_hash];
        if self.is_hash_first {
            last = [date, content_hash, host];
        }
        let last = last.join(&self.separator);
        format!("{verb}{line_end}{target}{line_end}{last}{end}")
    }

    pub(super) fn has_signature(&self, signature: &[u8]) -> bool {
        hmac_sha256(&self.key_bytes, &self.text())[..] == *signature
    }

    /// As Java signs it; the service takes it.
    pub(super) fn without_port(&self) -> Option<Self> {
        let (host, port) = self.host.rsplit_once(':')?;
        let is_port = port.bytes().all(|byte| byte.is_ascii_digit());
        is_port.then(|| Self { host: host.to_owned(), ..self.clone() })
    }

    /// What people's own signing code gets wrong.
    pub(super) fn mistakes(&self) -> Vec<Mistake<'a>> {
        let (verb, hash_first) = (&self.verb, Self { is_hash_first: true, ..self.clone() });
        let verbs = ["GET", "POST", "PUT", "PATCH", "DELETE"]
            .map(|other| (other, format!("the verb signed was {other}, not {verb}")));
        [
            self.general_mistakes(),
            vec![("the hash was signed before the host".to_owned(), hash_first)],
            self.vary(|it| &mut it.separator, WRONG_SEPARATORS),
            self.vary(|it| &mut it.target, self.wrong_targets()),
            self.vary(|it| &mut it.host, self.wrong_hosts()),
            self.vary(|it| &mut it.date, self.wrong_dates()),
            self.vary(|it| &mut it.content_hash, wrong_hashes(&self.request.body)),
            self.vary(
                |it| &mut it.verb,
                [(verb.to_lowercase(), "the verb was signed in lower case")],
            ),
            self.vary(|it| &mut it.verb, verbs),
        ]
        .concat()
    }

    /// Those that often come with another one.
    pub(super) fn general_mistakes(&self) -> Vec<Mistake<'a>> {
        let keys = wrong_keys(self.key)
            .map(|(key_bytes, name)| (name.to_owned(), Self { key_bytes, ..self.clone() }));
        let line_ends = WRONG_LINE_ENDS
            .map(|(line_ends, name)| (name.to_owned(), Self { line_ends, ..self.clone() }));
        keys.into_iter().chain(line_ends).collect()
    }

    fn vary<V: Into<String>, N: Into<String>>(
        &self,
        part: fn(&mut Self) -> &mut String,
        wrong: impl IntoIterator<Item = (V, N)>,
    ) -> Vec<Mistake<'a>> {
        let mistake = |(value, name): (V, N)| {
            let mut signed = self.clone();
            *part(&mut signed) = value.into();
            (name.into(), signed)
        };
        wrong.into_iter().map(mistake).collect()
    }

    fn wrong_targets(&self) -> [(String, &'static str); 10] {
        let target = self.target.as_str();
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
        let (host, port) =
            (self.host.as_str(), self.request.address.map_or(0, |address| address.port()));
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
        let date = self.date.as_str();
        let mut dates = vec![
            (date.to_lowercase(), "the date was signed in lower case"),
            (date.replace("GMT", "+0000"), "the date was signed with +0000 instead of GMT"),
            (date.replace("GMT", "UTC"), "the date was signed with UTC instead of GMT"),
            (date.replace(", 0", ", "), "the day was signed with one digit"),
        ];
        // Both may be sent, and then only one is the one that is signed.
        for other in ["date", "x-ms-date"].into_iter().filter_map(|it| self.request.header(it)) {
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
}

fn wrong_hashes(body: &[u8]) -> [(String, &'static str); 5] {
    let digits = hex(&Sha256::digest(body));
    [
        (HASH_OF_NOTHING.to_owned(), "the hash of an empty body was signed"),
        (BASE64_STANDARD.encode(&digits), "the hash was signed as base64 of hexadecimal"),
        (digits, "the hash was signed in hexadecimal"),
        (String::new(), "the hash was not signed"),
        (String::from_utf8_lossy(body).into_owned(), "the body was signed instead of its hash"),
    ]
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
