//! Signs a request to another ACS service: an e-mail, built and signed, but not sent.
//!
//! ```console
//! $ cargo run --example sign_an_email -- [--show-signature] [SECONDS_SINCE_1970]
//! ```
//!
//! All ACS services use the same signatures, so [`AccessKey::sign`](acs_identity::AccessKey::sign)
//! works for each of them. Without `COMMUNICATION_SERVICES_CONNECTION_STRING`, it signs with a made-up
//! key.
//!
//! Copied into a package of your own, it needs:
//!
//! ```console
//! $ cargo add acs-identity
//! $ cargo add serde_json
//! ```

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use acs_identity::{ConnectionString, RequestToSign};
use serde_json::json;

const VARIABLE: &str = "COMMUNICATION_SERVICES_CONNECTION_STRING";
const MADE_UP: &str = "endpoint=https://contoso.communication.azure.com/;accesskey=bWFkZSB1cA==";

fn main() -> ExitCode {
    let Some((show_signature, at)) = parse(env::args_os().skip(1)) else {
        let usage = "takes [--show-signature] [SECONDS_SINCE_1970], and nothing else";
        let _ = writeln!(io::stderr(), "sign_an_email: {usage}");
        return ExitCode::from(2);
    };
    match run(show_signature, at) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "sign_an_email: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn parse(arguments: impl Iterator<Item = OsString>) -> Option<(bool, SystemTime)> {
    let (mut show_signature, mut at) = (false, SystemTime::now());
    for argument in arguments {
        match argument.to_str()? {
            "--show-signature" => show_signature = true,
            seconds => {
                at = UNIX_EPOCH + Duration::from_secs(seconds.parse::<u32>().ok()?.into());
            }
        }
    }
    Some((show_signature, at))
}

fn run(show_signature: bool, at: SystemTime) -> Result<(), Box<dyn Error>> {
    let connection_string = connection_string()?.unwrap_or_else(|| {
        let _ = writeln!(io::stderr(), "{VARIABLE} is not set: signing with a made-up key");
        MADE_UP.to_owned()
    });
    let (endpoint, key) = connection_string.parse::<ConnectionString>()?.into_parts();

    // Serialized once: the bytes signed must be the bytes sent.
    let body = json!({
        "senderAddress": "DoNotReply@contoso.com",
        "recipients": { "to": [{ "address": "alice@example.com" }] },
        "content": { "subject": "Hello", "plainText": "Hello, Alice." },
    })
    .to_string();
    let request = RequestToSign {
        method: "POST",
        // As in the Host header: lower case, without the default port.
        host: endpoint.host(),
        // The query is signed as well.
        path_and_query: "/emails:send?api-version=2023-03-31",
        body: body.as_bytes(),
    };
    // The service rejects an old date, so sign every attempt anew.
    let signed = key.sign(&request, at)?;

    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{} {} HTTP/1.1", request.method, request.path_and_query)?;
    writeln!(stdout, "host: {}", request.host)?;
    writeln!(stdout, "content-type: application/json")?;
    for (name, value) in signed.headers() {
        // Anyone who reads it can send this e-mail while the date is fresh.
        let hidden = name == "authorization" && !show_signature;
        writeln!(stdout, "{name}: {}", if hidden { "[redacted]" } else { value })?;
    }
    writeln!(stdout, "\n{body}")?;
    Ok(())
}

/// Returns the connection string, if there is one. CI systems leave the variable empty if a secret is
/// missing.
fn connection_string() -> Result<Option<String>, String> {
    let Some(text) = env::var_os(VARIABLE).filter(|text| !text.is_empty()) else { return Ok(None) };
    text.into_string().map(Some).map_err(|_| format!("{VARIABLE} is not valid UTF-8"))
}
