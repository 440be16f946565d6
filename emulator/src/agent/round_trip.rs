//! The smoothed round trip, and how long to wait for an acknowledge (PROTOCOL §6.5).

use std::time::Duration;

/// Where the estimate starts, before there are samples.
const INITIAL: Duration = Duration::from_millis(100);
/// The wait that goes with it, and the least wait for a resend: the estimate alone can fall to the granularity, and a
/// client that is busy for a moment would be sent everything twice.
const TIMEOUT_MIN: Duration = Duration::from_millis(200);
/// The longest wait.
const TIMEOUT_MAX: Duration = Duration::from_secs(1);
/// The least that the estimate adds to the round trip.
const GRANULARITY: Duration = Duration::from_millis(10);

/// An estimate of the time between a message and its acknowledge, as the official agent makes it.
#[derive(Clone, Debug)]
pub(super) struct RoundTrip {
    mean: f64,
    deviation: f64,
}

impl RoundTrip {
    pub(super) fn new() -> Self {
        Self { mean: INITIAL.as_secs_f64(), deviation: 0.0 }
    }

    /// Adds a sample. Messages that were sent again count as well, from their last sending.
    pub(super) fn add(&mut self, sample: Duration) {
        let sample = sample.as_secs_f64();
        // The order matters: the deviation is from the mean before this sample.
        self.deviation += ((self.mean - sample).abs() - self.deviation) / 4.0;
        self.mean += (sample - self.mean) / 8.0;
    }

    /// Returns the estimate's own timeout, at most 1 s.
    pub(super) fn estimate(&self) -> Duration {
        let timeout = self.mean + (4.0 * self.deviation).max(GRANULARITY.as_secs_f64());
        Duration::from_secs_f64(timeout.min(TIMEOUT_MAX.as_secs_f64()))
    }

    /// Returns how long an acknowledge may take before its message is sent again: 200 ms to 1 s.
    pub(super) fn timeout(&self) -> Duration {
        self.estimate().max(TIMEOUT_MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(samples_ms: &[u64]) -> RoundTrip {
        let mut round_trip = RoundTrip::new();
        samples_ms.iter().for_each(|ms| round_trip.add(Duration::from_millis(*ms)));
        round_trip
    }

    fn is_near(left: Duration, right_us: u64) -> bool {
        left.abs_diff(Duration::from_micros(right_us)) < Duration::from_nanos(100)
    }

    #[test]
    fn the_check_value_of_both_official_programs_comes_out() {
        let round_trip = after(&[140]);
        assert!((round_trip.mean - 0.105).abs() < 1e-9);
        assert!((round_trip.deviation - 0.010).abs() < 1e-9);
        assert!(is_near(round_trip.estimate(), 145_000));
    }

    #[test]
    fn a_steady_path_adds_only_the_granularity() {
        assert!(is_near(after(&[100; 8]).estimate(), 110_000));
    }

    #[test]
    fn a_resend_waits_at_least_200_ms_and_at_most_a_second() {
        assert_eq!(RoundTrip::new().timeout(), Duration::from_millis(200));
        assert_eq!(after(&[1; 100]).timeout(), Duration::from_millis(200));
        assert_eq!(after(&[30_000]).timeout(), Duration::from_secs(1));
    }
}
