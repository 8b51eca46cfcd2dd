//! The identity service as a function: request, instant, state → response. No sockets, no clock.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use serde_json::json;

mod authentication;
mod body;
mod diagnosis;
mod directory;
mod key;
mod string_to_sign;
mod teams;
mod throttle;
mod token;
mod version;

use authentication::authenticate;
use directory::Directory;
use throttle::Throttle;
use version::{ApiVersion, advertised};

use super::clock::{Clock, dotnet_rfc3339};
use super::fault::Fault;
use super::random::Random;
use super::request::{Operation, Request};
use super::response::{Refusal, Response};
use crate::timestamp;

pub(super) use key::SharedKey;
pub(super) use teams::TeamsUser;
pub use token::IssuedToken;

// Ours: nothing public shows the scopes of a Teams user's token.
const TEAMS_SCOPES: [&str; 2] = ["chat", "voip"];

/// What a reset restores.
#[derive(Default)]
pub(super) struct Settings {
    pub(super) clock: Clock,
    pub(super) faults: Vec<Fault>,
    pub(super) throttling: bool,
    /// Replaces the lifetime of every token, if set.
    pub(super) token_lifetime: Option<Duration>,
    pub(super) seed: Option<u64>,
}

/// The whole state of one resource.
pub(super) struct Service {
    pub(super) settings: Settings,
    key: SharedKey,
    resource: String,
    /// For ids alone, so that a fixed seed gives the same ids whatever else is asked.
    ids: Random,
    random: Random,
    pub(super) users: Directory,
    /// Teams users, who are not identities of the resource.
    teams_users: Directory,
    tokens_issued: u64,
    /// Accepted instead of a signature.
    pub(super) bearer_tokens: HashSet<String>,
    /// Accepted by the Teams exchange.
    pub(super) entra_tokens: HashMap<String, TeamsUser>,
    throttle: Throttle,
}

/// A request that is authenticated and has an operation.
struct Call<'a> {
    request: &'a Request,
    /// Empty where the path has none.
    id: &'a str,
    version: ApiVersion,
    now: SystemTime,
}

impl Service {
    pub(super) fn new(key: SharedKey, settings: Settings) -> Self {
        Self {
            resource: Random::new(settings.seed).guid(),
            ids: Random::new(settings.seed),
            random: Random::new(None),
            throttle: Throttle::new(settings.throttling),
            settings,
            key,
            users: Directory::default(),
            teams_users: Directory::default(),
            tokens_issued: 0,
            bearer_tokens: HashSet::new(),
            entra_tokens: HashMap::new(),
        }
    }

    /// The response, and for the record why it is not a success.
    pub(super) fn respond(
        &mut self,
        request: &Request,
        now: SystemTime,
    ) -> (Response, Option<String>) {
        let outcome = self.perform(request, now);
        let is_advertising = outcome.as_ref().map_or_else(|it| it.is_advertising, |_| true);
        let operation = request.operation().filter(|_| is_advertising);
        self.finish(outcome, operation.map(advertised), request, now)
    }

    /// Adds the headers of every response, unless it has its own; and for the record why it is not a
    /// success.
    pub(super) fn finish(
        &mut self,
        outcome: Result<Response, Refusal>,
        advertised: Option<&str>,
        request: &Request,
        now: SystemTime,
    ) -> (Response, Option<String>) {
        let (mut response, reason) = match outcome {
            Ok(response) => (response, None),
            Err(refusal) => (refusal.response, Some(refusal.reason)),
        };
        let vector = BASE64_STANDARD_NO_PAD.encode(self.random.bytes::<2>());
        let reference = BASE64_STANDARD_NO_PAD.encode(self.random.bytes::<4>());
        let common = [
            ("api-supported-versions", advertised.map(str::to_owned)),
            ("Date", timestamp::http_date(now)),
            ("MS-CV", Some(format!("{vector}.2.0"))),
            ("Request-Context", Some("appId=".to_owned())),
            ("Strict-Transport-Security", Some("max-age=31536000;includeSubDomains".to_owned())),
            ("X-Azure-Ref", Some(format!("0{reference}"))),
            ("X-Cache", Some("CONFIG_NOCACHE".to_owned())),
            ("x-ms-client-request-id", request.header("x-ms-client-request-id").map(str::to_owned)),
            // Ours: the form is the service's, the number means nothing.
            ("X-Processing-Time", Some("1ms".to_owned())),
        ];
        for (name, value) in common {
            let Some(value) = value.filter(|_| response.header(name).is_none()) else { continue };
            response.headers.push((name.to_owned(), value));
        }
        (response, reason)
    }

    /// Forgets all identities and tokens; a fixed seed begins anew.
    pub(super) fn reset(&mut self, now: SystemTime) {
        for user in self.entra_tokens.values_mut() {
            user.expires_on = now + TeamsUser::TOKEN_LIFE;
        }
        self.users = Directory::default();
        self.teams_users = Directory::default();
        self.throttle = Throttle::new(self.settings.throttling);
        self.ids = Random::new(self.settings.seed);
    }

    pub(super) fn is_token_valid(&self, token: &str, now: SystemTime) -> bool {
        let Some((id, number)) = token::identity_and_number(token) else { return false };
        // A token does not tell `8:x` from `x`.
        [format!("8:{id}"), id].iter().any(|id| {
            let mut issued = [&self.users, &self.teams_users].into_iter();
            let issued = issued.find_map(|directory| directory.token(id, number));
            issued.is_some_and(|issued| {
                let text = issued.text(id, &self.resource, &self.key);
                now < issued.expires_on && text == token
            })
        })
    }

