//! Keys and credentials, redacted wherever they could be printed.

use std::error::Error as StdError;
use std::fmt;
use std::hint::black_box;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _};
use sha2::Sha256;
use ureq::http::HeaderValue;

use crate::cache::{Cache, Expires};
use crate::error::{Error, ErrorKind};

/// The scope that a bearer token for ACS is asked for: with two slashes, as all official clients
/// have it.
const BEARER_SCOPE: &str = "https://communication.azure.com//.default";

/// How long before its end a bearer token is replaced.
const BEARER_MARGIN: Duration = Duration::from_secs(5 * 60);

const MALFORMED: &str = "the bearer token that was fetched is empty or has characters that no token has, so the request was not sent: is there a line break around it?";

/// An access key of an ACS resource, decoded once and never shown again.
///
/// Read it from the base64 text that the portal shows (standard alphabet, padded) with
/// [`str::parse`]. What is kept is not the key but the keyed HMAC-SHA256 state, which is wiped from
/// memory on drop. Sign requests to other ACS services with [`AccessKey::sign`].
///
/// ```
/// use acs_identity::AccessKey;
///
/// let key: AccessKey = "c2VjcmV0".parse()?;
/// assert_eq!(format!("{key:?}"), "AccessKey([redacted])");
/// # Ok::<(), acs_identity::Error>(())
/// ```
#[derive(Clone)]
pub struct AccessKey(Hmac<Sha256>);

impl AccessKey {
    pub(crate) fn mac(&self) -> Hmac<Sha256> {
        self.0.clone()
    }
}

impl FromStr for AccessKey {
    type Err = Error;

    /// Decodes the base64 text of a key; white space around it is ignored.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if the text is empty or is not canonical,
    /// padded base64.
    fn from_str(base64: &str) -> Result<Self, Error> {
        let base64 = base64.trim();
        if base64.is_empty() {
            return Err(Error::invalid_input(
                "accesskey is empty: copy it from the portal's Keys page",
            ));
        }
        // The decoder's own message quotes bytes of the key: it is no source to pass on.
        let mut key = BASE64.decode(base64).map_err(|_| {
            Error::invalid_input(
                "accesskey is not valid base64: copy it again from the portal's Keys page",
            )
        })?;
        let mac = Hmac::new_from_slice(&key);
        key.fill(0);
        black_box(&key);
        mac.map(Self)
            .map_err(|_| Error::invalid_input("accesskey has a length that HMAC cannot take"))
    }
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessKey([redacted])")
    }
}

/// What a client authenticates with: an [`AccessKey`], or bearer tokens of Entra ID.
///
/// Wherever a credential is asked for, the key itself can be given. For Entra ID, make one from
/// anything that
/// [fetches tokens](TokenCredential), such as a closure:
///
/// ```
/// use std::time::{Duration, SystemTime};
///
/// use acs_identity::{BearerToken, CommunicationIdentityClient, Credential};
///
/// # fn ask_somebody_for_a_token(scope: &str) -> Result<String, std::io::Error> { Ok("t".to_owned()) }
/// let credential = Credential::bearer(|scope: &str| {
///     let token = ask_somebody_for_a_token(scope)?;
///     Ok(BearerToken::new(token, SystemTime::now() + Duration::from_secs(3600)))
/// });
/// let client =
///     CommunicationIdentityClient::new("https://contoso.communication.azure.com", credential)?;
/// # Ok::<(), acs_identity::Error>(())
/// ```
#[derive(Clone)]
pub struct Credential(Kind);

#[derive(Clone)]
pub(crate) enum Kind {
    Key(AccessKey),
    Bearer(Arc<Bearer>),
}

pub(crate) struct Bearer {
    source: Box<dyn TokenCredential>,
    cache: Cache<BearerToken>,
}

impl Credential {
    /// Authenticates with bearer tokens from this source.
    ///
    /// A token is fetched when the first call needs one and kept until five minutes before it
    /// expires; if many threads need one at once, it is fetched once. After a 401 that is not about
    /// the user's id, a new one is fetched and the request sent once more.
    #[doc(alias = "ClientSecretCredential")]
    #[doc(alias = "DefaultAzureCredential")]
    #[doc(alias = "ManagedIdentityCredential")]
    pub fn bearer(source: impl TokenCredential) -> Self {
        Self(Kind::Bearer(Arc::new(Bearer {
            source: Box::new(source),
            cache: Cache::new(BEARER_MARGIN),
        })))
    }

    pub(crate) fn kind(&self) -> &Kind {
        &self.0
    }
}

