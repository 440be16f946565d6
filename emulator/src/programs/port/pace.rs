//! How fast a port session sends, and in which portions (PROTOCOL §10.7).

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The official agent's portion, in bytes.
const OFFICIAL_PORTION: usize = 1024;
/// The official agent's rest after each portion.
const OFFICIAL_REST: Duration = Duration::from_millis(1);
/// The portion of an agent that is as fast as it can be.
const FAST_PORTION: usize = 64 << 10;

/// The pace of one session, and whether it rests just now.
#[derive(Debug)]
pub(super) struct Pace {
    portion: usize,
    rest: Option<Duration>,
    rests_until: Option<Instant>,
}

impl Pace {
    /// Makes the official agent's pace.
    pub(super) fn official() -> Self {
        Self { portion: OFFICIAL_PORTION, rest: Some(OFFICIAL_REST), rests_until: None }
    }

    /// Makes the pace of an agent that never rests.
    pub(super) fn fast() -> Self {
        Self { portion: FAST_PORTION, rest: None, rests_until: None }
    }

    /// Returns how many bytes go into a portion at most.
    pub(super) fn portion(&self) -> usize {
        self.portion
    }

    /// Returns whether the session rests. It does until [`wake`](Self::wake) has come to its end.
    pub(super) fn is_resting(&self) -> bool {
        self.rests_until.is_some()
    }

    /// Starts the rest after a portion.
    pub(super) fn rest(&mut self) {
        self.rests_until = self.rest.map(|rest| Instant::now() + rest);
    }

    /// Waits for the end of a rest; for ever if there is none.
    pub(super) async fn wake(&mut self) {
        match self.rests_until {
            Some(until) => sleep_until(until).await,
            None => std::future::pending().await,
        }
        self.rests_until = None;
    }
}
