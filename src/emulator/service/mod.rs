//! The identity service as a function: request, instant, state → response. No sockets, no clock.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

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
use body::TokenRequest;
use directory::Directory;
use throttle::Throttle;
use token::Claims;
use version::{ApiVersion, advertised};

use super::date::dotnet_rfc3339;
use super::random::Random;
use super::request::{Operation, Request, Route, Unrouted};
use super::response::{Refusal, Response};

pub use directory::IssuedToken;
pub(super) use key::SharedKey;
pub(super) use teams::TeamsUser;

// Ours: nothing public shows the scopes of a Teams user's token.
const TEAMS_SCOPES: [&str; 2] = ["chat", "voip"];

/// What the service is told before it starts.
pub(super) struct Settings {
    pub(super) key: SharedKey,
    pub(super) throttling: bool,
    /// Replaces the lifetime of every token, if set.
    pub(super) token_lifetime: Option<Duration>,
    pub(super) seed: Option<u64>,
}

/// The whole state of one resource.
pub(super) struct Service {
    settings: Settings,
    resource: String,
    /// For ids alone, so that a fixed seed gives the same ids whatever else is asked.
    ids: Random,
    random: Random,
    users: Directory,
    /// Teams users, who are no identities of the resource.
    teams_users: Directory,
    tokens_issued: u64,
    bearer_tokens: HashSet<String>,
    entra_tokens: HashMap<String, TeamsUser>,
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
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            resource: Random::new(settings.seed).guid(),
            ids: Random::new(settings.seed),
            random: Random::new(None),
            settings,
            users: Directory::default(),
            teams_users: Directory::default(),
            tokens_issued: 0,
            bearer_tokens: HashSet::new(),
            entra_tokens: HashMap::new(),
            throttle: Throttle::default(),
        }
    }

    /// The response, and for the record why it is not a success.
    pub(super) fn respond(
        &mut self,
        request: &Request,
        now: SystemTime,
    ) -> (Response, Option<String>) {
        let route = request.route();
        let outcome = self.perform(request, route.as_ref(), now);
        let (response, is_advertising, reason) = match outcome {
            Ok(response) => (response, true, None),
            Err(refusal) => (refusal.response, refusal.is_advertising, Some(refusal.reason)),
        };
        let route = route.ok().filter(|_| is_advertising);
        let advertised = route.map(|route| advertised(route.operation));
        (self.with_common_headers(response, advertised, request, now), reason)
    }

    /// Adds the headers of every response.
    pub(super) fn with_common_headers(
        &mut self,
        response: Response,
        advertised: Option<&str>,
        request: &Request,
        now: SystemTime,
    ) -> Response {
        let client_request_id = request.header("x-ms-client-request-id");
        response.with_common_headers(advertised, client_request_id, now, &mut self.random)
    }

    /// Forgets all identities and tokens; a fixed seed begins anew.
    pub(super) fn reset(&mut self) {
        self.users = Directory::default();
        self.teams_users = Directory::default();
        self.throttle = Throttle::default();
        self.ids = Random::new(self.settings.seed);
    }

    pub(super) fn users(&self) -> Vec<String> {
        self.users.ids().into_iter().cloned().collect()
    }

    pub(super) fn user_count(&self) -> usize {
        self.users.len()
    }

    /// The valid tokens of an identity that exists, oldest first.
    pub(super) fn tokens_of(&self, id: &str, now: SystemTime) -> Option<Vec<IssuedToken>> {
        self.users.valid_tokens(id, now)
    }

    /// All identities with their valid tokens.
    pub(super) fn users_json(&self, now: SystemTime) -> Value {
        let users = self.users.ids().into_iter().map(|id| {
            let tokens = self.tokens_of(id, now).unwrap_or_default();
            let tokens = tokens.iter().map(|token| {
                json!({"scopes": token.scopes(), "expiresOn": dotnet_rfc3339(token.expires_on())})
            });
            json!({"id": id, "tokens": tokens.collect::<Value>()})
        });
        users.collect()
    }

    pub(super) fn add_user(&mut self, id: &str) {
        self.users.add(id);
    }

    /// Whether there is such an identity.
    pub(super) fn expire_tokens(&mut self, id: &str) -> bool {
        self.users.revoke(id, None)
    }

    pub(super) fn free_expired_tokens(&mut self, now: SystemTime) {
        self.users.free_expired(now);
        self.teams_users.free_expired(now);
    }

    pub(super) fn is_token_valid(&self, token: &str, now: SystemTime) -> bool {
        self.users.is_token_valid(token, now) || self.teams_users.is_token_valid(token, now)
    }

    pub(super) fn accept_bearer_token(&mut self, token: String) {
        self.bearer_tokens.insert(token);
    }

    pub(super) fn accept_teams_token(&mut self, token: String, user: TeamsUser) {
        self.entra_tokens.insert(token, user);
    }

    fn perform(
        &mut self,
        request: &Request,
        route: Result<&Route, &Unrouted>,
        now: SystemTime,
    ) -> Result<Response, Refusal> {
        // Ours: the signature is checked before anything else, as the gateway stands before the
        // service.
        authenticate(request, now, &self.settings.key, &self.bearer_tokens)?;
        let route = route.map_err(Unrouted::refusal)?;
        let call = Call { request, id: &route.id, version: ApiVersion::of(request, route)?, now };
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
            self.admit(Operation::Create, false, call.now)?;
            let id = self.users.create(&self.resource, &mut self.ids);
            return Ok(Response::json(200, json!({"id": id}).to_string()));
        }
        let TokenRequest { scopes, lifetime } =
            TokenRequest::of_create(call.request, call.version)?;
        self.admit(Operation::Create, !scopes.is_empty(), call.now)?;
        let id = self.users.create(&self.resource, &mut self.ids);
        let identity = json!({"id": id});
        if scopes.is_empty() {
            return Ok(Response::json(201, json!({"identity": identity}).to_string()));
        }
        let (token, members) = self.new_token(&id, &scopes, lifetime, call.now);
        self.users.remember(&id, token);
        // In this order, so that half of the body has the id.
        let body = format!(r#"{{"identity":{identity},"accessToken":{{{members}}}}}"#);
        Ok(Response::json(201, body))
    }

    fn delete(&mut self, call: &Call<'_>) -> Result<Response, Refusal> {
        self.admit(Operation::Delete, false, call.now)?;
        if self.users.delete(call.id) { Ok(Response::new(204)) } else { Err(not_owned()) }
    }

    fn revoke(&mut self, call: &Call<'_>) -> Result<Response, Refusal> {
        let issued_before =
            if call.version.is_first() { body::tokens_valid_from(call.request)? } else { None };
        self.admit(Operation::Revoke, false, call.now)?;
        let is_known = self.users.revoke(call.id, issued_before);
        if is_known { Ok(Response::new(204)) } else { Err(not_owned()) }
    }

    fn issue(&mut self, call: &Call<'_>) -> Result<Response, Refusal> {
        // Ours: the body is judged before the identity; no recording shows both wrong.
        let TokenRequest { scopes, lifetime } = TokenRequest::of_issue(call.request, call.version)?;
        self.admit(Operation::Issue, false, call.now)?;
        if !self.users.contains(call.id) {
            return Err(not_owned());
        }
        let (token, members) = self.new_token(call.id, &scopes, lifetime, call.now);
        self.users.remember(call.id, token);
        let id = if call.version.is_first() {
            format!(r#""id":{},"#, json!(call.id))
        } else {
            String::new()
        };
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
        self.admit(Operation::Exchange, false, call.now)?;
        // Ours: a Teams user's raw id, as other services name it; no such token is public.
        let id = format!("8:orgid:{}", user.object_id);
        let lifetime = user.expires_on.duration_since(call.now).unwrap_or_default();
        let scopes = TEAMS_SCOPES.map(str::to_owned);
        let (token, members) = self.new_token(&id, &scopes, lifetime, call.now);
        self.teams_users.add(&id);
        self.teams_users.remember(&id, token);
        Ok(Response::json(200, format!("{{{members}}}")))
    }

    /// A token, and the members of its JSON.
    fn new_token(
        &mut self,
        identity: &str,
        scopes: &[String],
        lifetime: Duration,
        issued_at: SystemTime,
    ) -> (IssuedToken, String) {
        self.tokens_issued += 1;
        let (resource, number) = (&*self.resource, self.tokens_issued);
        let lifetime = self.settings.token_lifetime.unwrap_or(lifetime);
        let expires_on = issued_at.checked_add(lifetime).unwrap_or(issued_at);
        let claims = Claims { identity, resource, scopes, issued_at, expires_on, number };
        let token = claims.sign(&self.settings.key);
        let members = format!(r#""token":"{token}","expiresOn":"{}""#, dotnet_rfc3339(expires_on));
        (IssuedToken::new(&claims, &token), members)
    }

    fn admit(
        &mut self,
        operation: Operation,
        creates_token: bool,
        now: SystemTime,
    ) -> Result<(), Refusal> {
        if !self.settings.throttling || self.throttle.admit(operation, creates_token, now) {
            return Ok(());
        }
        // Ours: code and message; the status is documented, the body is not, and there is no
        // Retry-After.
        Err(Refusal::new(429, "TooManyRequests", "Too many requests.", None).advertising())
    }
}

impl Unrouted {
    // Ours: an empty body, as web servers respond where no operation is.
    fn refusal(&self) -> Refusal {
        match self {
            Self::WrongMethod(allow) => {
                let refusal = Refusal::empty(405, "the path takes another method");
                Refusal { response: refusal.response.with_header("Allow", allow), ..refusal }
            }
            Self::UnknownPath => Refusal::empty(
                404,
                "the signature or token is accepted, but the emulator has identities only: no operation has this path",
            ),
        }
    }
}

// Ours: the same for an id that was deleted, that never was, or that is no id at all.
fn not_owned() -> Refusal {
    let message = "Provided identity doesn't belong to the resource.";
    Refusal::new(401, "IdentityNotOwned", message, None).advertising()
}

#[cfg(test)]
mod tests;
