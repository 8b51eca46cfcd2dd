//! The identity service as a function: request, instant, state → answer. No sockets, no clock.

use std::collections::HashSet;
use std::fmt;
use std::time::{Duration, SystemTime};

use super::authentication::{SharedKey, authenticate};
use super::body::TokenOrder;
use super::directory::Directory;
use super::json;
use super::random::Random;
use super::request::{Operation, Request, Route};
use super::response::{Problem, Response};
use super::teams::{TeamsExchange, TeamsUser, TeamsUsers};
use super::throttle::{Limit, Throttle};
use super::token::Claims;
use super::version::{ApiVersion, advertised};
use crate::timestamp;

// Ours: nothing public shows the scopes of a Teams user's token.
const TEAMS_SCOPES: [&str; 2] = ["chat", "voip"];

/// The whole state of one resource.
pub(super) struct Service {
    key: SharedKey,
    resource: String,
    random: Random,
    directory: Directory,
    bearer_tokens: HashSet<String>,
    teams_users: TeamsUsers,
    throttle: Option<Throttle>,
}

/// An answer, and for the record why it is not a success.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) response: Response,
    pub(super) refusal: Option<String>,
}

impl Service {
    pub(super) fn new(key: SharedKey, throttling: bool, mut random: Random) -> Self {
        Self {
            key,
            resource: random.guid(),
            random,
            directory: Directory::default(),
            bearer_tokens: HashSet::new(),
            teams_users: TeamsUsers::default(),
            throttle: throttling.then(Throttle::default),
        }
    }

    pub(super) fn answer(&mut self, request: &Request, now: SystemTime) -> Answer {
        let route = request.route();
        let outcome = self.perform(request, &route, now);
        let is_handled = outcome.as_ref().map_or_else(|problem| problem.advertises, |_| true);
        let (response, refusal) = match outcome {
            Ok(response) => (response, None),
            Err(problem) => {
                let response = match &route {
                    _ if !problem.code.is_empty() => Response::problem(&problem),
                    Route::WrongMethod(allow) => Response::empty(405).with_header("Allow", *allow),
                    _ => Response::empty(problem.status),
                };
                let told = || format!("{}: {}", problem.code, problem.message);
                (response, Some(problem.explanation.clone().unwrap_or_else(told)))
            }
        };
        let advertised = match route {
            Route::Operation(operation, _) if is_handled => Some(advertised(operation)),
            _ => None,
        };
        Answer { response: self.dressed(response, advertised, request, now), refusal }
    }

    /// Adds the headers of every answer.
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

    pub(super) fn users(&self) -> Vec<String> {
        self.directory.ids()
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
        route: &Route,
        now: SystemTime,
    ) -> Result<Response, Problem> {
        // Ours: the signature is checked before anything else, as the gateway stands before the
        // service.
        authenticate(request, now, &self.key, &self.bearer_tokens).map_err(|denial| {
            Problem::new(401, "Denied", denial.message, None).explained(denial.explanation)
        })?;
        let (operation, id) = match route {
            Route::Operation(operation, id) => (*operation, id.as_str()),
            Route::WrongMethod(_) => return Err(unrouted(405, "the path takes another method")),
            Route::Unknown => return Err(unrouted(404, "no operation has this path")),
        };
        let version = ApiVersion::of(request, operation)?;
        match operation {
            Operation::Create => self.create(request, version, now),
            Operation::Get => self.get(id, version),
            Operation::Delete => self.delete(id, now),
            Operation::Issue => self.issue(id, request, version, now),
            Operation::Revoke => self.revoke(id, now),
            Operation::Exchange => self.exchange(request, version, now),
        }
    }

