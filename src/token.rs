//! Access tokens, and the request for one.

use std::borrow::Cow;
use std::fmt;
use std::time::{Duration, SystemTime};

use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::Error;

/// An access token of a user, and when it expires.
///
/// Pass the text of [`token`](Self::token) to the ACS calling or chat SDK of the user's app. It is
/// opaque, and [`Debug`](fmt::Debug) redacts it.
///
/// # Examples
///
/// ```
/// use acs_identity::CommunicationIdentityClient;
/// use acs_identity::emulator::Emulator; // needs the feature `emulator`
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let emulator = Emulator::start()?;
/// let text = emulator.connection_string();
/// let client = CommunicationIdentityClient::from_connection_string(&text)?;
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
    /// Returns the text of the token: a secret until it expires or is revoked.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Returns when the token expires, as stated in the response; the token itself is never decoded.
    #[doc(alias = "expires_at")]
    pub fn expires_on(&self) -> SystemTime {
        self.expires_on
    }

    /// Returns when the token expires as the text in the response: RFC 3339, such as
    /// `2023-06-28T07:30:12.7039383+00:00`.
    pub fn expires_on_text(&self) -> &str {
        &self.expires_on_text
    }

    /// Returns whether the token has expired at `now`, such as [`SystemTime::now`].
    ///
    /// # Examples
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
    pub fn is_expired(&self, now: SystemTime) -> bool {
        self.expires_within(Duration::ZERO, now)
    }

    /// Returns whether the token expires within `duration` of `now`, or already has.
    pub fn expires_within(&self, duration: Duration, now: SystemTime) -> bool {
        self.expires_on.duration_since(now).is_ok_and(|left| left <= duration)
            || self.expires_on <= now
    }

    pub(crate) fn new(token: String, expires_on: SystemTime, expires_on_text: String) -> Self {
        Self { token, expires_on, expires_on_text }
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

/// A permission that a token grants.
///
/// The set is open: any other scope can be written as text and is passed to the service. serde reads
/// and writes the text. Microsoft describes the scopes in the
/// [identity model](https://learn.microsoft.com/azure/communication-services/concepts/identity-model#access-tokens).
///
/// # Examples
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
    /// Full access to the chat APIs.
    pub const CHAT: Self = Self(Cow::Borrowed("chat"));
    /// Access to the chat APIs, except creating, updating and deleting threads (api-version 2023-10-01
    /// and later).
    pub const CHAT_JOIN: Self = Self(Cow::Borrowed("chat.join"));
    /// As [`CHAT_JOIN`](Self::CHAT_JOIN), but without adding and removing participants (api-version
    /// 2023-10-01 and later).
    pub const CHAT_JOIN_LIMITED: Self = Self(Cow::Borrowed("chat.join.limited"));
    /// Full access to the calling APIs.
    pub const VOIP: Self = Self(Cow::Borrowed("voip"));
    /// Access to the calling APIs, except starting calls (api-version 2023-10-01 and later).
    pub const VOIP_JOIN: Self = Self(Cow::Borrowed("voip.join"));

    /// Returns the text that is sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for TokenScope {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TokenScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// From any reference to text, including another scope.
impl<T: AsRef<str> + ?Sized> From<&T> for TokenScope {
    fn from(scope: &T) -> Self {
        Self(Cow::Owned(scope.as_ref().to_owned()))
    }
}

impl From<String> for TokenScope {
    fn from(scope: String) -> Self {
        Self(Cow::Owned(scope))
    }
}

impl Serialize for TokenScope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for TokenScope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

/// The scopes and, optionally, the lifetime of a token to issue.
///
/// Any collection of scopes converts into one: functions that take a request also take
/// `["chat", "voip"]`.
///
/// They reject a request with [`InvalidInput`](crate::ErrorKind::InvalidInput), before anything is
/// sent, if it has no scopes, if a scope is blank, if the lifetime is not a whole number of minutes, or
/// if the request's body would exceed 16 KiB. Whether a lifetime or a scope is allowed is for the
/// service to decide.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use acs_identity::{TokenRequest, TokenScope};
///
/// let ninety_minutes = Duration::from_secs(90 * 60);
/// let request = TokenRequest::new([TokenScope::VOIP]).expires_in(ninety_minutes);
/// assert_eq!(TokenRequest::from(["voip"]), TokenRequest::from(vec![TokenScope::VOIP]));
/// # let _ = request;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRequest {
    scopes: Vec<TokenScope>,
    expires_in: Option<Duration>,
}

