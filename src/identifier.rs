//! The raw ids of ACS and Teams, of all kinds.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::Error;
use crate::user::CommunicationUserIdentifier;

/// A participant in a call or chat, identified by its raw id.
///
/// Reading a raw id never fails: one of no known form is [`Unknown`](Self::Unknown).
/// [`Display`](fmt::Display) and serde write the raw id that was read, byte for byte. Variants may gain
/// fields: match them with `..`.
///
/// # Examples
///
/// ```
/// use acs_identity::{CommunicationCloud, CommunicationIdentifier};
///
/// let raw_id = "8:orgid:45ab2481-1c1c-4005-be24-0ffb879b1130";
/// let identifier = CommunicationIdentifier::from(raw_id);
/// let CommunicationIdentifier::MicrosoftTeamsUser { user_id, cloud, .. } = &identifier else {
///     panic!("a Teams user was expected");
/// };
/// assert_eq!(user_id, "45ab2481-1c1c-4005-be24-0ffb879b1130");
/// assert_eq!(*cloud, CommunicationCloud::Public);
/// assert_eq!(identifier.to_string(), raw_id);
/// ```
///
/// Only communication users can be deleted or have tokens issued and revoked. The conversion to
/// [`CommunicationUserIdentifier`] rejects the other known kinds:
///
/// ```
/// use acs_identity::{CommunicationIdentifier, CommunicationUserIdentifier};
///
/// let user: CommunicationUserIdentifier =
///     CommunicationIdentifier::from("8:acs:something").try_into()?;
/// let phone = CommunicationIdentifier::from("4:+112345556789");
/// assert!(CommunicationUserIdentifier::try_from(phone).is_err());
/// # Ok::<(), acs_identity::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CommunicationIdentifier {
    /// A user of an ACS resource (`8:acs:…`, `8:spool:…`, `8:dod-acs:…`, `8:gcch-acs:…`).
    CommunicationUser(CommunicationUserIdentifier),
    /// A phone number (`4:…`).
    #[non_exhaustive]
    PhoneNumber {
        /// The text after `4:`, usually a number in E.164 form.
        phone_number: String,
    },
    /// A Teams user (`8:orgid:…`, `8:dod:…`, `8:gcch:…`), or an anonymous visitor
    /// (`8:teamsvisitor:…`).
    #[non_exhaustive]
    MicrosoftTeamsUser {
        /// The Entra object id of the user, or the id of the visitor.
        user_id: String,
        /// Whether this is an anonymous visitor.
        is_anonymous: bool,
        /// The cloud that the user belongs to.
        cloud: CommunicationCloud,
    },
    /// A Teams application, such as a voice app (`28:orgid:…`, `28:dod:…`, `28:gcch:…`).
    #[non_exhaustive]
    MicrosoftTeamsApp {
        /// The application's id.
        app_id: String,
        /// The cloud that the application belongs to.
        cloud: CommunicationCloud,
    },
    /// A Teams user who uses ACS through the Teams extension (`8:acs:<resource>_<tenant>_<user>`,
    /// and the same in other clouds).
    #[non_exhaustive]
    TeamsExtensionUser {
        /// The id of the ACS resource.
        resource_id: String,
        /// The id of the Entra tenant.
        tenant_id: String,
        /// The Entra object id of the user.
        user_id: String,
        /// The cloud that the user belongs to.
        cloud: CommunicationCloud,
    },
    /// An id of no known form.
    #[non_exhaustive]
    Unknown {
        /// The id as it was read.
        raw_id: String,
    },
}

/// An Azure cloud that Teams and ACS run in.
///
/// # Examples
///
/// ```
/// use acs_identity::CommunicationCloud;
///
/// assert_eq!(CommunicationCloud::default(), CommunicationCloud::Public);
/// ```
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
    /// Returns whether this is a caller who withholds the number (`4:anonymous`).
    ///
    /// # Examples
    ///
    /// ```
    /// use acs_identity::CommunicationIdentifier;
    ///
    /// assert!(CommunicationIdentifier::from("4:anonymous").is_anonymous_phone_number());
    /// ```
    pub fn is_anonymous_phone_number(&self) -> bool {
        matches!(self, Self::PhoneNumber { phone_number } if phone_number == "anonymous")
    }

    /// Returns the text after the last `_`, which distinguishes several participants with the same phone
    /// number.
    ///
    /// # Examples
    ///
    /// ```
    /// use acs_identity::CommunicationIdentifier;
    ///
    /// assert_eq!(CommunicationIdentifier::from("4:14255550121_123").asserted_id(), Some("123"));
    /// ```
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
            ("8", "acs" | "dod-acs" | "gcch-acs") => {
                Self::teams_extension_user(id, cloud).or_else(|| Self::communication_user(raw_id))
            }
            ("8", "spool") => Self::communication_user(raw_id),
            _ => None,
        }
    }

    /// `None` if it is malformed: such an id has no known form.
    fn communication_user(raw_id: &str) -> Option<Self> {
        raw_id.parse().ok().map(Self::CommunicationUser)
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
    /// The kind is that of the id: one that was parsed may be a Teams user's.
    fn from(user: CommunicationUserIdentifier) -> Self {
        Self::from(user.identifier())
    }
}

/// Writes the raw id.
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

/// Writes the raw id.
impl Serialize for CommunicationIdentifier {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Reads the raw id.
impl<'de> Deserialize<'de> for CommunicationIdentifier {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|raw_id| Self::from(raw_id.as_str()))
    }
}

impl TryFrom<CommunicationIdentifier> for CommunicationUserIdentifier {
    type Error = Error;

    /// Accepts any id the service might act on.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if the id is that of a phone number, a Teams
    /// user or application, or a Teams extension user; or if it is unknown and
    /// [malformed](CommunicationUserIdentifier#method.from_str).
    fn try_from(identifier: CommunicationIdentifier) -> Result<Self, Error> {
        let kind = match identifier {
            CommunicationIdentifier::CommunicationUser(user) => return Ok(user),
            CommunicationIdentifier::Unknown { raw_id } => return raw_id.parse(),
            CommunicationIdentifier::PhoneNumber { .. } => "a phone number",
            CommunicationIdentifier::MicrosoftTeamsUser { .. } => "a Teams user's",
            CommunicationIdentifier::MicrosoftTeamsApp { .. } => "a Teams application's",
            CommunicationIdentifier::TeamsExtensionUser { .. } => "a Teams extension user's",
        };
        Err(Error::invalid_input(format!("user id is {kind}: expected 8:acs:<resource>_<user>")))
    }
}

#[cfg(test)]
mod tests;
