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

/// Returns a random seed, for what has to differ but need not be secret.
///
/// From the kernel: the generator of aws-lc takes a tenth of a second to gather entropy of its own before its first
/// number, which the start of a short command would feel.
#[expect(clippy::disallowed_methods, reason = "the one place")]
pub(crate) fn seed() -> u64 {
    // Without a source of randomness the time still keeps two sessions apart.
    getrandom::u64().unwrap_or_else(|_| unix_now().as_nanos() as u64)
}
