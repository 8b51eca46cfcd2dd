use ureq::http::{HeaderMap, HeaderValue, Method, header};

use super::*;

const NOW: SystemTime = SystemTime::UNIX_EPOCH;

fn service() -> Service {
    let mut service =
        Service::new(SharedKey::from_bytes(vec![7; 64]), false, None, Random::from_seed(1));
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
    let request = Request { method, target, headers, body: body.into(), port: 1 };
    let (response, _) = service.respond(&request, now);
    let text = String::from_utf8(response.encode(false, false, false).bytes).unwrap();
    (response.status, text.split_once("\r\n\r\n").unwrap().1.to_owned())
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
    let valid = |seconds| service.tokens_of(&id, NOW + Duration::from_secs(seconds)).unwrap().len();
    assert_eq!([valid(3_599), valid(3_600)], [1, 0]);
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
fn a_revocation_takes_what_was_issued_within_its_millisecond() {
    let mut directory = Directory::default();
    let id = directory.create("resource", None, &mut Random::from_seed(1));
    let at = |micros| NOW + Duration::from_micros(micros);
    directory.remember(&id, IssuedToken::new("token", &[], at(1_999), at(9_000)));
    let mut left = |instant| {
        directory.revoke(&id, Some(instant));
        directory.identity(&id).unwrap().valid_tokens(NOW).count()
    };
    assert_eq!([left(at(999)), left(at(1_000))], [1, 0]);
}

#[test]
fn a_teams_token_is_taken_until_it_expires() {
    let mut service = service();
    let expires_on = NOW + Duration::from_secs(3_600);
    let user = TeamsUser { app_id: "a".to_owned(), object_id: "u".to_owned(), expires_on };
    service.accept_teams_token("entra".to_owned(), user);
    let body = r#"{"token":"entra","appId":"a","userId":"u"}"#;
    let mut code = |now| {
        let (_, answer) =
            ask(&mut service, now, Method::POST, "/teamsUser/:exchangeAccessToken", body);
        answer.split('"').nth(5).unwrap().to_owned()
    };
    // One that is taken gets as far as the ids, which are none.
    assert_eq!(code(expires_on - Duration::from_secs(1)), "ValidationError");
    assert_eq!(code(expires_on), "InvalidAccessToken");
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
    assert!(again.starts_with(&format!(r#"{{"identity":{identity},"accessToken":{{"#)), "{again}");

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
