use std::net::TcpListener;

use super::super::clock::Clock;
use super::super::random::Random;
use super::super::service::{Service, SharedKey};
use super::*;

#[test]
fn a_connection_without_a_whole_request_is_closed_after_a_while() {
    let service = Service::new(SharedKey::from_bytes(vec![7]), false, Random::from_seed(1));
    let state = State::new(service, Clock::default(), None);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let answered = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    for sent in ["", "POST / HTTP/1.1\r\nHost:", answered] {
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        client.write_all(sent.as_bytes()).unwrap();
        let (stream, _) = listener.accept().unwrap();
        let served = thread::scope(|scope| {
            let serving = scope.spawn(|| serve(&stream, None, &state, Duration::from_millis(50)));
            serving.join().unwrap()
        });
        let kind = served.unwrap_err().kind();
        assert!(matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{kind:?}");
        drop(stream);
        let mut text = String::new();
        client.read_to_string(&mut text).unwrap();
        assert_eq!(text.is_empty(), sent != answered, "{text}");
    }
}
