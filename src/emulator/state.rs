//! What all connections share: the service with its faults, journal and clock.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::clock::Clock;
use super::control;
use super::fault::{Effect, Faults};
use super::journal::{Journal, RecordedRequest};
use super::request::Request;
use super::response::{Refusal, Response};
use super::service::{Service, Settings};

pub(super) struct State {
    live: Mutex<Live>,
    /// Whether the emulator is stopping.
    pub(super) stopping: AtomicBool,
    observer: Option<Box<Observer>>,
    /// The payload of the observer's first panic.
    pub(super) observer_panic: Mutex<Option<Box<dyn Any + Send>>>,
}

/// What requests change. It is not locked while bytes move, or while the observer runs.
pub(super) struct Live {
    pub(super) service: Service,
    pub(super) faults: Faults,
    pub(super) journal: Journal,
    clock: Clock,
}

pub(super) type Observer = dyn Fn(&RecordedRequest) + Send + Sync;

impl State {
    pub(super) fn new(service: Service, observer: Option<Box<Observer>>) -> Self {
        let (faults, journal, clock) = Default::default();
        let mut live = Live { service, faults, journal, clock };
        live.reset();
        Self {
            live: Mutex::new(live),
            stopping: AtomicBool::new(false),
            observer,
            observer_panic: Mutex::default(),
        }
    }

    pub(super) fn live(&self) -> MutexGuard<'_, Live> {
        lock(&self.live)
    }

    /// Decides how to respond to a request and what goes wrong on the way, and records both.
    /// Without a response, nothing is sent.
    pub(super) fn handle(&self, request: Request) -> (Option<Response>, Option<Effect>) {
        let mut live = self.live();
        let now = live.now();
        if let Some(outcome) = control::respond(&mut live, &request).transpose() {
            let (response, refusal) = live.service.finish(outcome, None, &request, now);
            drop(live);
            // Not in the journal, which holds what the program under test did.
            self.observe(&RecordedRequest::new(request, now, Some(response.status), refusal));
            return (Some(response), None);
        }
        let fault = live.faults.next(request.route().ok().as_ref());
        let mut outcome = None;
        if fault.as_ref().is_none_or(|fault| fault.after_processing) {
            outcome = Some(live.service.respond(&request, now));
        }
        let effect = fault.map(|fault| fault.effect);
        if let Some(Effect::Respond(canned)) = &effect {
            outcome = Some(live.service.finish(Ok(canned.clone()), None, &request, now));
        }
        let (response, refusal) = outcome.unzip();
        let response = response.filter(|_| !matches!(effect, Some(Effect::Drop | Effect::Stall)));
        let status = response.as_ref().map(|response| response.status);
        let mut record = RecordedRequest::new(request, now, status, refusal.flatten());
        record.struck_by_fault = effect.is_some();
        self.record(live, &record);
        (response, effect)
    }

    /// Responds to what the service cannot be asked.
    pub(super) fn refuse(&self, refusal: Refusal, request: Request) -> Response {
        let mut live = self.live();
        let now = live.now();
        let (response, refusal) = live.service.finish(Err(refusal), None, &request, now);
        self.record(live, &RecordedRequest::new(request, now, Some(response.status), refusal));
        response
    }

    /// Records a connection that failed before a request could be read.
    pub(super) fn record_failure(&self, reason: String) {
        let live = self.live();
        let (request, now) = (Request::default(), live.now());
        self.record(live, &RecordedRequest::new(request, now, None, Some(reason)));
    }

    fn record(&self, mut live: MutexGuard<'_, Live>, record: &RecordedRequest) {
        live.journal.push(record.clone());
        drop(live);
        self.observe(record);
    }

    fn observe(&self, record: &RecordedRequest) {
        let Some(observer) = &self.observer else { return };
        // Kept for the thread that drops the emulator: a panic on this one would not fail the test.
        if let Err(panic) = panic::catch_unwind(AssertUnwindSafe(|| observer(record))) {
            lock(&self.observer_panic).get_or_insert(panic);
        }
    }
}

impl Live {
    pub(super) fn now(&self) -> SystemTime {
        self.clock.now()
    }

    pub(super) fn advance_clock(&mut self, by: Duration) {
        self.clock.advance(by);
    }

    /// Forgets everything that happened, and restores what `start` set. The tokens that the emulator was
    /// told to accept stay.
    pub(super) fn reset(&mut self) {
        let Settings { clock, faults, .. } = &self.service.settings;
        self.clock = *clock;
        self.faults = Faults::default();
        self.faults.extend(faults.iter().cloned());
        self.journal = Journal::default();
        self.service.reset(self.clock.now());
    }
}

/// Locks a mutex that a panic elsewhere may have poisoned: each holder leaves complete values behind.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
