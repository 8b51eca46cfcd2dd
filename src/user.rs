//! The id of a communication user.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::Error;

/// A user of an ACS resource, known by its id (`8:acs:<resource>_<user>`).
///
/// Store the text of [`identifier`](Self::identifier), [`Display`](fmt::Display) or serde, which are all the same, and read it back with [`str::parse`].
/// The service cannot list its users: an id that is lost stays lost.
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
#[doc(alias = "CommunicationUser")]
pub struct CommunicationUserIdentifier(String);

impl CommunicationUserIdentifier {
    /// The id as the service gave it.
    #[must_use]
    #[doc(alias = "id")]
    #[doc(alias = "raw_id")]
    #[doc(alias = "communication_user_id")]
    pub fn identifier(&self) -> &str {
        &self.0
    }
}

impl FromStr for CommunicationUserIdentifier {
    type Err = Error;

    /// Takes an id as it is; whether it exists is for the service to judge.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if it is blank, or `.` or `..`, which would address something other than a user.
    fn from_str(id: &str) -> Result<Self, Error> {
        if id.trim().is_empty() {
            return Err(Error::invalid_input("user id is empty: expected 8:acs:<resource>_<user>"));
        }
        if matches!(id, "." | "..") {
            return Err(Error::invalid_input(
                "user id is a path, not an id: expected 8:acs:<resource>_<user>",
            ));
        }
        Ok(Self(id.to_owned()))
    }
}

impl fmt::Display for CommunicationUserIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// As the text of the id.
impl Serialize for CommunicationUserIdentifier {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// From the text of the id.
impl<'de> Deserialize<'de> for CommunicationUserIdentifier {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
