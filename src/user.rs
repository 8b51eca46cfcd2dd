//! The id of a communication user.

use std::fmt;
use std::time::SystemTime;

use serde::{Serialize, Serializer};

/// A user of an ACS resource, known by its id (`8:acs:<resource>_<user>`).
///
/// Store the text of [`identifier`](Self::identifier), [`Display`](fmt::Display) or serde, which
/// are all the same, and read it back with [`str::parse`]. The service cannot list its users: an id
/// that is lost stays lost.
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
    /// The id as the service gave it.
    #[must_use]
    #[doc(alias = "id")]
    #[doc(alias = "raw_id")]
    #[doc(alias = "communication_user_id")]
    pub fn identifier(&self) -> &str {
        &self.0
    }

    /// Of an id that was found to be one of a communication user, or of a kind that nobody knows
    /// yet.
    pub(crate) fn from_checked(id: &str) -> Self {
        Self(id.to_owned())
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

/// A user as the service knows it.
///
/// Read with
/// [`CommunicationIdentityClient::get_user`](crate::CommunicationIdentityClient::get_user), in
/// preview.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommunicationUserDetails {
    pub(crate) identifier: CommunicationUserIdentifier,
    pub(crate) custom_id: Option<String>,
    pub(crate) last_token_issued_at: Option<SystemTime>,
}

impl CommunicationUserDetails {
    /// The user's identifier.
    #[must_use]
    pub fn identifier(&self) -> &CommunicationUserIdentifier {
        &self.identifier
    }

    /// The id that the user was created with, if any.
    #[must_use]
    pub fn custom_id(&self) -> Option<&str> {
        self.custom_id.as_deref()
    }

    /// When a token was last issued for the user, in whole seconds; `None` before the first.
    #[must_use]
    pub fn last_token_issued_at(&self) -> Option<SystemTime> {
        self.last_token_issued_at
    }
}
