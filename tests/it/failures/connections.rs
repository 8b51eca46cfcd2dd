//! A create does not go over a connection that the server may have closed, and none is
//! made twice.

use std::sync::{Arc, Barrier, mpsc};
use std::thread;

use acs_identity::{CommunicationIdentityClient, ErrorKind};
use rustls::ServerConfig;

use crate::support::authority::{Authority, Flaw};
use crate::support::server::{ID, respond_well, success};
use crate::support::{Connection, Operation, PATIENCE, Server, hurried, on_both_agents};

/// How a server parts with a connection after a response.
#[derive(Clone, Copy, Debug)]
enum Parting {
    Never,
    /// Tells TLS that it goes.
    Politely,
    Rudely,
    /// When the next request comes in, which it does not read: the race that a client always loses.
    Late,
}

fn serve(connection: &mut Connection, headers: &str, parting: Parting) {
    while let Some(request) = connection.request() {
        connection.send(success(&request, headers));
        match parting {
            Parting::Never => continue,
            Parting::Politely => {
                connection.tls().send_close_notify();
                connection.send("");
            }
            Parting::Rudely => {}
            Parting::Late => {
                let _ = connection.tcp().peek(&mut [0]);
            }
        }
        return;
    }
}

fn server(tls: Option<&Arc<ServerConfig>>, headers: &'static str, parting: Parting) -> Server {
    let script = move |connection: &mut Connection| serve(connection, headers, parting);
    match tls {
        None => Server::scripted(script),
        Some(config) => Server::with_tls(Arc::clone(config), script),
    }
}

/// Creates back to back; how many ended in doubt.
fn creates(client: &CommunicationIdentityClient, count: usize) -> usize {
    let mut in_doubt = 0;
    for number in 0..count {
        if let Err(error) = Operation::CREATES[number % 2].run(client) {
            assert!(error.is_in_doubt(), "{error}");
            assert_eq!(error.attempts(), 1, "{error}");
            in_doubt += 1;
        }
    }
    in_doubt
}

const SAYS_NOTHING: &str = "";
const LIES: &str = "Connection: keep-alive\r\n";

#[test]
fn a_server_that_closes_after_each_response() {
    // The first failure tells that the server does not keep what it says that it keeps.
    for (headers, most) in [(SAYS_NOTHING, 0), (LIES, 1)] {
        for parting in [Parting::Rudely, Parting::Late] {
            for agent in 0..2 {
                let server = server(None, headers, parting);
                let client = &on_both_agents(|| hurried(&server))[agent];
                let in_doubt = creates(client, 40);
                assert!(in_doubt <= most, "{headers:?} {parting:?}: {in_doubt} of 40 in doubt");
                assert!(server.requests().len() <= 40, "{headers:?} {parting:?}: sent twice");
            }
        }
    }
}

#[test]
fn a_tls_server_that_closes_after_each_response() {
    let authority = Authority::new();
    let config = authority.server(Flaw::None);
    for (headers, most) in [(SAYS_NOTHING, 0), (LIES, 1)] {
        for parting in [Parting::Politely, Parting::Rudely, Parting::Late] {
            let server = server(Some(&config), headers, parting);
            let client = hurried(&server).agent(authority.agent()).build().unwrap();
            let in_doubt = creates(&client, 25);
            assert!(in_doubt <= most, "{headers:?} {parting:?}: {in_doubt} of 25 in doubt");
            assert!(server.requests().len() <= 25, "{headers:?} {parting:?}: sent twice");
        }
    }
}

/// Other operations put their connections back, and a create must not trust those either.
#[test]
fn a_create_after_other_operations() {
    for (headers, most) in [(SAYS_NOTHING, 0), (LIES, 1)] {
        let server = server(None, headers, Parting::Late);
        let client = hurried(&server).build().unwrap();
        let mut in_doubt = 0;
        for _ in 0..20 {
            for operation in [Operation::Issue, Operation::Revoke, Operation::Delete] {
                operation.run(&client).unwrap();
            }
            in_doubt += creates(&client, 1);
        }
        assert!(in_doubt <= most, "{headers:?}: {in_doubt} of 20 in doubt");
        let requests = server.requests();
        let creates = requests.iter().filter(|it| it.starts_with("POST /identities?"));
        assert!(creates.count() <= 20, "{headers:?}: a create was sent twice");
    }
}

