//! Accepts connections, gives each a thread, and ends them promptly.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle, Scope};
use std::time::Duration;

use super::connection::{self, Accept};
use super::state::{State, lock};

/// The listening thread; dropping it ends all connections.
pub(super) struct Listener {
    pub(super) address: SocketAddr,
    pub(super) shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What the threads of connections share.
pub(super) struct Shared {
    pub(super) state: State,
    /// Makes TLS of a connection, if the emulator speaks https.
    pub(super) tls: Option<Box<Accept>>,
    connections: Mutex<HashMap<u64, Arc<TcpStream>>>,
}

impl Listener {
    pub(super) fn start(
        address: SocketAddr,
        state: State,
        tls: Option<Box<Accept>>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared { state, tls, connections: Mutex::default() });
        let thread = thread::Builder::new().name("acs-emulator".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || listen(&listener, &shared)
        })?;
        Ok(Self { address, shared, thread: Some(thread) })
    }

    /// Where clients on this machine reach the listener.
    pub(super) fn reachable_address(&self) -> SocketAddr {
        let ip = match self.address.ip() {
            ip if !ip.is_unspecified() => ip,
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        };
        SocketAddr::new(ip, self.address.port())
    }

    pub(super) fn open_connections(&self) -> usize {
        lock(&self.shared.connections).len()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.shared.state.stopping.store(true, Ordering::SeqCst);
        // Only a connection ends the wait for one. If none can be made, the thread is left to
        // itself.
        let woken = TcpStream::connect_timeout(&self.reachable_address(), Duration::from_secs(1));
        if let (Ok(_), Some(thread)) = (woken, self.thread.take()) {
            let _ = thread.join();
        }
        let panic = lock(&self.shared.state.observer_panic).take();
        if let Some(panic) = panic.filter(|_| !thread::panicking()) {
            panic::resume_unwind(panic);
        }
    }
}

/// The threads of connections. The one that waits for a connection starts its successor before it
/// serves, so that the accepting thread starts none: a burst would overflow the queue of the system
/// meanwhile, and those left out try again after a second.
struct Threads<'a> {
    shared: &'a Shared,
    accepted: Mutex<Receiver<(u64, Arc<TcpStream>)>>,
    /// The system gave no thread when it was asked last: nobody waits.
    is_short: AtomicBool,
}

fn listen(listener: &TcpListener, shared: &Shared) {
    let (sender, accepted) = mpsc::channel();
    let threads =
        Threads { shared, accepted: Mutex::new(accepted), is_short: AtomicBool::new(false) };
    // The scope ends when the last connection has ended.
    thread::scope(|scope| {
        threads.start_one(scope);
        for (number, stream) in (0..).zip(listener.incoming()) {
            if shared.state.stopping.load(Ordering::SeqCst) {
                break;
            }
            let Ok(stream) = stream.map(Arc::new) else {
                // Out of file descriptors, most likely: do not spin until one is free.
                thread::sleep(Duration::from_millis(10));
                continue;
            };
            // Registered before it is served, so that stopping finds it.
            lock(&shared.connections).insert(number, Arc::clone(&stream));
            let _ = sender.send((number, stream));
            if threads.is_short.swap(false, Ordering::SeqCst) {
                threads.start_one(scope);
            }
        }
        drop(sender);
        for connection in lock(&shared.connections).values() {
            let _ = connection.shutdown(Shutdown::Both);
        }
    });
}

impl Threads<'_> {
    fn start_one<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) {
        if thread::Builder::new().spawn_scoped(scope, || self.serve(scope)).is_err() {
            self.is_short.store(true, Ordering::SeqCst);
        }
    }

    fn serve<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) {
        loop {
            let Ok((number, stream)) = lock(&self.accepted).recv() else { return };
            self.start_one(scope);
            // Also where its service panics, a connection is taken out of the register.
            let _ = panic::catch_unwind(AssertUnwindSafe(|| {
                let Shared { state, tls, .. } = self.shared;
                connection::serve(&stream, tls.as_deref(), state, connection::MAX_WAIT)
            }));
            lock(&self.shared.connections).remove(&number);
            // In place of the one that could not be started.
            if !self.is_short.swap(false, Ordering::SeqCst) {
                return;
            }
        }
    }
}
