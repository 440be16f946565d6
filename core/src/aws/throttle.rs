//! Waiting when the service says "too fast".

use std::time::Duration;

use crate::clock;

/// The wait after the first refusal, about the time in which the service allows one more session.
const FIRST_WAIT: Duration = Duration::from_millis(400);

/// The longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The waits between tries: each twice the last, and each cut at random by up to a half, so that callers that were
/// refused together do not come back together.
pub(super) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(super) fn new() -> Self {
        Self { next: FIRST_WAIT }
    }

    /// Waits the next time, which is longer than the last.
    pub(super) async fn wait(&mut self) {
        tokio::time::sleep(self.step(fraction())).await;
    }

    /// Returns the next wait; `fraction`, from 0 to 1, says how much of its half is cut.
    fn step(&mut self, fraction: f64) -> Duration {
        let longest = self.next;
        self.next = (longest * 2).min(LONGEST_WAIT);
        longest.mul_f64(1.0 - fraction / 2.0)
    }
}

/// Which caller comes back first is left to chance.
fn fraction() -> f64 {
    (clock::seed() >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let mut backoff = Backoff::new();
        let waits: Vec<u128> = (0..6).map(|_| backoff.step(0.0).as_millis()).collect();
        assert_eq!(waits, [400, 800, 1600, 3200, 5000, 5000]);
    }

    #[test]
    fn chance_cuts_at_most_a_half() {
        assert_eq!(Backoff::new().step(1.0), FIRST_WAIT / 2);
        for _ in 0..100 {
            assert!((0.0..1.0).contains(&fraction()));
        }
    }
}
