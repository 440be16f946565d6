//! When to try again after a connection was lost (PROTOCOL §2.7), measured in time and not in attempts.

use std::time::{Duration, Instant};

use crate::proto::Ids;

/// The first delay lies between this and twice this, so that many clients of one gateway don't come back at once.
const DELAY_MIN: Duration = Duration::from_millis(100);
const DELAY_MAX: Duration = Duration::from_secs(5);

/// Delays between attempts: none before the first, then doubling up to 5 s, until the deadline.
#[derive(Debug)]
pub(crate) struct Backoff {
    deadline: Instant,
    first: Duration,
    attempts: u32,
}

impl Backoff {
    pub(super) fn new(deadline: Instant, seed: u64) -> Self {
        let spread = Ids::new(seed).number() % DELAY_MIN.as_millis() as u64;
        Self { deadline, first: DELAY_MIN + Duration::from_millis(spread), attempts: 0 }
    }

    /// Returns how long to wait before the next attempt; `None` when there is no time for one.
    pub(super) fn next(&mut self, now: Instant) -> Option<Duration> {
        let delay = match self.attempts {
            0 => Duration::ZERO,
            n => self.first.saturating_mul(1 << (n - 1).min(16)).min(DELAY_MAX),
        };
        self.attempts += 1;
        (now + delay < self.deadline).then_some(delay)
    }

    /// Returns how much of the budget is left.
    pub(super) fn left(&self, now: Instant) -> Duration {
        self.deadline.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_attempt_is_immediate_and_the_budget_is_time() {
        let start = crate::clock::now();
        let mut backoff = Backoff::new(start + Duration::from_secs(180), 7);
        let (mut now, mut delays) = (start, Vec::new());
        while let Some(delay) = backoff.next(now) {
            now += delay;
            delays.push(delay);
        }
        assert_eq!(delays[0], Duration::ZERO);
        assert!(delays[1] >= DELAY_MIN && delays[1] < 2 * DELAY_MIN);
        assert_eq!(delays[2], 2 * delays[1]);
        assert_eq!(delays.last(), Some(&DELAY_MAX));
        assert!(delays.len() > 36, "{}", delays.len());
        assert!(now <= start + Duration::from_secs(180));
    }

    #[test]
    fn without_a_budget_there_is_no_attempt() {
        let now = crate::clock::now();
        assert_eq!(Backoff::new(now, 1).next(now), None);
    }
}
