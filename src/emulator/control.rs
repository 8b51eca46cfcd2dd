//! Requests to the emulator itself, for tests in other languages.

use std::net::IpAddr;

use serde_json::{Map, Value, json};
use ureq::http::{Method, header};

use super::date::dotnet_rfc3339;
use super::fault::Fault;
use super::fault::words::parse_time;
use super::request::{Operation, Request};
use super::response::{Refusal, Response};
use super::service::IssuedToken;
use super::state::Live;

/// Ends of names that the public DNS does not have.
const PRIVATE_NAMES: [&str; 2] = [".internal", ".local"];

const UNKNOWN: &str = "there are GET /emulator/health and state, and POST /emulator/clock, expire-tokens, faults, reset and users";

/// Does what a request to the emulator itself asks for. `None` if the request is one to the service.
pub(super) fn respond(live: &mut Live, request: &Request) -> Option<Result<Response, Refusal>> {
    let command = request.path().strip_prefix("/emulator")?.trim_matches('/');
    if let Some(problem) = foreign_origin(request) {
        return Some(Err(Refusal::text(403, problem)));
    }
    let done = match (&request.method, command) {
        (&Method::GET, "health") => return Some(Ok(Response::json(200, health(live).to_string()))),
        (&Method::GET, "state") => return Some(Ok(Response::json(200, state(live).to_string()))),
        (&Method::POST, "clock") => clock(live, request),
        (&Method::POST, "expire-tokens") => expire_tokens(live, request),
        (&Method::POST, "faults") => faults(live, request),
        (&Method::POST, "reset") => {
            live.reset();
            Ok(())
        }
        (&Method::POST, "users") => {
            values(request).map(|ids| ids.iter().for_each(|id| live.service.users.add(id)))
        }
        _ => return Some(Err(Refusal::text(404, UNKNOWN))),
    };
    Some(done.map(|()| Response::new(204)).map_err(|problem| Refusal::text(400, problem)))
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
    let tokens = |id: &String| users.valid_tokens(id, live.now()).unwrap_or_default();
    let token = |token: IssuedToken| json!({"scopes": token.scopes(), "expiresOn": dotnet_rfc3339(token.expires_on())});
    let user =
        |id| json!({"id": id, "tokens": tokens(&id).into_iter().map(token).collect::<Value>()});
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

fn clock(live: &mut Live, request: &Request) -> Result<(), String> {
    let times = values(request)?.iter().map(|text| parse_time(text)).collect::<Result<Vec<_>, _>>();
    times?.into_iter().for_each(|time| live.advance_clock(time));
    Ok(())
}

fn expire_tokens(live: &mut Live, request: &Request) -> Result<(), String> {
    let unknown = values(request)?.into_iter().find(|id| !live.service.users.revoke(id, None));
    unknown.map_or(Ok(()), |id| Err(format!("there is no user {id:?}")))
}

fn faults(live: &mut Live, request: &Request) -> Result<(), String> {
    let faults =
        values(request)?.iter().map(|words| words.parse()).collect::<Result<Vec<Fault>, _>>();
    faults
        .map_err(|error| error.to_string())?
        .into_iter()
        .for_each(|fault| live.faults.push(fault));
    Ok(())
}

/// The lines of the body, or the strings of a JSON array.
fn values(request: &Request) -> Result<Vec<String>, String> {
    let text = String::from_utf8_lossy(&request.body);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let values: Vec<String> = if text.trim_start().starts_with(['[', '{', '"']) {
        serde_json::from_str(&text).unwrap_or_default()
    } else {
        lines.map(str::to_owned).collect()
    };
    if values.is_empty() {
        return Err("the body has to be lines of text, or a JSON array of strings".to_owned());
    }
    Ok(values)
}

/// Why the request may come from a web page, if it may. Browsers send `Origin`; and a page that made its own
/// name one of this machine's addresses is found by the name in `Host`, which the public DNS has.
fn foreign_origin(request: &Request) -> Option<String> {
    if request.headers.contains_key(header::ORIGIN) {
        let problem = "the request has an Origin header, so a web page sent it: those may not control the emulator";
        return Some(problem.to_owned());
    }
    let host = request.header("host")?;
    let name = host.trim_end_matches(|c: char| c.is_ascii_digit());
    let name = name.strip_suffix(':').unwrap_or(host).trim_matches(['[', ']']).to_ascii_lowercase();
    let is_network = !request.address.ip().to_canonical().is_loopback();
    let is_own = match name.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback() || is_network,
        Err(_) if name == "localhost" || name.ends_with(".localhost") => true,
        // Of a container or a machine nearby.
        Err(_) => {
            is_network && (!name.contains('.') || PRIVATE_NAMES.iter().any(|it| name.ends_with(it)))
        }
    };
    let problem = || {
        format!(
            "the Host header is {host:?}, which is not a name of this machine: use 127.0.0.1 or localhost"
        )
    };
    (!is_own).then(problem)
}
