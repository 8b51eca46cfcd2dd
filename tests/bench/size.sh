#!/usr/bin/env bash
# What the library adds to a program's executable and to its build, over the same program written by hand on the
# library's seven dependencies. Needs Rust and, once, the crates.io registry; no other build should run meanwhile.
#
#   size.sh size [KIB]   stripped release executables; fails if the library adds more than KIB
#   size.sh build [N]    N clean dev builds of each (3 if not given), in turn: seconds of wall clock and of processor time
set -euo pipefail
library=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The library's own dependencies, with its features, and their locked versions.
dependencies=$(sed -n '/^\[dependencies\]/,/^\[/p' "$library/Cargo.toml" | grep -E '^[a-z0-9_-]+ = ' | grep -v 'optional = true')
dependencies=${dependencies/default-features = false \}/default-features = false, features = [\"rustls\"] \}}
for program in by-hand library; do
    mkdir -p "$work/$program/src"
    cp "$library/Cargo.lock" "$work/$program/"
    printf '[package]\nname = "%s"\nversion = "0.0.0"\nedition = "2024"\n\n[profile.release]\nstrip = true\n\n[dependencies]\n' \
        "$program" >"$work/$program/Cargo.toml"
done
echo "$dependencies" >>"$work/by-hand/Cargo.toml"
echo "acs-identity = { path = \"$library\" }" >>"$work/library/Cargo.toml"

cat >"$work/library/src/main.rs" <<'RUST'
use acs_identity::CommunicationIdentityClient;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let client = CommunicationIdentityClient::from_connection_string(&std::env::var("CONNECTION_STRING")?)?;
    let user = client.create_user()?;
    let token = client.issue_token(&user, ["voip"])?;
    println!("{user} {} {}", token.token(), token.expires_on_text());
    client.delete_user(&user)?;
    Ok(())
}
RUST
cat >"$work/by-hand/src/main.rs" <<'RUST'
use std::error::Error;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Serialize as _;
use sha2::{Digest as _, Sha256};
use ureq::http::{Method, Request};

type Outcome<T> = Result<T, Box<dyn Error>>;

struct Client {
    agent: ureq::Agent,
    endpoint: String,
    host: String,
    key: Hmac<Sha256>,
}

impl Client {
    fn new(connection_string: &str) -> Outcome<Self> {
        let setting = |name: &str| {
            let mut settings = connection_string.split(';').filter_map(|it| it.split_once('='));
            settings.find(|it| it.0.eq_ignore_ascii_case(name)).map(|it| it.1.trim()).ok_or("a setting is missing")
        };
        let endpoint = setting("endpoint")?.trim_end_matches('/').to_owned();
        let host = endpoint.split_once("://").ok_or("the endpoint is no URL")?.1.to_owned();
        let key = Hmac::new_from_slice(&BASE64_STANDARD.decode(setting("accesskey")?)?)?;
        let timeout = Some(Duration::from_secs(30));
        let config = ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0);
        let config = config.timeout_connect(timeout).timeout_recv_response(timeout).timeout_recv_body(timeout);
        Ok(Self { agent: config.build().new_agent(), endpoint, host, key })
    }

    fn call(&self, method: Method, path: &str, body: &serde_json::Value) -> Outcome<serde_json::Value> {
        let mut bytes = Vec::new();
        if !body.is_null() {
            body.serialize(&mut serde_json::Serializer::new(&mut bytes))?;
        }
        let target = format!("{path}?api-version=2023-10-01");
        let date = httpdate::fmt_http_date(SystemTime::now());
        let hash = BASE64_STANDARD.encode(Sha256::digest(&bytes));
        let text = format!("{method}\n{target}\n{date};{};{hash}", self.host);
        let signature = BASE64_STANDARD.encode(self.key.clone().chain_update(text).finalize().into_bytes());
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{target}", self.endpoint))
            .header("content-type", "application/json")
            .header("x-ms-date", date)
            .header("x-ms-content-sha256", hash)
            .header(
                "authorization",
                format!("HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature={signature}"),
            )
            .body(&bytes[..])?;
        let mut response = self.agent.run(request)?;
        let body = response.body_mut().read_to_vec()?;
        if !response.status().is_success() {
            return Err(format!("{}: {}", response.status(), String::from_utf8_lossy(&body)).into());
        }
        Ok(if body.is_empty() { serde_json::Value::Null } else { serde_json::from_slice(&body)? })
    }
}

fn text<'a>(json: &'a serde_json::Value, name: &str) -> Outcome<&'a str> {
    json.get(name).and_then(|it| it.as_str()).ok_or_else(|| format!("no {name} in the response").into())
}

fn main() -> Outcome<()> {
    let client = Client::new(&std::env::var("CONNECTION_STRING")?)?;
    let created = client.call(Method::POST, "/identities", &serde_json::json!({}))?;
    let user = text(&created["identity"], "id")?;
    let path = format!("/identities/{}", user.replace(':', "%3A"));
    let body = serde_json::json!({ "scopes": ["voip"] });
    let issued = client.call(Method::POST, &format!("{path}/:issueAccessToken"), &body)?;
    println!("{user} {} {}", text(&issued, "token")?, text(&issued, "expiresOn")?);
    client.call(Method::DELETE, &path, &serde_json::Value::Null)?;
    Ok(())
}
RUST

# The lock file names the library's package and tests; what these programs need of it is kept.
for program in by-hand library; do
    cargo metadata --quiet --format-version 1 --manifest-path "$work/$program/Cargo.toml" >/dev/null
done

case ${1:-} in
size)
    bytes() {
        CARGO_TARGET_DIR=$work/target cargo build --quiet --release --manifest-path "$work/$1/Cargo.toml"
        stat -c %s "$work/target/release/$1"
    }
    by_hand=$(bytes by-hand)
    with_library=$(bytes library)
    added=$(((with_library - by_hand) / 1024))
    echo "stripped release: $((with_library / 1024)) KiB with the library, $((by_hand / 1024)) KiB by hand, $added KiB more"
    if [ -n "${2:-}" ] && [ "$added" -gt "$2" ]; then
        echo "the bound is $2 KiB"
        exit 1
    fi
    ;;
build)
    for _ in $(seq "${2:-3}"); do
        for program in by-hand library; do
            rm -rf "$work/target"
            TIMEFORMAT="$program: %R s wall, %U + %S s cpu"
            time CARGO_TARGET_DIR=$work/target cargo build --quiet --manifest-path "$work/$program/Cargo.toml"
        done
    done
    ;;
*)
    sed -n '2,/^set/p' "$0" | sed -n 's/^# \{0,1\}//p'
    exit 2
    ;;
esac
