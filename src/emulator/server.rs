//! Sockets around the service: a listener, a thread for each connection, and a prompt end.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, Scope};
use std::time::{Duration, SystemTime};

use super::connection;
use super::fault::{Effect, Faults};
use super::journal::{Journal, RecordedRequest};
use super::request::Request;
use super::response::Response;
use super::service::{Answer, Service};

/// What all connections share. No lock is held while bytes move, or while the observer runs.
pub(super) struct Shared {
    pub(super) service: Mutex<Service>,
    pub(super) faults: Mutex<Faults>,
    pub(super) journal: Mutex<Journal>,
    pub(super) clock: Clock,
    pub(super) observer: Option<Box<Observer>>,
    /// What the observer's first panic carried.
    observer_panic: Mutex<Option<Box<dyn Any + Send>>>,
    connections: Mutex<HashMap<u64, Arc<TcpStream>>>,
    stopping: AtomicBool,
}

pub(super) type Observer = dyn Fn(&RecordedRequest) + Send + Sync;

/// The system's clock, moved.
#[derive(Debug, Default)]
pub(super) struct Clock {
    ahead_by_millis: AtomicI64,
}

/// How an answer reaches the client.
pub(super) enum Delivery {
    Whole(Response),
    Delayed(Response, Duration),
    Dripped(Response, Duration),
    Truncated(Response),
    /// After half of the answer, if there is one.
    Stalled(Option<Response>),
    Dropped,
}

/// The listening thread; dropping it ends all connections.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Clock {
    pub(super) fn now(&self) -> SystemTime {
        let now = SystemTime::now();
        let millis = self.ahead_by_millis.load(Ordering::Relaxed);
        let distance = Duration::from_millis(millis.unsigned_abs());
        let moved = if millis < 0 { now.checked_sub(distance) } else { now.checked_add(distance) };
        moved.unwrap_or(now)
    }

    pub(super) fn advance(&self, by: Duration) {
        let by = millis(by);
        // The closure never refuses, so there is always a result.
        let _ = self.ahead_by_millis.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |ahead| {
            Some(ahead.saturating_add(by))
        });
    }

    pub(super) fn set_back(&self, by: Duration) {
        self.ahead_by_millis.store(-millis(by), Ordering::Relaxed);
    }
}

impl Shared {
    pub(super) fn new(service: Service, clock: Clock, observer: Option<Box<Observer>>) -> Self {
        Self {
            service: Mutex::new(service),
            faults: Mutex::default(),
            journal: Mutex::default(),
            clock,
            observer,
            observer_panic: Mutex::default(),
            connections: Mutex::default(),
            stopping: AtomicBool::new(false),
        }
    }

    /// Decides what happens to a request, and writes it down.
    pub(super) fn handle(&self, request: Request) -> Delivery {
        let now = self.clock.now();
        let fault = lock(&self.faults).next(request.operation());
        let processed = fault.as_ref().is_none_or(|fault| fault.after_processing);
        let answer = processed.then(|| lock(&self.service).answer(&request, now));
        let effect = fault.map(|fault| fault.effect);
        let struck = effect.is_some();

        let prescribed = match &effect {
            Some(Effect::Respond(prescription)) => Some(self.dressed(
                Response::prescribed(
                    prescription.status,
                    &prescription.headers,
                    &prescription.body,
                ),
                &request,
                now,
            )),
            _ => None,
        };
        let (response, refusal) = match (prescribed, answer) {
            (Some(response), _) => (Some(response), None),
            (None, Some(Answer { response, refusal })) => (Some(response), refusal),
            (None, None) => (None, None),
        };
        let delivery = match (effect, response) {
            (None | Some(Effect::Respond(_)), Some(response)) => Delivery::Whole(response),
            (Some(Effect::Delay(time)), Some(response)) => Delivery::Delayed(response, time),
            (Some(Effect::Drip(interval)), Some(response)) => Delivery::Dripped(response, interval),
            (Some(Effect::Truncate), Some(response)) => Delivery::Truncated(response),
            (Some(Effect::StallBody), response) => Delivery::Stalled(response),
            (Some(Effect::Stall), _) => Delivery::Stalled(None),
            (_, _) => Delivery::Dropped,
        };
        self.record(RecordedRequest::new(request, delivery.status(), refusal).struck(struck));
        delivery
    }

