//! Whether a kept connection is likely to be alive.

use std::sync::atomic::{AtomicU8, Ordering};

use ureq::http::{HeaderMap, HeaderValue, header};

/// Whether the server keeps connections alive, as far as is known.
///
/// A server that closes after each response without saying so may close a kept connection while the
/// next request is on its way, which would leave a create in doubt. So a create uses a kept connection
/// only if each one so far was promised to be kept, and no call has failed on one. Before the first
/// response, only the first request can be sure that none is kept.
///
/// ureq takes a connection after it has resolved the host's name: what other threads learn meanwhile
/// comes too late.
#[derive(Default)]
pub(super) struct Keeping(AtomicU8);

impl Keeping {
    /// No request yet.
    const NONE: u8 = 0;
    /// Nothing is known yet.
    const BEGUN: u8 = 1;
    const PROMISED: u8 = 2;
    /// For good: a connection without a promise may be used at any later time.
    const DOUBTFUL: u8 = 3;

    /// Before each request: whether a connection that it would use is doubtful.
    pub(super) fn is_doubtful(&self) -> bool {
        match self.0.load(Ordering::Relaxed) {
            Self::PROMISED => false,
            // Another thread may have been first meanwhile.
            Self::NONE => !self.change(Self::NONE, Self::BEGUN),
            _ => true,
        }
    }

    /// After each response, before its connection can be used again.
    pub(super) fn note(&self, headers: &HeaderMap) {
        let says = |word: &str| {
            let value = headers.get(header::CONNECTION).map(HeaderValue::as_bytes);
            value.is_some_and(|value| value.eq_ignore_ascii_case(word.as_bytes()))
        };
        if says("keep-alive") && !headers.contains_key("keep-alive") {
            self.change(Self::BEGUN, Self::PROMISED);
        } else if !says("close") {
            self.0.store(Self::DOUBTFUL, Ordering::Relaxed);
        }
    }

    /// An attempt found its connection to have ended.
    pub(super) fn note_end(&self) {
        self.change(Self::PROMISED, Self::DOUBTFUL);
    }

    fn change(&self, old: u8, new: u8) -> bool {
        self.0.compare_exchange(old, new, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let value = |value| HeaderValue::from_static(value);
        lines
            .iter()
            .map(|(name, text)| (header::HeaderName::from_static(name), value(text)))
            .collect()
    }

    #[test]
    fn connections_are_trusted_if_each_was_promised_and_none_broke() {
        let promise = &headers(&[("connection", "Keep-Alive")]);
        let close = &headers(&[("connection", "close")]);
        let limited = &headers(&[("connection", "keep-alive"), ("keep-alive", "timeout=5")]);
        let after = |responses: &[&HeaderMap], ends: bool| {
            let keeping = Keeping::default();
            assert!(!keeping.is_doubtful(), "there is none that could be used");
            assert!(keeping.is_doubtful(), "the first may have ended, and left its own");
            for headers in responses {
                keeping.note(headers);
            }
            if ends {
                keeping.note_end();
                keeping.note(promise);
            }
            keeping.is_doubtful()
        };
        assert!(!after(&[promise], false));
        assert!(!after(&[close, promise, close], false), "those that close are not kept");
        assert!(!after(&[], true), "the first was no kept one");
        assert!(after(&[promise], true));
        assert!(after(&[close], false));
        for unkept in [&headers(&[]), limited] {
            assert!(after(&[unkept], false));
            assert!(after(&[unkept, promise], false), "the first may be used again");
            assert!(after(&[promise, unkept, promise], false));
        }
    }
}
