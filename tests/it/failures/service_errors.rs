//! The error for each response with which the service is known to reject a request.

use std::time::Duration;

use acs_identity::emulator::{Emulator, Fault};
use acs_identity::{
    AccessKey, CommunicationIdentityClient, CommunicationUserIdentifier, Error, ErrorKind,
    TokenRequest,
};

use crate::support::{builder, builder_with, client, last_request, text};

const APP: &str = "1d4b6f2a-0a5c-4b1c-9d5e-000000000001";
const OTHER: &str = "1d4b6f2a-0a5c-4b1c-9d5e-000000000002";
const USER: &str = "1d4b6f2a-0a5c-4b1c-9d5e-000000000003";
const TEAMS_TOKEN: &str = "teams-token";

/// The context at the end of every error that has a response.
const CONTEXT: &str =
    "[host HOST, api-version 2023-10-01, client-request-id ID, ms-cv CV, x-azure-ref REF]";

/// The expected accessors and text of an error.
struct Told<'a> {
    status: u16,
    code: Option<&'a str>,
    message: Option<&'a str>,
    target: Option<&'a str>,
    /// Without the name of the operation, and without the context.
    problem: &'a str,
}

fn assert_told(error: &Error, emulator: &Emulator, operation: &str, told: &Told<'_>) {
    let problem = told.problem;
    assert_eq!(text(error), format!("{operation}: {problem} {CONTEXT}"));
    assert_eq!((error.kind(), error.status()), (ErrorKind::Service, Some(told.status)), "{error}");
    assert_eq!(error.code(), told.code, "{error}");
    assert_eq!(error.message(), told.message, "{error}");
    assert_eq!(error.target(), told.target, "{error}");
    assert_eq!((error.attempts(), error.created_user_id()), (1, None), "{error}");

    let request = last_request(emulator);
    assert_eq!(error.client_request_id(), request.header("x-ms-client-request-id"), "{error}");
    assert!(error.ms_cv().is_some_and(|vector| vector.ends_with(".2.0")), "{error}");
    assert!(error.azure_ref().is_some_and(|reference| reference.starts_with('0')), "{error}");
    assert!(error.to_string().lines().count() == 1, "{error}");
}

fn lifetime(minutes: u64) -> TokenRequest {
    TokenRequest::new(["chat"]).expires_in(Duration::from_secs(60 * minutes))
}

#[test]
fn service_error_for_a_lifetime_out_of_range_states_the_limits() {
    let emulator = Emulator::start().unwrap();
    let client = client(&emulator);
    let user = client.create_user().unwrap();
    for minutes in [59, 1441] {
        let message = format!(
            "ExpiresInMinutes value {minutes} is invalid. Value must be within the [60, 1440] interval."
        );
        let problem = format!(
            "the service responded with 400 ValidationError: ExpiresInMinutes value {minutes} is invalid. Value must be within the [60, 1440] interval (target ExpiresInMinutes); expires_in takes 60 minutes to 24 hours"
        );
        let told = Told {
            status: 400,
            code: Some("ValidationError"),
            message: Some(&message),
            target: Some("ExpiresInMinutes"),
            problem: &problem,
        };
        let error = client.create_user_and_token(lifetime(minutes)).unwrap_err();
        assert_told(&error, &emulator, "create_user_and_token", &told);
        let error = client.issue_token(&user, lifetime(minutes)).unwrap_err();
        assert_told(&error, &emulator, "issue_token", &told);
    }
    assert_eq!(emulator.users(), [user.identifier()]);
}

#[test]
fn service_error_for_a_foreign_or_deleted_user_explains_the_id() {
    let emulator = Emulator::start().unwrap();
    let client = client(&emulator);
    let foreign: CommunicationUserIdentifier =
        "8:acs:bbbcbc1e-9f06-482a-b5d8-20e3f26ef0cd_45ab2481-1c1c-4005-be24-0ffb879b1130"
            .parse()
            .unwrap();
    let deleted = client.create_user().unwrap();
    client.delete_user(&deleted).unwrap();
    let told = Told {
        status: 401,
        code: Some("IdentityNotOwned"),
        message: Some("Provided identity doesn't belong to the resource."),
        target: None,
        problem: "the service responded with 401 IdentityNotOwned: Provided identity doesn't belong to the resource; the id belongs to another resource, was deleted or never existed; the key is not at fault",
    };
    for user in [foreign, deleted] {
        let error = client.issue_token(&user, ["chat"]).unwrap_err();
        assert_told(&error, &emulator, "issue_token", &told);
        let error = client.revoke_tokens(&user).unwrap_err();
        assert_told(&error, &emulator, "revoke_tokens", &told);
        let error = client.delete_user(&user).unwrap_err();
        assert_told(&error, &emulator, "delete_user", &told);
    }
}

