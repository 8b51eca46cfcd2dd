//! Constructors, conversions and the formats of errors.

use std::error::Error as _;
use std::process::Command;

use acs_identity::emulator::Emulator;
use acs_identity::{
    CommunicationIdentifier, CommunicationIdentityClient, CommunicationUserIdentifier, ErrorKind,
    RetryPolicy, TokenRequest, TokenScope,
};

use crate::support::process::run;
use crate::support::{Nobody, client};

const VARIABLE: &str = "COMMUNICATION_SERVICES_CONNECTION_STRING";

/// Runs `from_env` in a process of its own, because a variable can only be set there, and returns what
/// it prints.
fn from_env_with(value: Option<&std::ffi::OsStr>) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([
        "--exact",
        "client::interface::from_env_child_process",
        "--ignored",
        "--nocapture",
    ]);
    match value {
        Some(value) => command.env(VARIABLE, value),
        None => command.env_remove(VARIABLE),
    };
    let output = run(&mut command);
    let stderr = String::from_utf8(output.stderr).unwrap();
    let line = stderr.lines().find_map(|line| line.strip_prefix("from_env: "));
    line.unwrap_or_else(|| panic!("{stderr}")).to_owned()
}

#[test]
#[ignore = "run by another test, in a process of its own"]
fn from_env_child_process() {
    let told = match CommunicationIdentityClient::from_env() {
        Ok(client) => client.endpoint().to_string(),
        Err(error) => format!("{:?} error: {error}", error.kind()),
    };
    std::io::Write::write_all(&mut std::io::stderr(), format!("from_env: {told}\n").as_bytes())
        .unwrap();
}

#[test]
fn from_env_reads_the_variable_and_reports_what_is_wrong() {
    let unset = format!(
        "InvalidInput error: {VARIABLE} is not set: set it to the connection string on the portal's Keys page, or to an emulator's"
    );
    assert_eq!(from_env_with(None), unset);
    assert_eq!(from_env_with(Some("".as_ref())), unset.replace("not set", "empty"));
    let good = "endpoint=https://contoso.communication.azure.com/;accesskey=c2VjcmV0";
    assert_eq!(from_env_with(Some(good.as_ref())), "https://contoso.communication.azure.com");
    assert_eq!(
        from_env_with(Some("endpoint=https://contoso.communication.azure.com/".as_ref())),
        "InvalidInput error: COMMUNICATION_SERVICES_CONNECTION_STRING: connection string ends after endpoint= (in a shell, quote the string: a ; ends a command): expected endpoint=https://<resource>.communication.azure.com/;accesskey=<base64>"
    );
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt as _;
        assert_eq!(
            from_env_with(Some(std::ffi::OsStr::from_bytes(b"endpoint=\xff"))),
            format!(
                "InvalidInput error: {VARIABLE} is not valid UTF-8: set it to the connection string on the portal's Keys page, or to an emulator's"
            )
        );
    }
}

#[test]
fn error_has_three_formats() {
    let error = client(&Nobody).create_user().unwrap_err();
    let (text, cause) = (error.to_string(), error.source().unwrap().to_string());
    assert!(!text.contains(&cause) && !text.contains('\n'), "{text}");
    assert_eq!(format!("{error:#}"), format!("{text}: {cause}"));
    assert_eq!(format!("{error:?}"), format!("{text}\ncaused by: {cause}"));

    let error = "".parse::<CommunicationUserIdentifier>().unwrap_err();
    for text in [error.to_string(), format!("{error:#}"), format!("{error:?}")] {
        assert_eq!(text, "user id is empty: expected 8:acs:<resource>_<user>");
    }
}

#[test]
fn token_request_converts_from_any_collection_of_scopes() {
    let expected = TokenRequest::new([TokenScope::CHAT, TokenScope::VOIP]);
    let (texts, owned) = (["chat", "voip"], vec!["chat".to_owned(), "voip".to_owned()]);
    let scopes = [TokenScope::CHAT, TokenScope::VOIP];
    for request in [
        TokenRequest::from(texts),
        TokenRequest::from(&texts),
        TokenRequest::from(texts.as_slice()),
        TokenRequest::from(texts.to_vec()),
        TokenRequest::from(&texts.to_vec()),
        TokenRequest::from(&owned),
        TokenRequest::from(owned.iter().map(String::as_str)),
        TokenRequest::from(owned.clone()),
        TokenRequest::from(&scopes),
        TokenRequest::from(scopes),
        TokenRequest::from(&expected),
    ] {
        assert_eq!(request, expected);
    }
}

#[test]
fn serde_writes_scopes_and_identifiers_as_text() {
    let scopes = vec![TokenScope::VOIP_JOIN, TokenScope::from("new.scope")];
    let json = serde_json::to_string(&scopes).unwrap();
    assert_eq!(json, r#"["voip.join","new.scope"]"#);
    assert_eq!(serde_json::from_str::<Vec<TokenScope>>(&json).unwrap(), scopes);

    let phone = CommunicationIdentifier::from("4:+112345556789");
    let json = serde_json::to_string(&phone).unwrap();
    assert_eq!(json, r#""4:+112345556789""#);
    assert_eq!(serde_json::from_str::<CommunicationIdentifier>(&json).unwrap(), phone);
}

#[test]
fn builder_from_connection_string_builds_a_working_client() {
    let emulator = Emulator::start().unwrap();
    let text = emulator.connection_string();
    let builder = CommunicationIdentityClient::builder_from_connection_string(&text).unwrap();
    builder.retry_policy(RetryPolicy::none()).build().unwrap().create_user().unwrap();
    let error = CommunicationIdentityClient::builder_from_connection_string("endpoint=x");
    assert_eq!(error.map(drop).unwrap_err().kind(), ErrorKind::InvalidInput);
}
