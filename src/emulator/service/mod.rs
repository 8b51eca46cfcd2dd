//! The identity service as a function: request, instant, state → response. No sockets, no clock.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

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
use body::TokenOrder;
use directory::Directory;
use teams::{TeamsExchange, TeamsUsers};
use throttle::{Limit, Throttle};
use token::Claims;
use version::{ApiVersion, advertised};

use super::json;
use super::random::Random;
use super::request::{Operation, Request, Route, Unrouted};
use super::response::{Problem, Response};
use crate::timestamp;

pub use directory::IssuedToken;
pub(super) use key::SharedKey;
pub(super) use teams::TeamsUser;

// Ours: nothing public shows the scopes of a Teams user's token.
const TEAMS_SCOPES: [&str; 2] = ["chat", "voip"];

/// The whole state of one resource.
pub(super) struct Service {
    key: SharedKey,
    resource: String,
    /// For ids alone, so that a fixed seed gives the same ids whatever else is asked.
    ids: Random,
    random: Random,
    directory: Directory,
    bearer_tokens: HashSet<String>,
    teams_users: TeamsUsers,
    throttle: Option<Throttle>,
    /// Replaces the lifetime of every token, if set.
    token_lifetime: Option<Duration>,
}

impl Service {
    pub(super) fn new(
        key: SharedKey,
        throttling: bool,
        token_lifetime: Option<Duration>,
        mut random: Random,
    ) -> Self {
        Self {
            key,
            resource: random.guid(),
            ids: random.fork(),
            random,
            directory: Directory::default(),
            bearer_tokens: HashSet::new(),
            teams_users: TeamsUsers::default(),
            throttle: throttling.then(Throttle::default),
            token_lifetime,
        }
    }

    /// The response, and for the record why it is not a success.
    pub(super) fn respond(
        &mut self,
        request: &Request,
        now: SystemTime,
    ) -> (Response, Option<String>) {
        let route = request.route();
        let outcome = self.perform(request, &route, now);
        let is_handled = outcome.as_ref().map_or_else(|problem| problem.advertises, |_| true);
        let (response, refusal) = match outcome {
            Ok(response) => (response, None),
            Err(problem) => {
                let response = match &route {
                    _ if !problem.code.is_empty() => Response::problem(&problem),
                    Err(Unrouted::WrongMethod(allow)) => {
                        Response::empty(405).with_header("Allow", *allow)
                    }
                    _ => Response::empty(problem.status),
                };
                let told = || format!("{}: {}", problem.code, problem.message);
                (response, Some(problem.explanation.clone().unwrap_or_else(told)))
            }
        };
        let advertised = route.ok().filter(|_| is_handled).map(|route| advertised(route.operation));
        (self.dressed(response, advertised, request, now), refusal)
    }

    /// Adds the headers of every response.
    pub(super) fn dressed(
        &mut self,
        response: Response,
        advertised: Option<&str>,
        request: &Request,
        now: SystemTime,
    ) -> Response {
        let client_request_id = request.header("x-ms-client-request-id");
        response.dressed(advertised, client_request_id, now, &mut self.random)
    }

    /// Forgets all identities and tokens; a fixed seed begins anew.
    pub(super) fn reset(&mut self) {
        self.directory = Directory::default();
        self.throttle = self.throttle.take().map(|_| Throttle::default());
        self.ids.rewind();
    }

    pub(super) fn users(&self) -> Vec<String> {
        self.directory.identities().map(|(id, _)| id.clone()).collect()
    }

    /// The valid tokens of an identity that exists, oldest first.
    pub(super) fn tokens_of(&self, id: &str, now: SystemTime) -> Option<Vec<IssuedToken>> {
        Some(self.directory.identity(id)?.valid_tokens(now).cloned().collect())
    }

    /// All identities with their valid tokens.
    pub(super) fn users_json(&self, now: SystemTime) -> String {
        json::array(self.directory.identities().map(|(id, identity)| {
            let tokens = identity.valid_tokens(now).map(|token| {
                let scopes = json::array(token.scopes().iter().map(|scope| json::text(scope)));
                let expires_on = json::text(&date_text(token.expires_on()));
                json::object([("scopes", scopes), ("expiresOn", expires_on)])
            });
            json::object([("id", json::text(id)), ("tokens", json::array(tokens))])
        }))
    }

