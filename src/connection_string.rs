//! `endpoint=…;accesskey=…`, as the portal shows it and as people paste it.

use std::str::FromStr;

use crate::access_key::AccessKey;
use crate::endpoint::Endpoint;
use crate::error::Error;

/// The connection string of an ACS resource: its endpoint and an access key.
///
/// The parts may be in any order and their names in any case, with white space, line breaks or quotes
/// around the string or any part, and with a `;` at the end. Parts with other names are ignored. A
/// missing, duplicate, empty or malformed endpoint or key is rejected here, not at the first request.
///
/// # Examples
///
/// ```
/// use acs_identity::ConnectionString;
///
/// let settings: ConnectionString =
///     "AccessKey=c2VjcmV0; Endpoint=https://contoso.communication.azure.com/;".parse()?;
/// assert_eq!(settings.endpoint().host(), "contoso.communication.azure.com");
/// # Ok::<(), acs_identity::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ConnectionString {
    endpoint: Endpoint,
    access_key: AccessKey,
}

impl ConnectionString {
    /// Returns the `endpoint` part.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Returns the `accesskey` part.
    pub fn access_key(&self) -> &AccessKey {
        &self.access_key
    }

    /// Splits the connection string into both parts.
    ///
    /// To create a client, see
    /// [`builder_from_connection_string`](crate::CommunicationIdentityClient::builder_from_connection_string).
    pub fn into_parts(self) -> (Endpoint, AccessKey) {
        (self.endpoint, self.access_key)
    }
}

impl FromStr for ConnectionString {
    type Err = Error;

    /// Reads `endpoint=https://<resource>.communication.azure.com/;accesskey=<base64>`.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if a part is missing, duplicate, empty or
    /// malformed. The text names the part and never shows a value.
    fn from_str(text: &str) -> Result<Self, Error> {
        let text = strip(text);
        check_form(text)?;
        let mut endpoint = None;
        let mut access_key = None;
        for (number, part) in (1..).zip(text.split(';').map(strip)) {
            if part.is_empty() {
                continue;
            }
            let Some((name, value)) = part.split_once('=') else {
                let problem = format!("part {number} of the connection string has no '=' sign");
                return Err(rejected(&problem));
            };
            let (field, seen) = match strip(name).to_ascii_lowercase().as_str() {
                "" => {
                    return Err(rejected(&format!(
                        "part {number} of the connection string has no name before its '=' sign"
                    )));
                }
                "endpoint" => ("endpoint", &mut endpoint),
                "accesskey" => ("accesskey", &mut access_key),
                "sharedaccesskey" | "accountkey" | "secret" => {
                    return Err(rejected("connection string belongs to another Azure service"));
                }
                // A whole line of an `.env` file.
                _ if strip(value).to_ascii_lowercase().starts_with("endpoint=") => {
                    return Err(rejected(
                        "connection string has the name of a variable in front of it",
                    ));
                }
                _ => continue,
            };
            let value = strip(value);
            if is_reference(value) {
                return Err(rejected(&format!("{field} {REFERENCE}")));
            }
            if seen.replace(value).is_some() {
                return Err(rejected(&format!("connection string has {field}= twice")));
            }
        }
        let endpoint = endpoint.ok_or_else(|| missing("endpoint", text))?;
        let access_key = access_key.ok_or_else(|| missing("accesskey", text))?;
        if access_key.contains("://") {
            return Err(rejected("accesskey holds a URL, as if the two values were swapped"));
        }
        Ok(Self { endpoint: endpoint.parse()?, access_key: access_key.parse()? })
    }
}

const REFERENCE: &str = "is a placeholder or a reference that was not replaced";

/// Recognizes texts that contain or refer to a connection string.
fn check_form(text: &str) -> Result<(), Error> {
    if text.is_empty() {
        return Err(rejected("connection string is empty"));
    }
    if is_reference(text) {
        return Err(rejected(&format!("connection string {REFERENCE}")));
    }
    if text.starts_with('{') {
        // As `az communication list-key` prints it.
        return Err(Error::invalid_input(
            "connection string is JSON: take the value of its primaryConnectionString",
        ));
    }
    if text.contains(['\u{201c}', '\u{201d}', '\u{201e}', '\u{2018}', '\u{2019}', '\u{201a}']) {
        return Err(Error::invalid_input(
            "connection string has a word processor's curly quotes: remove them",
        ));
    }
    Ok(())
}

/// Whether a text is what a pipeline, an app setting or a template should have replaced, or what a log
/// shows instead of a secret.
fn is_reference(text: &str) -> bool {
    let is_between = |start, end| text.starts_with(start) && text.ends_with(end);
    ["@Microsoft.", "$", "{{"].iter().any(|start| text.starts_with(start))
        || is_between('<', '>')
        || is_between('%', '%')
        || (!text.is_empty() && text.chars().all(|c| c == '*'))
}

fn missing(field: &str, text: &str) -> Error {
    let text_before = text.to_ascii_lowercase();
    let text_before = text_before.split_once(&format!("{field}=")).map(|(before, _)| before);
    if text_before.is_some_and(|it| !it.ends_with(|c: char| c.is_alphanumeric() || c == '_')) {
        return rejected(&format!("connection string has no ; before {field}="));
    }
    if field == "accesskey" && !text.contains(';') {
        return rejected(
            "connection string ends after endpoint= (in a shell, quote the string: a ; ends a command)",
        );
    }
    rejected(&format!("connection string has no {field}= part"))
}

fn rejected(why: &str) -> Error {
    Error::invalid_input(format!(
        "{why}: expected endpoint=https://<resource>.communication.azure.com/;accesskey=<base64>"
    ))
}

/// Removes white space, a byte order mark and quotes from both ends: leftovers of shells, `.env` files
/// and editors.
fn strip(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '\u{feff}'))
}
