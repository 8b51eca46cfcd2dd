//! The identities of the resource and the tokens that were issued to them.

use std::collections::{BTreeMap, HashMap};
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use super::random::Random;
use super::token;

/// Everything that a delete or a revoke can take away.
#[derive(Debug, Default)]
pub(super) struct Directory {
    /// Ids begin with a counter, so this order is the order of creation.
    identities: BTreeMap<String, Identity>,
    by_custom_id: HashMap<String, String>,
    created: u32,
    /// Tokens of Teams users, who are no identities of the resource; kept as in [`Identity`].
    teams_tokens: HashMap<[u8; 32], SystemTime>,
}

#[derive(Debug, Default)]
pub(super) struct Identity {
    pub(super) custom_id: Option<String>,
    pub(super) last_token_issued_at: Option<SystemTime>,
    /// Hashes of tokens, and when each ends: a token itself need not be kept.
    tokens: HashMap<[u8; 32], SystemTime>,
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

    pub(super) fn identity(&self, id: &str) -> Option<&Identity> {
        self.identities.get(id)
    }

    pub(super) fn ids(&self) -> Vec<String> {
        self.identities.keys().cloned().collect()
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
    /// Whether there is such an identity.
    pub(super) fn revoke(&mut self, id: &str) -> bool {
        let identity = self.identities.get_mut(id);
        identity.map(|identity| identity.tokens.clear()).is_some()
    }

    pub(super) fn remember(
        &mut self,
        id: &str,
        token: &str,
        now: SystemTime,
        expires_on: SystemTime,
    ) {
        if let Some(identity) = self.identities.get_mut(id) {
            identity.last_token_issued_at = Some(now);
            identity.tokens.insert(digest(token), expires_on);
        }
    }

    pub(super) fn remember_teams(&mut self, token: &str, expires_on: SystemTime) {
        self.teams_tokens.insert(digest(token), expires_on);
    }

    pub(super) fn is_token_valid(&self, token: &str, now: SystemTime) -> bool {
        let owner = token::identity_of(token).and_then(|id| self.identities.get(&id));
        let tokens = owner.map_or(&self.teams_tokens, |identity| &identity.tokens);
        tokens.get(&digest(token)).is_some_and(|expires_on| now < *expires_on)
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}
