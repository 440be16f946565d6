//! TCP servers on this machine, as what is behind a far port.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};

/// Listens, and lets `serve` have every connection. Returns the port.
pub(crate) fn listen(serve: fn(TcpStream)) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || serve(stream));
        }
    });
    port
}

/// Sends back what comes. A line `bye` ends the connection.
pub(crate) fn echo(mut stream: TcpStream) {
    let mut buffer = vec![0; 64 * 1024];
    let mut last = Vec::new();
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        if stream.write_all(&buffer[..length]).is_err() {
            return;
        }
        last.extend_from_slice(&buffer[..length]);
        last.drain(..last.len().saturating_sub(4));
        if last == b"bye\n" {
            // An error means that the other end has gone already.
            let _ = stream.shutdown(Shutdown::Both);
            return;
        }
    }
}

/// Sends for as long as somebody takes it.
pub(crate) fn flood(mut stream: TcpStream) {
    while stream.write_all(&[b'x'; 64 * 1024]).is_ok() {}
}

/// A port on which nothing listens, and which no other test is given.
pub(crate) const REFUSING: u16 = 1;

/// Returns a port that was free just now.
pub(crate) fn unused() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("bound").port()
}

/// Returns bytes of every value, in no order that a lost or repeated piece would keep; `bye` ends them.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    let mut bytes: Vec<u8> = std::iter::repeat_with(next).take(length).collect();
    bytes.extend_from_slice(b"\nbye\n");
    bytes
}

/// Sends `bytes` and returns what comes back before the end.
pub(crate) fn exchange<S: Read + Write + Send + 'static>(mut stream: S, mut sender: S, bytes: Vec<u8>) -> Vec<u8> {
    let sending = std::thread::spawn(move || sender.write_all(&bytes));
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("a clean end");
    sending.join().expect("no panic").expect("all was taken");
    answer
}
