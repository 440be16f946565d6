//! One stream of a multiplexed session, from its TCP connection's side (PROTOCOL §9.5.4).
//!
//! Knows nothing of the multiplexer: bytes for the connection come in one at a time, and what happens is told.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::mpsc;

use super::destination::Destination;
use crate::smux::Pieces;

/// How many bytes are read from a connection at a time, as the official agent reads them.
const READ_MAX: usize = 32 << 10;

/// How far a stream has come.
#[derive(Debug)]
pub(super) enum Progress {
    /// It is connected, and takes bytes.
    Connected(u32),
    /// It could not be connected, and is over.
    Refused(u32),
    /// It has taken the bytes that it was given, and takes more.
    Taken(u32),
}

/// What a connection gave.
#[derive(Debug)]
pub(super) enum Received {
    /// Bytes.
    Data(u32, Bytes),
    /// Its end. It is closed in both directions.
    Closed(u32),
}

/// Connects a stream and carries its bytes, until either end closes it.
///
/// `from_client` ends when the client has closed the stream. Bytes are to be sent there only one piece at a time: the
/// next after each [`Progress::Connected`] and [`Progress::Taken`].
pub(super) async fn carry(
    id: u32,
    destination: Arc<Destination>,
    mut from_client: mpsc::Receiver<Pieces>,
    progress: mpsc::Sender<Progress>,
    received: mpsc::Sender<Received>,
) {
    // Sending fails only when the session is over, and then this task is about to be dropped.
    let Ok(mut stream) = destination.dial().await else {
        return drop(progress.send(Progress::Refused(id)).await);
    };
    drop(progress.send(Progress::Connected(id)).await);
    let (reader, writer) = stream.split();
    tokio::select! {
        () = read(id, reader, &received) => {}
        () = write(id, writer, &mut from_client, &progress) => {}
    }
    drop(stream);
    drop(received.send(Received::Closed(id)).await);
}

/// Passes on what the connection gives, to its end.
async fn read(id: u32, mut reader: ReadHalf<'_>, received: &mpsc::Sender<Received>) {
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(READ_MAX);
        match (&mut reader).take(READ_MAX as u64).read_buf(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(_) => drop(received.send(Received::Data(id, buffer.split().freeze())).await),
        }
    }
}

/// Writes what the client sends. Ends when the client has closed the stream and all is written.
async fn write(
    id: u32,
    mut writer: WriteHalf<'_>,
    from_client: &mut mpsc::Receiver<Pieces>,
    progress: &mpsc::Sender<Progress>,
) {
    while let Some(mut data) = from_client.recv().await {
        if writer.write_all_buf(&mut data).await.is_err() {
            // Its reader learns it too, and may have something left to read.
            return std::future::pending().await;
        }
        drop(progress.send(Progress::Taken(id)).await);
    }
}