    fn perform(&mut self, request: &Request, now: SystemTime) -> Result<Response, Refusal> {
        // Ours: the signature is checked before anything else, as the gateway stands before the
        // service.
        authenticate(request, now, &self.key, &self.bearer_tokens)?;
        let route = request.route()?;
        let call = Call { request, id: &route.id, version: ApiVersion::of(request, &route)?, now };
        match route.operation {
            Operation::Create => self.create(&call),
            Operation::Delete => self.delete(&call),
            Operation::Issue => self.issue(&call),
            Operation::Revoke => self.revoke(&call),
            Operation::Exchange => self.exchange(&call),
        }
    }

    fn create(&mut self, call: &Call<'_>) -> Result<Response, Refusal> {
        if call.version.is_first() {
            // Ours: a body is ignored; no client sent one.
            self.throttle.admit((Operation::Create, false), call.now)?;
            let id = self.users.create(&self.resource, &mut self.ids);
            return Ok(Response::json(200, json!({"id": id}).to_string()));
        }
        let (scopes, lifetime) = body::of_create(call.request, call.version)?;
        self.throttle.admit((Operation::Create, !scopes.is_empty()), call.now)?;
        let id = self.users.create(&self.resource, &mut self.ids);
        let identity = json!({"id": id});
        if scopes.is_empty() {
            return Ok(Response::json(201, json!({"identity": identity}).to_string()));
        }
        let (token, members) = self.new_token(&id, scopes, lifetime, call.now);
        self.users.remember(&id, token);
        // In this order, so that half of the body has the id.
        let body = format!(r#"{{"identity":{identity},"accessToken":{{{members}}}}}"#);
        Ok(Response::json(201, body))
    }

    fn delete(&mut self, call: &Call<'_>) -> Result<Response, Refusal> {
        self.throttle.admit((Operation::Delete, false), call.now)?;
        if self.users.delete(call.id) { Ok(Response::new(204)) } else { Err(not_owned()) }
    }

    fn revoke(&mut self, call: &Call<'_>) -> Result<Response, Refusal> {
        let issued_before =
            if call.version.is_first() { body::tokens_valid_from(call.request)? } else { None };
        self.throttle.admit((Operation::Revoke, false), call.now)?;
        let is_known = self.users.revoke(call.id, issued_before);
        if is_known { Ok(Response::new(204)) } else { Err(not_owned()) }
    }

    fn issue(&mut self, call: &Call<'_>) -> Result<Response, Refusal> {
        // Ours: the body is judged before the identity; no recording shows both wrong.
        let (scopes, lifetime) = body::of_issue(call.request, call.version)?;
        self.throttle.admit((Operation::Issue, false), call.now)?;
        if !self.users.contains(call.id) {
            return Err(not_owned());
        }
        let (token, members) = self.new_token(call.id, scopes, lifetime, call.now);
        self.users.remember(call.id, token);
        let mut id = String::new();
        if call.version.is_first() {
            id = format!(r#""id":{},"#, json!(call.id));
        }
        Ok(Response::json(200, format!("{{{id}{members}}}")))
    }

    fn exchange(&mut self, call: &Call<'_>) -> Result<Response, Refusal> {
        // The token is judged before the other members are even required.
        let entra_token = teams::entra_token(call.request)?;
        let user = self.entra_tokens.get(&entra_token).filter(|user| call.now < user.expires_on);
        let user = user.cloned().ok_or_else(|| {
            Refusal::new(401, "InvalidAccessToken", "Provided access token is not valid.", None)
        })?;
        if call.version.exchange_names_app_and_user() {
            teams::check_ids(call.request, &user)?;
        }
        self.throttle.admit((Operation::Exchange, false), call.now)?;
        // Ours: a Teams user's raw id, as other services name it; no such token is public.
        let id = format!("8:orgid:{}", user.object_id);
        let lifetime = user.expires_on.duration_since(call.now).unwrap_or_default();
        let scopes = TEAMS_SCOPES.map(str::to_owned).to_vec();
        let (token, members) = self.new_token(&id, scopes, lifetime, call.now);
        self.teams_users.add(&id);
        self.teams_users.remember(&id, token);
        Ok(Response::json(200, format!("{{{members}}}")))
    }

    /// A token, and the members of its JSON.
    fn new_token(
        &mut self,
        identity: &str,
        scopes: Vec<String>,
        lifetime: Duration,
        issued_at: SystemTime,
    ) -> (IssuedToken, String) {
        self.tokens_issued += 1;
        let lifetime = self.settings.token_lifetime.unwrap_or(lifetime);
        let expires_on = issued_at.checked_add(lifetime).unwrap_or(issued_at);
        let token = IssuedToken { number: self.tokens_issued, scopes, issued_at, expires_on };
        let text = token.text(identity, &self.resource, &self.key);
        let members = format!(r#""token":"{text}","expiresOn":"{}""#, dotnet_rfc3339(expires_on));
        (token, members)
    }
}

// Ours: the same for an id that was deleted, that never was, or that is not an id.
fn not_owned() -> Refusal {
    let message = "Provided identity doesn't belong to the resource.";
    Refusal::new(401, "IdentityNotOwned", message, None).advertising()
}

#[cfg(test)]
mod tests;