    fn create(
        &mut self,
        request: &Request,
        version: ApiVersion,
        now: SystemTime,
    ) -> Result<Response, Problem> {
        let order = TokenOrder::of_create(request, version)?;
        let scopes = order.scopes;
        let limit = if scopes.is_empty() { Limit::Create } else { Limit::CreateWithToken };
        self.admit(limit, now)?;

        let id = self.directory.create(&self.resource, order.custom_id, &mut self.random);
        let token = (!scopes.is_empty()).then(|| self.token_for(&id, &scopes, order.life, now));
        let identity = self.identity_json(&id, version);
        let token = token.map(|token| ("accessToken", token));
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

    fn revoke(&mut self, id: &str, now: SystemTime) -> Result<Response, Problem> {
        self.admit(Limit::Revoke, now)?;
        if self.directory.revoke(id) { Ok(Response::no_content()) } else { Err(not_owned()) }
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
        Ok(Response::json(200, self.token_for(id, &order.scopes, order.life, now)))
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
        let (object_id, expires_on) = (user.object_id.clone(), user.expires_on);
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
        let token = self.sign(&identity, &TEAMS_SCOPES.map(str::to_owned), now, expires_on);
        self.directory.remember_teams(&token, expires_on);
        Ok(Response::json(200, token_json(&token, expires_on)))
    }

    /// Issues a token to an identity that exists; its JSON.
    fn token_for(
        &mut self,
        id: &str,
        scopes: &[String],
        life: Duration,
        now: SystemTime,
    ) -> String {
        let expires_on = later(now, life);
        let token = self.sign(id, scopes, now, expires_on);
        self.directory.remember(id, &token, now, expires_on);
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

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("resource", &self.resource).finish_non_exhaustive()
    }
}

// Ours: the same for an id that was deleted, that never was, or that is no id at all.
fn not_owned() -> Problem {
    let message = "Provided identity doesn't belong to the resource.";
    Problem::new(401, "IdentityNotOwned", message, None).advertising()
}

// Ours: an empty body, as web servers answer where no operation is.
fn unrouted(status: u16, explanation: &str) -> Problem {
    Problem::new(status, "", "", None).explained(explanation.to_owned())
}

fn token_json(token: &str, expires_on: SystemTime) -> String {
    let expires_on = json::text(&date_text(expires_on));
    json::object([("token", json::text(token)), ("expiresOn", expires_on)])
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
mod tests {
    use ureq::http::{HeaderMap, HeaderValue, Method, header};

    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn service() -> Service {
        let mut service =
            Service::new(SharedKey::from_bytes(vec![7; 64]), false, Random::from_seed(1));
        service.accept_bearer_token("bearer".to_owned());
        service
    }

    fn ask(
        service: &mut Service,
        now: SystemTime,
        method: Method,
        path: &str,
        body: &str,
    ) -> (u16, String) {
        let headers = HeaderMap::from_iter([
            (header::AUTHORIZATION, HeaderValue::from_static("Bearer bearer")),
            (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        ]);
        let target = format!("{path}?api-version=2025-03-02-preview");
        let request = Request { method, target, headers, body: body.into() };
        let answer = service.answer(&request, now);
        let bytes = answer.response.encode(false, false, false).bytes;
        let text = String::from_utf8(bytes).unwrap();
        (answer.response.status, text.split_once("\r\n\r\n").unwrap().1.to_owned())
    }

    #[test]
    fn a_token_lives_until_it_expires_is_revoked_or_loses_its_user() {
        let mut service = service();
        let body = r#"{"createTokenWithScopes":["chat"],"expiresInMinutes":60}"#;
        let (status, answer) = ask(&mut service, NOW, Method::POST, "/identities", body);
        assert_eq!(status, 201);
        let token = answer.split(r#""token":""#).nth(1).unwrap().split('"').next().unwrap();
        let id = service.users().remove(0);

        assert!(answer.ends_with(r#""expiresOn":"1970-01-01T01:00:00+00:00"}}"#), "{answer}");
        assert!(service.is_token_valid(token, NOW + Duration::from_secs(3_599)));
        assert!(!service.is_token_valid(token, NOW + Duration::from_secs(3_600)));
        assert!(!service.is_token_valid(&token.to_uppercase(), NOW));

        let path = format!("/identities/{id}/:revokeAccessTokens");
        assert_eq!(ask(&mut service, NOW, Method::POST, &path, "").0, 204);
        assert!(!service.is_token_valid(token, NOW));

        // Issued in the second of the revocation, and another token all the same.
        let path = format!("/identities/{id}/:issueAccessToken");
        let (_, answer) = ask(&mut service, NOW, Method::POST, &path, r#"{"scopes":["chat"]}"#);
        let token = answer.split('"').nth(3).unwrap();
        assert!(service.is_token_valid(token, NOW));
        let path = format!("/identities/{id}");
        assert_eq!(ask(&mut service, NOW, Method::DELETE, &path, "").0, 204);
        assert!(!service.is_token_valid(token, NOW));
        assert_eq!(ask(&mut service, NOW, Method::DELETE, &path, "").0, 401);
    }

    #[test]
    fn a_custom_id_names_one_identity_and_shows_its_last_token() {
        let mut service = service();
        let now = NOW + Duration::from_millis(1_500);
        let create = r#"{"customId":"alice"}"#;
        let (_, first) = ask(&mut service, now, Method::POST, "/identities", create);
        let id = service.users().remove(0);
        assert_eq!(first, format!(r#"{{"identity":{{"customId":"alice","id":"{id}"}}}}"#));

        let create = r#"{"customId":"alice","createTokenWithScopes":["voip"]}"#;
        let (status, again) = ask(&mut service, now, Method::POST, "/identities", create);
        let identity = format!(
            r#"{{"customId":"alice","lastTokenIssuedAt":"1970-01-01T00:00:01+00:00","id":"{id}"}}"#
        );
        assert_eq!(status, 201);
        assert!(
            again.starts_with(&format!(r#"{{"identity":{identity},"accessToken":{{"#)),
            "{again}"
        );

        let (status, got) = ask(&mut service, now, Method::GET, &format!("/identities/{id}"), "");
        assert_eq!((status, got), (200, identity));
        assert_eq!(service.users().len(), 1);
    }

    #[test]
    fn the_same_state_and_request_give_the_same_answer() {
        let body = r#"{"createTokenWithScopes":["chat"]}"#;
        let answer = || ask(&mut service(), NOW, Method::POST, "/identities", body);
        assert_eq!(answer(), answer());
    }
}
