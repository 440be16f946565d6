//! The official agent's watchdog over its data channel (PROTOCOL §2.6), without a clock of its own.
//!
//! Only answers to its pings count as life, and they come in line with the messages: whoever reads too slowly takes a
//! living channel for a dead one.

use std::time::{Duration, Instant};

/// How often a ping is sent.
const PING_EVERY: Duration = Duration::from_secs(54);
/// How long the first answer may take, from the channel's opening.
const FIRST_PONG: Duration = Duration::from_secs(114);
/// How long an answer may take after the one before.
const NEXT_PONG: Duration = Duration::from_secs(60);

/// The watchdog of one connection.
#[derive(Debug)]
pub(super) struct Watchdog {
    ping_at: Instant,
    dead_at: Instant,
}

impl Watchdog {
    /// Starts with a connection.
    pub(super) fn new(now: Instant) -> Self {
        Self { ping_at: now + PING_EVERY, dead_at: now + FIRST_PONG }
    }

    /// Notes the answer to a ping.
    pub(super) fn handle_pong(&mut self, now: Instant) {
        self.dead_at = now + NEXT_PONG;
    }

    /// Returns whether a ping is due, once for each.
    pub(super) fn poll_ping(&mut self, now: Instant) -> bool {
        let is_due = now >= self.ping_at;
        if is_due {
            self.ping_at = now + PING_EVERY;
        }
        is_due
    }

    /// Returns whether the channel counts as dead. The official agent finds that out when it reads next.
    pub(super) fn is_dead(&self, now: Instant) -> bool {
        now >= self.dead_at
    }

    /// Returns when there is something to do; with `reads` also when the channel dies.
    pub(super) fn deadline(&self, reads: bool) -> Instant {
        if reads { self.ping_at.min(self.dead_at) } else { self.ping_at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_whose_answers_come_is_alive() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut watchdog = Watchdog::new(start);
        for round in 1..10 {
            let now = at(54 * round);
            assert_eq!(watchdog.deadline(true), now);
            assert!(watchdog.poll_ping(now) && !watchdog.poll_ping(now));
            watchdog.handle_pong(now);
            assert!(!watchdog.is_dead(now));
        }
    }

    #[test]
    fn a_channel_dies_of_late_answers() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut watchdog = Watchdog::new(start);
        assert!(watchdog.poll_ping(at(54)) && watchdog.poll_ping(at(108)));
        assert_eq!((watchdog.deadline(true), watchdog.deadline(false)), (at(114), at(162)));
        assert!(!watchdog.is_dead(at(113)) && watchdog.is_dead(at(114)));
        watchdog.handle_pong(at(113));
        assert!(!watchdog.is_dead(at(172)) && watchdog.is_dead(at(173)));
    }
}