    pub(super) fn add_user(&mut self, id: &str) {
        self.directory.add(id);
    }

    /// Whether there is such an identity.
    pub(super) fn expire_tokens(&mut self, id: &str) -> bool {
        self.directory.revoke(id, None)
    }

    pub(super) fn is_token_valid(&self, token: &str, now: SystemTime) -> bool {
        self.directory.is_token_valid(token, now)
    }

    pub(super) fn accept_bearer_token(&mut self, token: String) {
        self.bearer_tokens.insert(token);
    }

    pub(super) fn accept_teams_token(&mut self, token: String, user: TeamsUser) {
        self.teams_users.accept(token, user);
    }

    fn perform(
        &mut self,
        request: &Request,
        route: &Result<Route, Unrouted>,
        now: SystemTime,
    ) -> Result<Response, Problem> {
        // Ours: the signature is checked before anything else, as the gateway stands before the
        // service.
        authenticate(request, now, &self.key, &self.bearer_tokens).map_err(|denial| {
            Problem::new(401, "Denied", denial.message, None).explained(denial.explanation)
        })?;
        let route = route.as_ref().map_err(|unrouted| match unrouted {
            Unrouted::WrongMethod(_) => Problem::unrouted(405, "the path takes another method"),
            Unrouted::UnknownPath => Problem::unrouted(404, "no operation has this path"),
        })?;
        let version = ApiVersion::of(request, route)?;
        let id = route.id.as_str();
        match route.operation {
            Operation::Create => self.create(request, version, now),
            Operation::Get => self.get(id, version),
            Operation::Delete => self.delete(id, now),
            Operation::Issue => self.issue(id, request, version, now),
            Operation::Revoke => self.revoke(id, request, version, now),
            Operation::Exchange => self.exchange(request, version, now),
        }
    }

    fn create(
        &mut self,
        request: &Request,
        version: ApiVersion,
        now: SystemTime,
    ) -> Result<Response, Problem> {
        if version.is_first() {
            // Ours: a body is ignored; no client sent one.
            self.admit(Limit::Create, now)?;
            let id = self.directory.create(&self.resource, None, &mut self.ids);
            return Ok(Response::json(200, json::object([("id", json::text(&id))])));
        }
        let order = TokenOrder::of_create(request, version)?;
        let scopes = order.scopes;
        let limit = if scopes.is_empty() { Limit::Create } else { Limit::CreateWithToken };
        self.admit(limit, now)?;

        let id = self.directory.create(&self.resource, order.custom_id, &mut self.ids);
        let token = (!scopes.is_empty()).then(|| self.token_for(&id, &scopes, order.life, now));
        let identity = self.identity_json(&id, version);
        let token = token.map(|token| ("accessToken", json::object(token)));
        let body = json::object([("identity", identity)].into_iter().chain(token));
        Ok(Response::json(201, body))
    }

    fn get(&self, id: &str, version: ApiVersion) -> Result<Response, Problem> {
        self.directory.identity(id).ok_or_else(not_owned)?;
        Ok(Response::json(200, self.identity_json(id, version))
            .with_header("Accept-Ranges", "bytes"))
    }

    fn delete(&mut self, id: &str, now: SystemTime) -> Result<Response, Problem> {
        self.admit(Limit::Delete, now)?;
        if self.directory.delete(id) { Ok(Response::no_content()) } else { Err(not_owned()) }
    }

    fn revoke(
        &mut self,
        id: &str,
        request: &Request,
        version: ApiVersion,
        now: SystemTime,
    ) -> Result<Response, Problem> {
        let issued_before =
            if version.is_first() { body::tokens_valid_from(request)? } else { None };
        self.admit(Limit::Revoke, now)?;
        let is_known = self.directory.revoke(id, issued_before);
        if is_known { Ok(Response::no_content()) } else { Err(not_owned()) }
    }

    fn issue(
        &mut self,
        id: &str,
        request: &Request,
        version: ApiVersion,
        now: SystemTime,
    ) -> Result<Response, Problem> {
        // Ours: the body is judged before the identity; no recording shows both wrong.
        let order = TokenOrder::of_issue(request, version)?;
        self.admit(Limit::Issue, now)?;
        self.directory.identity(id).ok_or_else(not_owned)?;
        let token = self.token_for(id, &order.scopes, order.life, now);
        let id = version.is_first().then(|| ("id", json::text(id)));
        Ok(Response::json(200, json::object(id.into_iter().chain(token))))
    }

