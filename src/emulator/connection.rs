//! One connection: requests in, answers out, and the faults that happen on the wire.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use ureq::http::{self, HeaderMap, Method, Version, header};
use ureq_proto::server::{RecvRequestResult, Reply, state};

use super::request::Request;
use super::response::{Encoded, Response};
use super::server::{Delivery, Shared};

// Ours: all three; the real limits are not public, and no client comes near them.
const MAX_HEAD: usize = 64 * 1024;
const MAX_BODY: usize = 1024 * 1024;
const MAX_WRITE_TIME: Duration = Duration::from_secs(30);

const TOO_LARGE: &str = "the body is larger than 1 MiB";
const HEAD_TOO_LARGE: &str = "the head is larger than 64 KiB";

/// How long a connection stays open without a whole request, be it idle or half sent.
// Ours: twice what clients' pools keep a connection for.
pub(super) const MAX_WAIT: Duration = Duration::from_secs(120);

/// How soon a wait that reading cannot end notices that the emulator stops.
const STOP_INTERVAL: Duration = Duration::from_millis(20);

/// The first byte of a TLS connection.
const TLS_HANDSHAKE: u8 = 22;

/// How long a refused client may go on sending before the connection is cut under it.
const MAX_LINGER: Duration = Duration::from_secs(1);

/// Serves a connection until either side closes it, or no whole request comes within `max_wait`.
///
/// The error says why it ended, which interests nobody: a client may leave at any time.
pub(super) fn serve(stream: &TcpStream, shared: &Shared, max_wait: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(MAX_WRITE_TIME))?;
    let wait_until = Instant::now();
    let mut connection = Connection { stream, shared, buffer: Vec::new(), wait_until };
    loop {
        connection.wait_until = Instant::now() + max_wait;
        if !connection.exchange()? {
            return Ok(());
        }
    }
}

struct Connection<'a> {
    stream: &'a TcpStream,
    shared: &'a Shared,
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
    /// Answers one request; whether the connection stays open for another.
    fn exchange(&mut self) -> io::Result<bool> {
        let shared = self.shared;
        let received = self.receive_head().and_then(|head| {
            let version = head.request.version();
            let close = closes(version, head.request.headers());
            Ok((self.receive_body(head)?, version == Version::HTTP_10, close))
        });
        let (request, http_10, close) = match received {
            Ok(received) => received,
            Err(Failure::Gone(error)) => return Err(error),
            Err(Failure::Refused(status, reason, request)) => {
                let response = shared.refuse(status, reason, request);
                self.send(&response.encode(false, false, true).bytes)?;
                self.linger()?;
                return Ok(false);
            }
        };
        let bodiless = request.method == Method::HEAD;
        // What follows a HEAD with a body cannot be told from that body.
        let close = close || (bodiless && !self.buffer.is_empty());
        let encode = |response: Response| response.encode(http_10, bodiless, close);
        match shared.handle(request) {
            Delivery::Whole(response) => self.send(&encode(response).bytes)?,
            Delivery::Delayed(response, time) => {
                self.pause(Some(time))?;
                self.send(&encode(response).bytes)?;
            }
            Delivery::Dripped(response, interval) => self.drip(&encode(response), interval)?,
            Delivery::Truncated(response) => {
                self.send(encode(response).first_half())?;
                return Ok(false);
            }
            Delivery::Stalled(response) => {
                if let Some(response) = response {
                    self.send(encode(response).first_half())?;
                }
                self.pause(None)?;
            }
            Delivery::Dropped => return Ok(false),
        }
        Ok(!close)
    }

    fn receive_head(&mut self) -> Result<Head, Failure> {
        let mut reply = Reply::new().map_err(|_| malformed())?;
        loop {
            let (used, request) = reply.try_request(&self.buffer).map_err(|_| self.not_http())?;
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
        for name in [header::AUTHORIZATION, header::PROXY_AUTHORIZATION] {
            if let Some(value) = headers.get_mut(name) {
                value.set_sensitive(true);
            }
        }
        let mut request =
            Request { method: parts.method, target: head.target, headers, body: Vec::new() };
        if let Some((status, reason)) = misframed(parts.version, &request.headers) {
            return Err(Failure::Refused(status, reason, Some(Box::new(request))));
        }
        if announced > MAX_BODY as u64 {
            return Err(Failure::Refused(413, TOO_LARGE, Some(Box::new(request))));
        }
        match head.body {
            // ureq-proto takes a POST without a length for a chunked one; RFC 9112 says that it has
            // no body.
            _ if !framed => {}
            RecvRequestResult::ProvideResponse(_) => {}
            RecvRequestResult::RecvBody(reply) => request.body = self.read_body(reply)?,
            RecvRequestResult::Send100(reply) => {
                let mut interim = [0; 64];
                let (length, reply) = reply.accept(&mut interim).map_err(|_| malformed())?;
                self.send(interim.get(..length).unwrap_or_default())?;
                request.body = self.read_body(reply)?;
            }
        }
        Ok(request)
    }

    fn read_body(&mut self, mut reply: Reply<state::RecvBody>) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        let mut part = [0; 8 * 1024];
        while !reply.is_ended() {
            let (used, length) = reply.read(&self.buffer, &mut part).map_err(|_| malformed())?;
            self.buffer.drain(..used);
            body.extend_from_slice(part.get(..length).unwrap_or_default());
            if body.len() > MAX_BODY {
                return Err(Failure::Refused(413, TOO_LARGE, None));
            }
            if used == 0 && length == 0 && !reply.is_ended() {
                // The line that tells the size of a chunk, or a trailer, without an end.
                if self.buffer.len() > MAX_HEAD {
                    return Err(malformed());
                }
                self.fill_in_time()?;
            }
        }
        Ok(body)
    }

    fn not_http(&self) -> Failure {
        match self.buffer.first() {
            Some(&TLS_HANDSHAKE) => {
                Failure::Refused(400, "this is TLS; the emulator speaks http, not https", None)
            }
            // The parser has a limit for the target that is a little lower than that for the head.
            _ if self.buffer.len() > MAX_HEAD => Failure::Refused(431, HEAD_TOO_LARGE, None),
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
        self.stream.set_read_timeout(Some(left))?;
        self.fill()
    }

    /// Waits for more bytes; the end of the stream is an error.
    fn fill(&mut self) -> io::Result<()> {
        let mut part = [0; 8 * 1024];
        let length = match self.stream.read(&mut part) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            result => result?,
        };
        if length == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.buffer.extend_from_slice(part.get(..length).unwrap_or_default());
        Ok(())
    }

    /// Lets time pass, or with `None` waits until the client leaves; ends with an error once the
    /// emulator stops.
    ///
    /// Reading is the one wait that both of them end, so this reads ahead while it waits. A client
    /// that will send no more may still read, so where there is an answer to come it is waited for.
    fn pause(&mut self, time: Option<Duration>) -> io::Result<()> {
        let deadline = time.and_then(|time| Instant::now().checked_add(time));
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                break;
            }
            if self.buffer.len() > MAX_HEAD + MAX_BODY {
                return Err(ErrorKind::OutOfMemory.into());
            }
            self.stream.set_read_timeout(left)?;
            match self.fill() {
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) if error.kind() == ErrorKind::UnexpectedEof && !self.shared.stops() => {
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
        self.stream.write_all(bytes)
    }

    /// Reads what a refused client still sends: closing at once could destroy the answer on its
    /// way.
    fn linger(&mut self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)?;
        let deadline = Instant::now() + MAX_LINGER;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.stream.set_read_timeout(Some(left))?;
            self.fill()?;
            self.buffer.clear();
        }
    }
}

