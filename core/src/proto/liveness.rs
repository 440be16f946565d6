//! Whether the connection is alive: pings after silence, and a deadline for their answer (PROTOCOL §12, row 41).

use std::time::{Duration, Instant};

/// Asks after `interval` of silence, and gives up `patience` later.
#[derive(Debug)]
pub(super) struct Liveness {
    interval: Duration,
    patience: Duration,
    /// `None` while there is no connection, or while it is deliberately left unread: then silence says nothing.
    state: Option<State>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    HeardAt(Instant),
    AskedAt(Instant),
}

impl Liveness {
    pub(super) fn new(interval: Duration, patience: Duration) -> Self {
        Self { interval, patience, state: None }
    }

    /// Anything arrived, or the connection is new.
    pub(super) fn heard(&mut self, now: Instant) {
        self.state = Some(State::HeardAt(now));
    }

    /// Stops watching until something is heard again.
    pub(super) fn suspend(&mut self) {
        self.state = None;
    }

    pub(super) fn is_suspended(&self) -> bool {
        self.state.is_none()
    }

    /// Returns whether a ping is due; it then counts as sent.
    pub(super) fn poll_ping(&mut self, now: Instant) -> bool {
        let is_due = matches!(self.state, Some(State::HeardAt(at)) if now >= at + self.interval);
        if is_due {
            self.state = Some(State::AskedAt(now));
        }
        is_due
    }

    /// Returns whether a ping has stayed unanswered for too long.
    pub(super) fn is_dead(&self, now: Instant) -> bool {
        matches!(self.state, Some(State::AskedAt(at)) if now >= at + self.patience)
    }

    pub(super) fn deadline(&self) -> Option<(Instant, &'static str)> {
        match self.state? {
            State::HeardAt(at) => Some((at + self.interval, "ping")),
            State::AskedAt(at) => Some((at + self.patience, "pong")),
        }
    }
}
