//! Credentials: an access key, or bearer tokens from Entra ID. Nothing prints either.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ureq::http::HeaderValue;

use crate::access_key::AccessKey;
use crate::auth::cache::Cache;
use crate::error::{Error, ErrorKind};

/// The scope of a bearer token for ACS: with two slashes, as in all official clients.
const SCOPE: &str = "https://communication.azure.com//.default";

/// How long before its expiry a bearer token is replaced.
const MARGIN: Duration = Duration::from_secs(5 * 60);

/// The head has to fit into the agent's buffer, beside the other headers.
const MAX_LENGTH: usize = 16 * 1024;

/// The credential of a client: an [`AccessKey`], or bearer tokens from Entra ID.
///
/// Functions that take a credential also take an access key. For Entra ID, create one from a closure that
/// fetches [bearer tokens](Self::bearer).
///
/// # Examples
///
/// ```
/// use std::time::{Duration, SystemTime};
///
/// use acs_identity::{BearerToken, CommunicationIdentityClient, Credential};
///
/// # fn token_from_entra(scope: &str) -> Result<String, std::io::Error> { Ok("t".to_owned()) }
/// let credential = Credential::bearer(|scope| {
///     let token = token_from_entra(scope)?;
///     Ok(BearerToken::new(token, SystemTime::now() + Duration::from_secs(3600)))
/// });
/// let client =
///     CommunicationIdentityClient::new("https://contoso.communication.azure.com", credential)?;
/// # Ok::<(), acs_identity::Error>(())
/// ```
#[derive(Clone)]
pub struct Credential(Arc<Kind>);

pub(crate) enum Kind {
    Key(AccessKey),
    Bearer(Bearer),
}

pub(crate) struct Bearer {
    fetch: Box<Fetch>,
    cache: Cache<HeaderValue>,
}

type Fetch = dyn Fn(&str) -> Result<BearerToken, Box<dyn StdError + Send + Sync>> + Send + Sync;

/// A bearer token from Entra ID, and when it expires.
///
/// `Debug` redacts it.
///
/// # Examples
///
/// ```
/// use std::time::SystemTime;
///
/// use acs_identity::BearerToken;
///
/// let token = BearerToken::new("eyJ0eXAi", SystemTime::now());
/// assert_eq!(format!("{token:?}"), "BearerToken([redacted])");
/// ```
#[derive(Clone)]
pub struct BearerToken {
    token: String,
    expires_on: SystemTime,
}

impl Credential {
    /// Creates a credential that authenticates with the bearer tokens that a function fetches.
    ///
    /// The function takes a scope, which is `https://communication.azure.com//.default`. The
    /// [page on Entra ID](crate::guide::entra) has functions that need no Azure crate.
    ///
    /// The first call fetches a token, which is kept until five minutes before it expires. Threads that
    /// need one at the same time share one fetch; one that fails is repeated by the next of them, and the
    /// old token is used for as long as it is valid. After a 401 that is not about the user's id or a
    /// Teams user's token, a new token is fetched and the request is sent once more.
    ///
    /// The client does not limit how long fetching takes: set a timeout of your own. The function must
    /// not use a client with this same credential: it would deadlock until the deadline of the call.
    ///
    /// # Errors
    ///
    /// The function may return any error. It becomes the source of an [`Error`] of the kind
    /// [`Credential`](crate::ErrorKind::Credential), which prints it: keep secrets out of it.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    ///
    /// use acs_identity::{BearerToken, Credential};
    ///
    /// let credential = Credential::bearer(|_scope| {
    ///     let token = std::fs::read_to_string("/run/secrets/token")?;
    ///     Ok(BearerToken::new(token.trim(), SystemTime::now() + Duration::from_secs(600)))
    /// });
    /// assert_eq!(format!("{credential:?}"), "Credential(bearer token, [redacted])");
    /// ```
    #[doc(alias = "ClientSecretCredential")]
    #[doc(alias = "DefaultAzureCredential")]
    #[doc(alias = "ManagedIdentityCredential")]
    #[doc(alias = "TokenCredential")]
    pub fn bearer(
        fetch: impl Fn(&str) -> Result<BearerToken, Box<dyn StdError + Send + Sync>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        let bearer = Bearer { fetch: Box::new(fetch), cache: Cache::new(MARGIN) };
        Self(Arc::new(Kind::Bearer(bearer)))
    }