    /// Answers what the service cannot be asked.
    pub(super) fn refuse(
        &self,
        status: u16,
        reason: &str,
        request: Option<Box<Request>>,
    ) -> Response {
        let request = request.map_or_else(Request::unreadable, |request| *request);
        let response = self.dressed(Response::empty(status), &request, self.clock.now());
        self.record(RecordedRequest::new(request, Some(status), Some(reason.to_owned())));
        response
    }

    pub(super) fn open_connections(&self) -> usize {
        lock(&self.connections).len()
    }

    /// Whether the emulator is ending.
    pub(super) fn stops(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    fn dressed(&self, response: Response, request: &Request, now: SystemTime) -> Response {
        lock(&self.service).dressed(response, None, request, now)
    }

    fn record(&self, record: RecordedRequest) {
        let Some(observer) = &self.observer else { return lock(&self.journal).push(record) };
        lock(&self.journal).push(record.clone());
        // A panic is kept for whoever drops the emulator: here, nobody's test would fail.
        if let Err(panic) = panic::catch_unwind(AssertUnwindSafe(|| observer(&record))) {
            lock(&self.observer_panic).get_or_insert(panic);
        }
    }
}

impl Delivery {
    fn status(&self) -> Option<u16> {
        match self {
            Self::Whole(response)
            | Self::Delayed(response, _)
            | Self::Dripped(response, _)
            | Self::Truncated(response)
            | Self::Stalled(Some(response)) => Some(response.status),
            Self::Stalled(None) | Self::Dropped => None,
        }
    }
}

impl Server {
    pub(super) fn start(address: SocketAddr, shared: Shared) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(shared);
        let thread = thread::Builder::new().name("acs-emulator".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            // The scope ends when the last connection has ended.
            move || thread::scope(|scope| listen(&listener, &shared, scope))
        })?;
        Ok(Self { address, shared, thread: Some(thread) })
    }

    /// Where clients on this machine reach the listener.
    pub(super) fn reachable_address(&self) -> SocketAddr {
        let ip = match self.address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        SocketAddr::new(ip, self.address.port())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Only a connection ends the wait for one. Where none can be made, the thread is left to
        // itself.
        let woken = TcpStream::connect_timeout(&self.reachable_address(), Duration::from_secs(1));
        if let (Ok(_), Some(thread)) = (woken, self.thread.take()) {
            let _ = thread.join();
        }
        let panic = lock(&self.shared.observer_panic).take();
        if let Some(panic) = panic.filter(|_| !thread::panicking()) {
            panic::resume_unwind(panic);
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

fn listen<'scope>(
    listener: &TcpListener,
    shared: &'scope Arc<Shared>,
    scope: &'scope Scope<'scope, '_>,
) {
    for (number, stream) in (0_u64..).zip(listener.incoming()) {
        if shared.stops() {
            break;
        }
        let Ok(stream) = stream.map(Arc::new) else {
            // Out of file descriptors, most likely: do not spin until one is free.
            thread::sleep(Duration::from_millis(10));
            continue;
        };
        // Registered before it is served, so that stopping finds it.
        lock(&shared.connections).insert(number, Arc::clone(&stream));
        let guard = Registration { shared, number };
        let _ = thread::Builder::new().spawn_scoped(scope, move || {
            let _guard = guard;
            let _ = connection::serve(&stream, shared, connection::MAX_WAIT);
        });
    }
    for connection in lock(&shared.connections).values() {
        let _ = connection.shutdown(Shutdown::Both);
    }
}

/// Takes a connection out of the register, also when its thread panics or never begins.
struct Registration<'a> {
    shared: &'a Shared,
    number: u64,
}

impl Drop for Registration<'_> {
    fn drop(&mut self) {
        lock(&self.shared.connections).remove(&self.number);
    }
}

/// A lock that a panic elsewhere does not take away: each holder leaves whole values behind.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
