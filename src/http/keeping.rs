//! Whether a kept connection is likely to be alive.

use std::sync::atomic::{AtomicU8, Ordering};

use ureq::http::HeaderValue;

/// Whether the server keeps connections alive, as far as is known.
///
/// A server that closes after each response without saying so may close a kept connection while the
/// next request is on its way, which would leave a create in doubt. So a create uses a kept connection
/// only if the last response promised `Connection: keep-alive` and no such connection broke before.
/// Before the first response, only the first request can be sure that none is kept.
#[derive(Default)]
pub(super) struct Keeping(AtomicU8);

impl Keeping {
    /// No request yet.
    const NONE: u8 = 0;
    const NOT_PROMISED: u8 = 1;
    const PROMISED: u8 = 2;
    const BROKEN: u8 = 3;

    /// On an agent whose connections others may have made.
    pub(super) fn among_others() -> Self {
        Self(AtomicU8::new(Self::NOT_PROMISED))
    }

    /// Before each request: whether the connection that it would use is doubtful.
    pub(super) fn is_doubtful(&self) -> bool {
        match self.0.load(Ordering::Relaxed) {
            Self::PROMISED => false,
            // Another thread may have been first meanwhile.
            Self::NONE => self.change(Self::NONE, Self::NOT_PROMISED).is_err(),
            _ => true,
        }
    }

    pub(super) fn note(&self, connection: Option<&HeaderValue>) {
        let promised =
            connection.is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(b"keep-alive"));
        let new = if promised { Self::PROMISED } else { Self::NOT_PROMISED };
        let old = self.0.load(Ordering::Relaxed);
        if old != new && old != Self::BROKEN {
            // Must not overwrite what another thread found broken meanwhile.
            let _ = self.change(old, new);
        }
    }

    /// An attempt found its connection to have ended.
    pub(super) fn note_end(&self) {
        self.0.store(Self::BROKEN, Ordering::Relaxed);
    }

    fn change(&self, old: u8, new: u8) -> Result<u8, u8> {
        self.0.compare_exchange(old, new, Ordering::Relaxed, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_trusted_on_the_servers_word_until_one_breaks() {
        let keep_alive = HeaderValue::from_static("Keep-Alive");
        let keeping = Keeping::default();
        assert!(!keeping.is_doubtful(), "there is none that could be used");
        assert!(keeping.is_doubtful(), "the first may have ended, and left its own");
        keeping.note(None);
        assert!(keeping.is_doubtful());
        keeping.note(Some(&keep_alive));
        assert!(!keeping.is_doubtful());
        keeping.note_end();
        keeping.note(Some(&keep_alive));
        assert!(keeping.is_doubtful());
    }
}