#[test]
fn service_error_for_a_teams_exchange_names_the_argument() {
    let emulator = Emulator::start().unwrap();
    emulator.accept_teams_token(TEAMS_TOKEN, APP, USER);
    let client = client(&emulator);
    let validation = |message, target| (400, "ValidationError", message, Some(target));
    for (arguments, (status, code, message, target), problem) in [
        (
            [TEAMS_TOKEN, "invalid", USER],
            validation("Provided AppId has invalid format.", "appId"),
            "the service responded with 400 ValidationError: Provided AppId has invalid format (target appId); client_id must be the id of the Entra application that the Teams user's token was issued to",
        ),
        (
            [TEAMS_TOKEN, OTHER, USER],
            validation("AAD application is not the expected one.", "appId"),
            "the service responded with 400 ValidationError: AAD application is not the expected one (target appId); client_id must be the id of the Entra application that the Teams user's token was issued to",
        ),
        (
            [TEAMS_TOKEN, APP, "invalid"],
            validation("Provided UserId has invalid format.", "userId"),
            "the service responded with 400 ValidationError: Provided UserId has invalid format (target userId); user_object_id must be the Entra object id of the Teams user whose token it is",
        ),
        (
            [TEAMS_TOKEN, APP, OTHER],
            validation("Provided AAD token issued for unexpected user.", "userId"),
            "the service responded with 400 ValidationError: Provided AAD token issued for unexpected user (target userId); user_object_id must be the Entra object id of the Teams user whose token it is",
        ),
        (
            ["another", APP, USER],
            (401, "InvalidAccessToken", "Provided access token is not valid.", None),
            "the service responded with 401 InvalidAccessToken: Provided access token is not valid; the Teams user's Entra token has expired, is malformed or is for another audience; the key is not at fault",
        ),
    ] {
        let [token, app, user] = arguments;
        let error = client.exchange_teams_user_token(token, app, user).unwrap_err();
        let told = Told { status, code: Some(code), message: Some(message), target, problem };
        assert_told(&error, &emulator, "exchange_teams_user_token", &told);
    }
}

/// The operation of a recorded response.
type Call = fn(&CommunicationIdentityClient) -> Result<(), Error>;

fn issue(client: &CommunicationIdentityClient) -> Result<(), Error> {
    client.issue_token(&"8:acs:a_b".parse().unwrap(), ["chat"]).map(drop)
}

fn exchange(client: &CommunicationIdentityClient) -> Result<(), Error> {
    client.exchange_teams_user_token(TEAMS_TOKEN, APP, USER).map(drop)
}

