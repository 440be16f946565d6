//! What keeps a session that nobody uses from being ended by the service (PROTOCOL §11.10): data, now and then, of
//! which the far side notices nothing.

use std::time::{Duration, Instant};

/// Wants something sent whenever nothing has been for `interval`.
///
/// Only what is sent counts: users report that output does not keep a session from being idle.
#[derive(Debug)]
pub(super) struct Keepalive {
    interval: Option<Duration>,
    sent_at: Instant,
}

impl Keepalive {
    /// Counts from `now`. Without an interval it never wants anything.
    pub(super) fn new(interval: Option<Duration>, now: Instant) -> Self {
        Self { interval, sent_at: now }
    }

    /// Data of the session's stream was sent, of whatever kind.
    pub(super) fn handle_sent(&mut self, now: Instant) {
        self.sent_at = now;
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.interval.map(|interval| self.sent_at + interval)
    }
}
