//! Identities, and the tokens that were issued to them.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use super::token::IssuedToken;
use crate::emulator::random::Random;

/// Everything that a delete or a revoke can take away.
#[derive(Debug, Default)]
pub(in crate::emulator) struct Directory {
    identities: HashMap<String, Identity>,
    created: u32,
    tokens_until_sweep: usize,
}

#[derive(Debug)]
struct Identity {
    /// In the order of creation.
    number: u32,
    /// By their numbers, so oldest first.
    tokens: Vec<IssuedToken>,
}

impl Directory {
    /// Adds an identity with an id as real ones look: a small, slowly growing number in front, 3a0d00 in the
    /// last group.
    pub(super) fn create(&mut self, resource: &str, random: &mut Random) -> String {
        let (number, words) = (self.created.wrapping_add(1), random.next());
        let [a, b, c, d] = [48, 32, 16, 0].map(|shift| words >> shift & 0xffff);
        let first = random.next() & 0xff;
        let id = format!(
            "8:acs:{resource}_{number:08x}-{a:04x}-{b:04x}-{c:04x}-{first:02x}3a0d00{d:04x}"
        );
        self.add(&id);
        id
    }

    /// Adds an identity, unless it is there.
    pub(in crate::emulator) fn add(&mut self, id: &str) {
        if self.identities.contains_key(id) {
            return;
        }
        self.created = self.created.wrapping_add(1);
        let identity = Identity { number: self.created, tokens: Vec::new() };
        self.identities.insert(id.to_owned(), identity);
    }

    pub(in crate::emulator) fn contains(&self, id: &str) -> bool {
        self.identities.contains_key(id)
    }

    pub(in crate::emulator) fn len(&self) -> usize {
        self.identities.len()
    }

    /// In the order of creation.
    pub(in crate::emulator) fn ids(&self) -> Vec<String> {
        let mut ids: Vec<_> = self.identities.iter().collect();
        ids.sort_unstable_by_key(|(_, identity)| identity.number);
        ids.into_iter().map(|(id, _)| id.clone()).collect()
    }

    /// The tokens that have not expired, oldest first.
    pub(in crate::emulator) fn valid_tokens(
        &self,
        id: &str,
        now: SystemTime,
    ) -> Option<Vec<IssuedToken>> {
        let tokens = self.identities.get(id)?.tokens.iter();
        Some(tokens.filter(|token| now < token.expires_on).cloned().collect())
    }

    /// Whether there was such an identity.
    pub(super) fn delete(&mut self, id: &str) -> bool {
        self.identities.remove(id).is_some()
    }

    // Ours: revoking acts at once; the real service may take up to 15 minutes.
    /// Whether there is such an identity. With an instant, only the tokens issued before it go.
    pub(in crate::emulator) fn revoke(
        &mut self,
        id: &str,
        issued_before: Option<SystemTime>,
    ) -> bool {
        // Ours: to the millisecond, the unit of JavaScript's dates: a token that was issued a
        // moment before `new Date()` is revoked.
        let millis = |instant: SystemTime| {
            instant.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()
        };
        let is_kept = |token: &IssuedToken| {
            issued_before.is_some_and(|instant| millis(token.issued_at) > millis(instant))
        };
        let identity = self.identities.get_mut(id);
        identity.map(|identity| identity.tokens.retain(is_kept)).is_some()
    }

    pub(super) fn remember(&mut self, id: &str, token: IssuedToken) {
        let now = token.issued_at;
        if let Some(identity) = self.identities.get_mut(id) {
            identity.tokens.push(token);
        }
        // Rarely enough to cost nothing, often enough that at most half of the memory is waste.
        self.tokens_until_sweep = self.tokens_until_sweep.saturating_sub(1);
        if self.tokens_until_sweep == 0 {
            self.free_expired(now);
        }
    }

    pub(super) fn free_expired(&mut self, now: SystemTime) {
        let mut kept = self.identities.len();
        for identity in self.identities.values_mut() {
            identity.tokens.retain(|token| now < token.expires_on);
            identity.tokens.shrink_to(identity.tokens.len() * 2);
            kept += identity.tokens.len();
        }
        self.tokens_until_sweep = kept.max(1_000);
    }

    pub(super) fn token(&self, id: &str, number: u64) -> Option<&IssuedToken> {
        let tokens = &self.identities.get(id)?.tokens;
        let index = tokens.binary_search_by_key(&number, |token| token.number).ok()?;
        tokens.get(index)
    }

    #[cfg(test)]
    pub(super) fn token_count(&self) -> usize {
        self.identities.values().map(|identity| identity.tokens.len()).sum()
    }
}
