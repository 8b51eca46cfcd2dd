//! The two sides of every comparison: the library, and the same request by hand on ureq, with the
//! same bytes, the same settings and the same body read.

use std::time::Duration;

use acs_identity::{
    AccessKey, CommunicationIdentityClient, CommunicationIdentityClientBuilder,
    CommunicationUserIdentifier,
};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

pub(crate) const KEY: &str =
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==";
pub(crate) const USER: &str =
    "8:acs:bbbcbc1e-9f06-482a-b5d8-20e3f26ef0cd_45ab2481-1c1c-4005-be24-0ffb879b1130";
pub(crate) const USER_PATH: &str = "/identities/8%3Aacs%3Abbbcbc1e-9f06-482a-b5d8-20e3f26ef0cd_45ab2481-1c1c-4005-be24-0ffb879b1130";
const VERSION: &str = "?api-version=2023-10-01";

/// An operation that both sides have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Issue,
    Create,
    Delete,
}

impl Call {
    pub(crate) const ALL: [Self; 3] = [Self::Issue, Self::Create, Self::Delete];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Issue => "issue_token",
            Self::Create => "create_user",
            Self::Delete => "delete_user",
        }
    }
}

/// Whatever can make a call.
pub(crate) trait Side: Sync {
    fn call(&self, call: Call);
}

/// The library.
pub(crate) struct Ours {
    client: CommunicationIdentityClient,
    user: CommunicationUserIdentifier,
}

impl Ours {
    /// With the agent that the library makes for itself, or with one of the caller's.
    pub(crate) fn new(endpoint: &str, agent: Option<Agent>) -> Self {
        Self::build(match agent {
            Some(agent) => builder(endpoint).agent(agent),
            None => builder(endpoint),
        })
    }

    /// With the library's own agent, and this certificate, in DER, as the only one to trust.
    pub(crate) fn trusting(endpoint: &str, root: Option<&[u8]>) -> Self {
        Self::build(match root {
            Some(der) => builder(endpoint).root_certificates(format!(
                "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
                BASE64_STANDARD.encode(der)
            )),
            None => builder(endpoint),
        })
    }

    fn build(builder: CommunicationIdentityClientBuilder) -> Self {
        Self { client: builder.build().unwrap(), user: USER.parse().unwrap() }
    }
}

fn builder(endpoint: &str) -> CommunicationIdentityClientBuilder {
    let key: AccessKey = KEY.parse().unwrap();
    CommunicationIdentityClient::builder(endpoint.parse().unwrap(), key)
}

impl Side for Ours {
    fn call(&self, call: Call) {
        match call {
            Call::Issue => drop(self.client.issue_token(&self.user, ["voip"]).unwrap()),
            Call::Create => drop(self.client.create_user().unwrap()),
            Call::Delete => self.client.delete_user(&self.user).unwrap(),
        }
    }
}

/// The same by hand: what is signed and counted is constant, and the body is not looked into.
pub(crate) struct Bare {
    agent: Agent,
    host: String,
    issue: String,
    create: String,
    delete: String,
}

impl Bare {
    pub(crate) fn new(endpoint: &str, agent: Agent) -> Self {
        Self {
            agent,
            host: endpoint.split_once("://").unwrap().1.to_owned(),
            issue: format!("{endpoint}{USER_PATH}/:issueAccessToken{VERSION}"),
            create: format!("{endpoint}/identities{VERSION}"),
            delete: format!("{endpoint}{USER_PATH}{VERSION}"),
        }
    }

    fn headers<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        request
            .header("host", &self.host)
            .header("accept", "application/json")
            .header("user-agent", concat!("acs-identity/", env!("CARGO_PKG_VERSION")))
            .header("x-ms-client-request-id", "3f0b7c3e-52a5-4c77-8d05-3f4a2b1c9e10")
            .header("x-ms-date", "Wed, 13 Apr 2022 18:09:12 GMT")
            .header("x-ms-content-sha256", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=")
            .header(
                "authorization",
                "HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256\
                 &Signature=+6tWkg3lNKVjQHHmxkdGQcJjUgzclsWTMebnuCz1ngU=",
            )
    }

    fn post(&self, url: &str, body: &[u8]) -> ureq::http::Response<ureq::Body> {
        let request = self.headers(self.agent.post(url));
        request.header("content-type", "application/json").send(body).unwrap()
    }
}

impl Side for Bare {
    fn call(&self, call: Call) {
        let mut response = match call {
            Call::Issue => self.post(&self.issue, br#"{"scopes":["voip"]}"#),
            Call::Create => self.post(&self.create, b"{}"),
            Call::Delete => {
                let request = self.headers(self.agent.delete(&self.delete));
                request.header("content-length", "0").force_send_body().send_empty().unwrap()
            }
        };
        assert!(response.status().is_success());
        std::hint::black_box(response.body_mut().read_to_vec().unwrap());
    }
}

/// An agent with the settings that the library gives its own.
pub(crate) fn agent(root: Option<&[u8]>) -> Agent {
    config(root).build().new_agent()
}

pub(crate) fn config(
    root: Option<&[u8]>,
) -> ureq::config::ConfigBuilder<ureq::typestate::AgentScope> {
    let connect = Duration::from_secs(5);
    let response = Duration::from_secs(30);
    let roots = match root {
        Some(der) => RootCerts::new_with_certs(&[Certificate::from_der(der).to_owned()]),
        None => RootCerts::WebPki,
    };
    Agent::config_builder()
        .proxy(None)
        .tls_config(TlsConfig::builder().root_certs(roots).build())
        .http_status_as_error(false)
        .max_redirects(0)
        .input_buffer_size(32 * 1024)
        .output_buffer_size(32 * 1024)
        .max_response_header_size(24 * 1024)
        .max_idle_connections(64)
        .max_idle_connections_per_host(64)
        .max_idle_age(Duration::from_secs(60))
        .timeout_connect(Some(connect))
        .timeout_per_write(Some(response))
        .timeout_recv_response(Some(response))
        .timeout_recv_body(Some(response))
}
