use ureq::http::{HeaderMap, HeaderValue, Method, header};

use super::*;

const NOW: SystemTime = SystemTime::UNIX_EPOCH;

fn service() -> Service {
    let key = SharedKey::parse("c2VjcmV0").unwrap();
    let mut service = Service::new(key, Settings::default());
    service.bearer_tokens.insert("bearer".to_owned());
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
    let target = format!("{path}?api-version=2023-10-01");
    let request = Request { method, target, headers, body: body.into(), ..Request::default() };
    let (response, _) = service.respond(&request, now);
    (response.status, String::from_utf8(response.body).unwrap())
}

#[test]
fn token_lives_until_it_expires_is_revoked_or_loses_its_user() {
    let mut service = service();
    let body = r#"{"createTokenWithScopes":["chat"],"expiresInMinutes":60}"#;
    let (status, answer) = ask(&mut service, NOW, Method::POST, "/identities", body);
    assert_eq!(status, 201);
    let token = answer.split(r#""token":""#).nth(1).unwrap().split('"').next().unwrap();
    let id = service.users.ids().remove(0);

    assert!(answer.ends_with(r#""expiresOn":"1970-01-01T01:00:00+00:00"}}"#), "{answer}");
    assert!(service.is_token_valid(token, NOW + Duration::from_secs(3_599)));
    assert!(!service.is_token_valid(token, NOW + Duration::from_secs(3_600)));
    let valid = |seconds| {
        service.users.valid_tokens(&id, NOW + Duration::from_secs(seconds)).unwrap().len()
    };
    assert_eq!([valid(3_599), valid(3_600)], [1, 0]);
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let forged = format!("{signed}.{}", signature.chars().rev().collect::<String>());
    assert!(!service.is_token_valid(&forged, NOW));

    let path = format!("/identities/{id}/:revokeAccessTokens");
    assert_eq!(ask(&mut service, NOW, Method::POST, &path, "").0, 204);
    assert!(!service.is_token_valid(token, NOW));

    // Issued in the second of the revocation, and another token all the same.
    let path = format!("/identities/{id}/:issueAccessToken");
    let body = r#"{"scopes":["chat"],"expiresInMinutes":60}"#;
    let (_, answer) = ask(&mut service, NOW, Method::POST, &path, body);
    let later = answer.split('"').nth(3).unwrap();
    assert!(service.is_token_valid(later, NOW) && !service.is_token_valid(token, NOW));
    let token = later;
    let path = format!("/identities/{id}");
    assert_eq!(ask(&mut service, NOW, Method::DELETE, &path, "").0, 204);
    assert!(!service.is_token_valid(token, NOW));
    assert_eq!(ask(&mut service, NOW, Method::DELETE, &path, "").0, 401);
}

fn token(number: u64, issued_at: Duration, expires_on: Duration) -> IssuedToken {
    let (issued_at, expires_on) = (NOW + issued_at, NOW + expires_on);
    IssuedToken { number, scopes: Vec::new(), issued_at, expires_on }
}

#[test]
fn revocation_takes_what_was_issued_within_its_millisecond() {
    let mut directory = Directory::default();
    directory.add("8:acs:a");
    let micros = Duration::from_micros;
    directory.remember("8:acs:a", token(1, micros(1_999), micros(9_000)));
    let mut left = |instant| {
        directory.revoke("8:acs:a", Some(NOW + micros(instant)));
        directory.valid_tokens("8:acs:a", NOW).unwrap().len()
    };
    assert_eq!([left(999), left(1_000)], [1, 0]);
}

#[test]
fn tokens_that_expired_are_freed() {
    let mut directory = Directory::default();
    directory.add("8:acs:a");
    // Each lives for ten seconds, and one is issued in each of ten thousand.
    for number in 0..10_000 {
        let at = Duration::from_secs(number);
        directory.remember("8:acs:a", token(number, at, at + Duration::from_secs(10)));
        assert!(directory.token("8:acs:a", number).is_some());
        assert!(directory.token_count() <= 2_000);
    }
    directory.free_expired(NOW + Duration::from_secs(10_000));
    assert_eq!(directory.token_count(), 9);
}

#[test]
fn teams_exchange_takes_a_token_until_it_expires() {
    let mut service = service();
    let expires_on = NOW + Duration::from_secs(3_600);
    let user = TeamsUser { app_id: "a".to_owned(), object_id: "u".to_owned(), expires_on };
    service.entra_tokens.insert("entra".to_owned(), user);
    let body = r#"{"token":"entra","appId":"a","userId":"u"}"#;
    let code = |service: &mut Service, now| {
        let (_, answer) = ask(service, now, Method::POST, "/teamsUser/:exchangeAccessToken", body);
        answer.split('"').nth(5).unwrap().to_owned()
    };
    // One that is taken gets as far as the ids, which are none.
    assert_eq!(code(&mut service, expires_on - Duration::from_secs(1)), "ValidationError");
    assert_eq!(code(&mut service, expires_on), "InvalidAccessToken");
    service.reset(expires_on);
    assert_eq!(code(&mut service, expires_on), "ValidationError");
}
