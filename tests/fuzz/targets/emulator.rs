//! The emulator's whole request path, over a socket.
//!
//! The first byte chooses: the bytes as they are; or a signed request whose target and body are
//! around the first `|>`, `\u{1}` standing for the id of a user that exists. A second `|>` begins
//! another request on the same connection.
#![no_main]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use acs_identity::emulator::Emulator;
use acs_identity::ureq::http::Uri;
use acs_identity::{AccessKey, CommunicationIdentityClient, RequestToSign};
use acs_identity_fuzz::KEY;
use libfuzzer_sys::fuzz_target;

const METHODS: [&str; 6] = ["POST", "GET", "DELETE", "PUT", "PATCH", "HEAD"];

/// Users are never forgotten, so an emulator serves so many inputs and then gives way to another.
const INPUTS: u32 = 20_000;

struct Setting {
    emulator: Emulator,
    key: AccessKey,
    user: String,
    inputs: u32,
}

impl Setting {
    fn new() -> Self {
        let emulator = Emulator::builder().access_key(KEY).on_request(|request| {
            let shown = format!("{request:?}");
            assert!(!shown.contains(KEY), "{shown}");
        });
        let emulator = emulator.start().unwrap();
        let client =
            CommunicationIdentityClient::from_connection_string(&emulator.connection_string());
        let user = client.unwrap().create_user().unwrap().identifier().to_owned();
        Self { emulator, key: KEY.parse().unwrap(), user, inputs: 0 }
    }
}

static SETTING: Mutex<Option<Setting>> = Mutex::new(None);

fuzz_target!(|input: &[u8]| {
    let [how, bytes @ ..] = input else { return };
    let mut setting = SETTING.lock().unwrap();
    if setting.as_ref().is_none_or(|setting| setting.inputs == INPUTS) {
        *setting = Some(Setting::new());
    }
    let setting = setting.as_mut().unwrap();
    setting.inputs += 1;
    let address = setting.emulator.endpoint().replace("http://", "");
    let (sent, count) = match how {
        0..128 => (bytes.to_owned(), None),
        _ => {
            let pairs: Vec<&[u8]> = split(bytes);
            let requests = pairs.chunks(2).map(|pair| signed(setting, &address, how & 7, pair));
            let Some(requests) = requests.collect::<Option<Vec<_>>>() else { return };
            (requests.concat(), Some(requests.len()))
        }
    };

    let mut stream = TcpStream::connect(&address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
    // It may have refused already, and hung up.
    let whole = stream.write_all(&sent).is_ok();
    let _ = stream.shutdown(Shutdown::Write);
    let mut received = Vec::new();
    let ended = stream.read_to_end(&mut received).is_ok();
    assert!(!received.windows(KEY.len()).any(|window| window == KEY.as_bytes()));
    // What a HEAD gets has the length of a body, and none.
    let bodiless = sent.windows(4).any(|window| window == b"HEAD");
    // A request to the emulator itself may have made it fail on purpose, so another takes its place.
    let controls = sent.windows(9).any(|window| window == b"/emulator");
    if controls {
        setting.inputs = INPUTS;
    }
    if whole && ended && !bodiless {
        let statuses = statuses(&received);
        assert!(controls || !statuses.contains(&500), "{statuses:?}");
        // A request that is too large is refused, and ends its connection.
        let is_cut = matches!(statuses.last(), Some(413 | 431));
        let all = |count| count == statuses.len() || is_cut && count > statuses.len();
        assert!(count.is_none_or(all), "{count:?}: {statuses:?}");
    }
});

/// The statuses of responses that are each well-formed and whole.
fn statuses(mut bytes: &[u8]) -> Vec<u16> {
    let mut statuses = Vec::new();
    while !bytes.is_empty() {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        bytes = &bytes[end + 4..];
        let status = head.strip_prefix("HTTP/1.1 ").unwrap()[..3].parse().unwrap();
        let header = |name: &str| {
            let mut lines = head.lines().skip(1).map(|line| line.split_once(": ").unwrap());
            lines.find(|(sent, _)| sent.eq_ignore_ascii_case(name)).map(|(_, value)| value)
        };
        if header("transfer-encoding") == Some("chunked") {
            let size = |bytes: &[u8]| {
                let end = bytes.windows(2).position(|window| window == b"\r\n").unwrap();
                let digits = std::str::from_utf8(&bytes[..end]).unwrap();
                (end + 2, usize::from_str_radix(digits, 16).unwrap())
            };
            loop {
                let (skipped, size) = size(bytes);
                bytes = bytes[skipped + size..].strip_prefix(b"\r\n").unwrap();
                if size == 0 {
                    break;
                }
            }
        } else if let Some(length) = header("content-length") {
            bytes = &bytes[length.parse().unwrap()..];
        }
        if status >= 200 {
            statuses.push(status);
        }
    }
    statuses
}

/// A request with a proper signature; `None` if it cannot be written.
fn signed(setting: &Setting, host: &str, method: u8, parts: &[&[u8]]) -> Option<Vec<u8>> {
    let method = METHODS[usize::from(method) % METHODS.len()];
    let encoded = setting.user.replace(':', "%3A");
    let target = std::str::from_utf8(parts[0]).ok()?.replace('\u{1}', &encoded);
    let proper = target.starts_with('/')
        && target.bytes().all(|byte| byte.is_ascii_graphic())
        && target.parse::<Uri>().is_ok();
    if !proper {
        return None;
    }
    let body = parts.get(1).copied().unwrap_or_default();
    let body = String::from_utf8_lossy(body).replace('\u{1}', &setting.user);
    let request = RequestToSign { method, host, path_and_query: &target, body: body.as_bytes() };
    let signed = setting.key.sign(&request, SystemTime::now()).unwrap();
    let mut text = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n");
    for (name, value) in signed.headers() {
        text.extend([name, ": ", value, "\r\n"]);
    }
    text.push_str(&format!(
        "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    Some(text.into_bytes())
}

fn split(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    while let Some(at) = bytes.windows(2).position(|pair| pair == b"|>") {
        parts.push(&bytes[..at]);
        bytes = &bytes[at + 2..];
    }
    parts.push(bytes);
    parts
}