/// Each thread may be the first to find out, once.
#[test]
fn many_threads() {
    const THREADS: usize = 4;
    for (headers, most) in [(SAYS_NOTHING, 0), (LIES, THREADS)] {
        let server = server(None, headers, Parting::Late);
        let client = hurried(&server).build().unwrap();
        let in_doubt: usize = thread::scope(|scope| {
            let threads: Vec<_> =
                (0..THREADS).map(|_| scope.spawn(|| creates(&client, 25))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert!(in_doubt <= most, "{headers:?}: {in_doubt} of 100 in doubt");
        assert!(server.requests().len() <= 25 * THREADS, "{headers:?}: sent twice");
    }
}

/// The first connection is the first that is used again, although a later response promised more.
#[test]
fn one_promise_does_not_count_for_all_connections() {
    let [both_here, first_done] = [(); 2].map(|()| Arc::new(Barrier::new(2)));
    let done = Arc::clone(&first_done);
    let server = Server::scripted(move |connection| {
        let Some(request) = connection.request() else { return };
        if connection.number < 2 {
            both_here.wait();
        }
        if connection.number == 0 {
            connection.send(success(&request, SAYS_NOTHING));
            let _ = connection.tcp().peek(&mut [0]);
            return;
        }
        if connection.number == 1 {
            done.wait();
        }
        connection.send(success(&request, LIES));
        serve(connection, LIES, Parting::Never);
    });
    let client = hurried(&server).build().unwrap();
    let (ended, end) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                Operation::Issue.run(&client).unwrap();
                ended.send(()).unwrap();
            });
        }
        end.recv_timeout(PATIENCE).unwrap();
        first_done.wait();
    });
    assert_eq!(creates(&client, 10), 0);
}

/// Node's servers close after five seconds, and say so.
#[test]
fn a_promise_with_an_end_is_none() {
    let server = server(None, "Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n", Parting::Late);
    let client = hurried(&server).build().unwrap();
    assert_eq!(creates(&client, 10), 0);
}

/// It ends each kept connection within its second response.
#[test]
fn a_server_that_breaks_off_is_not_trusted_again() {
    let server = Server::scripted(|connection| {
        let Some(request) = connection.request() else { return };
        connection.send(success(&request, LIES));
        let Some(request) = connection.request() else { return };
        let response = success(&request, LIES);
        let head = response.find("\r\n\r\n").unwrap();
        connection.send(&response[..head + 9]);
    });
    let client = hurried(&server).build().unwrap();
    assert_eq!(creates(&client, 20), 1);
}

/// What a server says before it is asked is no response to what it is asked next.
#[test]
fn a_response_too_many_is_not_the_next_one() {
    let early = |how: &'static str| {
        Server::scripted(move |connection| {
            while let Some(request) = connection.request() {
                let [own, stale] = [success(&request, how), success(&request, how)];
                connection.send(own + &stale.replace(ID, "8:acs:resource_stale"));
            }
        })
    };
    for how in [SAYS_NOTHING, LIES] {
        for agent in 0..2 {
            let server = early(how);
            let client = &on_both_agents(|| hurried(&server))[agent];
            for _ in 0..5 {
                match client.create_user() {
                    Ok(user) => assert_eq!(user.identifier(), ID),
                    Err(error) => assert!(error.is_in_doubt(), "{error}"),
                }
            }
        }
    }
}

/// The price is paid only where it has to be.
#[test]
fn connections_that_are_kept_are_used() {
    let server_of = |headers| server(None, headers, Parting::Never);
    // The server says that it keeps it.
    let server = server_of("Connection: keep-alive\r\n");
    let client = hurried(&server).build().unwrap();
    assert_eq!(creates(&client, 20), 0);
    assert_eq!((server.connections(), server.requests().len()), (1, 20));

    // It does not say so: what may be repeated takes the risk.
    let server = server_of(SAYS_NOTHING);
    let client = hurried(&server).build().unwrap();
    for _ in 0..20 {
        for operation in [Operation::Issue, Operation::Revoke, Operation::Delete] {
            operation.run(&client).unwrap();
        }
    }
    assert_eq!((server.connections(), server.requests().len()), (1, 60));
}

#[test]
fn a_connection_that_is_said_to_close_is_not_used_again() {
    let server = Server::scripted(respond_well);
    let client = hurried(&server).build().unwrap();
    for _ in 0..5 {
        client.create_user().unwrap();
    }
    assert_eq!((server.connections(), server.requests().len()), (5, 5));
}

/// The server read the request from a kept connection and went away: it may have been done.
#[test]
fn a_kept_connection_that_dies_under_a_create_leaves_it_in_doubt() {
    let server = Server::scripted(|connection| {
        if let Some(request) = connection.request() {
            connection.send(success(&request, LIES));
            connection.request();
        }
    });
    let client = hurried(&server).build().unwrap();
    client.create_user().unwrap();
    let error = client.create_user().unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Transport, 1), "{error}");
    assert!(error.is_in_doubt());
    assert_eq!((server.connections(), server.requests().len()), (1, 2));
}
