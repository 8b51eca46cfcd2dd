//! A private authority, the certificates it issues, and agents that trust it.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use ureq::Agent;
use ureq::config::ConfigBuilder;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::typestate::AgentScope;

pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// What is wrong with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    None,
    OtherHost,
    Expired,
    NotYetValid,
    UnknownIssuer,
}

impl Authority {
    pub fn new() -> Self {
        Self::named("an authority")
    }

    fn named(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A server on `localhost` whose certificate has this flaw.
    pub fn server(&self, flaw: Flaw) -> Arc<ServerConfig> {
        self.server_with(flaw, WebPkiClientVerifier::no_client_auth())
    }

    /// One that wants a certificate from its clients, which it misses when their handshake is over.
    pub fn server_that_wants_certificates(&self) -> Arc<ServerConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        self.server_with(Flaw::None, verifier.build().unwrap())
    }

    fn server_with(&self, flaw: Flaw, clients: Arc<dyn ClientCertVerifier>) -> Arc<ServerConfig> {
        let host = if flaw == Flaw::OtherHost { "elsewhere.example" } else { "localhost" };
        let mut params = CertificateParams::new([host.to_owned()]).unwrap();
        match flaw {
            Flaw::Expired => params.not_after = date_time_ymd(2020, 1, 1),
            Flaw::NotYetValid => params.not_before = date_time_ymd(2090, 1, 1),
            Flaw::None | Flaw::OtherHost | Flaw::UnknownIssuer => {}
        }
        let key = KeyPair::generate().unwrap();
        let other = Self::named("nobody's authority");
        let issuer = if flaw == Flaw::UnknownIssuer { &other.0 } else { &self.0 };
        let certificate = params.signed_by(&key, issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let config =
            ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_client_cert_verifier(clients)
                .with_single_cert(vec![certificate.der().clone()], key)
                .unwrap();
        Arc::new(config)
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Of an agent that trusts nobody else.
    pub fn config(&self) -> ConfigBuilder<AgentScope> {
        let root = Certificate::from_der(self.0.der()).to_owned();
        let tls = TlsConfig::builder().root_certs(RootCerts::new_with_certs(&[root])).build();
        Agent::config_builder().tls_config(tls).proxy(None)
    }

    pub fn agent(&self) -> Agent {
        self.config().build().new_agent()
    }
}