/// Responses that the emulator does not send: to requests that the client does not send, and with wordings
/// of earlier years. The bodies are as recorded.
#[test]
fn service_error_bodies_that_were_recorded_are_explained() {
    let validation = |message, target| (Some("ValidationError"), Some(message), target);
    let rows: [(Call, &str, (_, Option<&str>, _), &str); 8] = [
        (
            issue,
            r#"{"error":{"code":"ValidationError","message":"Scopes: The Scopes field is required.","target":"Scopes"}}"#,
            validation("Scopes: The Scopes field is required.", Some("Scopes")),
            "issue_token: the service responded with 400 ValidationError: Scopes: The Scopes field is required (target Scopes); the scopes are chat, chat.join, chat.join.limited, voip and voip.join",
        ),
        (
            issue,
            r#"{"error":{"code":"ValidationError","message":"Invalid scopes - Scopes field is required.","target":"scopes"}}"#,
            validation("Invalid scopes - Scopes field is required.", Some("scopes")),
            "issue_token: the service responded with 400 ValidationError: Invalid scopes - Scopes field is required (target scopes); the scopes are chat, chat.join, chat.join.limited, voip and voip.join",
        ),
        (
            issue,
            r#"{"error":{"code":"ValidationError","message":"ExpiresInMinutes value 1441 is invalid.","target":"ExpiresInMinutes"}}"#,
            validation("ExpiresInMinutes value 1441 is invalid.", Some("ExpiresInMinutes")),
            "issue_token: the service responded with 400 ValidationError: ExpiresInMinutes value 1441 is invalid (target ExpiresInMinutes); expires_in takes 60 minutes to 24 hours",
        ),
        (
            exchange,
            r#"{"error":{"code":"ValidationError","message":"AppId: The AppId field is required.","target":"AppId"}}"#,
            validation("AppId: The AppId field is required.", Some("AppId")),
            "exchange_teams_user_token: the service responded with 400 ValidationError: AppId: The AppId field is required (target AppId); client_id must be the id of the Entra application that the Teams user's token was issued to",
        ),
        (
            exchange,
            r#"{"error":{"code":"ValidationError","message":"UserId: The UserId field is required.","target":"UserId"}}"#,
            validation("UserId: The UserId field is required.", Some("UserId")),
            "exchange_teams_user_token: the service responded with 400 ValidationError: UserId: The UserId field is required (target UserId); user_object_id must be the Entra object id of the Teams user whose token it is",
        ),
        (
            exchange,
            r#"{"error":{"code":"ValidationError","message":"The body is either missing or doesn't contain any token."}}"#,
            validation("The body is either missing or doesn't contain any token.", None),
            "exchange_teams_user_token: the service responded with 400 ValidationError: The body is either missing or doesn't contain any token",
        ),
        // Not seen for identities: a response of a sibling service, and one with additional members.
        (
            issue,
            r#"{"error":{"code":"7509","message":"HMAC-SHA256 validation failed"}}"#,
            (Some("7509"), Some("HMAC-SHA256 validation failed"), None),
            "issue_token: the service responded with 400 7509: HMAC-SHA256 validation failed",
        ),
        (
            issue,
            "{\"error\":{\"code\":\"X\",\"message\":\"two\\r\\nlines\\u0007, \\\"quoted\\\".\",\"details\":[{\"code\":\"Y\"}],\"innererror\":{},\"new\":1}}",
            (Some("X"), Some("two lines, \"quoted\"."), None),
            "issue_token: the service responded with 400 X: two lines, \"quoted\"",
        ),
    ];
    let emulator = Emulator::start().unwrap();
    let client = client(&emulator);
    for (call, body, (code, message, target), shown) in rows {
        emulator.inject(Fault::respond(400).header("Content-Type", "application/json").body(body));
        let (operation, problem) = shown.split_once(": ").unwrap();
        let told = Told { status: 400, code, message, target, problem };
        assert_told(&call(&client).unwrap_err(), &emulator, operation, &told);
    }
}

#[test]
fn service_error_for_a_wrong_key_says_to_check_it() {
    let emulator = Emulator::start().unwrap();
    let key: AccessKey = "d3Jvbmc=".parse().unwrap();
    let error = builder_with(&emulator, key).build().unwrap().create_user().unwrap_err();
    let told = Told {
        status: 401,
        code: Some("Denied"),
        message: Some("Denied by the resource provider."),
        target: None,
        problem: "the service responded with 401 Denied: Denied by the resource provider; check that the endpoint and the access key belong to the same resource and that the key was not regenerated",
    };
    assert_told(&error, &emulator, "create_user", &told);
}

