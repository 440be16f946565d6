//! Smoothed round-trip time and the retransmission timeout made of it (PROTOCOL §6.5).

use std::time::Duration;

const INITIAL_RTT: f64 = 100e6;
const INITIAL_TIMEOUT: Duration = Duration::from_millis(200);
const GRANULARITY: f64 = 10e6;
const TIMEOUT_MAX: Duration = Duration::from_secs(1);

/// Estimates the round-trip time from samples. Times inside are nanoseconds.
#[derive(Clone, Debug)]
pub(super) struct Rtt {
    smoothed: f64,
    variation: f64,
    timeout: Duration,
}

impl Rtt {
    /// Starts without samples: 100 ms, and a timeout of 200 ms.
    pub(super) fn new() -> Self {
        Self { smoothed: INITIAL_RTT, variation: 0.0, timeout: INITIAL_TIMEOUT }
    }

    /// Takes a sample in. The variation is updated first, against the old round-trip time.
    pub(super) fn sample(&mut self, sample: Duration) {
        let sample = sample.as_nanos() as f64;
        self.variation = 0.75 * self.variation + 0.25 * (self.smoothed - sample).abs();
        self.smoothed = 0.875 * self.smoothed + 0.125 * sample;
        let timeout = self.smoothed + GRANULARITY.max(4.0 * self.variation);
        self.timeout = Duration::from_nanos(timeout as u64).min(TIMEOUT_MAX);
    }

    /// Returns the smoothed round-trip time.
    pub(super) fn smoothed(&self) -> Duration {
        Duration::from_nanos(self.smoothed as u64)
    }

    /// Returns how long to wait for an acknowledge before sending again, at most a second.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }
}

impl Default for Rtt {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_recorded_sequence_gives_the_recorded_estimates() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../../../tests/vectors/rtt.json")).expect("rtt.json is JSON");
        let close = |a: f64, b: f64| (a - b).abs() <= 1e-9 * b.abs();
        for sequence in vectors["sequences"].as_array().expect("a list") {
            let mut rtt = Rtt::new();
            for step in sequence["steps"].as_array().expect("a list") {
                rtt.sample(Duration::from_nanos(step["sample_ns"].as_u64().expect("a number")));
                assert!(close(rtt.smoothed, step["rtt_ns"].as_f64().expect("a number")), "{sequence}");
                assert!(close(rtt.variation, step["rttvar_ns"].as_f64().expect("a number")), "{sequence}");
                let timeout = step["rto_ns"].as_u64().expect("a number");
                assert!((rtt.timeout().as_nanos() as u64).abs_diff(timeout) <= 1, "{sequence}");
            }
        }
    }

    #[test]
    fn without_samples_the_timeout_is_200_ms() {
        assert_eq!(Rtt::new().timeout(), Duration::from_millis(200));
    }
}
