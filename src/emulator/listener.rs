//! Accepts connections, gives each a thread, and ends them promptly.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{io, mem, process};

use super::connection::{self, Accept};
use super::state::{State, lock};

/// The listening thread; dropping it ends all connections.
pub(super) struct Listener {
    pub(super) address: SocketAddr,
    pub(super) shared: Arc<Shared>,
    /// The process that has the threads: a fork inherits this value without them.
    process: u32,
    thread: Option<JoinHandle<()>>,
}

/// What the threads of connections share.
pub(super) struct Shared {
    pub(super) state: State,
    /// Makes TLS of a connection, if the emulator speaks https.
    pub(super) tls: Option<Box<Accept>>,
    pub(super) connections: Mutex<HashMap<u64, Arc<TcpStream>>>,
}

impl Shared {
    fn end_connections(&self) {
        for connection in lock(&self.connections).values() {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
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
        let (sender, accepted) = mpsc::channel();
        // It ends when the other one does, or is not started.
        let thread = thread::Builder::new().name("acs-emulator".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || start_threads(&shared, accepted)
        })?;
        thread::Builder::new().name("acs-accept".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || {
                listen(&listener, &shared, &sender);
                // Before the other thread ends, so that the port is free once it has.
                drop(listener);
                drop(sender);
            }
        })?;
        Ok(Self { address, shared, process: process::id(), thread: Some(thread) })
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
}

impl Drop for Listener {
    fn drop(&mut self) {
        if self.process != process::id() {
            // The connections are those of the parent, and there is no thread to join.
            return mem::forget(self.thread.take());
        }
        self.shared.state.stopping.store(true, Ordering::SeqCst);
        self.shared.end_connections();
        // Only a connection ends the wait for one. If none can be made, the threads are left to
        // themselves.
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

/// Accepts connections and leaves it to another thread to start theirs: a burst would overflow the
/// queue of the system meanwhile.
fn listen(listener: &TcpListener, shared: &Shared, accepted: &Sender<(u64, Arc<TcpStream>)>) {
    for (number, stream) in (0..).zip(listener.incoming()) {
        if shared.state.stopping.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream.map(Arc::new) else {
            // Out of file descriptors, most likely: do not spin until one is free.
            thread::sleep(Duration::from_millis(10));
            continue;
        };
        // Registered before it is served, so that stopping finds it.
        lock(&shared.connections).insert(number, Arc::clone(&stream));
        let _ = accepted.send((number, stream));
    }
}

/// Gives each connection a thread, as soon as the system has one. Returns when the last has ended.
fn start_threads(shared: &Shared, accepted: Receiver<(u64, Arc<TcpStream>)>) {
    thread::scope(|scope| {
        for (number, stream) in accepted {
            let serve = || {
                let stream = Arc::clone(&stream);
                move || {
                    // Also where its service panics, a connection is taken out of the register.
                    let _ = panic::catch_unwind(AssertUnwindSafe(|| {
                        let Shared { state, tls, .. } = shared;
                        connection::serve(&stream, tls.as_deref(), state, connection::MAX_WAIT)
                    }));
                    lock(&shared.connections).remove(&number);
                }
            };
            while thread::Builder::new().spawn_scoped(scope, serve()).is_err()
                && !shared.state.stopping.load(Ordering::SeqCst)
            {
                thread::sleep(Duration::from_millis(10));
            }
        }
        shared.end_connections();
    });
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::super::connection::tests::state;
    use super::*;

    /// Forking is not safe Rust, so another process is pretended.
    #[test]
    fn fork_that_drops_the_emulator_leaves_it_to_its_parent() {
        let mut listener = Listener::start((Ipv4Addr::LOCALHOST, 0).into(), state(), None).unwrap();
        let (address, shared) = (listener.address, Arc::clone(&listener.shared));
        let mut open = TcpStream::connect(address).unwrap();
        listener.process += 1;
        drop(listener);
        let mut later = TcpStream::connect(address).unwrap();
        for client in [&mut open, &mut later] {
            client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
            client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
            let mut text = String::new();
            client.read_to_string(&mut text).unwrap();
            assert!(text.starts_with("HTTP/1.1 401 "), "{text}");
        }
        shared.state.stopping.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(address);
    }
}
