//! A server that does what a test tells it, byte by byte.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use acs_identity::{
    AccessKey, CommunicationIdentityClient, CommunicationIdentityClientBuilder, Endpoint,
    RetryPolicy,
};

/// Base64, so that it is a valid key, and easy to find where it must not be.
pub const CANARY_KEY: &str =
    "CANARYKEYCANARYKEYCANARYKEYCANARYKEYCANARYKEYCANARYKEYCANARYKEYCANARYKEYCANARYKEYA==";

/// Accepts connections until dropped, and lets a script deal with each.
pub struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    stopped: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

impl Server {
    /// Calls the script with each connection, after its first request was read and kept.
    pub fn start(script: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let stopped = Arc::new(AtomicBool::new(false));
        let (log, stop) = (Arc::clone(&requests), Arc::clone(&stopped));
        let acceptor = thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let mut stream = stream.unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                if let Some(request) = read_request(&mut stream) {
                    log.lock().unwrap().push(request);
                }
                script(&mut stream);
                let _ = stream.shutdown(Shutdown::Both);
            }
        });
        Self { address, requests, stopped, acceptor: Some(acceptor) }
    }

    /// Answers every request with these bytes, then closes.
    pub fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::start(move |stream| {
            let _ = stream.write_all(&answer);
        })
    }

    pub fn endpoint(&self) -> Endpoint {
        format!("http://{}", self.address).parse().unwrap()
    }

    /// The requests that arrived: heads and bodies, as text.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    pub fn client(&self) -> CommunicationIdentityClient {
        self.client_builder().build().unwrap()
    }

    /// Without retries.
    pub fn client_builder(&self) -> CommunicationIdentityClientBuilder {
        client_builder(&self.endpoint().to_string())
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

/// For a client without retries.
pub fn client_builder(endpoint: &str) -> CommunicationIdentityClientBuilder {
    let key: AccessKey = CANARY_KEY.parse().unwrap();
    CommunicationIdentityClient::builder(endpoint.parse().unwrap(), key)
        .retry_policy(RetryPolicy::none())
}

/// An answer with a body and its length.
pub fn answer(status: &str, content_type: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

pub fn read_request(stream: &mut impl Read) -> Option<String> {
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
