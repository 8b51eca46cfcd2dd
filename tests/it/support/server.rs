//! A server that does what a test tells it, byte by byte.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use acs_identity::Endpoint;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::PATIENCE;

/// The id in every response of [`respond_well`].
pub const ID: &str = "8:acs:resource_created";

/// The service's form of an error.
pub const ENVELOPE: &str = r#"{"error":{"code":"SomeCode","message":"Some message."}}"#;
pub const NOT_OWNED: &str = r#"{"error":{"code":"IdentityNotOwned","message":"Provided identity doesn't belong to the resource."}}"#;

/// Accepts connections until dropped, and lets a script deal with each, on a thread of its own.
pub struct Server {
    address: SocketAddr,
    tls: bool,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
    stopped: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

/// One connection, as a script sees it.
pub struct Connection {
    /// How many came before.
    pub number: usize,
    pub wire: Wire,
    /// Whether it is closed without the end that comes first otherwise.
    resets: bool,
    /// How many connections the server has accepted.
    accepted: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
}

pub enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Connection {
    /// Reads the next request and keeps it; `None` if the client has left.
    pub fn request(&mut self) -> Option<String> {
        let request = read_request(&mut self.wire)?;
        self.requests.lock().unwrap().push(request.clone());
        Some(request)
    }

    /// Waits for the whole request, keeps it, and leaves it unread: closing then resets the
    /// connection.
    pub fn leave_unread(&mut self) -> Option<String> {
        self.resets = true;
        let mut bytes = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = self.tcp().peek(&mut bytes) {
            if let Some(request) = read_request(&mut bytes.get(..count).unwrap()) {
                self.requests.lock().unwrap().push(request.clone());
                return Some(request);
            }
            thread::yield_now();
        }
        None
    }

    /// Waits for the first byte and leaves it unread: closing then resets the connection.
    pub fn reset_unread(&mut self) {
        self.resets = true;
        let _ = self.tcp().peek(&mut [0]);
    }

    /// Waits until so many connections were accepted.
    pub fn hold_until_open(&self, count: usize) {
        super::until(|| self.accepted.load(Ordering::SeqCst) >= count);
    }

    /// Whether the client is still there.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.wire.write_all(bytes.as_ref()).and_then(|()| self.wire.flush()).is_ok()
    }

    /// Sends this once and that for ever, one every few hundredths of a second, until the client leaves.
    #[allow(dead_code, reason = "what takes time is tested in another program")]
    pub fn drip(&mut self, beginning: &str, drop: &str) {
        let started = Instant::now();
        let mut there = self.send(beginning);
        while there && started.elapsed() < PATIENCE {
            // The pace of the drip, not a wait for anything.
            thread::sleep(Duration::from_millis(20));
            there = self.send(drop);
        }
    }

    /// Says nothing until the client leaves.
    pub fn stall(&mut self) {
        let _ = io::copy(self.tcp(), &mut io::sink());
    }

    /// The bare connection, below TLS if there is any.
    pub fn tcp(&mut self) -> &mut TcpStream {
        match &mut self.wire {
            Wire::Plain(stream) => stream,
            Wire::Tls(tls) => &mut tls.sock,
        }
    }

