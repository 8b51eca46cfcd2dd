//! Real https, with the roots and the TLS library that a caller chooses.

use std::error::Error as _;

use acs_identity::{ErrorKind, Tls};

use crate::support::authority::{Authority, Flaw};
use crate::support::server::{ID, respond_well};
use crate::support::{Operation, Server, builder, client};

#[test]
fn tls_roots_of_a_callers_agent_are_used() {
    let authority = Authority::new();
    let server = Server::with_tls(authority.server(Flaw::None), respond_well);
    let client = builder(&server).agent(authority.agent()).build().unwrap();
    assert_eq!(client.create_user().unwrap().identifier(), ID);
    let host = format!("host: localhost:{}\r\n", server.address().port());
    let requests = server.requests();
    assert!(requests.len() == 1 && requests[0].contains(&host), "{requests:?}");
}

/// Each library of the build, with the caller's roots and without.
#[test]
fn tls_libraries_verify_certificates_with_and_without_custom_roots() {
    let libraries = [
        None,
        Some(Tls::Rustls),
        #[cfg(feature = "platform-verifier")]
        Some(Tls::PlatformVerifier),
        #[cfg(feature = "native-tls")]
        Some(Tls::NativeTls),
    ];
    let authority = Authority::new();
    let server = Server::with_tls(authority.server(Flaw::None), respond_well);
    for (number, tls) in libraries.into_iter().enumerate() {
        let with = || match tls {
            Some(tls) => builder(&server).tls(tls),
            None => builder(&server),
        };
        let trusting = with().root_certificates(authority.pem()).build().unwrap();
        Operation::Delete.run(&trusting).unwrap();
        assert_eq!(server.requests().len(), number + 1, "{tls:?}");

        let error = Operation::Delete.run(&with().build().unwrap()).unwrap_err();
        assert_eq!((error.kind(), error.attempts()), (ErrorKind::Connection, 1), "{error:?}");
        assert!(error.to_string().contains("the server's certificate is not accepted"), "{error}");
        assert!(error.source().unwrap().to_string().contains("certificate"), "{error:?}");
        assert!(!error.is_in_doubt(), "{tls:?}");
        assert_eq!(
            server.requests().len(),
            number + 1,
            "nothing is sent before the handshake is done"
        );
    }
}

#[test]
fn tls_handshake_with_a_plain_http_server_is_explained() {
    let server = Server::scripted(|connection| {
        connection.send("HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    let endpoint = format!("https://{}", server.address());
    let error = client(&*endpoint).create_user().unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Connection, 1), "{error}");
    let text = "create_user: the TLS handshake failed: if the other side speaks plain http, check the endpoint's scheme and port; otherwise look for a proxy in between; nothing was sent [";
    assert!(error.to_string().starts_with(text), "{error}");
}
