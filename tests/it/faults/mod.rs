//! What a server, a proxy, a clock, a caller or the operating system can do to make a promise of
//! the documentation false; each was once caused for real.

use std::net::SocketAddr;
use std::sync::Mutex;

use acs_identity::{
    CommunicationIdentityClient, CommunicationIdentityClientBuilder, CommunicationUserIdentifier,
    Error,
};
use ureq::Agent;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

use crate::failures::{Operation, client_of};
use crate::http::{CANARY_KEY, Connection, Server};

mod authority;
mod configuration;
mod created;
mod doubt;
mod ids;
mod kept;
mod malformed;
mod slow;
mod time;
mod tls;

const CREATES: [Operation; 2] = [Operation::Create, Operation::CreateWithToken];

/// The id in every response of [`respond_well`].
const ID: &str = "8:acs:resource_created";

/// The service's form of an error.
const ENVELOPE: &str = r#"{"error":{"code":"SomeCode","message":"Some message."}}"#;
const NOT_OWNED: &str = r#"{"error":{"code":"IdentityNotOwned","message":"Provided identity doesn't belong to the resource."}}"#;

fn user() -> CommunicationUserIdentifier {
    "8:acs:resource_user".parse().unwrap()
}

/// Repeats at once, as often as by default.
fn builder(server: &Server) -> CommunicationIdentityClientBuilder {
    client_of(&server.endpoint().to_string(), CANARY_KEY)
}

/// The same client on an agent of its own and on one of the caller's.
fn clients(
    server: &Server,
    settings: impl Fn(CommunicationIdentityClientBuilder) -> CommunicationIdentityClientBuilder,
) -> [CommunicationIdentityClient; 2] {
    let own = settings(builder(server));
    let callers = settings(builder(server)).agent(ureq::agent());
    [own.build().unwrap(), callers.build().unwrap()]
}

fn run(operation: Operation, client: &CommunicationIdentityClient) -> Result<(), Error> {
    operation.run(client, &user())
}

/// A response with a body and its length, and headers of the test's.
fn response(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// What the service would say, with more headers.
fn success(request: &str, headers: &str) -> String {
    const TOKEN: &str = r#"{"token":"t","expiresOn":"2099-01-01T00:00:00+00:00"}"#;
    let (line, _) = request.split_once("\r\n").unwrap();
    if line.starts_with("DELETE") || line.contains(":revokeAccessTokens") {
        format!("HTTP/1.1 204 No Content\r\n{headers}\r\n")
    } else if line.contains(":issueAccessToken") || line.contains(":exchangeAccessToken") {
        response("200 OK", headers, TOKEN)
    } else {
        let body =
            format!(r#"{{"identity":{{"id":"{ID}","customId":"alice"}},"accessToken":{TOKEN}}}"#);
        response("201 Created", headers, &body)
    }
}

/// Responds as the service would, then closes.
fn respond_well(connection: &mut Connection) {
    if let Some(request) = connection.request() {
        connection.send(success(&request, "Connection: close\r\n"));
    }
}

/// Responds to the first connection with this and to all others with that, closing each.
fn first_then(first: &str, then: &str) -> Server {
    let (first, then) = (closing(first), closing(then));
    Server::scripted(move |connection| {
        if connection.request().is_some() {
            let response = if connection.number == 0 { &first } else { &then };
            connection.send(response);
        }
    })
}

/// Responds to the first request with this, and well to all others.
fn first_then_well(first: &str) -> Server {
    let first = closing(first);
    Server::scripted(move |connection| {
        if connection.number > 0 {
            return respond_well(connection);
        }
        if connection.request().is_some() {
            connection.send(&first);
        }
    })
}

fn closing(response: &str) -> String {
    response.replacen("\r\n", "\r\nConnection: close\r\n", 1)
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

fn agent_that_goes_to(addresses: impl Into<Vec<Option<SocketAddr>>>) -> Agent {
    let names = Names(Mutex::new(addresses.into()));
    Agent::with_parts(Config::default(), DefaultConnector::default(), names)
}

/// An address that nobody listens at.
fn refused() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn local(server: &Server) -> SocketAddr {
    ([127, 0, 0, 1], server.port()).into()
}

/// The text of an error up to the ids of its request, which may contain anything.
fn text(error: &Error) -> String {
    let text = error.to_string();
    text.split_once(" [host ").map_or(text.clone(), |(text, _)| text.to_owned())
}
