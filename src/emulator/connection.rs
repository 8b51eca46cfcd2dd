//! One connection: requests in, responses out, and the faults that happen on the wire.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use ureq::http::{Method, Version, header};
use ureq_proto::server::{RecvRequestResult, Reply, state};

use super::fault::Effect;
use super::request::Request;
use super::response::Refusal;
use super::state::State;

// Ours: all three; the real limits are not public, and no client comes near them.
const MAX_HEAD: usize = 32 * 1024;
const MAX_BODY: usize = 1024 * 1024;
const MAX_WRITE_TIME: Duration = Duration::from_secs(30);

const TOO_LARGE: &str = "the body is larger than 1 MiB";
const HEAD_TOO_LARGE: &str = "the head is larger than 32 KiB";
const TOO_MANY_HEADERS: &str = "the request has more than 128 headers";
const MISFRAMED: &str =
    "a body has either a Content-Length or, in HTTP/1.1, Transfer-Encoding: chunked";
const TLS_UNEXPECTED: &str =
    "this is TLS; the emulator speaks http, not https, unless started with --tls";
const TLS_UNTRUSTED: &str = "clients have to trust the authority of the emulator's certificate";
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

/// Serves a connection until either side closes it, or no whole request comes within `max_wait`; within a
/// TLS handshake, no byte.
///
/// The error says why it ended; callers ignore it, because a client may leave at any time.
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
        is_tls: secured.is_some(),
        is_silent: true,
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
                if connection.is_tls
                    && connection.is_silent
                    && !state.stopping.load(Ordering::SeqCst)
                {
                    // Clients that refuse the certificate say so by an alert, or by closing.
                    let problem = match error.kind() {
                        ErrorKind::InvalidData => error.to_string(),
                        _ => "the client left before it sent a request".to_owned(),
                    };
                    state.record_failure(format!("TLS failed: {problem}; {TLS_UNTRUSTED}"));
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
    is_tls: bool,
    /// No byte of a request has come yet.
    is_silent: bool,
    state: &'a State,
    /// What arrived and is not consumed yet: a part of a request, or requests sent ahead.
    buffer: Vec<u8>,
    /// When the next request has to be here.
    wait_until: Instant,
}

/// Why a request cannot be handed to the service.
enum Failure {
    /// The client left, or the emulator stops.
    Gone(io::Error),
    /// It is not HTTP as this server takes it: the status and the reason.
    Refused(u16, &'static str),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Gone(error)
    }
}

