//! Raw ids of all kinds that ACS and Teams know.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::error::Error;
use crate::user::CommunicationUserIdentifier;

/// The id of anybody or anything that takes part in calls and chats, told apart by its raw id.
///
/// Reading never fails: what follows none of the known forms is [`Unknown`](Self::Unknown). Writing
/// gives back the raw id that was read, byte for byte.
///
/// ```
/// use acs_identity::{CommunicationCloud, CommunicationIdentifier};
///
/// let raw_id = "8:orgid:45ab2481-1c1c-4005-be24-0ffb879b1130";
/// let identifier = CommunicationIdentifier::from(raw_id);
/// assert_eq!(
///     identifier,
///     CommunicationIdentifier::MicrosoftTeamsUser {
///         user_id: "45ab2481-1c1c-4005-be24-0ffb879b1130".to_owned(),
///         is_anonymous: false,
///         cloud: CommunicationCloud::Public,
///     }
/// );
/// assert_eq!(identifier.to_string(), raw_id);
/// ```
///
/// Only communication users can be deleted or have tokens issued and revoked, and the client takes
/// nothing else:
///
/// ```
/// use acs_identity::{CommunicationIdentifier, CommunicationUserIdentifier};
///
/// let user: CommunicationUserIdentifier =
///     CommunicationIdentifier::from("8:acs:something").try_into().unwrap();
/// assert!(CommunicationUserIdentifier::try_from(CommunicationIdentifier::from("4:+112345556789")).is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CommunicationIdentifier {
    /// A user of an ACS resource (`8:acs:…`, `8:spool:…`, `8:dod-acs:…`, `8:gcch-acs:…`).
    CommunicationUser(CommunicationUserIdentifier),
    /// A phone number (`4:…`).
    PhoneNumber {
        /// The number, usually in E.164 form, or whatever follows `4:`.
        phone_number: String,
    },
    /// A Teams user (`8:orgid:…`, `8:dod:…`, `8:gcch:…`), or a visitor without an account
    /// (`8:teamsvisitor:…`).
    MicrosoftTeamsUser {
        /// The Entra object id of the user, or the id of the visitor.
        user_id: String,
        /// Whether it is a visitor without an account.
        is_anonymous: bool,
        /// The cloud that the user belongs to.
        cloud: CommunicationCloud,
    },
    /// A Teams application, such as a voice app (`28:orgid:…`, `28:dod:…`, `28:gcch:…`).
    MicrosoftTeamsApp {
        /// The application's id.
        app_id: String,
        /// The cloud that the application belongs to.
        cloud: CommunicationCloud,
    },
    /// A Teams user who uses ACS through the Teams extension (`8:acs:<resource>_<tenant>_<user>`,
    /// and the same in other clouds).
    TeamsExtensionUser {
        /// The id of the ACS resource.
        resource_id: String,
        /// The Entra tenant.
        tenant_id: String,
        /// The Entra object id of the user.
        user_id: String,
        /// The cloud that the user belongs to.
        cloud: CommunicationCloud,
    },
    /// Anything else.
    Unknown {
        /// The id as it was read.
        raw_id: String,
    },
}

/// A cloud that Teams and ACS run in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CommunicationCloud {
    /// The public cloud.
    #[default]
    Public,
    /// The cloud of the US Department of Defense.
    Dod,
    /// The US Government Community Cloud High.
    Gcch,
}

impl CommunicationIdentifier {
    /// Whether it is a caller who withholds the number (`4:anonymous`).
    #[must_use]
    pub fn is_anonymous_phone_number(&self) -> bool {
        matches!(self, Self::PhoneNumber { phone_number } if phone_number == "anonymous")
    }

    /// What tells apart several people behind one phone number: the text after the last `_`.
    #[must_use]
    pub fn asserted_id(&self) -> Option<&str> {
        let Self::PhoneNumber { phone_number } = self else { return None };
        let (_, id) = phone_number.rsplit_once('_')?;
        (!id.is_empty() && id != "anonymous").then_some(id)
    }

    fn from_segments(raw_id: &str) -> Option<Self> {
        let (kind, rest) = raw_id.split_once(':')?;
        let (scope, id) = rest.split_once(':')?;
        if id.contains(':') {
            return None;
        }
        let cloud = CommunicationCloud::of(scope);
        let teams_user = |is_anonymous, cloud| Self::MicrosoftTeamsUser {
            user_id: id.to_owned(),
            is_anonymous,
            cloud,
        };
        match (kind, scope) {
            ("8", "teamsvisitor") => Some(teams_user(true, CommunicationCloud::Public)),
            ("8", "orgid" | "dod" | "gcch") => Some(teams_user(false, cloud)),
            ("28", "orgid" | "dod" | "gcch") => {
                Some(Self::MicrosoftTeamsApp { app_id: id.to_owned(), cloud })
            }
            ("8", "acs" | "dod-acs" | "gcch-acs") => Self::teams_extension_user(id, cloud)
                .or_else(|| Some(Self::communication_user(raw_id))),
            ("8", "spool") => Some(Self::communication_user(raw_id)),
            _ => None,
        }
    }

