//! https.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use acs_identity::emulator::{Emulator, Fault};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::support::until;

/// An emulator that speaks https, and the certificate that its clients have to trust.
fn emulator() -> (Emulator, Certificate<'static>) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let root = Certificate::from_der(&certificate).to_owned();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let config = Arc::new(config);
    let accept = move |socket: TcpStream| {
        Ok(StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), socket))
    };
    (Emulator::builder().tls(accept).start().unwrap(), root)
}

fn agent(root: Certificate<'static>) -> ureq::Agent {
    let roots = RootCerts::new_with_certs(&[root]);
    ureq::Agent::config_builder()
        .tls_config(TlsConfig::builder().root_certs(roots).build())
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(10)))
        .proxy(None)
        .build()
        .new_agent()
}

fn create(agent: &ureq::Agent, endpoint: &str) -> Result<u16, ureq::Error> {
    let url = format!("{endpoint}/identities?api-version=2023-10-01");
    let mut response = agent.post(url).header("Authorization", "Bearer t").send_empty()?;
    // Read to its end, so that the connection is kept.
    response.body_mut().read_to_vec()?;
    Ok(response.status().as_u16())
}

#[test]
fn tls_client_that_trusts_the_certificate_is_served() {
    let (emulator, root) = emulator();
    emulator.accept_bearer_token("t");
    assert!(emulator.connection_string().starts_with("endpoint=https://127.0.0.1:"));
    let agent = agent(root);
    for _ in 0..3 {
        assert_eq!(create(&agent, &emulator.endpoint()).unwrap(), 201);
    }
    assert_eq!(emulator.open_connections(), 1);
    // A wait reads ahead, through TLS as well, and faults end the connection.
    emulator.inject(Fault::delay(Duration::from_millis(30)));
    assert_eq!(create(&agent, &emulator.endpoint()).unwrap(), 201);
    for fault in [Fault::drop_after_processing(), Fault::truncate_body()] {
        emulator.inject(fault);
        assert!(create(&agent, &emulator.endpoint()).is_err());
    }
    assert_eq!(emulator.users().len(), 6);
    // By any name that its certificate has.
    let url = format!("{}/emulator/health", emulator.endpoint());
    assert_eq!(agent.get(url).header("Host", "acs.example.com").call().unwrap().status(), 200);
    // A client that leaves after a request is no failure of TLS.
    drop(agent);
    until(|| emulator.open_connections() == 0);
    assert_eq!(emulator.request_count(), 6);
}

#[test]
fn tls_client_that_does_not_trust_the_certificate_is_recorded() {
    let ((emulator, _), (_, root_of_another)) = (emulator(), emulator());
    let refusals = || -> Vec<String> {
        let requests = emulator.requests();
        requests.iter().map(|request| request.refusal().unwrap().to_owned()).collect()
    };
    let tail = "; clients have to trust the authority of the emulator's certificate";
    assert!(create(&agent(root_of_another), &emulator.endpoint()).is_err());
    until(|| emulator.request_count() == 1);
    assert_eq!(
        refusals()[0],
        format!("TLS failed: the client left before it sent a request{tail}")
    );

    // A handshake that is none.
    let mut stream = TcpStream::connect(emulator.endpoint().replace("https://", "")).unwrap();
    stream.write_all(&[22, 3, 1, 0, 1, 0]).unwrap();
    stream.write_all(&[7; 64]).unwrap();
    until(|| emulator.request_count() == 2);
    let refusal = refusals().remove(1);
    assert!(refusal.starts_with("TLS failed: received corrupt message"), "{refusal}");
}

#[test]
fn tls_is_missed_in_plain_http() {
    let (emulator, _) = emulator();
    let address = emulator.endpoint().replace("https://", "");
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(b"POST /identities HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 400 "), "{text}");
    let refusal = emulator.requests()[0].refusal().unwrap().to_owned();
    assert_eq!(refusal, "this is plain http; the emulator speaks https here");
    assert_eq!(text.split("\r\n\r\n").nth(1), Some(&*refusal));
}
