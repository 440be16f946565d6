//! What a connection is told about its session, and its limits.

use std::time::Duration;

use crate::options::TIMEOUT_MAX;
use crate::proto::payload::Size;
use crate::proto::version::CLIENT_VERSION;

/// What a [`super::Connection`] is told about its session, and its limits.
#[derive(Clone, Debug)]
pub struct Config {
    /// The session's id.
    pub session_id: String,
    /// The target as StartSession was given it; needed for encrypted sessions only (PROTOCOL §8.2).
    pub target: Option<String>,
    /// The version to announce.
    pub client_version: String,
    /// Refuse the handshake of an agent that is not newer than this, before it does anything: the session then fails
    /// with [`crate::Kind::Unsupported`].
    pub agent_newer_than: Option<&'static str>,
    /// Whether the caller serves port sessions; otherwise their handshake is refused with [`crate::Kind::Unsupported`].
    pub serves_ports: bool,
    /// The terminal's size, sent as soon as there is a terminal.
    pub size: Option<Size>,
    /// Bytes that may wait for the reader; at least one message.
    pub unread_max: usize,
    /// Messages that may wait for one before them.
    pub reorder_max: usize,
    /// Payload bytes that may be unacknowledged at first. Then it depends on how long acknowledges take: less at a slow
    /// far end, down to 16 KiB or this if it is less …
    pub window_bytes: usize,
    /// … and up to this many at a fast one. At least [`Self::window_bytes`].
    pub window_bytes_max: usize,
    /// Messages that may be unacknowledged.
    pub window_messages: usize,
    /// Payload bytes of the largest message to a port, within 1 KiB and 64 KiB. The first ones carry 1 KiB, as all of
    /// the official client's do (PROTOCOL §6.2).
    pub message_bytes_max: usize,
    /// From the open data channel until the agent is ready.
    pub handshake: Duration,
    /// How long acknowledges may stay away.
    pub stall: Duration,
    /// Silence after which a ping is sent.
    pub ping_interval: Duration,
    /// How long a ping may stay unanswered.
    pub pong: Duration,
    /// How long nothing may be sent before something is that keeps the session from being idle; `None` for ever.
    pub keepalive: Option<Duration>,
}

impl Config {
    /// Makes the defaults for a session.
    pub fn new(session_id: impl Into<String>) -> Self {
        let timeouts = crate::Timeouts::default();
        Self {
            session_id: session_id.into(),
            target: None,
            client_version: CLIENT_VERSION.to_owned(),
            agent_newer_than: None,
            serves_ports: false,
            size: None,
            unread_max: 16 << 20,
            reorder_max: 10_000,
            window_bytes: 256 << 10,
            window_bytes_max: 8 << 20,
            window_messages: 5_000,
            message_bytes_max: 16 << 10,
            handshake: timeouts.handshake,
            stall: timeouts.stall,
            ping_interval: timeouts.ping_interval,
            pong: timeouts.pong,
            keepalive: None,
        }
    }

    /// Cuts the timeouts to what can be added to a time, and opens a window that would never let a byte through.
    pub(super) fn bounded(self) -> Self {
        let timeouts = crate::Timeouts {
            handshake: self.handshake,
            stall: self.stall,
            ping_interval: self.ping_interval,
            pong: self.pong,
            ..crate::Timeouts::default()
        };
        let crate::Timeouts { handshake, stall, ping_interval, pong, .. } = timeouts.bounded();
        let keepalive = self.keepalive.map(|interval| interval.min(TIMEOUT_MAX));
        Self { handshake, stall, ping_interval, pong, keepalive, window_bytes: self.window_bytes.max(1), ..self }
    }
}
