//! What the fuzz targets share: a transport in memory, the operations, and what must hold for every
//! output.
#![allow(missing_docs, clippy::missing_panics_doc, reason = "a target fails by panicking")]

use std::error::Error as _;
use std::fmt::Debug;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use acs_identity::ureq::http::Uri;
use acs_identity::ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use acs_identity::ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
};
use acs_identity::ureq::{self, Agent, config::Config};
use acs_identity::{
    AccessKey, CommunicationIdentityClient, CommunicationUserIdentifier, Error, ErrorKind,
    RetryPolicy,
};

/// Base64, so that it is a valid key, and easy to find where it must not be.
pub const KEY: &str =
    "CANARYKEYCANARYKEYCANARYKEYCANARYKEYCANARYKEYCANARYKEYCANARYKEYCANARYKEYCANARYKEYA==";
pub const TOKEN: &str = "eyJCANARYTOKEN.eyJCANARYTOKENCANARYTOKENCANARYTOKEN.CANARYTOKEN";

/// Responds to the requests of a client, one connection each, without a socket.
#[derive(Clone, Debug)]
pub struct Memory(Arc<Script>);

#[derive(Debug)]
struct Script {
    /// The last one is for all requests that follow.
    responses: Vec<Vec<u8>>,
    /// How many bytes arrive at once.
    chunk: usize,
    /// Whether a connection ends with a reset.
    reset: bool,
    connections: AtomicUsize,
    sent: Mutex<Vec<Vec<u8>>>,
}

impl Memory {
    pub fn new(responses: Vec<Vec<u8>>, chunk: usize, reset: bool) -> Self {
        let (connections, sent) = (AtomicUsize::new(0), Mutex::default());
        Self(Arc::new(Script { responses, chunk: chunk.max(1), reset, connections, sent }))
    }

    /// One response for all, in one piece.
    pub fn responding(response: impl Into<Vec<u8>>) -> Self {
        Self::new(vec![response.into()], usize::MAX, false)
    }

    /// What was sent, a request for each connection.
    pub fn requests(&self) -> Vec<Vec<u8>> {
        self.0.sent.lock().unwrap().clone()
    }

    pub fn agent(&self) -> Agent {
        Agent::with_parts(Config::default(), self.clone(), self.clone())
    }

    pub fn client(&self, policy: RetryPolicy) -> CommunicationIdentityClient {
        let key: AccessKey = KEY.parse().unwrap();
        CommunicationIdentityClient::builder("http://127.0.0.1:1".parse().unwrap(), key)
            .agent(self.agent())
            .retry_policy(policy)
            .build()
            .unwrap()
    }
}

impl Resolver for Memory {
    fn resolve(
        &self,
        _: &Uri,
        _: &Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut addresses = self.empty();
        addresses.push(([127, 0, 0, 1], 1).into());
        Ok(addresses)
    }
}

impl Connector for Memory {
    type Out = Pipe;

    fn connect(
        &self,
        _: &ConnectionDetails<'_>,
        _: Option<()>,
    ) -> Result<Option<Pipe>, ureq::Error> {
        let number = self.0.connections.fetch_add(1, Ordering::Relaxed);
        self.0.sent.lock().unwrap().push(Vec::new());
        let buffers = LazyBuffers::new(32 * 1024, 32 * 1024);
        Ok(Some(Pipe { script: Arc::clone(&self.0), number, at: 0, buffers }))
    }
}

/// One connection.
#[derive(Debug)]
pub struct Pipe {
    script: Arc<Script>,
    number: usize,
    at: usize,
    buffers: LazyBuffers,
}

impl Transport for Pipe {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), ureq::Error> {
        let bytes = &self.buffers.output()[..amount];
        self.script.sent.lock().unwrap()[self.number].extend_from_slice(bytes);
        Ok(())
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, ureq::Error> {
        let Script { responses, chunk, reset, .. } = &*self.script;
        let response = &responses[self.number.min(responses.len() - 1)];
        let rest = &response[self.at..];
        if rest.is_empty() && *reset {
            return Err(io::Error::from(io::ErrorKind::ConnectionReset).into());
        }
        let free = self.buffers.input_append_buf();
        let amount = rest.len().min(free.len()).min(*chunk);
        free[..amount].copy_from_slice(&rest[..amount]);
        self.buffers.input_appended(amount);
        self.at += amount;
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        false
    }

