//! A response that is truncated at each of its bytes, with a normal close and with a reset.

use std::sync::{Arc, Mutex};
use std::thread;

use acs_identity::CommunicationIdentityClient;

use crate::support::server::{ID, success};
use crate::support::{Connection, Operation, Server, hurried};

/// Truncates the first response to each call after a number of bytes.
struct Cutter {
    server: Server,
    client: CommunicationIdentityClient,
    cut: Arc<Mutex<Option<usize>>>,
}

impl Cutter {
    fn new(read: fn(&mut Connection) -> Option<String>) -> Self {
        let cut = Arc::new(Mutex::new(None::<usize>));
        let next = Arc::clone(&cut);
        let server = Server::scripted(move |connection| {
            let Some(request) = read(connection) else { return };
            let response = success(&request, "Connection: close\r\n");
            let length = next.lock().unwrap().take().unwrap_or(response.len());
            connection.send(&response[..length]);
        });
        let client = hurried(&server).build().unwrap();
        Self { server, client, cut }
    }

    /// Runs an operation with its first response truncated; returns the result and the number of requests.
    fn run(&self, operation: Operation, length: usize) -> (Result<(), acs_identity::Error>, usize) {
        let before = self.server.requests().len();
        *self.cut.lock().unwrap() = Some(length);
        let result = operation.run(&self.client);
        (result, self.server.requests().len() - before)
    }
}

/// The complete response to an operation.
fn complete_response(operation: Operation) -> String {
    let cutter = Cutter::new(Connection::request);
    operation.run(&cutter.client).unwrap();
    success(&cutter.server.requests()[0], "Connection: close\r\n")
}

fn assert_each_cut(
    operation: Operation,
    read: fn(&mut Connection) -> Option<String>,
    resets: bool,
) {
    let response = complete_response(operation);
    let id_ends = response.find(ID).map_or(usize::MAX, |at| at + ID.len() + 1);
    let cutter = Cutter::new(read);
    for length in 0..response.len() {
        let (result, requests) = cutter.run(operation, length);
        let what = format!("{operation:?}, {length} of {}, reset {resets}", response.len());
        let Err(error) = result else {
            assert!(!operation.is_create(), "{what}");
            assert_eq!(requests, 2, "{what}");
            continue;
        };
        assert!(response.contains(ID), "{what}: {error}");
        assert_eq!(requests, 1, "{what}: {error}");
        let id = error.created_user_id();
        assert_eq!(error.is_in_doubt(), id.is_none(), "{what}: {error}");
        assert!(operation.is_create() || id.is_some(), "{what}: {error}");
        // A reset may discard data that arrived before it.
        assert!(length >= id_ends || id.is_none(), "{what}: {error}");
        assert!(length < id_ends || id.is_some() || resets, "{what}: {error}");
    }
}

#[test]
fn response_truncated_at_any_byte_is_repeated_or_in_doubt() {
    thread::scope(|scope| {
        for operation in Operation::ALL {
            scope.spawn(move || assert_each_cut(operation, Connection::request, false));
            scope.spawn(move || assert_each_cut(operation, Connection::leave_unread, true));
        }
    });
}
