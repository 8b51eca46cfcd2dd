//! The connections that creates use.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use super::*;

/// A service that keeps connections without announcing it, and counts them. Told to, it closes the connection
/// of the next request instead of a response.
#[derive(Default)]
struct Silent {
    connections: AtomicU32,
    closes_next: AtomicBool,
}

impl Silent {
    fn start() -> (Arc<Self>, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = Arc::new(Self::default());
        let this = Arc::clone(&server);
        thread::spawn(move || {
            for stream in listener.incoming() {
                this.connections.fetch_add(1, Ordering::SeqCst);
                let this = Arc::clone(&this);
                thread::spawn(move || this.serve(&stream.unwrap()));
            }
        });
        (server, port)
    }

    fn serve(&self, mut stream: &TcpStream) {
        const RESPONSE: &[u8] =
            b"HTTP/1.1 201 Created\r\nContent-Length: 31\r\n\r\n{\"identity\":{\"id\":\"8:acs:a_b\"}}";
        let mut request = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            request.extend(&buffer[..count]);
            if !request.ends_with(b"}") {
                continue;
            }
            request.clear();
            if self.closes_next.swap(false, Ordering::SeqCst) {
                return;
            }
            stream.write_all(RESPONSE).unwrap();
        }
    }
}

#[test]
fn create_opens_new_connections_for_ten_minutes_after_one_was_lost() {
    let (server, port) = Silent::start();
    let clock = TestClock::at(SystemTime::now());
    let endpoint = format!("http://127.0.0.1:{port}").parse().unwrap();
    let key: AccessKey = "c2VjcmV0".parse().unwrap();
    let client =
        CommunicationIdentityClient::builder(endpoint, key).clock(clock.clone()).build().unwrap();
    let create = || {
        client.create_user().unwrap();
        server.connections.load(Ordering::SeqCst)
    };
    assert_eq!([create(), create(), create()], [1, 1, 1]);

    // Lost, and then answered as if it were a create.
    server.closes_next.store(true, Ordering::SeqCst);
    let user = "8:acs:a_b".parse().unwrap();
    assert_eq!(client.issue_token(&user, ["chat"]).unwrap_err().attempts(), 2);
    assert_eq!([create(), create()], [2, 2]);

    server.closes_next.store(true, Ordering::SeqCst);
    let error = client.create_user().unwrap_err();
    assert_eq!((error.attempts(), error.is_in_doubt()), (1, true), "{error}");
    assert_eq!([create(), create()], [3, 4]);
    clock.sleep(Duration::from_secs(10 * 60) - Duration::from_millis(1));
    assert_eq!([create(), create()], [5, 6]);
    clock.sleep(Duration::from_millis(1));
    assert_eq!([create(), create()], [6, 6]);
}
