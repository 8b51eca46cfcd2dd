//! Connection reuse: idle connections are reused, a retry opens a new one, and no user is created twice.

use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, SystemTime};

use acs_identity::{
    AccessKey, BearerToken, CommunicationIdentityClient, Credential, ErrorKind, RetryPolicy,
};
use rustls::ServerConfig;

use crate::support::authority::{Authority, Flaw};
use crate::support::server::{ID, respond_well, success};
use crate::support::{
    CANARY_KEY, Connection, Operation, PATIENCE, Server, hurried, hurried_policy, on_both_agents,
};

/// How a server ends a connection after a response.
#[derive(Clone, Copy, Debug)]
enum End {
    Never,
    /// With a TLS `close_notify` alert.
    CloseNotify,
    Fin,
    /// When the next request arrives, without reading it: a race that the client always loses.
    Late,
}

fn serve(connection: &mut Connection, headers: &str, end: End) {
    while let Some(request) = connection.request() {
        connection.send(success(&request, headers));
        match end {
            End::Never => continue,
            End::CloseNotify => {
                connection.tls().send_close_notify();
                connection.send("");
            }
            End::Fin => {}
            End::Late => {
                let _ = connection.tcp().peek(&mut [0]);
            }
        }
        return;
    }
}

fn server(tls: Option<&Arc<ServerConfig>>, headers: &'static str, end: End) -> Server {
    let script = move |connection: &mut Connection| serve(connection, headers, end);
    match tls {
        None => Server::scripted(script),
        Some(config) => Server::with_tls(Arc::clone(config), script),
    }
}

/// Creates users one after the other and returns how many are in doubt.
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
const KEEP_ALIVE: &str = "Connection: keep-alive\r\n";

#[test]
fn connections_are_reused_whether_or_not_keep_alive_is_announced() {
    for headers in [SAYS_NOTHING, KEEP_ALIVE, "Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n"]
    {
        for agent in 0..2 {
            let server = server(None, headers, End::Never);
            let client = &on_both_agents(|| hurried(&server))[agent];
            assert_eq!(creates(client, 10), 0);
            assert_eq!((server.connections(), server.requests().len()), (1, 10), "{headers:?}");
            for operation in [Operation::Issue, Operation::Revoke, Operation::Delete] {
                operation.run(client).unwrap();
            }
            assert_eq!((server.connections(), server.requests().len()), (1, 13), "{headers:?}");
        }
    }
}

#[test]
fn connection_close_is_honored() {
    let server = Server::scripted(respond_well);
    let client = hurried(&server).build().unwrap();
    for _ in 0..5 {
        client.create_user().unwrap();
    }
    assert_eq!((server.connections(), server.requests().len()), (5, 5));
}

/// The first failure shows that the server does not keep its connections.
#[test]
fn create_on_a_connection_that_closes_silently_is_in_doubt_at_most_once() {
    for headers in [SAYS_NOTHING, KEEP_ALIVE] {
        for end in [End::Fin, End::Late] {
            for agent in 0..2 {
                let server = server(None, headers, end);
                let client = &on_both_agents(|| hurried(&server))[agent];
                let in_doubt = creates(client, 40);
                assert!(in_doubt <= 1, "{headers:?} {end:?}: {in_doubt} of 40 in doubt");
                assert!(server.requests().len() <= 40, "{headers:?} {end:?}: sent twice");
            }
        }
    }
}

#[test]
fn create_on_a_tls_connection_that_closes_is_in_doubt_at_most_once() {
    let authority = Authority::new();
    let config = authority.server(Flaw::None);
    for end in [End::CloseNotify, End::Fin, End::Late] {
        let server = server(Some(&config), SAYS_NOTHING, end);
        let client = hurried(&server).agent(authority.agent()).build().unwrap();
        let in_doubt = creates(&client, 25);
        assert!(in_doubt <= 1, "{end:?}: {in_doubt} of 25 in doubt");
        assert!(server.requests().len() <= 25, "{end:?}: sent twice");
    }
}

