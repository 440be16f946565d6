//! Signs of life of a multiplexer that is not told to do without (PROTOCOL §9.5.2).

use std::time::{Duration, Instant};

/// How often a sign of life is sent.
const NOP_EVERY: Duration = Duration::from_secs(10);
/// How often it is looked at whether there were any from the client.
const CHECK_EVERY: Duration = Duration::from_secs(30);

/// Something that is due.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Beat {
    /// A sign of life must be sent.
    Nop,
    /// The client has given none for too long.
    Dead,
}

/// The two clocks of a connection.
#[derive(Debug)]
pub(super) struct Keepalive {
    nop_at: Instant,
    check_at: Instant,
    has_life: bool,
}

impl Keepalive {
    pub(super) fn new(now: Instant) -> Self {
        Self { nop_at: now + NOP_EVERY, check_at: now + CHECK_EVERY, has_life: false }
    }

    /// Notes a frame of the client's, of whatever kind.
    pub(super) fn note_life(&mut self) {
        self.has_life = true;
    }

    pub(super) fn deadline(&self) -> Instant {
        self.nop_at.min(self.check_at)
    }

    /// Returns the next thing that is due. While no input is read, because `is_full`, silence means nothing.
    pub(super) fn handle_timeout(&mut self, now: Instant, is_full: bool) -> Option<Beat> {
        if now >= self.nop_at {
            self.nop_at += NOP_EVERY;
            return Some(Beat::Nop);
        }
        if now < self.check_at {
            return None;
        }
        self.check_at += CHECK_EVERY;
        let is_alive = self.has_life || is_full;
        self.has_life = false;
        (!is_alive).then_some(Beat::Dead)
    }
}
