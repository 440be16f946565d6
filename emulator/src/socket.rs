//! A data channel's websocket, driven from one place: batched writes, batched reads, bounded buffers.
//!
//! Knows nothing of sessions and looks into no message.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Sink, Stream as _, StreamExt};
use tokio::io::BufReader;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};

use crate::stream::Stream;

/// The largest message that a peer may send: a payload of 1 MiB with its header and what encryption adds.
pub(crate) const MESSAGE_BYTES_MAX: usize = (1 << 20) + 256;

/// How much may wait to be written before no more is taken from the agent. One message may exceed it.
const OUTBOX_BYTES_MAX: usize = 256 * 1024;
/// How much is read at once. The websocket library alone would read message by message while messages that it has
/// read are still on their way: it can use its buffer again only when nothing points into it.
const READ_BYTES: usize = 256 << 10;
/// How much of it is passed to the library at once, which clears the space for it every time.
const PASS_BYTES: usize = 32 << 10;
/// How many messages are read in one go.
const READ_BATCH: usize = 64;
/// How long the far side may take to close after we have.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// The websocket of a data channel, a client's or an agent's.
#[derive(Debug)]
pub(crate) struct ChannelSocket {
    socket: WebSocketStream<BufReader<Stream>>,
    outbox: VecDeque<Message>,
    outbox_bytes: usize,
    is_flushed: bool,
    received: Vec<Bytes>,
    /// The far side was heard without a message: its pings and pongs.
    is_heard: bool,
}

/// What happened on a data channel's websocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SocketEvent {
    /// Messages can be had from [`ChannelSocket::received`].
    Received,
    /// Some of the outbox was written.
    Written,
    /// The far side closed, or the connection broke.
    Closed,
}

impl ChannelSocket {
    /// Takes over a connection on which HTTP has agreed on the websocket protocol; `read` is what was read too far.
    pub(crate) async fn accept(stream: Stream, read: Bytes) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(PASS_BYTES)
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        let stream = BufReader::with_capacity(READ_BYTES, stream);
        let socket = WebSocketStream::from_partially_read(stream, read.to_vec(), Role::Server, Some(config)).await;
        Self {
            socket,
            outbox: VecDeque::new(),
            outbox_bytes: 0,
            is_flushed: true,
            received: Vec::new(),
            is_heard: false,
        }
    }

    /// Waits for the first application message and answers pings meanwhile; `None` if it is not text or none comes.
    pub(crate) async fn first_text(&mut self) -> Option<String> {
        loop {
            match self.socket.next().await? {
                Ok(Message::Text(text)) => return Some(text.as_str().to_owned()),
                Ok(Message::Ping(_) | Message::Pong(_)) => {}
                Ok(_) | Err(_) => return None,
            }
        }
    }

    /// Queues a message. The caller asks [`Self::wants_more`] first.
    pub(crate) fn push(&mut self, message: Bytes) {
        self.outbox_bytes += message.len();
        self.outbox.push_back(Message::Binary(message));
    }

    /// Returns whether the outbox has room.
    pub(crate) fn wants_more(&self) -> bool {
        self.outbox_bytes < OUTBOX_BYTES_MAX
    }

    /// Moves messages in both directions until there is something to tell. Reads only if `reads`.
    ///
    /// Dropping the future loses nothing.
    pub(crate) async fn drive(&mut self, reads: bool) -> SocketEvent {
        poll_fn(|context| self.poll_drive(context, reads)).await
    }

    /// Returns the messages that were read, in order. Text counts as binary (PROTOCOL §2.5).
    pub(crate) fn received(&mut self) -> std::vec::Drain<'_, Bytes> {
        self.received.drain(..)
    }

    /// Returns whether a ping or a pong has come since the last call.
    pub(crate) fn take_heard(&mut self) -> bool {
        std::mem::take(&mut self.is_heard)
    }

    /// Resets the connection: no close frame, no farewell.
    pub(crate) fn cut(self) {
        self.socket.get_ref().get_ref().reset_at_end();
    }

    /// Writes what is queued, and says whether all of it went out within `limit`.
    pub(crate) async fn flush(&mut self, limit: Duration) -> bool {
        let flush = async {
            while !(self.outbox.is_empty() && self.is_flushed) {
                // Reading goes on, or a client that writes before it reads would wait for us for ever.
                match self.drive(true).await {
                    // A client that has heard the end goes away at once, maybe before we look again.
                    SocketEvent::Closed => return self.outbox.is_empty() && self.is_flushed,
                    SocketEvent::Received => self.received.clear(),
                    SocketEvent::Written => {}
                }
            }
            true
        };
        timeout(limit, flush).await.unwrap_or(false)
    }

    /// Closes with a code and a reason, then reads on for a while.
    ///
    /// A connection that is dropped with unread input is reset, and a reset overtakes what the client has not read.
    pub(crate) async fn close(mut self, code: u16, reason: String) {
        let frame = CloseFrame { code: CloseCode::from(code), reason: reason.into() };
        let farewell = async {
            if self.socket.close(Some(frame)).await.is_ok() {
                while let Some(Ok(_)) = self.socket.next().await {}
            }
        };
        // The far side's silence ends the wait; there is nobody left to tell.
        let _ = timeout(CLOSE_WAIT, farewell).await;
    }

    fn poll_drive(&mut self, context: &mut Context<'_>, reads: bool) -> Poll<SocketEvent> {
        let Ok(has_written) = self.poll_write(context) else { return Poll::Ready(SocketEvent::Closed) };
        while reads && self.received.len() < READ_BATCH {
            match Pin::new(&mut self.socket).poll_next(context) {
                Poll::Ready(Some(Ok(Message::Binary(message)))) => self.received.push(message),
                Poll::Ready(Some(Ok(Message::Text(text)))) => self.received.push(text.into()),
                Poll::Ready(Some(Ok(_))) => self.is_heard = true,
                // What was read before the end is handed out first; the end comes again.
                Poll::Ready(Some(Err(_)) | None) if self.received.is_empty() => {
                    return Poll::Ready(SocketEvent::Closed);
                }
                Poll::Ready(Some(Err(_)) | None) | Poll::Pending => break,
            }
        }
        if !self.received.is_empty() {
            Poll::Ready(SocketEvent::Received)
        } else if has_written {
            Poll::Ready(SocketEvent::Written)
        } else {
            Poll::Pending
        }
    }

    /// Writes what the socket takes; says whether that was anything.
    fn poll_write(&mut self, context: &mut Context<'_>) -> Result<bool, SocketError> {
        let mut has_written = false;
        while !self.outbox.is_empty() {
            match Pin::new(&mut self.socket).poll_ready(context) {
                Poll::Ready(result) => result?,
                Poll::Pending => break,
            }
            if let Some(message) = self.outbox.pop_front() {
                self.outbox_bytes -= message.len();
                self.is_flushed = false;
                has_written = true;
                Pin::new(&mut self.socket).start_send(message)?;
            }
        }
        if !self.is_flushed
            && let Poll::Ready(result) = Pin::new(&mut self.socket).poll_flush(context)
        {
            result?;
            self.is_flushed = true;
            has_written = true;
        }
        Ok(has_written)
    }
}