impl Bearer {
    /// The `authorization` header; waits no longer for another call that fetches a token.
    pub(crate) fn header(
        &self,
        now: impl Fn() -> SystemTime,
        patience: Duration,
    ) -> Result<HeaderValue, Error> {
        let token = self.cache.get(&now, patience, || self.fetch(&now))?;
        let mut header =
            HeaderValue::try_from(header_text(&token)).map_err(|_| credential_error(MALFORMED))?;
        header.set_sensitive(true);
        Ok(header)
    }

    /// Gives up a token that the service refused, unless another caller did so already.
    pub(crate) fn forget(&self, refused: &HeaderValue) {
        self.cache.forget(|token| header_text(token) == *refused);
    }

    fn fetch(&self, now: impl Fn() -> SystemTime) -> Result<BearerToken, Error> {
        let token = self.source.bearer_token(BEARER_SCOPE).map_err(|cause| {
            credential_error("no bearer token could be had, so the request was not sent")
                .with_source(cause)
        })?;
        // Before it is kept: one that cannot be sent would fail every call until it expires.
        if token.token.is_empty() || !token.token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(credential_error(MALFORMED));
        }
        if token.expires_on <= now() {
            return Err(credential_error(
                "the bearer token that was fetched has expired, so the request was not sent: check its source and this machine's clock",
            ));
        }
        Ok(token)
    }
}

fn header_text(token: &BearerToken) -> String {
    format!("Bearer {}", token.token)
}

fn credential_error(problem: &str) -> Error {
    Error::new(ErrorKind::Credential, problem)
}

impl From<AccessKey> for Credential {
    fn from(key: AccessKey) -> Self {
        Self(Kind::Key(key))
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Key(_) => "Credential(access key, [redacted])",
            Kind::Bearer(_) => "Credential(bearer token, [redacted])",
        })
    }
}

/// Fetches bearer tokens of Entra ID, for [`Credential::bearer`].
///
/// Implemented for every closure that takes a scope and returns a [`BearerToken`] or any error. Two
/// sources that need no further crate than this one and its dependencies are in the [page on Entra
/// ID](crate::guide::entra).
pub trait TokenCredential: Send + Sync + 'static {
    /// Fetches a token for a scope, which is `https://communication.azure.com//.default`.
    ///
    /// It is called without any limit on its time: limit it yourself. It must not use a client that
    /// has this very credential, which would wait for it.
    ///
    /// # Errors
    ///
    /// Any; it becomes the source of an error of the kind
    /// [`Credential`](crate::ErrorKind::Credential). Keep secrets out of it.
    fn bearer_token(&self, scope: &str) -> Result<BearerToken, Box<dyn StdError + Send + Sync>>;
}

impl<F> TokenCredential for F
where
    F: Fn(&str) -> Result<BearerToken, Box<dyn StdError + Send + Sync>> + Send + Sync + 'static,
{
    fn bearer_token(&self, scope: &str) -> Result<BearerToken, Box<dyn StdError + Send + Sync>> {
        self(scope)
    }
}

/// A bearer token of Entra ID, and when it ends.
#[derive(Clone)]
pub struct BearerToken {
    token: String,
    expires_on: SystemTime,
}

impl BearerToken {
    /// A token as it goes into the `authorization` header, without `Bearer`.
    #[must_use]
    pub fn new(token: impl Into<String>, expires_on: SystemTime) -> Self {
        Self { token: token.into(), expires_on }
    }
}

impl Expires for BearerToken {
    fn expires_on(&self) -> SystemTime {
        self.expires_on
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_refused_when_they_are_read() {
        for (text, error) in [
            ("", "accesskey is empty: copy it from the portal's Keys page"),
            (" \r\n", "accesskey is empty: copy it from the portal's Keys page"),
            ("c2VjcmV", "accesskey is not valid base64: copy it again from the portal's Keys page"),
            (
                "c2Vj cmV0",
                "accesskey is not valid base64: copy it again from the portal's Keys page",
            ),
            // The last character carries bits that no encoder sets: a damaged key.
            ("px==", "accesskey is not valid base64: copy it again from the portal's Keys page"),
        ] {
            assert_eq!(text.parse::<AccessKey>().unwrap_err().to_string(), error, "{text:?}");
        }
        assert!("\tpw== \n".parse::<AccessKey>().is_ok());
    }

    const HOUR: Duration = Duration::from_secs(60 * 60);

    /// What a source that numbers its tokens, each good for an hour from `now`, makes be sent at
    /// each of these instants.
    fn headers(seconds: &[u64]) -> Vec<String> {
        use std::sync::atomic::{AtomicU64, Ordering};

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
    fn a_bearer_token_is_kept_until_five_minutes_before_it_expires() {
        assert_eq!(
            headers(&[0, 3_299, 3_300, 6_599, 6_600, 20_000]),
            ["Bearer 1", "Bearer 1", "Bearer 2", "Bearer 2", "Bearer 3", "Bearer 4"]
        );
    }
}
