//! The least that responds as the service does, over http and https: fixed responses with the
//! service's headers and sizes. It allocates nothing per request, so that a test may count the
//! allocations of a client in the same process.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::SystemTime;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::sides::USER;

/// What a client may be told of the service.
#[derive(Clone)]
pub(crate) struct Service {
    /// Keeps its connections, and announces it.
    pub(crate) http: SocketAddr,
    /// Keeps its connections, and sends no `Connection` header, as many servers do.
    pub(crate) http_silent: SocketAddr,
    /// Closes each connection after its response, and announces it.
    pub(crate) http_closing: SocketAddr,
    pub(crate) https: SocketAddr,
    pub(crate) https_silent: SocketAddr,
    pub(crate) https_closing: SocketAddr,
    /// The only certificate to trust, as DER.
    pub(crate) root: Vec<u8>,
}

impl Service {
    /// For another process.
    pub(crate) fn to_text(&self) -> String {
        let Self { http, http_silent, http_closing, https, https_silent, https_closing, root } =
            self;
        let root = BASE64_STANDARD.encode(root);
        format!("{http} {http_silent} {http_closing} {https} {https_silent} {https_closing} {root}")
    }

    pub(crate) fn from_text(text: &str) -> Self {
        let words: Vec<&str> = text.split_whitespace().collect();
        let address = |index: usize| words[index].parse().unwrap();
        Self {
            http: address(0),
            http_silent: address(1),
            http_closing: address(2),
            https: address(3),
            https_silent: address(4),
            https_closing: address(5),
            root: BASE64_STANDARD.decode(words[6]).unwrap(),
        }
    }
}

/// Serves from threads of this process until it ends.
pub(crate) fn start() -> Service {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let root = made.cert.der().clone();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let tls =
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![root.clone()], key)
            .unwrap();
    let tls = Some(Arc::new(tls));
    Service {
        http: listen(None, KEPT),
        http_silent: listen(None, SILENT),
        http_closing: listen(None, CLOSED),
        https: listen(tls.clone(), KEPT),
        https_silent: listen(tls.clone(), SILENT),
        https_closing: listen(tls, CLOSED),
        root: root.to_vec(),
    }
}

/// What a server says of its connections, as a header.
const KEPT: &str = "Connection: keep-alive\r\n";
const SILENT: &str = "";
const CLOSED: &str = "Connection: close\r\n";

fn listen(tls: Option<Arc<ServerConfig>>, header: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (Ok(stream), tls) = (stream, tls.clone()) else { return };
            thread::spawn(move || connection(stream, tls, header));
        }
    });
    address
}

fn connection(stream: TcpStream, tls: Option<Arc<ServerConfig>>, header: &str) {
    stream.set_nodelay(true).unwrap();
    match tls {
        None => serve(stream, header),
        Some(config) => {
            let mut tls = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
            serve(&mut tls, header);
            tls.conn.send_close_notify();
            // The client may have left.
            let _ = tls.flush();
        }
    }
}

fn serve(mut stream: impl Read + Write, connection: &str) {
    let mut responses = Responses::new(connection);
    let mut request = [0; 16 * 1024];
    loop {
        let mut filled = 0;
        let head = loop {
            match stream.read(&mut request[filled..]) {
                Ok(0) | Err(_) => return,
                Ok(count) => filled += count,
            }
            let end = request[..filled].windows(4).position(|bytes| bytes == b"\r\n\r\n");
            if let Some(end) = end {
                break end + 4;
            }
        };
        let body = header(&request[..head], b"content-length: ")
            .and_then(|value| std::str::from_utf8(value).ok()?.parse().ok())
            .unwrap_or(0);
        if filled < head + body {
            // The body comes in a packet of its own.
            if stream.read_exact(&mut request[filled..head + body]).is_err() {
                return;
            }
        }
        let response = responses.to(&request[..head]);
        if stream.write_all(response).and_then(|()| stream.flush()).is_err() || connection == CLOSED
        {
            return;
        }
    }
}

/// The value of a header whose name is lower case, as ureq sends all names.
fn header<'a>(head: &'a [u8], name_and_colon: &[u8]) -> Option<&'a [u8]> {
    let mut lines = head.split(|byte| *byte == b'\n');
    lines.find_map(|line| line.strip_prefix(name_and_colon)).map(<[u8]>::trim_ascii)
}

/// The response to a request, after which the connection closes.
pub(crate) fn response_to(request: &[u8]) -> Vec<u8> {
    Responses::new(CLOSED).to(request).to_vec()
}

/// Made once for a connection.
struct Responses {
    created: Vec<u8>,
    issued: Vec<u8>,
    deleted: Vec<u8>,
}

const NO_REQUEST_ID: &str = "00000000-0000-0000-0000-000000000000";

impl Responses {
    fn new(connection: &str) -> Self {
        let created = format!(r#"{{"identity":{{"id":"{USER}"}}}}"#);
        // 700 characters, which makes a body of the size that is common.
        let token = format!("eyJhbGciOiJSUzI1NiIsImtpZCI6IjEwMyJ9.{}", "Q".repeat(700));
        let issued =
            format!(r#"{{"token":"{token}","expiresOn":"2023-06-28T07:30:12.7039383+00:00"}}"#);
        Self {
            created: response("201 Created", &created, connection),
            issued: response("200 OK", &issued, connection),
            deleted: response("204 No Content", "", connection),
        }
    }

    fn to(&mut self, head: &[u8]) -> &[u8] {
        let response = if head.starts_with(b"DELETE ") {
            &mut self.deleted
        } else if head.starts_with(b"POST /identities?") {
            &mut self.created
        } else {
            &mut self.issued
        };
        // The id stands in the first header, so that it can be written in place.
        if let Some(id) = header(head, b"x-ms-client-request-id: ") {
            let start = response.windows(2).position(|bytes| bytes == b": ").unwrap() + 2;
            if id.len() == NO_REQUEST_ID.len() {
                response[start..start + id.len()].copy_from_slice(id);
            }
        }
        response
    }
}

/// A response with the headers that the service sends.
fn response(status: &str, body: &str, connection: &str) -> Vec<u8> {
    let entity = if body.is_empty() {
        String::new()
    } else {
        format!(
            "Content-Length: {}\r\nContent-Type: application/json; charset=utf-8\r\n",
            body.len()
        )
    };
    let date = httpdate::fmt_http_date(SystemTime::now());
    format!(
        "HTTP/1.1 {status}\r\n\
         x-ms-client-request-id: {NO_REQUEST_ID}\r\n\
         api-supported-versions: 2020-07-20-preview2, 2021-03-07, 2021-10-31-preview, 2021-11-01, \
         2022-06-01, 2022-10-01, 2023-10-01, 2025-03-02-preview\r\n\
         {entity}\
         Date: {date}\r\n\
         MS-CV: NXIF6XUaPEWmh2eeu4VIOg.2.0\r\n\
         Request-Context: appId=\r\n\
         Strict-Transport-Security: max-age=31536000;includeSubDomains\r\n\
         x-azure-ref: 20250414T153227Z-17b5f9d5c4dxkqz6hC1MIAxxxx0000000abc000000001234\r\n\
         X-Cache: CONFIG_NOCACHE\r\n\
         X-Processing-Time: 34ms\r\n\
         {connection}\r\n{body}"
    )
    .into_bytes()
}
