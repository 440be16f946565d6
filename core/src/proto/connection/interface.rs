//! What goes in and out of a connection.

use bytes::Bytes;

use crate::Error;
use crate::proto::handshake::KeyRequest;
use crate::proto::smux::MuxId;

/// One of a session's byte streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StreamId {
    /// Standard output to read, the terminal's input to write; the far connection of a port session that has one.
    Stdio,
    /// Standard error, to read; it stays empty where the agent merges it into standard output.
    Stderr,
    /// One of the connections of a multiplexed port session.
    Mux(MuxId),
}

/// What a non-waiting operation came to.
#[derive(Debug)]
pub enum Step<T> {
    /// Done.
    Done(T),
    /// Not now; try again after the next turn.
    Blocked,
    /// The stream has ended, and nothing was lost.
    End,
    /// The stream has failed; what had arrived before was delivered.
    Failed(Error),
}

/// What to put on the websocket next.
#[derive(Clone, PartialEq, Eq)]
pub enum Transmit {
    /// A text message: the one that opens the channel. It contains the token.
    Text(String),
    /// A binary message.
    Binary(Bytes),
    /// A websocket ping.
    Ping,
}

/// What the caller of a [`super::Connection`] must know or answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The agent's message for the user.
    CustomerMessage(String),
    /// The session is encrypted: answer with [`super::Connection::handle_data_key`].
    NeedDataKey(KeyRequest),
    /// The agent is ready.
    Ready,
    /// The connection is dead though it is not closed: drop it and resume.
    Unresponsive,
}

/// Counters of one session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Payload bytes received in order.
    pub bytes_in: u64,
    /// Payload bytes accepted for sending.
    pub bytes_out: u64,
    /// Data messages received in order.
    pub messages_in: u64,
    /// Data messages made.
    pub messages_out: u64,
    /// Messages received more than once.
    pub duplicates: u64,
    /// Messages that could not be read.
    pub unreadable: u64,
    /// Messages sent again because their acknowledge was late.
    pub resent: u64,
    /// Connections that were opened after the first.
    pub reconnects: u64,
    /// Bytes that wait for the reader.
    pub unread: u64,
    /// Payload bytes that are not acknowledged.
    pub unacknowledged: u64,
    /// Payload bytes that may be unacknowledged now.
    pub window: u64,
    /// The smoothed round-trip time to the agent, in microseconds.
    pub rtt_us: u64,
}
