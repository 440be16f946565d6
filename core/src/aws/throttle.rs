//! Waiting when the service says "too fast".

use std::time::Duration;

use aws_lc_rs::rand;

use crate::{Error, Kind, Result};

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
    pub(super) async fn wait(&mut self) -> Result<()> {
        let wait = self.step(fraction()?);
        tokio::time::sleep(wait).await;
        Ok(())
    }

    /// Returns the next wait; `fraction`, from 0 to 1, says how much of its half is cut.
    fn step(&mut self, fraction: f64) -> Duration {
        let longest = self.next;
        self.next = (longest * 2).min(LONGEST_WAIT);
        longest.mul_f64(1.0 - fraction / 2.0)
    }
}

#[expect(clippy::disallowed_methods, reason = "which caller comes back first is meant to be left to chance")]
fn fraction() -> Result<f64> {
    let mut bytes = [0; 4];
    rand::fill(&mut bytes).map_err(|_| Error::new(Kind::Internal, "the system gives no random numbers"))?;
    Ok(f64::from(u32::from_ne_bytes(bytes)) / f64::from(u32::MAX))
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
            let fraction = fraction().expect("random numbers");
            assert!((0.0..=1.0).contains(&fraction));
        }
    }
}
