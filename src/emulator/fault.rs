//! Faults: what a network and a service can do to a caller, on demand.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use super::request::Operation;

/// Something that goes wrong, for [`Emulator::inject`](super::Emulator::inject).
///
/// A fault applies to the next request, or as [`times`](Self::times), [`every`](Self::every) and
/// [`on`](Self::on) say.
///
/// ```
/// use acs_identity::emulator::{Emulator, Fault, Operation};
///
/// let emulator = Emulator::start()?;
/// // Two 503s, then normal again.
/// emulator.inject(Fault::respond(503).header("Retry-After", "1").times(2));
/// // The user is created, and the response is lost.
/// emulator.inject(Fault::drop_after_processing().on(Operation::Create));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a fault does nothing until it is injected"]
pub struct Fault {
    pub(super) effect: Effect,
    pub(super) after_processing: bool,
    operation: Option<Operation>,
    times: Option<u64>,
    every: Option<u64>,
    /// Matching requests so far.
    seen: u64,
}

#[derive(Clone, Debug)]
pub(super) enum Effect {
    Respond(Prescription),
    Drop,
    Delay(Duration),
    Truncate,
    Stall,
    StallBody,
    Drip(Duration),
}

#[derive(Clone)]
pub(super) struct Prescription {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Fault {
    /// Responds with this status in place of the service, which never sees the request.
    ///
    /// The response has an empty body and the headers of every response of the service, until
    /// [`header`](Self::header) and [`body`](Self::body) say otherwise. A client does not repeat the creation
    /// of a user after a bare 503, since the user may exist, but after one with the header `Retry-After`.
    pub fn respond(status: u16) -> Self {
        let prescription = Prescription { status, headers: Vec::new(), body: Vec::new() };
        Self::new(Effect::Respond(prescription), false)
    }

    /// Closes the connection once the request has arrived; the service never sees it.
    pub fn drop_before_processing() -> Self {
        Self::new(Effect::Drop, false)
    }

    /// Lets the service process the request, then closes the connection without a response.
    pub fn drop_after_processing() -> Self {
        Self::new(Effect::Drop, true)
    }

    /// Processes the request and holds the response back for this time. A client that meanwhile sends more
    /// than 1 MiB ahead is cut off.
    pub fn delay(time: Duration) -> Self {
        Self::new(Effect::Delay(time), true)
    }

    /// Processes the request, sends the response up to the middle of its body, and closes the
    /// connection.
    ///
    /// A response without a body breaks off in the middle of its head.
    pub fn truncate_body() -> Self {
        Self::new(Effect::Truncate, true)
    }

    /// Never responds: the request hangs until the client closes its side, sends more than 1 MiB ahead, or
    /// the emulator stops.
    ///
    /// The service never sees it, unless [`after_processing`](Self::after_processing) is called.
    pub fn stall() -> Self {
        Self::new(Effect::Stall, false)
    }

    /// Processes the request, sends the response up to the middle of its body, and then hangs as
    /// [`stall`](Self::stall) does.
    pub fn stall_body() -> Self {
        Self::new(Effect::StallBody, true)
    }

    /// Processes the request and sends the response byte by byte, one in each interval.
    pub fn drip(interval: Duration) -> Self {
        Self::new(Effect::Drip(interval), true)
    }

    /// Adds a header to the response of [`respond`](Self::respond), as it is, unchecked; other faults
    /// ignore it.
    ///
    /// It replaces the header of that name which the emulator would send. A `Content-Length` or
    /// `Transfer-Encoding` need not fit the body: the response may be as broken as the test wants it. After
    /// `Connection: close` the connection is closed.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        if let Effect::Respond(prescription) = &mut self.effect {
            prescription.headers.push((name.into(), value.into()));
        }
        self
    }

    /// Sets the body of the response of [`respond`](Self::respond); other faults ignore it.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        if let Effect::Respond(prescription) = &mut self.effect {
            prescription.body = body.into();
        }
        self
    }

    /// Lets the service process the request before the fault strikes.
    pub fn after_processing(mut self) -> Self {
        self.after_processing = true;
        self
    }

    /// Applies to this many requests in place of one.
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    /// Applies to every `n`-th matching request, forever unless [`times`](Self::times) ends it.
    ///
    /// A request that one fault strikes is not counted by the faults injected after it, so several
    /// of them mix: ten faults with `every(100)` strike about every tenth request.
    pub fn every(mut self, n: u64) -> Self {
        self.every = Some(n.max(1));
        self
    }

    /// Applies to requests of this operation only; other requests pass, and are not counted.
    pub fn on(mut self, operation: Operation) -> Self {
        self.operation = Some(operation);
        self
    }

    fn new(effect: Effect, after_processing: bool) -> Self {
        Self { effect, after_processing, operation: None, times: None, every: None, seen: 0 }
    }

    /// Counts a request; whether the fault strikes it.
    fn strikes(&mut self, operation: Option<Operation>) -> bool {
        if self.operation.is_some() && self.operation != operation {
            return false;
        }
        self.seen = self.seen.saturating_add(1);
        self.seen.is_multiple_of(self.every.unwrap_or(1))
    }

    fn is_spent(&self) -> bool {
        let times = self.times.unwrap_or(if self.every.is_some() { u64::MAX } else { 1 });
        self.seen / self.every.unwrap_or(1) >= times
    }
}

impl fmt::Debug for Prescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A prescribed body may hold a token.
        f.debug_struct("Prescription").field("status", &self.status).finish_non_exhaustive()
    }
}

/// The faults that are still to come, oldest first.
#[derive(Debug, Default)]
pub(super) struct Faults {
    queue: VecDeque<Fault>,
}

impl Faults {
    pub(super) fn push(&mut self, fault: Fault) {
        if !fault.is_spent() {
            self.queue.push_back(fault);
        }
    }

    /// The fault that strikes a request of this operation, if any.
    pub(super) fn next(&mut self, operation: Option<Operation>) -> Option<Fault> {
        let index = self.queue.iter_mut().position(|fault| fault.strikes(operation))?;
        let fault = self.queue.get(index)?.clone();
        if fault.is_spent() {
            self.queue.remove(index);
        }
        Some(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statuses(faults: Vec<Fault>, operations: &[Operation]) -> Vec<u16> {
        let mut queue = Faults::default();
        for fault in faults {
            queue.push(fault);
        }
        let struck = operations.iter().map(|operation| queue.next(Some(*operation)));
        struck
            .map(|fault| match fault.map(|fault| fault.effect) {
                Some(Effect::Respond(prescription)) => prescription.status,
                _ => 0,
            })
            .collect()
    }

    #[test]
    fn each_fault_applies_to_the_next_matching_requests() {
        use Operation::{Create, Issue};

        let faults = vec![
            Fault::respond(500).on(Issue),
            Fault::respond(503).times(2),
            Fault::respond(504).times(0),
        ];
        let seen = statuses(faults, &[Create, Issue, Issue, Issue]);
        assert_eq!(seen, [503, 500, 503, 0]);
    }

    #[test]
    fn faults_with_one_period_mix() {
        let faults = vec![Fault::respond(500).every(4), Fault::respond(503).every(4).times(1)];
        let seen = statuses(faults, &[Operation::Create; 12]);
        assert_eq!(seen, [0, 0, 0, 500, 503, 0, 0, 500, 0, 0, 0, 500]);
    }
}
