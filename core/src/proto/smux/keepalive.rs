//! Signs of life in both directions (PROTOCOL §9.5.2).

use std::time::{Duration, Instant};

/// Says when an empty frame is due, and when the far end has been silent for too long.
///
/// Unlike pings, the empty frames are not answered: each end sends its own, whatever it hears, since the other end
/// watches for them.
#[derive(Debug)]
pub(super) struct Keepalive {
    interval: Duration,
    timeout: Duration,
    /// When to send; `None` while there is no connection below.
    send_at: Option<Instant>,
    /// When silence is too long; `None` while silence says nothing.
    dead_at: Option<Instant>,
}

impl Keepalive {
    pub(super) fn new((interval, timeout): (Duration, Duration), now: Instant) -> Self {
        let mut keepalive = Self { interval, timeout, send_at: None, dead_at: None };
        keepalive.start(now);
        keepalive
    }

    /// There is a connection below, with both times counted from here.
    pub(super) fn start(&mut self, now: Instant) {
        self.send_at = Some(now + self.interval);
        self.dead_at = Some(now + self.timeout);
    }

    /// There is no connection below.
    pub(super) fn stop(&mut self) {
        (self.send_at, self.dead_at) = (None, None);
    }

    /// Something was heard, or listening begins again.
    pub(super) fn heard(&mut self, now: Instant) {
        self.dead_at = self.send_at.map(|_| now + self.timeout);
    }

    /// Nobody listens, until something is heard.
    pub(super) fn ignore_silence(&mut self) {
        self.dead_at = None;
    }

    pub(super) fn ignores_silence(&self) -> bool {
        self.dead_at.is_none()
    }

    /// Returns whether an empty frame is due; it then counts as sent.
    pub(super) fn poll_send(&mut self, now: Instant) -> bool {
        let is_due = self.send_at.is_some_and(|at| now >= at);
        if is_due {
            self.send_at = Some(now + self.interval);
        }
        is_due
    }

    pub(super) fn is_dead(&self, now: Instant) -> bool {
        self.dead_at.is_some_and(|at| now >= at)
    }

    /// Returns how long the silence is that counts as death.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(super) fn deadline(&self) -> Option<(Instant, &'static str)> {
        let send = self.send_at.map(|at| (at, "multiplexer keepalive"));
        let dead = self.dead_at.map(|at| (at, "multiplexer silence"));
        [send, dead].into_iter().flatten().min_by_key(|(at, _)| *at)
    }
}
