//! The far side of the `stream` figures: a gateway that sends data messages as fast as they are acknowledged.

use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use ssmwire::proto::{Frame, MessageId, MessageType, payload};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;

/// Messages that may be unacknowledged.
const WINDOW: i64 = 1000;

/// Serves one client after the other, on a thread of its own, each with `messages` messages of `size` bytes.
pub(crate) fn start(messages: i64, size: usize) -> SocketAddr {
    let (address, bound) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            address.send(listener.local_addr().expect("an address")).expect("somebody waits");
            loop {
                let (stream, _) = listener.accept().await.expect("a client");
                stream.set_nodelay(true).expect("nodelay");
                serve(tokio_tungstenite::accept_async(stream).await.expect("a websocket"), messages, size).await;
            }
        });
    });
    bound.recv().expect("it is bound")
}

async fn serve(mut socket: tokio_tungstenite::WebSocketStream<tokio::net::TcpStream>, messages: i64, size: usize) {
    let _open = socket.next().await;
    let payload = Bytes::from(vec![b'x'; size]);
    let (mut sent, mut acknowledged) = (0, 0);
    while acknowledged < messages {
        while sent < messages && sent - acknowledged < WINDOW {
            let mut frame = Frame::data(MessageType::OutputStreamData, sent, 1, payload.clone());
            (frame.created_ms, frame.id) = (1, MessageId([7; 16]));
            if socket.feed(Message::Binary(frame.encode())).await.is_err() {
                return;
            }
            sent += 1;
        }
        if socket.flush().await.is_err() {
            return;
        }
        // Waits for one acknowledge, then takes whatever else has come.
        let mut next = socket.next().await;
        loop {
            match next {
                Some(Ok(Message::Binary(_))) => acknowledged += 1,
                Some(Ok(_)) => {}
                _ => return,
            }
            match futures_util::FutureExt::now_or_never(socket.next()) {
                Some(more) => next = more,
                None => break,
            }
        }
    }
    let mut closed = Frame::new(MessageType::ChannelClosed, payload::ChannelClosed::default().encode());
    closed.created_ms = 1;
    let _ = socket.send(Message::Binary(closed.encode())).await;
    let _ = socket.close(None).await;
}
