//! The id of a communication user.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::Error;
use crate::sanitize::is_invisible;

/// Many times the length of a usual id, 79 bytes.
const MAX_BYTES: usize = 1024;

/// A user of an ACS resource, identified by its id (`8:acs:<resource>_<user>`).
///
/// Store the id: the service cannot list its users, so an id that is lost stays lost.
/// [`identifier`](Self::identifier), [`Display`](fmt::Display) and serde all give the same text, which
/// [`str::parse`] and serde read back.
///
/// Any well-formed text is accepted, whatever the kind of the id; whether the user exists is for the
/// service to judge. To distinguish users from phone numbers and Teams users, see
/// [`CommunicationIdentifier`](crate::CommunicationIdentifier).
///
/// # Examples
///
/// ```
/// use acs_identity::CommunicationUserIdentifier;
///
/// let user: CommunicationUserIdentifier = "8:acs:something".parse()?;
/// assert_eq!(user.identifier(), "8:acs:something");
/// assert_eq!(user.to_string(), "8:acs:something");
/// assert!("".parse::<CommunicationUserIdentifier>().is_err());
/// # Ok::<(), acs_identity::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommunicationUserIdentifier(String);

impl CommunicationUserIdentifier {
    /// Returns the text of the id, unchanged.
    #[doc(alias = "id")]
    #[doc(alias = "raw_id")]
    #[doc(alias = "communication_user_id")]
    pub fn identifier(&self) -> &str {
        &self.0
    }
}

impl FromStr for CommunicationUserIdentifier {
    type Err = Error;

    /// Checks that an id is well-formed and keeps it unchanged.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if the id is blank or longer than 1024 bytes;
    /// if it has white space or straight quotes around it; if it contains control characters, line
    /// separators or text-direction marks; or if it is `.` or `..`, which would address something other
    /// than a user.
    fn from_str(id: &str) -> Result<Self, Error> {
        let problem = match id {
            _ if id.trim().is_empty() => "is empty",
            "." | ".." => "is a path",
            // Most likely a line of a file.
            _ if id.trim() != id => "has white space around it",
            _ if id.chars().any(is_invisible) => "has control characters in it",
            _ if ['"', '\''].iter().any(|quote| id.starts_with(*quote) && id.ends_with(*quote)) => {
                "has quotes around it"
            }
            _ if id.len() > MAX_BYTES => "is longer than 1024 bytes",
            _ => return Ok(Self(id.to_owned())),
        };
        Err(Error::invalid_input(format!("user id {problem}: expected 8:acs:<resource>_<user>")))
    }
}

impl AsRef<str> for CommunicationUserIdentifier {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CommunicationUserIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Writes the text of the id.
impl Serialize for CommunicationUserIdentifier {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Reads the text of the id, and checks it like [`str::parse`].
impl<'de> Deserialize<'de> for CommunicationUserIdentifier {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn user_id_that_is_well_formed_is_accepted() {
        for id in [
            "8:acs:a_b",
            "8:spool:a",
            "8:acs:a_b_c",
            "8:orgid:x",
            "4:+123",
            "any \"thing\"",
            "\"else",
        ] {
            assert_eq!(id.parse::<CommunicationUserIdentifier>().unwrap().identifier(), id);
        }
    }

    #[test]
    fn user_id_that_is_malformed_is_rejected() {
        let long = "x".repeat(MAX_BYTES + 1);
        for (id, flaw) in [
            ("", "is empty"),
            (" \n", "is empty"),
            (".", "is a path"),
            ("..", "is a path"),
            (" 8:acs:a", "has white space around it"),
            ("8:acs:a\n", "has white space around it"),
            ("\"8:acs:a\"", "has quotes around it"),
            ("'8:acs:a'", "has quotes around it"),
            ("8:acs:a\nb", "has control characters in it"),
            ("8:acs:a\u{2028}b", "has control characters in it"),
            ("8:acs:a\u{202e}b", "has control characters in it"),
            ("8:acs:a\u{feff}b", "has control characters in it"),
            (&long, "is longer than 1024 bytes"),
        ] {
            let error = id.parse::<CommunicationUserIdentifier>().unwrap_err();
            let expected = format!("user id {flaw}: expected 8:acs:<resource>_<user>");
            assert_eq!(error.to_string(), expected, "{id:?}");
        }
    }

    proptest! {
        #[test]
        fn user_id_round_trips_through_serde(id in "\\PC{0,20}|8:[a-z]{1,8}:[a-z_]{0,12}") {
            if let Ok(user) = id.parse::<CommunicationUserIdentifier>() {
                let json = serde_json::to_string(&user).unwrap();
                let again: CommunicationUserIdentifier = serde_json::from_str(&json).unwrap();
                prop_assert_eq!(again, user);
            }
        }
    }
}
