//! Every way in which connection strings are met, with what the other clients make of it in mind.

use acs_identity::{ConnectionString, ErrorKind};
use proptest::prelude::*;

const EXPECTED: &str =
    "expected endpoint=https://<resource>.communication.azure.com/;accesskey=<base64>";
const ENDPOINT_EXPECTED: &str = "expected https://<resource>.communication.azure.com";

#[test]
fn accepted() {
    for text in [
        "endpoint=https://contoso.communication.azure.com/;accesskey=pw==",
        "endpoint=https://contoso.communication.azure.com;accesskey=pw==",
        "Endpoint=https://contoso.communication.azure.com/;AccessKey=pw==",
        "ENDPOINT=HTTPS://CONTOSO.communication.azure.com/;ACCESSKEY=pw==",
        "accesskey=pw==;endpoint=https://contoso.communication.azure.com/",
        "endpoint=https://contoso.communication.azure.com/;accesskey=pw==;",
        "endpoint=https://contoso.communication.azure.com/;accesskey=pw==;;",
        ";endpoint=https://contoso.communication.azure.com/;accesskey=pw==",
        "endpoint=https://contoso.communication.azure.com/;accesskey=pw==;foo=bar",
        " endpoint=https://contoso.communication.azure.com/; accesskey=pw==",
        "endpoint = https://contoso.communication.azure.com/ ; accesskey = pw== ",
        "endpoint=https://contoso.communication.azure.com/;accesskey=pw==\r\n",
        "endpoint=https://contoso.communication.azure.com/;\r\naccesskey=pw==\r\n",
        "\"endpoint=https://contoso.communication.azure.com/;accesskey=pw==\"",
        "'endpoint=https://contoso.communication.azure.com/;accesskey=pw==;'",
        "endpoint=\"https://contoso.communication.azure.com/\";accesskey=\"pw==\"",
        "\"endpoint=https://contoso.communication.azure.com/\";\"accesskey=pw==\"",
        "\u{feff}endpoint=https://contoso.communication.azure.com/;accesskey=pw==",
        "endpoint=https://contoso.communication.azure.com:443/;accesskey=pw==",
    ] {
        let settings: ConnectionString =
            text.parse().unwrap_or_else(|error| panic!("{text:?}: {error}"));
        let endpoint = settings.endpoint().to_string();
        assert_eq!(endpoint, "https://contoso.communication.azure.com", "{text:?}");
    }
}

#[test]
fn refused() {
    for (text, error) in [
        ("", format!("connection string is empty: {EXPECTED}")),
        (" \r\n", format!("connection string is empty: {EXPECTED}")),
        ("\"\"", format!("connection string is empty: {EXPECTED}")),
        (
            "Lorem ipsum dolor connection string",
            format!("part 1 of the connection string has no =: {EXPECTED}"),
        ),
        ("endpoint:https://a", format!("part 1 of the connection string has no =: {EXPECTED}")),
        (
            "endpoint=https://a;accesskey",
            format!("part 2 of the connection string has no =: {EXPECTED}"),
        ),
        (
            "endpoint=https://a;=pw==",
            format!("part 2 of the connection string has no name before its =: {EXPECTED}"),
        ),
        (
            "endpoint=https://a/",
            format!(
                "connection string has no accesskey= part (in a shell, quote the string: a ; ends a command): {EXPECTED}"
            ),
        ),
        ("accesskey=pw==", format!("connection string has no endpoint= part: {EXPECTED}")),
        (
            "export NAME=endpoint=https://a;accesskey=pw==",
            format!("connection string has the name of a variable in front of it: {EXPECTED}"),
        ),
        (
            "NAME = \"Endpoint=https://a;accesskey=pw==\"",
            format!("connection string has the name of a variable in front of it: {EXPECTED}"),
        ),
        (
            "endpoint=https://a;accesskey=pw==;AccessKey=pw==",
            format!("connection string has accesskey= twice: {EXPECTED}"),
        ),
        (
            "endpoint=https://a;endpoint=https://a;accesskey=pw==",
            format!("connection string has endpoint= twice: {EXPECTED}"),
        ),
        (
            "endpoint=pw==;accesskey=https://contoso.communication.azure.com/",
            format!("accesskey holds a URL, as if the two values were swapped: {EXPECTED}"),
        ),
        ("endpoint=;accesskey=pw==", format!("endpoint is empty: {ENDPOINT_EXPECTED}")),
        ("endpoint=a;accesskey=pw==", format!("endpoint has no scheme: {ENDPOINT_EXPECTED}")),
        (
            "endpoint=sb://a/;accesskey=pw==",
            format!("endpoint has a scheme other than https: {ENDPOINT_EXPECTED}"),
        ),
        (
            "endpoint=https://a:8443/path/;accesskey=pw==",
            format!("endpoint has a path: {ENDPOINT_EXPECTED}"),
        ),
        (
            "endpoint=https://a///;accesskey=pw==",
            format!("endpoint has a path: {ENDPOINT_EXPECTED}"),
        ),
        (
            "endpoint=https://u:p@a/;accesskey=pw==",
            format!("endpoint has a user name or password: {ENDPOINT_EXPECTED}"),
        ),
        (
            "endpoint=https://a/?x=1;accesskey=pw==",
            format!("endpoint has a query or a fragment: {ENDPOINT_EXPECTED}"),
        ),
        (
            "endpoint=http://a/;accesskey=pw==",
            "endpoint is plain http: use https (http is for loopback hosts only)".to_owned(),
        ),
        (
            "endpoint=https://a/;accesskey=",
            "accesskey is empty: copy it from the portal's Keys page".to_owned(),
        ),
        (
            "endpoint=https://a/;accesskey=abc==",
            "accesskey is not valid base64: copy it again from the portal's Keys page".to_owned(),
        ),
        (
            "endpoint=https://a/;accesskey=se\ncret==",
            "accesskey is not valid base64: copy it again from the portal's Keys page".to_owned(),
        ),
    ] {
        let refusal = text.parse::<ConnectionString>().unwrap_err();
        assert_eq!(refusal.to_string(), error, "{text:?}");
        assert_eq!(refusal.kind(), ErrorKind::InvalidInput, "{text:?}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic_or_repeat_a_value(
        text in "\\PC*|(endpoint|accesskey|x)?=?[a-z:/\"' ;=]{0,20};(accesskey|endpoint)=[A-Za-z0-9+/=\\r\\n;]{0,40}",
    ) {
        if let Err(error) = text.parse::<ConnectionString>() {
            for value in text.split([';', '=']).map(str::trim).filter(|value| value.len() > 12) {
                prop_assert!(!error.to_string().contains(value), "{:?} in {}", value, error);
            }
        }
    }
}
