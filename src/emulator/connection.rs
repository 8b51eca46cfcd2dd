//! One connection: requests in, responses out, and the faults that happen on the wire.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use ureq::http::{self, Method, Version, header};
use ureq_proto::server::{RecvRequestResult, Reply, state};

use super::fault::Effect;
use super::request::{Request, closes, has_unread_body, misframed};
use super::response::{Encoded, Response};
use super::state::State;

// Ours: all three; the real limits are not public, and no client comes near them.
const MAX_HEAD: usize = 32 * 1024;
const MAX_BODY: usize = 1024 * 1024;
const MAX_WRITE_TIME: Duration = Duration::from_secs(30);

const TOO_LARGE: &str = "the body is larger than 1 MiB";
const HEAD_TOO_LARGE: &str = "the head is larger than 32 KiB";
const TLS_UNEXPECTED: &str =
    "this is TLS; the emulator speaks http, not https, unless started with --tls";
const TLS_EXPECTED: &str = "this is plain http; the emulator speaks https here";

/// How long a connection stays open without a whole request, be it idle or half sent.
// Ours: twice what clients' pools keep a connection for.
pub(super) const MAX_WAIT: Duration = Duration::from_secs(120);

/// How soon a wait that reading cannot end notices that the emulator stops.
const STOP_INTERVAL: Duration = Duration::from_millis(20);

/// How much is read at once.
const PART: usize = 8192;

/// The first byte of a TLS connection.
const TLS_HANDSHAKE: u8 = 22;

/// How long a refused client may go on sending before the connection is cut under it.
const MAX_LINGER: Duration = Duration::from_secs(1);

/// What requests are read from and responses written to.
pub(super) trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

/// Makes TLS of a connection.
pub(super) type Accept = dyn Fn(TcpStream) -> io::Result<Box<dyn Stream>> + Send + Sync;

/// Serves a connection until either side closes it, or no whole request comes within `max_wait`.
///
/// The error says why it ended, which interests nobody: a client may leave at any time.
pub(super) fn serve(
    socket: &TcpStream,
    tls: Option<&Accept>,
    state: &State,
    max_wait: Duration,
) -> io::Result<()> {
    socket.set_nodelay(true)?;
    socket.set_write_timeout(Some(MAX_WRITE_TIME))?;
    socket.set_read_timeout(Some(max_wait))?;
    let mut plain = socket;
    let mut first = [0];
    let mut secured = match tls {
        // Who speaks plain http is told so in plain http.
        Some(accept) if socket.peek(&mut first)? == 1 && first == [TLS_HANDSHAKE] => {
            Some(accept(socket.try_clone()?)?)
        }
        _ => None,
    };
    let mut connection = Connection {
        socket,
        is_tls_missing: tls.is_some() && secured.is_none(),
        is_silent_tls: secured.is_some(),
        stream: secured.as_mut().map_or(&mut plain, |stream| &mut **stream),
        state,
        buffer: Vec::new(),
        wait_until: Instant::now(),
    };
    loop {
        connection.wait_until = Instant::now() + max_wait;
        match connection.exchange() {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) => {
                if connection.is_silent_tls && !state.stopping.load(Ordering::SeqCst) {
                    state.record_failure(tls_failure(&error));
                }
                return Err(error);
            }
        }
    }
}

struct Connection<'a> {
    /// For time limits; all bytes go through the stream.
    socket: &'a TcpStream,
    stream: &'a mut dyn Stream,
    is_tls_missing: bool,
    /// It is TLS, and no byte of a request has come through it yet.
    is_silent_tls: bool,
    state: &'a State,
    /// What arrived and is not consumed yet: a part of a request, or requests sent ahead.
    buffer: Vec<u8>,
    /// When the next request has to be here.
    wait_until: Instant,
}

/// The head of a request, and the state that reads its body.
struct Head {
    request: http::Request<()>,
    target: String,
    body: RecvRequestResult,
}

/// Why a request cannot be handed to the service.
enum Failure {
    /// The client left, or the emulator stops.
    Gone(io::Error),
    /// It is not HTTP as this server takes it: the status, the reason, and what could be read of
    /// the request.
    Refused(u16, &'static str, Option<Box<Request>>),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Gone(error)
    }
}

