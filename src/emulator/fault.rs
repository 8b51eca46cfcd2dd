//! Faults: what a network and a service can do to a caller, on demand.

use std::time::Duration;

use super::request::{Operation, Route};
use super::response::Response;

pub(super) mod words;

/// Something that goes wrong, for [`Emulator::inject`](super::Emulator::inject) and
/// [`EmulatorBuilder::fault`](super::EmulatorBuilder::fault).
///
/// A fault applies to the next request, unless [`times`](Self::times), [`every`](Self::every),
/// [`on`](Self::on) and [`for_user`](Self::for_user) select others. It can also be
/// [parsed](#impl-FromStr-for-Fault) from words.
///
/// # Examples
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
    /// As its words name the effect.
    words: String,
    pub(super) effect: Effect,
    pub(super) after_processing: bool,
    operation: Option<Operation>,
    user: Option<String>,
    times: Option<u64>,
    every: Option<u64>,
    /// Matching requests so far.
    seen: u64,
}

#[derive(Clone, Debug)]
pub(super) enum Effect {
    Respond(Response),
    Drop,
    Delay(Duration),
    Truncate,
    Stall,
    StallBody,
    Drip(Duration),
}

impl Fault {
    /// Responds with this status instead of the service, which never sees the request.
    ///
    /// The response has an empty body and the headers of every response of the service, unless
    /// [`header`](Self::header) and [`body`](Self::body) set others. This crate's client does not retry
    /// creating a user after a bare 503, because the user may exist; it does retry if the response has
    /// `Retry-After`.
    pub fn respond(status: u16) -> Self {
        Self::new(&status.to_string(), Effect::Respond(Response::new(status)), false)
    }

    /// Closes the connection once the request has arrived; the service never sees it.
    pub fn drop_before_processing() -> Self {
        Self::new("drop", Effect::Drop, false)
    }

    /// Lets the service process the request, then closes the connection without a response.
    pub fn drop_after_processing() -> Self {
        Self::new("drop-after", Effect::Drop, true)
    }

    /// Processes the request and holds the response back for this time. A client that meanwhile sends more
    /// than 1 MiB ahead is cut off.
    pub fn delay(time: Duration) -> Self {
        Self::new(&format!("delay={time:?}"), Effect::Delay(time), true)
    }

    /// Processes the request, sends the response up to the middle of its body, and closes the
    /// connection.
    ///
    /// A response without a body breaks off in the middle of its head.
    pub fn truncate_body() -> Self {
        Self::new("truncate", Effect::Truncate, true)
    }

    /// Never responds: the request hangs until the client closes its side, sends more than 1 MiB ahead, or
    /// the emulator stops.
    ///
    /// The service never sees it, unless [`after_processing`](Self::after_processing) is called.
    pub fn stall() -> Self {
        Self::new("stall", Effect::Stall, false)
    }

    /// Processes the request, sends the response up to the middle of its body, and then hangs as
    /// [`stall`](Self::stall) does.
    pub fn stall_body() -> Self {
        Self::new("stall-body", Effect::StallBody, true)
    }

    /// Processes the request and sends the response byte by byte, one in each interval.
    pub fn drip(interval: Duration) -> Self {
        Self::new(&format!("drip={interval:?}"), Effect::Drip(interval), true)
    }