    fn communication_user(raw_id: &str) -> Self {
        Self::CommunicationUser(CommunicationUserIdentifier::from_checked(raw_id))
    }

    fn teams_extension_user(id: &str, cloud: CommunicationCloud) -> Option<Self> {
        let mut parts = id.split('_').map(str::to_owned);
        let (resource_id, tenant_id, user_id) = (parts.next()?, parts.next()?, parts.next()?);
        parts.next().is_none().then_some(Self::TeamsExtensionUser {
            resource_id,
            tenant_id,
            user_id,
            cloud,
        })
    }
}

impl CommunicationCloud {
    fn of(scope: &str) -> Self {
        match scope {
            "dod" | "dod-acs" => Self::Dod,
            "gcch" | "gcch-acs" => Self::Gcch,
            _ => Self::Public,
        }
    }

    fn prefix(self, public: &'static str) -> &'static str {
        match self {
            Self::Public => public,
            Self::Dod => "dod",
            Self::Gcch => "gcch",
        }
    }
}

impl From<&str> for CommunicationIdentifier {
    fn from(raw_id: &str) -> Self {
        if let Some(phone_number) = raw_id.strip_prefix("4:") {
            return Self::PhoneNumber { phone_number: phone_number.to_owned() };
        }
        Self::from_segments(raw_id).unwrap_or_else(|| Self::Unknown { raw_id: raw_id.to_owned() })
    }
}

impl From<CommunicationUserIdentifier> for CommunicationIdentifier {
    fn from(user: CommunicationUserIdentifier) -> Self {
        Self::CommunicationUser(user)
    }
}

/// The raw id.
impl fmt::Display for CommunicationIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommunicationUser(user) => user.fmt(f),
            Self::PhoneNumber { phone_number } => write!(f, "4:{phone_number}"),
            Self::MicrosoftTeamsUser { user_id, is_anonymous: true, .. } => {
                write!(f, "8:teamsvisitor:{user_id}")
            }
            Self::MicrosoftTeamsUser { user_id, cloud, .. } => {
                write!(f, "8:{}:{user_id}", cloud.prefix("orgid"))
            }
            Self::MicrosoftTeamsApp { app_id, cloud } => {
                write!(f, "28:{}:{app_id}", cloud.prefix("orgid"))
            }
            Self::TeamsExtensionUser { resource_id, tenant_id, user_id, cloud } => {
                let suffix = if *cloud == CommunicationCloud::Public { "" } else { "-" };
                write!(f, "8:{}{suffix}acs:{resource_id}_{tenant_id}_{user_id}", cloud.prefix(""))
            }
            Self::Unknown { raw_id } => f.write_str(raw_id),
        }
    }
}

impl TryFrom<CommunicationIdentifier> for CommunicationUserIdentifier {
    type Error = Error;

    /// Takes what the service may be able to act on.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if the id is that of a phone number, a
    /// Teams user or application, or a user of the Teams extension, or if it is blank, or `.` or
    /// `..`, which would address something other than a user. What follows no known form is left to
    /// the service to judge.
    fn try_from(identifier: CommunicationIdentifier) -> Result<Self, Error> {
        let kind = match identifier {
            CommunicationIdentifier::CommunicationUser(user) => return Ok(user),
            CommunicationIdentifier::Unknown { raw_id } => match raw_id.as_str() {
                id if id.trim().is_empty() => "empty",
                "." | ".." => "a path",
                _ => return Ok(Self::from_checked(&raw_id)),
            },
            CommunicationIdentifier::PhoneNumber { .. } => "a phone number",
            CommunicationIdentifier::MicrosoftTeamsUser { .. } => "a Teams user's",
            CommunicationIdentifier::MicrosoftTeamsApp { .. } => "a Teams application's",
            CommunicationIdentifier::TeamsExtensionUser { .. } => "a Teams extension user's",
        };
        Err(Error::invalid_input(format!("user id is {kind}: expected 8:acs:<resource>_<user>")))
    }
}

impl FromStr for CommunicationUserIdentifier {
    type Err = Error;

    /// Takes an id as it is; whether it exists is for the service to judge.
    ///
    /// # Errors
    ///
    /// As
    /// [`TryFrom<CommunicationIdentifier>`](#impl-TryFrom<CommunicationIdentifier>-for-CommunicationUserIdentifier).
    fn from_str(id: &str) -> Result<Self, Error> {
        // A line of a file that was not stripped, most likely.
        if !id.trim().is_empty() && (id.trim() != id || id.chars().any(char::is_control)) {
            return Err(Error::invalid_input(
                "user id has white space around it or control characters in it: expected 8:acs:<resource>_<user>",
            ));
        }
        CommunicationIdentifier::from(id).try_into()
    }
}

/// From the text of the id.
impl<'de> Deserialize<'de> for CommunicationUserIdentifier {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests;
