//! Requests to the emulator itself, for tests in other languages.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::{Map, Value, json};
use ureq::http::header;

use super::clock::dotnet_rfc3339;
use super::fault::Fault;
use super::fault::words::parse_time;
use super::request::{Operation, Request};
use super::response::{Refusal, Response};
use super::service::IssuedToken;
use super::state::Live;

const UNKNOWN: &str = "not a request that the emulator takes: use GET /emulator/health or state, or POST /emulator/clock, expire-tokens, faults, reset or users";

/// Does what a request to the emulator itself asks for. `None` if the request is one to the service.
pub(super) fn respond(live: &mut Live, request: &Request) -> Result<Option<Response>, Refusal> {
    let Some(command) = request.path().strip_prefix("/emulator/") else { return Ok(None) };
    refuse_web_pages(request)?;
    match (request.method.as_str(), command.trim_matches('/')) {
        ("GET" | "HEAD", "health") => {
            return Ok(Some(Response::json(200, health(live).to_string())));
        }
        ("GET" | "HEAD", "state") => return Ok(Some(Response::json(200, state(live).to_string()))),
        ("POST", "clock") => {
            let times = each(request, parse_time)?;
            live.advance_clock(times.into_iter().fold(Duration::ZERO, Duration::saturating_add));
        }
        ("POST", "expire-tokens") => {
            let users = &mut live.service.users;
            let ids = each(request, |id| {
                let known = users.contains(id).then(|| id.to_owned());
                known.ok_or_else(|| format!("there is no user {id:?}"))
            })?;
            for id in ids {
                users.revoke(&id, None);
            }
        }
        ("POST", "faults") => {
            let parse = |words: &str| words.parse::<Fault>().map_err(|error| error.to_string());
            live.faults.extend(each(request, parse)?);
        }
        ("POST", "reset") => live.reset(),
        ("POST", "users") => {
            each(request, |id| {
                live.service.users.add(id);
                Ok(())
            })?;
        }
        _ => return Err(Refusal::text(404, UNKNOWN)),
    }
    Ok(Some(Response::new(204)))
}

/// Cheap, however much happened.
fn health(live: &Live) -> Value {
    json!({
        "requests": request_counts(live),
        "users": live.service.users.len(),
        "pendingFaults": live.faults.pending().count(),
    })
}

fn state(live: &Live) -> Value {
    let users = &live.service.users;
    let token = |token: IssuedToken| {
        let expires_on = dotnet_rfc3339(token.expires_on());
        json!({"scopes": token.scopes(), "expiresOn": expires_on})
    };
    let user = |id: String| {
        let tokens = users.valid_tokens(&id, live.now()).unwrap_or_default();
        json!({"id": id, "tokens": tokens.into_iter().map(token).collect::<Value>()})
    };
    json!({
        "requests": request_counts(live),
        "users": users.ids().into_iter().map(user).collect::<Value>(),
        "pendingFaults": live.faults.pending().map(Fault::to_string).collect::<Value>(),
    })
}

fn request_counts(live: &Live) -> Map<String, Value> {
    let count = |it: Operation| (it.name().to_owned(), live.journal.count(it).into());
    Operation::ALL.into_iter().map(count).collect()
}

/// Reads each line of the body, or each string of a JSON array.
fn each<T>(
    request: &Request,
    read: impl FnMut(&str) -> Result<T, String>,
) -> Result<Vec<T>, Refusal> {
    let text = String::from_utf8_lossy(&request.body);
    let values: Vec<String> = if text.trim_start().starts_with(['[', '{', '"']) {
        serde_json::from_str(&text).unwrap_or_default()
    } else {
        text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
    };
    if values.is_empty() || values.iter().any(String::is_empty) {
        let problem = "the body has to be lines of text, or a JSON array of strings";
        return Err(Refusal::text(400, problem));
    }
    let read: Result<_, String> = values.iter().map(String::as_str).map(read).collect();
    read.map_err(|problem| Refusal::text(400, problem))
}

/// Browsers send `Origin` with what may change anything. A page that made its own name one of this machine's
/// addresses is recognized by that name in `Host`: the public DNS has it. With https, the page would need a
/// certificate for its name, which the emulator does not have.
fn refuse_web_pages(request: &Request) -> Result<(), Refusal> {
    if request.headers.contains_key(header::ORIGIN) {
        let problem = "the request has an Origin header, so a web page sent it: those may not control the emulator";
        return Err(Refusal::text(403, problem));
    }
    let host = request.header("host").unwrap_or("localhost");
    let name = host.trim_end_matches(|c: char| c.is_ascii_digit());
    let name = name.strip_suffix(':').unwrap_or(host).trim_matches(['[', ']']).to_ascii_lowercase();
    let ends = |end: &str| name.ends_with(end);
    let is_loopback = |address: IpAddr| address.to_canonical().is_loopback();
    let is_network = request.address.is_none_or(|address| !is_loopback(address.ip()));
    let is_own = match name.parse::<IpAddr>() {
        Ok(address) => is_loopback(address) || is_network,
        // Of this machine, a container or a machine nearby.
        Err(_) => !name.contains('.') || ends(".localhost") || ends(".internal") || ends(".local"),
    };
    if is_own || request.is_tls {
        return Ok(());
    }
    let problem = format!(
        "the Host header is {host:?}, which is not a name of this machine: use 127.0.0.1 or localhost"
    );
    Err(Refusal::text(403, problem))
}
