//! The versions of the service's REST API.

use std::borrow::Cow;
use std::fmt;

use crate::error::Error;

/// A version of the service's REST API.
///
/// The set is open: any other version can be written as text and is passed to the service.
///
/// # Examples
///
/// ```
/// use acs_identity::ApiVersion;
///
/// assert_eq!(ApiVersion::default(), ApiVersion::V2023_10_01);
/// assert_eq!(ApiVersion::from("2023-10-01"), ApiVersion::V2023_10_01);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ApiVersion(Cow<'static, str>);

impl ApiVersion {
    /// The first generally available version.
    pub const V2021_03_07: Self = Self(Cow::Borrowed("2021-03-07"));
    /// Adds the exchange of Teams users' tokens in its present form.
    pub const V2022_06_01: Self = Self(Cow::Borrowed("2022-06-01"));
    /// Adds custom token lifetimes.
    pub const V2022_10_01: Self = Self(Cow::Borrowed("2022-10-01"));
    /// Adds the `join` scopes. The default, as in the official SDKs for Python and JavaScript.
    pub const V2023_10_01: Self = Self(Cow::Borrowed("2023-10-01"));
    /// Equivalent to `2023-10-01` for the operations of this crate.
    pub const V2025_06_30: Self = Self(Cow::Borrowed("2025-06-30"));
    /// Equivalent to `2023-10-01` for the operations of this crate.
    pub const V2026_07_22: Self = Self(Cow::Borrowed("2026-07-22"));
    /// Equivalent to `2023-10-01` for the operations of this crate.
    pub const V2026_09_23: Self = Self(Cow::Borrowed("2026-09-23"));

    /// Returns the text that is sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn checked(self) -> Result<Self, Error> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
        if self.0.is_empty() || self.0.len() > 64 || !self.0.chars().all(allowed) {
            return Err(Error::invalid_input(
                "api_version is malformed: expected a date such as 2023-10-01",
            ));
        }
        Ok(self)
    }
}

impl Default for ApiVersion {
    fn default() -> Self {
        Self::V2023_10_01
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for ApiVersion {
    fn from(version: &str) -> Self {
        Self::from(version.to_owned())
    }
}

impl From<String> for ApiVersion {
    fn from(version: String) -> Self {
        Self(Cow::Owned(version))
    }
}
