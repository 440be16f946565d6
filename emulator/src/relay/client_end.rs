//! The client's end of a session: its socket, or what is kept for the next one.
//!
//! Knows nothing of the agent and looks into no message.

use std::collections::VecDeque;
use std::future::pending;

use bytes::Bytes;

use crate::socket::{ChannelSocket, SocketEvent};

/// How many messages are kept for a client that is away.
///
/// Nothing more is taken from the agent meanwhile, so these are only what was on its way already: late messages of a
/// disturbed link, the last ones of an agent that has ended, and the service's own.
const KEPT_MAX: usize = 2048;

/// The client's end of a session.
#[derive(Debug, Default)]
pub(crate) struct ClientEnd {
    socket: Option<ChannelSocket>,
    kept: VecDeque<Bytes>,
}

impl ClientEnd {
    /// Returns whether a client is connected.
    pub(crate) fn is_connected(&self) -> bool {
        self.socket.is_some()
    }

    /// Connects a client: in place of the old one, and with what was kept for it.
    pub(crate) fn attach(&mut self, mut socket: ChannelSocket) {
        for message in self.kept.drain(..) {
            socket.push(message);
        }
        if let Some(old) = self.socket.replace(socket) {
            old.cut();
        }
    }

    /// Disconnects the client and returns its socket.
    pub(crate) fn detach(&mut self) -> Option<ChannelSocket> {
        self.socket.take()
    }

    /// Queues a message for the client, or keeps it for the next one.
    pub(crate) fn push(&mut self, message: Bytes) {
        match &mut self.socket {
            Some(socket) => socket.push(message),
            None if self.kept.len() < KEPT_MAX => self.kept.push_back(message),
            None => tracing::debug!(bytes = message.len(), "message dropped: too many wait for the client"),
        }
    }

    /// Returns whether more may come: not while the client is away, so that the agent waits for it and nothing is lost.
    pub(crate) fn wants_more(&self) -> bool {
        self.socket.as_ref().is_some_and(ChannelSocket::wants_more)
    }

    /// Drives the socket, see [`ChannelSocket::drive`]; waits for ever without one.
    pub(crate) async fn drive(&mut self, reads: bool) -> SocketEvent {
        match &mut self.socket {
            Some(socket) => socket.drive(reads).await,
            None => pending().await,
        }
    }

    /// Returns the messages that were read, in order.
    pub(crate) fn received(&mut self) -> impl Iterator<Item = Bytes> {
        self.socket.iter_mut().flat_map(ChannelSocket::received)
    }
}