/// Other operations leave idle connections behind and are retried if one of these is lost.
#[test]
fn create_after_other_operations_is_in_doubt_at_most_once() {
    let server = server(None, SAYS_NOTHING, End::Late);
    let client = hurried(&server).build().unwrap();
    let mut in_doubt = 0;
    for _ in 0..20 {
        for operation in [Operation::Issue, Operation::Revoke, Operation::Delete] {
            operation.run(&client).unwrap();
        }
        in_doubt += creates(&client, 1);
    }
    assert!(in_doubt <= 1, "{in_doubt} of 20 in doubt");
    let requests = server.requests();
    let creates = requests.iter().filter(|it| it.starts_with("POST /identities?"));
    assert!(creates.count() <= 20, "a create was sent twice");
}

/// Each thread may once be the first to notice.
#[test]
fn create_from_many_threads_is_in_doubt_at_most_once_each() {
    const THREADS: usize = 4;
    let server = server(None, SAYS_NOTHING, End::Late);
    let client = hurried(&server).build().unwrap();
    let in_doubt: usize = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(|| creates(&client, 25))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert!(in_doubt <= THREADS, "{in_doubt} of 100 in doubt");
    assert!(server.requests().len() <= 25 * THREADS, "sent twice");
}

/// The server closes each connection within its second response.
#[test]
fn create_after_a_response_that_broke_off_opens_new_connections() {
    let server = Server::scripted(|connection| {
        let Some(request) = connection.request() else { return };
        connection.send(success(&request, KEEP_ALIVE));
        let Some(request) = connection.request() else { return };
        let response = success(&request, KEEP_ALIVE);
        let head = response.find("\r\n\r\n").unwrap();
        connection.send(&response[..head + 9]);
    });
    let client = hurried(&server).build().unwrap();
    assert_eq!(creates(&client, 20), 1);
}

/// A middlebox or a failover that dropped the connections silently: bytes are sent, but nothing comes back.
struct DeadPool {
    server: Server,
    client: CommunicationIdentityClient,
}

impl DeadPool {
    const KEPT: usize = 8;

    /// Serves one request on each of the first connections, all at once, and ignores them afterwards;
    /// serves later connections properly.
    fn new(policy: RetryPolicy) -> Self {
        let server = Server::scripted(|connection| {
            if connection.number >= Self::KEPT {
                return serve(connection, SAYS_NOTHING, End::Never);
            }
            let Some(request) = connection.request() else { return };
            connection.hold_until_open(Self::KEPT);
            connection.send(success(&request, SAYS_NOTHING));
            let _ = std::io::copy(connection.tcp(), &mut std::io::sink());
        });
        let client = hurried(&server).retry_policy(policy).timeout(Duration::from_secs(2));
        let client = client.build().unwrap();
        thread::scope(|scope| {
            for _ in 0..Self::KEPT {
                scope.spawn(|| Operation::Issue.run(&client).unwrap());
            }
        });
        assert_eq!(server.connections(), Self::KEPT);
        Self { server, client }
    }
}

#[test]
fn dead_pool_costs_a_call_one_attempt() {
    thread::scope(|scope| {
        for operation in
            [Operation::Issue, Operation::Exchange, Operation::Revoke, Operation::Delete]
        {
            scope.spawn(move || {
                let DeadPool { server, client } = DeadPool::new(hurried_policy());
                let attempts = Arc::new(Mutex::new(0));
                let count = Arc::clone(&attempts);
                let client = client.observed(move |call| *count.lock().unwrap() = call.attempts());
                operation.run(&client).unwrap();
                assert_eq!(*attempts.lock().unwrap(), 2, "{operation:?}");
                // The retry closed the other idle connections.
                operation.run(&client).unwrap();
                assert_eq!(*attempts.lock().unwrap(), 1, "{operation:?}");
                assert_eq!(server.connections(), DeadPool::KEPT + 1, "{operation:?}");
            });
        }
    });
}

#[test]
fn dead_pool_costs_one_call_if_there_are_no_retries() {
    let DeadPool { server, client } = DeadPool::new(RetryPolicy::none());
    assert_eq!(Operation::Delete.run(&client).unwrap_err().kind(), ErrorKind::Timeout);
    Operation::Delete.run(&client).unwrap();
    Operation::Issue.run(&client).unwrap();
    assert_eq!(server.connections(), DeadPool::KEPT + 1);
}