impl Connection<'_> {
    /// Responds to one request; whether the connection stays open for another.
    fn exchange(&mut self) -> io::Result<bool> {
        let state = self.state;
        let received = self.receive_head().and_then(|head| {
            let version = head.request.version();
            let close = closes(version, head.request.headers());
            Ok((self.receive_body(head)?, version == Version::HTTP_10, close))
        });
        let (request, http_10, close) = match received {
            Ok(received) => received,
            Err(Failure::Gone(error)) => return Err(error),
            Err(Failure::Refused(status, reason, request)) => {
                let response = state.refuse(status, reason, request);
                self.send(&response.encode(false, false, true).bytes)?;
                self.linger()?;
                return Ok(false);
            }
        };
        let bodiless = request.method == Method::HEAD;
        let is_unread = has_unread_body(&request.method, &request.headers);
        let (response, effect) = state.handle(request);
        let close = close || is_unread || response.as_ref().is_some_and(Response::closes);
        let encoded = response.map(|response: Response| response.encode(http_10, bodiless, close));
        match (encoded, effect) {
            (Some(encoded), Some(Effect::Delay(time))) => {
                self.pause(Some(time))?;
                self.send(&encoded.bytes)?;
            }
            (Some(encoded), Some(Effect::Drip(interval))) => self.drip(&encoded, interval)?,
            (Some(encoded), Some(Effect::Truncate)) => {
                self.send(encoded.first_half())?;
                return Ok(false);
            }
            (Some(encoded), Some(Effect::StallBody)) => {
                self.send(encoded.first_half())?;
                self.pause(None)?;
            }
            (Some(encoded), _) => self.send(&encoded.bytes)?,
            (None, Some(Effect::Stall)) => self.pause(None)?,
            (None, _) => return Ok(false),
        }
        if is_unread {
            self.linger()?;
        }
        Ok(!close)
    }

    fn receive_head(&mut self) -> Result<Head, Failure> {
        if self.is_tls_missing {
            self.fill_in_time()?;
            return Err(Failure::Refused(400, TLS_EXPECTED, None));
        }
        let mut reply = Reply::new().map_err(|_| malformed())?;
        loop {
            // The parser has limits of its own, which are higher.
            let part = self.buffer.get(..=MAX_HEAD).unwrap_or(&self.buffer);
            let (used, request) = reply.try_request(part).map_err(|_| self.not_http())?;
            let read = if request.is_some() { used } else { self.buffer.len() };
            if read > MAX_HEAD {
                return Err(Failure::Refused(431, HEAD_TOO_LARGE, None));
            }
            if let Some(request) = request {
                let head: Vec<u8> = self.buffer.drain(..used).collect();
                // The signature covers the target as it was sent, so not as the parser understood
                // it.
                let target = head.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
                let target = String::from_utf8_lossy(target).into_owned();
                let body = reply.proceed().ok_or_else(malformed)?;
                let has_host = request.headers().get_all(header::HOST).iter().count() == 1;
                if request.version() != Version::HTTP_10 && !has_host {
                    let reason = "the request has no Host header, or several";
                    return Err(Failure::Refused(400, reason, None));
                }
                return Ok(Head { request, target, body });
            }
            self.fill_in_time()?;
        }
    }

    fn receive_body(&mut self, head: Head) -> Result<Request, Failure> {
        let (parts, ()) = head.request.into_parts();
        let framed = parts.headers.contains_key(header::CONTENT_LENGTH)
            || parts.headers.contains_key(header::TRANSFER_ENCODING);
        let announced =
            parts.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        let announced = announced.and_then(|length| length.parse().ok()).unwrap_or(0_u64);

        let mut headers = parts.headers;
        for (name, value) in &mut headers {
            if name == header::AUTHORIZATION || name == header::PROXY_AUTHORIZATION {
                value.set_sensitive(true);
            }
        }
        let (method, target) = (parts.method, head.target);
        let port = self.socket.local_addr()?.port();
        let request = Request { method, target, headers, body: Vec::new(), port };
        if let Some((status, reason)) = misframed(parts.version, &request.headers) {
            return Err(Failure::Refused(status, reason, Some(Box::new(request))));
        }
        if announced > MAX_BODY as u64 {
            return Err(Failure::Refused(413, TOO_LARGE, Some(Box::new(request))));
        }
        let body = match head.body {
            // ureq-proto takes a POST without a length for a chunked one; RFC 9112 says that it has
            // no body.
            _ if !framed => Ok(Vec::new()),
            RecvRequestResult::ProvideResponse(_) => Ok(Vec::new()),
            RecvRequestResult::RecvBody(reply) => self.read_body(reply),
            RecvRequestResult::Send100(reply) => {
                let mut interim = [0; 64];
                let (length, reply) = reply.accept(&mut interim).map_err(|_| malformed())?;
                self.send(interim.get(..length).unwrap_or_default())?;
                self.read_body(reply)
            }
        };
        match body {
            Ok(body) => Ok(Request { body, ..request }),
            Err(Failure::Refused(status, reason, None)) => {
                Err(Failure::Refused(status, reason, Some(Box::new(request))))
            }
            Err(failure) => Err(failure),
        }
    }

    fn read_body(&mut self, mut reply: Reply<state::RecvBody>) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        let mut part = [0; PART];
        while !reply.is_ended() {
            let (used, length) = reply.read(&self.buffer, &mut part).map_err(|_| malformed())?;
            self.buffer.drain(..used);
            body.extend_from_slice(part.get(..length).unwrap_or_default());
            if body.len() > MAX_BODY {
                return Err(Failure::Refused(413, TOO_LARGE, None));
            }
            if used == 0 {
                self.fill_in_time()?;
            }
        }
        Ok(body)
    }

    fn not_http(&self) -> Failure {
        match self.buffer.first() {
            Some(&TLS_HANDSHAKE) => Failure::Refused(400, TLS_UNEXPECTED, None),
            _ => malformed(),
        }
    }

    /// Waits for more bytes of a request, but not for ever: each connection holds a thread and a
    /// descriptor.
    fn fill_in_time(&mut self) -> io::Result<()> {
        let left = self.wait_until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        self.socket.set_read_timeout(Some(left))?;
        self.fill()
    }

    /// Waits for more bytes; the end of the stream is an error, and so is more than any request has.
    fn fill(&mut self) -> io::Result<()> {
        if self.buffer.len() > MAX_HEAD + MAX_BODY {
            return Err(ErrorKind::OutOfMemory.into());
        }
        let mut part = [0; PART];
        let length = match self.stream.read(&mut part) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            result => result?,
        };
        if length == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.buffer.extend_from_slice(part.get(..length).unwrap_or_default());
        self.is_silent_tls = false;
        Ok(())
    }

    /// Lets time pass, or with `None` waits until the client leaves; ends with an error once the
    /// emulator stops.
    ///
    /// Reading is the one wait that both of them end, so this reads ahead while it waits. A client
    /// that will send no more may still read, so it still gets a response that is to come.
    fn pause(&mut self, time: Option<Duration>) -> io::Result<()> {
        let deadline = time.and_then(|time| Instant::now().checked_add(time));
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                break;
            }
            self.socket.set_read_timeout(left)?;
            match self.fill() {
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error)
                    if error.kind() == ErrorKind::UnexpectedEof
                        && !self.state.stopping.load(Ordering::SeqCst) =>
                {
                    let Some(left) = left else { return Err(error) };
                    thread::sleep(left.min(STOP_INTERVAL));
                }
                result => result?,
            }
        }
        Ok(())
    }

    fn drip(&mut self, encoded: &Encoded, interval: Duration) -> io::Result<()> {
        for byte in &encoded.bytes {
            self.pause(Some(interval))?;
            self.send(std::slice::from_ref(byte))?;
        }
        Ok(())
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// Reads what a client still sends and nobody wants: closing at once could destroy the response on
    /// its way.
    fn linger(&mut self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)?;
        let deadline = Instant::now() + MAX_LINGER;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.socket.set_read_timeout(Some(left))?;
            self.buffer.clear();
            self.fill()?;
        }
    }
}

/// Clients that refuse the certificate say so by an alert, or by closing.
fn tls_failure(error: &io::Error) -> String {
    let problem = match error.kind() {
        ErrorKind::InvalidData => error.to_string(),
        _ => "the client left before it sent a request".to_owned(),
    };
    format!(
        "TLS failed: {problem}; clients have to trust the authority of the emulator's certificate"
    )
}

fn malformed() -> Failure {
    Failure::Refused(400, "this is not well-formed HTTP/1.1", None)
}

#[cfg(test)]
mod tests;
