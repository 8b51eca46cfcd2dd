//! What all connections share: the service with its faults, journal and clock.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use ureq::http::Method;

use super::clock::Clock;
use super::fault::{CannedResponse, Effect, Fault, Faults};
use super::journal::{Journal, RecordedRequest};
use super::json;
use super::request::{Operation, Request};
use super::response::Response;
use super::service::Service;

/// No lock is held while bytes move, or while the observer runs.
pub(super) struct State {
    pub(super) service: Mutex<Service>,
    pub(super) faults: Mutex<Faults>,
    pub(super) journal: Mutex<Journal>,
    clock: Mutex<Clock>,
    start: StartSettings,
    /// Whether the emulator is stopping.
    pub(super) stopping: AtomicBool,
    observer: Option<Box<Observer>>,
    /// The payload of the observer's first panic.
    pub(super) observer_panic: Mutex<Option<Box<dyn Any + Send>>>,
}

/// What [`State::reset`] restores.
pub(super) struct StartSettings {
    pub(super) clock: Clock,
    pub(super) faults: Vec<Fault>,
}

pub(super) type Observer = dyn Fn(&RecordedRequest) + Send + Sync;

impl State {
    pub(super) fn new(
        service: Service,
        start: StartSettings,
        observer: Option<Box<Observer>>,
    ) -> Self {
        Self {
            service: Mutex::new(service),
            faults: Mutex::new(Faults::new(&start.faults)),
            journal: Mutex::default(),
            clock: Mutex::new(start.clock),
            start,
            stopping: AtomicBool::new(false),
            observer,
            observer_panic: Mutex::default(),
        }
    }

    pub(super) fn now(&self) -> SystemTime {
        lock(&self.clock).now()
    }

    pub(super) fn advance_clock(&self, by: Duration) {
        lock(&self.clock).advance(by);
    }

    /// Decides how to respond to a request and what goes wrong on the way, and records both.
    /// Without a response, nothing is sent.
    pub(super) fn handle(&self, request: Request) -> (Option<Response>, Option<Effect>) {
        let now = self.now();
        if let Some(response) = self.control(&request, now) {
            // Not in the journal, which holds what the program under test did.
            self.observe(&RecordedRequest::new(request, now, Some(response.status), None));
            return (Some(response), None);
        }
        let fault = lock(&self.faults).next(request.route().ok().as_ref());
        let processed = fault.as_ref().is_none_or(|fault| fault.after_processing);
        let outcome = processed.then(|| lock(&self.service).respond(&request, now));
        let effect = fault.map(|fault| fault.effect);
        let (response, refusal) = match (&effect, outcome) {
            (Some(Effect::Respond(CannedResponse { status, headers, body })), _) => {
                let response = Response::prescribed(*status, headers, body);
                (Some(self.dressed(response, &request, now)), None)
            }
            (Some(Effect::Drop | Effect::Stall), outcome) => {
                (None, outcome.and_then(|(_, refusal)| refusal))
            }
            (_, Some((response, refusal))) => (Some(response), refusal),
            (_, None) => (None, None),
        };
        let status = response.as_ref().map(|response| response.status);
        self.record(RecordedRequest::new(request, now, status, refusal).struck(effect.is_some()));
        (response, effect)
    }

    /// Responds to what the service cannot be asked.
    pub(super) fn refuse(
        &self,
        status: u16,
        reason: &str,
        request: Option<Box<Request>>,
    ) -> Response {
        let now = self.now();
        let request = request.map_or_else(Request::unreadable, |request| *request);
        let text = ("Content-Type".to_owned(), "text/plain".to_owned());
        let response = Response::prescribed(status, &[text], reason.as_bytes());
        let response = self.dressed(response, &request, now);
        self.record(RecordedRequest::new(request, now, Some(status), Some(reason.to_owned())));
        response
    }

    /// Records a connection that failed before a request could be read.
    pub(super) fn record_failure(&self, reason: String) {
        let (request, now) = (Request::unreadable(), self.now());
        self.record(RecordedRequest::new(request, now, None, Some(reason)));
    }

    /// Forgets everything that happened, and restores what `start` set. The tokens that the emulator was
    /// told to accept stay.
    pub(super) fn reset(&self) {
        lock(&self.service).reset();
        *lock(&self.faults) = Faults::new(&self.start.faults);
        *lock(&self.journal) = Journal::default();
        *lock(&self.clock) = self.start.clock;
    }

    /// Requests to the emulator itself, for those who test in another language.
    fn control(&self, request: &Request, now: SystemTime) -> Option<Response> {
        let response = match (&request.method, request.path()) {
            (&Method::POST, "/emulator/reset") => {
                self.reset();
                Response::no_content()
            }
            (&Method::GET, "/emulator/state") => Response::json(200, self.state_json(now)),
            _ => return None,
        };
        Some(self.dressed(response, request, now))
    }

    fn state_json(&self, now: SystemTime) -> String {
        let users = lock(&self.service).users_json(now);
        let journal = lock(&self.journal);
        let count = |operation: Operation| (operation.name(), journal.count(operation).to_string());
        let requests = json::object(Operation::ALL.map(count));
        json::object([("requests", requests), ("users", users)])
    }

    fn dressed(&self, response: Response, request: &Request, now: SystemTime) -> Response {
        lock(&self.service).dressed(response, None, request, now)
    }

    fn record(&self, record: RecordedRequest) {
        if self.observer.is_none() {
            return lock(&self.journal).push(record);
        }
        lock(&self.journal).push(record.clone());
        self.observe(&record);
    }

    fn observe(&self, record: &RecordedRequest) {
        let Some(observer) = &self.observer else { return };
        // Kept for whoever drops the emulator: a panic on this thread would fail nobody's test.
        if let Err(panic) = panic::catch_unwind(AssertUnwindSafe(|| observer(record))) {
            lock(&self.observer_panic).get_or_insert(panic);
        }
    }
}

/// Locks a mutex that a panic elsewhere may have poisoned: each holder leaves whole values behind.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
