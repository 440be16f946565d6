//! One deadline for all steps of opening a connection.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::{Error, Kind, Result};

/// The longest wait; whoever asks for more means "no limit", and the clock can't count that far.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// The moment by which a connection must stand.
#[derive(Clone, Copy)]
pub(super) struct Deadline {
    at: Instant,
    limit: Duration,
}

impl Deadline {
    /// Returns the deadline `limit` from now, or a day from now if that is sooner.
    #[expect(clippy::disallowed_methods, reason = "connecting is real: its deadline is on the real clock")]
    pub(super) fn after(limit: Duration) -> Self {
        let limit = limit.min(LONGEST);
        Self { at: Instant::now() + limit, limit }
    }

    /// Returns an equal share of the whole time for each of `attempts`, so that one dead address leaves time for the
    /// others.
    pub(super) fn share(&self, attempts: usize) -> Duration {
        self.limit / u32::try_from(attempts.max(1)).unwrap_or(u32::MAX)
    }

    /// Waits for `step`, until the deadline; then fails with `kind` and says what it was waiting for.
    pub(super) async fn within<T>(
        &self,
        kind: Kind,
        waiting_for: impl FnOnce() -> String,
        step: impl Future<Output = T>,
    ) -> Result<T> {
        timeout_at(self.at, step)
            .await
            .map_err(|_| Error::new(kind, format!("timed out after {:?} waiting for {}", self.limit, waiting_for())))
    }
}
