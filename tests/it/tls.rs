//! https for real: a local TLS server with a certificate made here.

use std::error::Error as _;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use acs_identity::{CommunicationIdentityClient, ErrorKind, Tls};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::http::{answer, client_builder, read_request};

/// Serves one connection, if the client trusts the certificate: creates the user `8:acs:over_tls`,
/// and deletes any.
pub struct TlsServer {
    pub port: u16,
    pub pem: String,
    certificate: Vec<u8>,
    requests: Receiver<Vec<String>>,
}

impl TlsServer {
    pub fn start() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let certificate = made.cert.der().clone();
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let config =
            ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![certificate.clone()], key)
                .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, requests) = mpsc::channel();
        thread::spawn(move || sender.send(serve(&listener.accept().unwrap().0, config)));
        Self { port, pem: made.cert.pem(), certificate: certificate.to_vec(), requests }
    }

    /// Waits for the client to leave; the requests that arrived.
    pub fn requests(self) -> Vec<String> {
        self.requests.recv_timeout(Duration::from_secs(30)).expect("the client should have left")
    }

    fn client(&self, roots: Option<RootCerts>) -> CommunicationIdentityClient {
        let builder = client_builder(&format!("https://localhost:{}", self.port));
        let Some(roots) = roots else { return builder.build().unwrap() };
        let tls = TlsConfig::builder().root_certs(roots).build();
        let agent = ureq::Agent::config_builder().tls_config(tls).proxy(None).build().new_agent();
        builder.agent(agent).build().unwrap()
    }
}

fn serve(stream: &TcpStream, config: ServerConfig) -> Vec<String> {
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let connection = ServerConnection::new(Arc::new(config)).unwrap();
    let mut tls = StreamOwned::new(connection, stream);
    let mut requests = Vec::new();
    while let Some(request) = read_request(&mut tls) {
        let body = "{\"identity\":{\"id\":\"8:acs:over_tls\"}}";
        let answer = if request.starts_with("POST") {
            answer("201 Created", "application/json; charset=utf-8", body)
        } else {
            "HTTP/1.1 204 No Content\r\n\r\n".to_owned()
        };
        tls.write_all(answer.as_bytes()).unwrap();
        requests.push(request);
    }
    tls.conn.send_close_notify();
    let _ = tls.flush();
    requests
}

#[test]
fn a_certificate_that_the_agent_trusts() {
    let server = TlsServer::start();
    let root = Certificate::from_der(&server.certificate).to_owned();
    let client = server.client(Some(RootCerts::new_with_certs(&[root])));
    assert_eq!(client.create_user().unwrap().identifier(), "8:acs:over_tls");
    // Closes its connection.
    drop(client);
    let host = format!("host: localhost:{}\r\n", server.port);
    let requests = server.requests();
    assert!(requests.len() == 1 && requests[0].contains(&host), "{requests:?}");
}

#[test]
fn a_certificate_that_nobody_trusts() {
    let server = TlsServer::start();
    let client = server.client(None);
    let error = client.create_user().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connection, "{error}");
    let cause = error.source().unwrap().to_string();
    assert!(cause.contains("certificate"), "{cause}");
    assert!(server.requests().is_empty(), "no request may leave before the handshake is done");
}

#[test]
fn a_server_that_does_not_speak_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    });
    let client = client_builder(&format!("https://127.0.0.1:{port}")).build().unwrap();
    let error = client.create_user().unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Connection, 1), "{error}");
    let text = "create_user: the TLS handshake failed: if the other side speaks plain http, check the endpoint's scheme and port; else look for a proxy; nothing was sent [";
    assert!(error.to_string().starts_with(text), "{error}");
    server.join().unwrap();
}

/// Without an agent.
#[test]
fn roots_of_ones_own() {
    let server = TlsServer::start();
    let builder = client_builder(&format!("https://localhost:{}", server.port));
    let client = builder.root_certificates(server.pem.as_str()).build().unwrap();
    assert_eq!(client.create_user().unwrap().identifier(), "8:acs:over_tls");
    drop(client);
    assert_eq!(server.requests().len(), 1);
}

/// Each library that the build has, with the same roots and without.
#[test]
fn every_tls_library() {
    let libraries = [
        Tls::Rustls,
        #[cfg(feature = "platform-verifier")]
        Tls::PlatformVerifier,
        #[cfg(feature = "native-tls")]
        Tls::NativeTls,
    ];
    for tls in libraries {
        let server = TlsServer::start();
        let builder = || client_builder(&format!("https://localhost:{}", server.port)).tls(tls);
        let trusting = builder().root_certificates(server.pem.as_str()).build().unwrap();
        trusting.delete_user(&"8:acs:a_b".parse().unwrap()).unwrap();
        drop(trusting);
        assert_eq!(server.requests().len(), 1, "{tls:?}");

        let server = TlsServer::start();
        let builder = client_builder(&format!("https://localhost:{}", server.port)).tls(tls);
        let error = builder.build().unwrap().delete_user(&"8:acs:a_b".parse().unwrap());
        let error = error.unwrap_err();
        assert_eq!((error.kind(), error.attempts()), (ErrorKind::Connection, 1), "{error:?}");
        assert!(error.to_string().contains("the server's certificate is not accepted"), "{error}");
        assert!(!error.is_in_doubt(), "{tls:?}");
        assert!(server.requests().is_empty());
    }
}
