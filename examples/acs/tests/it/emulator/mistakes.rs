//! What the log says of the mistakes in `tests/clients`, which people make in bash and Python.
#![allow(clippy::print_stdout, reason = "says what was skipped, and what the log says")]

use serde_json::Value;

use super::*;

/// The bytes from 0 to 63: zeros and line feeds among them.
const ASCII_KEY: &str =
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==";

/// The bytes from 192 to 255.
const HIGH_KEY: &str =
    "wMHCw8TFxsfIycrLzM3Oz9DR0tPU1dbX2Nna29zd3t/g4eLj5OXm5+jp6uvs7e7v8PHy8/T19vf4+fr7/P3+/w==";

/// Runs a script against the program; for each mistake, in their order, its name and what the log
/// says. `None` where a tool that the script needs is missing.
fn log_of(script: &str, key: &str, tools: &[&[&str]]) -> Option<Vec<(String, Option<String>)>> {
    for tool in tools {
        let found = Command::new(tool[0]).args(&tool[1..]).output();
        if !found.is_ok_and(|output| output.status.success()) {
            println!("skipped: there is no {}", tool[0]);
            return None;
        }
    }
    let program = Program::started(emulator().args(["--access-key", key, "--log-format=json"]));
    let address = program.connection_string.split(['/', ';']).nth(2).unwrap();
    let (host, port) = address.split_once(':').unwrap();
    let path = format!("{}/tests/clients/{script}", env!("CARGO_MANIFEST_DIR"));
    let ended = run(Command::new(tools[0][0]).args([&path, host, port, key]));
    assert!(ended.status.success(), "{}", ended.stderr);
    let lines = ended.stdout.lines().map(|sent| {
        let (name, status) = sent.split_once(' ').unwrap();
        let line: Value = serde_json::from_str(&program.log.next()).unwrap();
        assert_eq!(line["clientRequestId"], name);
        assert_eq!(line["status"].to_string(), status);
        let refusal = line["refusal"].as_str().map(str::to_owned);
        println!("{name}: {}", refusal.as_deref().unwrap_or("accepted"));
        (name.to_owned(), refusal)
    });
    Some(lines.collect())
}

fn assert_named(log: Vec<(String, Option<String>)>, expected: &[(&str, &str)]) {
    let names: Vec<&str> = log.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names[0], "right");
    assert!(names[1..].iter().eq(expected.iter().map(|(name, _)| name)), "{names:?}");
    for ((name, refusal), (_, named)) in log.into_iter().skip(1).zip(expected) {
        let refusal = refusal.unwrap_or_default();
        assert!(refusal.contains(named), "{name}: {refusal}");
        assert!(!refusal.contains(ASCII_KEY) && !refusal.contains(HIGH_KEY), "{name}: {refusal}");
    }
}

#[test]
fn mistakes_of_bash_and_openssl_are_named() {
    let tools: &[&[&str]] = &[
        &["bash", "-c", "((BASH_VERSINFO[0] >= 4)) && : </dev/null && type base64 od sed"],
        &["openssl", "version"],
    ];
    let Some(log) = log_of("mistakes.sh", ASCII_KEY, tools) else { return };
    let key_as_text = "match: the access key was not decoded from base64; the string";
    let expected = [
        ("echo", "(bash's echo does both; use printf)"),
        ("echo-n", "a backslash and an n were signed instead of line feeds (in bash, use"),
        ("here-string", "match: a line feed was signed after the last line; the string"),
        ("crlf", "match: the lines were ended with CR LF instead of LF"),
        ("no-query", "match: the query was not signed; the string"),
        ("url", "match: the whole URL was signed instead of the path; the string"),
        ("lower-case-verb", "match: the verb was signed in lower case; the string"),
        ("lower-case-date", "match: the date was signed in lower case; the string"),
        ("scheme", "match: the host was signed with a scheme; the string"),
        ("localhost", "match: the host signed was localhost:"),
        ("spaces", "hash were joined with semicolons and spaces instead of semicolons; the"),
        ("signed-hex", "match: the hash was signed in hexadecimal; the string"),
        ("key-as-text", key_as_text),
        ("key-as-text-with-echo", "not decoded from base64, and a backslash and an n were signed"),
        ("key-in-a-variable", "the decoded key lost zero bytes or line feeds"),
        ("hex-signature", "the signature is not the base64 of 32 bytes: that is hexadecimal"),
        ("base64-of-hex", "of 32 bytes: that is the base64 of hexadecimal digits"),
        ("hash-of-echo", ": a line feed was hashed after the body, as bash's echo adds it"),
        ("hash-in-hex", ": that is hexadecimal, not base64"),
        ("hash-of-hex", ": that is the base64 of hexadecimal digits, not of the hash's 32 bytes"),
        ("date-sent-in-lower-case", "the real service may not mind the letter case"),
        ("date-of-the-shell", "not a date like \"Wed, 13 Apr 2022 18:09:12 GMT\""),
        ("other-order", "list of signed headers is \"host;x-ms-date;x-ms-content-sha256\": the"),
    ];
    assert_named(log, &expected);
}

#[test]
fn mistakes_of_python_are_named() {
    let Some(log) = log_of("mistakes.py", HIGH_KEY, &[&["python3", "--version"]]) else { return };
    let expected = [
        ("raw-string", "match: a backslash and an n were signed instead of line feeds"),
        ("decoded-path", "match: the path was signed decoded but sent encoded; the string"),
        ("hash-first", "match: the hash was signed before the host; the string"),
        ("other-verb", "match: the verb signed was GET, not POST; the string"),
        ("all-line-feeds", "hash were joined with line feeds instead of semicolons; the"),
        ("other-host-without-port", "match: the host signed was localhost, but the Host header is"),
        ("date-taken-twice", "match: the date was taken twice, once to sign it and once to send"),
        ("iso-date-signed", "match: the date was signed in the form of ISO 8601; the string"),
        ("utc-for-gmt", "match: the date was signed with UTC instead of GMT; the string"),
        ("hash-of-nothing", "match: the hash of an empty body was signed; the string"),
        ("body-for-hash", "match: the body was signed instead of its hash; the string"),
        (
            "another-host-entirely",
            "differs (to learn which, send yours in base64 as x-ms-hmac-string-to-sign-base64)",
        ),
        ("key-as-text", "match: the access key was not decoded from base64; the string"),
        ("key-as-text-and-raw-string", "not decoded from base64, and a backslash and an n were"),
        ("key-as-latin-1", "match: the decoded key was encoded as UTF-8; the string"),
        ("hexdigest", "not the base64 of 32 bytes: that is hexadecimal"),
        ("base64-of-hexdigest", "of 32 bytes: that is the base64 of hexadecimal digits"),
        ("bytes-as-text", ": that is how Python prints bytes: decode them to text"),
        ("urlsafe", ": that is base64url, with - and _ instead of + and /"),
        ("no-padding", ": the = at its end is missing"),
        ("hash-of-other-spaces", ": the JSON was hashed with other spaces than it was sent with"),
        ("hash-of-no-spaces", ": the JSON was hashed with other spaces than it was sent with"),
        ("hash-of-an-empty-body", ": that is the hash of an empty body"),
        ("hash-as-bytes", ": that is how Python prints bytes: decode them to text"),
        ("iso-date", "not a date like \"Wed, 13 Apr 2022 18:09:12 GMT\""),
        ("date-without-zone", "not a date like \"Wed, 13 Apr 2022 18:09:12 GMT\""),
        ("other-scheme", "the scheme is not HMAC-SHA256: the Authorization header has to be"),
    ];
    assert_named(log, &expected);
}
