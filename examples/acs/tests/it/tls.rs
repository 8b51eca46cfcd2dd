//! Root certificates of one's own.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;

use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::*;

/// Serves connections that create a user, with a certificate that nobody has signed: its PEM.
fn serve(connections: usize) -> (u16, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().take(connections).map(Result::unwrap) {
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut tls = StreamOwned::new(connection, stream);
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                let Ok(1) = tls.read(&mut byte) else { break };
                request.push(byte[0]);
            }
            let body = r#"{"identity":{"id":"8:acs:over_tls"}}"#;
            let head =
                "HTTP/1.1 201 Created\r\nConnection: close\r\nContent-Type: application/json";
            let _ = write!(tls, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            tls.conn.send_close_notify();
            let _ = tls.flush();
            // Closing a socket with something unread resets it, which may cost the client the
            // response.
            let _ = std::io::copy(&mut tls.sock, &mut std::io::sink());
        }
    });
    (port, made.cert.pem())
}

#[test]
fn ca_file_is_trusted() {
    let (port, pem) = serve(2);
    let file = File::new("roots", pem);
    let settings = format!("endpoint=https://localhost:{port};accesskey=c2VjcmV0");
    let create = || {
        let mut command = tool();
        command.args(["user", "create", "-o", "tsv"]).env(QUICKSTART_VARIABLE, &settings);
        command
    };
    run(create().args(["--ca-file", &file])).assert_printed("8:acs:over_tls\n");
    // The command line comes first, and what is empty counts as not set.
    run(create().env("SSL_CERT_FILE", &*file)).assert_printed("8:acs:over_tls\n");
}

#[test]
fn tls_with_an_unknown_issuer_names_the_remedy() {
    let (port, pem) = serve(100);
    let settings = format!("endpoint=https://localhost:{port};accesskey=c2VjcmV0");
    let remedy = "trust a private authority with root_certificates or Tls::PlatformVerifier (acs: --ca-file)";
    let ended =
        run(tool().args(["user", "create", "--timeout", "5s"]).env(QUICKSTART_VARIABLE, &settings));
    assert_eq!((ended.stdout.as_str(), ended.code()), ("", Some(1)));
    assert!(ended.stderr.contains("UnknownIssuer"), "{ended:?}");
    assert!(ended.stderr.contains(remedy), "{ended:?}");
    // Nor does a bulk deletion wait for a certificate to become a good one.
    let users: Vec<String> = (0..100).map(|number| format!("8:acs:{number}")).collect();
    let ids = File::new("untrusted", users.join("\n"));
    let words = ["user", "delete", "-y", "--from-file", &ids];
    let ended = run(tool().args(words).env(QUICKSTART_VARIABLE, &settings));
    assert!(ended.stderr.ends_with(" left: they would fail in the same way\n"), "{ended:?}");
    assert_eq!(ended.code(), Some(1));

    // Files that cannot be used, under the name that they came by.
    let empty = File::new("no-roots", "nothing\n");
    for (file, problem) in
        [(&*empty, "no certificate found: expected PEM"), ("no/such/file", &*no_such_file())]
    {
        let mut create = tool();
        create.args(["user", "create"]).env(QUICKSTART_VARIABLE, &settings);
        run(create.env("SSL_CERT_FILE", file))
            .assert_failed(2, &format!("acs: SSL_CERT_FILE: {file}: {problem}"));
        run(create.env("SSL_CERT_FILE", "").args(["--ca-file", file]))
            .assert_failed(2, &format!("acs: --ca-file: {file}: {problem}"));
    }
    drop(pem);
}
