//! Whether a kept connection is likely to be alive.

use std::sync::atomic::{AtomicU8, Ordering};

use ureq::http::HeaderValue;

/// Whether the server keeps connections alive, as far as is known.
///
/// A server that closes after each response without saying so may close a kept connection while the
/// next request is on its way, which would leave a create in doubt. So a create uses a kept connection
/// only if the last response promised `Connection: keep-alive` and no such connection broke before.
#[derive(Default)]
pub(super) struct Keeping(AtomicU8);

impl Keeping {
    /// No response yet.
    const NONE: u8 = 0;
    const PROMISED: u8 = 1;
    const NOT_PROMISED: u8 = 2;
    const BROKEN: u8 = 3;

    pub(super) fn is_doubtful(&self) -> bool {
        !matches!(self.0.load(Ordering::Relaxed), Self::NONE | Self::PROMISED)
    }

    pub(super) fn note(&self, connection: Option<&HeaderValue>) {
        let promised =
            connection.is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(b"keep-alive"));
        let new = if promised { Self::PROMISED } else { Self::NOT_PROMISED };
        let old = self.0.load(Ordering::Relaxed);
        if old != new && old != Self::BROKEN {
            // Must not overwrite what another thread found broken meanwhile.
            let _ = self.0.compare_exchange(old, new, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// An attempt found its connection to have ended.
    pub(super) fn note_end(&self) {
        self.0.store(Self::BROKEN, Ordering::Relaxed);
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
        keeping.note(None);
        assert!(keeping.is_doubtful());
        keeping.note(Some(&keep_alive));
        assert!(!keeping.is_doubtful());
        keeping.note_end();
        keeping.note(Some(&keep_alive));
        assert!(keeping.is_doubtful());
    }
}