impl Connection<'_> {
    /// Responds to one request; whether the connection stays open for another.
    fn exchange(&mut self) -> io::Result<bool> {
        let mut request = Request::default();
        match self.receive(&mut request) {
            Ok(()) => self.respond(request),
            Err(Failure::Gone(error)) => Err(error),
            Err(Failure::Refused(status, reason)) => {
                let response = self.state.refuse(Refusal::text(status, reason), request);
                let (bytes, _) = response.encode(false, false, true);
                self.send(&bytes)?;
                self.linger()
            }
        }
    }

    fn respond(&mut self, request: Request) -> io::Result<bool> {
        let (is_http_10, is_bodiless) =
            (request.version == Version::HTTP_10, request.method == Method::HEAD);
        let closes = request.closes();
        let (response, effect) = self.state.handle(request);
        let Some(response) = response else {
            if let Some(Effect::Stall) = effect {
                self.pause(None)?;
            }
            return Ok(false);
        };
        let closes = closes || response.closes();
        let (bytes, half) = response.encode(is_http_10, is_bodiless, closes);
        match effect {
            Some(Effect::Truncate) => {
                self.send(bytes.get(..half).unwrap_or_default())?;
                return Ok(false);
            }
            Some(Effect::StallBody) => {
                self.send(bytes.get(..half).unwrap_or_default())?;
                self.pause(None)?;
            }
            Some(Effect::Drip(interval)) => {
                for byte in bytes {
                    self.pause(Some(interval))?;
                    self.send(&[byte])?;
                }
            }
            Some(Effect::Delay(time)) => {
                self.pause(Some(time))?;
                self.send(&bytes)?;
            }
            _ => self.send(&bytes)?,
        }
        if is_bodiless { self.linger() } else { Ok(!closes) }
    }

    /// Reads a request, as far as it is one.
    fn receive(&mut self, request: &mut Request) -> Result<(), Failure> {
        if self.is_tls_missing {
            self.fill(Some(self.wait_until))?;
            return Err(Failure::Refused(400, TLS_EXPECTED));
        }
        let reader = self.receive_head(request)?;
        if request.is_misframed() {
            return Err(Failure::Refused(400, MISFRAMED));
        }
        let length =
            request.header("content-length").map(|length| length.parse().unwrap_or(0_usize));
        if length.is_some_and(|length| length > MAX_BODY) {
            return Err(Failure::Refused(413, TOO_LARGE));
        }
        // ureq-proto takes a POST without a length for a chunked one; RFC 9112 says that it has no body.
        if length.is_none() && !request.headers.contains_key(header::TRANSFER_ENCODING) {
            return Ok(());
        }
        let reader = match reader {
            RecvRequestResult::ProvideResponse(_) => return Ok(()),
            RecvRequestResult::RecvBody(reader) => reader,
            RecvRequestResult::Send100(reader) => {
                let mut interim = [0; 64];
                let (length, reader) = reader.accept(&mut interim).map_err(|_| malformed())?;
                self.send(interim.get(..length).unwrap_or_default())?;
                reader
            }
        };
        request.body = self.read_body(reader)?;
        Ok(())
    }

    fn receive_head(&mut self, request: &mut Request) -> Result<RecvRequestResult, Failure> {
        let mut reply = Reply::new().map_err(|_| malformed())?;
        loop {
            // The parser has no limit of its own for the length.
            let part = self.buffer.get(..=MAX_HEAD).unwrap_or(&self.buffer);
            let (used, parsed) = reply.try_request(part).map_err(|error| self.not_http(&error))?;
            let read = if parsed.is_some() { used } else { self.buffer.len() };
            if read > MAX_HEAD {
                return Err(Failure::Refused(431, HEAD_TOO_LARGE));
            }
            let Some(parsed) = parsed else {
                self.fill(Some(self.wait_until))?;
                continue;
            };
            let head: Vec<u8> = self.buffer.drain(..used).collect();
            // The signature covers the target as it was sent, so not as the parser understood it.
            let target = head.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
            let (parts, ()) = parsed.into_parts();
            *request = Request {
                method: parts.method,
                target: String::from_utf8_lossy(target).into_owned(),
                version: parts.version,
                headers: parts.headers,
                body: Vec::new(),
                address: Some(self.socket.local_addr()?),
                is_tls: self.is_tls,
            };
            for (name, value) in &mut request.headers {
                if name == header::AUTHORIZATION || name == header::PROXY_AUTHORIZATION {
                    value.set_sensitive(true);
                }
            }
            let hosts = request.headers.get_all(header::HOST).iter().count();
            if hosts != 1 && parts.version != Version::HTTP_10 {
                return Err(Failure::Refused(400, "the request has no Host header, or several"));
            }
            return reply.proceed().ok_or_else(malformed);
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
                return Err(Failure::Refused(413, TOO_LARGE));
            }
            if used == 0 {
                self.fill(Some(self.wait_until))?;
            }
        }
        Ok(body)
    }

    fn not_http(&self, error: &ureq_proto::Error) -> Failure {
        match error {
            ureq_proto::Error::HttpParseTooManyHeaders => Failure::Refused(431, TOO_MANY_HEADERS),
            _ if self.buffer.first() == Some(&TLS_HANDSHAKE) => {
                Failure::Refused(400, TLS_UNEXPECTED)
            }
            _ => malformed(),
        }
    }

    /// Waits for more bytes until the deadline. The end of the stream is an error, and so is more than any
    /// request has.
    fn fill(&mut self, deadline: Option<Instant>) -> io::Result<()> {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left == Some(Duration::ZERO) {
            return Err(ErrorKind::TimedOut.into());
        }
        self.socket.set_read_timeout(left)?;
        if self.buffer.len() > MAX_HEAD + MAX_BODY {
            return Err(ErrorKind::OutOfMemory.into());
        }
        let mut part = [0; PART];
        let length = match self.stream.read(&mut part) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            result => result?,
        };
        self.buffer.extend_from_slice(part.get(..length).unwrap_or_default());
        self.is_silent = false;
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
            match self.fill(deadline).map_err(|error| (error.kind(), error)) {
                Ok(()) => {}
                Err((ErrorKind::WouldBlock | ErrorKind::TimedOut, _)) => return Ok(()),
                Err((ErrorKind::UnexpectedEof, _))
                    if deadline.is_some() && !self.state.stopping.load(Ordering::SeqCst) =>
                {
                    thread::sleep(STOP_INTERVAL.min(time.unwrap_or_default()));
                }
                Err((_, error)) => return Err(error),
            }
        }
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// Reads what a client still sends and discards it: closing at once could destroy the response on its
    /// way. Ends with an error, as the connection does.
    fn linger(&mut self) -> io::Result<bool> {
        self.socket.shutdown(Shutdown::Write)?;
        let deadline = Instant::now() + MAX_LINGER;
        loop {
            self.buffer.clear();
            self.fill(Some(deadline))?;
        }
    }
}

fn malformed() -> Failure {
    Failure::Refused(400, "this is not well-formed HTTP/1.1")
}

#[cfg(test)]
pub(super) mod tests;