    /// The TLS session, of a server that was started with one.
    pub fn tls(&mut self) -> &mut ServerConnection {
        match &mut self.wire {
            Wire::Plain(_) => panic!("a connection without TLS"),
            Wire::Tls(tls) => &mut tls.conn,
        }
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

impl Server {
    /// Calls the script with each connection, and closes it when the script is over.
    pub fn scripted(script: impl Fn(&mut Connection) + Send + Sync + 'static) -> Self {
        Self::serve(None, script)
    }

    /// The same with TLS; the handshake is made when the script first reads or writes.
    pub fn with_tls(
        config: Arc<ServerConfig>,
        script: impl Fn(&mut Connection) + Send + Sync + 'static,
    ) -> Self {
        Self::serve(Some(config), script)
    }

    fn serve(
        config: Option<Arc<ServerConfig>>,
        script: impl Fn(&mut Connection) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let tls = config.is_some();
        let connections = Arc::new(AtomicUsize::new(0));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let stopped = Arc::new(AtomicBool::new(false));
        let (count, log, stop) =
            (Arc::clone(&connections), Arc::clone(&requests), Arc::clone(&stopped));
        let script = Arc::new(script);
        let acceptor = thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let stream = stream.unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                stream.set_write_timeout(Some(PATIENCE)).unwrap();
                stream.set_nodelay(true).unwrap();
                let wire = match &config {
                    None => Wire::Plain(stream),
                    Some(config) => {
                        let tls = ServerConnection::new(Arc::clone(config)).unwrap();
                        Wire::Tls(Box::new(StreamOwned::new(tls, stream)))
                    }
                };
                let number = count.fetch_add(1, Ordering::SeqCst);
                let (accepted, requests) = (Arc::clone(&count), Arc::clone(&log));
                let mut connection = Connection { number, wire, resets: false, accepted, requests };
                let script = Arc::clone(&script);
                thread::spawn(move || {
                    script(&mut connection);
                    if !connection.resets {
                        let _ = connection.tcp().shutdown(Shutdown::Both);
                    }
                });
            }
        });
        Self { address, tls, connections, requests, stopped, acceptor: Some(acceptor) }
    }

    /// Calls the script with each connection, after its first request was read and kept.
    pub fn start(script: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> Self {
        Self::scripted(move |connection| {
            connection.request();
            script(connection.tcp());
        })
    }

    /// Answers every request with these bytes, then closes.
    pub fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::start(move |stream| {
            let _ = stream.write_all(&answer);
        })
    }

    pub fn endpoint(&self) -> Endpoint {
        let (scheme, host) = if self.tls { ("https", "localhost") } else { ("http", "127.0.0.1") };
        format!("{scheme}://{host}:{}", self.address.port()).parse().unwrap()
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// How the client finds it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The requests that arrived: heads and bodies, as text.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

/// A response with a body and its length, and headers of the test's.
pub fn response(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// The same with a type of content, and no other header.
pub fn answer(status: &str, content_type: &str, body: &str) -> String {
    response(status, &format!("Content-Type: {content_type}\r\n"), body)
}

/// The same response, which says that its connection ends.
pub fn closing(response: &str) -> String {
    response.replacen("\r\n", "\r\nConnection: close\r\n", 1)
}

/// What the service would say, with more headers.
pub fn success(request: &str, headers: &str) -> String {
    const TOKEN: &str = r#"{"token":"t","expiresOn":"2099-01-01T00:00:00+00:00"}"#;
    let (line, _) = request.split_once("\r\n").unwrap();
    if line.starts_with("DELETE") || line.contains(":revokeAccessTokens") {
        format!("HTTP/1.1 204 No Content\r\n{headers}\r\n")
    } else if line.contains(":issueAccessToken") || line.contains(":exchangeAccessToken") {
        response("200 OK", headers, TOKEN)
    } else {
        let body = format!(r#"{{"identity":{{"id":"{ID}"}},"accessToken":{TOKEN}}}"#);
        response("201 Created", headers, &body)
    }
}

/// Responds as the service would, then closes.
pub fn respond_well(connection: &mut Connection) {
    if let Some(request) = connection.request() {
        connection.send(success(&request, "Connection: close\r\n"));
    }
}

/// Responds to the first connection with this and to all others with that, closing each.
pub fn first_then(first: &str, then: &str) -> Server {
    let (first, then) = (closing(first), closing(then));
    Server::scripted(move |connection| {
        if connection.request().is_some() {
            let response = if connection.number == 0 { &first } else { &then };
            connection.send(response);
        }
    })
}

/// Responds to the first request with this, and well to all others.
pub fn first_then_well(first: &str) -> Server {
    let first = closing(first);
    Server::scripted(move |connection| {
        if connection.number > 0 {
            return respond_well(connection);
        }
        if connection.request().is_some() {
            connection.send(&first);
        }
    })
}

fn read_request(stream: &mut impl Read) -> Option<String> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        bytes.push(byte[0]);
    }
    let head = String::from_utf8(bytes).unwrap();
    let length = head
        .lines()
        .find_map(|line| {
            line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned)
        })
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(head + &String::from_utf8(body).unwrap())
}
