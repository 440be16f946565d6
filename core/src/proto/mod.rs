//! The protocol, without I/O (PROTOCOL §3–§8).
//!
//! Nothing in here opens a socket, starts a task, reads a clock or draws a random number: time, bytes and a seed come
//! in as arguments; bytes, events and the next deadline go out. So a test can run a year of bad network in a second.
//!
//! ```text
//!   down, from the agent                          up, to the agent
//!   frame      bytes -> message, digest           message -> bytes
//!   inbound    order, duplicates, acks owed       outbound   number, keep until acked, resend
//!                                                window     how much may be under way
//!                                                pieces     how large a message may be
//!   payload    handshake | data                   payload    handshake | data | size
//!   cipher     open                               cipher     seal
//!   smux       port sessions: frames -> streams   smux       streams -> frames, in turns
//!   buffer     bytes that wait for the reader     (none: a write takes only what fits the window)
//! ```
//!
//! Up and down meet only in [`Connection`].

mod buffer;
mod cipher;
mod closing;
mod connection;
pub mod frame;
mod handshake;
mod ids;
mod inbound;
mod keepalive;
mod liveness;
mod outbound;
pub mod payload;
mod pieces;
mod rtt;
mod smux;
pub mod version;
mod window;

pub use cipher::{DATA_KEY_LEN, DataKey};
pub use connection::{Config, Connection, Event, Stats, Step, StreamId, Transmit};
pub use frame::{Frame, FrameError, MessageType};
pub use handshake::{KeyRequest, SessionKind};
pub use ids::{Ids, MessageId};
pub use payload::PayloadType;
pub use smux::MuxId;

#[cfg(test)]
mod tests;
