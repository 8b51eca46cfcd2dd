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
        if text.is_empty() {
            return Err(rejected("connection string is empty"));
        }
        let mut endpoint = None;
        let mut access_key = None;
        for (index, part) in text.split(';').enumerate() {
            let part = strip(part);
            if part.is_empty() {
                continue;
            }
            let Some((name, value)) = part.split_once('=') else {
                return Err(rejected(&format!(
                    "part {} of the connection string has no =",
                    index + 1
                )));
            };
            let (field, seen) = match strip(name).to_ascii_lowercase().as_str() {
                "" => {
                    return Err(rejected(&format!(
                        "part {} of the connection string has no name before its =",
                        index + 1
                    )));
                }
                "endpoint" => ("endpoint", &mut endpoint),
                "accesskey" => ("accesskey", &mut access_key),
                // A whole line of an `.env` file.
                _ if strip(value).to_ascii_lowercase().starts_with("endpoint=") => {
                    return Err(rejected(
                        "connection string has the name of a variable in front of it",
                    ));
                }
                _ => continue,
            };
            if seen.replace(strip(value)).is_some() {
                return Err(rejected(&format!("connection string has {field}= twice")));
            }
        }
        let endpoint =
            endpoint.ok_or_else(|| rejected("connection string has no endpoint= part"))?;
        let access_key =
            access_key.ok_or_else(|| rejected("connection string has no accesskey= part (in a shell, quote the string: a ; ends a command)"))?;
        if access_key.contains("://") {
            return Err(rejected("accesskey holds a URL, as if the two values were swapped"));
        }
        Ok(Self { endpoint: endpoint.parse()?, access_key: access_key.parse()? })
    }
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