impl TokenRequest {
    /// Creates a request for a token with these scopes and the service's default lifetime, 24 hours.
    #[must_use]
    pub fn new(scopes: impl IntoIterator<Item = impl Into<TokenScope>>) -> Self {
        Self { scopes: scopes.into_iter().map(Into::into).collect(), expires_in: None }
    }

    /// Sets the lifetime of the token, in whole minutes.
    ///
    /// The service accepts 60 minutes to 24 hours, since api-version 2022-10-01.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use acs_identity::TokenRequest;
    ///
    /// let an_hour = TokenRequest::new(["chat"]).expires_in(Duration::from_secs(60 * 60));
    /// # let _ = an_hour;
    /// ```
    #[must_use]
    #[doc(alias = "token_expires_in")]
    #[doc(alias = "expires_in_minutes")]
    #[doc(alias = "token_expires_in_minutes")]
    pub fn expires_in(mut self, lifetime: Duration) -> Self {
        self.expires_in = Some(lifetime);
        self
    }

    /// Checks the request, and returns its JSON with the scopes under this name.
    pub(crate) fn to_body(&self, scopes_name: &'static str) -> Result<TokenBody<'_>, Error> {
        // Without any scopes, the service creates a user but no token.
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
        let expires_in_minutes = self.expires_in.map(whole_minutes).transpose()?;
        Ok(TokenBody { scopes_name, scopes: &self.scopes, expires_in_minutes })
    }
}

/// The JSON of a token request. `serde_json::Value` would add 39 KiB to a program, most of it for floats.
pub(crate) struct TokenBody<'a> {
    scopes_name: &'static str,
    scopes: &'a [TokenScope],
    expires_in_minutes: Option<u64>,
}

impl Serialize for TokenBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut body = serializer.serialize_map(None)?;
        body.serialize_entry(self.scopes_name, self.scopes)?;
        if let Some(minutes) = self.expires_in_minutes {
            body.serialize_entry("expiresInMinutes", &minutes)?;
        }
        body.end()
    }
}

/// Returns the lifetime in the unit of the wire. Whether it is in range is for the service to judge.
fn whole_minutes(lifetime: Duration) -> Result<u64, Error> {
    let is_whole = lifetime.as_secs().is_multiple_of(60) && lifetime.subsec_nanos() == 0;
    if !is_whole || lifetime.is_zero() {
        return Err(Error::invalid_input(format!(
            "expires_in is {lifetime:?}: expected whole minutes, at least one (the service accepts 60 to 1440)"
        )));
    }
    Ok(lifetime.as_secs() / 60)
}

/// From an array, a slice, a `Vec` or any other collection.
impl<I: IntoIterator<Item = S>, S: Into<TokenScope>> From<I> for TokenRequest {
    fn from(scopes: I) -> Self {
        Self::new(scopes)
    }
}

/// For callers that keep a request and use it several times.
impl From<&Self> for TokenRequest {
    fn from(request: &Self) -> Self {
        request.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_scope_is_its_text() {
        for name in ["chat", "voip.join", "something.new"] {
            let scope = TokenScope::from(name);
            assert_eq!((scope.as_str(), scope.as_ref(), &*scope.to_string()), (name, name, name));
        }
    }

    #[test]
    fn token_request_takes_whole_minutes() {
        let body = |request: TokenRequest| {
            request.to_body("scopes").map(|body| serde_json::to_string(&body).unwrap())
        };
        let request = TokenRequest::new(["chat", "voip"]);
        assert_eq!(body(request.clone()).unwrap(), r#"{"scopes":["chat","voip"]}"#);
        let minutes = |lifetime| body(request.clone().expires_in(lifetime));
        for (lifetime, expected) in [(5_400, 90), (60, 1), (60 * 100_000, 100_000)] {
            // The range is for the service to judge.
            let json = minutes(Duration::from_secs(lifetime)).unwrap();
            let expected = format!(r#"{{"scopes":["chat","voip"],"expiresInMinutes":{expected}}}"#);
            assert_eq!(json, expected);
        }
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
    fn access_token_tells_its_expiry_for_any_instant() {
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
    fn token_request_requires_scopes_that_are_not_blank() {
        assert_eq!(
            TokenRequest::new(Vec::<TokenScope>::new())
                .to_body("scopes")
                .err()
                .unwrap()
                .to_string(),
            "scopes are empty: name at least one, such as \"voip\" or \"chat\"",
        );
        assert_eq!(
            TokenRequest::new(["chat", " "]).to_body("scopes").err().unwrap().to_string(),
            "a scope is blank: name one, such as \"voip\" or \"chat\"",
        );
    }
}
