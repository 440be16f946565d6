//! The yardstick of the `stream` figures: the same websocket library, digests and acknowledges, and nothing else.

use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::{FutureExt, SinkExt, StreamExt};
use ssmwire::proto::frame::SYN_FIN;
use ssmwire::proto::payload::Acknowledge;
use ssmwire::proto::{Frame, MessageId, MessageType};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::{self, Message};

/// Reads to the end and returns how many payload bytes there were.
pub(crate) async fn read_all(gateway: SocketAddr) -> u64 {
    let stream = TcpStream::connect(gateway).await.expect("connects");
    stream.set_nodelay(true).expect("nodelay");
    let url = format!("ws://{gateway}/");
    let (mut socket, _) = tokio_tungstenite::client_async(url, stream).await.expect("a websocket");
    socket.send(Message::text("open")).await.expect("sends");
    let (mut bytes, mut expected) = (0, 0);
    let mut next = socket.next().await;
    loop {
        match take(next, &mut expected) {
            Some((acknowledge, length)) => {
                bytes += length as u64;
                socket.feed(Message::Binary(acknowledge)).await.expect("feeds");
            }
            None => return bytes,
        }
        next = match socket.next().now_or_never() {
            Some(more) => more,
            None => {
                socket.flush().await.expect("flushes");
                socket.next().await
            }
        };
    }
}

fn take(next: Option<Result<Message, tungstenite::Error>>, expected: &mut i64) -> Option<(Bytes, usize)> {
    let Some(Ok(Message::Binary(message))) = next else { return None };
    let frame = Frame::decode(&message).expect("a frame");
    if frame.message_type != MessageType::OutputStreamData {
        return None;
    }
    assert_eq!(frame.sequence, *expected);
    *expected += 1;
    let acknowledge = Acknowledge { message_type: frame.message_type, id: frame.id, sequence: frame.sequence };
    let mut answer = Frame { flags: SYN_FIN, ..Frame::new(MessageType::Acknowledge, acknowledge.encode()) };
    (answer.created_ms, answer.id) = (1, MessageId([9; 16]));
    Some((answer.encode(), frame.payload.len()))
}

/// Unacknowledged messages of the bare sender.
const WINDOW: i64 = 500;

/// Sends `count` messages of `size` bytes, and returns when all are acknowledged.
pub(crate) async fn send_all(gateway: SocketAddr, count: i64, size: usize) {
    let stream = TcpStream::connect(gateway).await.expect("connects");
    stream.set_nodelay(true).expect("nodelay");
    let (mut socket, _) = tokio_tungstenite::client_async(format!("ws://{gateway}/"), stream).await.expect("opens");
    let payload = Bytes::from(vec![b'x'; size]);
    let (mut sent, mut acknowledged) = (0, 0);
    while acknowledged < count {
        while sent < count && sent - acknowledged < WINDOW {
            let mut frame = Frame::data(MessageType::InputStreamData, sent, 1, payload.clone());
            (frame.created_ms, frame.id) = (1, MessageId([7; 16]));
            socket.feed(Message::Binary(frame.encode())).await.expect("feeds");
            sent += 1;
        }
        socket.flush().await.expect("flushes");
        let mut next = Some(socket.next().await);
        while let Some(message) = next {
            let Some(Ok(Message::Binary(message))) = message else { panic!("the receiver is gone") };
            let frame = Frame::decode(&message).expect("a frame");
            assert!(Acknowledge::parse_sequence(&frame.payload).is_some());
            acknowledged += 1;
            next = socket.next().now_or_never();
        }
    }
}

/// Takes one local connection and sends `count` bytes of it on, as a forward does; answers with a byte when all are
/// acknowledged.
pub(crate) async fn forward(listener: TcpListener, gateway: SocketAddr, count: u64) {
    let stream = TcpStream::connect(gateway).await.expect("connects");
    stream.set_nodelay(true).expect("nodelay");
    let (mut socket, _) = tokio_tungstenite::client_async(format!("ws://{gateway}/"), stream).await.expect("opens");
    let (mut local, _) = listener.accept().await.expect("a connection");
    let mut buffer = vec![0; 16 << 10];
    let (mut sent, mut acknowledged, mut left) = (0, 0, count);
    while left > 0 || acknowledged < sent {
        while left > 0
            && sent - acknowledged < WINDOW
            && let Ok(read) = local.try_read(&mut buffer)
        {
            assert!(read > 0, "the local program is gone");
            let payload = Bytes::copy_from_slice(&buffer[..read]);
            let mut frame = Frame::data(MessageType::InputStreamData, sent, 1, payload);
            (frame.created_ms, frame.id) = (1, MessageId([7; 16]));
            socket.feed(Message::Binary(frame.encode())).await.expect("feeds");
            sent += 1;
            left -= read as u64;
        }
        socket.flush().await.expect("flushes");
        tokio::select! {
            ready = local.readable(), if left > 0 && sent - acknowledged < WINDOW => ready.expect("it is there"),
            first = socket.next(), if acknowledged < sent => {
                let mut next = Some(first);
                while let Some(message) = next {
                    let Some(Ok(Message::Binary(message))) = message else { panic!("the receiver is gone") };
                    let frame = Frame::decode(&message).expect("a frame");
                    assert!(Acknowledge::parse_sequence(&frame.payload).is_some());
                    acknowledged += 1;
                    next = socket.next().now_or_never();
                }
            }
        }
    }
    local.write_u8(1).await.expect("writes");
}

/// The peer of [`send_all`]; what it receives is for nobody.
pub(crate) async fn receive(stream: TcpStream) -> std::io::Result<()> {
    pass_on(stream, &mut tokio::io::sink()).await
}

/// The peer of [`forward`]; what it receives is for `port`.
pub(crate) async fn deliver(stream: TcpStream, port: SocketAddr) -> std::io::Result<()> {
    pass_on(stream, &mut TcpStream::connect(port).await?).await
}

async fn pass_on(stream: TcpStream, target: &mut (impl AsyncWrite + Unpin)) -> std::io::Result<()> {
    let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return Ok(()) };
    let mut next = socket.next().await;
    while let Some(Ok(Message::Binary(message))) = next {
        let frame = Frame::decode(&message).expect("a frame");
        target.write_all(&frame.payload).await?;
        let acknowledge = Acknowledge { message_type: frame.message_type, id: frame.id, sequence: frame.sequence };
        let mut answer = Frame { flags: SYN_FIN, ..Frame::new(MessageType::Acknowledge, acknowledge.encode()) };
        (answer.created_ms, answer.id) = (1, MessageId([9; 16]));
        if socket.feed(Message::Binary(answer.encode())).await.is_err() {
            break;
        }
        next = match socket.next().now_or_never() {
            Some(more) => more,
            None => {
                if socket.flush().await.is_err() {
                    break;
                }
                socket.next().await
            }
        };
    }
    Ok(())
}