#[test]
fn service_error_for_a_401_403_or_404_gives_advice() {
    const KEY: &str = "check that the endpoint and the access key belong to the same resource and that the key was not regenerated";
    let emulator = Emulator::start().unwrap();
    let client = client(&emulator);
    let denied = r#"{"error":{"code":"Denied","message":"Request 'x-ms-content-sha256' differs from generated content hash."}}"#;
    for (status, body, code, message, problem) in [
        (401, "", None, None, format!("the service responded with 401 Unauthorized; {KEY}")),
        (
            401,
            denied,
            Some("Denied"),
            Some("Request 'x-ms-content-sha256' differs from generated content hash."),
            "the service responded with 401 Denied: Request 'x-ms-content-sha256' differs from generated content hash; something in between, such as a proxy, changed the body".to_owned(),
        ),
        (
            403,
            "",
            None,
            None,
            "the service responded with 403 Forbidden; check the resource's role assignments and network rules, and any gateway or proxy in between".to_owned(),
        ),
        (
            403,
            r#"{"error":{"code":"Forbidden","message":"Not this network."}}"#,
            Some("Forbidden"),
            Some("Not this network."),
            "the service responded with 403 Forbidden: Not this network; check the resource's role assignments and network rules".to_owned(),
        ),
        (
            404,
            "",
            None,
            None,
            "the service responded with 404 Not Found; check the endpoint: the identity API is at https://<resource>.communication.azure.com".to_owned(),
        ),
        (
            404,
            r#"{"error":{"code":"NotFound","message":"No such thing."}}"#,
            Some("NotFound"),
            Some("No such thing."),
            "the service responded with 404 NotFound: No such thing".to_owned(),
        ),
    ] {
        emulator.inject(Fault::respond(status).body(body));
        let error = client.revoke_tokens(&"8:acs:a_b".parse().unwrap()).unwrap_err();
        let told = Told { status, code, message, target: None, problem: &problem };
        assert_told(&error, &emulator, "revoke_tokens", &told);
    }
}

#[test]
fn service_error_for_throttling_states_the_delay() {
    let emulator = Emulator::start().unwrap();
    let client = client(&emulator);
    for (header, retry_after, advice) in [
        (None, None, "wait 30 s before the next attempt"),
        (Some(("Retry-After", "7")), Some(7_000), "wait 7 s before the next attempt"),
        (Some(("retry-after-ms", "1500")), Some(1_500), "wait 2 s before the next attempt"),
        (Some(("Retry-After", "soon")), None, "wait 30 s before the next attempt"),
    ] {
        let mut fault = Fault::respond(429);
        if let Some((name, value)) = header {
            fault = fault.header(name, value);
        }
        emulator.inject(fault);
        let error = client.create_user().unwrap_err();
        let problem = format!(
            "the service responded with 429 Too Many Requests; the resource is throttled: {advice}"
        );
        let told = Told { status: 429, code: None, message: None, target: None, problem: &problem };
        assert_told(&error, &emulator, "create_user", &told);
        assert_eq!(error.retry_after(), retry_after.map(Duration::from_millis));
        assert!(!error.is_in_doubt());
    }
}

/// The shape of ASP.NET's versioning, which writes `innerError`.
#[test]
fn service_error_for_an_unknown_api_version_gives_advice() {
    let emulator = Emulator::start().unwrap();
    let client = builder(&emulator).api_version("2099-12-31").build().unwrap();
    let error = client.create_user().unwrap_err();
    assert_eq!(
        text(&error),
        "create_user: the service responded with 400 UnsupportedApiVersion: The HTTP resource that matches the request URI 'https://127.0.0.1/identities' does not support the API version '2099-12-31'; choose another api_version [host HOST, api-version 2099-12-31, client-request-id ID, ms-cv CV, x-azure-ref REF]"
    );
    assert_eq!((error.status(), error.code()), (Some(400), Some("UnsupportedApiVersion")));
    assert_eq!((error.kind(), error.target()), (ErrorKind::Service, None));
}

/// Azure's services repeat their code in a header, also where there is no body.
#[test]
fn service_error_code_is_read_from_the_header_without_a_body() {
    let emulator = Emulator::start().unwrap();
    let header = ("x-ms-error-code", "ResourceNotFound");
    emulator.inject(Fault::respond(404).header(header.0, header.1));
    let error = client(&emulator).create_user().unwrap_err();
    assert_eq!((error.status(), error.code()), (Some(404), Some("ResourceNotFound")), "{error}");
    // The body's own counts first.
    let body = r#"{"error":{"code":"Other","message":"m"}}"#;
    emulator.inject(Fault::respond(404).header(header.0, header.1).body(body));
    assert_eq!(client(&emulator).create_user().unwrap_err().code(), Some("Other"));
}
