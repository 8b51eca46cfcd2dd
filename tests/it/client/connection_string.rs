//! Connection strings as people paste them.

use acs_identity::{ConnectionString, ErrorKind};
use proptest::prelude::*;

const EXPECTED: &str =
    "expected endpoint=https://<resource>.communication.azure.com/;accesskey=<base64>";
const ENDPOINT_EXPECTED: &str = "expected https://<resource>.communication.azure.com";

#[test]
fn connection_string_is_accepted_with_its_leftovers() {
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
fn connection_string_with_a_mistake_is_refused() {
    for (text, error) in [
        ("", format!("connection string is empty: {EXPECTED}")),
        (" \r\n", format!("connection string is empty: {EXPECTED}")),
        ("\"\"", format!("connection string is empty: {EXPECTED}")),
        (
            "Lorem ipsum dolor connection string",
            format!("part 1 of the connection string has no '=' sign: {EXPECTED}"),
        ),
        (
            "endpoint:https://a",
            format!("part 1 of the connection string has no '=' sign: {EXPECTED}"),
        ),
        (
            "endpoint=https://a;accesskey",
            format!("part 2 of the connection string has no '=' sign: {EXPECTED}"),
        ),
        (
            "endpoint=https://a;=pw==",
            format!("part 2 of the connection string has no name before its '=' sign: {EXPECTED}"),
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

/// A shell cuts off what is behind the first `;`. Nothing else gets the advice to quote the string.
#[test]
fn connection_string_that_lacks_its_key_says_why() {
    for (text, error) in [
        (
            "endpoint=https://a/",
            format!(
                "connection string ends after endpoint= (in a shell, quote the string: a ; ends a command): {EXPECTED}"
            ),
        ),
        (
            "endpoint=https://a/;foo=bar",
            format!("connection string has no accesskey= part: {EXPECTED}"),
        ),
        // Of Event Hubs, App Configuration and Storage: nothing was cut off.
        (
            "Endpoint=sb://a.servicebus.windows.net/;SharedAccessKeyName=Root;SharedAccessKey=pw==",
            format!("connection string belongs to another Azure service: {EXPECTED}"),
        ),
        (
            "Endpoint=https://a.azconfig.io;Id=a;Secret=pw==",
            format!("connection string belongs to another Azure service: {EXPECTED}"),
        ),
        (
            "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=pw==;EndpointSuffix=core.windows.net",
            format!("connection string belongs to another Azure service: {EXPECTED}"),
        ),
        (
            "endpoint=https://a/,accesskey=pw==",
            format!("connection string has no ; before accesskey=: {EXPECTED}"),
        ),
        (
            "accesskey=pw== endpoint=https://a/",
            format!("connection string has no ; before endpoint=: {EXPECTED}"),
        ),
    ] {
        assert_eq!(text.parse::<ConnectionString>().unwrap_err().to_string(), error, "{text:?}");
    }
}

#[test]
fn connection_string_that_only_refers_to_one_is_called_a_reference() {
    for reference in [
        "@Microsoft.KeyVault(SecretUri=https://contoso.vault.azure.net/secrets/acs/)",
        "@Microsoft.KeyVault(VaultName=contoso;SecretName=acs)",
        "$(ACS_CONNECTION_STRING)",
        "$ACS_CONNECTION_STRING",
        "${ACS_CONNECTION_STRING}",
        "${{ secrets.ACS_CONNECTION_STRING }}",
        "{{ acs_connection_string }}",
        "%ACS_CONNECTION_STRING%",
        "<sensitive>",
        "<your connection string>",
        "***",
        "\"***\"",
    ] {
        let error = reference.parse::<ConnectionString>().unwrap_err().to_string();
        let problem = "connection string is a placeholder or a reference that was not replaced";
        assert_eq!(error, format!("{problem}: {EXPECTED}"), "{reference}");

        let text = format!("endpoint=https://a/;accesskey={}", reference.replace(';', ","));
        let error = text.parse::<ConnectionString>().unwrap_err().to_string();
        let problem = "accesskey is a placeholder or a reference that was not replaced";
        assert_eq!(error, format!("{problem}: {EXPECTED}"), "{text}");
    }
}

#[test]
fn connection_string_in_another_form_is_named() {
    let key = "c2VjcmV0";
    let json = format!(
        r#"{{
  "primaryConnectionString": "endpoint=https://a/;accesskey={key}",
  "primaryKey": "{key}",
  "secondaryConnectionString": "endpoint=https://a/;accesskey={key}",
  "secondaryKey": "{key}"
}}"#
    );
    let curly = format!("\u{201c}endpoint=https://a/;accesskey={key}\u{201d}");
    let single = format!("endpoint=\u{2018}https://a/\u{2019};accesskey={key}");
    for (text, problem) in [
        (json, "connection string is JSON: take the value of its primaryConnectionString"),
        (curly, "connection string has a word processor's curly quotes: remove them"),
        (single, "connection string has a word processor's curly quotes: remove them"),
    ] {
        assert_eq!(text.parse::<ConnectionString>().unwrap_err().to_string(), problem);
    }
}

proptest! {
    #[test]
    fn connection_string_never_panics_or_repeats_a_value(
        text in "\\PC*|(endpoint|accesskey|x)?=?[a-z:/\"' ;=]{0,20};(accesskey|endpoint)=[A-Za-z0-9+/=\\r\\n;]{0,40}",
    ) {
        if let Err(error) = text.parse::<ConnectionString>() {
            for value in text.split([';', '=']).map(str::trim).filter(|value| value.len() > 12) {
                prop_assert!(!error.to_string().contains(value), "{:?} in {}", value, error);
            }
        }
    }
}