#[test]
fn dead_pool_costs_no_other_call_while_one_fetches_its_credential() {
    let DeadPool { server, client } = DeadPool::new(RetryPolicy::none());
    Operation::Delete.run(&client).unwrap_err();
    let (begin, has_begun) = mpsc::channel();
    let (finish, may_finish) = mpsc::channel();
    let may_finish = Mutex::new(may_finish);
    client.replace_credential(Credential::bearer(move |_| {
        begin.send(())?;
        may_finish.lock().unwrap().recv_timeout(PATIENCE)?;
        Ok(BearerToken::new("token", SystemTime::now() + PATIENCE))
    }));
    thread::scope(|scope| {
        let slow = scope.spawn(|| Operation::Issue.run(&client));
        has_begun.recv_timeout(PATIENCE).unwrap();
        client.replace_credential(CANARY_KEY.parse::<AccessKey>().unwrap());
        let other = Operation::Issue.run(&client);
        finish.send(()).unwrap();
        other.unwrap();
        slow.join().unwrap().unwrap();
    });
    assert_eq!(server.connections(), DeadPool::KEPT + 1);
}

/// Nothing was sent, so nothing is known about the connections.
#[test]
fn credential_that_fails_leaves_the_connections_open() {
    let server = server(None, SAYS_NOTHING, End::Never);
    let client = hurried(&server).build().unwrap();
    for _ in 0..3 {
        client.replace_credential(CANARY_KEY.parse::<AccessKey>().unwrap());
        client.create_user().unwrap();
        client.replace_credential(Credential::bearer(|_| Err("not there".into())));
        assert_eq!(client.create_user().unwrap_err().kind(), ErrorKind::Credential);
    }
    assert_eq!((server.connections(), server.requests().len()), (1, 3));
}

#[test]
fn dead_pool_leaves_at_most_the_first_create_in_doubt() {
    let DeadPool { server, client } = DeadPool::new(hurried_policy());
    let error = client.create_user().unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Timeout, 1), "{error}");
    assert!(error.is_in_doubt(), "{error}");
    client.create_user().unwrap();
    assert_eq!(server.connections(), DeadPool::KEPT + 1);
}

/// Data that a server sends before the next request must not count as the response to it.
#[test]
fn response_that_is_unsolicited_is_not_used_for_the_next_request() {
    let server = || {
        Server::scripted(|connection| {
            while let Some(request) = connection.request() {
                let [own, stale] = [success(&request, ""), success(&request, "")];
                connection.send(own + &stale.replace(ID, "8:acs:resource_stale"));
            }
        })
    };
    for agent in 0..2 {
        let server = server();
        let client = &on_both_agents(|| hurried(&server))[agent];
        for _ in 0..5 {
            match client.create_user() {
                Ok(user) => assert_eq!(user.identifier(), ID),
                Err(error) => assert!(error.is_in_doubt(), "{error}"),
            }
        }
    }
}

/// The server read the request from a reused connection and closed it: it may have processed the request.
#[test]
fn create_on_a_kept_connection_that_dies_is_in_doubt() {
    let server = Server::scripted(|connection| {
        if let Some(request) = connection.request() {
            connection.send(success(&request, KEEP_ALIVE));
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

/// Nothing is sent before the handshake is over, which the body that ureq has not read proves.
#[test]
fn create_is_retried_on_any_agent_if_the_handshake_is_reset() {
    let authority = Authority::new();
    for agent in [None, Some(authority.agent())] {
        let server = Server::with_tls(authority.server(Flaw::None), |connection| {
            if connection.number == 0 {
                connection.reset_unread();
            } else {
                respond_well(connection);
            }
        });
        let client = hurried(&server);
        let client = match agent {
            None => client.root_certificates(authority.pem()),
            Some(agent) => client.agent(agent),
        };
        client.build().unwrap().create_user().unwrap();
        assert_eq!((server.connections(), server.requests().len()), (2, 1));
    }
}
