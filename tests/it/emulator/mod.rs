//! The emulator, seen by a raw HTTP client that signs with code of its own.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::SystemTime;

use acs_identity::emulator::Emulator;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::support::PATIENCE;

mod authentication;
mod connections;
mod control;
mod errors;
mod faults;
mod first_generation;
mod responses;
mod tls;
mod upkeep;

const VERSION: &str = "api-version=2023-10-01";

/// A request, signed unless a test spoils it.
struct Call {
    method: &'static str,
    target: String,
    body: String,
    date: SystemTime,
    date_header: &'static str,
    signed_host: Option<String>,
    headers: String,
}

/// A response with its headers as they were sent, and its body without chunks.
#[derive(Debug)]
struct Response {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

fn call(method: &'static str, target: impl Into<String>, body: impl Into<String>) -> Call {
    Call {
        method,
        target: target.into(),
        body: body.into(),
        date: SystemTime::now(),
        date_header: "x-ms-date",
        signed_host: None,
        headers: "Content-Type: application/json\r\n".to_owned(),
    }
}

/// A POST under the default version.
fn post(path: &str, body: &str) -> Call {
    call("POST", format!("{path}?{VERSION}"), body)
}

impl Call {
    fn header(mut self, line: &str) -> Self {
        self.headers = format!("{}{line}\r\n", self.headers);
        self
    }

    /// The request's bytes.
    fn signed(&self, emulator: &Emulator) -> String {
        let host = emulator.endpoint().replace("http://", "");
        let date = httpdate::fmt_http_date(self.date);
        let hash = BASE64_STANDARD.encode(Sha256::digest(&self.body));
        let signed_host = self.signed_host.as_ref().unwrap_or(&host);
        let text = format!("{}\n{}\n{date};{signed_host};{hash}", self.method, self.target);
        let key = BASE64_STANDARD.decode(emulator.access_key()).unwrap();
        let signature = Hmac::<Sha256>::new_from_slice(&key).unwrap().chain_update(text).finalize();
        let signature = BASE64_STANDARD.encode(signature.into_bytes());
        let Self { method, target, body, date_header, headers, .. } = self;
        let length = body.len();
        format!(
            "{method} {target} HTTP/1.1\r\nHost: {host}\r\n{date_header}: {date}\r\nx-ms-content-sha256: {hash}\r\n\
             Authorization: HMAC-SHA256 SignedHeaders={date_header};host;x-ms-content-sha256&Signature={signature}\r\n\
             {headers}Content-Length: {length}\r\n\r\n{body}"
        )
    }

    /// Sends it on a connection of its own.
    fn send(&self, emulator: &Emulator) -> Response {
        exchange(emulator, &self.signed(emulator)).unwrap()
    }
}

impl Response {
    fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let header = headers.find(|(sent, _)| sent.eq_ignore_ascii_case(name));
        header.map(|(_, value)| value.as_str())
    }

    /// The first string value with this name in the body.
    fn text(&self, name: &str) -> &str {
        let start = format!("\"{name}\":\"");
        self.body.split(&start).nth(1).and_then(|rest| rest.split('"').next()).unwrap()
    }
}

fn connect(emulator: &Emulator) -> BufReader<TcpStream> {
    let stream = TcpStream::connect(emulator.endpoint().replace("http://", "")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    BufReader::new(stream)
}

fn exchange(emulator: &Emulator, request: &str) -> io::Result<Response> {
    let mut stream = connect(emulator);
    stream.get_mut().write_all(request.as_bytes())?;
    read_response(&mut stream)
}

fn read_response(stream: &mut BufReader<TcpStream>) -> io::Result<Response> {
    let status = read_line(stream)?.split(' ').nth(1).unwrap().parse().unwrap();
    let mut headers = Vec::new();
    loop {
        let line = read_line(stream)?;
        let Some((name, value)) = line.split_once(": ") else { break };
        headers.push((name.to_owned(), value.to_owned()));
    }
    let mut response = Response { status, headers, body: String::new() };
    let mut body = Vec::new();
    if response.header("transfer-encoding") == Some("chunked") {
        loop {
            let size = usize::from_str_radix(&read_line(stream)?, 16).unwrap();
            let mut chunk = vec![0; size];
            stream.read_exact(&mut chunk)?;
            body.extend(chunk);
            read_line(stream)?;
            if size == 0 {
                break;
            }
        }
    } else if let Some(length) = response.header("content-length") {
        body = vec![0; length.parse().unwrap()];
        stream.read_exact(&mut body)?;
    }
    response.body = String::from_utf8(body).unwrap();
    Ok(response)
}

fn read_line(stream: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    match line.strip_suffix("\r\n") {
        Some(line) => Ok(line.to_owned()),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Creates an identity; its id.
fn create(emulator: &Emulator) -> String {
    post("/identities", "{}").send(emulator).text("id").to_owned()
}

fn encoded(id: &str) -> String {
    id.replace(':', "%3A")
}
