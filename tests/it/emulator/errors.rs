//! Every row of the service's error table.

use acs_identity::emulator::{Emulator, Operation};

use super::{Response, VERSION, call, create, encoded, exchange, post};

const APP: &str = "1d4b6f2a-0a5c-4b1c-9d5e-000000000001";
const OTHER: &str = "1d4b6f2a-0a5c-4b1c-9d5e-000000000002";
const USER: &str = "1d4b6f2a-0a5c-4b1c-9d5e-000000000003";
const NOT_OWNED: &str = r#"{"error":{"code":"IdentityNotOwned","message":"Provided identity doesn't belong to the resource."}}"#;

fn validation(message: &str, target: &str) -> String {
    format!(r#"{{"error":{{"code":"ValidationError","message":"{message}","target":"{target}"}}}}"#)
}

/// Errors are chunked and name no charset; whether they advertise versions tells which layer
/// responded.
fn assert_error(response: &Response, status: u16, body: &str, advertises: bool) {
    assert_eq!(response.body, body);
    assert_eq!(response.status, status, "{body}");
    assert_eq!(response.header("Content-Type"), Some("application/json"), "{body}");
    assert_eq!(response.header("Transfer-Encoding"), Some("chunked"), "{body}");
    assert_eq!(response.header("Content-Length"), None, "{body}");
    assert_eq!(response.header("api-supported-versions").is_some(), advertises, "{body}");
    assert_eq!(response.header("WWW-Authenticate"), None, "{body}");
}

#[test]
fn validation_judges_lifetime_and_scopes() {
    let emulator = Emulator::start().unwrap();
    let issue = format!("/identities/{}/:issueAccessToken", encoded(&create(&emulator)));
    let lifetime = |minutes| {
        let message = format!(
            "ExpiresInMinutes value {minutes} is invalid. Value must be within the [60, 1440] interval."
        );
        validation(&message, "ExpiresInMinutes")
    };
    let absent = validation("Scopes: The Scopes field is required.", "Scopes");
    let empty = validation("Invalid scopes - Scopes field is required.", "scopes");
    let unknown = validation("Invalid scopes - Scope void is not supported.", "scopes");
    for (path, body, expected, advertises) in [
        (
            "/identities",
            r#"{"createTokenWithScopes":["chat"],"expiresInMinutes":59}"#,
            lifetime(59),
            true,
        ),
        (
            "/identities",
            r#"{"createTokenWithScopes":["chat"],"expiresInMinutes":1441}"#,
            lifetime(1441),
            true,
        ),
        ("/identities", r#"{"createTokenWithScopes":["void"]}"#, unknown.clone(), true),
        (&issue, r#"{"scopes":["chat"],"expiresInMinutes":59}"#, lifetime(59), true),
        (&issue, r#"{"scopes":["chat"],"expiresInMinutes":1441}"#, lifetime(1441), true),
        (&issue, r#"{"scopes":["chat"],"expiresInMinutes":-1}"#, lifetime(-1), true),
        (&issue, r#"{"scopes":null}"#, absent.clone(), false),
        (&issue, "{}", absent.clone(), false),
        (&issue, r#"{"expiresInMinutes":59}"#, absent.clone(), false),
        (&issue, r#"{"scopes":null,"expiresInMinutes":59}"#, absent.clone(), false),
        (&issue, r#"{"scopes":[],"expiresInMinutes":59}"#, lifetime(59), true),
        (&issue, "", absent, false),
        (&issue, r#"{"scopes":[]}"#, empty, true),
        (&issue, r#"{"scopes":["chat","void"]}"#, unknown, true),
    ] {
        assert_error(&post(path, body).send(&emulator), 400, &expected, advertises);
    }
    assert_eq!(emulator.users().len(), 1, "a refused create makes no identity");
}

#[test]
fn validation_refuses_a_body_of_another_shape() {
    let emulator = Emulator::start().unwrap();
    for body in [
        "[",
        "[]",
        "1",
        "\u{feff}{}",
        r#"{"createTokenWithScopes":"chat"}"#,
        r#"{"createTokenWithScopes":[1]}"#,
        r#"{"expiresInMinutes":"60"}"#,
        r#"{"expiresInMinutes":60.5}"#,
        r#"{"expiresInMinutes":4294967356}"#,
    ] {
        let response = post("/identities", body).send(&emulator);
        assert_eq!((response.status, response.text("code")), (400, "ValidationError"), "{body}");
    }
    // As curl -d and a tutorial of Microsoft's send it.
    for content_type in ["application/x-www-form-urlencoded", "text/plain; charset=utf-8"] {
        let mut other = post("/identities", "{}");
        other.headers = format!("Content-Type: {content_type}\r\n");
        assert_eq!(other.send(&emulator).status, 415);
        let expected = format!(
            "the Content-Type header is {content_type:?}, but a body has to be application/json"
        );
        assert_eq!(emulator.requests().last().unwrap().refusal(), Some(&*expected));
    }
}

#[test]
fn identity_of_another_resource_is_not_owned() {
    let emulator = Emulator::start().unwrap();
    let deleted = create(&emulator);
    let delete = call("DELETE", format!("/identities/{}?{VERSION}", encoded(&deleted)), "");
    assert_eq!(delete.send(&emulator).status, 204);

    let foreign = create(&Emulator::start().unwrap());
    for id in [foreign.as_str(), &deleted, "no id at all"] {
        let path = format!("/identities/{}", encoded(id).replace(' ', "%20"));
        for call in [
            call("DELETE", format!("{path}?{VERSION}"), ""),
            post(&format!("{path}/:revokeAccessTokens"), ""),
            post(&format!("{path}/:issueAccessToken"), r#"{"scopes":["chat"]}"#),
        ] {
            assert_error(&call.send(&emulator), 401, NOT_OWNED, true);
        }
    }
}

#[test]
fn teams_exchange_checks_in_the_order_of_the_service() {
    let emulator = Emulator::start().unwrap();
    emulator.accept_teams_token("entra", APP, USER);
    let no_token = r#"{"error":{"code":"ValidationError","message":"The body is either missing or doesn't contain any token."}}"#;
    let bad_token = r#"{"error":{"code":"InvalidAccessToken","message":"Provided access token is not valid."}}"#;
    let required = |name: &str| validation(&format!("{name}: The {name} field is required."), name);
    let app_format = validation("Provided AppId has invalid format.", "appId");
    let user_format = validation("Provided UserId has invalid format.", "userId");
    let app_match = validation("AAD application is not the expected one.", "appId");
    let user_match = validation("Provided AAD token issued for unexpected user.", "userId");
    let body = |token: &str, app: &str, user: &str| {
        format!(r#"{{"token":{token},"appId":{app},"userId":{user}}}"#)
    };
    let quoted = |text: &str| format!("\"{text}\"");
    let (entra, app, other, user) = (quoted("entra"), quoted(APP), quoted(OTHER), quoted(USER));
    for (body, status, expected, advertises) in [
        (String::new(), 400, no_token.to_owned(), false),
        (body("null", &app, &user), 400, no_token.to_owned(), false),
        (body("\"\"", &app, "\"\""), 401, bad_token.to_owned(), false),
        (body("\"unknown\"", "null", "null"), 401, bad_token.to_owned(), false),
        (body(&entra, "\"\"", &user), 400, required("AppId"), false),
        (body(&entra, "null", "null"), 400, required("AppId"), false),
        (body(&entra, &app, "\"\""), 400, required("UserId"), false),
        (body(&entra, "\"invalid\"", &user), 400, app_format, true),
        (body(&entra, &other, "\"invalid\""), 400, user_format, true),
        (body(&entra, &other, &other), 400, app_match, true),
        (body(&entra, &app, &other), 400, user_match, true),
    ] {
        let response = post("/teamsUser/:exchangeAccessToken", &body).send(&emulator);
        assert_error(&response, status, &expected, advertises);
    }
    emulator.advance_clock(std::time::Duration::from_secs(3_600));
    let mut late = post("/teamsUser/:exchangeAccessToken", &body(&entra, &app, &user));
    late.date += std::time::Duration::from_secs(3_600);
    assert_error(&late.send(&emulator), 401, bad_token, false);
}

#[test]
fn api_version_is_required_and_has_to_be_known() {
    let emulator = Emulator::start().unwrap();
    let unsupported = |path: &str, version: &str| {
        format!(
            r#"{{"error":{{"code":"UnsupportedApiVersion","innerError":null,"message":"The HTTP resource that matches the request URI 'https://127.0.0.1{path}' does not support the API version '{version}'."}}}}"#
        )
    };
    for (method, path, version) in [
        ("POST", "/identities", "2020-07-20-preview1"),
        ("POST", "/identities", "2099-01-01"),
        ("POST", "/teamsUser/:exchangeAccessToken", "2021-03-07"),
        ("POST", "/identities", "2025-03-02-preview"),
    ] {
        let response = call(method, format!("{path}?api-version={version}"), "").send(&emulator);
        assert_error(&response, 400, &unsupported(path, version), false);
    }
    let unspecified = r#"{"error":{"code":"ApiVersionUnspecified","innerError":null,"message":"An API version is required, but was not specified."}}"#;
    assert_error(&call("POST", "/identities", "").send(&emulator), 400, unspecified, false);
}

#[test]
fn unknown_path_or_method_gets_no_body() {
    let emulator = Emulator::start().unwrap();
    let refusal = || emulator.requests().last().unwrap().refusal().unwrap().to_owned();
    for path in ["/sms", "/emails:send", "/chat/threads"] {
        let response = post(path, "").send(&emulator);
        assert_eq!((response.status, response.body.as_str()), (404, ""));
        assert_eq!(
            refusal(),
            "the signature or token is accepted, but the emulator has identities only: no operation has this path"
        );
    }
    emulator.accept_bearer_token("t");
    let bearer = "GET /sms HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer t\r\n\r\n";
    assert_eq!(exchange(&emulator, bearer).unwrap().status, 404);
    for (method, path, allow) in
        [("PUT", "/identities", "POST"), ("GET", "/identities/a", "DELETE, PATCH")]
    {
        let response = call(method, format!("{path}?{VERSION}"), "").send(&emulator);
        assert_eq!((response.status, response.header("Allow")), (405, Some(allow)));
        assert_eq!(refusal(), "the path takes another method");
    }
}

/// ASP.NET decodes and ignores case where the emulator compared raw texts; the signature still covers the
/// raw text.
#[test]
fn names_of_paths_parameters_and_members_ignore_case_and_escapes() {
    let emulator = Emulator::start().unwrap();
    for target in [
        "/identities?api%2Dversion=2023-10-01",
        "/Identities?Api%2dVersion=2023-10-01",
        "/identities/?api-version=2023-10-01",
    ] {
        let body = r#"{"CreateTokenWithScopes":["chat"],"EXPIRESINMINUTES":60}"#;
        let response = call("POST", target, body).send(&emulator);
        assert_eq!(response.status, 201, "{target}: {}", response.body);
        assert!(emulator.is_token_valid(response.text("token")), "{target}");
    }
    let id = create(&emulator);
    let issue = format!("/IDENTITIES/{id}/:issueaccesstoken/");
    assert_eq!(post(&issue, r#"{"Scopes":["chat"]}"#).send(&emulator).status, 200);
    let delete = call("DELETE", format!("/identities/{}/?{VERSION}", encoded(&id)), "");
    assert_eq!(delete.send(&emulator).status, 204);

    emulator.accept_teams_token("entra", APP, USER);
    let body = format!(r#"{{"Token":"entra","AppId":"{APP}","userid":"{USER}"}}"#);
    assert_eq!(post("/teamsuser/:exchangeaccesstoken", &body).send(&emulator).status, 200);

    let mut decoded = call("POST", "/identities?api%2Dversion=2023-10-01", "").signed(&emulator);
    decoded = decoded.replacen("api%2Dversion", "api-version", 1);
    assert_eq!(exchange(&emulator, &decoded).unwrap().status, 401, "the raw text is signed");
}

#[test]
fn throttling_responds_with_429_without_a_delay_when_asked_to() {
    let emulator = Emulator::builder().throttling(true).start().unwrap();
    emulator.accept_bearer_token("bearer");
    let mut stream = super::connect(&emulator);
    let request = format!(
        "DELETE /identities/a?{VERSION} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer bearer\r\n\r\n"
    );
    let mut ask = || {
        std::io::Write::write_all(stream.get_mut(), request.as_bytes()).unwrap();
        super::read_response(&mut stream).unwrap()
    };
    assert!((0..500).all(|_| ask().status == 401));
    let response = ask();
    assert_eq!((response.status, response.header("Retry-After")), (429, None));
    assert_eq!(response.text("code"), "TooManyRequests");
    emulator.advance_clock(std::time::Duration::from_secs(30));
    assert_eq!(ask().status, 401);
    assert_eq!(emulator.requests()[0].operation(), Some(Operation::Delete));
}
