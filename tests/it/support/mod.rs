//! What the tests share: one server, one set of clients, one form of an error's text, one way to
//! wait, one way to run a program.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use acs_identity::emulator::{Emulator, EmulatorBuilder, RecordedRequest};
use acs_identity::{
    AccessKey, CommunicationIdentityClient, CommunicationIdentityClientBuilder,
    CommunicationUserIdentifier, Credential, Error, RetryPolicy,
};
use ureq::Agent;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

pub mod authority;
pub mod process;
pub mod server;

pub use server::{Connection, Server};

/// No wait of a test is longer, so that what hangs fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Base64, so that it is a valid key, and easy to find where it must not be.
pub const CANARY_KEY: &str =
    "CANARYKEYCANARYKEYCANARYKEYCANARYKEYCANARYKEYCANARYKEYCANARYKEYCANARYKEYCANARYKEYA==";

/// A host that is unknown without asking a name server, who may be slow: no label may be so long.
pub const UNKNOWN_HOST: &str =
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx.invalid";

const TEAMS_TOKEN: &str = "an Entra token";
const APP_ID: &str = "11111111-2222-3333-4444-555555555555";
const OBJECT_ID: &str = "66666666-7777-8888-9999-000000000000";

/// What a client can be pointed at.
pub trait Service {
    fn endpoint(&self) -> String;

    fn key(&self) -> &str {
        CANARY_KEY
    }
}

impl Service for Emulator {
    fn endpoint(&self) -> String {
        self.endpoint()
    }

    fn key(&self) -> &str {
        self.access_key()
    }
}

impl Service for Server {
    fn endpoint(&self) -> String {
        self.endpoint().to_string()
    }
}

impl Service for str {
    fn endpoint(&self) -> String {
        self.to_owned()
    }
}

/// A client that makes a single attempt, and else is as by default.
pub fn client(service: &(impl Service + ?Sized)) -> CommunicationIdentityClient {
    builder(service).build().unwrap()
}

/// For a client that makes a single attempt, and else is as by default.
pub fn builder(service: &(impl Service + ?Sized)) -> CommunicationIdentityClientBuilder {
    builder_with(service, service.key().parse::<AccessKey>().unwrap())
}

/// The same with another credential.
pub fn builder_with(
    service: &(impl Service + ?Sized),
    credential: impl Into<Credential>,
) -> CommunicationIdentityClientBuilder {
    CommunicationIdentityClient::builder(service.endpoint().parse().unwrap(), credential)
        .retry_policy(RetryPolicy::none())
}

/// For a client that repeats as often as by default, without backing off.
pub fn hurried(service: &(impl Service + ?Sized)) -> CommunicationIdentityClientBuilder {
    builder(service).retry_policy(hurried_policy())
}

/// The default policy, without its backoff.
pub fn hurried_policy() -> RetryPolicy {
    let moment = Duration::from_millis(1);
    RetryPolicy::default().base_delay(moment).max_delay(moment)
}

/// The same client on an agent of its own and on one of the caller's.
pub fn on_both_agents(
    builder: impl Fn() -> CommunicationIdentityClientBuilder,
) -> [CommunicationIdentityClient; 2] {
    [builder(), builder().agent(ureq::agent())].map(|builder| builder.build().unwrap())
}

/// A running emulator that knows one user and one Teams user.
pub fn emulator_with_user(builder: EmulatorBuilder) -> (Emulator, CommunicationUserIdentifier) {
    let emulator = builder.start().unwrap();
    emulator.accept_teams_token(TEAMS_TOKEN, APP_ID, OBJECT_ID);
    let user = hurried(&emulator).build().unwrap().create_user().unwrap();
    (emulator, user)
}

pub fn last_request(emulator: &Emulator) -> RecordedRequest {
    emulator.requests().pop().expect("a request arrived")
}

/// A user that need not exist.
pub fn user() -> CommunicationUserIdentifier {
    "8:acs:resource_user".parse().unwrap()
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
    /// Those that must not be done twice.
    pub const CREATES: [Self; 2] = [Self::Create, Self::CreateWithToken];

    pub fn is_create(self) -> bool {
        Self::CREATES.contains(&self)
    }

    pub fn run(self, client: &CommunicationIdentityClient) -> Result<(), Error> {
        self.run_on(client, &user())
    }

    pub fn run_on(
        self,
        client: &CommunicationIdentityClient,
        user: &CommunicationUserIdentifier,
    ) -> Result<(), Error> {
        match self {
            Self::Create => client.create_user().map(drop),
            Self::CreateWithToken => client.create_user_and_token(["voip"]).map(drop),
            Self::Issue => client.issue_token(user, ["voip"]).map(drop),
            Self::Exchange => {
                client.exchange_teams_user_token(TEAMS_TOKEN, APP_ID, OBJECT_ID).map(drop)
            }
            Self::Revoke => client.revoke_tokens(user),
            Self::Delete => client.delete_user(user),
        }
    }
}

/// The text of an error, with what differs from run to run replaced: host, ids, and how long it
/// took.
pub fn text(error: &Error) -> String {
    let elapsed = format!("attempts in {:.1} s", error.elapsed().as_secs_f64());
    let mut text = error.to_string().replace(&elapsed, "attempts in N s");
    let host = text.split(" [host ").nth(1).and_then(|rest| rest.split(',').next());
    if let Some(host) = host.map(str::to_owned) {
        text = text.replace(&host, "HOST");
    }
    for (id, name) in
        [(error.client_request_id(), "ID"), (error.ms_cv(), "CV"), (error.azure_ref(), "REF")]
    {
        text = text.replace(id.unwrap_or("-none-"), name);
    }
    text
}

/// The same up to what support asks for.
pub fn problem(error: &Error) -> String {
    text(error).split(" [host ").next().unwrap_or_default().to_owned()
}

pub fn until(condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < PATIENCE, "this takes too long");
        std::thread::yield_now();
    }
}

/// Where nobody listens: the port of a protocol which nobody speaks any more. A port that the system
/// gave could be given again, and even be connected to itself.
pub struct Nobody;

impl Nobody {
    pub const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1);
}

impl Service for Nobody {
    fn endpoint(&self) -> String {
        format!("http://{}", Self::ADDRESS)
    }
}

/// Where each attempt of a call goes, in turn, and then always the last; `None` is a name that
/// nobody knows.
#[derive(Debug)]
struct Names(Mutex<Vec<Option<SocketAddr>>>);

impl Resolver for Names {
    fn resolve(
        &self,
        _: &Uri,
        _: &Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut left = self.0.lock().unwrap();
        let address = if left.len() > 1 { left.remove(0) } else { left[0] };
        let mut addresses = self.empty();
        addresses.push(address.ok_or(ureq::Error::HostNotFound)?);
        Ok(addresses)
    }
}

pub fn agent_that_goes_to(addresses: impl Into<Vec<Option<SocketAddr>>>) -> Agent {
    let names = Names(Mutex::new(addresses.into()));
    Agent::with_parts(Config::default(), DefaultConnector::default(), names)
}
