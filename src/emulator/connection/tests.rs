use std::net::TcpListener;
use std::sync::atomic::AtomicBool;

use super::super::service::{Service, Settings, SharedKey};
use super::*;

pub(in crate::emulator) fn state() -> State {
    let key = SharedKey::parse("c2VjcmV0").unwrap();
    State::new(Service::new(key, Settings::default()), None)
}

/// A socket whose first read is interrupted, as a signal does.
struct Interrupted(TcpStream, AtomicBool);

impl Read for Interrupted {
    fn read(&mut self, part: &mut [u8]) -> io::Result<usize> {
        if !self.1.swap(true, Ordering::SeqCst) {
            return Err(ErrorKind::Interrupted.into());
        }
        self.0.read(part)
    }
}

impl Write for Interrupted {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        self.0.write(part)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[test]
fn connection_repeats_a_read_that_a_signal_interrupts() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    // The first byte stands for TLS; the rest is read through the stream that `accept` makes.
    client.write_all(b"\x16GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let accept = |mut socket: TcpStream| -> io::Result<Box<dyn Stream>> {
        socket.read_exact(&mut [0])?;
        Ok(Box::new(Interrupted(socket, AtomicBool::new(false))))
    };
    let (socket, _) = listener.accept().unwrap();
    serve(&socket, Some(&accept), &state(), Duration::from_secs(10)).unwrap();
    drop(socket);
    let mut text = String::new();
    client.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 401 "), "{text}");
}

#[test]
fn connection_without_a_complete_request_is_closed_after_a_while() {
    let state = state();
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
