//! A token that is always fresh.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::cache::Cache;
use crate::error::Error;
use crate::token::AccessToken;

/// How long before its end a token is replaced: as in the official clients.
const MARGIN: Duration = Duration::from_secs(10 * 60);

/// Gives out a user's token and issues a new one shortly before it expires.
///
/// Made by [`CommunicationIdentityClient::token_source`](crate::CommunicationIdentityClient::token_source). It has no thread of its own: whoever asks within ten minutes of the
/// end issues the next one, while others still get the old. If that fails, the old one is given out as long as it
/// is valid, and the next try is made after half of the time that is left. Clones share the token.
///
/// ```
/// use acs_identity::CommunicationIdentityClient;
/// use acs_identity::emulator::Emulator;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let emulator = Emulator::start()?;
/// let client = CommunicationIdentityClient::from_connection_string(&emulator.connection_string())?;
/// let user = client.create_user()?;
///
/// let tokens = client.token_source(&user, ["chat"])?;
/// assert_eq!(tokens.token()?, tokens.token()?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[doc(alias = "CommunicationTokenCredential")]
#[doc(alias = "AzureCommunicationTokenCredential")]
pub struct TokenSource(Arc<Inner>);

struct Inner {
    issue: Box<dyn Fn() -> Result<AccessToken, Error> + Send + Sync>,
    now: Box<dyn Fn() -> SystemTime + Send + Sync>,
    cache: Cache<AccessToken>,
}

impl TokenSource {
    pub(crate) fn new(
        issue: impl Fn() -> Result<AccessToken, Error> + Send + Sync + 'static,
        now: impl Fn() -> SystemTime + Send + Sync + 'static,
    ) -> Self {
        let (issue, now) = (Box::new(issue), Box::new(now));
        Self(Arc::new(Inner { issue, now, cache: Cache::new(MARGIN) }))
    }

    /// A token that is valid now.
    ///
    /// # Errors
    ///
    /// As [`issue_token`](crate::CommunicationIdentityClient::issue_token), if there is no valid token and none can be issued.
    pub fn token(&self) -> Result<AccessToken, Error> {
        self.0.cache.get(&self.0.now, &self.0.issue)
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSource").finish_non_exhaustive()
    }
}