    // Or else ureq would want to wrap it for https.
    fn is_tls(&self) -> bool {
        true
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Create,
    CreateWithToken,
    Issue,
    Exchange,
    Revoke,
    Delete,
}

impl Operation {
    pub const ALL: [Self; 6] = [
        Self::Create,
        Self::CreateWithToken,
        Self::Issue,
        Self::Exchange,
        Self::Revoke,
        Self::Delete,
    ];

    pub fn is_create(self) -> bool {
        matches!(self, Self::Create | Self::CreateWithToken)
    }

    pub fn success(self) -> u16 {
        match self {
            Self::Revoke | Self::Delete => 204,
            _ if self.is_create() => 201,
            _ => 200,
        }
    }

    /// The user that it returns, if it returns one. What it returns is looked at.
    pub fn run(
        self,
        client: &CommunicationIdentityClient,
    ) -> Result<Option<CommunicationUserIdentifier>, Error> {
        let user = || "8:acs:a_b".parse().unwrap();
        let token = |token: acs_identity::AccessToken| {
            assert!(!token.token().is_empty());
            assert!(!format!("{token:?}").contains("CANARY"), "{token:?}");
            assert!(token.is_expired(token.expires_on()));
        };
        match self {
            Self::Create => client.create_user().map(Some),
            Self::CreateWithToken => client.create_user_and_token(["voip"]).map(|(user, it)| {
                token(it);
                Some(user)
            }),
            Self::Issue => client.issue_token(&user(), ["voip"]).map(|it| {
                token(it);
                None
            }),
            Self::Exchange => client.exchange_teams_user_token(TOKEN, "app", "user").map(|it| {
                token(it);
                None
            }),
            Self::Revoke => client.revoke_tokens(&user()).map(|()| None),
            Self::Delete => client.delete_user(&user()).map(|()| None),
        }
    }
}

/// Every form in which an error is shown.
pub fn shown(error: &Error) -> Vec<String> {
    let mut shown =
        vec![error.to_string(), format!("{error:#}"), format!("{error:?}"), format!("{error:#?}")];
    shown.extend(
        [error.code(), error.message(), error.target()].into_iter().flatten().map(str::to_owned),
    );
    let mut cause = error.source();
    while let Some(error) = cause {
        shown.extend([error.to_string(), format!("{error:?}")]);
        cause = error.source();
    }
    shown
}

/// Whether a text repeats as much of a secret as could be one. What broke off within one is short.
pub fn has_secret(text: &str) -> bool {
    const LONGEST_HARMLESS: usize = 39;
    // Each such part has it.
    if !text.contains("CANARY") {
        return false;
    }
    let secrets = [KEY, TOKEN].into_iter();
    let mut parts = secrets.flat_map(|it| it.as_bytes().windows(LONGEST_HARMLESS + 1));
    parts.any(|part| text.as_bytes().windows(part.len()).any(|window| window == part))
}

/// One line that a terminal can show, and not a long one.
pub fn assert_is_line(text: &str) {
    let odd = |c: char| {
        c.is_control()
            || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}')
    };
    assert!(!text.contains(odd), "{text:?}");
    assert!(text.len() < 4_000, "{} bytes: {text:?}", text.len());
}

pub fn assert_clean(value: &impl Debug) {
    let text = format!("{value:?} {value:#?}");
    assert!(!text.to_ascii_uppercase().contains("CANARY"), "{text}");
}

/// That an input was refused as one, without repeating what may be a key.
pub fn assert_refused(error: &Error) {
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::InvalidInput, 0), "{error}");
    for text in shown(error) {
        assert!(!text.to_ascii_uppercase().contains("CANARY"), "{text}");
        assert_is_line(&text);
    }
}
