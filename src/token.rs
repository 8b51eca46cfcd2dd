//! Access tokens, and what is asked for to get one.

use std::borrow::Cow;
use std::fmt;
use std::time::{Duration, SystemTime};

use crate::cache::Expires;
use crate::error::Error;

/// An access token of a user, and when it ends.
///
/// The token is for the ACS client libraries (calling, chat); its text is opaque.
/// [`Debug`](fmt::Debug) hides it.
///
/// ```
/// use acs_identity::CommunicationIdentityClient;
/// use acs_identity::emulator::Emulator;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let emulator = Emulator::start()?;
/// let client = CommunicationIdentityClient::from_connection_string(&emulator.connection_string())?;
/// let (_user, token) = client.create_user_and_token(["chat"])?;
///
/// assert!(token.expires_on() > std::time::SystemTime::now());
/// assert!(!format!("{token:?}").contains(token.token()));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken {
    token: String,
    expires_on: SystemTime,
    expires_on_text: String,
}

impl AccessToken {
    /// The token itself: a secret until it expires or is revoked.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// When the token expires, as the service said (never read out of the token).
    #[must_use]
    #[doc(alias = "expires_at")]
    pub fn expires_on(&self) -> SystemTime {
        self.expires_on
    }

    /// When the token expires, in the service's own words: RFC 3339, such as
    /// `2023-06-28T07:30:12.7039383+00:00`.
    #[must_use]
    pub fn expires_on_text(&self) -> &str {
        &self.expires_on_text
    }

    /// Whether the token has expired at an instant, such as [`SystemTime::now`].
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use acs_identity::{CommunicationIdentityClient, emulator::Emulator};
    /// # let emulator = Emulator::start()?;
    /// # let client = CommunicationIdentityClient::from_connection_string(&emulator.connection_string())?;
    /// let (_user, token) = client.create_user_and_token(["chat"])?;
    /// let now = std::time::SystemTime::now();
    /// assert!(!token.is_expired(now));
    /// assert!(token.expires_within(Duration::from_secs(25 * 60 * 60), now));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn is_expired(&self, now: SystemTime) -> bool {
        self.expires_within(Duration::ZERO, now)
    }

    /// Whether the token expires at most so long after an instant, or has expired.
    #[must_use]
    pub fn expires_within(&self, duration: Duration, now: SystemTime) -> bool {
        self.expires_on.duration_since(now).is_ok_and(|left| left <= duration)
            || self.expires_on <= now
    }

    pub(crate) fn new(token: String, expires_on: SystemTime, expires_on_text: String) -> Self {
        Self { token, expires_on, expires_on_text }
    }
}

impl Expires for AccessToken {
    fn expires_on(&self) -> SystemTime {
        self.expires_on
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken")
            .field("token", &format_args!("[redacted]"))
            .field("expires_on", &format_args!("{}", self.expires_on_text))
            .finish()
    }
}

/// What a token allows. An open set: any text passes through to the service.
///
/// ```
/// use acs_identity::TokenScope;
///
/// assert_eq!(TokenScope::from("voip"), TokenScope::VOIP);
/// assert_eq!(TokenScope::from("something.new").as_str(), "something.new");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenScope(Cow<'static, str>);

impl TokenScope {
    /// Everything in chat.
    pub const CHAT: Self = Self(Cow::Borrowed("chat"));
    /// Join chat threads that others made, and take part fully (api-version 2023-10-01 and later).
    pub const CHAT_JOIN: Self = Self(Cow::Borrowed("chat.join"));
    /// Join chat threads that others made, without adding or removing people (api-version
    /// 2023-10-01 and later).
    pub const CHAT_JOIN_LIMITED: Self = Self(Cow::Borrowed("chat.join.limited"));
    /// Everything in calling.
    pub const VOIP: Self = Self(Cow::Borrowed("voip"));
    /// Join calls, without starting any (api-version 2023-10-01 and later).
    pub const VOIP_JOIN: Self = Self(Cow::Borrowed("voip.join"));

    /// The text that is sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TokenScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for TokenScope {
    fn from(scope: &str) -> Self {
        Self::from(scope.to_owned())
    }
}

impl From<String> for TokenScope {
    fn from(scope: String) -> Self {
        Self(Cow::Owned(scope))
    }
}

/// The scopes and, if wanted, the lifetime of a token.
///
/// Where one is asked for, an array, a slice or a [`Vec`] of scopes does as well: `["chat",
/// "voip"]`.
///
/// ```
/// use std::time::Duration;
///
/// use acs_identity::{TokenRequest, TokenScope};
///
/// let request = TokenRequest::new([TokenScope::VOIP]).expires_in(Duration::from_secs(60 * 90));
/// assert_eq!(TokenRequest::from(["voip"]), TokenRequest::from(vec![TokenScope::VOIP]));
/// # let _ = request;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRequest {
    scopes: Vec<TokenScope>,
    expires_in: Option<Duration>,
}