    /// Adds a header to the response of [`respond`](Self::respond), as it is, unchecked; other faults
    /// ignore it.
    ///
    /// It replaces the header that the emulator would send under this name. A `Content-Length` or
    /// `Transfer-Encoding` need not fit the body: the response may be as broken as the test needs it. After
    /// `Connection: close` the connection is closed.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        if let Effect::Respond(response) = &mut self.effect {
            response.headers.push((name.into(), value.into()));
        }
        self
    }

    /// Sets the body of the response of [`respond`](Self::respond); other faults ignore it.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        if let Effect::Respond(response) = &mut self.effect {
            response.body = body.into();
        }
        self
    }

    /// Lets the service process the request before the fault strikes.
    pub fn after_processing(mut self) -> Self {
        if !self.after_processing {
            self.words.push_str("-after");
        }
        self.after_processing = true;
        self
    }

    /// Applies to requests that name this user only; other requests pass, and are not counted. Requests
    /// that create a user name none.
    pub fn for_user(mut self, id: impl Into<String>) -> Self {
        self.user = Some(id.into());
        self
    }

    /// Applies to this many requests instead of one.
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

    fn new(words: &str, effect: Effect, after_processing: bool) -> Self {
        let (words, operation, user, times, every) = (words.to_owned(), None, None, None, None);
        Self { words, effect, after_processing, operation, user, times, every, seen: 0 }
    }

    /// Counts a request; whether the fault strikes it.
    fn strikes(&mut self, route: Option<&Route>) -> bool {
        let matches =
            self.operation.is_none_or(|it| route.is_some_and(|route| route.operation == it))
                && self.user.as_ref().is_none_or(|id| route.is_some_and(|route| route.id == *id));
        if matches {
            self.seen = self.seen.saturating_add(1);
        }
        matches && self.seen.is_multiple_of(self.every.unwrap_or(1))
    }

    fn strikes_so_far(&self) -> u64 {
        self.seen / self.every.unwrap_or(1)
    }

    fn is_spent(&self) -> bool {
        let endless = self.every.map_or(1, |_| u64::MAX);
        self.strikes_so_far() >= self.times.unwrap_or(endless)
    }

    /// Whether it has not struck as often as it was asked to; at all, if it was asked to forever.
    fn is_pending(&self) -> bool {
        self.strikes_so_far() == 0 || self.times.is_some()
    }
}

/// The faults that may still strike, oldest first.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    pub(super) fn extend(&mut self, faults: impl IntoIterator<Item = Fault>) {
        self.0.extend(faults.into_iter().filter(|fault| !fault.is_spent()));
    }

    pub(super) fn pending(&self) -> impl Iterator<Item = &Fault> {
        self.0.iter().filter(|fault| fault.is_pending())
    }

    /// The fault that strikes a request on this route, if any.
    pub(super) fn next(&mut self, route: Option<&Route>) -> Option<Fault> {
        let index = self.0.iter_mut().position(|fault| fault.strikes(route))?;
        let struck = self.0.get(index).cloned();
        self.0.retain(|fault| !fault.is_spent());
        struck
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The statuses by which these faults replace the responses to these operations on a user.
    fn statuses(faults: &[Fault], operations: &[(Operation, &str)]) -> Vec<u16> {
        let mut queue = Faults::default();
        queue.extend(faults.iter().cloned());
        let struck = operations.iter().map(|(operation, id)| {
            let (operation, id) = (*operation, (*id).to_owned());
            queue.next(Some(&Route { operation, id, is_first: None }))
        });
        struck
            .map(|fault| match fault.map(|fault| fault.effect) {
                Some(Effect::Respond(response)) => response.status,
                _ => 0,
            })
            .collect()
    }

    #[test]
    fn fault_applies_to_the_next_matching_requests() {
        use Operation::{Create, Delete, Issue};

        let faults = [
            Fault::respond(500).on(Issue),
            Fault::respond(409).on(Delete).for_user("a"),
            Fault::respond(410).for_user("b"),
            Fault::respond(503).times(2),
            Fault::respond(504).times(0),
        ];
        let requests = [(Create, ""), (Issue, "a"), (Issue, "a"), (Delete, "b"), (Delete, "b")];
        assert_eq!(statuses(&faults, &requests), [503, 500, 503, 410, 0]);
        assert_eq!(statuses(&faults, &[(Delete, "a")]), [409]);
    }

    #[test]
    fn fault_with_a_period_mixes_with_others() {
        let faults = [Fault::respond(500).every(4), Fault::respond(503).every(4).times(1)];
        let seen = statuses(&faults, &[(Operation::Create, ""); 12]);
        assert_eq!(seen, [0, 0, 0, 500, 503, 0, 0, 500, 0, 0, 0, 500]);
    }

    #[test]
    fn fault_is_pending_until_it_has_struck_as_often_as_asked() {
        let mut faults = Faults::default();
        faults.extend([
            Fault::respond(500).times(2),
            Fault::respond(502).every(2),
            Fault::respond(504).times(0),
        ]);
        let mut pending = Vec::new();
        for _ in 0..4 {
            pending.push(faults.pending().count());
            faults.next(None);
        }
        assert_eq!(pending, [2, 2, 1, 1]);
        assert_eq!(faults.pending().count(), 0);
    }
}
