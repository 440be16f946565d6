//! The one place where this crate reads a clock or draws a random number.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Returns the time for deadlines. Paused in tests that pause tokio's clock.
#[expect(clippy::disallowed_methods, reason = "the one place")]
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Returns the time of day, since the Unix epoch.
#[expect(clippy::disallowed_methods, reason = "the one place")]
pub(crate) fn unix_now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Returns a random seed.
#[expect(clippy::disallowed_methods, reason = "the one place")]
pub(crate) fn seed() -> u64 {
    let mut seed = [0; 8];
    match aws_lc_rs::rand::fill(&mut seed) {
        Ok(()) => u64::from_ne_bytes(seed),
        // Without a source of randomness the time still keeps two sessions apart.
        Err(_) => unix_now().as_nanos() as u64,
    }
}