impl TokenRequest {
    /// A token for these scopes, with the service's default lifetime (24 hours).
    #[must_use]
    pub fn new(scopes: impl IntoIterator<Item = impl Into<TokenScope>>) -> Self {
        Self { scopes: scopes.into_iter().map(Into::into).collect(), expires_in: None }
    }

    /// Sets how long the token is to live, in whole minutes.
    ///
    /// The service accepts 60 minutes to 24 hours, from api-version 2022-10-01 on.
    #[must_use]
    #[doc(alias = "token_expires_in")]
    #[doc(alias = "expires_in_minutes")]
    #[doc(alias = "token_expires_in_minutes")]
    pub fn expires_in(mut self, lifetime: Duration) -> Self {
        self.expires_in = Some(lifetime);
        self
    }

    /// The scopes, of which a request must have one at least: without any, the service would create
    /// a user and no token.
    pub(crate) fn scopes(&self) -> Result<&[TokenScope], Error> {
        if self.scopes.is_empty() {
            return Err(Error::invalid_input(
                "scopes are empty: name at least one, such as \"voip\" or \"chat\"",
            ));
        }
        if self.scopes.iter().any(|scope| scope.as_str().trim().is_empty()) {
            return Err(Error::invalid_input(
                "a scope is blank: name one, such as \"voip\" or \"chat\"",
            ));
        }
        Ok(&self.scopes)
    }

    /// The lifetime in the unit of the wire; whether it is in range is the service's to say.
    pub(crate) fn expires_in_minutes(&self) -> Result<Option<u64>, Error> {
        let Some(lifetime) = self.expires_in else { return Ok(None) };
        let whole = lifetime.as_secs().is_multiple_of(60) && lifetime.subsec_nanos() == 0;
        if !whole || lifetime.is_zero() {
            return Err(Error::invalid_input(format!(
                "expires_in is {lifetime:?}: expected whole minutes, at least one (the service accepts 60 to 1440)"
            )));
        }
        Ok(Some(lifetime.as_secs() / 60))
    }
}

impl<T: Into<TokenScope>, const N: usize> From<[T; N]> for TokenRequest {
    fn from(scopes: [T; N]) -> Self {
        Self::new(scopes)
    }
}

impl<T: Into<TokenScope>> From<Vec<T>> for TokenRequest {
    fn from(scopes: Vec<T>) -> Self {
        Self::new(scopes)
    }
}

impl<T: Clone + Into<TokenScope>> From<&[T]> for TokenRequest {
    fn from(scopes: &[T]) -> Self {
        Self::new(scopes.iter().cloned())
    }
}

impl<T: Clone + Into<TokenScope>> From<&Vec<T>> for TokenRequest {
    fn from(scopes: &Vec<T>) -> Self {
        Self::from(scopes.as_slice())
    }
}

impl<T: Clone + Into<TokenScope>, const N: usize> From<&[T; N]> for TokenRequest {
    fn from(scopes: &[T; N]) -> Self {
        Self::from(scopes.as_slice())
    }
}

/// The same request again, for callers that keep one.
impl From<&Self> for TokenRequest {
    fn from(request: &Self) -> Self {
        request.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_is_whole_minutes() {
        let minutes =
            |lifetime| TokenRequest::new(["voip"]).expires_in(lifetime).expires_in_minutes();
        assert_eq!(minutes(Duration::from_secs(5_400)).unwrap(), Some(90));
        // The range is the service's to judge.
        assert_eq!(minutes(Duration::from_secs(60)).unwrap(), Some(1));
        assert_eq!(minutes(Duration::from_secs(60 * 100_000)).unwrap(), Some(100_000));
        for (lifetime, shown) in [
            (Duration::ZERO, "0ns"),
            (Duration::from_secs(3_690), "3690s"),
            (Duration::from_millis(3_600_001), "3600.001s"),
        ] {
            assert_eq!(
                minutes(lifetime).unwrap_err().to_string(),
                format!(
                    "expires_in is {shown}: expected whole minutes, at least one (the service accepts 60 to 1440)"
                ),
            );
        }
    }

    #[test]
    fn expiry_is_told_for_any_instant() {
        let ends = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
        let token = AccessToken::new(String::new(), ends, String::new());
        let second = Duration::from_secs(1);
        assert!(!token.is_expired(ends - second));
        assert!(token.is_expired(ends));
        assert!(token.is_expired(ends + second));
        assert!(!token.expires_within(second, ends - 2 * second));
        assert!(token.expires_within(second, ends - second));
        assert!(token.expires_within(second, ends + second));
    }

    #[test]
    fn scopes_are_given_and_not_blank() {
        assert_eq!(
            TokenRequest::new(Vec::<TokenScope>::new()).scopes().unwrap_err().to_string(),
            "scopes are empty: name at least one, such as \"voip\" or \"chat\"",
        );
        assert_eq!(
            TokenRequest::new(["chat", " "]).scopes().unwrap_err().to_string(),
            "a scope is blank: name one, such as \"voip\" or \"chat\"",
        );
    }
}