    fn exchange(
        &mut self,
        request: &Request,
        version: ApiVersion,
        now: SystemTime,
    ) -> Result<Response, Problem> {
        // The token is judged before the other members are even required.
        let user = self.teams_users.of_token(&TeamsExchange::token(request)?, now)?;
        if version.exchange_names_app_and_user() {
            TeamsExchange::parse(request)?.check(user)?;
        }
        let object_id = user.object_id.clone();
        let expires_on = self.token_lifetime.map_or(user.expires_on, |life| later(now, life));
        self.teams_token(&object_id, expires_on, now)
    }

    fn teams_token(
        &mut self,
        object_id: &str,
        expires_on: SystemTime,
        now: SystemTime,
    ) -> Result<Response, Problem> {
        self.admit(Limit::Exchange, now)?;
        // Ours: a Teams user's raw id, as other services name it; no such token is public.
        let identity = format!("8:orgid:{object_id}");
        let scopes = TEAMS_SCOPES.map(str::to_owned);
        let token = self.sign(&identity, &scopes, now, expires_on);
        self.directory.remember_teams(IssuedToken::new(&token, &scopes, now, expires_on));
        Ok(Response::json(200, json::object(token_json(&token, expires_on))))
    }

    /// Issues a token to an identity that exists; the members of its JSON.
    fn token_for(
        &mut self,
        id: &str,
        scopes: &[String],
        life: Duration,
        now: SystemTime,
    ) -> [(&'static str, String); 2] {
        let expires_on = later(now, self.token_lifetime.unwrap_or(life));
        let token = self.sign(id, scopes, now, expires_on);
        self.directory.remember(id, IssuedToken::new(&token, scopes, now, expires_on));
        token_json(&token, expires_on)
    }

    fn sign(
        &mut self,
        identity: &str,
        scopes: &[String],
        issued_at: SystemTime,
        expires_on: SystemTime,
    ) -> String {
        let unique = self.random.hex(16);
        let resource = &self.resource;
        Claims { identity, resource, scopes, issued_at, expires_on, unique }.sign(&self.key)
    }

    fn identity_json(&self, id: &str, version: ApiVersion) -> String {
        let detailed = self.directory.identity(id).filter(|_| version.has_custom_ids());
        let custom_id = detailed.and_then(|identity| identity.custom_id.as_deref());
        let issued_at = detailed.and_then(|identity| identity.last_token_issued_at);
        let members = [
            custom_id.map(|custom_id| ("customId", json::text(custom_id))),
            issued_at.map(|at| ("lastTokenIssuedAt", json::text(&date_text(whole_seconds(at))))),
            Some(("id", json::text(id))),
        ];
        json::object(members.into_iter().flatten())
    }

    fn admit(&mut self, limit: Limit, now: SystemTime) -> Result<(), Problem> {
        if self.throttle.as_mut().is_none_or(|throttle| throttle.admit(limit, now)) {
            return Ok(());
        }
        // Ours: code and message; the status is documented, the body is not, and there is no
        // Retry-After.
        Err(Problem::new(429, "TooManyRequests", "Too many requests.", None).advertising())
    }
}

// Ours: the same for an id that was deleted, that never was, or that is no id at all.
fn not_owned() -> Problem {
    let message = "Provided identity doesn't belong to the resource.";
    Problem::new(401, "IdentityNotOwned", message, None).advertising()
}

fn token_json(token: &str, expires_on: SystemTime) -> [(&'static str, String); 2] {
    [("token", json::text(token)), ("expiresOn", json::text(&date_text(expires_on)))]
}

/// Empty outside the years 1970 to 9999, where no request can be signed either.
fn date_text(instant: SystemTime) -> String {
    timestamp::dotnet_rfc3339(instant).unwrap_or_default()
}

fn whole_seconds(instant: SystemTime) -> SystemTime {
    let since_epoch = instant.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    later(SystemTime::UNIX_EPOCH, Duration::from_secs(since_epoch.as_secs()))
}

fn later(instant: SystemTime, by: Duration) -> SystemTime {
    instant.checked_add(by).unwrap_or(instant)
}

#[cfg(test)]
mod tests;
