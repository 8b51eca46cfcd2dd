//! The identities of the resource and the tokens that were issued to them.

use std::collections::{BTreeMap, HashMap};
use std::time::{SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};

use super::token;
use crate::emulator::random::Random;

/// Everything that a delete or a revoke can take away.
#[derive(Debug, Default)]
pub(super) struct Directory {
    /// Ids begin with a counter, so this order is the order of creation.
    identities: BTreeMap<String, Identity>,
    by_custom_id: HashMap<String, String>,
    created: u32,
    /// Tokens of Teams users, who are no identities of the resource.
    teams_tokens: Vec<IssuedToken>,
}

#[derive(Debug, Default)]
pub(super) struct Identity {
    pub(super) custom_id: Option<String>,
    pub(super) last_token_issued_at: Option<SystemTime>,
    tokens: Vec<IssuedToken>,
}

/// A token that was issued to a user, from [`Emulator::tokens_of`](crate::emulator::Emulator::tokens_of).
#[derive(Clone, Debug)]
pub struct IssuedToken {
    scopes: Vec<String>,
    issued_at: SystemTime,
    expires_on: SystemTime,
    /// Of the token's text, which need not be kept.
    digest: [u8; 32],
}

impl IssuedToken {
    pub(super) fn new(
        token: &str,
        scopes: &[String],
        issued_at: SystemTime,
        expires_on: SystemTime,
    ) -> Self {
        Self { scopes: scopes.to_owned(), issued_at, expires_on, digest: digest(token) }
    }

    /// The scopes, in the order of the request.
    #[must_use]
    pub fn scopes(&self) -> &[String] {
        &self.scopes
    }

    /// When the token expires, by the emulator's clock.
    #[must_use]
    pub fn expires_on(&self) -> SystemTime {
        self.expires_on
    }
}

impl Identity {
    /// The tokens that have not expired, oldest first.
    pub(super) fn valid_tokens(&self, now: SystemTime) -> impl Iterator<Item = &IssuedToken> {
        self.tokens.iter().filter(move |token| now < token.expires_on)
    }
}

impl Directory {
    /// Makes a new identity, or finds the one that has this custom id.
    pub(super) fn create(
        &mut self,
        resource: &str,
        custom_id: Option<String>,
        random: &mut Random,
    ) -> String {
        if let Some(known) = custom_id.as_ref().and_then(|id| self.by_custom_id.get(id)) {
            return known.clone();
        }
        self.created = self.created.wrapping_add(1);
        // As real ids look: a small, slowly growing number in front, 3a0d00 in the last group.
        let middle = [4, 4, 4].map(|digits| random.hex(digits)).join("-");
        let (head, tail) = (random.hex(2), random.hex(4));
        let id = format!("8:acs:{resource}_{:08x}-{middle}-{head}3a0d00{tail}", self.created);
        if let Some(custom_id) = &custom_id {
            self.by_custom_id.insert(custom_id.clone(), id.clone());
        }
        self.identities.insert(id.clone(), Identity { custom_id, ..Identity::default() });
        id
    }

    pub(super) fn add(&mut self, id: &str) {
        self.identities.entry(id.to_owned()).or_default();
    }

    pub(super) fn identity(&self, id: &str) -> Option<&Identity> {
        self.identities.get(id)
    }

    pub(super) fn identities(&self) -> impl Iterator<Item = (&String, &Identity)> {
        self.identities.iter()
    }

    /// Whether there was such an identity.
    pub(super) fn delete(&mut self, id: &str) -> bool {
        let Some(identity) = self.identities.remove(id) else { return false };
        if let Some(custom_id) = identity.custom_id {
            self.by_custom_id.remove(&custom_id);
        }
        true
    }

    // Ours: revoking acts at once; the real service may take up to 15 minutes.
    /// Whether there is such an identity. With an instant, only the tokens issued before it go.
    pub(super) fn revoke(&mut self, id: &str, issued_before: Option<SystemTime>) -> bool {
        // Ours: to the millisecond, the unit of JavaScript's dates: a token that was issued a
        // moment before `new Date()` is revoked.
        let is_kept = |token: &IssuedToken| {
            let millis = |instant: SystemTime| {
                instant.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()
            };
            issued_before.is_some_and(|instant| millis(token.issued_at) > millis(instant))
        };
        let identity = self.identities.get_mut(id);
        identity.map(|identity| identity.tokens.retain(is_kept)).is_some()
    }

    pub(super) fn remember(&mut self, id: &str, token: IssuedToken) {
        if let Some(identity) = self.identities.get_mut(id) {
            identity.last_token_issued_at = Some(token.issued_at);
            identity.tokens.push(token);
        }
    }

    pub(super) fn remember_teams(&mut self, token: IssuedToken) {
        self.teams_tokens.push(token);
    }

    pub(super) fn is_token_valid(&self, token: &str, now: SystemTime) -> bool {
        let owner = token::identity_of(token).and_then(|id| self.identities.get(&id));
        let tokens = owner.map_or(&self.teams_tokens, |identity| &identity.tokens);
        let digest = digest(token);
        tokens.iter().any(|issued| issued.digest == digest && now < issued.expires_on)
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}