    pub(crate) fn kind(&self) -> &Kind {
        &self.0
    }
}

impl From<AccessKey> for Credential {
    fn from(key: AccessKey) -> Self {
        Self(Arc::new(Kind::Key(key)))
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind() {
            Kind::Key(_) => "Credential(access key, [redacted])",
            Kind::Bearer(_) => "Credential(bearer token, [redacted])",
        })
    }
}

impl Bearer {
    /// Returns the `authorization` header. Waits no longer than `max_wait` for another call that is
    /// fetching a token.
    pub(crate) fn header(
        &self,
        now: impl Fn() -> SystemTime,
        max_wait: Duration,
    ) -> Result<HeaderValue, Error> {
        self.cache.get(&now, max_wait, || self.fetch(&now)).unwrap_or_else(|| {
            let mut error = credential_error("another thread is still fetching the bearer token");
            error.inner.is_transient = true;
            Err(error)
        })
    }

    /// Drops a token that the service rejected, unless another call already did.
    pub(crate) fn invalidate(&self, rejected: &HeaderValue) {
        self.cache.invalidate_if(|header| header == rejected);
    }

    fn fetch(&self, now: impl Fn() -> SystemTime) -> Result<(HeaderValue, SystemTime), Error> {
        const MALFORMED: &str = "the bearer token that was fetched is empty, longer than 16 KiB or has characters that are not allowed in a token: check for a line break around it";

        let BearerToken { token, expires_on } = (self.fetch)(SCOPE).map_err(|cause| {
            credential_error("could not obtain a bearer token").with_source(cause)
        })?;
        // Checked before it is kept: one that cannot be sent would fail every call until it expires.
        if token.is_empty()
            || token.len() > MAX_LENGTH
            || !token.bytes().all(|byte| byte.is_ascii_graphic())
        {
            return Err(credential_error(MALFORMED));
        }
        if expires_on <= now() {
            return Err(credential_error(
                "the bearer token that was fetched has already expired: check its source and this machine's clock",
            ));
        }
        let mut header = HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|_| credential_error(MALFORMED))?;
        header.set_sensitive(true);
        Ok((header, expires_on))
    }
}

fn credential_error(problem: &str) -> Error {
    Error::new(ErrorKind::Credential, problem)
}

impl BearerToken {
    /// Creates a bearer token from its text, without the word `Bearer`, and its expiry.
    #[must_use]
    pub fn new(token: impl Into<String>, expires_on: SystemTime) -> Self {
        Self { token: token.into(), expires_on }
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    const HOUR: Duration = Duration::from_secs(60 * 60);

    /// The headers sent at each of these instants, with a source that numbers its tokens, each valid for
    /// an hour.
    fn headers(seconds: &[u64]) -> Vec<String> {
        let now = Arc::new(AtomicU64::new(0));
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let (fetched, clock) = (AtomicU64::new(0), Arc::clone(&now));
        let credential = Credential::bearer(move |scope: &str| {
            assert_eq!(scope, "https://communication.azure.com//.default");
            let number = fetched.fetch_add(1, Ordering::SeqCst) + 1;
            Ok(BearerToken::new(number.to_string(), at(clock.load(Ordering::SeqCst)) + HOUR))
        });
        let Kind::Bearer(bearer) = credential.kind() else { panic!("it is a bearer") };
        let header = |seconds: &u64| {
            now.store(*seconds, Ordering::SeqCst);
            let header = bearer.header(|| at(*seconds), HOUR).unwrap();
            assert!(header.is_sensitive());
            header.to_str().unwrap().to_owned()
        };
        seconds.iter().map(header).collect()
    }

    #[test]
    fn bearer_token_is_kept_until_five_minutes_before_it_expires() {
        assert_eq!(
            headers(&[0, 3_299, 3_300, 6_599, 6_600, 20_000]),
            ["Bearer 1", "Bearer 1", "Bearer 2", "Bearer 2", "Bearer 3", "Bearer 4"]
        );
    }
}