fn malformed() -> Failure {
    Failure::Refused(400, "this is not well-formed HTTP/1.1", None)
}

/// What is wrong with the framing of a body (RFC 9112, sections 6.1 and 6.3).
fn misframed(version: Version, headers: &HeaderMap) -> Option<(u16, &'static str)> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let coding = codings.next()?;
    if headers.contains_key(header::CONTENT_LENGTH) {
        return Some((400, "the request has both Content-Length and Transfer-Encoding"));
    }
    if version == Version::HTTP_10 {
        return Some((400, "HTTP/1.0 has no Transfer-Encoding"));
    }
    let is_chunked = coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
    (!is_chunked || codings.next().is_some())
        .then_some((501, "the Transfer-Encoding is not chunked, and no other is known here"))
}

fn closes(version: Version, headers: &HeaderMap) -> bool {
    let says = |token: &str| {
        let values =
            headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
        values
            .flat_map(|value| value.split(','))
            .any(|part| part.trim().eq_ignore_ascii_case(token))
    };
    says("close") || (version == Version::HTTP_10 && !says("keep-alive"))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::super::authentication::SharedKey;
    use super::super::random::Random;
    use super::super::server::Clock;
    use super::super::service::Service;
    use super::*;

    #[test]
    fn a_connection_without_a_whole_request_is_closed_after_a_while() {
        let service = Service::new(SharedKey::from_bytes(vec![7]), false, Random::from_seed(1));
        let shared = Shared::new(service, Clock::default(), None);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let answered = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        for sent in ["", "POST / HTTP/1.1\r\nHost:", answered] {
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            client.write_all(sent.as_bytes()).unwrap();
            let (stream, _) = listener.accept().unwrap();
            let served = thread::scope(|scope| {
                let serving = scope.spawn(|| serve(&stream, &shared, Duration::from_millis(50)));
                serving.join().unwrap()
            });
            let kind = served.unwrap_err().kind();
            assert!(matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{kind:?}");
            drop(stream);
            let mut text = String::new();
            client.read_to_string(&mut text).unwrap();
            assert_eq!(text.is_empty(), sent != answered, "{text}");
        }
    }
}
